//! `test`: runs once with --test, as a test that fails where it returns anything but 0.

use super::{Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{Attach, ProgramKind, Request};
use crate::target::Target;

/// `test`.
pub(super) struct Test;

impl ProbeKind for Test {
    fn name(&self) -> &'static str {
        "test"
    }

    fn doc(&self) -> &'static str {
        "runs once with --test, as a test that fails where it returns anything but 0"
    }

    fn syntax(&self) -> &'static str {
        "test:NAME"
    }

    fn example(&self) -> &'static str {
        "test:adds { if (1 + 1 != 2) { exit(1); } }"
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
            request: Request::Test,
            name: name.text.clone(),
            cookie: 0,
        };
        Ok(vec![Place::written(self, point, attach)])
    }
}
