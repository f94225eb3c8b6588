//! The helpers of [`crumbs_compiler::helper::HELPERS`], as bpf-helpers(7) and the kernel's sources define them.
//!
//! Arguments are checked against the prototype before anything happens. Failing reads fill their destination with
//! zeros, as the kernel does; a string shorter than its destination leaves the rest untouched and, on the stack,
//! unwritten, so that a program which uses those bytes is found out.

use super::event::Space;
use super::fault::{Access, FaultKind};
use super::hash::{HashStore, UpdateFlag};
use super::machine::{Machine, Run, STACK_SIZE, Store};
use super::pointer::Pointer;
use super::ring::Ring;
use crumbs_compiler::helper::{Arg, Helper};
use crumbs_compiler::shown::EPOCH_FROM;

/// `BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP`: the flags of `ringbuf_output`.
const WAKEUP_FLAGS: u64 = 3;

/// The arguments of a call: r1 to r5.
type Args = [u64; 5];

impl Machine {
    /// Calls a helper: reads r1 to r5, writes r0, and leaves r1 to r5 unreadable.
    pub(super) fn call(&mut self, run: &mut Run, helper: Helper) -> Result<(), FaultKind> {
        let row = helper.row();
        if row.sleepable_only && !run.sleepable {
            return Err(FaultKind::NotSleepable(helper));
        }
        let mut args: Args = [0; 5];
        for (index, arg) in args.iter_mut().enumerate().take(row.args.len()) {
            *arg = run.read(index as u8 + 1)?;
        }
        self.check_args(run, helper, &args)?;
        let result = self.dispatch(run, helper, args)?;
        run.written_regs &= !0b11_1110;
        run.write(0, result);
        Ok(())
    }

    fn check_args(&mut self, run: &mut Run, helper: Helper, args: &Args) -> Result<(), FaultKind> {
        for (index, arg) in helper.row().args.iter().enumerate() {
            let value = args[index];
            let bad = |reason| {
                Err(FaultKind::Argument {
                    helper,
                    number: index + 1,
                    reason,
                })
            };
            match arg {
                Arg::Scalar => {}
                Arg::Ctx if value != Pointer::context(run.serial) => return bad("is not the context"),
                Arg::Ctx => {}
                Arg::Map => {
                    let is_ring_wanted = matches!(helper, Helper::RingbufOutput | Helper::RingbufReserve);
                    match Pointer::decode(value) {
                        Some(Pointer::Map { map })
                            if matches!(self.maps.get(map), Some(Store::Ring { .. })) == is_ring_wanted => {}
                        _ => return bad("is not a map of the right kind"),
                    }
                }
                Arg::Key | Arg::MapValue => {
                    let Some(hash) = self.hash(args[0]) else {
                        return bad("belongs to no map");
                    };
                    let size = if *arg == Arg::Key {
                        hash.key_size
                    } else {
                        hash.value_size
                    };
                    self.resolve(run, value, size, Access::Read)?;
                }
                Arg::Mem => {
                    self.resolve(run, value, size_of(args[index + 1]), Access::Read)?;
                }
                Arg::MemOut => self.check_writable(run, value, size_of(args[index + 1]))?,
                Arg::Record if !run.records.contains(&value) => return bad("is not a reserved record"),
                Arg::Record => {}
                // Of helpers that call back, which are none of these.
                Arg::Callback | Arg::Shared => return bad("is a callback's"),
            }
        }
        Ok(())
    }

    /// Whether `size` bytes could be written, without marking them as written.
    fn check_writable(&mut self, run: &mut Run, address: u64, size: usize) -> Result<(), FaultKind> {
        let access = Access::Write;
        match Pointer::decode(address) {
            Some(Pointer::Stack { run: serial, offset }) if serial == run.serial => {
                let is_inside = size <= STACK_SIZE - offset % STACK_SIZE;
                is_inside.then_some(()).ok_or(FaultKind::OutOfBounds {
                    address,
                    size,
                    access,
                })
            }
            _ => self.resolve(run, address, size, access).map(drop),
        }
    }

    /// The hash map of a checked map argument.
    fn hash(&mut self, address: u64) -> Option<&mut HashStore> {
        match self.maps.get_mut(map_number(address)?) {
            Some(Store::Hash(hash)) => Some(hash),
            _ => None,
        }
    }

