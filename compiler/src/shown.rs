//! Numbers that are shown in words: a user id as the user's name, a time as a date.
//!
//! In a program they are 64-bit numbers like any other: compared, stored, used as keys. The words are looked for when the
//! value is printed: by [`Shown::words`] where they are the same on every machine, else by the runtime.

use crate::target::Arch;
use std::sync::Arc;

mod errors;
mod signals;
mod syscalls;

/// What a number stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A user id, shown as the name.
    User,
    /// A process id, shown as the name of its main thread.
    Process,
    /// An error number, shown as what it means.
    Error,
    /// A signal's number, shown as what it means.
    Signal,
    /// A system call's number on the traced machine, shown as its name.
    Syscall,
    /// An address of the kernel, shown as the function there.
    KernelAddress,
    /// Six bytes in memory order from the lowest up, shown as `00:1A:2B:3C:4D:5E`.
    Mac,
    /// Nanoseconds of the boot clock or, above [`EPOCH_FROM`], since 1970; shown in this strftime format, where `%f` is
    /// the microseconds.
    Time(Arc<str>),
    /// A cgroup's id, shown as `hierarchy:path`; where a pattern is given, only in hierarchies whose name it matches.
    Cgroup(Option<Arc<str>>),
}

/// From here on, a number of nanoseconds is taken to be a time since 1970: a machine would have to run for 31 years to get
/// here since it was booted, and since 1970 it was passed in 2001.
pub const EPOCH_FROM: u64 = 1_000_000_000_000_000_000;

impl Shown {
    /// Whether bpftrace has it as text from the start.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Process | Self::Error | Self::Signal | Self::Syscall)
    }

    /// The words for `number` where they do not depend on the machine; `None` for those that do.
    pub fn words(&self, number: u64, arch: Arch) -> Option<String> {
        Some(match self {
            Self::Error => error(number).to_owned(),
            Self::Signal => signal(number),
            Self::Syscall => syscall(number, arch).unwrap_or("unknown system call").to_owned(),
            Self::Mac => {
                let bytes = number.to_le_bytes();
                let digits: Vec<String> = bytes[..6].iter().map(|byte| format!("{byte:02X}")).collect();
                digits.join(":")
            }
            Self::User | Self::Process | Self::Time(_) | Self::Cgroup(_) | Self::KernelAddress => {
                return None;
            }
        })
    }

    /// The numbers that `text` stands for, where there are few enough to compare with each.
    pub fn numbers(&self, text: &[u8], arch: Arch) -> Option<Vec<i64>> {
        let means = |number: &u64| {
            self.words(*number, arch)
                .is_some_and(|words| words.as_bytes() == text)
        };
        let numbers = self.numbers_with_words()?.filter(means);
        Some(numbers.map(|number| number as i64).collect())
    }

    /// The numbers that have words of their own, where these are the same on every machine and few enough to go through.
    pub fn numbers_with_words(&self) -> Option<std::ops::Range<u64>> {
        Some(match self {
            Self::Error => 0..errors::ERRORS.len() as u64,
            Self::Signal => 0..SIGNALS,
            Self::Syscall => 0..SYSCALLS,
            _ => return None,
        })
    }
}

/// All signals are below it (`_NSIG`, include/uapi/asm-generic/signal.h, and 1).
const SIGNALS: u64 = 65;
/// All system calls are below it, with room for those to come.
const SYSCALLS: u64 = 1024;
/// The first real-time signal that the C library leaves to programs.
const REAL_TIME: u64 = 34;

fn error(number: u64) -> &'static str {
    let text = usize::try_from(number).ok().and_then(|i| errors::ERRORS.get(i));
    text.filter(|text| !text.is_empty()).unwrap_or(&"Unknown error")
}

fn signal(number: u64) -> String {
    let known = usize::try_from(number)
        .ok()
        .and_then(|number| signals::SIGNALS.get(number.checked_sub(1)?));
    match (known, number) {
        (Some((_, meaning)), _) => (*meaning).to_owned(),
        (_, REAL_TIME..=64) => format!("Real-time signal {}", number - REAL_TIME),
        (_, 0 | 32 | 33) => format!("Unknown signal {number}"),
        _ => "N/A".to_owned(),
    }
}

