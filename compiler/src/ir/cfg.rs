//! Order and dominance of a function's blocks.
//!
//! In: a [`Function`] whose reachable blocks are terminated. Out: its reachable blocks in reverse postorder (a block
//! stands behind all that dominate it), how many edges enter each, and each one's immediate dominator.

use super::{Block, Function, Terminator};

/// The control flow of a function, as it was when [`Cfg::of`] looked.
#[derive(Clone, Debug)]
pub struct Cfg {
    /// The reachable blocks in reverse postorder; the entry comes first.
    pub order: Vec<Block>,
    /// Per block, its place in `order`; `None` where it is unreachable.
    position: Vec<Option<u32>>,
    /// Per place in `order`, the place of the immediate dominator (the entry's is itself).
    dominators: Vec<u32>,
    /// The reachable blocks in preorder of the dominator tree: all that a block dominates follow it without a gap.
    pub preorder: Vec<Block>,
    /// Per place in `order`, the places in `preorder` of the block itself and of the last one that it dominates.
    subtrees: Vec<(u32, u32)>,
    /// The blocks that edges between reachable blocks come from, by the block that they go to.
    edges: Vec<Block>,
    /// Per block, where in `edges` its own begin; they end where the next block's begin.
    edge_starts: Vec<u32>,
}

impl Cfg {
    /// Looks at `func`. Jumps to blocks that do not exist are passed over, so that [`mod@super::verify`] can report them.
    pub fn of(func: &Function) -> Self {
        let order = reverse_postorder(func);
        let mut position = vec![None; func.blocks.len()];
        for (i, block) in order.iter().enumerate() {
            position[block.0 as usize] = Some(i as u32);
        }
        let (edges, edge_starts) = edges(func, &order);
        let mut cfg = Self {
            order,
            position,
            dominators: Vec::new(),
            preorder: Vec::new(),
            subtrees: Vec::new(),
            edges,
            edge_starts,
        };
        cfg.dominators = dominators(&cfg);
        (cfg.preorder, cfg.subtrees) = number_tree(&cfg.order, &cfg.dominators);
        cfg
    }

    /// Whether execution can get there.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.place(block).is_some()
    }

    /// The reachable blocks that jump to `block`, once for each edge.
    pub fn predecessors(&self, block: Block) -> &[Block] {
        let ends = self.edge_starts.get(block.0 as usize..block.0 as usize + 2);
        let range = ends.map(|ends| ends[0] as usize..ends[1] as usize);
        range.map_or(&[], |range| &self.edges[range])
    }

    /// Whether every way from the entry to `b` leads through `a` (a block dominates itself). Both must be reachable;
    /// of others it is false.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let (Some(a), Some(b)) = (self.place(a), self.place(b)) else {
            return false;
        };
        let (first, last) = self.subtrees[a as usize];
        (first..=last).contains(&self.subtrees[b as usize].0)
    }

    /// The immediate dominator of a reachable block other than the entry.
    pub fn immediate_dominator(&self, block: Block) -> Option<Block> {
        let place = self.place(block)?;
        (place > 0).then(|| self.order[self.dominators[place as usize] as usize])
    }

    /// The loops: for every edge to the same or an earlier place in [`Cfg::order`], the places that it goes to and comes
    /// from, in the order of the latter.
    pub fn loops(&self, func: &Function) -> Vec<(u32, u32)> {
        let mut loops = Vec::new();
        for (from, &block) in (0..).zip(&self.order) {
            let places = successors(func, block).filter_map(|next| self.place(next));
            loops.extend(places.filter(|&to| to <= from).map(|to| (to, from)));
        }
        loops
    }

    /// The place of a reachable block in [`Cfg::order`].
    pub fn place(&self, block: Block) -> Option<u32> {
        self.position.get(block.0 as usize).copied().flatten()
    }
}

/// Stretches that belong together: those that overlap are joined.
#[derive(Clone, Debug, Default)]
pub struct Stretches(Vec<(u32, u32)>);

impl Stretches {
    /// Joins stretches, whose ends belong to them.
    pub fn join(mut all: Vec<(u32, u32)>) -> Self {
        all.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (start, end) in all {
            match joined.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => joined.push((start, end)),
            }
        }
        Self(joined)
    }

    /// `range` with all of the stretches that it touches.
    pub fn around(&self, range: (u32, u32)) -> (u32, u32) {
        let first = self.0.partition_point(|&(_, end)| end < range.0);
        let behind = self.0.partition_point(|&(start, _)| start <= range.1);
        match self.0.get(first..behind) {
            Some(&[(start, _), .., (_, end)] | &[(start, end)]) => (range.0.min(start), range.1.max(end)),
            _ => range,
        }
    }
}

/// The existing blocks that `block` can go on to, `then` first, once for each edge.
pub fn successors(func: &Function, block: Block) -> impl DoubleEndedIterator<Item = Block> + use<> {
    let (first, second) = match &func.blocks[block.0 as usize].terminator {
        Some(Terminator::Jump(target)) => (Some(target.block), None),
        Some(Terminator::Branch { then, otherwise, .. }) => (Some(then.block), Some(otherwise.block)),
        Some(Terminator::Return(_)) | None => (None, None),
    };
    let blocks = func.blocks.len();
    let all = first.into_iter().chain(second);
    all.filter(move |b| (b.0 as usize) < blocks)
}

