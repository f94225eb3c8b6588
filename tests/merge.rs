//! Results of several runs, joined: what `end` blocks print of them is what one run prints that saw all events.
//!
//! Runs are simulated: a script over every kind of map, random events, dealt out to several machines at random. Each machine's
//! results go through the text of a file, and the files are joined in a random order and grouping.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests; a skipped one says why"
)]

use crumbs::{ends, stages};
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_runtime::results::{self, Results, Run, Script};
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::show::text::TextOutput;
use crumbs_runtime::vm::event::Value;
use crumbs_runtime::vm::{Event, VmBackend};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Every aggregation with and without keys, numbers that are added to, values that are the same wherever they are set, and an
/// `end` block that reads, loops, prints and clears.
const SCRIPT: &str = r#"
config = { unstable_tseries = enable }
macro half(n) { n / 2 }
fn record($n : int64) : void { @count[$n % 5] = count(); }
begin { @constant = 7; @added = 0; @name["x", true] = (1, "text"); @zeroed = sum(1); zero(@zeroed); }
uprobe:/usr/bin/app:work {
    record((int64)arg0);
    @calls = count();
    @sum = sum(arg0);
    @signed[tid % 3] = sum((int64)arg1);
    @min[cpu] = min((int64)arg1);
    @max = max((int64)arg1);
    @least = min(arg0);
    @avg[arg0 % 2, "even or odd"] = avg((int64)arg1);
    @stats = stats(arg0 % 1000);
    @deviation[arg0 % 4] = stddev((int64)arg1);
    @hist = hist(arg0);
    @fine[arg0 % 3] = hist((int64)arg1, 3);
    @weighted = hist(arg0, 0, arg0 % 7);
    @linear[tid % 2] = lhist((int64)arg1, -50, 50, 10);
    @decimal = hist10(arg0);
    @darshan[tid % 2] = hist_darshan(arg0);
    @percentiles[tid % 2] = percentiles(arg0 % 5000);
    @last = tseries((int64)arg1, 3us, 5);
    @mean[tid % 2] = tseries((int64)arg1, 3us, 5, "avg");
    @least_of = tseries((int64)arg1, 3us, 5, "min");
    @greatest_of = tseries((int64)arg1, 3us, 5, "max");
    @added += arg0 % 10;
    @counted[arg0 % 6]++;
    @record[(of = arg0 % 2, cpu = cpu)] = count();
    @bytes[buf("a\x00b", 3)] = count();
    @pairs[(arg0 % 2, (int8)(arg1 % 3))]++;
    @cleared[arg0 % 3] = count();
}
end {
    printf("%d calls, %d, half of it %d, %d in the first\n", @calls, @sum, half(@sum), @count[0]);
    for ($kv : @counted) { @seen[$kv.0] = count(); }
    printf("%d keys\n", len(@counted));
    print(@hist, "bytes");
    print(@count, 2);
    print(@cleared);
    clear(@cleared);
    if (@added > 100) { printf("many\n"); }
    exit(4);
}
"#;

struct Simulation;

impl Host<VmBackend> for Simulation {}

fn target() -> FixtureTarget {
    let facts = "arch x86_64\nkernel 6.18\ncpus 2\nbinary /usr/bin/app\nsegment 0x1000 0x1000 0x1000\nfunction work 0x1100 16\n";
    FixtureTarget::parse(facts).unwrap()
}

fn compile(text: &str) -> Compiled {
    let compile = || {
        let checked = stages::check("script", text, &target(), &Options::default())
            .unwrap_or_else(|mistaken| panic!("{:?}", mistaken.diagnostics));
        driver::compile(&checked.script, &target()).unwrap()
    };
    stages::on_large_stack(compile).unwrap()
}

fn compiled() -> &'static Compiled {
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    COMPILED.get_or_init(|| compile(SCRIPT))
}

/// Runs the script on events; gives what is printed and the exit code.
fn whole(compiled: &Compiled, events: &[Event]) -> (String, i32) {
    let mut backend = VmBackend::new(&compiled.plan, &compiled.programs, events, &target()).unwrap();
    let (mut text, mut warnings) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut text, &mut warnings, true);
    let code = session::run(&compiled.plan, &mut backend, &mut Simulation, &mut output, 0).unwrap();
    assert_eq!(String::from_utf8_lossy(&warnings), "");
    (String::from_utf8(text).unwrap(), code)
}

/// Runs the script on the events of one machine; gives its results, read back from their file.
fn part(compiled: &Compiled, text: &str, events: &[Event], machine: u32) -> Results {
    let mut backend = VmBackend::new(&compiled.plan, &compiled.programs, events, &target()).unwrap();
    let mut output = TextOutput::new(Vec::new(), Vec::new(), true);
    let measured = session::measure(&compiled.plan, &mut backend, &mut Simulation, &mut output, 0);
    let (_, measured) = measured.unwrap();
    let script = Script {
        name: "script".into(),
        text: text.into(),
        ..Script::default()
    };
    let run = Run {
        host: format!("node{machine}"),
        pid: 1,
        ..Run::default()
    };
    let results = Results::of(&compiled.plan, measured, script, run);
    through_a_file(&results)
}

