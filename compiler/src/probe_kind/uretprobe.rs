//! `uretprobe`: runs when a function of a program or library returns.

use super::{Failure, Offers, Place, Point, ProbeKind, Words, user};
use crate::plan::ProgramKind;
use crate::target::Target;
use crate::types::Space;

/// `uretprobe`.
pub(super) struct Uretprobe;

impl ProbeKind for Uretprobe {
    fn words(&self) -> &Words {
        &Words {
            name: "uretprobe",
            aliases: &["ur"],
            doc: "runs when a function of a program or library returns",
            syntax: "uretprobe:BINARY:FUNCTION",
            example: "uretprobe:libc:write { @bytes = hist(retval); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Kprobe
    }

    fn is_described(&self) -> bool {
        true
    }

    fn offers(&self) -> Offers {
        Offers {
            arguments: false,
            return_value: true,
            duration: false,
            record: false,
            function: true,
            memory: Space::User,
            filtered_by_pid: true,
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        user::expand(self, true, point, target)
    }
}
