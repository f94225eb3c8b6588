//! Values that depend on the kind of probe: the arguments of what is traced, its result, its name. To add one is one
//! row of [`ALL`] and, where it means something new, a [`Role`].

use crate::probe_kind::Offers;
use crate::types::NameTable;

/// A row of [`ALL`].
#[derive(Debug)]
pub struct ProbeValue {
    /// What a script writes; a trailing `N` of [`Role::Argument`] stands for a number.
    pub name: &'static str,
    /// One sentence of documentation.
    pub doc: &'static str,
    /// A script that uses it; a test compiles it.
    pub example: &'static str,
    /// What it is.
    pub role: Role,
}

/// What such a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The N-th argument.
    Argument,
    /// What the function returned.
    ReturnValue,
    /// How long the call took.
    Duration,
    /// The arguments as a struct, whose fields are read: a tracepoint's record, a function's parameters.
    Record,
    /// The program's context as the kernel passes it.
    Context,
    /// The name of the place the program runs at.
    Name(NameTable),
    /// The name of the kind of probe.
    KindName,
}

impl Role {
    /// Whether probes that offer `offers` have it.
    pub fn is_offered(self, offers: &Offers) -> bool {
        match self {
            Self::Argument => offers.arguments,
            Self::ReturnValue => offers.return_value,
            Self::Duration => offers.duration,
            Self::Record => offers.record,
            // Decided by what the kernel sees the program as.
            Self::Context => true,
            Self::Name(NameTable::Func) => offers.function,
            Self::Name(NameTable::Probe) | Self::KindName => true,
        }
    }
}

/// Every such value, declared once.
pub static ALL: &[ProbeValue] = &[
    ProbeValue {
        name: "argN",
        doc: "argument N of the traced function, from 0, as int64: what is in the register that the calling convention \
              passes it in",
        example: "uprobe:libc:write { @bytes = hist(arg2); }",
        role: Role::Argument,
    },
    ProbeValue {
        name: "retval",
        doc: "what the traced function returns: as uint64, in fexit probes with the type that the kernel declares",
        example: "uretprobe:libc:write { @bytes = hist(retval); }",
        role: Role::ReturnValue,
    },
    ProbeValue {
        name: "duration",
        doc: "how long the call took, in nanoseconds as uint64",
        example: "ucall:libc:write { @ns = hist(duration); }",
        role: Role::Duration,
    },
    ProbeValue {
        name: "args",
        doc: "what the probe is given, as a struct with fields `args.NAME`: the record of a tracepoint, or the parameters of a \
              function that debug information describes",
        example: "tracepoint:syscalls:sys_enter_write { @bytes = hist(args.count); }",
        role: Role::Record,
    },
    ProbeValue {
        name: "ctx",
        doc: "the program's context: a pointer to registers (`struct pt_regs`), to a counter's event (`struct \
              bpf_perf_event_data`), to the words that a raw tracepoint is given (none at timers, `begin` and `end`), to a \
              tracepoint's record or to the element of an iterator (`ctx.task` of `iter:task`)",
        example: "iter:task { @[ctx.task.comm] = count(); }",
        role: Role::Context,
    },
    ProbeValue {
        name: "func",
        doc: "name of the traced function",
        example: "uprobe:libc:*read { @calls[func] = count(); }",
        role: Role::Name(NameTable::Func),
    },
    ProbeValue {
        name: "probe",
        doc: "full name of the attach point that fired",
        example: "interval:s:1, interval:ms:100 { @fired[probe] = count(); }",
        role: Role::Name(NameTable::Probe),
    },
    ProbeValue {
        name: "probetype",
        doc: "name of the kind of probe, as text: `uprobe`; `special` for begin, end and self",
        example: "uprobe:libc:write, interval:s:1 { @fired[probetype] = count(); }",
        role: Role::KindName,
    },
];

/// What scripts call a role.
pub fn name_of(role: Role) -> &'static str {
    ALL.iter().find(|row| row.role == role).map_or("", |row| row.name)
}

/// The row that `name` means, and the number behind it for [`Role::Argument`] (0 for the others).
pub fn by_name(name: &str) -> Option<(&'static ProbeValue, u32)> {
    ALL.iter().find_map(|row| match row.role {
        Role::Argument => {
            let digits = name.strip_prefix(row.name.strip_suffix('N')?)?;
            let canonical = digits == "0" || !digits.starts_with('0');
            (canonical && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
                .then(|| (row, digits.parse().unwrap_or(u32::MAX)))
        }
        _ => (row.name == name).then_some((row, 0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_a_number() {
        assert_eq!(
            by_name("arg2").map(|(row, n)| (row.role, n)),
            Some((Role::Argument, 2))
        );
        assert_eq!(by_name("args").map(|(row, _)| row.role), Some(Role::Record));
        for other in ["arg", "argN", "arg01", "arg-1", "arg1x", "Arg1"] {
            assert!(by_name(other).is_none(), "{other}");
        }
    }
}
