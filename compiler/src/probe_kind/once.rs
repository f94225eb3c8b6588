//! `begin` and `end`: run once, before and after everything else.

use super::{Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{Attach, ProgramKind};
use crate::target::Target;

/// `begin` or `end`.
pub(super) struct Once {
    name: &'static str,
    doc: &'static str,
    example: &'static str,
    attach: Attach,
}

/// `begin`.
pub(super) static BEGIN: Once = Once {
    name: "begin",
    doc: "runs once, before any other probe is attached",
    example: "begin { printf(\"tracing\\n\"); }",
    attach: Attach::Begin { cookie: 0 },
};

/// `end`.
pub(super) static END: Once = Once {
    name: "end",
    doc: "runs once, after every other probe is detached",
    example: "end { printf(\"done\\n\"); }",
    attach: Attach::End { cookie: 0 },
};

impl ProbeKind for Once {
    fn name(&self) -> &'static str {
        self.name
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn type_name(&self) -> &'static str {
        "special"
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn syntax(&self) -> &'static str {
        self.name
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::RawTracepoint
    }

    fn offers(&self) -> Offers {
        Offers::NONE
    }

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        if !point.parts.is_empty() {
            return Err(Failure::malformed(self, point));
        }
        Ok(vec![Place::written(self, point, self.attach.clone())])
    }
}
