//! From IR to machine blocks over virtual registers.
//!
//! In: a verified function. Out: a [`MachFunction`] with an instruction for everything that has an effect or is needed
//! for one, and a block of its own on every edge that leaves a branch and meets others.

use super::cold::Cold;
use super::machine::{Access, Given, MachBlock, MachFunction, MachInst, MachOp, preg};
use super::select::{Def, Selected, Selector, Source, Use};
use super::{RESULT, argument};
use crate::bpf::op;
use crate::ir::cfg::Cfg;
use crate::ir::{Block, Function, Inst, Role, Target, Terminator, Value, shared_frame};
use crumbs_grammar::span::Span;
use regalloc2::{Operand, RegClass, VReg};

/// How many values made on the spot are remembered: no more than there are registers for.
const MADE: usize = 8;

pub(super) fn lower(func: &Function) -> MachFunction {
    let cfg = Cfg::of(func);
    let selector = Selector::of(func, &cfg);
    let needs = Needs::of(func, &cfg, &selector);
    let cold = Cold::of(func, &cfg);
    let mut lowering = Lowering {
        func,
        selector: &selector,
        needs: &needs,
        cold: &cold,
        numbering: Numbering::of(func, &cfg),
        out: MachFunction::default(),
        vregs: vec![None; func.values as usize],
        ctx: None,
        arguments: [None; 5],
        span: Span::default(),
        made: Vec::new(),
    };
    // The allocator keeps what lives at the ends of blocks as sets of numbers, in words that few should be different.
    for value in (0..func.values).map(Value) {
        if needs.across[value.0 as usize] {
            lowering.vreg(value);
        }
    }
    for &block in &cfg.order {
        lowering.body(block);
        lowering.edges(block);
    }
    let mut out = lowering.out;
    for i in 0..out.blocks.len() {
        for succ in out.blocks[i].succs.clone() {
            out.blocks[succ.index()].preds.push(regalloc2::Block::new(i));
        }
    }
    out
}

/// Which values are needed in registers.
struct Needs {
    values: Vec<bool>,
    /// Which of them are needed in other blocks than the one that defines them.
    across: Vec<bool>,
    /// The block that defines each value, by number.
    homes: Vec<u32>,
    /// The block whose needs are being looked at.
    at: Block,
    ctx: bool,
    /// Which arguments of a callback, from 0.
    arguments: [bool; 5],
}

impl Needs {
    /// Starts from what has effects and follows operands up.
    fn of(func: &Function, cfg: &Cfg, selector: &Selector<'_>) -> Self {
        let mut needs = Self {
            values: vec![false; func.values as usize],
            across: vec![false; func.values as usize],
            homes: homes(func, cfg),
            at: func.entry,
            ctx: false,
            arguments: [false; 5],
        };
        let mut parameters = vec![None; func.values as usize];
        let mut pending = Vec::new();
        for &block in &cfg.order {
            needs.at = block;
            let data = &func.blocks[block.0 as usize];
            for (i, param) in data.params.iter().enumerate() {
                parameters[param.0 as usize] = Some((block, i));
            }
            for &inst in &data.insts {
                if Selector::has_effect(&func.insts[inst.0 as usize].op) {
                    needs.selection(&selector.select(inst, false), &mut pending);
                }
            }
            match &data.terminator {
                Some(Terminator::Branch { cond, a, b, .. }) => {
                    for (source, _) in selector.branch(*cond, *a, *b).uses {
                        needs.source(source, &mut pending);
                    }
                }
                Some(Terminator::Return(value)) => needs.source(selector.source(*value), &mut pending),
                Some(Terminator::Jump(_)) | None => {}
            }
        }
        while let Some(value) = pending.pop() {
            if let Some(inst) = selector.definition(value) {
                needs.at = Block(needs.homes[value.0 as usize]);
                needs.selection(&selector.select(inst, true), &mut pending);
            } else if let Some((block, i)) = parameters[value.0 as usize] {
                for &predecessor in cfg.predecessors(block) {
                    needs.at = predecessor;
                    let terminator = func.blocks[predecessor.0 as usize].terminator.iter();
                    for target in terminator
                        .flat_map(Terminator::targets)
                        .filter(|t| t.block == block)
                    {
                        needs.source(selector.source(target.args[i]), &mut pending);
                    }
                }
            }
        }
        needs
    }

    fn selection(&mut self, selection: &[Selected], pending: &mut Vec<Value>) {
        for (source, _) in selection.iter().flat_map(|s| &s.uses) {
            self.source(*source, pending);
        }
    }

