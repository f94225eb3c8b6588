//! What of the compiler random scripts have reached, so that a run that leaves something out is seen to.
//!
//! A row of [`FEATURES`] has two sides: what is compiled where the kernel has it, which the code of a script shows, and what
//! is done without it, for which scripts are compiled for older kernels ([`crate::older`]), too. (What only attaching needs is reached by
//! scripts that are attached that way.)

use crumbs_compiler::bpf::{Program, op};
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::helper::Helper;
use crumbs_compiler::ir::Home;
use crumbs_compiler::plan::{Attach, ProgramKind, ProgramPlan};
use crumbs_compiler::target::{FEATURES, Feature};
use std::collections::BTreeMap;
use std::fmt;

/// What the rows of missing features begin with.
const WITHOUT: &str = "without ";

/// What is counted besides features.
const ROOM: [&str; 3] = ["spilled values", "values put into slots", "scratch memory"];

/// How many scripts have reached what.
#[derive(Debug, Default)]
pub struct Reached {
    scripts: u64,
    counts: BTreeMap<String, u64>,
}

impl Reached {
    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// A script that was compiled for this machine.
    pub fn compiled(&mut self, compiled: &Compiled) {
        self.scripts += 1;
        for row in FEATURES {
            if is_used(row.feature, compiled) {
                self.count(row.name);
            }
        }
        let has_room = [
            spills(compiled),
            compiled.relieved > 0,
            compiled.plan.memory.scratch.slots > 0,
        ];
        for (what, _) in ROOM.iter().zip(has_room).filter(|(_, has)| *has) {
            self.count(*what);
        }
    }

    /// A script was compiled, or refused, for a kernel that was found to lack a feature.
    pub fn lacked(&mut self, feature: Feature) {
        for row in FEATURES.iter().filter(|row| row.feature == feature) {
            self.count(format!("{WITHOUT}{}", row.name));
        }
    }

    /// How many scripts were compiled for this machine.
    pub fn scripts(&self) -> u64 {
        self.scripts
    }

    /// What no script has reached. Where none was compiled for an older kernel, nothing of those is expected.
    pub fn missing(&self) -> Vec<String> {
        let has_older = self.counts.keys().any(|row| row.starts_with(WITHOUT));
        let expected = rows().filter(|row| has_older || !row.starts_with(WITHOUT));
        expected.filter(|row| !self.counts.contains_key(row)).collect()
    }
}

/// Everything that is counted.
fn rows() -> impl Iterator<Item = String> {
    let with = FEATURES.iter().map(|row| row.name.to_owned());
    let asked = FEATURES.iter().filter(|row| !is_of_attaching(row.feature));
    let without = asked.map(|row| format!("{WITHOUT}{}", row.name));
    with.chain(without).chain(ROOM.map(str::to_owned))
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "of {} scripts:", self.scripts)?;
        for row in rows() {
            writeln!(f, "{:>9} {row}", self.counts.get(&row).unwrap_or(&0))?;
        }
        Ok(())
    }
}

/// Whether only attaching asks for a feature, so that the compiler does nothing without it.
fn is_of_attaching(feature: Feature) -> bool {
    matches!(
        feature,
        Feature::PerfLink | Feature::UprobeMulti | Feature::UprobeMultiPid | Feature::KprobeMulti
    )
}

/// Whether a script has what a kernel needs a feature for.
fn is_used(feature: Feature, compiled: &Compiled) -> bool {
    let calls = |helper: Helper| codes(compiled).any(|(_, code)| self::calls(code, helper));
    let attached = |is_so: fn(&Attach) -> bool| {
        let mut programs = compiled.plan.programs.iter();
        programs.any(|program| program.attach.iter().any(is_so))
    };
    let is_of = |kind: ProgramKind| compiled.plan.programs.iter().any(|program| program.kind == kind);
    match feature {
        Feature::FullAtomics => codes(compiled).any(|(_, code)| {
            let atomics = code
                .insns
                .iter()
                .filter(|insn| insn.code == op::STX | op::ATOMIC | op::DW);
            atomics.clone().any(|insn| insn.imm != i32::from(op::ADD))
        }),
        Feature::SignedDivision => codes(compiled).any(|(_, code)| {
            let is_division = |code: u8| {
                [op::DIV, op::MOD]
                    .iter()
                    .any(|division| code == op::ALU64 | division)
            };
            code.insns
                .iter()
                .any(|insn| is_division(insn.code) && insn.off == 1)
        }),
        Feature::Cookies => calls(Helper::GetAttachCookie),
        Feature::RawTracepointCookies => codes(compiled).any(|(plan, code)| {
            let mut attach = plan.attach.iter();
            attach.any(|attach| matches!(attach, Attach::RawTracepoint { .. }))
                && self::calls(code, Helper::GetAttachCookie)
        }),
        Feature::TaiClock => calls(Helper::KtimeGetTaiNs),
        Feature::PercpuLookup => calls(Helper::MapLookupPercpuElem),
        Feature::BpfLoop => calls(Helper::Loop),
        Feature::MapIteration => calls(Helper::ForEachMapElem),
        Feature::SleepableUprobe => compiled.plan.programs.iter().any(|program| program.sleepable),
        Feature::LazyHash => compiled.plan.bpf_maps.iter().any(|map| map.flags & 1 != 0),
        Feature::PerfLink => is_of(ProgramKind::PerfEvent),
        Feature::UprobeMulti | Feature::UprobeMultiPid => {
            attached(|attach| matches!(attach, Attach::Uprobe { .. }))
        }
        Feature::KprobeMulti => {
            attached(|attach| matches!(attach, Attach::Kprobe { places, .. } if places.len() > 1))
        }
    }
}

/// All code of a script, with the program that it belongs to.
fn codes(compiled: &Compiled) -> impl Iterator<Item = (&ProgramPlan, &Program)> {
    let programs = compiled.plan.programs.iter().zip(&compiled.programs);
    programs.flat_map(|(plan, program)| {
        let all = [program].into_iter().chain(&program.callbacks);
        all.map(move |code| (plan, code))
    })
}

fn calls(code: &Program, helper: Helper) -> bool {
    let number = helper.row().number;
    let mut insns = code.insns.iter();
    insns.any(|insn| insn.code == op::JMP | op::CALL && insn.imm as u32 == number)
}

/// Whether values are on the stack besides slots.
fn spills(compiled: &Compiled) -> bool {
    let mut all = compiled.functions.iter().zip(&compiled.programs);
    all.any(|(function, program)| {
        let slots = function.slots.iter().filter_map(|slot| match slot.home {
            Home::Frame(at) => Some(u32::from(at.unsigned_abs())),
            Home::Unplaced | Home::Scratch(_) => None,
        });
        program.frame > slots.max().unwrap_or(0).next_multiple_of(8)
    })
}