    fn dispatch(&mut self, run: &mut Run, helper: Helper, args: Args) -> Result<u64, FaultKind> {
        let event = std::rc::Rc::clone(&run.event);
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        Ok(match helper {
            // There are no maps of programs here, so there is none to go on with.
            Helper::TailCall => errno(-libc::ENOENT),
            Helper::MapLookupElem => self.map_lookup(run, args, Pointer::value)?,
            Helper::MapLookupPercpuElem => {
                let copies = self.hash(args[0]).map_or(0, |hash| hash.copies());
                let cpu = u32::try_from(args[2]).ok().filter(|&cpu| (cpu as usize) < copies);
                match cpu {
                    Some(cpu) => {
                        self.map_lookup(run, args, |map, element| Pointer::value_of_cpu(map, element, cpu))?
                    }
                    None => 0,
                }
            }
            Helper::MapUpdateElem => self.map_update(run, args)?,
            Helper::MapDeleteElem => self.map_delete(run, args)?,
            Helper::GetPrandomU32 => self.next_random(),
            Helper::GetSmpProcessorId => u64::from(event.cpu),
            Helper::GetCurrentPidTgid => pair(event.pid, event.tid),
            Helper::GetCurrentUidGid => pair(event.gid, event.uid),
            Helper::KtimeGetNs | Helper::KtimeGetBootNs => event.time.saturating_add(run.delay),
            Helper::GetAttachCookie => u64::from(run.cookie),
            Helper::KtimeGetTaiNs => EPOCH_FROM.saturating_add(event.time).saturating_add(run.delay),
            // 250 ticks a second, the usual configuration.
            Helper::Jiffies64 => event.time.saturating_add(run.delay) / 4_000_000,
            Helper::GetNumaNodeId => 0,
            Helper::GetCurrentCgroupId => event.cgroup,
            Helper::GetCurrentTask => FIRST_TASK + u64::from(event.tid) * TASK_SIZE,
            // There is no process to send a signal to, no function to end, no memory that outlives the event and nobody who
            // reads an iterator.
            Helper::SendSignal
            | Helper::SendSignalThread
            | Helper::OverrideReturn
            | Helper::SeqPrintf
            | Helper::ProbeWriteUser => 0,
            Helper::GetStack => self.get_stack(run, args)?,
            Helper::GetCurrentComm => self.current_comm(run, args)?,
            Helper::GetNsCurrentPidTgid => self.ns_pid_tgid(run, args)?,
            Helper::ProbeReadUser => self.probe_read(run, args, |s| s == Space::User)?,
            Helper::CopyFromUser => self.probe_read(run, args, |s| s != Space::Kernel)?,
            Helper::ProbeReadKernel => self.probe_read(run, args, |s| s == Space::Kernel)?,
            Helper::ProbeReadUserStr => self.probe_read_str(run, args, Space::User)?,
            Helper::ProbeReadKernelStr => self.probe_read_str(run, args, Space::Kernel)?,
            Helper::RingbufReserve => self.ring_reserve(run, args)?,
            Helper::RingbufSubmit => self.ring_submit(run, args),
            Helper::RingbufOutput => self.ring_output(run, args)?,
            // There is no trace to write to.
            Helper::TracePrintk | Helper::Loop | Helper::ForEachMapElem => 0,
        })
    }

    /// xorshift64*: the same numbers in every simulation.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// Runs `f` on a copy of what is at `address`, with a buffer that is reused.
    fn with_copy<T>(
        &mut self,
        run: &mut Run,
        address: u64,
        size: usize,
        f: impl FnOnce(&mut Self, &mut Run, &[u8]) -> T,
    ) -> Result<T, FaultKind> {
        let mut copy = std::mem::take(&mut self.scratch);
        copy.clear();
        copy.extend_from_slice(self.resolve(run, address, size, Access::Read)?);
        let result = f(self, run, &copy);
        self.scratch = copy;
        Ok(result)
    }

    fn key_size(&mut self, map: u64) -> usize {
        self.hash(map).map_or(0, |hash| hash.key_size)
    }

    fn map_lookup(
        &mut self,
        run: &mut Run,
        args: Args,
        address: impl Fn(usize, u32) -> u64,
    ) -> Result<u64, FaultKind> {
        let size = self.key_size(args[0]);
        self.with_copy(run, args[1], size, |vm, _, key| {
            let element = vm.hash(args[0]).and_then(|hash| hash.lookup(key));
            match (map_number(args[0]), element) {
                (Some(map), Some(element)) => address(map, element),
                _ => 0,
            }
        })
    }

