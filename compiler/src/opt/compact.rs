//! Renumbering, last of all.
//!
//! In: any function. Out: the same with blocks in reverse postorder, instructions in their order, and no block,
//! instruction, value or slot that nothing uses: equal programs get equal text.

use crate::ir::cfg::Cfg;
use crate::ir::{Block, BlockData, Function, Inst, Op, Slot, Value};

/// Gives everything its final number.
pub(crate) fn run(func: Function, cfg: &Cfg) -> Function {
    let Function {
        name,
        kind,
        entry: _,
        mut blocks,
        insts,
        slots,
        values,
        role,
        shared_frame,
        callbacks,
    } = func;
    let mut new = Function {
        name,
        kind,
        entry: Block(0),
        blocks: Vec::with_capacity(cfg.order.len()),
        insts: Vec::new(),
        slots: Vec::new(),
        values: 0,
        role,
        shared_frame: None,
        callbacks,
    };
    let mut slot_numbers: Vec<Option<Slot>> = vec![None; slots.len()];
    let mut numbers: Vec<Option<Value>> = vec![None; values as usize];
    let mut number = |v: Value| {
        let next = Value(new.values);
        *numbers[v.0 as usize].get_or_insert_with(|| {
            new.values += 1;
            next
        })
    };
    // Reverse postorder has definitions before uses, so values are numbered in the order of their definitions.
    for old in &cfg.order {
        let data = &mut blocks[old.0 as usize];
        let mut block = BlockData {
            params: data.params.iter().map(|&p| number(p)).collect(),
            insts: Vec::with_capacity(data.insts.len()),
            terminator: data.terminator.take(),
            terminator_span: data.terminator_span,
        };
        for old in &data.insts {
            let mut data = insts[old.0 as usize];
            data.op.map_operands(&mut number);
            data.result = data.result.map(&mut number);
            if let Op::SlotAddr(slot, _) = &mut data.op {
                *slot = *slot_numbers[slot.0 as usize].get_or_insert_with(|| {
                    new.slots.push(slots[slot.0 as usize]);
                    Slot(new.slots.len() as u32 - 1)
                });
            }
            new.insts.push(data);
            block.insts.push(Inst(new.insts.len() as u32 - 1));
        }
        if let Some(terminator) = &mut block.terminator {
            terminator.map_operands(&mut number);
            for target in super::edit::targets_mut(terminator) {
                if let Some(place) = cfg.place(target.block) {
                    target.block = Block(place);
                }
            }
        }
        new.blocks.push(block);
    }
    new.shared_frame = shared_frame.and_then(|slot| slot_numbers[slot.0 as usize]);
    new
}
