//! `printf`: text with values in it.

use super::{Call, Function, decimals, literal_text};
use crate::check::Cx;
use crate::codes;
use crate::decimal::Decimal;
use crate::format::{self, Format, Specifier};
use crate::hir::Expr;
use crate::plan::EventKind;
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

pub(super) const FUNCTION: Function = Function {
    name: "printf",
    doc: "prints text, with values in the place of the format's conversions; those of `%f`, `%e` and `%g` can be computed with \
          fractions: `bytes / 1.0e9`",
    syntax: "printf(format[, value, …])",
    example: "uprobe:libc:write { printf(\"%s wrote %d bytes\\n\", comm, arg2); }",
    arity: (1, usize::MAX),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (format, values) = formatted(cx, call)?;
    cx.emit(EventKind::Printf(format), values, call.span)
}

/// The format that the first argument of a call is, and the values of the others, which fit it.
pub(super) fn formatted(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<(Format, Vec<Expr>)> {
    let (format_arg, args) = call.args.split_first()?;
    let given: Vec<Option<Given>> = args.iter().map(|arg| Given::of(cx, arg)).collect();
    let text = literal_text(cx, format_arg, "a format")?;
    let mut format = match format::parse(&text) {
        Ok(format) => format,
        Err(error) => {
            return cx.report(
                Diagnostic::error(&codes::BAD_FORMAT, format_arg.span, error.message)
                    .help("a percent sign itself is written `%%`"),
            );
        }
    };
    let wanted = format.conversions().count();
    if wanted != given.len() {
        return wrong_count(cx, wanted, given.len(), format_arg.span, call);
    }
    let given = given.into_iter().collect::<Option<Vec<_>>>()?;
    let mut fits = true;
    let mut values = Vec::with_capacity(given.len());
    for ((conversion, arg), given) in format.conversions_mut().zip(args).zip(given) {
        match (&given.computed, conversion.specifier) {
            (None, specifier) => fits &= conversion_fits(cx, specifier, &given.values[0]),
            (Some(_), Specifier::Decimal(_)) => {}
            (Some(_), _) => {
                decimals::misplaced(cx, arg);
                fits = false;
            }
        }
        conversion.computed = given.computed;
        values.extend(given.values);
    }
    fits.then_some((format, values))
}

/// What is given for one conversion.
struct Given {
    /// How a number with a fraction is computed of the values; without, there is one value.
    computed: Option<Decimal>,
    values: Vec<Expr>,
}

impl Given {
    fn of(cx: &mut Cx<'_>, arg: &ast::Expr) -> Option<Self> {
        if !decimals::has_fraction(arg) {
            let values = vec![cx.value(arg)?];
            let computed = None;
            return Some(Self { computed, values });
        }
        let mut values = Vec::new();
        let computed = Some(decimals::computed(cx, arg, &mut values)?);
        Some(Self { computed, values })
    }
}

fn wrong_count<T>(cx: &mut Cx<'_>, wanted: usize, found: usize, format: Span, call: &Call<'_>) -> Option<T> {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let verb = if wanted == 1 { "has" } else { "have" };
    let message = format!(
        "the format's {} {verb} {}",
        count(wanted, "conversion"),
        count(found, "value")
    );
    let help = match found.abs_diff(wanted) {
        missing if found < wanted => {
            format!(
                "add {}, or write `%%` for a percent sign",
                count(missing, "value")
            )
        }
        left => format!("add {} to the format, such as `%d`", count(left, "conversion")),
    };
    cx.report(
        Diagnostic::error(&codes::FORMAT_COUNT, call.span, message)
            .also(format, count(wanted, "conversion"))
            .help(help),
    )
}

/// Whether a conversion can show a value; reports where not.
fn conversion_fits(cx: &mut Cx<'_>, specifier: Specifier, value: &Expr) -> bool {
    let fits = match specifier {
        Specifier::Text => true,
        Specifier::Raw | Specifier::RawHex | Specifier::RawHexSpaced => {
            matches!(value.ty, Type::Buffer(_) | Type::Bytes(_))
        }
        _ => matches!(
            value.ty,
            Type::Int(_) | Type::Bool | Type::Ptr(..) | Type::Enum(_)
        ),
    };
    if !fits {
        let wanted = match specifier {
            Specifier::Raw | Specifier::RawHex | Specifier::RawHexSpaced => "a buffer",
            _ => "a number",
        };
        let message = format!(
            "this conversion shows {wanted}, and this is {}",
            cx.describe(&value.ty)
        );
        cx.report::<()>(
            Diagnostic::error(&codes::FORMAT_TYPE, value.span, message)
                .help("`%s` shows any value as `print` does"),
        );
    }
    fits
}
