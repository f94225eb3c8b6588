//! Attach points: which places, which programs, which names.

use super::*;

/// What each probe is attached to: path or event, and `offset/cookie` of each place.
fn attached(script: &hir::Script) -> Vec<Vec<String>> {
    let one = |attach: &Attach| match attach {
        Attach::Uprobe {
            path,
            on_return,
            places,
        } => {
            let name = path.rsplit('/').next().unwrap();
            let places: Vec<_> = places
                .iter()
                .map(|p| format!("{:x}/{}", p.offset, p.cookie))
                .collect();
            format!(
                "{name}{} {}",
                if *on_return { " return" } else { "" },
                places.join(" ")
            )
        }
        Attach::Tracepoint { event, cookie, .. } => format!("{event}/{cookie}"),
        other => format!("{other:?}"),
    };
    script
        .probes
        .iter()
        .map(|probe| probe.attach.iter().map(one).collect())
        .collect()
}

fn probes(script: &hir::Script) -> Vec<&str> {
    script
        .sites
        .iter()
        .map(|site| site.probe.rsplit(':').next().unwrap())
        .collect()
}

#[test]
fn one_program_for_many_functions() {
    let script = hir("uprobe:libc:*read*, uprobe:libhdf5:H5Dread { @[probe] = count(); }");
    assert_eq!(script.probes.len(), 1);
    let attached = attached(&script);
    assert_eq!(attached[0].len(), 2, "one attachment a binary: {attached:?}");
    let Attach::Uprobe { places, .. } = &script.probes[0].attach[0] else {
        panic!("{attached:?}");
    };
    assert!(
        places.windows(2).all(|pair| pair[0].offset < pair[1].offset),
        "sorted, none twice"
    );
    assert!(
        probes(&script).contains(&"pread") && !probes(&script).contains(&"pread64"),
        "aliases once"
    );
}

#[test]
fn aliases_have_the_name_that_is_written() {
    assert_eq!(probes(&hir("uprobe:libc:*open64 { }")), ["fopen64", "open64"]);
    assert_eq!(probes(&hir("uprobe:libc:open64, uprobe:libc:open { }")), ["open"]);
    assert_eq!(
        probes(&hir("uprobe:libc:*write, uprobe:libc:__write { }")),
        ["fwrite", "pwrite", "__write"]
    );
    assert_eq!(
        probes(&hir("uprobe:libc:*write { }")),
        ["fwrite", "pwrite", "write"]
    );
}

#[test]
fn names_of_places_are_equal_in_all_probes() {
    let script = hir("uprobe:libc:read, uprobe:libc:write { @s[tid, func] = nsecs; } \
         uretprobe:libc:read, uretprobe:libc:write { @[func] = hist(nsecs - @s[tid, func]); }");
    assert_eq!(probes(&script), ["read", "write", "read", "write"]);
    // The return probes' cookies are the indices of the entry probes' sites: those names come first.
    assert_eq!(
        attached(&script),
        [
            ["libc.so.6 f82a0/0 f8340/1"],
            ["libc.so.6 return f82a0/0 f8340/1"]
        ]
    );
    // With both names in use no cookie serves both, so there is a program for each place.
    let script = hir("uprobe:libc:read, uprobe:libc:write { @a[func] = count(); } \
         uretprobe:libc:read, uretprobe:libc:write { @[func, probe] = count(); }");
    assert_eq!(script.probes.len(), 3);
    assert!(script.to_string().contains("@[(name \"read\", name \"uretprobe:"));
}

#[test]
fn without_cookies_names_need_programs() {
    let old = target().without(Feature::Cookies);
    let programs = |source: &str| {
        check_on(&old, source, &Options::default())
            .0
            .unwrap()
            .probes
            .len()
    };
    assert_eq!(
        programs("uprobe:libc:read, uprobe:libc:write { @[func] = count(); }"),
        2
    );
    assert_eq!(
        programs("uprobe:libc:read, uprobe:libc:write { @[comm] = count(); }"),
        1
    );
    assert_eq!(programs("uprobe:libc:read { @[func] = count(); }"), 1);
}

