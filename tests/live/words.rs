//! Numbers shown in words, buffers and addresses, on the kernel.

use crate::support::{evaluate, needs, no_tracing, trace};

#[test]
fn users_clocks_and_cgroups() {
    needs!(no_tracing());
    evaluate(
        "begin { print(username); print(nsecs(monotonic) <= nsecs(boot)); print(nsecs(tai) / 1000000000 == nsecs(sw_tai) / 1000000000);
            print(pid(curr_ns) == pid); print(pid(init) != 0); print(curtask > 0); print(jiffies > 0); print(numaid < 1024); }",
    )
    .prints("root\ntrue\ntrue\ntrue\ntrue\ntrue\ntrue\ntrue\n\n\n");
    evaluate("begin { print(cgroupid(\"/sys/fs/cgroup\") > 0); print(strftime(\"%Y\", nsecs) == strftime(\"%Y\", nsecs)); }")
        .has_no_complaint();
    // Every process is in its own cgroup; none has the number 0.
    evaluate("begin { print((in_cgroup(cgroup), in_cgroup(0))); }").prints("(true, false)\n\n\n");
}

#[test]
fn errors_signals_and_system_calls() {
    needs!(no_tracing());
    evaluate(
        "begin { $e = -2; print(strerror($e)); print(signal_name(9)); @[syscall_name(1)] = count();
            if (strerror($e) == \"No such file or directory\") { print(\"missing\"); } }",
    )
    .prints("No such file or directory\nKilled\nmissing\n\n\n@[write]: 1\n");
}

#[test]
fn texts_match_patterns() {
    needs!(no_tracing());
    for (text, pattern, matches) in [
        ("", "", true),
        ("", "*", true),
        ("", "?", false),
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("ab", "abc", false),
        ("abc", "a?c", true),
        ("aab", "a*b", true),
        ("abcabd", "*ab?", true),
        ("abcabc", "*abd", false),
        ("a/b/c", "a*/c", true),
        ("x7", "[w-z][!a-z]", true),
        ("x-", "x[a-]", true),
        ("]", "[]x]", true),
        ("x", "[!]x]", false),
        ("xyz", "x**z*", true),
    ] {
        let script = format!("begin {{ $t = \"{text}\"; print(globmatch($t, \"{pattern}\")); }}");
        evaluate(&script).prints(&format!("{matches}\n\n\n"));
    }
}

#[test]
fn buffers_of_the_traced_process() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:text { printf(\"%r %rx %rh\\n\", buf(arg0, 2), buf(arg0, 2), buf(arg0, 3)); @[buf(arg0, arg0 > 0 ? 3 : 1)] = count(); }",
        "text hello",
    )
    .prints("he \\x68\\x65 68 65 6c\n\n\n@[hel]: 1\n");
}

#[test]
fn internet_addresses() {
    needs!(no_tracing());
    evaluate(
        "begin { print(ntop(0x0100007f)); print(ntop(pton(\"2001:db8::1\"))); print(pton(\"1.2.3.4\")); @[ntop(pton(\"::1\"))] = count();
            printf(\"%x %lx\\n\", bswap((uint16)0x1234), bswap((uint64)curtask) == 0); print(macaddr(pton(\"102:304:506::\"))); }",
    )
    .prints("127.0.0.1\n2001:db8::1\n[1,2,3,4]\n3412 0\n01:02:03:04:05:06\n\n\n@[::1]: 1\n");
}
