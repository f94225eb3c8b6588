//! Beyond the capacity of maps and rings: what is shown and what is said to be lost add up to what the target did.

use crate::observe::{Report, Seen, can_run, run, run_stalled};
use crate::truth::Scale;

/// How much was counted in a map, every key together.
fn delivered(report: &Report, name: &str) -> u64 {
    report.counts(name).values().sum()
}

#[test]
fn live_full_maps() {
    if !can_run() {
        return;
    }
    let mask = (1u64 << 11) - 1;
    let scale = Scale::of_this_machine().divided(2);
    let scale = scale.at_least(scale.threads * (mask + 1));
    let report = run(
        &format!(
            "config = {{ max_map_keys = 1000 }}
            HIT {{
                @inc[arg1 & {mask}]++; @add[arg1 & {mask}] += 1; @count[arg1 & {mask}] = count();
                @stats[arg1 & {mask}] = stats(arg2); @hist[arg1 & {mask}] = hist(arg2);
                @set[arg0, arg1 & {mask}] = 1; @pairs[arg0 & 3] = count();
            }}
            end {{ @incs = len(@inc); @counts = len(@count); }}"
        ),
        scale,
        None,
    );
    let fired = scale.total();
    for name in ["@inc", "@add", "@count", "@stats", "@hist"] {
        let lost = report.lost(&format!(" of {name} were lost"));
        assert_eq!(delivered(&report, name) + lost, fired, "{name}");
        assert!(lost > 0, "{name}");
    }
    for name in ["@inc", "@add"] {
        assert_eq!(report.totals(name).len(), 1000, "{name}");
    }
    // Keys that came while the kernel had no memory for them are in a second map, which is bounded like the first.
    for name in ["@count", "@stats"] {
        let keys = report.totals(name).len();
        assert!((1000..=2000).contains(&keys), "{name}: {keys}");
    }
    assert_eq!(report.number("@incs"), 1000);
    report.assert_length("@counts", "@count", report.totals("@count").len() as u64);
    assert!(report.totals("@hist").len() <= 2000);
    assert_eq!(delivered(&report, "@pairs"), fired);
    assert_eq!(report.lost(" of @pairs were lost"), 0);
    assert!(report.lost(" of @inc were lost") > 0 && report.lost(" of @set were lost") > 0);
}

/// New elements faster than the kernel's allocator refills: they go to another map, and nothing is lost.
#[test]
fn live_bursts_of_new_keys() {
    if !can_run() {
        return;
    }
    let mut scale = Scale::of_this_machine();
    scale.calls = scale.calls.min(7500);
    let report = run(
        "HIT {
            @inc[arg0, arg1]++; @stats[arg0, arg1] = stats(arg2); @set[arg0, arg1] = 1;
            @hist[arg0, arg1] = lhist(arg2, 0, 4096, 512);
        }
        end { @incs = len(@inc); @statss = len(@stats); @sets = len(@set); }",
        scale,
        None,
    );
    report.assert_no_loss();
    for name in ["@inc", "@stats", "@hist", "@set"] {
        assert_eq!(delivered(&report, name), scale.total(), "{name}");
    }
    for name in ["@incs", "@statss", "@sets"] {
        assert_eq!(report.number(name), scale.total(), "{name}");
    }
}

/// Keys that some programs delete while others insert them: none of it is taken for a full map.
#[test]
fn live_deleted_and_inserted() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(2);
    let report = run(
        "HIT {
            @inc[arg1 & 1]++; @count[arg1 & 1] = count(); @hist[arg1 & 1] = hist(arg2); @set[arg1 & 1] = arg2;
            if (arg1 & 3 == 0) { delete(@inc, arg1 & 1); delete(@count, arg1 & 1); delete(@hist, arg1 & 1); delete(@set, arg1 & 1); }
        }
        end { @incs = len(@inc); @counts = len(@count); @hists = len(@hist); @sets = len(@set); }",
        scale,
        None,
    );
    for warning in &report.warnings {
        let known = warning.contains("other programs were changing") || warning.starts_with("len(");
        assert!(known, "{warning}");
    }
    for (length, name) in [
        ("@incs", "@inc"),
        ("@counts", "@count"),
        ("@hists", "@hist"),
        ("@sets", "@set"),
    ] {
        let there = report.last.get(name).map_or(0, Vec::len) as u64;
        report.assert_length(length, name, there);
    }
}

#[test]
fn live_full_ring() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let report = run(
        "config = { perf_rb_pages = 1 } HIT { printf(\"%d %d\\n\", arg0, arg1); }",
        scale,
        None,
    );
    // Those of a thread come in order.
    let mut next = vec![0; scale.threads as usize];
    let mut printed = 0;
    for seen in &report.seen {
        let Seen::Text(text) = seen else {
            panic!("{seen:?}")
        };
        let mut numbers = text
            .split_ascii_whitespace()
            .map(|word| word.parse::<u64>().unwrap());
        let (thread, number) = (numbers.next().unwrap() as usize, numbers.next().unwrap());
        assert!(
            number >= next[thread],
            "thread {thread}: {number} after {}",
            next[thread]
        );
        next[thread] = number + 1;
        printed += 1;
    }
    let lost = report.lost("Total lost event count");
    assert!(lost > 0, "the ring never was full");
    assert_eq!(printed + lost, scale.total());
}

/// Whatever the rings have no room for: what a script asks user space to do is done, as often as it asked.
#[test]
fn live_control_events_under_pressure() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(2);
    let report = run(
        "config = { perf_rb_pages = 1 }
        HIT {
            printf(\"%d\\n\", arg1); @k = count();
            if (arg1 % 256 == 255) { @asked = count(); print(@k); clear(@k); }
        }",
        scale,
        None,
    );
    let printed = report
        .seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Text(_)))
        .count() as u64;
    assert_eq!(printed + report.lost("Total lost event count"), scale.total());
    let prints = report
        .seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Map(..)))
        .count() as u64;
    assert_eq!(prints, report.number("@asked"));
    assert_eq!(delivered(&report, "@k"), scale.total());
}

/// More control events than both rings hold and than there are slots to note them in, while nothing is read.
pub const UNREAD: &str =
    "config = { perf_rb_pages = 1 } HIT { @asked = count(); @k = count(); print(@k); clear(@k); }";

/// How often [`UNREAD`] showed its map while it ran.
pub fn shown(report: &Report) -> u64 {
    let maps = report.seen.iter().filter(|seen| matches!(seen, Seen::Map(..)));
    maps.count() as u64
}

#[test]
fn live_control_events_that_nobody_reads() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(8);
    let report = run_stalled(UNREAD, scale, None);
    report.assert_no_loss();
    assert_eq!(shown(&report), report.number("@asked"));
    assert_eq!(report.number("@asked"), scale.total());
    assert_eq!(delivered(&report, "@k"), scale.total());
}
