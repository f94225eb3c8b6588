//! `uprobe`: runs when a function of a program or library is called, or an instruction is reached.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, user};
use crate::plan::ProgramKind;
use crate::target::Target;
use crate::types::Space;

/// `uprobe`.
pub(super) struct Uprobe;

impl ProbeKind for Uprobe {
    fn words(&self) -> &Words {
        &Words {
            name: "uprobe",
            aliases: &["u"],
            doc: "runs when a function of a program or library is called, or an instruction is reached",
            syntax: "uprobe:BINARY:FUNCTION[@VERSION][+OFFSET], uprobe:BINARY:ADDRESS or uprobe:BINARY@FILE:LINE",
            example: "uprobe:libc:write { @bytes = hist(arg2); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Kprobe
    }

    fn class(&self) -> Class {
        Class::Program
    }

    fn is_described(&self) -> bool {
        true
    }

    fn may_be_moved(&self) -> bool {
        true
    }

    fn offers(&self) -> Offers {
        Offers {
            arguments: true,
            return_value: false,
            duration: false,
            record: true,
            function: true,
            memory: Space::User,
            filtered_by_pid: true,
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        user::expand(self, false, point, target)
    }
}
