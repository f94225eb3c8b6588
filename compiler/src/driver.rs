//! From a checked script to an object that can be loaded: the stages behind the checker, in order.
//!
//! In: typed HIR, its source and a target. Out: [`Compiled`]. What the machine cannot do is a diagnostic; a fault of the
//! compiler itself is one too ([`INTERNAL`]), never a panic.

mod facts;

use crate::bpf::Program;
use crate::codegen::{self, CodegenError, task_stack};
use crate::hir;
use crate::ir::Function;
use crate::ir::verify::{Limits, Stage, check, verify};
use crate::layout::{Layout, layout};
use crate::lower::lower;
use crate::object::{self, SourceInfo};
use crate::opt;
use crate::place;
use crate::place::{Oversized, PlaceError};
use crate::plan::{LossKind, Plan, ProgramPlan};
use crate::target::{FEATURES, Feature, KernelVersion, Target};
use crate::workers::{self, OneByOne, Workers};
use crumbs_grammar::diagnostic::{Code, Diagnostic};

/// A compiled script.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What it needs around its code.
    pub plan: Plan,
    /// Its code, as [`Plan::programs`].
    pub programs: Vec<Program>,
    /// Its IR as it went into code generation.
    pub functions: Vec<Function>,
    /// How often values were put into slots because a program kept too many at once.
    pub relieved: usize,
}

/// A kernel feature is missing.
pub static NEEDS_KERNEL: Code = Code {
    id: "E0201",
    title: "this needs a newer kernel",
    explanation: "Part of the script can only be done by kernels that have a certain feature. The message names the \
                  feature and the first kernel release with it. Run the script on such a kernel, or leave that part \
                  out.",
    example: "begin { @x = 1; print(@x++); }",
};

/// A program does not fit.
pub static TOO_LARGE: Code = Code {
    id: "E0202",
    title: "a probe block is too large",
    explanation: "A probe block becomes one BPF program, for which the kernel has limits: 64 maps, 8,192 decisions in a row, \
                  512 bytes of stack. Split the block in two with the same attach point: both run on every event, in the \
                  order of the script.",
    example: "",
};

/// More memory is needed than a program has.
pub static NO_ROOM: Code = Code {
    id: "E0203",
    title: "values are too large for this kernel",
    explanation: "A BPF program has 512 bytes of stack. Larger values are kept in scratch memory, which needs kernel \
                  5.12 or newer. On older kernels, read shorter text: str(pointer, 64), or a smaller max_strlen.",
    example: "",
};

/// The compiler is at fault.
pub static INTERNAL: Code = Code {
    id: "E0299",
    title: "the compiler made a mistake",
    explanation: "crumbs checks its own work, and here it found it wrong. Please report the script; meanwhile, writing \
                  the named statement in another way may help.",
    example: "",
};

/// Every code that is reported here.
pub static CODES: &[&Code] = &[&NEEDS_KERNEL, &TOO_LARGE, &NO_ROOM, &INTERNAL];

/// Stack bytes that slots may take at first: the rest is for spilled values.
const FRAME_BUDGET: u32 = place::DEFAULT_FRAME_BUDGET;
/// What the budget is cut by each time that spilled values do not fit.
const FRAME_STEP: u32 = 64;
/// Spilled values of so many bytes leave too little of the stack, however little slots take.
const MUCH_SPILLED: u32 = 256;
/// How many values may live at once where the stack has no room for those that there are: one try after the other.
const KEPT: [usize; 3] = [24, 12, 6];

/// Compiles a checked script.
///
/// # Errors
/// What the target cannot do.
pub fn compile(script: &hir::Script, target: &dyn Target) -> Result<Compiled, Vec<Diagnostic>> {
    compile_with(script, target, &OneByOne)
}

