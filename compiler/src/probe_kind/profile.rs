//! `profile`: runs at regular times on every CPU that is not idle, to sample what it does.

use super::{Failure, Offers, Place, Point, ProbeKind, Words, period};
use crate::plan::{Attach, ProgramKind};
use crate::target::Target;

/// `profile`.
pub(super) struct Profile;

impl ProbeKind for Profile {
    fn words(&self) -> &Words {
        &Words {
            name: "profile",
            aliases: &["p"],
            doc: "runs at regular times on every CPU that is not idle, to sample what it does",
            syntax: "profile:UNIT:NUMBER (UNIT is hz, s, ms or us) or profile:DURATION",
            example: "profile:hz:99 { @samples[comm] = count(); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::PerfEvent
    }

    fn offers(&self) -> Offers {
        Offers {
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn fixed_names(&self) -> Vec<&'static str> {
        period::FORMS.to_vec()
    }

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let every = period::parse(self, point)?;
        let attach = Attach::Profile { every, cookie: 0 };
        Ok(vec![Place::written(self, point, attach)])
    }
}
