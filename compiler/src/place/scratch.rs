//! Claims a scratch slot at the start, uses it for slots, gives it back at the end.
//!
//! ```text
//! start:   cpu = get_smp_processor_id()
//! try k:   exchange the claim word of scratch slot cpu + k by 1; claimed if it was 0
//! lost:    count it; return 0
//! claimed: the program, with the addresses of slots counted from the scratch slot
//! exit:    exchange the claim word by 0; return
//! ```
//!
//! The word is exchanged, not stored, at the end too: an exchange is a full barrier, without which another CPU could
//! claim the slot on aarch64 before this one's last writes to it have arrived. Which slot is free is not remembered by
//! a depth counter, because preempted programs do not finish in the order that they started.

use super::Options;
use crate::helper::Helper;
use crate::ir::{
    AtomicOp, BinOp, Block, BlockData, Cond, Function, Home, Inst, InstData, Op, Role, Target, Terminator,
    Value, Width, shared_frame,
};
use crate::opt::edit::{new_inst, new_value};
use crumbs_grammar::span::Span;

/// How many scratch slots are tried at most. Programs that run on one CPU at once are nested (task, interrupts, NMI)
/// or preempted by each other; more than a few at a time are rare.
const MAX_TRIES: u32 = 8;

/// Rewrites a callback some of whose slots have [`Home::Scratch`]: the main function has claimed the scratch slot.
pub(super) fn rewrite_callback(func: &mut Function) {
    let Role::Callback { frame, .. } = func.role else {
        return;
    };
    let (shared, base) = (new_value(func), new_value(func));
    use_scratch(func, base);
    let load = Op::Load {
        addr: shared,
        offset: shared_frame::SCRATCH,
        width: Width::B8,
        signed: false,
    };
    let start = [
        new_inst(func, Op::Argument(frame), Some(shared), Span::default()),
        new_inst(func, load, Some(base), Span::default()),
    ];
    func.blocks[func.entry.0 as usize].insts.splice(0..0, start);
}

/// Rewrites the main function of a program that keeps slots in scratch memory. Where the base is handed on, it goes to
/// the shared frame for the callbacks.
pub(super) fn rewrite(func: &mut Function, options: &Options, handed_on: bool) {
    let index = new_value(func);
    let base = new_value(func);
    release_at_exits(func, base);
    use_scratch(func, base);
    let body = func.entry;
    claim(func, options, body);
    // The element's address is computed anew behind the tries, so that the kernel verifier sees one state there
    // however many tries it took.
    let mut start = Code::new(func);
    let memory = start.emit(Op::Memory(options.scratch.offset));
    start.insts.push(new_inst(
        start.func,
        Op::ElementAddr {
            base: memory,
            index,
            count: options.scratch.slots,
            stride: options.scratch.slot_size,
        },
        Some(base),
        Span::default(),
    ));
    if let Some(slot) = start.func.shared_frame.filter(|_| handed_on) {
        let shared = start.emit(Op::SlotAddr(slot, 0));
        start.effect(Op::Store {
            addr: shared,
            offset: shared_frame::SCRATCH,
            width: Width::B8,
            value: base,
        });
    }
    let insts = start.insts;
    let data = &mut func.blocks[body.0 as usize];
    data.params.push(index);
    data.insts.splice(0..0, insts);
}

/// Instructions for the start or end of a block.
struct Code<'f> {
    func: &'f mut Function,
    insts: Vec<Inst>,
}

impl<'f> Code<'f> {
    fn new(func: &'f mut Function) -> Self {
        Self {
            func,
            insts: Vec::new(),
        }
    }

    fn emit(&mut self, op: Op) -> Value {
        let value = new_value(self.func);
        let inst = new_inst(self.func, op, Some(value), Span::default());
        self.insts.push(inst);
        value
    }

    fn effect(&mut self, op: Op) {
        let inst = new_inst(self.func, op, None, Span::default());
        self.insts.push(inst);
    }

    /// Puts the code into a new block.
    fn block(self, params: Vec<Value>, terminator: Terminator) -> Block {
        self.func.blocks.push(BlockData {
            params,
            insts: self.insts,
            terminator: Some(terminator),
            terminator_span: Span::default(),
        });
        Block(self.func.blocks.len() as u32 - 1)
    }
}

fn jump(block: Block, args: Vec<Value>) -> Target {
    Target { block, args }
}

