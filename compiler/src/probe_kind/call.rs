//! `ucall` and `kcall`: calls of functions that have returned. `expand/calls.rs` makes two programs of such a probe: one that
//! notes each call, one that runs its body when the call returns; each has a kind of its own here, under a name that no script
//! can write.

use super::{Failure, Offers, Place, Point, ProbeKind, Words, kernel, user};
use crate::plan::ProgramKind;
use crate::target::Target;
use crate::types::Space;

/// Where in a call a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// What a script writes: both.
    Whole,
    /// At its beginning.
    Entry,
    /// At its end.
    Return,
}

/// `ucall` or `kcall`, or a part of one.
#[derive(Debug)]
pub(super) struct Call {
    part: Part,
    memory: Space,
}

/// `ucall`.
pub(super) static UCALL: Call = Call {
    part: Part::Whole,
    memory: Space::User,
};

/// `kcall`.
pub(super) static KCALL: Call = Call {
    part: Part::Whole,
    memory: Space::Kernel,
};

/// What stands behind the kind's name for a part of it.
pub(crate) const ENTRY: &str = "'entry";
/// See [`ENTRY`].
pub(crate) const RETURN: &str = "'return";

/// The kinds of the parts, by what stands behind the name of the whole.
static PARTS: [(&str, Call); 4] = [
    (ENTRY, part(Part::Entry, Space::User)),
    (RETURN, part(Part::Return, Space::User)),
    (ENTRY, part(Part::Entry, Space::Kernel)),
    (RETURN, part(Part::Return, Space::Kernel)),
];

const fn part(part: Part, memory: Space) -> Call {
    Call { part, memory }
}

/// The kind of a part.
pub(super) fn part_by_name(name: &str) -> Option<&'static dyn ProbeKind> {
    let found = PARTS
        .iter()
        .find(|(suffix, kind)| name.strip_suffix(suffix) == Some(kind.name()));
    found.map(|(_, kind)| kind as &dyn ProbeKind)
}

/// What scripts call the kind that sees user code.
pub(crate) fn user_name() -> &'static str {
    UCALL.name()
}

/// What a probe of calls sees, by the name of its kind: functions of the kernel or of user code.
pub(crate) fn memory_of(kind: &str) -> Option<Space> {
    [&UCALL, &KCALL]
        .into_iter()
        .find(|call| call.name() == kind)
        .map(|call| call.memory)
}

impl ProbeKind for Call {
    fn words(&self) -> &Words {
        match self.memory {
            Space::User => &Words {
                name: "ucall",
                aliases: &[],
                doc: "runs once for each completed call of a function of a program or library, with its arguments as they \
                      were at its beginning, its result and how long it took",
                syntax: "ucall:BINARY:FUNCTION",
                example: "ucall:libc:write /(int64)retval > 0/ { @ns[arg0] = hist(duration); }",
            },
            Space::Kernel => &Words {
                name: "kcall",
                aliases: &[],
                doc: "runs once for each completed call of a function of the kernel, with its arguments as they were at its \
                      beginning, its result and how long it took",
                syntax: "kcall[:MODULE]:FUNCTION",
                example: "kcall:vfs_read { @ns[arg2 > 4096] = avg(duration); }",
            },
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Kprobe
    }

    fn offers(&self) -> Offers {
        Offers {
            // At its end the arguments are read from what was noted at its beginning.
            arguments: self.part != Part::Return,
            return_value: self.part != Part::Entry,
            duration: self.part == Part::Whole,
            record: false,
            function: true,
            memory: self.memory,
            filtered_by_pid: true,
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let on_return = self.part != Part::Entry;
        match self.memory {
            Space::User => user::expand(self, on_return, point, target),
            Space::Kernel => kernel::expand(self, on_return, point, target),
        }
    }
}
