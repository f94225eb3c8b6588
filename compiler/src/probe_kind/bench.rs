//! `bench`: runs very often with --bench, to measure how long it takes.

use super::{Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{Attach, ProgramKind, Request};
use crate::target::Target;

/// `bench`.
pub(super) struct Bench;

impl ProbeKind for Bench {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn doc(&self) -> &'static str {
        "runs very often with --bench, to measure how long it takes"
    }

    fn syntax(&self) -> &'static str {
        "bench:NAME"
    }

    fn example(&self) -> &'static str {
        "bench:count { @n = count(); }"
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::RawTracepoint
    }

    fn offers(&self) -> Offers {
        Offers::NONE
    }

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let [name] = point.parts else {
            return Err(Failure::malformed(self, point));
        };
        if name.text.is_empty() {
            return Err(Failure::malformed(self, point));
        }
        let attach = Attach::Request {
            request: Request::Bench,
            name: name.text.clone(),
            cookie: 0,
        };
        Ok(vec![Place::written(self, point, attach)])
    }
}
