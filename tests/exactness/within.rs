//! Within the capacity of maps, what scripts show is what the target did.

use crate::observe::{Report, Totals, can_run, run};
use crate::truth::{Call, Scale};
use crumbs_runtime::show::Content;
use std::collections::BTreeMap;

fn keyless(number: u64) -> Totals {
    Totals::from([(None, number)])
}

fn keyed(sums: BTreeMap<u64, u64>) -> Totals {
    sums.into_iter().map(|(key, sum)| (Some(key), sum)).collect()
}

/// The least number of the bucket of `hist` that a number falls into.
fn power(value: u64) -> i128 {
    if value == 0 { 0 } else { 1 << value.ilog2() }
}

/// How often each bucket is hit.
fn buckets(scale: Scale, of: impl Fn(u64) -> i128) -> BTreeMap<i128, u64> {
    let mut buckets = BTreeMap::new();
    for call in scale.all() {
        *buckets.entry(of(call.value)).or_insert(0) += 1;
    }
    buckets
}

/// The numbers of a map by thread id, whatever the ids are.
fn by_thread(report: &Report, name: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = report.totals(name).into_values().collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn live_without_keys() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let report = run(
        "HIT {
            @count = count(); @sum = sum(arg2); @min = min(arg2 + 7); @max = max(arg2);
            @avg = avg(arg2); @stats = stats(arg2); @hist = hist(arg2); @lhist = lhist(arg2, 0, 4096, 256);
            @inc++; @dec--; @add += arg2; @or |= arg2 << (arg0 * 4); @xor ^= arg2 * (arg1 + 1);
        }",
        scale,
        None,
    );
    report.assert_no_loss();
    let total = scale.total();
    let sum = scale.sum(|call| call.value);
    assert_eq!(report.number("@count"), total);
    assert_eq!(report.number("@sum"), sum);
    assert_eq!(
        report.number("@min"),
        scale.all().map(|call| call.value + 7).min().unwrap()
    );
    assert_eq!(
        report.number("@max"),
        scale.all().map(|call| call.value).max().unwrap()
    );
    assert_eq!(report.number("@avg"), sum / total);
    assert_eq!(report.counts("@stats"), keyless(total));
    assert_eq!(report.totals("@stats"), keyless(sum));
    assert_eq!(report.buckets("@hist"), buckets(scale, power));
    assert_eq!(
        report.buckets("@lhist"),
        buckets(scale, |value| i128::from(value / 256 * 256))
    );
    assert_eq!(report.number("@inc"), total);
    assert_eq!(report.number("@dec"), total.wrapping_neg());
    assert_eq!(report.number("@add"), sum);
    let or = scale
        .all()
        .fold(0, |or, call| or | call.value << (call.thread * 4));
    assert_eq!(report.number("@or"), or);
    let xor = scale.all().fold(0, |xor, call: Call| {
        xor ^ call.value.wrapping_mul(call.number + 1)
    });
    assert_eq!(report.number("@xor"), xor);
}

/// Operations that are done by compare-and-exchange, and given up and counted where others keep interfering.
#[test]
fn live_exchange_loops() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(2);
    let report = run(
        "begin { @mul = 1; @shift = 1; } HIT { @mul *= 3; @one[1] *= 1; @down[1] += 1; @down[1] /= 1; }",
        scale,
        None,
    );
    let done = scale.total() - report.lost("@mul ");
    assert_eq!(
        report.number("@mul"),
        3u64.wrapping_pow(u32::try_from(done).unwrap())
    );
    assert_eq!(report.totals("@down"), Totals::from([(Some(1), scale.total())]));
}

#[test]
fn live_by_thread() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let report = run(
        "HIT {
            @count[tid] = count(); @sum[tid] = sum(arg2); @max[tid] = max(arg1); @stats[tid] = stats(arg2);
            @hist[tid] = hist(arg2); @inc[tid]++; @add[tid] += arg2;
            @start[tid] = arg1 + 1;
            if (@start[tid] == arg1 + 1) { @pairs++; delete(@start, tid); }
        }
        end { @left = len(@start); }",
        scale,
        None,
    );
    report.assert_no_loss();
    let calls = vec![scale.calls; scale.threads as usize];
    let mut sums: Vec<u64> = scale
        .sums(|call| call.thread, |call| call.value)
        .into_values()
        .collect();
    sums.sort_unstable();
    assert_eq!(by_thread(&report, "@count"), calls);
    assert_eq!(by_thread(&report, "@inc"), calls);
    assert_eq!(by_thread(&report, "@sum"), sums);
    assert_eq!(by_thread(&report, "@add"), sums);
    assert_eq!(by_thread(&report, "@stats"), sums);
    let mut counts: Vec<u64> = report.counts("@stats").into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, calls);
    let last = vec![scale.calls - 1; scale.threads as usize];
    assert_eq!(by_thread(&report, "@max"), last);
    assert_eq!(by_thread(&report, "@hist"), calls);
    assert_eq!(report.buckets("@hist"), buckets(scale, power));
    assert_eq!(report.number("@pairs"), scale.total());
    assert_eq!(report.number("@left"), 0);
    assert_eq!(report.totals("@start"), Totals::new());
}

