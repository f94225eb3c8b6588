//! Decides where everything lives: typed HIR → [`Plan`].
//!
//! In: a checked script and the target. Out: a plan that is final but for the scratch slots, whose size is known only
//! once all programs are optimised ([`Layout::reserve_scratch`]).
//!
//! Invariants: all offsets are multiples of 8; stripes and scratch start at multiples of 64, so that two CPUs never
//! share a cache line; every map has its own loss counters.

use crate::hir::{ExprKind, Intrinsic, Map, Probe, Script, StmtKind};
use crate::merging::{self, Merging};
use crate::plan::{
    AfterPrint, Attach, BpfMap, BpfMapId, BpfMapKind, Event, EventKind, Generations, Loss, LossKind, MapId,
    MapPlan, MemoryPlan, Plan, ProgramKind, ProgramPlan, Refused, Rings, Scratch, Storage, Stripes,
};
use crate::target::{Feature, Target};
use crate::types::{Type, align_to};
use crate::visit::{self, Node};
use std::collections::HashMap;

/// `BPF_F_NO_PREALLOC` of `map_flags` (include/uapi/linux/bpf.h).
const NO_PREALLOC: u32 = 1;
/// What a preallocated map may occupy, in bytes, all CPUs together, before its capacity is cut.
const PREALLOC_BUDGET: u64 = 32 << 20;
/// Bytes the kernel adds to each element of a hash map (`struct htab_elem`, kernel/bpf/hashtab.c).
const ELEMENT_OVERHEAD: u64 = 48;
/// Elements at most of the map that takes what a per-CPU map had no memory for.
const OVERFLOW_ENTRIES: u32 = 1 << 14;
/// Size of the ring for control events that the main ring had no room for, in bytes: some thousands of them.
const CONTROL_RING_BYTES: u32 = 1 << 18;
/// Slots for control events that both rings refused: until so many are waiting, their order is kept.
const REFUSED_SLOTS: u32 = 1 << 10;
/// Scratch slots for each CPU: a program, what interrupts it (soft and hard interrupts, NMI), and a few more that were
/// preempted while they held one.
const SCRATCH_PER_CPU: u32 = 8;

/// A plan in the making and what only lowering needs to know of it.
#[derive(Debug)]
pub struct Layout {
    /// The plan.
    pub plan: Plan,
    /// Offset in the program memory of an area that is always zero: what new elements are copied from.
    pub zeros: u32,
    /// Its size in bytes.
    pub zeros_size: u32,
}

impl Layout {
    /// The counter of a kind of loss.
    pub fn loss(&self, kind: LossKind) -> &Loss {
        // Every kind and map has a row, made by `losses`.
        self.plan
            .losses
            .iter()
            .find(|loss| loss.kind == kind)
            .expect("every kind of loss has a counter")
    }

    /// What `tseries` takes for the time in place of the clock's, if anything, and its type.
    pub fn series_clock<'a>(&'a self, config: &crate::hir::Config) -> Option<(MapId, &'a Type)> {
        let name = config.series_clock.as_ref()?;
        let index = self.plan.maps.iter().position(|map| map.name == *name)?;
        Some((MapId(u32::try_from(index).ok()?), &self.plan.maps[index].value))
    }

    /// Reserves the scratch slots in a copy of the plan, once it is known how many bytes of scratch a program needs,
    /// claim word included; none if that is 0.
    pub fn reserve_scratch(&self, plan: &mut Plan, bytes: u32) {
        if bytes == 0 {
            return;
        }
        let memory = &mut plan.memory;
        let slots = memory.stripes.count * SCRATCH_PER_CPU;
        let slot_size = align_to(bytes, 64);
        memory.scratch = Scratch {
            offset: memory.size,
            slots,
            slot_size,
        };
        memory.size += slots * slot_size;
    }
}

