//! `watchpoint`: runs when memory is accessed, by the debug registers of the processor.

use super::{Failure, Offers, Place, Point, ProbeKind, Words, number};
use crate::codes;
use crate::plan::{Access, Attach, ProgramKind};
use crate::target::Target;
use crate::types::Space;
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;

/// `watchpoint`.
pub(super) struct Watchpoint;

impl ProbeKind for Watchpoint {
    fn words(&self) -> &Words {
        &Words {
            name: "watchpoint",
            aliases: &["w"],
            doc: "runs when memory at an address is read, written or executed",
            syntax: "watchpoint:ADDRESS:LENGTH:MODE (LENGTH is 1, 2, 4 or 8; MODE is of r, w, x)",
            example: "watchpoint:0x10000000:8:w { @writers[comm] = count(); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::PerfEvent
    }

    fn offers(&self) -> Offers {
        Offers {
            filtered_by_pid: true,
            memory: Space::User,
            ..Offers::NONE
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let [address, length, mode] = point.parts else {
            return Err(Failure::malformed(self, point));
        };
        let address_value = place(address, target)?;
        let length_value = number(&length.text).filter(|length| [1, 2, 4, 8].contains(length));
        let length_value = length_value.ok_or_else(|| {
            let message = format!("`{}` bytes cannot be watched", length.text);
            bad(length, message, "the length is 1, 2, 4 or 8")
        })?;
        if !address_value.is_multiple_of(length_value) {
            let message = format!("`{}` is not a multiple of {length_value}", address.text);
            let help = "the processor watches memory that is aligned to its length";
            return Err(bad(address, message, help));
        }
        let access = access(mode)?;
        let attach = Attach::Watchpoint {
            address: address_value,
            length: length_value as u8,
            access,
            cookie: 0,
        };
        Ok(vec![Place::written(self, point, attach)])
    }
}

/// The address that is meant: a number, or a symbol of the kernel with an offset.
fn place(part: &AttachPart, target: &dyn Target) -> Result<u64, Failure> {
    if let Some(address) = number(&part.text) {
        return Ok(address);
    }
    let (name, offset) = part.text.split_once('+').unwrap_or((&part.text, "0"));
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad(
            part,
            format!("`{}` is no address", part.text),
            "addresses are decimal or hexadecimal (`0x10`) numbers, or symbols of the kernel",
        ));
    }
    let offset = number(offset).ok_or_else(|| {
        bad(
            part,
            format!("`{offset}` is no number"),
            "offsets are decimal or hexadecimal",
        )
    })?;
    let address = target.kernel_address(name).map_err(|error| {
        let message = format!("the kernel has no symbol `{name}`");
        Failure::target(error, &codes::BAD_WATCHPOINT, part.span, message)
    })?;
    Ok(address.wrapping_add(offset))
}

fn access(mode: &AttachPart) -> Result<Access, Failure> {
    let mut access = Access::default();
    for letter in mode.text.chars() {
        let which = match letter {
            'r' => &mut access.read,
            'w' => &mut access.write,
            'x' => &mut access.execute,
            _ => {
                let message = format!("`{letter}` is no kind of access");
                return Err(bad(mode, message, "write a combination of r, w and x"));
            }
        };
        if std::mem::replace(which, true) {
            return Err(bad(mode, format!("`{letter}` is there twice"), "once is enough"));
        }
    }
    if access == Access::default() {
        return Err(bad(
            mode,
            "no kind of access is named".to_owned(),
            "write a combination of r, w and x",
        ));
    }
    if access.execute && (access.read || access.write) {
        return Err(bad(
            mode,
            "execution is watched by itself".to_owned(),
            "write two watchpoints",
        ));
    }
    Ok(access)
}

fn bad(part: &AttachPart, message: String, help: &str) -> Failure {
    Failure::wrong(Diagnostic::error(&codes::BAD_WATCHPOINT, part.span, message).help(help))
}