/// Makes the blocks that claim a scratch slot and go on at `body` with its index.
fn claim(func: &mut Function, options: &Options, body: Block) {
    let cpu = new_value(func);
    let mut next = lost(func, options, cpu);
    // From the last try to the first, each knowing where to go on.
    for k in (0..options.scratch.slots.min(MAX_TRIES)).rev() {
        let mut code = Code::new(func);
        if k == 0 {
            let call = Op::Call(Helper::GetSmpProcessorId, [].into());
            let inst = new_inst(code.func, call, Some(cpu), Span::default());
            code.insts.push(inst);
        }
        let (zero, one) = (code.emit(Op::Const(0)), code.emit(Op::Const(1)));
        let index = match k {
            0 => cpu,
            _ => {
                let k = code.emit(Op::Const(i64::from(k)));
                code.emit(Op::Bin(BinOp::Add, cpu, k))
            }
        };
        let base = code.emit(Op::Memory(options.scratch.offset));
        let addr = code.emit(Op::ElementAddr {
            base,
            index,
            count: options.scratch.slots,
            stride: options.scratch.slot_size,
        });
        let before = code.emit(Op::Atomic {
            op: AtomicOp::Exchange,
            addr,
            offset: 0,
            value: one,
        });
        // The same number where the slot was free. The verifier must know nothing of it: else it tells the ways to the
        // body apart and follows the body once for each.
        let index = code.emit(Op::Bin(BinOp::Add, index, before));
        next = code.block(
            Vec::new(),
            Terminator::Branch {
                cond: Cond::Eq,
                a: before,
                b: zero,
                then: jump(body, vec![index]),
                otherwise: jump(next, Vec::new()),
            },
        );
    }
    func.entry = next;
}

/// Makes the block that counts a run for which there was no scratch slot.
fn lost(func: &mut Function, options: &Options, cpu: Value) -> Block {
    let mut code = Code::new(func);
    let base = code.emit(Op::Memory(options.stripes.offset + options.loss));
    let addr = code.emit(Op::ElementAddr {
        base,
        index: cpu,
        count: options.stripes.count,
        stride: options.stripes.stride,
    });
    let (zero, one) = (code.emit(Op::Const(0)), code.emit(Op::Const(1)));
    code.effect(Op::Atomic {
        op: AtomicOp::Add,
        addr,
        offset: 0,
        value: one,
    });
    code.block(Vec::new(), Terminator::Return(zero))
}

/// Sends every return through one block that gives the scratch slot back.
fn release_at_exits(func: &mut Function, base: Value) {
    let returned = new_value(func);
    let mut code = Code::new(func);
    let zero = code.emit(Op::Const(0));
    code.effect(Op::Atomic {
        op: AtomicOp::Exchange,
        addr: base,
        offset: 0,
        value: zero,
    });
    let exit = code.block(vec![returned], Terminator::Return(returned));
    for data in &mut func.blocks[..exit.0 as usize] {
        if let Some(Terminator::Return(value)) = data.terminator {
            data.terminator = Some(Terminator::Jump(jump(exit, vec![value])));
        }
    }
}

/// Replaces the addresses of slots in scratch memory: in accesses by the base with an offset, elsewhere by a sum that
/// is made where it is used, so that only the base stays in a register.
fn use_scratch(func: &mut Function, base: Value) {
    let offsets = scratch_addresses(func);
    let offset_of = |v: Value| offsets.get(v.0 as usize).copied().flatten();
    for i in 0..func.blocks.len() {
        let insts = std::mem::take(&mut func.blocks[i].insts);
        let mut code = Code::new(func);
        for inst in insts {
            let InstData { mut op, result, span } = code.func.insts[inst.0 as usize];
            if result.is_some_and(|r| offset_of(r).is_some()) {
                continue;
            }
            fold_address(&mut op, base, offset_of);
            op.map_operands(|v| match offset_of(v) {
                Some(offset) => address(&mut code, base, offset),
                None => v,
            });
            code.func.insts[inst.0 as usize] = InstData { op, result, span };
            code.insts.push(inst);
        }
        if let Some(mut terminator) = code.func.blocks[i].terminator.take() {
            terminator.map_operands(|v| match offset_of(v) {
                Some(offset) => address(&mut code, base, offset),
                None => v,
            });
            code.func.blocks[i].terminator = Some(terminator);
        }
        let insts = code.insts;
        func.blocks[i].insts = insts;
    }
}

/// The offset in the scratch slot that a value is the address of, by value.
fn scratch_addresses(func: &Function) -> Vec<Option<u32>> {
    let mut offsets = vec![None; func.values as usize];
    for data in &func.insts {
        if let (&Op::SlotAddr(slot, offset), Some(result)) = (&data.op, data.result)
            && let Home::Scratch(at) = func.slots[slot.0 as usize].home
        {
            offsets[result.0 as usize] = Some(at + offset);
        }
    }
    offsets
}

/// Moves an address's offset into that of the access, where it fits.
fn fold_address(op: &mut Op, base: Value, offset_of: impl Fn(Value) -> Option<u32>) {
    if let Op::Load { addr, offset, .. }
    | Op::Store { addr, offset, .. }
    | Op::Atomic { addr, offset, .. }
    | Op::CompareExchange { addr, offset, .. } = op
        && let Some(at) = offset_of(*addr)
        && let Ok(sum) = i16::try_from(i64::from(at) + i64::from(*offset))
    {
        *addr = base;
        *offset = sum;
    }
}

fn address(code: &mut Code<'_>, base: Value, offset: u32) -> Value {
    let offset = code.emit(Op::Const(i64::from(offset)));
    code.emit(Op::Bin(BinOp::Add, base, offset))
}