/// Lays out a script for a target.
pub fn layout(script: &Script, target: &dyn Target) -> Layout {
    let mut cx = LayoutCx {
        target,
        script,
        bpf_maps: Vec::new(),
        words: MemoryPlan::WORDS,
        losses: losses(script),
        merging: merging::rules(script),
        stripe: 0,
    };
    cx.stripe = 8 * cx.losses.len() as u32;
    let maps = (0..script.maps.len()).map(|i| cx.map(i)).collect();
    let rings = (!script.events.is_empty()).then(|| cx.rings());
    let largest = cx.bpf_maps.iter().map(|map| map.value_size).max().unwrap_or(0);
    let zeros_size = align_to(largest.max(script.config.max_strlen + 1), 64);
    let zeros = cx.words;
    let stripes = Stripes {
        offset: align_to(zeros + zeros_size, 64),
        count: target.possible_cpus().next_power_of_two(),
        stride: align_to(cx.stripe, 64),
    };
    let end = stripes.offset + stripes.count * stripes.stride;
    let refused = refused(script, target, end);
    let memory = MemoryPlan {
        size: end + align_to(refused.size(), 64),
        stripes,
        refused,
        scratch: Scratch::default(),
    };
    let mut programs: Vec<ProgramPlan> = script
        .probes
        .iter()
        .enumerate()
        .map(|(i, probe)| program(i, probe))
        .collect();
    spread(&mut programs);
    let plan = Plan {
        arch: target.arch(),
        programs,
        sites: script.sites.clone(),
        late_sites: Default::default(),
        maps,
        bpf_maps: cx.bpf_maps,
        memory,
        events: script.events.clone(),
        rings,
        losses: cx.losses,
        structs: script.structs.clone(),
        settings: script.settings.clone(),
    };
    Layout {
        plan,
        zeros,
        zeros_size,
    }
}

/// Where control events are noted, from `offset` on.
fn refused(script: &Script, target: &dyn Target, offset: u32) -> Refused {
    if !script.events.iter().any(Event::is_noted) {
        return Refused::default();
    }
    Refused {
        offset,
        events: script.events.len() as u32,
        // An event finds its slot by its number, and takes it by compare-and-exchange.
        slots: if target.has(Feature::FullAtomics) {
            REFUSED_SLOTS
        } else {
            0
        },
    }
}

/// Whether the script has loops that the kernel may have to end.
fn has_loops(script: &Script) -> bool {
    script.probes.iter().any(|probe| {
        visit::any_node_of(probe, &mut |node| match node {
            Node::Stmt(stmt) => matches!(stmt.kind, StmtKind::ForRange { .. } | StmtKind::While { .. }),
            Node::Expr(_) => false,
        })
    })
}

/// Whether the script may divide by zero.
fn has_divisions(script: &Script) -> bool {
    script.probes.iter().any(|probe| {
        visit::any_node_of(probe, &mut |node| match node {
            Node::Stmt(stmt) => {
                matches!(&stmt.kind, StmtKind::UpdateMap { op, value, .. } if op.may_divide_by_zero(value))
            }
            Node::Expr(expr) => matches!(&expr.kind, ExprKind::Arith(op, _, by) if op.may_divide_by_zero(by)),
        })
    })
}

/// Whether the script measures calls.
fn has_calls(script: &Script) -> bool {
    script.probes.iter().any(|probe| {
        visit::any_node_of(probe, &mut |node| match node {
            Node::Stmt(_) => false,
            Node::Expr(expr) => matches!(expr.kind, ExprKind::Intrinsic(Intrinsic::CountLostCalls, _)),
        })
    })
}

fn losses(script: &Script) -> Vec<Loss> {
    let general = [LossKind::Event, LossKind::Scratch, LossKind::Read];
    let general = general
        .into_iter()
        .chain(has_loops(script).then_some(LossKind::Loop))
        .chain(has_divisions(script).then_some(LossKind::ZeroDivision))
        .chain(has_calls(script).then_some(LossKind::Calls));
    let maps = (0..script.maps.len() as u32)
        .flat_map(|i| [LossKind::MapFull(MapId(i)), LossKind::Contended(MapId(i))]);
    let lengths = (0..).zip(&script.maps).filter_map(|(i, map)| {
        let is_in_two = map.key.is_some() && matches!(map.value, Type::Agg(_));
        (map.measured && is_in_two).then_some(LossKind::Length(MapId(i)))
    });
    general
        .chain(maps)
        .chain(lengths)
        .enumerate()
        .map(|(i, kind)| Loss {
            kind,
            offset: 8 * i as u32,
        })
        .collect()
}

/// How many programs share an ELF section.
const CROWD: usize = 16;