fn syscall(number: u64, arch: Arch) -> Option<&'static str> {
    let runs = match arch {
        Arch::X86_64 => syscalls::X86_64,
        Arch::Aarch64 => syscalls::AARCH64,
    };
    let (first, names) = runs.iter().rfind(|(first, _)| u64::from(*first) <= number)?;
    names
        .split_ascii_whitespace()
        .nth(usize::try_from(number - u64::from(*first)).ok()?)
}

/// The number of a signal by its name, with or without `SIG`.
pub fn signal_number(name: &str) -> Option<i64> {
    let bare = name.strip_prefix("SIG").unwrap_or(name);
    let at = signals::SIGNALS.iter().position(|(name, _)| *name == bare)?;
    Some(at as i64 + 1)
}

/// The number of a system call by the name of its macro: `__NR_read`, `SYS_read`.
pub fn syscall_number(macro_name: &str, arch: Arch) -> Option<i64> {
    let name = macro_name
        .strip_prefix("__NR_")
        .or_else(|| macro_name.strip_prefix("SYS_"))?;
    let found = (0..SYSCALLS).find(|number| syscall(*number, arch) == Some(name));
    found.map(|number| number as i64)
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "username_t",
            Self::KernelAddress => "ksym_t",
            Self::Mac => "macaddr_t",
            Self::Time(_) => "timestamp",
            Self::Cgroup(_) => "cgroup_path_t",
            Self::Process | Self::Error | Self::Signal | Self::Syscall => "string",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(shown: &Shown, number: i64) -> String {
        shown.words(number as u64, Arch::X86_64).unwrap_or_default()
    }

    #[test]
    fn errors_and_signals_have_words() {
        assert_eq!(words(&Shown::Error, 0), "Success");
        assert_eq!(words(&Shown::Error, 2), "No such file or directory");
        assert_eq!(words(&Shown::Error, 133), "Memory page has hardware error");
        for unknown in [41, 58, 134, -1] {
            assert_eq!(words(&Shown::Error, unknown), "Unknown error");
        }
        assert_eq!(words(&Shown::Signal, 9), "Killed");
        assert_eq!(words(&Shown::Signal, 31), "Bad system call");
        assert_eq!(words(&Shown::Signal, 33), "Unknown signal 33");
        assert_eq!(words(&Shown::Signal, 64), "Real-time signal 30");
        assert_eq!(words(&Shown::Signal, 65), "N/A");
    }

    #[test]
    fn system_calls_are_numbered_by_architecture() {
        assert_eq!(words(&Shown::Syscall, 0), "read");
        assert_eq!(words(&Shown::Syscall, 257), "openat");
        assert_eq!(words(&Shown::Syscall, 334), "rseq");
        assert_eq!(words(&Shown::Syscall, 424), "pidfd_send_signal");
        assert_eq!(words(&Shown::Syscall, 469), "file_setattr");
        for unknown in [400, 470, -1] {
            assert_eq!(words(&Shown::Syscall, unknown), "unknown system call");
        }
        assert_eq!(Shown::Syscall.words(64, Arch::Aarch64).as_deref(), Some("write"));
        assert_eq!(Shown::Syscall.words(222, Arch::Aarch64).as_deref(), Some("mmap"));
    }

    #[test]
    fn words_lead_back_to_their_numbers() {
        let numbers = |shown: Shown, text: &str| shown.numbers(text.as_bytes(), Arch::X86_64);
        assert_eq!(numbers(Shown::Error, "Permission denied"), Some(vec![13]));
        assert_eq!(numbers(Shown::Syscall, "write"), Some(vec![1]));
        assert_eq!(numbers(Shown::Signal, "no such"), Some(vec![]));
        assert_eq!(numbers(Shown::User, "root"), None);
        assert_eq!(signal_number("SIGKILL"), Some(9));
        assert_eq!(signal_number("USR1"), Some(10));
        assert_eq!(signal_number("SIG"), None);
    }

    #[test]
    fn mac_addresses_are_in_memory_order() {
        let bytes = [0x00, 0x1a, 0x2b, 0xff, 4, 5, 0, 0];
        assert_eq!(words(&Shown::Mac, i64::from_le_bytes(bytes)), "00:1A:2B:FF:04:05");
    }
}