    fn source(&mut self, source: Source, pending: &mut Vec<Value>) {
        if let Source::Value(value) = source {
            self.across[value.0 as usize] |= self.homes[value.0 as usize] != self.at.0;
        }
        match source {
            Source::Value(value) if !std::mem::replace(&mut self.values[value.0 as usize], true) => {
                pending.push(value);
            }
            Source::Ctx => self.ctx = true,
            Source::Argument(n) => self.arguments[usize::from(n)] = true,
            _ => {}
        }
    }

    fn has(&self, value: Value) -> bool {
        self.values[value.0 as usize]
    }
}

/// The number of the block that defines each value.
fn homes(func: &Function, cfg: &Cfg) -> Vec<u32> {
    let mut homes = vec![0; func.values as usize];
    for &block in &cfg.order {
        let data = &func.blocks[block.0 as usize];
        let results = data
            .insts
            .iter()
            .filter_map(|inst| func.insts[inst.0 as usize].result);
        for value in data.params.iter().copied().chain(results) {
            homes[value.0 as usize] = block.0;
        }
    }
    homes
}

/// The machine blocks' numbers: a body for every reachable block, followed by those of its edges that are critical.
struct Numbering {
    bodies: Vec<usize>,
    /// Per block and target, the block on the edge.
    edges: Vec<[Option<usize>; 2]>,
}

impl Numbering {
    fn of(func: &Function, cfg: &Cfg) -> Self {
        let mut numbering = Self {
            bodies: vec![usize::MAX; func.blocks.len()],
            edges: vec![[None; 2]; func.blocks.len()],
        };
        let mut next = 0;
        for &block in &cfg.order {
            numbering.bodies[block.0 as usize] = next;
            next += 1;
            if let Some(Terminator::Branch { then, otherwise, .. }) =
                &func.blocks[block.0 as usize].terminator
            {
                for (i, target) in [then, otherwise].into_iter().enumerate() {
                    if cfg.predecessors(target.block).len() > 1 {
                        numbering.edges[block.0 as usize][i] = Some(next);
                        next += 1;
                    }
                }
            }
        }
        numbering
    }

    fn body(&self, block: Block) -> regalloc2::Block {
        regalloc2::Block::new(self.bodies[block.0 as usize])
    }

    /// Where the branch that ends `from` goes on for its target number `i`.
    fn successor(&self, from: Block, i: usize, target: &Target) -> regalloc2::Block {
        match self.edges[from.0 as usize][i] {
            Some(edge) => regalloc2::Block::new(edge),
            None => self.body(target.block),
        }
    }
}

struct Lowering<'a> {
    func: &'a Function,
    selector: &'a Selector<'a>,
    needs: &'a Needs,
    cold: &'a Cold,
    numbering: Numbering,
    out: MachFunction,
    /// Per value, its register.
    vregs: Vec<Option<VReg>>,
    ctx: Option<VReg>,
    /// The arguments of a callback.
    arguments: [Option<VReg>; 5],
    span: Span,
    /// What was made on the spot in this block and can be used again: since the last call, which would destroy it.
    made: Vec<(Source, VReg)>,
}

