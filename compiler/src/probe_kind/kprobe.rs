//! `kprobe`: runs when a function of the kernel is called, or an instruction is reached.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, kernel};
use crate::plan::ProgramKind;
use crate::target::Target;

/// `kprobe`.
pub(super) struct Kprobe;

impl ProbeKind for Kprobe {
    fn name(&self) -> &'static str {
        "kprobe"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["k"]
    }

    fn doc(&self) -> &'static str {
        "runs when a function of the kernel is called, or an instruction is reached"
    }

    fn syntax(&self) -> &'static str {
        "kprobe[:MODULE]:FUNCTION[+OFFSET] or kprobe:ADDRESS (with --unsafe)"
    }

    fn example(&self) -> &'static str {
        "kprobe:vfs_read { @bytes = hist(arg2); }"
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Kprobe
    }

    fn class(&self) -> Class {
        Class::Kernel
    }

    fn offers(&self) -> Offers {
        Offers {
            arguments: true,
            function: true,
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        kernel::expand(self, false, point, target)
    }
}