/// The same, where `workers` do what is independent of each other: what is made of each program.
///
/// # Errors
/// What the target cannot do.
pub fn compile_with(
    script: &hir::Script,
    target: &dyn Target,
    workers: &dyn Workers,
) -> Result<Compiled, Vec<Diagnostic>> {
    let mut layout = layout(script, target);
    let lowered = lower(script, &layout, target).map_err(|missing| {
        let mut diagnostics: Vec<Diagnostic> =
            missing.iter().map(|m| needs(m.feature, m.span, target)).collect();
        diagnostics.dedup_by_key(|d| (d.primary.span, d.message.clone()));
        diagnostics
    })?;
    let limits = Limits::from(&layout.plan);
    let facts = facts::facts(script, &layout.plan);
    for ((_, sleepable), program) in lowered.iter().zip(&mut layout.plan.programs) {
        program.sleepable = *sleepable;
    }
    let programs = &layout.plan.programs;
    let functions = workers::map(workers, lowered, |index, (function, _)| {
        sound(&function, limits, &programs[index])?;
        Ok(opt::optimise(function, &facts))
    });
    let functions = functions.into_iter().collect::<Result<Vec<_>, Vec<_>>>()?;
    generate(functions, layout, &facts, target, workers)
}

/// A program's code and the IR that it is made of.
type Generated = (Program, Function);

/// Places slots and generates code, with less stack for slots each time that spilled values need more, and with values in
/// slots where the stack does not hold them without any slot.
fn generate(
    mut functions: Vec<Function>,
    layout: Layout,
    facts: &opt::Facts,
    target: &dyn Target,
    workers: &dyn Workers,
) -> Result<Compiled, Vec<Diagnostic>> {
    let mut budgets = vec![FRAME_BUDGET; functions.len()];
    // How often each function has been relieved.
    let mut tries = vec![0; functions.len()];
    let mut generated: Vec<Option<Generated>> = vec![None; functions.len()];
    let mut memory = None;
    loop {
        let plan = with_scratch(&functions, &budgets, &layout, workers);
        if memory.as_ref() != Some(&plan.memory) {
            // What there is has other addresses in it.
            generated.fill(None);
            memory = Some(plan.memory.clone());
        }
        let cx = ProgramCx {
            plan: &plan,
            layout: &layout,
            facts,
            full_atomics: target.has(Feature::FullAtomics),
            kernel: target.kernel(),
        };
        let missing: Vec<usize> = (0..functions.len()).filter(|&i| generated[i].is_none()).collect();
        let made = workers::map(workers, missing.clone(), |_, index| {
            cx.program(index, &functions[index], budgets[index])
        });
        let mut too_large = Vec::new();
        for (index, made) in missing.into_iter().zip(made) {
            match made? {
                Ok(program) => generated[index] = Some(program),
                Err(spilled) => too_large.push((index, spilled)),
            }
        }
        if too_large.is_empty() {
            let (programs, functions) = generated.into_iter().flatten().unzip();
            return Ok(Compiled {
                plan,
                programs,
                functions,
                relieved: tries.iter().sum(),
            });
        }
        for (index, spilled) in too_large {
            if budgets[index] > 0 && spilled < MUCH_SPILLED {
                budgets[index] = budgets[index].saturating_sub(FRAME_STEP);
                continue;
            }
            let Some(&keep) = KEPT.get(tries[index]) else {
                let span = layout.plan.programs[index].span;
                let message = "this probe block keeps too many values at once for BPF's 512 bytes of stack";
                let help = "split the block in two with the same attach point";
                return Err(vec![Diagnostic::error(&TOO_LARGE, span, message).help(help)]);
            };
            tries[index] += 1;
            // On the frame, the optimiser would make values of the slots again.
            budgets[index] = 0;
            let function = functions[index].clone();
            functions[index] = place::relieve(function, keep);
        }
    }
}

/// The plan with as much scratch memory as the functions need.
fn with_scratch(functions: &[Function], budgets: &[u32], layout: &Layout, workers: &dyn Workers) -> Plan {
    let mut plan = layout.plan.clone();
    let all: Vec<(&Function, u32)> = functions.iter().zip(budgets.iter().copied()).collect();
    let demands = workers::map(workers, all, |_, (function, budget)| {
        place::scratch_demand(function, budget)
    });
    layout.reserve_scratch(&mut plan, demands.into_iter().max().unwrap_or(0));
    plan
}

/// What code generation is told, the same for every program.
struct ProgramCx<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    facts: &'a opt::Facts,
    full_atomics: bool,
    kernel: KernelVersion,
}

