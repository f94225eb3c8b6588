//! What is known of the traced process itself: its open files, its environment.

use crate::support::{Crumbs, Outcome, compiled, directory, needs, no_tracing};
use std::path::Path;

#[test]
fn paths_of_descriptors_are_those_of_proc() {
    needs!(no_tracing());
    let program = compiled("descriptors.c", &[]);
    let report = directory().join("paths");
    let command = format!("{} {}", program.display(), directory().display());
    let outcome = Crumbs::script(
        "uprobe:PROGRAM:noticed { printf(\"%s\\n\", fdpath(arg0)); @[fdpath(arg0)] = count(); }
         end { clear(@); }",
    )
    .on(&program)
    .args(&["-o", report.to_str().unwrap(), "-c", &command])
    .run();
    outcome.has_no_complaint();
    let seen = std::fs::read_to_string(&report).unwrap();
    let seen: Vec<&str> = seen.lines().take(15).collect();
    let stated: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(stated.len(), 15, "{outcome:?}");
    assert!(
        stated[0].ends_with("/plain") && stated[5].starts_with("pipe:["),
        "{stated:?}"
    );
    assert_eq!(seen, stated);
}

/// Traces `ranks` with a script that prints a map.
fn ranks(script: &str, variables: &[(&str, &str)], arguments: &str) -> Outcome {
    let program = compiled("ranks.c", &["-pthread"]);
    with_environment(script, &program, variables, arguments)
}

fn with_environment(script: &str, program: &Path, variables: &[(&str, &str)], arguments: &str) -> Outcome {
    let names = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"];
    let names = names.iter().chain(&["SLURM_JOB_ID", "FLUX_JOB_ID", "PBS_JOBID"]);
    let unset: String = names.map(|name| format!("-u {name} ")).collect();
    let set = variables.iter().map(|(name, value)| format!("{name}={value} "));
    let set: String = set.collect();
    let command = format!("env {unset}{set}{} {arguments}", program.display());
    Crumbs::script(script)
        .on(program)
        .args(&["--follow", "tree", "-c", &command])
        .run()
}

#[test]
fn ranks_are_those_of_the_environment_in_every_process() {
    needs!(no_tracing());
    let rank = |variables| {
        ranks(
            "uprobe:PROGRAM:noticed { @[rank] = count(); }",
            variables,
            "fork 20",
        )
    };
    rank(&[("OMPI_COMM_WORLD_RANK", "3")]).maps("@[3]: 42\n");
    rank(&[("PMI_RANK", "0"), ("SLURM_PROCID", "7")]).maps("@[0]: 42\n");
    rank(&[("SLURM_PROCID", "1234567")]).maps("@[1234567]: 42\n");
    rank(&[("PMIX_RANK", "2"), ("PMI_RANK", "9")]).maps("@[2]: 42\n");
    // The longest number of a rank, behind a variable that is longer than what is read at once.
    let long = "l".repeat(5000);
    rank(&[("LONG", &long), ("PMIX_RANK", "2147483647")]).maps("@[2147483647]: 42\n");
}

#[test]
fn a_process_without_rank_is_said_once() {
    needs!(no_tracing());
    let outcome = ranks("uprobe:PROGRAM:noticed { @[rank] = count(); }", &[], "fork 20");
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "\n\n@[-1]: 42\n"));
    assert_eq!(outcome.stderr.matches("rank is -1").count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("PMI_RANK"), "{outcome:?}");
}

#[test]
fn the_environment_is_that_of_the_last_exec() {
    needs!(no_tracing());
    // Set later in the process, it is not seen; the same process has another one behind exec.
    ranks(
        "uprobe:PROGRAM:noticed { @[env(\"STAGE\"), rank, env(\"STAG\"), env(\"STAGE2\")] = count(); }",
        &[("STAGE", "first"), ("PMI_RANK", "4")],
        "set STAGE second thread fork 3 exec STAGE third exec PMI_RANK 5 thread fork 2",
    )
    .maps("@[third, 4, , ]: 2\n@[third, 5, , ]: 7\n@[first, 4, , ]: 9\n");
}

#[test]
fn jobs_are_those_of_the_batch_system() {
    needs!(no_tracing());
    let job = |variables| {
        ranks(
            "uprobe:PROGRAM:noticed { @[jobid] = count(); }",
            variables,
            "fork 2",
        )
    };
    job(&[]).maps("@[]: 6\n");
    job(&[("FLUX_JOB_ID", "f2oLkTLb")]).maps("@[f2oLkTLb]: 6\n");
    job(&[("PBS_JOBID", "12.server"), ("SLURM_JOB_ID", "99")]).maps("@[99]: 6\n");
}