#[test]
fn live_many_keys() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let mask = scale.keys - 1;
    let few = mask >> 4;
    let report = run(
        &format!(
            "HIT {{
                @count[arg1 & {mask}] = count(); @stats[arg1 & {mask}] = stats(arg2); @inc[arg1 & {mask}]++;
                @pair[arg1 & {few}, arg0] += arg2; @hist[arg1 & {few}] = hist(arg2);
            }}
            end {{ @counts = len(@count); @incs = len(@inc); @pairs = len(@pair); }}"
        ),
        scale,
        None,
    );
    report.assert_no_loss_but_lengths();
    let key = |call: Call| call.number & mask;
    let ones = keyed(scale.sums(key, |_| 1));
    let sums = keyed(scale.sums(key, |call| call.value));
    assert_eq!(report.totals("@count"), ones);
    assert_eq!(report.totals("@inc"), ones);
    assert_eq!(report.counts("@stats"), ones);
    assert_eq!(report.totals("@stats"), sums);
    assert_eq!(
        report.totals("@pair"),
        keyed(scale.sums(|call| call.number & few, |call| call.value))
    );
    assert_eq!(
        report.totals("@hist"),
        keyed(scale.sums(|call| call.number & few, |_| 1))
    );
    assert_eq!(report.buckets("@hist"), buckets(scale, power));
    report.assert_length("@counts", "@count", scale.keys);
    report.assert_length("@incs", "@inc", scale.keys);
    report.assert_length("@pairs", "@pair", (few + 1) * scale.threads);
}

/// A script that prints and takes away, and what its maps must add up to.
pub fn taking(scale: Scale, verb: &str) -> String {
    let mask = scale.keys - 1;
    let few = mask >> 6;
    let names = [
        "count", "stats", "hist", "inc", "bythread", "counts", "incs", "hists", "wide",
    ];
    let takes: String = names
        .iter()
        .map(|name| format!("print(@{name}); {verb}(@{name}); "))
        .collect();
    format!(
        "HIT {{
            @count = count(); @stats = stats(arg2); @hist = hist(arg2); @inc++;
            @bythread[arg0] = count(); @counts[arg1 & {few}] = count(); @incs[arg1 & {few}]++;
            @hists[arg0] = hist(arg2); @wide[arg1 & {mask}] = sum(arg2);
        }}
        interval:ms:{} {{ {takes} }}",
        scale.interval
    )
}

/// What [`taking`] must add up to: map, what it is, what it must be.
pub fn taken(report: &Report, scale: Scale) -> Vec<(&'static str, Totals, Totals)> {
    let mask = scale.keys - 1;
    let few = mask >> 6;
    let sum = scale.sum(|call| call.value);
    let by_thread = keyed(scale.sums(|call| call.thread, |_| 1));
    let by_few = keyed(scale.sums(|call| call.number & few, |_| 1));
    let wide = keyed(scale.sums(|call| call.number & mask, |call| call.value));
    let all = keyless(scale.total());
    vec![
        ("@count", report.totals("@count"), all.clone()),
        ("@stats", report.counts("@stats"), all.clone()),
        ("@stats", report.totals("@stats"), keyless(sum)),
        ("@hist", report.totals("@hist"), all.clone()),
        ("@inc", report.totals("@inc"), all),
        ("@bythread", report.totals("@bythread"), by_thread.clone()),
        ("@counts", report.totals("@counts"), by_few.clone()),
        ("@incs", report.totals("@incs"), by_few),
        ("@hists", report.totals("@hists"), by_thread),
        ("@wide", report.totals("@wide"), wide),
    ]
}

