//! Builds a [`Function`] block by block.

use super::{
    AtomicOp, BinOp, Block, BlockData, Cond, Function, Home, Inst, InstData, Op, Role, Slot, SlotData,
    Target, Terminator, Value, Width, shared_frame,
};
use crate::helper::Helper;
use crate::plan::ProgramKind;
use crumbs_grammar::span::Span;

/// A function under construction and the place where code is added.
#[derive(Debug)]
pub struct Builder {
    func: Function,
    at: Block,
    span: Span,
}

impl Builder {
    /// An empty function; code is added to its entry block.
    pub fn new(name: String, kind: ProgramKind) -> Self {
        Self::with_role(name, kind, Role::Main)
    }

    /// An empty function of any role.
    pub fn with_role(name: String, kind: ProgramKind, role: Role) -> Self {
        let mut builder = Self {
            func: Function {
                name,
                kind,
                entry: Block(0),
                blocks: Vec::new(),
                insts: Vec::new(),
                slots: Vec::new(),
                values: 0,
                role,
                shared_frame: None,
                callbacks: Vec::new(),
            },
            at: Block(0),
            span: Span::default(),
        };
        builder.at = builder.block();
        builder
    }

    /// The finished function.
    pub fn finish(self) -> Function {
        self.func
    }

    /// Says what part of the script the code to come is made for.
    pub fn set_span(&mut self, span: Span) -> Span {
        std::mem::replace(&mut self.span, span)
    }

    /// A new, empty block.
    pub fn block(&mut self) -> Block {
        self.func.blocks.push(BlockData {
            params: Vec::new(),
            insts: Vec::new(),
            terminator: None,
            terminator_span: Span::default(),
        });
        Block(self.func.blocks.len() as u32 - 1)
    }

    /// Adds a parameter to a block.
    pub fn param(&mut self, block: Block) -> Value {
        let value = self.value();
        self.func.blocks[block.0 as usize].params.push(value);
        value
    }

    /// Goes on adding code to `block`.
    pub fn switch_to(&mut self, block: Block) {
        self.at = block;
    }

    /// The block that code is added to.
    pub fn current(&self) -> Block {
        self.at
    }

    /// Whether the current block has ended; what is added then is unreachable and must not be.
    pub fn is_terminated(&self) -> bool {
        self.func.blocks[self.at.0 as usize].terminator.is_some()
    }

    /// A new slot of at least `size` bytes.
    pub fn slot(&mut self, size: u32) -> Slot {
        self.func.slots.push(SlotData {
            size: crate::types::align_to(size.max(1), 8),
            home: Home::Unplaced,
            shared: None,
        });
        Slot(self.func.slots.len() as u32 - 1)
    }

    /// A slot that is the same memory in all functions of the program under this number.
    pub fn shared_slot(&mut self, size: u32, number: u32) -> Slot {
        let slot = self.slot(size);
        self.func.slots[slot.0 as usize].shared = Some(number);
        slot
    }

    /// The address of the shared frame.
    pub fn shared_frame(&mut self) -> Value {
        if let Role::Callback { frame, .. } = self.func.role {
            return self.emit(Op::Argument(frame));
        }
        let slot = match self.func.shared_frame {
            Some(slot) => slot,
            None => {
                let slot = self.slot(shared_frame::SIZE);
                self.func.shared_frame = Some(slot);
                slot
            }
        };
        self.slot_addr(slot, 0)
    }

    /// What the function is in its program.
    pub fn role(&self) -> Role {
        self.func.role
    }

    /// The name of the function.
    pub fn name(&self) -> &str {
        &self.func.name
    }

    /// Where the code that is added comes from.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Gives the program its callbacks.
    pub fn set_callbacks(&mut self, callbacks: Vec<Function>) {
        self.func.callbacks = callbacks;
    }

    fn value(&mut self) -> Value {
        self.func.values += 1;
        Value(self.func.values - 1)
    }

    fn push(&mut self, op: Op, result: Option<Value>) {
        debug_assert!(!self.is_terminated(), "code behind a terminator");
        self.func.insts.push(InstData {
            op,
            result,
            span: self.span,
        });
        let inst = Inst(self.func.insts.len() as u32 - 1);
        self.func.blocks[self.at.0 as usize].insts.push(inst);
    }

