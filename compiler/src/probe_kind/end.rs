//! `end`: runs once, after every other probe is detached.

use super::{Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{Attach, ProgramKind, Site};
use crate::target::Target;

/// `end`.
pub(super) struct End;

impl ProbeKind for End {
    fn name(&self) -> &'static str {
        "end"
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn type_name(&self) -> &'static str {
        "special"
    }

    fn doc(&self) -> &'static str {
        "runs once, after every other probe is detached"
    }

    fn syntax(&self) -> &'static str {
        self.name()
    }

    fn example(&self) -> &'static str {
        "end { printf(\"done\\n\"); }"
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
        Ok(vec![Place {
            site: Site {
                probe: self.name().to_owned(),
                func: String::new(),
            },
            attach: Attach::End { cookie: 0 },
            record: None,
            arguments: None,
            literal: true,
        }])
    }
}
