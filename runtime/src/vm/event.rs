//! Synthetic events: what a simulation delivers instead of what a machine does.
//!
//! One event a line: the attach point, then `name=value` separated by blanks; `#` starts a comment.
//!
//! ```text
//! uprobe:libc:write pid=100 comm=dd arg0=1 arg1=0x7000 arg2=5 mem[0x7000]="text\0"
//! uretprobe:libc:write pid=100 retval=-1
//! ucall:libc:write sp=0x7ff8 arg2=5
//! ucall:libc:write sp=0x8000 retval=5
//! tracepoint:syscalls:sys_enter_openat dfd=-100 filename=0x7000 swapped[0x7000]="/etc/passwd\0"
//! interval:s:1 t=1000000000
//! ```
//!
//! A completed call is two events, its beginning and its return: the one with `retval`.
//!
//! | name | meaning | default |
//! |---|---|---|
//! | `pid`, `tid` | process and thread | 1; `tid` as `pid` |
//! | `nspid`, `nstid` | the same, in the user's pid namespace | as `pid`, `tid` |
//! | `uid`, `gid` | user and group | 0 |
//! | `cgroup` | id of the cgroup | 1 |
//! | `comm` | name of the thread, at most 15 bytes | empty |
//! | `cpu` | the CPU | 0 |
//! | `kstack`, `ustack` | return addresses, the innermost first, as `u64:` | none |
//! | `t` | the clock, ns | 1,000 after the event before it |
//! | `mem[ADDR]` | user memory | unreadable |
//! | `swapped[ADDR]` | user memory that is not resident: only a sleepable program can read it | |
//! | `kmem[ADDR]` | kernel memory | unreadable |
//! | `repeat=N` | N such events, user space looking after each | 1 |
//! | `burst=N` | N such events before user space looks | 1 |
//! | `nomem` | no new element fits a per-CPU map (the kernel's allocator refuses) | |
//!
//! Every other name belongs to the program's context (see [`super::context`]); `args.NAME` is a tracepoint's field
//! whatever its name. A value is an integer (decimal, `0x`, negative), a bare word, or a sequence, separated by
//! commas, of quoted text (escapes `\0 \n \t \r \\ \" \xNN`) and integers of a stated size (`u8:1`, `u16:`, `u32:`,
//! `u64:`). Attach points that contain blanks are quoted.

mod parse;

pub use parse::{ParseError, parse};

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number; signed ones as two's complement.
    Int(u64),
    /// Bytes, without a NUL unless written.
    Bytes(Vec<u8>),
}

/// Whose memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The process's, resident.
    User,
    /// The process's, not resident.
    Swapped,
    /// The kernel's.
    Kernel,
}

/// Memory that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whose.
    pub space: Space,
    /// The address of the first byte.
    pub address: u64,
    /// What is there.
    pub bytes: Vec<u8>,
}

/// Something that happens on the simulated machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Line of the text, from 1; 0 where it comes from none.
    pub line: usize,
    /// The attach point, in full or shortened (see [`super::VmBackend::new`]).
    pub probe: String,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The process in the user's pid namespace.
    pub ns_pid: u32,
    /// The thread there.
    pub ns_tid: u32,
    /// User.
    pub uid: u32,
    /// Id of the cgroup.
    pub cgroup: u64,
    /// Group.
    pub gid: u32,
    /// The thread's name, NUL-padded.
    pub comm: [u8; 16],
    /// The CPU.
    pub cpu: u32,
    /// The kernel's return addresses, the innermost first.
    pub kernel_stack: Vec<u64>,
    /// The process's.
    pub user_stack: Vec<u64>,
    /// The clock in ns.
    pub time: u64,
    /// What can be read.
    pub memory: Vec<Segment>,
    /// What the context is made of, by name, as written.
    pub context: Vec<(String, Value)>,
    /// How often it happens.
    pub repeat: u64,
    /// How often it happens each time before user space looks.
    pub burst: u64,
    /// Whether per-CPU maps refuse new elements.
    pub is_out_of_memory: bool,
}

impl Event {
    /// Nanoseconds between an event and the next, unless that one says otherwise.
    pub const STEP: u64 = 1000;

    /// An event with every default.
    pub fn new(probe: &str) -> Self {
        Self {
            line: 0,
            probe: probe.to_owned(),
            pid: 1,
            tid: 1,
            ns_pid: 1,
            ns_tid: 1,
            uid: 0,
            cgroup: 1,
            gid: 0,
            comm: [0; 16],
            cpu: 0,
            kernel_stack: Vec::new(),
            user_stack: Vec::new(),
            time: Self::STEP,
            memory: Vec::new(),
            context: Vec::new(),
            repeat: 1,
            burst: 1,
            is_out_of_memory: false,
        }
    }

    /// Reads memory into `out` and returns how many bytes could be read before the first that cannot. `sees` tells
    /// which memory counts.
    pub fn read(&self, sees: impl Fn(Space) -> bool, address: u64, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() {
            let Some(at) = address.checked_add(done as u64) else {
                break;
            };
            let here = self
                .memory
                .iter()
                .filter(|segment| sees(segment.space))
                .find_map(|segment| {
                    let skip = usize::try_from(at.checked_sub(segment.address)?).ok()?;
                    segment.bytes.get(skip..).filter(|rest| !rest.is_empty())
                });
            let Some(here) = here else {
                break;
            };
            let len = here.len().min(out.len() - done);
            out[done..done + len].copy_from_slice(&here[..len]);
            done += len;
        }
        done
    }
}
