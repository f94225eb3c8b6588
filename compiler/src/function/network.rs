//! Internet addresses: `ntop`, `pton`.

use super::{Call, Function, literal_text, number};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind, Intrinsic};
use crate::types::{IntType, Type};
use core::net::{Ipv4Addr, Ipv6Addr};
use crumbs_grammar::diagnostic::Diagnostic;

/// `AF_INET` (include/linux/socket.h).
const INET: i64 = 2;
/// `AF_INET6`.
const INET6: i64 = 10;

pub(super) const NTOP: Function = Function {
    name: "ntop",
    doc: "an internet address: a number or 4 bytes are IPv4, 16 bytes IPv6, unless a family (`AF_INET`, `AF_INET6`) says",
    syntax: "ntop([family, ]address)",
    example: "begin { print(ntop(0x0100007f)); }",
    arity: (1, 2),
    check: ntop,
};

pub(super) const PTON: Function = Function {
    name: "pton",
    doc: "the bytes of an internet address that is written out: 4 of IPv4, 16 of IPv6",
    syntax: "pton(\"address\")",
    example: "begin { print(ntop(pton(\"127.0.0.1\"))); }",
    arity: (1, 1),
    check: pton,
};

fn ntop(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (family, address) = match call.args {
        [family, address] => (Some(number(cx, family, "an address family")?), address),
        [address] => (None, address),
        _ => return None,
    };
    let address = cx.value(address)?;
    let guessed = match (&address.ty, cx.declared_size(&address)) {
        (Type::Int(_), _) | (Type::Array(..) | Type::Bytes(_) | Type::Str(_), 4) => INET,
        (Type::Array(..) | Type::Bytes(_) | Type::Str(_), 16) => INET6,
        (ty, _) => {
            let message = format!(
                "an address is a number, 4 or 16 bytes, and this is {}",
                cx.describe(ty)
            );
            return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, address.span, message));
        }
    };
    let family = match family {
        Some(family) => cx.converted(family, &Type::U64),
        None => call.constant(guessed, Type::U64),
    };
    Some(call.intrinsic(Intrinsic::InternetAddress, vec![family, address], Type::Inet))
}

fn pton(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let text = literal_text(cx, call.args[0], "an internet address")?;
    let text = String::from_utf8_lossy(&text);
    let v4 = text.parse::<Ipv4Addr>().map(|address| address.octets().to_vec());
    let bytes = match v4.or_else(|_| text.parse::<Ipv6Addr>().map(|address| address.octets().to_vec())) {
        Ok(bytes) => bytes,
        Err(_) => {
            let message = format!("`{text}` is no internet address");
            return cx.report(
                Diagnostic::error(&codes::ARGUMENT_TYPE, call.args[0].span, message)
                    .help("write it as `192.0.2.1` or `2001:db8::1`"),
            );
        }
    };
    let byte = Type::Int(IntType {
        bits: 8,
        signed: false,
    });
    let ty = Type::Array(Box::new(byte), bytes.len() as u32);
    Some(Expr {
        kind: ExprKind::Bytes(bytes),
        ty,
        span: call.span,
    })
}