impl ProgramCx<'_> {
    /// The code of one program. The inner error is that its frame is too large, and how many bytes of it are spilled values.
    fn program(
        &self,
        index: usize,
        function: &Function,
        frame_budget: u32,
    ) -> Result<Result<Generated, u32>, Vec<Diagnostic>> {
        let program = &self.plan.programs[index];
        let options = place::Options {
            frame_budget,
            scratch: self.plan.memory.scratch,
            stripes: self.plan.memory.stripes,
            loss: self.layout.loss(LossKind::Scratch).offset,
            full_atomics: self.full_atomics,
        };
        let placed = match place::place(function.clone(), &options) {
            Ok(placed) => placed,
            Err(PlaceError::NeedsFullAtomics(slots)) => return Err(vec![no_room(&slots, program)]),
            Err(error @ PlaceError::ScratchTooSmall { .. }) => {
                return Err(vec![internal(program, &error.to_string())]);
            }
        };
        // Addresses in scratch memory are arithmetic now; what that made the same is merged.
        let function = if placed.scratch > 0 {
            opt::optimise(placed.func, self.facts)
        } else {
            placed.func
        };
        let verified = verify(function, Limits::from(self.plan)).map_err(|errors| {
            let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
            vec![internal(program, &reasons.join("; "))]
        })?;
        match codegen::compile(&verified) {
            Ok(mut code) => {
                task_stack::keep_on_task_stack(&mut code, program, self.kernel);
                Ok(Ok((code, verified.into_inner())))
            }
            Err(CodegenError::FrameTooLarge { spilled, .. }) => Ok(Err(spilled)),
            Err(
                error @ (CodegenError::JumpTooFar { .. }
                | CodegenError::TooManyBranches { .. }
                | CodegenError::TooManyMaps { .. }),
            ) => Err(vec![
                Diagnostic::error(&TOO_LARGE, program.span, error.to_string())
                    .help("split the block in two with the same attach point"),
            ]),
            Err(error @ CodegenError::Allocation(_)) => Err(vec![internal(program, &error.to_string())]),
        }
    }
}

/// Writes the object of a compiled script.
///
/// # Errors
/// A fault of the compiler.
pub fn write_object(compiled: &Compiled, source: &SourceInfo<'_>) -> Result<Vec<u8>, Vec<Diagnostic>> {
    object::write(&compiled.plan, &compiled.programs, source).map_err(|error| {
        compiled
            .plan
            .programs
            .first()
            .map(|program| internal(program, &error.to_string()))
            .into_iter()
            .collect()
    })
}

fn sound(function: &Function, limits: Limits, program: &ProgramPlan) -> Result<(), Vec<Diagnostic>> {
    match check(function, limits, Stage::Lowered).first() {
        Some(error) => Err(vec![internal(program, &error.to_string())]),
        None => Ok(()),
    }
}

fn internal(program: &ProgramPlan, reason: &str) -> Diagnostic {
    Diagnostic::error(
        &INTERNAL,
        program.span,
        format!("crumbs compiled this wrongly: {reason}"),
    )
    .help("this is a bug of crumbs: please report it with the script")
}

fn needs(feature: Feature, span: crumbs_grammar::span::Span, target: &dyn Target) -> Diagnostic {
    // Every feature has a row.
    let row = FEATURES.iter().find(|row| row.feature == feature);
    let (name, since) = row.map_or(("a feature", None), |row| (row.name, Some(row.since)));
    let since = since.map(|s| s.to_string()).unwrap_or_default();
    Diagnostic::error(
        &NEEDS_KERNEL,
        span,
        format!("this needs kernel {since} or newer ({name})"),
    )
    .label(format!("this kernel is {}", target.kernel()))
    .help("leave this out here, or run it on a newer kernel")
}

fn no_room(slots: &[Oversized], program: &ProgramPlan) -> Diagnostic {
    let sizes: Vec<String> = slots.iter().map(|slot| slot.size.to_string()).collect();
    let span = slots.first().map_or(program.span, |slot| slot.span);
    let message = format!(
        "values of {} bytes do not fit the 512 bytes of stack that this kernel gives",
        sizes.join(", ")
    );
    slots
        .iter()
        .skip(1)
        .fold(Diagnostic::error(&NO_ROOM, span, message), |d, slot| {
            d.also(slot.span, format!("{} bytes", slot.size))
        })
        .help("read shorter text, for example str(pointer, 64), or set max_strlen in a config block")
}
