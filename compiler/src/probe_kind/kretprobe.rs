//! `kretprobe`: runs when a function of the kernel returns.

use super::{Failure, Offers, Place, Point, ProbeKind, kernel};
use crate::plan::ProgramKind;
use crate::target::Target;

/// `kretprobe`.
pub(super) struct Kretprobe;

impl ProbeKind for Kretprobe {
    fn name(&self) -> &'static str {
        "kretprobe"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["kr"]
    }

    fn doc(&self) -> &'static str {
        "runs when a function of the kernel returns"
    }

    fn syntax(&self) -> &'static str {
        "kretprobe[:MODULE]:FUNCTION"
    }

    fn example(&self) -> &'static str {
        "kretprobe:vfs_read { @bytes = hist(retval); }"
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