#[test]
fn tracepoints_share_a_program_where_the_fields_lie_alike() {
    assert_eq!(
        hir("tracepoint:syscalls:sys_enter_* { @ = count(); }")
            .probes
            .len(),
        1
    );
    let alike = hir(
        "tracepoint:syscalls:sys_enter_read, tracepoint:syscalls:sys_enter_write { @ = sum(args.count); }",
    );
    assert_eq!(attached(&alike), [["sys_enter_read/0", "sys_enter_write/1"]]);
    let source = "tracepoint:sched:sched_switch, tracepoint:sched:sched_process_exit { @[probe] = count(); }";
    assert_eq!(hir(source).probes.len(), 1);
    let source = "tracepoint:block:block_rq_issue, tracepoint:block:block_rq_complete { print(args.cmd); }";
    assert_eq!(hir(source).probes.len(), 2, "`cmd` lies elsewhere");
}

#[test]
fn kinds_have_programs_of_their_own() {
    let script = hir("uprobe:libc:write, uretprobe:libc:write, i:s:1 { @[probe] = count(); }");
    let kinds: Vec<_> = script.probes.iter().map(|probe| probe.kind_name).collect();
    assert_eq!(kinds, ["uprobe", "uretprobe", "interval"]);
}

#[test]
fn forms_of_attach_points() {
    let sites = |source: &str| {
        hir(source)
            .sites
            .into_iter()
            .map(|site| (site.probe, site.func))
            .collect::<Vec<_>>()
    };
    let libc = "uprobe:/usr/lib/x86_64-linux-gnu/libc.so.6";
    let site = |probe: String, func: &str| vec![(probe, func.to_owned())];
    assert_eq!(
        sites("u:libc:write+4 { }"),
        site(format!("{libc}:write+4"), "write")
    );
    assert_eq!(
        sites("uprobe:libc:0xf8344 { }"),
        site(format!("{libc}:0xf8344"), "write")
    );
    assert_eq!(
        sites("uprobe:/usr/lib/x86_64-linux-gnu/libc.so.6:write { }"),
        site(format!("{libc}:write"), "write")
    );
    assert_eq!(
        sites("uprobe:\"libc\":\"write\" { }"),
        site(format!("{libc}:write"), "write")
    );
    assert_eq!(sites("BEGIN { }"), site("begin".into(), ""));
    assert_eq!(sites("i:10ms { }"), site("interval:10ms".into(), ""));
    let periods = |source: &str| match &hir(source).probes[0].attach[0] {
        Attach::Interval { every, .. } | Attach::Profile { every, .. } => *every,
        other => panic!("{other:?}"),
    };
    use crate::plan::Period;
    assert_eq!(periods("interval:ms:20 { }"), Period::Nanos(20_000_000));
    assert_eq!(periods("interval:1h { }"), Period::Nanos(3_600_000_000_000));
    assert_eq!(periods("interval:500 { }"), Period::Nanos(500));
    assert_eq!(periods("profile:hz:99 { }"), Period::Hertz(99));
}

#[test]
fn missing_probes() {
    let with = |word: &str| {
        checked(&format!(
            "config = {{ missing_probes = {word} }} uprobe:libc:zzz, uprobe:libc:read {{ }}"
        ))
    };
    assert!(with("error").0.is_none());
    let (script, diagnostics) = with("warn");
    assert_eq!((script.unwrap().sites.len(), diagnostics.len()), (1, 1));
    let (script, diagnostics) = with("ignore");
    assert_eq!((script.unwrap().sites.len(), diagnostics.len()), (1, 0));
    // Nothing left to run is an error in any case.
    let none = said("config = { missing_probes = ignore } uprobe:libc:zzz { }");
    assert_eq!(
        none,
        ["E0100 ``: none of the script's attach points exists on this machine"]
    );
}

/// An attach point in error does not make its maps undefined.
#[test]
fn bodies_of_broken_probes_are_checked() {
    for point in ["uprobe:libc:wirte", "nosuch:x", "uprobe:libc"] {
        let said = said(&format!(
            "{point} {{ @x[tid] = args.y + retval; print($z); }} end {{ print(@x); }}"
        ));
        let codes: Vec<_> = said.iter().map(|line| &line[..5]).collect();
        assert!(codes.contains(&"E0117") && !codes.contains(&"E0116"), "{said:?}");
    }
}
