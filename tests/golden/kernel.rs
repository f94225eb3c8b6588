//! Whatever compiles must load: every golden script, compiled for the features of the running kernel, goes through its
//! verifier.
//!
//! Attach points are the recorded machine's, since nothing is attached: only what the kernel can do is this machine's.

use super::mixed::Mixed;
use super::{SCRIPT_NAME, compile, files, target, target_of};
use crumbs::{render, stages};
use crumbs_compiler::codes::{NO_KERNEL_FUNCTION, UNKNOWN_FIELD};
use crumbs_compiler::driver::{self, NEEDS_KERNEL, NO_ROOM};
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::plan::Attach;
use crumbs_compiler::target::{KernelVersion, Target};
use crumbs_runtime::kernel::load::LoadError;
use crumbs_runtime::kernel::{KernelBackend, Options};

/// The first kernel that has all of the language; older ones have a core.
const WHOLE_LANGUAGE: KernelVersion = KernelVersion { major: 6, minor: 1 };

/// Why programs cannot be loaded here, if they cannot.
fn obstacle(mixed: &Mixed) -> Option<String> {
    if mixed.arch() != mixed.places.arch() {
        return Some("the golden scripts are for another architecture".to_owned());
    }
    let trivial = super::Case {
        sections: vec![super::cases::Section {
            header: "script".to_owned(),
            text: "begin { @x = 1; }".to_owned(),
        }],
    };
    match load(&trivial, mixed) {
        Ok(Loaded::Refused(reason)) => Some(format!("no BPF here: {reason}")),
        _ => None,
    }
}

/// How loading went, where it was no fault.
enum Loaded {
    /// The verifier accepted every program.
    Accepted,
    /// This kernel is too old for the script, which the compiler said.
    TooOld,
    /// The machine lets nobody load it, for this reason.
    Refused(String),
    /// The machine lets nobody trace functions of the kernel by trampolines.
    NoTrampolines,
}

/// Compiles a case for this kernel and loads it.
fn load(case: &super::Case, mixed: &Mixed) -> Result<Loaded, String> {
    let compilation = match compile(case, mixed) {
        Ok(compilation) => compilation,
        Err(mistaken) => {
            // Among what is younger are functions of the kernel and members of its structs.
            let younger = [
                NEEDS_KERNEL.id,
                NO_ROOM.id,
                UNKNOWN_FIELD.id,
                NO_KERNEL_FUNCTION.id,
            ];
            let is_too_old = mistaken.diagnostics.iter().all(|d| younger.contains(&d.code.id));
            if is_too_old && mixed.kernel() < WHOLE_LANGUAGE {
                return Ok(Loaded::TooOld);
            }
            return Err(render::plain(&mistaken.sources, &mistaken.diagnostics));
        }
    };
    let info = SourceInfo {
        name: SCRIPT_NAME,
        text: compilation.sources.text(),
    };
    let object = driver::write_object(&compilation.compiled, &info);
    let object = object.map_err(|diagnostics| render::plain(&compilation.sources, &diagnostics))?;
    match KernelBackend::load(&compilation.compiled.plan, &object, Options::default()) {
        Ok(_) => Ok(Loaded::Accepted),
        Err(LoadError::Refused(error)) => {
            let mut attaches = compilation.compiled.plan.programs.iter().flat_map(|p| &p.attach);
            if attaches.any(|attach| matches!(attach, Attach::Function { .. })) {
                return Ok(Loaded::NoTrampolines);
            }
            Ok(Loaded::Refused(error.to_string()))
        }
        Err(LoadError::Rejected(rejection)) => Err(format!(
            "{}: {}\n{}",
            rejection.probe, rejection.reason, rejection.log
        )),
    }
}

/// What came of loading every case.
struct Tally {
    broken: Vec<String>,
    loaded: usize,
    too_old: usize,
    without_trampolines: usize,
}

/// Loads every case that compiles.
///
/// # Errors
/// Why nothing can be loaded here.
fn load_all() -> Result<Tally, String> {
    let recorded = target();
    let mut mixed = Mixed::new(recorded.clone());
    if let Some(reason) = obstacle(&mixed) {
        return Err(reason);
    }
    let mut tally = Tally {
        broken: Vec::new(),
        loaded: 0,
        too_old: 0,
        without_trampolines: 0,
    };
    for (path, file) in files() {
        for case in &file.cases {
            // What is refused for the recorded machine is refused here too.
            let is_elsewhere = ["kernel", "arch"].iter().any(|what| case.section(what).is_some());
            if is_elsewhere || compile(case, &target_of(case, &recorded)).is_err() {
                continue;
            }
            mixed.places = target_of(case, &recorded);
            match load(case, &mixed) {
                Ok(Loaded::Accepted) => tally.loaded += 1,
                Ok(Loaded::TooOld) => tally.too_old += 1,
                Ok(Loaded::NoTrampolines) => tally.without_trampolines += 1,
                Ok(Loaded::Refused(reason)) | Err(reason) => {
                    let file = path.file_stem().unwrap_or_default().to_string_lossy();
                    tally.broken.push(format!("{file}, {}:\n{reason}", case.name()));
                }
            }
        }
    }
    Ok(tally)
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "a skipped test must be seen, and how much was loaded"
)]
fn loads_into_this_kernel() {
    match stages::on_large_stack(load_all).unwrap() {
        Err(reason) => println!("skipped: {reason}"),
        Ok(tally) => {
            println!(
                "{} scripts loaded, {} need a newer kernel, {} need trampolines, which are forbidden here",
                tally.loaded, tally.too_old, tally.without_trampolines
            );
            let broken = tally.broken;
            assert!(
                broken.is_empty(),
                "{} scripts do not load:\n\n{}",
                broken.len(),
                broken.join("\n")
            );
            assert!(tally.loaded > 20, "only {} scripts were loaded", tally.loaded);
        }
    }
}
