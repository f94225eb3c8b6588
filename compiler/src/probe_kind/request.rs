//! `test` and `bench`: run when the user asks for it, with `--test` or `--bench`.

use super::{Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{Attach, ProgramKind, Request};
use crate::target::Target;

/// `test` or `bench`.
pub(super) struct OnRequest {
    name: &'static str,
    doc: &'static str,
    syntax: &'static str,
    example: &'static str,
    request: Request,
}

/// `test`.
pub(super) static TEST: OnRequest = OnRequest {
    name: "test",
    doc: "runs once with --test, as a test that fails where it returns anything but 0",
    syntax: "test:NAME",
    example: "test:adds { if (1 + 1 != 2) { exit(1); } }",
    request: Request::Test,
};

/// `bench`.
pub(super) static BENCH: OnRequest = OnRequest {
    name: "bench",
    doc: "runs very often with --bench, to measure how long it takes",
    syntax: "bench:NAME",
    example: "bench:count { @n = count(); }",
    request: Request::Bench,
};

impl ProbeKind for OnRequest {
    fn name(&self) -> &'static str {
        self.name
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn syntax(&self) -> &'static str {
        self.syntax
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
        let [name] = point.parts else {
            return Err(Failure::malformed(self, point));
        };
        if name.text.is_empty() {
            return Err(Failure::malformed(self, point));
        }
        let attach = Attach::Request {
            request: self.request,
            name: name.text.clone(),
            cookie: 0,
        };
        Ok(vec![Place::written(self, point, attach)])
    }
}
