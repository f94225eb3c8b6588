//! `interval`: runs at regular times, one run after the other.

use super::{Failure, Offers, Place, Point, ProbeKind, Words, period};
use crate::plan::{Attach, ProgramKind};
use crate::target::Target;

/// `interval`.
pub(super) struct Interval;

impl ProbeKind for Interval {
    fn words(&self) -> &Words {
        &Words {
            name: "interval",
            aliases: &["i"],
            doc: "runs at regular times; a firing that comes late is made up for",
            syntax: "interval:UNIT:NUMBER (UNIT is hz, s, ms or us) or interval:DURATION",
            example: "interval:s:1 { print(@fired); @fired++; }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::RawTracepoint
    }

    fn offers(&self) -> Offers {
        Offers::NONE
    }

    fn fixed_names(&self) -> Vec<&'static str> {
        period::FORMS.to_vec()
    }

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let every = period::parse(self, point)?;
        let attach = Attach::Interval { every, cookie: 0 };
        Ok(vec![Place::written(self, point, attach)])
    }
}