fn through_a_file(results: &Results) -> Results {
    let mut file = Vec::new();
    results.write(&mut file).unwrap();
    let read = Results::read(&file).unwrap();
    assert_eq!(&read, results);
    read
}

fn joined(mut a: Results, b: Results) -> Results {
    a.merge(b).unwrap();
    through_a_file(&a)
}

/// What `crumbs merge` prints, its exit code, and the maps that there were conflicts in.
fn printed(results: &Results) -> (String, i32, Vec<(String, usize)>) {
    let compiled = stages::on_large_stack(|| ends::compile(results))
        .unwrap()
        .unwrap();
    let target = ends::target().unwrap();
    let mut restored = results::restore(results, &compiled.plan, &compiled.programs, &target).unwrap();
    let (mut text, mut warnings) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut text, &mut warnings, true);
    let before = (restored.zeroed.as_slice(), restored.losses.as_slice());
    let code = session::conclude(
        &compiled.plan,
        &mut restored.backend,
        &mut Simulation,
        &mut output,
        before,
    )
    .unwrap();
    let mut text = String::from_utf8(text).unwrap();
    text.push_str(&String::from_utf8_lossy(&warnings));
    (text, code, restored.conflicts)
}

fn event((arg0, arg1, cpu, tid): (u64, i64, u32, u32), number: usize) -> Event {
    Event {
        cpu,
        tid,
        ns_tid: tid,
        time: 1_000 * (1 + number as u64),
        context: vec![
            ("arg0".into(), Value::Int(arg0)),
            ("arg1".into(), Value::Int(arg1 as u64)),
        ],
        ..Event::new("uprobe:/usr/bin/app:work")
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let number = prop_oneof![
        0..100u64,
        any::<u64>().prop_map(|n| n >> 20),
        Just(0),
        Just(u64::MAX >> 1)
    ];
    let signed = prop_oneof![
        -60..60i64,
        any::<i64>().prop_map(|n| n >> 20),
        Just(i64::MIN),
        Just(i64::MAX)
    ];
    let event_parts = (number, signed, 0..2u32, 1..5u32);
    prop::collection::vec(event_parts, 0..25).prop_map(|parts| {
        parts
            .into_iter()
            .enumerate()
            .map(|(at, parts)| event(parts, at))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_are_the_whole(events in events(), machines in prop::collection::vec(0..4usize, 25), order in any::<u64>()) {
        let mut parts: Vec<Vec<Event>> = vec![Vec::new(); 4];
        for (event, machine) in events.iter().zip(machines) {
            parts[machine].push(event.clone());
        }
        let mut files: Vec<Results> = parts
            .iter()
            .zip(1..)
            .map(|(events, machine)| part(compiled(), SCRIPT, events, machine))
            .collect();
        // Any two, until one is left.
        let mut choice = order;
        while files.len() > 1 {
            let a = files.remove(choice as usize % files.len());
            choice /= 7;
            let b = files.remove(choice as usize % files.len());
            choice /= 7;
            files.push(joined(a, b));
        }
        let (text, code, conflicts) = printed(&files[0]);
        prop_assert_eq!((text, code), whole(compiled(), &events));
        prop_assert_eq!(conflicts, []);
    }
}

#[test]
fn one_run_is_printed_as_it_would_have_been() {
    let events: Vec<Event> = (0..30)
        .map(|n| event((n * 37, 5 - n as i64, 0, 1), n as usize))
        .collect();
    let (text, code, _) = printed(&part(compiled(), SCRIPT, &events, 1));
    assert!(
        text.contains("@cleared[2]: 10\n") && text.contains("many\n"),
        "{text}"
    );
    assert_eq!((text, code), whole(compiled(), &events));
}

#[test]
fn values_that_differ_are_a_conflict_in_whatever_order() {
    let text = "uprobe:/usr/bin/app:work { @first = arg0; @by[tid] = arg0; @stable = 5; @gone = arg0; } end { clear(@gone); }";
    let compiled = compile(text);
    let results: Vec<Results> = [(1, 1), (2, 2), (2, 1)]
        .iter()
        .zip(1..)
        .map(|(&(value, tid), machine)| part(&compiled, text, &[event((value, 0, 0, tid), 0)], machine))
        .collect();
    let [a, b, c] = [0, 1, 2].map(|at: usize| results[at].clone());
    let left = joined(joined(a.clone(), b.clone()), c.clone());
    let right = joined(b, joined(c, a));
    assert_eq!(left, right);
    let (text, _, conflicts) = printed(&left);
    assert_eq!(text, "\n\n@by[2]: 2\n@stable: 5\n");
    assert_eq!(conflicts, [("@by".to_owned(), 1), ("@first".to_owned(), 1)]);
}

/// Runs a command in a directory of its own; `None` where it cannot be had here, which is said.
fn command(directory: &Path, program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(words)
        .current_dir(directory)
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .output();
    let Ok(output) = output else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("CAP_") || errors.contains("needs root") {
        println!("skipped: tracing needs root and BPF");
        return None;
    }
    assert!(output.status.success(), "{program} {words:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("crumbs-merge-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    fs::canonicalize(path).unwrap()
}

const CRUMBS: &str = env!("CARGO_BIN_EXE_crumbs");

#[test]
fn processes_of_a_job_save_what_is_joined() {
    for (launcher, rank) in [
        ("mpirun.openmpi", "OMPI_COMM_WORLD_RANK"),
        ("mpirun.mpich", "PMI_RANK"),
    ] {
        a_job_is_joined(launcher, rank);
    }
}

fn a_job_is_joined(launcher: &str, rank: &str) {
    let here = directory(&format!("job-{rank}"));
    let under = format!("--under={}", here.display());
    // Rank 0 writes 20 times 1000 bytes, rank 1 20 times 3000.
    let app = &format!(
        "sh -c 'exec dd if=/dev/zero of=part${rank} bs=$((1000 + 2000 * {rank})) count=20 status=none'"
    );
    let words = [
        "-n",
        "2",
        CRUMBS,
        "run",
        "posix/sizes",
        "-q",
        "-o",
        "out.%r.json",
        "-c",
        app,
        "--",
        &under,
    ];
    if command(&here, launcher, &words).is_some() {
        let text = command(&here, CRUMBS, &["merge", "out.0.json", "out.1.json"]).unwrap();
        assert!(
            text.contains("Reads: 0 calls, 0 bytes. Writes: 40 calls, 80000 bytes."),
            "{text}"
        );
        assert!(text.contains("[512B, 1.00KiB)          20 |"), "{text}");
        assert!(text.contains("[2.00KiB, 4.00KiB)       20 |"), "{text}");
        command(
            &here,
            CRUMBS,
            &["merge", "out.1.json", "out.0.json", "-o", "all.json"],
        )
        .unwrap();
        assert_eq!(command(&here, CRUMBS, &["merge", "all.json"]).unwrap(), text);
        // Around the launcher, all ranks are seen at once.
        let job = format!("{launcher} -n 2 {app}");
        let whole = command(
            &here,
            CRUMBS,
            &["run", "posix/sizes", "-q", "-c", &job, "--", &under],
        )
        .unwrap();
        // What other parameters gave is something else.
        let other = [
            CRUMBS,
            "run",
            "posix/sizes",
            "-q",
            "-o",
            "other.json",
            "-c",
            "true",
        ];
        command(&here, other[0], &other[1..]).unwrap();
        let refused = Command::new(CRUMBS)
            .args(["merge", "out.0.json", "other.json"])
            .current_dir(&here)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains("other.json"), "{told}");
        let tables = |text: &str| text.split_once("@write_sizes").unwrap().1.to_owned();
        assert_eq!(tables(&whole), tables(&text));
    }
    fs::remove_dir_all(here).unwrap();
}

#[test]
fn completed_calls_become_a_trace() {
    let here = directory("trace");
    let script = "ucall:libc:write /comm == \"dd\"/ { print((name = \"write\", cat = \"POSIX\", pid = pid, tid = tid, \
                  ts = nsecs - duration, dur = duration, bytes = (int64)retval)); }";
    let app = "dd if=/dev/zero of=data bs=700 count=50 status=none";
    if command(
        &here,
        CRUMBS,
        &["-q", "-e", script, "-o", "trace.%p.pfw.gz", "-c", app],
    )
    .is_some()
    {
        let read = "import glob, gzip, json\nlines = gzip.open(glob.glob('trace.*.pfw.gz')[0], 'rt').read().splitlines()\n\
                    events = [json.loads(line) for line in lines[1:]]\n\
                    print(lines[0], len(events), sum(e['args']['bytes'] for e in events), {e['ph'] + e['name'] for e in events})";
        if let Some(text) = command(&here, "python3", &["-c", read]) {
            assert_eq!(text, "[ 50 35000 {'Xwrite'}\n");
        }
    }
    fs::remove_dir_all(here).unwrap();
}

/// SIGINT ends a run early; what is saved is whole, and can be joined.
#[test]
fn an_interrupted_run_is_saved() {
    use std::io::{BufRead, BufReader};
    let here = directory("interrupted");
    // The command says when it has written, and then stays until crumbs ends it.
    let app = "sh -c 'dd if=/dev/zero of=part bs=1000 count=7 status=none; echo written; exec sleep 1000'";
    let under = format!("--under={}", here.display());
    let mut run = Command::new(CRUMBS)
        .args([
            "run",
            "posix/sizes",
            "-q",
            "-o",
            "out.%p.json",
            "-c",
            app,
            "--",
            &under,
        ])
        .current_dir(&here)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(run.stdout.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    if said.trim() != "written" {
        let output = run.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("CAP_") || told.contains("needs root"), "{told}");
        println!("skipped: tracing needs root and BPF");
        return fs::remove_dir_all(here).unwrap();
    }
    let pid = run.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = run.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = command(&here, CRUMBS, &["merge", &format!("out.{pid}.json")]).unwrap();
    assert!(text.contains("Writes: 7 calls, 7000 bytes."), "{text}");
    let left: Vec<_> = fs::read_dir(&here)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
    fs::remove_dir_all(here).unwrap();
}
