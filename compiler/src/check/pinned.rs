//! What programs of pinned iterators may send: the kernel itself shows it to whoever reads the pinned file.

use super::cx::Cx;
use crate::codes;
use crate::format::kernel::for_kernel;
use crate::hir::Expr;
use crate::plan::EventKind;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// Reports what only a running crumbs could do, and what the kernel cannot show.
    pub(super) fn pinned_event(&mut self, kind: &EventKind, args: &[Expr], span: Span) -> Option<()> {
        let format = match kind {
            EventKind::Printf(format) => format,
            // Nobody to tell.
            EventKind::HelperFailed(_) => return Some(()),
            _ => {
                let message =
                    "a pinned iterator runs when crumbs has ended: only `printf` reaches the reader";
                return self.report(
                    Diagnostic::error(&codes::PINNED, span, message)
                        .help("print with `printf`, or leave out the pin: `iter:LIST` runs once, here"),
                );
            }
        };
        let types: Vec<_> = args.iter().map(|arg| &arg.ty).collect();
        match for_kernel(format, &types) {
            Ok(_) => Some(()),
            Err(unsuitable) => {
                let at = unsuitable
                    .argument
                    .and_then(|at| args.get(at))
                    .map_or(span, |arg| arg.span);
                let message = format!("{} (a pinned iterator is shown by it)", unsuitable.reason);
                self.report(Diagnostic::error(&codes::PINNED, at, message).help(unsuitable.instead))
            }
        }
    }
}