    fn map_update(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        let flag = match args[3] {
            0 => UpdateFlag::Any,
            1 => UpdateFlag::NoExist,
            2 => UpdateFlag::Exist,
            _ => return Ok(errno(-libc::EINVAL)),
        };
        let key_size = self.key_size(args[0]);
        let value_size = self.hash(args[0]).map_or(0, |hash| hash.value_size);
        // Key and value behind each other in the one buffer.
        let mut copy = std::mem::take(&mut self.scratch);
        copy.clear();
        copy.extend_from_slice(self.resolve(run, args[1], key_size, Access::Read)?);
        copy.extend_from_slice(self.resolve(run, args[2], value_size, Access::Read)?);
        let (key, value) = copy.split_at(key_size);
        let refuses = run.event.is_out_of_memory;
        let cpu = run.event.cpu;
        let result = self.hash(args[0]).map_or(Err(-libc::EINVAL), |hash| {
            if refuses && hash.is_per_cpu() && flag != UpdateFlag::Exist && !hash.contains(key) {
                return Err(-libc::ENOMEM);
            }
            hash.update(key, value, flag, cpu)
        });
        self.scratch = copy;
        Ok(result.map_or_else(errno, |()| 0))
    }

    fn map_delete(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        let size = self.key_size(args[0]);
        self.with_copy(run, args[1], size, |vm, _, key| {
            let was_there = vm.hash(args[0]).is_some_and(|hash| hash.remove(key));
            if was_there { 0 } else { errno(-libc::ENOENT) }
        })
    }

    /// Copies the name and one NUL, and leaves what is behind alone, as kernels around 6.1 do: the others fill it with NULs.
    /// Fills memory with the event's stack; gives the bytes that are.
    fn get_stack(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        /// `BPF_F_USER_STACK`.
        const USER: u64 = 1 << 8;
        let size = size_of(args[2]);
        let event = std::rc::Rc::clone(&run.event);
        let frames = if args[3] & USER != 0 {
            &event.user_stack
        } else {
            &event.kernel_stack
        };
        let out = self.resolve(run, args[1], size, Access::Write)?;
        let mut filled = 0;
        for (to, frame) in out.chunks_exact_mut(8).zip(frames) {
            to.copy_from_slice(&frame.to_ne_bytes());
            filled += 8;
        }
        Ok(filled)
    }

    fn current_comm(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        let size = size_of(args[1]);
        if size == 0 {
            return Err(empty(Helper::GetCurrentComm, 2));
        }
        let comm = run.event.comm;
        let out = self.resolve(run, args[0], size, Access::Write)?;
        let name = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
        let len = name.min(size - 1);
        out[..len].copy_from_slice(&comm[..len]);
        out[len] = 0;
        Ok(0)
    }

    /// Fills `struct bpf_pidns_info`: the thread (`pid`), then the process (`tgid`).
    fn ns_pid_tgid(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        let [dev, ino, out, size, _] = args;
        let is_known = self.namespace.is_none_or(|ns| (ns.dev, ns.ino) == (dev, ino));
        let (pid, tgid) = (run.event.ns_tid, run.event.ns_pid);
        let out = self.resolve(run, out, size_of(size), Access::Write)?;
        out.fill(0);
        if out.len() != 8 || !is_known {
            return Ok(errno(-libc::EINVAL));
        }
        out[..4].copy_from_slice(&pid.to_le_bytes());
        out[4..].copy_from_slice(&tgid.to_le_bytes());
        Ok(0)
    }

