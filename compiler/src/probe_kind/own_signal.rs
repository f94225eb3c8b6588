//! `self`: runs when crumbs itself gets a signal.

use super::{Failure, Offers, Place, Point, ProbeKind, Words};
use crate::codes;
use crate::plan::{self, Attach, ProgramKind};
use crate::target::Target;
use crumbs_grammar::diagnostic::Diagnostic;

/// `self`.
pub(super) struct OwnSignal;

/// The only thing that is seen of crumbs itself.
const SIGNAL: &str = "signal";

impl ProbeKind for OwnSignal {
    fn words(&self) -> &Words {
        &Words {
            name: "self",
            aliases: &[],
            doc: "runs when crumbs itself gets a signal",
            syntax: "self:signal:SIGUSR1",
            example: "self:signal:SIGUSR1 { print(@calls); } uprobe:libc:write { @calls = count(); }",
        }
    }

    fn type_name(&self) -> &'static str {
        "special"
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::RawTracepoint
    }

    fn offers(&self) -> Offers {
        Offers::NONE
    }

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let [what, signal] = point.parts else {
            return Err(Failure::malformed(self, point));
        };
        let known = plan::OwnSignal::Usr1;
        if what.text != SIGNAL {
            return Err(Failure::malformed(self, point));
        }
        if signal.text != known.name() {
            let message = format!("crumbs does not react to `{}`", signal.text);
            return Err(Failure::wrong(
                Diagnostic::error(&codes::BAD_EVENT, signal.span, message)
                    .help(format!("the signal for scripts is {}", known.name())),
            ));
        }
        let attach = Attach::Signal {
            signal: known,
            cookie: 0,
        };
        Ok(vec![Place::written(self, point, attach)])
    }
}