/// Gives many programs of a kind sections of their own: loaders look through the records of a whole section for each of its
/// programs, and copy them.
fn spread(programs: &mut [ProgramPlan]) {
    let mut crowds: HashMap<String, usize> = HashMap::new();
    for program in programs {
        // Others name a function already, or must not be followed by anything (`perf_event`).
        if !matches!(
            program.section.as_str(),
            "kprobe" | "uprobe" | "tracepoint" | "raw_tp"
        ) {
            continue;
        }
        let before = crowds.entry(program.section.clone()).or_default();
        if *before >= CROWD {
            program.section = format!("{}/{}", program.section, *before / CROWD);
        }
        *before += 1;
    }
}

fn program(index: usize, probe: &Probe) -> ProgramPlan {
    let section = match probe.kind {
        // Loaders find what the program is for by the section's name.
        ProgramKind::Tracing => match probe.attach.first() {
            Some(Attach::Function {
                on_return, function, ..
            }) => &format!("{}/{function}", if *on_return { "fexit" } else { "fentry" }),
            Some(Attach::Iterator { list, .. }) => &format!("iter/{list}"),
            _ => "fentry",
        },
        ProgramKind::RawTracepoint => "raw_tp",
        ProgramKind::Kprobe if probe.attach.iter().any(Attach::is_on_user_code) => "uprobe",
        ProgramKind::Kprobe => "kprobe",
        ProgramKind::Tracepoint => "tracepoint",
        ProgramKind::PerfEvent => "perf_event",
    };
    ProgramPlan {
        symbol: format!("p{index}_{}", probe.kind_name),
        section: section.to_owned(),
        kind: probe.kind,
        sleepable: false,
        attach: probe.attach.clone(),
        span: probe.span,
    }
}

struct LayoutCx<'a> {
    target: &'a dyn Target,
    script: &'a Script,
    bpf_maps: Vec<BpfMap>,
    /// End of the words so far.
    words: u32,
    losses: Vec<Loss>,
    merging: Vec<Option<Merging>>,
    /// End of the stripe so far.
    stripe: u32,
}