impl Lowering<'_> {
    fn body(&mut self, block: Block) {
        let data = &self.func.blocks[block.0 as usize];
        let params = data
            .params
            .iter()
            .filter(|p| self.is_handed_over(**p))
            .copied()
            .collect::<Vec<_>>();
        let params = params.into_iter().map(|p| self.vreg(p)).collect();
        let cold = self.cold.root(block).map(|root| self.numbering.body(root));
        self.start_block(params, cold);
        if block == self.func.entry {
            self.start();
        }
        for &inst in &data.insts {
            self.inst(inst);
        }
        self.span = data.terminator_span;
        match &data.terminator {
            Some(Terminator::Jump(target)) => self.jump(target),
            Some(Terminator::Branch {
                cond,
                a,
                b,
                then,
                otherwise,
            }) => {
                let branch = self.selector.branch(*cond, *a, *b);
                let operands = self.operands(&branch.uses, None);
                self.push(MachOp::Branch(branch.compare), &operands);
                let then = self.numbering.successor(block, 0, then);
                let otherwise = self.numbering.successor(block, 1, otherwise);
                let succs = if branch.negated {
                    vec![otherwise, then]
                } else {
                    vec![then, otherwise]
                };
                self.end_block(succs, Vec::new());
            }
            Some(Terminator::Return(value)) => {
                let source = self.selector.source(*value);
                let operands = self.operands(&[(source, Use::Fixed(RESULT))], None);
                self.push(MachOp::Return, &operands);
                self.end_block(Vec::new(), Vec::new());
            }
            None => unreachable!("verified functions have their reachable blocks terminated"),
        }
    }

    /// Takes the arguments out of their registers. A callback finds the context in the shared frame.
    fn start(&mut self) {
        let mut wanted = self.needs.arguments;
        let frame = match self.func.role {
            Role::Main => {
                wanted = [self.needs.ctx, false, false, false, false];
                None
            }
            Role::Subprogram { .. } => None,
            Role::Callback { frame, .. } => {
                wanted[usize::from(frame)] |= self.needs.ctx;
                Some(usize::from(frame))
            }
        };
        let mut operands = Vec::new();
        for (i, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            let vreg = self.fresh();
            self.arguments[i] = Some(vreg);
            operands.push(Operand::reg_fixed_def(vreg, preg(argument(i))));
        }
        if operands.is_empty() {
            return;
        }
        self.push(MachOp::Start, &operands);
        self.ctx = match frame {
            None if self.func.role == Role::Main => self.arguments[0],
            Some(frame) if self.needs.ctx => {
                let ctx = self.fresh();
                let frame = self.arguments[frame].expect("the frame was asked for");
                let load = MachOp::Load {
                    size: op::DW,
                    at: Access {
                        frame: false,
                        offset: shared_frame::CTX,
                    },
                };
                self.push(load, &[Operand::reg_use(frame), Operand::reg_def(ctx)]);
                Some(ctx)
            }
            _ => None,
        };
    }

    /// The blocks on the critical edges that leave `block`.
    fn edges(&mut self, block: Block) {
        let Some(terminator) = &self.func.blocks[block.0 as usize].terminator else {
            return;
        };
        let cold = self.cold.root(block).map(|root| self.numbering.body(root));
        let cold_side = self.cold.side(terminator);
        for (i, target) in terminator.targets().enumerate() {
            if let Some(edge) = self.numbering.edges[block.0 as usize][i] {
                let own = (cold_side == Some(i)).then(|| regalloc2::Block::new(edge));
                self.start_block(Vec::new(), cold.or(own));
                self.jump(target);
            }
        }
    }

    /// Whether a parameter is in a register of its own that jumps fill.
    fn is_handed_over(&self, param: Value) -> bool {
        !self.selector.is_alias(param) && self.needs.has(param)
    }

    fn jump(&mut self, target: &Target) {
        let params = &self.func.blocks[target.block.0 as usize].params;
        let mut args = Vec::new();
        for (&param, &arg) in params.iter().zip(&target.args) {
            if self.is_handed_over(param) {
                let source = self.selector.source(arg);
                args.push(self.register(source, None, false));
            }
        }
        self.push(MachOp::Jump, &[]);
        let body = self.numbering.body(target.block);
        self.end_block(vec![body], args);
    }

    fn inst(&mut self, inst: Inst) {
        let data = &self.func.insts[inst.0 as usize];
        let result = data.result.filter(|r| self.needs.has(*r));
        if result.is_none() && !Selector::has_effect(&data.op) {
            return;
        }
        self.span = data.span;
        let selection = self.selector.select(inst, result.is_some());
        let last = selection.len().saturating_sub(1);
        let mut previous = None;
        for (i, selected) in selection.into_iter().enumerate() {
            let defined = match selected.def {
                Def::None => None,
                _ if i == last && result.is_some() => result.map(|r| self.vreg(r)),
                _ => Some(self.fresh()),
            };
            self.selected(selected, previous, defined);
            previous = defined;
        }
    }

    fn selected(&mut self, mut selected: Selected, previous: Option<VReg>, defined: Option<VReg>) {
        if let (Some((Source::Memory(at), kind)), Some(access)) =
            (selected.uses.first_mut(), selected.op.access_mut())
            && !access.frame
            && *kind == Use::Reg
        {
            // Go by an address nearby that is in a register already.
            let wanted = i64::from(*at) + i64::from(access.offset);
            let near = self.made.iter().find_map(|(source, _)| match source {
                Source::Memory(base) => Some((*base, i16::try_from(wanted - i64::from(*base)).ok()?)),
                _ => None,
            });
            if let Some((base, offset)) = near {
                *at = base;
                access.offset = offset;
            }
        }
        if let MachOp::Call { given, .. } = &mut selected.op {
            *given = self.given(&mut selected.uses);
        }
        let overwritten = match selected.def {
            Def::Reuse(i) => Some(i),
            _ => None,
        };
        let uses: Vec<_> = selected
            .uses
            .iter()
            .enumerate()
            .map(|(i, (source, kind))| {
                let again = Some(i) != overwritten && !matches!(kind, Use::Fixed(_));
                (self.register(*source, previous, again), *kind)
            })
            .collect();
        let mut operands: Vec<_> = uses.into_iter().map(operand).collect();
        if let Some(vreg) = defined {
            operands.push(match selected.def {
                Def::Reuse(i) => Operand::reg_reuse_def(vreg, i),
                Def::Fixed(reg) => Operand::reg_fixed_def(vreg, preg(reg)),
                Def::Reg | Def::None => Operand::reg_def(vreg),
            });
        }
        if matches!(selected.op, MachOp::Call { .. }) {
            self.made.clear();
        }
        self.push(selected.op, &operands);
    }

    /// Takes those arguments of a call that are made on the spot out of its operands.
    fn given(&mut self, uses: &mut Vec<(Source, Use)>) -> Given {
        let first = self.out.given.len();
        uses.retain(|&(source, kind)| match (kind, made(source)) {
            (Use::Fixed(reg), Some(op)) => {
                self.out.given.push((reg, op));
                false
            }
            _ => true,
        });
        Given {
            first: first as u32,
            count: (self.out.given.len() - first) as u32,
        }
    }

    fn operands(&mut self, uses: &[(Source, Use)], previous: Option<VReg>) -> Vec<Operand> {
        let uses: Vec<_> = uses
            .iter()
            .map(|(source, kind)| {
                let again = !matches!(kind, Use::Fixed(_));
                (self.register(*source, previous, again), *kind)
            })
            .collect();
        uses.into_iter().map(operand).collect()
    }

    /// The register of a source, made if need be. With `again`, one that others use too.
    fn register(&mut self, source: Source, previous: Option<VReg>, again: bool) -> VReg {
        let op = match source {
            Source::Value(value) => return self.vreg(value),
            Source::Ctx => return self.ctx.expect("a context that is used is needed"),
            Source::Argument(n) => {
                return self.arguments[usize::from(n)].expect("an argument that is used is needed");
            }
            Source::Previous => {
                return previous.expect("a selection refers back only behind its first operation");
            }
            source => made(source).expect("whatever else there is can be made"),
        };
        if again && let Some((_, vreg)) = self.made.iter().find(|(s, _)| *s == source) {
            return *vreg;
        }
        let vreg = self.fresh();
        self.push(op, &[Operand::reg_def(vreg)]);
        if again {
            if self.made.len() == MADE {
                self.made.remove(0);
            }
            self.made.push((source, vreg));
        }
        vreg
    }

    fn vreg(&mut self, value: Value) -> VReg {
        match self.vregs[value.0 as usize] {
            Some(vreg) => vreg,
            None => {
                let vreg = self.fresh();
                self.vregs[value.0 as usize] = Some(vreg);
                vreg
            }
        }
    }

    fn fresh(&mut self) -> VReg {
        self.out.vregs += 1;
        VReg::new(self.out.vregs - 1, RegClass::Int)
    }

    fn push(&mut self, op: MachOp, operands: &[Operand]) {
        self.out.operands.extend_from_slice(operands);
        self.out.insts.push(MachInst {
            op,
            operands_end: self.out.operands.len() as u32,
            span: self.span,
        });
    }

    fn start_block(&mut self, params: Vec<VReg>, cold: Option<regalloc2::Block>) {
        self.made.clear();
        self.out.blocks.push(MachBlock {
            cold,
            first: self.out.insts.len(),
            end: 0,
            params,
            succs: Vec::new(),
            preds: Vec::new(),
            args: Vec::new(),
        });
    }

    fn end_block(&mut self, succs: Vec<regalloc2::Block>, args: Vec<VReg>) {
        let end = self.out.insts.len();
        let block = self.out.blocks.last_mut().expect("a block ends after it started");
        block.end = end;
        block.succs = succs;
        block.args = args;
    }
}

/// What makes a source on the spot, if that can be done.
fn made(source: Source) -> Option<MachOp> {
    Some(match source {
        Source::Const(c) => MachOp::LoadImm(c),
        Source::Frame(offset) => MachOp::FrameAddr(offset),
        Source::Memory(offset) => MachOp::MemoryAddr(offset),
        Source::Map(map) => MachOp::MapAddr(map),
        Source::Callback(id) => MachOp::CallbackAddr(id),
        Source::Value(_) | Source::Ctx | Source::Argument(_) | Source::Previous => return None,
    })
}

fn operand((vreg, kind): (VReg, Use)) -> Operand {
    match kind {
        Use::Reg => Operand::reg_use(vreg),
        Use::Late => Operand::reg_use_at_end(vreg),
        Use::Fixed(reg) => Operand::reg_fixed_use(vreg, preg(reg)),
    }
}
