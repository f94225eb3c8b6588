//! Where programs are attached, or on what occasion they are run.
//!
//! A place has an attach cookie: what `bpf_get_attach_cookie` must return there, an index into [`super::Plan::sites`].
//! Programs with one name only, and those compiled for a target without cookies, do not read it.

use crate::glob::Glob;

/// A place that a program is attached to, or an occasion on which it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Run once before anything is attached.
    Begin {
        /// Attach cookie.
        cookie: u32,
    },
    /// Run once after everything is detached.
    End {
        /// Attach cookie.
        cookie: u32,
    },
    /// Run whenever crumbs itself gets a signal.
    Signal {
        /// Which.
        signal: OwnSignal,
        /// Attach cookie.
        cookie: u32,
    },
    /// Run on request: a test or a benchmark of the script.
    Request {
        /// Which request.
        request: Request,
        /// The name that the script gives it.
        name: String,
        /// Attach cookie.
        cookie: u32,
    },
    /// Functions or instructions of one binary.
    Uprobe {
        /// The binary's path.
        path: String,
        /// At the return rather than the entry.
        on_return: bool,
        /// The places, by ascending offset; none twice.
        places: Vec<UprobePlace>,
    },
    /// A function of a library that is neither installed nor loaded yet, or all that a pattern means: attached when the traced
    /// process loads it.
    Late {
        /// The library's short name, or a pattern for the names of files.
        library: String,
        /// The function's name, or a pattern for those of several.
        function: String,
        /// At the return rather than the entry.
        on_return: bool,
        /// Attach cookie.
        cookie: u32,
    },
    /// Functions or instructions of the kernel.
    Kprobe {
        /// At the return rather than the entry.
        on_return: bool,
        /// The places; none twice.
        places: Vec<KprobePlace>,
    },
    /// A function of the kernel, through a trampoline.
    Function {
        /// At the return rather than the entry.
        on_return: bool,
        /// Its module; empty for the kernel proper.
        module: String,
        /// Its name.
        function: String,
        /// Its number in the types (BTF) of the kernel or module.
        id: u32,
        /// Attach cookie.
        cookie: u32,
    },
    /// The elements of a list of the kernel, which are gone through once, when everything is attached.
    Iterator {
        /// Which: `task`.
        list: String,
        /// The number of its function in the kernel's types (BTF).
        id: u32,
        /// Where it is pinned, an absolute path: whoever reads that file goes through the list, now and later.
        pin: Option<String>,
        /// Attach cookie.
        cookie: u32,
    },
    /// A tracepoint, by its record.
    Tracepoint {
        /// Category: `syscalls`.
        category: String,
        /// Event: `sys_enter_openat`.
        event: String,
        /// Its id under tracefs.
        id: u64,
        /// Attach cookie.
        cookie: u32,
    },
    /// A tracepoint, by the arguments that the kernel calls it with.
    RawTracepoint {
        /// Its name: `sched_switch`.
        event: String,
        /// Attach cookie.
        cookie: u32,
    },
    /// Run at regular times.
    Interval {
        /// How often.
        every: Period,
        /// Attach cookie.
        cookie: u32,
    },
    /// A timer on every CPU.
    Profile {
        /// How often.
        every: Period,
        /// Attach cookie.
        cookie: u32,
    },
    /// A counter of the kernel or the processor, on every CPU.
    Counter {
        /// Which.
        event: CounterEvent,
        /// Fires after so many of it; above 0.
        period: u64,
        /// Attach cookie.
        cookie: u32,
    },
    /// Accesses to an address.
    Watchpoint {
        /// The virtual address.
        address: u64,
        /// Bytes watched from there: 1, 2, 4 or 8.
        length: u8,
        /// Which accesses.
        access: Access,
        /// Attach cookie.
        cookie: u32,
    },
}

/// Signals that a script can have crumbs react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnSignal {
    /// `SIGUSR1`.
    Usr1,
}

impl OwnSignal {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usr1 => "SIGUSR1",
        }
    }
}

/// What the user can ask for instead of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// `--test`.
    Test,
    /// `--bench`.
    Bench,
}

impl Request {
    /// The kind of probe that answers it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Bench => "bench",
        }
    }
}

/// An instruction in a binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UprobePlace {
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Offset in the file of a 16-bit counter that is above 0 while anyone traces the place (a USDT semaphore); 0 where
    /// there is none.
    pub counter: u64,
    /// Offset in the file of the function whose calls the place stands for: its own, or less where one behind the entry was
    /// chosen because it costs less. `None` where the script means this instruction.
    pub entry: Option<u64>,
    /// Attach cookie.
    pub cookie: u32,
}

