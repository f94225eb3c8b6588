//! The environment of the traced process: `env`, `rank`, `jobid`.
//!
//! The kernel keeps where a process's environment lies as it was handed over at exec (`mm->env_start` to `env_end`). It is
//! read in the process itself, at the first use, so that there is no process that lives too shortly for it. What was found is
//! kept by process, when it started and how often it has called exec: nothing needs to be forgotten at its end, and a
//! child that did not call exec finds its own copy. What `setenv` changes later is not seen, as in `/proc/PID/environ`.

use super::Prelude;

pub(super) const ENV: Prelude = Prelude {
    name: "env",
    doc: "a variable of the current process's environment, as it was when its program was started; empty where it is not set",
    syntax: "env(\"NAME\")",
    example: "uprobe:libc:write { @bytes[env(\"HOSTNAME\")] = sum(arg2); }",
    text: "let @environment = lruhash(1024); \
           macro env(name) { let $key = (env_process, name); let $value : string[256]; \
           if (has_key(@environment, $key)) { $value = @environment[$key]; } else { \
           let $at : uint64; let $entry : string[128]; let $failed = false; let $found = false; \
           env_search($at, $entry, $failed, { \
           $found = strncmp($entry, str_concat(name, \"=\"), strlen(name) + 1) == 0; $found }); \
           if ($found) { $value = str(uptr((uint8*)($at + strlen(name) + 1)), 255); } \
           if ($failed) { $value = \"<unreadable>\"; } else { @environment[$key] = $value; } } \
           $value }",
};

pub(super) const JOBID: Prelude = Prelude {
    name: "jobid",
    doc: "what the batch system calls the current process's job: SLURM_JOB_ID, FLUX_JOB_ID or PBS_JOBID of its environment, \
          the first that is set; empty where none is",
    syntax: "jobid",
    example: "uprobe:libc:write { @bytes[jobid] = sum(arg2); }",
    text: "macro jobid() { let $job = env(\"SLURM_JOB_ID\"); \
           if ($job == \"\") { $job = env(\"FLUX_JOB_ID\"); } \
           if ($job == \"\") { $job = env(\"PBS_JOBID\"); } $job }",
};

pub(super) const RANK: Prelude = Prelude {
    name: "rank",
    doc: "rank of the current process in its MPI job: OMPI_COMM_WORLD_RANK, PMIX_RANK, PMI_RANK or SLURM_PROCID of its \
          environment, the first that is set; -1 where none is, which is said once",
    syntax: "rank",
    example: "uprobe:libc:write { @bytes[rank] = sum(arg2); }",
    // Of ranks that srun has not started itself SLURM_PROCID is that of the batch script: 0 for all of them.
    text: "let @ranks = lruhash(4096); \
           macro rank() { let $process = env_process; let $rank = (int64)-1; \
           if (has_key(@ranks, $process)) { $rank = @ranks[$process]; } else { \
           let $at : uint64; let $entry : string[128]; let $failed = false; \
           let $digits = (uint64)0; let $best = 4; \
           env_search($at, $entry, $failed, { \
           if (strncmp($entry, \"OMPI_COMM_WORLD_RANK=\", 21) == 0) { $digits = $at + 21; $best = 0; } \
           if ($best > 1 && strncmp($entry, \"PMIX_RANK=\", 10) == 0) { $digits = $at + 10; $best = 1; } \
           if ($best > 2 && strncmp($entry, \"PMI_RANK=\", 9) == 0) { $digits = $at + 9; $best = 2; } \
           if ($best > 3 && strncmp($entry, \"SLURM_PROCID=\", 13) == 0) { $digits = $at + 13; $best = 3; } \
           $best == 0 }); \
           if ($digits != 0) { let $text = str(uptr((uint8*)$digits), 12); let $number = (int64)0; \
           for $i : 0..10 { let $digit = (int64)$text[$i] - 48; if ($digit < 0 || $digit > 9) { break; } \
           $number = $number * 10 + $digit; $rank = $number; } } \
           if (!$failed) { @ranks[$process] = $rank; \
           if ($rank < 0 && @unranked++ == 0) { \
           warnf(\"rank is -1 in processes without OMPI_COMM_WORLD_RANK, PMIX_RANK, PMI_RANK and SLURM_PROCID, \
           such as %d (%s)\", pid, comm); } } } $rank }",
};

pub(super) const PROCESS: Prelude = Prelude {
    name: "env_process",
    doc: "what tells the current process from every other, before and after it calls exec: process id, when it was \
          started, how often it has called exec",
    syntax: "env_process",
    example: "begin { print(env_process); }",
    text: "macro env_process() { let $leader = curtask.group_leader; \
           ((uint32)$leader.tgid, (uint64)$leader.start_boottime, (uint64)curtask.self_exec_id) }",
};

pub(super) const SEARCH: Prelude = Prelude {
    name: "env_search",
    doc: "goes through the environment of the current process: `$entry` begins with the variable (`NAME=value`) at `$at`, \
          until `found` holds; `$failed` is set where the environment cannot be read",
    syntax: "env_search($at, $entry, $failed, found)",
    example: "begin { let $at : uint64; let $entry : string[128]; let $failed = false; \
              env_search($at, $entry, $failed, { print($entry); false }); }",
    // Variables that are longer than what is read at once are gone through in several steps.
    text: "macro env_search($at, $entry, $failed, found) { let $mm = curtask.mm; if ($mm != 0) { \
           $at = (uint64)$mm.env_start; let $end = (uint64)$mm.env_end; let $within = false; \
           for $i : 0..32768 { if ($at >= $end) { break; } \
           $entry = str(uptr((uint8*)$at), 128); \
           if ($entry == \"<unreadable>\") { $failed = true; break; } \
           if (!$within && found) { break; } \
           let $length = strlen($entry); $within = $length == 127; \
           $at += $within ? $length : $length + 1; } } }",
};
