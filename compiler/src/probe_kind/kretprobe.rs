//! `kretprobe`: runs when a function of the kernel returns.

use super::{Failure, Offers, Place, Point, ProbeKind, Words, kernel};
use crate::plan::ProgramKind;
use crate::target::Target;

/// `kretprobe`.
pub(super) struct Kretprobe;

impl ProbeKind for Kretprobe {
    fn words(&self) -> &Words {
        &Words {
            name: "kretprobe",
            aliases: &["kr"],
            doc: "runs when a function of the kernel returns",
            syntax: "kretprobe[:MODULE]:FUNCTION",
            example: "kretprobe:vfs_read { @bytes = hist(retval); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Kprobe
    }

    fn offers(&self) -> Offers {
        Offers {
            return_value: true,
            function: true,
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        kernel::expand(self, true, point, target)
    }
}
