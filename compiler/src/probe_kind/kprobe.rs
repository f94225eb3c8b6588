//! `kprobe`: runs when a function of the kernel is called, or an instruction is reached.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, kernel};
use crate::plan::ProgramKind;
use crate::target::Target;

/// `kprobe`.
pub(super) struct Kprobe;

impl ProbeKind for Kprobe {
    fn words(&self) -> &Words {
        &Words {
            name: "kprobe",
            aliases: &["k"],
            doc: "runs when a function of the kernel is called, or an instruction is reached",
            syntax: "kprobe[:MODULE]:FUNCTION[+OFFSET] or kprobe:ADDRESS (with --unsafe)",
            example: "kprobe:vfs_read { @bytes = hist(arg2); }",
        }
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
