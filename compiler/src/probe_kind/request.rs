//! `test` and `bench`: run when the user asks for it, with `--test` or `--bench`.

use super::{Failure, Offers, Place, Point, ProbeKind, Words};
use crate::plan::{Attach, ProgramKind, Request};
use crate::target::Target;

/// `test` or `bench`.
pub(super) struct OnRequest {
    words: Words,
    request: Request,
}

/// `test`.
pub(super) static TEST: OnRequest = OnRequest {
    words: Words {
        name: "test",
        aliases: &[],
        doc: "runs once with --test, as a test that fails where it returns anything but 0",
        syntax: "test:NAME",
        example: "test:adds { if (1 + 1 != 2) { exit(1); } }",
    },
    request: Request::Test,
};

/// `bench`.
pub(super) static BENCH: OnRequest = OnRequest {
    words: Words {
        name: "bench",
        aliases: &[],
        doc: "runs very often with --bench, to measure how long it takes",
        syntax: "bench:NAME",
        example: "bench:count { @n = count(); }",
    },
    request: Request::Bench,
};

impl ProbeKind for OnRequest {
    fn words(&self) -> &Words {
        &self.words
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