/// The edges from blocks of `order`, by target and then in that order; and where each target's begin, with one more
/// place for the end.
fn edges(func: &Function, order: &[Block]) -> (Vec<Block>, Vec<u32>) {
    let mut starts = vec![0_u32; func.blocks.len() + 1];
    for &block in order {
        for successor in successors(func, block) {
            starts[successor.0 as usize + 1] += 1;
        }
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut next = starts.clone();
    let mut edges = vec![Block(0); starts.last().map_or(0, |end| *end as usize)];
    for &block in order {
        for successor in successors(func, block) {
            let place = &mut next[successor.0 as usize];
            edges[*place as usize] = block;
            *place += 1;
        }
    }
    (edges, starts)
}

/// Visits `then` sides last, so that in the result they come first: the code reads in the order of the script.
fn reverse_postorder(func: &Function) -> Vec<Block> {
    let mut postorder = Vec::new();
    if func.entry.0 as usize >= func.blocks.len() {
        return postorder;
    }
    let mut seen = vec![false; func.blocks.len()];
    seen[func.entry.0 as usize] = true;
    // An explicit stack: a script can nest deeper than the machine's stack is.
    let mut stack = vec![(func.entry, successors(func, func.entry).rev())];
    while let Some((block, rest)) = stack.last_mut() {
        match rest.next() {
            Some(next) if !seen[next.0 as usize] => {
                seen[next.0 as usize] = true;
                stack.push((next, successors(func, next).rev()));
            }
            Some(_) => {}
            None => {
                postorder.push(*block);
                stack.pop();
            }
        }
    }
    postorder.reverse();
    postorder
}

/// Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
fn dominators(cfg: &Cfg) -> Vec<u32> {
    const UNKNOWN: u32 = u32::MAX;
    let mut idom = vec![UNKNOWN; cfg.order.len()];
    if idom.is_empty() {
        return idom;
    }
    idom[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for (i, block) in cfg.order.iter().enumerate().skip(1) {
            let mut new = UNKNOWN;
            for p in cfg.predecessors(*block).iter().filter_map(|p| cfg.place(*p)) {
                if idom[p as usize] == UNKNOWN {
                    continue;
                }
                new = if new == UNKNOWN {
                    p
                } else {
                    intersect(&idom, new, p)
                };
            }
            if idom[i] != new {
                idom[i] = new;
                changed = true;
            }
        }
    }
    idom
}

fn intersect(idom: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        while a > b {
            a = idom[a as usize];
        }
        while b > a {
            b = idom[b as usize];
        }
    }
    a
}

/// Preorder of the dominator tree, and the span of each subtree in it.
fn number_tree(order: &[Block], dominators: &[u32]) -> (Vec<Block>, Vec<(u32, u32)>) {
    let mut sizes = vec![1_u32; order.len()];
    for i in (1..order.len()).rev() {
        sizes[dominators[i] as usize] += sizes[i];
    }
    // Dominators precede what they dominate, so each block finds the next free place of its dominator's subtree.
    let mut first = vec![0_u32; order.len()];
    let mut free = vec![1_u32; order.len()];
    let mut preorder = order.to_vec();
    for i in 1..order.len() {
        let above = dominators[i] as usize;
        first[i] = free[above];
        free[above] += sizes[i];
        free[i] = first[i] + 1;
        preorder[first[i] as usize] = order[i];
    }
    let subtrees = first.iter().zip(&sizes).map(|(&f, &size)| (f, f + size - 1));
    (preorder, subtrees.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Builder, Cond};
    use crate::plan::ProgramKind;

    #[test]
    fn dominators_of_a_diamond_in_a_loop() {
        let mut b = Builder::new("f".into(), ProgramKind::Kprobe);
        let [head, left, right, join, out, dead] = std::array::from_fn(|_| b.block());
        let zero = b.iconst(0);
        b.jump(head, &[]);
        b.switch_to(head);
        b.branch(Cond::Eq, zero, zero, left, right);
        b.switch_to(left);
        b.jump(join, &[]);
        b.switch_to(right);
        b.jump(join, &[]);
        b.switch_to(join);
        b.branch(Cond::Eq, zero, zero, head, out);
        b.switch_to(out);
        b.ret(zero);
        b.switch_to(dead);
        b.jump(out, &[]);
        let func = b.finish();
        let cfg = Cfg::of(&func);

        assert_eq!(cfg.order[..3], [Block(0), head, left]);
        assert_eq!(cfg.immediate_dominator(join), Some(head));
        assert_eq!(cfg.immediate_dominator(out), Some(join));
        assert!(cfg.dominates(head, out) && cfg.dominates(join, join));
        assert!(!cfg.dominates(left, join) && !cfg.dominates(out, head));
        assert!(!cfg.is_reachable(dead));
        assert_eq!(cfg.preorder, [Block(0), head, left, right, join, out]);
        assert_eq!(
            cfg.predecessors(out),
            [join],
            "an unreachable block's edge does not count"
        );
        assert_eq!(cfg.predecessors(head), [Block(0), join]);
    }
}