    /// Copies what is readable at `address` into `scratch`, at most `size` bytes. Kernel reads also see what programs
    /// point to: their context, maps and memory.
    fn gather(&mut self, run: &mut Run, address: u64, size: usize, sees: impl Fn(Space) -> bool) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.scratch);
        buffer.clear();
        if Pointer::decode(address).is_some() {
            if sees(Space::Kernel) {
                // As far as the object reaches; objects are small next to the reads that programs make.
                buffer.extend((0..size as u64).map_while(|at| {
                    self.resolve(run, address.wrapping_add(at), 1, Access::Read)
                        .ok()
                        .map(|byte| byte[0])
                }));
            }
            return buffer;
        }
        buffer.resize(size, 0);
        let len = run.event.read(sees, address, &mut buffer);
        buffer.truncate(len);
        buffer
    }

    fn probe_read(&mut self, run: &mut Run, args: Args, sees: fn(Space) -> bool) -> Result<u64, FaultKind> {
        let size = size_of(args[1]);
        let found = self.gather(run, args[2], size, sees);
        let out = self.resolve(run, args[0], size, Access::Write)?;
        let is_complete = found.len() == size;
        if is_complete {
            out.copy_from_slice(&found);
        } else {
            out.fill(0);
        }
        self.scratch = found;
        Ok(if is_complete { 0 } else { errno(-libc::EFAULT) })
    }

    /// Returns the bytes written, NUL included.
    fn probe_read_str(&mut self, run: &mut Run, args: Args, space: Space) -> Result<u64, FaultKind> {
        let size = size_of(args[1]);
        if size == 0 {
            return Ok(0);
        }
        let mut found = self.gather(run, args[2], size, |s| s == space);
        let end = found.iter().position(|&byte| byte == 0);
        let len = match end {
            Some(end) => end + 1,
            None if found.len() == size => {
                found[size - 1] = 0;
                size
            }
            None => 0,
        };
        if len == 0 {
            self.resolve(run, args[0], size, Access::Write)?.fill(0);
        } else {
            self.resolve(run, args[0], len, Access::Write)?
                .copy_from_slice(&found[..len]);
        }
        self.scratch = found;
        Ok(if len == 0 {
            errno(-libc::EFAULT)
        } else {
            len as u64
        })
    }

    fn ring(&mut self, map: u64) -> Option<(&mut Ring, u32)> {
        match self.maps.get_mut(map_number(map)?) {
            Some(Store::Ring { ring, capacity }) => Some((ring, *capacity)),
            _ => None,
        }
    }

    fn ring_reserve(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        let size = size_of(args[1]);
        if size == 0 || size > Pointer::MAX_OBJECT {
            return Err(FaultKind::Argument {
                helper: Helper::RingbufReserve,
                number: 2,
                reason: "is no size of a record",
            });
        }
        let serial = match self.ring(args[0]) {
            // Flags are reserved for the future and must be 0.
            Some((ring, _)) if args[2] == 0 => ring.reserve(size),
            _ => None,
        };
        let (Some(serial), Some(map)) = (serial, map_number(args[0])) else {
            return Ok(0);
        };
        let record = Pointer::record(map, serial);
        run.records.push(record);
        Ok(record)
    }

    fn ring_submit(&mut self, run: &mut Run, args: Args) -> u64 {
        run.records.retain(|&record| record != args[0]);
        if let Some(Pointer::Record { map, serial, .. }) = Pointer::decode(args[0])
            && let Some(Store::Ring { ring, .. }) = self.maps.get_mut(map)
        {
            ring.submit(serial);
        }
        0
    }

    fn ring_output(&mut self, run: &mut Run, args: Args) -> Result<u64, FaultKind> {
        if args[3] & !WAKEUP_FLAGS != 0 {
            return Ok(errno(-libc::EINVAL));
        }
        self.with_copy(run, args[1], size_of(args[2]), |vm, _, data| {
            let Some((ring, capacity)) = vm.ring(args[0]) else {
                return errno(-libc::EINVAL);
            };
            if data.len() + 8 > capacity as usize {
                return errno(-libc::E2BIG);
            }
            let Some(serial) = ring.reserve(data.len()) else {
                return errno(-libc::EAGAIN);
            };
            if let Some(record) = ring.open_record(serial) {
                record.copy_from_slice(data);
            }
            ring.submit(serial);
            0
        })
    }
}

/// Where simulated tasks lie, so that each thread has an address of its own.
const FIRST_TASK: u64 = 0xffff_8880_0000_0000;
/// Bytes between two of them; more than `struct task_struct` has.
const TASK_SIZE: u64 = 1 << 14;

fn map_number(address: u64) -> Option<usize> {
    match Pointer::decode(address) {
        Some(Pointer::Map { map }) => Some(map),
        _ => None,
    }
}

/// A size argument; one that is negative is larger than any object.
fn size_of(arg: u64) -> usize {
    usize::try_from(arg).unwrap_or(usize::MAX)
}

fn empty(helper: Helper, number: usize) -> FaultKind {
    FaultKind::Argument {
        helper,
        number,
        reason: "must not be 0",
    }
}

/// A negative error number as a helper returns it.
fn errno(error: i32) -> u64 {
    i64::from(error) as u64
}