impl UprobePlace {
    /// Bytes behind the entry of its function, where it stands for that.
    pub fn behind_entry(&self) -> u64 {
        self.entry.map_or(0, |entry| self.offset.saturating_sub(entry))
    }
}

/// An instruction of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KprobePlace {
    /// Where.
    pub at: KernelPlace,
    /// Attach cookie.
    pub cookie: u32,
    /// Whether the script names it itself, so that it must be there.
    pub is_named: bool,
}

/// Where in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelPlace {
    /// A function and an offset from its start.
    Symbol {
        /// Its module; empty for whichever has it.
        module: String,
        /// Its name.
        function: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// An address.
    Address(u64),
}

impl std::fmt::Display for KernelPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Symbol {
                module,
                function,
                offset,
            } => {
                if !module.is_empty() {
                    write!(f, "{module}:")?;
                }
                f.write_str(function)?;
                match offset {
                    0 => Ok(()),
                    offset => write!(f, "+{offset}"),
                }
            }
            Self::Address(address) => write!(f, "{address:#x}"),
        }
    }
}

/// How often a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Nanoseconds between two firings.
    Nanos(u64),
    /// Firings a second.
    Hertz(u64),
}

/// A generic event of `perf_event_open(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterEvent {
    /// Whose it is.
    pub source: CounterSource,
    /// Its number there (`enum perf_sw_ids`, `enum perf_hw_id`; include/uapi/linux/perf_event.h).
    pub number: u64,
}

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterSource {
    /// The processor.
    Hardware,
    /// The kernel.
    Software,
}

/// Kinds of access to an address; at least one is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Reads.
    pub read: bool,
    /// Writes.
    pub write: bool,
    /// Execution of an instruction.
    pub execute: bool,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.execute, "x")];
        letters
            .iter()
            .filter(|(set, _)| *set)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl Attach {
    /// Whether its program stays when crumbs ends.
    pub fn is_pinned(&self) -> bool {
        matches!(self, Self::Iterator { pin: Some(_), .. })
    }

    /// The attach cookies of its places, in order; at least one.
    pub fn cookies(&self) -> Vec<u32> {
        match self {
            Self::Uprobe { places, .. } => places.iter().map(|place| place.cookie).collect(),
            Self::Kprobe { places, .. } => places.iter().map(|place| place.cookie).collect(),
            Self::Begin { cookie }
            | Self::End { cookie }
            | Self::Signal { cookie, .. }
            | Self::Request { cookie, .. }
            | Self::Late { cookie, .. }
            | Self::Function { cookie, .. }
            | Self::Iterator { cookie, .. }
            | Self::Tracepoint { cookie, .. }
            | Self::RawTracepoint { cookie, .. }
            | Self::Interval { cookie, .. }
            | Self::Profile { cookie, .. }
            | Self::Counter { cookie, .. }
            | Self::Watchpoint { cookie, .. } => vec![*cookie],
        }
    }

    /// Gives all its places this cookie.
    pub fn set_cookie(&mut self, to: u32) {
        match self {
            Self::Uprobe { places, .. } => places.iter_mut().for_each(|place| place.cookie = to),
            Self::Kprobe { places, .. } => places.iter_mut().for_each(|place| place.cookie = to),
            Self::Begin { cookie }
            | Self::End { cookie }
            | Self::Signal { cookie, .. }
            | Self::Request { cookie, .. }
            | Self::Late { cookie, .. }
            | Self::Function { cookie, .. }
            | Self::Iterator { cookie, .. }
            | Self::Tracepoint { cookie, .. }
            | Self::RawTracepoint { cookie, .. }
            | Self::Interval { cookie, .. }
            | Self::Profile { cookie, .. }
            | Self::Counter { cookie, .. }
            | Self::Watchpoint { cookie, .. } => *cookie = to,
        }
    }

    /// Whether its places become known during the run, each with a cookie of its own ([`super::LateSites`]).
    pub fn has_late_places(&self) -> bool {
        matches!(self, Self::Late { function, .. } if !Glob::new(function).is_literal())
    }

    /// When its program runs.
    pub fn occasion(&self) -> Occasion {
        match self {
            Self::Begin { .. } => Occasion::Begin,
            Self::End { .. } => Occasion::End,
            Self::Signal { signal, .. } => Occasion::Signal(*signal),
            Self::Request { request, .. } => Occasion::Request(*request),
            Self::Iterator { .. } => Occasion::Element,
            _ => Occasion::Event,
        }
    }

    /// Whether it is the return of a function.
    pub fn is_on_return(&self) -> bool {
        matches!(
            self,
            Self::Uprobe { on_return: true, .. }
                | Self::Late { on_return: true, .. }
                | Self::Kprobe { on_return: true, .. }
                | Self::Function { on_return: true, .. }
        )
    }

    /// Whether its program is run by `BPF_PROG_TEST_RUN`, with the cookie for its first argument, and attached to nothing.
    pub fn is_run_by_us(&self) -> bool {
        self.occasion().is_run_by_session() || matches!(self, Self::Interval { .. })
    }

    /// Whether it is on code of programs and libraries, whose runs the kernel does not keep from nesting.
    pub fn is_on_user_code(&self) -> bool {
        matches!(self, Self::Uprobe { .. } | Self::Late { .. })
    }
}

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// At the start of the run.
    Begin,
    /// At its end.
    End,
    /// When crumbs gets a signal.
    Signal(OwnSignal),
    /// When the user asks for it.
    Request(Request),
    /// For each element of a list, once everything is attached.
    Element,
    /// When what it is attached to happens.
    Event,
}

