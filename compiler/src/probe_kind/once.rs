//! `begin` and `end`: run once, before and after everything else.

use super::{Failure, Offers, Place, Point, ProbeKind, Words};
use crate::plan::{Attach, ProgramKind};
use crate::target::Target;

/// `begin` or `end`.
pub(super) struct Once {
    words: Words,
    attach: Attach,
}

/// `begin`.
pub(super) static BEGIN: Once = Once {
    words: Words {
        name: "begin",
        aliases: &[],
        doc: "runs once, before any other probe is attached",
        syntax: "begin",
        example: "begin { printf(\"tracing\\n\"); }",
    },
    attach: Attach::Begin { cookie: 0 },
};

/// `end`.
pub(super) static END: Once = Once {
    words: Words {
        name: "end",
        aliases: &[],
        doc: "runs once, after every other probe is detached",
        syntax: "end",
        example: "end { printf(\"done\\n\"); }",
    },
    attach: Attach::End { cookie: 0 },
};

impl ProbeKind for Once {
    fn words(&self) -> &Words {
        &self.words
    }

    fn ignores_case(&self) -> bool {
        true
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
        if !point.parts.is_empty() {
            return Err(Failure::malformed(self, point));
        }
        Ok(vec![Place::written(self, point, self.attach.clone())])
    }
}