impl LayoutCx<'_> {
    fn map(&mut self, index: usize) -> MapPlan {
        let map = &self.script.maps[index];
        let storage = match (&map.value, &map.key) {
            (Type::Agg(agg), None) => {
                let words = agg.words();
                // A bucket index is masked to a power of two before it is used.
                let bytes = 8 * if agg.is_chunked() {
                    words.next_power_of_two()
                } else {
                    words
                };
                let offset = self.stripe;
                let selector = (map.taken && agg.aggregation().is_indivisible()).then(|| self.word(1));
                self.stripe += if selector.is_some() { 2 * bytes } else { bytes };
                Storage::Striped {
                    offset,
                    bytes,
                    selector,
                }
            }
            (Type::Agg(agg), Some(key)) => {
                let chunked = agg.is_chunked();
                let key_size = key.slot_size() + if chunked { 8 } else { 0 };
                let value_size = if chunked {
                    8 * crate::aggregation::CHUNK_WORDS
                } else {
                    agg.slot_size()
                };
                let kind = match map.evicts {
                    true => BpfMapKind::LruPerCpuHash,
                    false => BpfMapKind::PerCpuHash,
                };
                let maps = self.generations(index, map, "", kind, key_size, value_size);
                let overflow = match maps {
                    Generations::One(_) => Generations::One(self.overflow(index, "o", key_size, value_size)),
                    Generations::Two { selector, .. } => Generations::Two {
                        maps: ["o", "q"].map(|tag| self.overflow(index, tag, key_size, value_size)),
                        selector,
                    },
                };
                Storage::PerCpu {
                    maps,
                    overflow,
                    chunked,
                }
            }
            (value, None) if value.is_scalar() => Storage::Words { offset: self.word(2) },
            (value, key) => {
                let key_size = key.as_ref().map_or(4, Type::slot_size);
                let kind = match map.evicts && key.is_some() {
                    true => BpfMapKind::LruHash,
                    false => BpfMapKind::Hash,
                };
                Storage::Hash(self.generations(index, map, "", kind, key_size, value.slot_size()))
            }
        };
        MapPlan {
            name: map.name.clone(),
            key: map.key.clone(),
            value: map.value.clone(),
            storage,
            length: map.measured.then(|| self.word(2)),
            declared: map.max_entries.is_some(),
            watched: self.is_watched(MapId(index as u32)),
            merging: self.merging[index],
            span: map.span,
        }
    }

    fn is_watched(&self, map: MapId) -> bool {
        let Type::Agg(agg) = &self.script.maps[map.0 as usize].value else {
            return false;
        };
        let is_read = |event: &Event| match &event.kind {
            EventKind::PrintMap {
                map: printed,
                then: AfterPrint::Keep,
                ..
            } => *printed == map,
            EventKind::Table(table) => table.columns.iter().any(|(shown, _)| *shown == map),
            _ => false,
        };
        let is_number = |node: Node<'_>| match node {
            Node::Expr(expr) => matches!(expr.kind, ExprKind::Reduced { map: read, .. } if read == map),
            Node::Stmt(stmt) => matches!(stmt.kind, StmtKind::ForMap { map: read, .. } if read == map),
        };
        agg.aggregation().is_counted()
            && (self.script.events.iter().any(is_read)
                || self
                    .script
                    .probes
                    .iter()
                    .any(|probe| visit::any_node_of(probe, &mut |node| is_number(node))))
    }

    /// `count` zeroed words; gives the offset of the first.
    fn word(&mut self, count: u32) -> u32 {
        self.words += 8 * count;
        self.words - 8 * count
    }

    fn generations(
        &mut self,
        index: usize,
        map: &Map,
        tag: &str,
        kind: BpfMapKind,
        key_size: u32,
        value_size: u32,
    ) -> Generations {
        let wanted = self.capacity(map);
        let first = self.hash(
            &format!("m{index}{tag}_{}", map.name),
            kind,
            key_size,
            value_size,
            wanted,
        );
        if !map.taken {
            return Generations::One(first);
        }
        let second = self.hash(
            &format!("n{index}{tag}_{}", map.name),
            kind,
            key_size,
            value_size,
            wanted,
        );
        Generations::Two {
            maps: [first, second],
            selector: self.word(1),
        }
    }

    /// How many elements the script wants a map to hold.
    fn capacity(&self, map: &Map) -> u32 {
        match map.key {
            None => 1,
            Some(_) => map.max_entries.unwrap_or(self.script.config.max_map_keys),
        }
    }

    fn overflow(&mut self, index: usize, tag: &str, key_size: u32, value_size: u32) -> BpfMapId {
        let name = format!("{tag}{index}_{}", self.script.maps[index].name);
        let wanted = self.capacity(&self.script.maps[index]).min(OVERFLOW_ENTRIES);
        self.hash(&name, BpfMapKind::Hash, key_size, value_size, wanted)
    }

    fn hash(
        &mut self,
        name: &str,
        kind: BpfMapKind,
        key_size: u32,
        value_size: u32,
        wanted: u32,
    ) -> BpfMapId {
        let lazy = self.target.has(Feature::LazyHash) && !kind.evicts();
        let copies = if kind.is_per_cpu() {
            u64::from(self.target.possible_cpus())
        } else {
            1
        };
        let element = ELEMENT_OVERHEAD + u64::from(key_size) + copies * u64::from(value_size);
        let affordable = (PREALLOC_BUDGET / element).max(1) as u32;
        self.bpf_maps.push(BpfMap {
            symbol: symbol(name),
            kind,
            key_size,
            value_size,
            // A map that drops elements does so where the script says.
            max_entries: match lazy || kind.evicts() {
                true => wanted,
                false => wanted.min(affordable),
            },
            flags: if lazy { NO_PREALLOC } else { 0 },
        });
        BpfMapId(self.bpf_maps.len() as u32 - 1)
    }

    fn rings(&mut self) -> Rings {
        let mut ring = |symbol: &str, bytes: u32| {
            self.bpf_maps.push(BpfMap {
                symbol: symbol.to_owned(),
                kind: BpfMapKind::RingBuf,
                key_size: 0,
                value_size: 0,
                max_entries: bytes,
                flags: 0,
            });
            BpfMapId(self.bpf_maps.len() as u32 - 1)
        };
        Rings {
            main: ring("events", self.script.config.ring_bytes),
            control: ring("control", CONTROL_RING_BYTES),
        }
    }
}

/// A C identifier of at most 15 characters (`BPF_OBJ_NAME_LEN` less the NUL).
fn symbol(name: &str) -> String {
    let clean = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let text: String = clean.take(15).collect();
    text.trim_end_matches('_').to_owned()
}