fn takes_everything(verb: &str) {
    if !can_run() {
        return;
    }
    let mut scale = Scale::of_this_machine();
    if verb == "zero" {
        // Keys that stay are printed again and again.
        (scale.keys, scale.interval) = (scale.keys / 16, scale.interval * 5);
    }
    scale.lasts = 5 * scale.interval;
    let report = run(&taking(scale, verb), scale, None);
    report.assert_no_loss();
    for (name, shown, truth) in taken(&report, scale) {
        assert_eq!(shown, truth, "{name}");
        assert!(
            report.prints(name).count() > 1,
            "{name} is printed while the target runs"
        );
    }
    assert_eq!(report.buckets("@hist"), buckets(scale, power));
    assert_eq!(report.buckets("@hists"), buckets(scale, power));
}

#[test]
fn live_print_and_clear() {
    takes_everything("clear");
}

#[test]
fn live_print_and_zero() {
    takes_everything("zero");
}

/// `zero` keeps keys, so that the length stays what it was; `clear` does not.
#[test]
fn live_lengths() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let mask = scale.keys / 16 - 1;
    let report = run(
        &format!(
            "HIT {{ @kept[arg1 & {mask}] = count(); @plain[arg1 & {mask}]++; @hist[arg1 & {mask}] = hist(arg2); }}
            interval:ms:{} {{ print(@kept); zero(@kept); print(@plain); zero(@plain); print(@hist); zero(@hist); }}
            end {{ @kepts = len(@kept); @plains = len(@plain); @hists = len(@hist); }}",
            scale.interval
        ),
        scale,
        None,
    );
    report.assert_no_loss_but_lengths();
    let truth = keyed(scale.sums(|call| call.number & mask, |_| 1));
    for name in ["@kept", "@plain", "@hist"] {
        assert_eq!(report.totals(name), truth, "{name}");
        assert_eq!(report.last[name].len() as u64, mask + 1, "{name}");
    }
    for (length, name) in [("@kepts", "@kept"), ("@plains", "@plain"), ("@hists", "@hist")] {
        report.assert_length(length, name, mask + 1);
    }
}

/// An average of one number is that number, in every print.
#[test]
fn live_averages() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let report = run(
        "HIT { @keyed[arg0] = avg(1000000); @same = avg(1000000); @stats = stats(1000000); }
        interval:ms:5 { print(@keyed); clear(@keyed); print(@same); clear(@same); print(@stats); zero(@stats); }",
        scale,
        None,
    );
    report.assert_no_loss();
    for name in ["@keyed", "@same", "@stats"] {
        for entry in report.prints(name).flatten() {
            let average = match entry.value {
                Content::Average(average) | Content::Stats { average, .. } => average,
                ref other => panic!("{other:?}"),
            };
            // A print between two calls shows 0.
            assert!(average == 1_000_000 || average == 0, "{name}: {average}");
        }
    }
    assert_eq!(report.counts("@stats"), keyless(scale.total()));
}

/// What interrupts a program on its own CPU adds to the same maps.
#[test]
fn live_nested() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine();
    let report = run(NESTED, scale, None);
    report.assert_no_loss();
    assert_nested(&report, scale);
}

/// Every update of the profile probe also goes to a map of its own, which says how many there were.
pub const NESTED: &str = "HIT { @count = count(); @inc++; @keyed[0] = count(); @x[0]++; }
    profile:us:100 { @ticks = count(); @count = count(); @inc++; @keyed[0] = count(); @x[0]++; }";

/// Whether [`NESTED`] lost nothing.
pub fn assert_nested(report: &Report, scale: Scale) {
    let total = scale.total() + report.number("@ticks");
    assert_eq!(report.number("@count"), total);
    assert_eq!(report.number("@inc"), total);
    assert_eq!(report.totals("@keyed"), Totals::from([(Some(0), total)]));
    assert_eq!(report.totals("@x"), Totals::from([(Some(0), total)]));
}

/// Values that are worked on in scratch memory, in programs that interrupt each other.
pub const SCRATCH: &str = "HIT { @texts[arg0, str(arg3, 400)] = count(); }
    profile:us:100 { @ticks = count(); @names[comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm,
        comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm, comm] = count(); }";

/// What [`SCRATCH`] counted of each text, ascending.
pub fn texts(report: &Report) -> Vec<i128> {
    let entries = report.last["@texts"].iter();
    let mut counts: Vec<i128> = entries
        .map(|entry| match entry.value {
            Content::Number(count) => count,
            ref other => panic!("{other:?}"),
        })
        .collect();
    counts.sort_unstable();
    counts
}

#[test]
fn live_scratch_memory() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(4);
    let report = run(SCRATCH, scale, None);
    report.assert_no_loss();
    assert_eq!(
        texts(&report),
        vec![i128::from(scale.calls); scale.threads as usize]
    );
    let names: u64 = report.last["@names"].iter().map(crate::observe::count).sum();
    assert_eq!(names, report.number("@ticks"));
}
