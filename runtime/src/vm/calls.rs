//! Helpers that call back, and calls of functions: a frame for each call, and what happens when it returns.
//!
//! A callback runs on a stack frame of its own, behind that of its caller. It sees its arguments in r1 to r5, nothing in
//! the other registers; its caller finds r6 to r10 as they were.

use super::fault::FaultKind;
use super::machine::{Machine, Run, STACK_SIZE, Store};
use super::pointer::Pointer;
use crumbs_compiler::helper::Helper;

/// Functions that can be under way at once (`MAX_CALL_FRAMES`, include/linux/bpf_verifier.h).
const MAX_FRAMES: usize = 8;
/// The most iterations of `bpf_loop` (`BPF_MAX_LOOPS`, include/linux/bpf_verifier.h).
const MAX_LOOPS: u64 = 8 << 20;

/// A function that waits for a callback.
#[derive(Debug)]
pub(super) struct Frame {
    /// Where it goes on.
    next: usize,
    regs: [u64; 11],
    written_regs: u16,
    /// The callback.
    function: usize,
    /// What the callback is handed last.
    shared: u64,
    /// Calls so far.
    calls: u64,
    iterated: Iterated,
}

/// What is left of a loop.
#[derive(Debug)]
enum Iterated {
    /// None: the function is called once, and what it gives is the result.
    Once,
    /// So many calls in all.
    Count(u64),
    /// The elements of a map.
    Elements {
        map: usize,
        /// The keys that were there at the start, last one first.
        keys: Vec<Box<[u8]>>,
        /// The key of this call.
        current: Box<[u8]>,
    },
}

impl Machine {
    /// Calls a helper that calls back; gives the instruction to go on at.
    pub(super) fn call_back(
        &mut self,
        run: &mut Run,
        helper: Helper,
        next: usize,
    ) -> Result<usize, FaultKind> {
        let args: [u64; 4] = [run.read(1)?, run.read(2)?, run.read(3)?, run.read(4)?];
        let bad = |number, reason| FaultKind::Argument {
            helper,
            number,
            reason,
        };
        let Some(Pointer::Function { insn: function }) = Pointer::decode(args[1]) else {
            return Err(bad(2, "is not a function"));
        };
        let is_stack = matches!(Pointer::decode(args[2]), Some(Pointer::Stack { run: serial, .. }) if serial == run.serial);
        if args[2] != 0 && !is_stack {
            return Err(bad(3, "is not on the stack"));
        }
        if args[3] != 0 {
            return Err(bad(4, "must be 0"));
        }
        let iterated = match helper {
            Helper::Loop if args[0] > MAX_LOOPS => {
                run.end_call(-libc::E2BIG as u64);
                return Ok(next);
            }
            Helper::Loop => Iterated::Count(args[0]),
            _ => {
                let map = match Pointer::decode(args[0]) {
                    Some(Pointer::Map { map }) => map,
                    _ => return Err(bad(1, "is not a map")),
                };
                let Some(Store::Hash(hash)) = self.maps.get(map) else {
                    return Err(bad(1, "is not a map with elements"));
                };
                let mut keys: Vec<Box<[u8]>> = hash.iter().map(|(key, _)| key.into()).collect();
                keys.reverse();
                Iterated::Elements {
                    map,
                    keys,
                    current: Box::default(),
                }
            }
        };
        if run.frames.len() + 2 > MAX_FRAMES {
            return Err(FaultKind::TooDeep);
        }
        run.frames.push(Frame {
            next,
            regs: run.regs,
            written_regs: run.written_regs,
            function,
            shared: args[2],
            calls: 0,
            iterated,
        });
        run.push_stack();
        Ok(self.iterate(run))
    }

    /// Goes on with the innermost loop, whose callback has returned `result`.
    pub(super) fn returned(&mut self, run: &mut Run, result: u64) -> Result<usize, FaultKind> {
        if matches!(run.frames.last(), Some(frame) if matches!(frame.iterated, Iterated::Once)) {
            return Ok(end(run, |_| result));
        }
        match result {
            0 => Ok(self.iterate(run)),
            1 => Ok(end(run, |frame| frame.calls)),
            _ => Err(FaultKind::CallbackResult),
        }
    }

    /// Begins the next iteration of the innermost loop, or ends it.
    fn iterate(&mut self, run: &mut Run) -> usize {
        let depth = run.frames.len();
        let Some(frame) = run.frames.last_mut() else {
            return 0;
        };
        let args: Vec<u64> = match &mut frame.iterated {
            Iterated::Count(count) if frame.calls < *count => vec![frame.calls, frame.shared],
            Iterated::Count(_) | Iterated::Once => return end(run, |frame| frame.calls),
            Iterated::Elements { map, keys, current } => {
                let next = std::iter::from_fn(|| keys.pop()).find_map(|key| match self.maps.get_mut(*map) {
                    Some(Store::Hash(hash)) => hash.lookup(&key).map(|element| (key, element)),
                    _ => None,
                });
                let Some((key, element)) = next else {
                    return end(run, |frame| frame.calls);
                };
                *current = key;
                vec![
                    Pointer::map(*map),
                    Pointer::key(run.serial, depth),
                    Pointer::value(*map, element),
                    frame.shared,
                ]
            }
        };
        frame.calls += 1;
        let function = frame.function;
        run.begin_function(&args, depth);
        function
    }
}

/// Ends the innermost loop or function, whose result is known then; gives where its caller goes on.
fn end(run: &mut Run, result: impl FnOnce(&Frame) -> u64) -> usize {
    let Some(frame) = run.frames.pop() else {
        return 0;
    };
    run.pop_stack();
    run.regs = frame.regs;
    run.written_regs = frame.written_regs;
    run.end_call(result(&frame));
    frame.next
}

impl Run {
    /// Calls a function of the program, which sees those arguments that have been written; gives where it starts.
    pub(super) fn call_function(&mut self, function: usize, next: usize) -> Result<usize, FaultKind> {
        if self.frames.len() + 2 > MAX_FRAMES {
            return Err(FaultKind::TooDeep);
        }
        let args: Vec<u64> = (1..=5).map_while(|reg| self.read(reg).ok()).collect();
        self.frames.push(Frame {
            next,
            regs: self.regs,
            written_regs: self.written_regs,
            function,
            shared: 0,
            calls: 1,
            iterated: Iterated::Once,
        });
        self.push_stack();
        self.begin_function(&args, self.frames.len());
        Ok(function)
    }

    /// What a helper that returned leaves: r0, and nothing in r1 to r5.
    fn end_call(&mut self, result: u64) {
        self.written_regs &= !0b11_1110;
        self.write(0, result);
    }

    /// The registers at the start of a callback.
    fn begin_function(&mut self, args: &[u64], depth: usize) {
        self.regs = [0; 11];
        self.written_regs = 0;
        for (i, &arg) in args.iter().enumerate() {
            self.write(i as u8 + 1, arg);
        }
        self.write(
            10,
            Pointer::stack(self.serial) + ((depth + 1) * STACK_SIZE) as u64,
        );
        self.clear_frame();
    }

    /// The key that the callback of a depth is handed.
    pub(super) fn key(&mut self, depth: usize) -> Option<&mut [u8]> {
        match &mut self.frames.get_mut(depth.checked_sub(1)?)?.iterated {
            Iterated::Elements { current, .. } => Some(current),
            Iterated::Count(_) | Iterated::Once => None,
        }
    }
}