impl Occasion {
    /// Whether the session runs the program itself, as opposed to something it is attached to.
    pub fn is_run_by_session(self) -> bool {
        !matches!(self, Self::Event | Self::Element)
    }
}

/// As `-d hir` shows it.
impl std::fmt::Display for UprobePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.offset)?;
        match self.behind_entry() {
            0 => {}
            bytes => write!(f, " (entry+{bytes})")?,
        }
        match self.counter {
            0 => {}
            counter => write!(f, " counter {counter:#x}")?,
        }
        write!(f, " cookie {}", self.cookie)
    }
}

/// As `-d hir` shows it.
impl std::fmt::Display for Attach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let on_return = |on_return: &bool| if *on_return { " (return)" } else { "" };
        let period = |every: &Period| match every {
            Period::Nanos(n) => format!("{n} ns"),
            Period::Hertz(n) => format!("{n} hz"),
        };
        match self {
            Self::Begin { .. } => f.write_str("begin")?,
            Self::End { .. } => f.write_str("end")?,
            Self::Signal { signal, .. } => write!(f, "on {}", signal.name())?,
            Self::Request { request, name, .. } => write!(f, "{} {name}", request.name())?,
            Self::Uprobe {
                path,
                on_return: at_return,
                places,
            } => {
                write!(f, "{path}{}:", on_return(at_return))?;
                return places.iter().try_for_each(|place| write!(f, " {place}"));
            }
            Self::Late {
                library,
                function,
                on_return: at_return,
                ..
            } => write!(
                f,
                "{library}{}: {function}, when it is loaded",
                on_return(at_return)
            )?,
            Self::Kprobe {
                on_return: at_return,
                places,
            } => {
                write!(f, "kernel{}:", on_return(at_return))?;
                return places
                    .iter()
                    .try_for_each(|place| write!(f, " {} cookie {}", place.at, place.cookie));
            }
            Self::Tracepoint {
                category, event, id, ..
            } => write!(f, "{category}:{event}, id {id}")?,
            Self::Function {
                on_return: at_return,
                module,
                function,
                id,
                ..
            } => {
                let colon = if module.is_empty() { "" } else { ":" };
                write!(
                    f,
                    "trampoline{} {module}{colon}{function}, id {id}",
                    on_return(at_return)
                )?;
            }
            Self::Iterator { list, id, pin, .. } => {
                write!(f, "each {list}, id {id}")?;
                if let Some(pin) = pin {
                    write!(f, ", pinned to {pin}")?;
                }
            }
            Self::RawTracepoint { event, .. } => write!(f, "raw {event}")?,
            Self::Interval { every, .. } => write!(f, "one CPU every {}", period(every))?,
            Self::Profile { every, .. } => write!(f, "each CPU every {}", period(every))?,
            Self::Counter {
                event, period: count, ..
            } => write!(f, "{event:?} each {count}")?,
            Self::Watchpoint {
                address,
                length,
                access,
                ..
            } => write!(f, "{address:#x}, {length} bytes, {access}")?,
        }
        self.cookies()
            .iter()
            .try_for_each(|cookie| write!(f, ", cookie {cookie}"))
    }
}