    /// Adds an instruction that defines a value.
    pub fn emit(&mut self, op: Op) -> Value {
        let value = self.value();
        self.push(op, Some(value));
        value
    }

    /// Adds an instruction whose result, if any, is not used.
    pub fn effect(&mut self, op: Op) {
        self.push(op, None);
    }

    /// A constant.
    pub fn iconst(&mut self, value: i64) -> Value {
        self.emit(Op::Const(value))
    }

    /// Arithmetic.
    pub fn bin(&mut self, op: BinOp, a: Value, b: Value) -> Value {
        self.emit(Op::Bin(op, a, b))
    }

    /// Arithmetic with a constant.
    pub fn bin_imm(&mut self, op: BinOp, a: Value, b: i64) -> Value {
        let b = self.iconst(b);
        self.bin(op, a, b)
    }

    /// A comparison's truth, 0 or 1.
    pub fn cmp(&mut self, cond: Cond, a: Value, b: Value) -> Value {
        self.emit(Op::Cmp(cond, a, b))
    }

    /// Reads memory, zero-extended.
    pub fn load(&mut self, addr: Value, offset: i16, width: Width) -> Value {
        self.emit(Op::Load {
            addr,
            offset,
            width,
            signed: false,
        })
    }

    /// Writes memory.
    pub fn store(&mut self, addr: Value, offset: i16, width: Width, value: Value) {
        self.effect(Op::Store {
            addr,
            offset,
            width,
            value,
        });
    }

    /// An atomic operation whose old value is not needed.
    pub fn atomic(&mut self, op: AtomicOp, addr: Value, offset: i16, value: Value) {
        self.effect(Op::Atomic {
            op,
            addr,
            offset,
            value,
        });
    }

    /// An atomic operation; gives the value before.
    pub fn atomic_fetch(&mut self, op: AtomicOp, addr: Value, offset: i16, value: Value) -> Value {
        self.emit(Op::Atomic {
            op,
            addr,
            offset,
            value,
        })
    }

    /// Calls a helper for its result.
    pub fn call(&mut self, helper: Helper, args: &[Value]) -> Value {
        self.emit(Op::Call(helper, args.into()))
    }

    /// Calls a helper for its effect.
    pub fn call_effect(&mut self, helper: Helper, args: &[Value]) {
        self.effect(Op::Call(helper, args.into()));
    }

    /// The address of a byte of a slot.
    pub fn slot_addr(&mut self, slot: Slot, offset: u32) -> Value {
        self.emit(Op::SlotAddr(slot, offset))
    }

    fn terminate(&mut self, terminator: Terminator) {
        let span = self.span;
        let block = &mut self.func.blocks[self.at.0 as usize];
        debug_assert!(block.terminator.is_none(), "block ended twice");
        block.terminator = Some(terminator);
        block.terminator_span = span;
    }

    /// Ends the block: goes on at `block`.
    pub fn jump(&mut self, block: Block, args: &[Value]) {
        self.terminate(Terminator::Jump(Target {
            block,
            args: args.to_vec(),
        }));
    }

    /// Ends the block: goes on at `then` or `otherwise`, neither of which takes arguments.
    pub fn branch(&mut self, cond: Cond, a: Value, b: Value, then: Block, otherwise: Block) {
        self.branch_with(cond, a, b, (then, &[]), (otherwise, &[]));
    }

    /// Ends the block: goes on at either target.
    pub fn branch_with(
        &mut self,
        cond: Cond,
        a: Value,
        b: Value,
        then: (Block, &[Value]),
        otherwise: (Block, &[Value]),
    ) {
        self.terminate(Terminator::Branch {
            cond,
            a,
            b,
            then: Target {
                block: then.0,
                args: then.1.to_vec(),
            },
            otherwise: Target {
                block: otherwise.0,
                args: otherwise.1.to_vec(),
            },
        });
    }

    /// Ends the block and the program.
    pub fn ret(&mut self, value: Value) {
        self.terminate(Terminator::Return(value));
    }
}
