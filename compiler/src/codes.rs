//! The mistakes that the compiler reports, each declared once. Those of the parser are in the grammar crate.
//!
//! An example is a script that triggers the code against the recorded machine of the tests; a test runs each.

use crumbs_grammar::diagnostic::Code;

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal, $example:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code { id: $id, title: $title, explanation: $explanation, example: $example };
        )*
        /// Every code of the compiler, in order.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    EMPTY = "E0100", "the script has no probe",
        "A script says at least once what to do at some place: `begin { printf(\"hello\\n\"); }`. Comments, configuration \
         and definitions alone do nothing.",
        "// nothing to do\n";
    LATER = "E0101", "not supported yet",
        "This is part of the bpftrace language and planned, but this version of crumbs cannot run it.",
        "uprobe:libc:write { print(arg12); }";
    UNKNOWN_PROBE_KIND = "E0102", "there is no such kind of probe",
        "An attach point begins with the kind of the probe: `uprobe:libc:write`, `interval:s:1`. `crumbs -l` lists what can be \
         traced.",
        "uprob:libc:write { @ = count(); }";
    MALFORMED_ATTACH_POINT = "E0103", "an attach point has the wrong form",
        "Each kind of probe has its own form, parts separated by colons. Parts with colons, commas or braces in them are \
         quoted: `uprobe:\"/a:b\":f`.",
        "uprobe:libc { @ = count(); }";
    NO_BINARY = "E0104", "a program or library cannot be found",
        "A user probe names a path, a program on `PATH`, or a library by its short name (`libc`, `libhdf5`).",
        "uprobe:libbc:write { @ = count(); }";
    NO_FUNCTION = "E0105", "a binary has no such function",
        "User probes are placed on the functions that the binary's symbol tables name. A stripped binary names only what it \
         exports.",
        "uprobe:libc:wirte { @ = count(); }";
    NO_TRACEPOINT = "E0106", "there is no such tracepoint",
        "A tracepoint is named by category and event. Which there are depends on the kernel, its configuration and the \
         modules that are loaded; `crumbs -l 'tracepoint:*'` lists them.",
        "tracepoint:syscalls:sys_enter_opne { @ = count(); }";
    NO_MATCH = "E0107", "a wildcard matches nothing",
        "`*` stands for any text, also none. With `config = { missing_probes = warn }` attach points that match nothing are \
         skipped.",
        "uprobe:libc:zzz* { @ = count(); }";
    UNREADABLE = "E0108", "something that is needed cannot be read",
        "The file may be there, but could not be read or understood.",
        "";
    BAD_OFFSET = "E0109", "there is no code at this offset or address",
        "`function+offset` counts bytes from the function's first instruction and must stay inside of the function. A bare \
         number is a virtual address of the binary and must lie in executable code.",
        "uprobe:libc:write+4096 { @ = count(); }";
    BAD_PERIOD = "E0110", "a timer has no valid period",
        "Timers are written `interval:s:1`, `interval:ms:100`, `interval:us:500`, `interval:hz:99` or with a duration, \
         `interval:10ms`. A bare number counts nanoseconds. The period is above 0.",
        "interval:s:0 { @ = count(); }";
    UNKNOWN_NAME = "E0111", "a name is not known",
        "A bare word in an expression is a builtin value such as `pid` or `comm`. Variables begin with `$`, maps with `@`, \
         text stands in double quotes.",
        "begin { print(pidd); }";
    UNKNOWN_FUNCTION = "E0112", "a function is not known",
        "Only the functions of the language can be called; those of the traced program cannot.",
        "begin { prinft(\"hello\"); }";
    ARGUMENT_COUNT = "E0113", "a function has too few or too many arguments",
        "Each function states what it takes: `crumbs doc NAME` shows it.",
        "begin { @x[1] = 1; print(has_key(@x)); }";
    ARGUMENT_TYPE = "E0114", "a function cannot take this argument",
        "The argument is of another type than the function works on.",
        "begin { print(str(comm, \"x\")); }";
    NOT_LITERAL = "E0115", "an argument must be written out",
        "Some arguments decide what is compiled, so they must be literal: formats, bucket sizes, how many rows to print.",
        "begin { $f = \"%d\"; printf($f, 1); }";
    UNDEFINED_MAP = "E0116", "a map is never assigned",
        "A map that is read must be assigned somewhere in the script, else it could only ever be empty.",
        "begin { @count = 1; print(@coutn); }";
    UNDEFINED_VARIABLE = "E0117", "a variable is not defined here",
        "A variable exists from its first assignment or `let` to the end of the block that this stands in. To keep a value \
         from one probe to another, use a map.",
        "begin { if (1) { let $x = 1; } print($x); }";
    SHADOWED = "E0118", "a variable of this name exists already",
        "`let` declares a new variable; one of the same name is visible here. Assign without `let`, or choose another name.",
        "begin { $x = 1; if ($x) { let $x = 2; print($x); } }";
    MISMATCHED_VALUE = "E0119", "one place holds values of different types",
        "A map, like a variable, holds values of one type. The first assignment decides between number, text and tuple; \
         narrower numbers and shorter texts are converted.",
        "begin { @x = 1; @x = \"one\"; }";
    MISMATCHED_KEY = "E0120", "a map is used with different keys",
        "All uses of a map have the same number of keys, and at each position values of one type.",
        "begin { @x[1] = 1; @x[1, 2] = 1; }";
    KEYED_AND_NOT = "E0121", "a map is used with and without a key",
        "`@x` and `@x[key]` are different uses; one map has one of them. Only functions that work on the whole map, such as \
         `print`, `clear` and `len`, take a map with keys by its bare name.",
        "begin { @x = 1; @x[1] = 2; }";
    MIXED_AGGREGATION = "E0122", "a map is used for different things",
        "A map that is assigned an aggregation is always assigned the same one, with the same parameters; it cannot hold \
         plain values as well.",
        "begin { @x = count(); @x = sum(1); }";
    MISPLACED_AGGREGATION = "E0123", "an aggregation stands where it cannot",
        "An aggregation is written as an assignment to a map, and nothing else: `@bytes = hist(arg2);`, \
         `@calls[comm] = count();`.",
        "begin { $x = count(); }";
    BAD_OPERANDS = "E0124", "an operator cannot take these operands",
        "Arithmetic works on numbers. Text and tuples can be compared with `==` and `!=` only, and only with their like.",
        "begin { print(comm + 1); }";
    NOT_CONDITION = "E0125", "a condition is not a number",
        "A condition, and each side of `&&` and `||`, is a number, a boolean or an address: 0 means no.",
        "begin { if (comm) { print(1); } }";
    NOT_ASSIGNABLE = "E0126", "this cannot be assigned to",
        "Variables (`$x`) and elements of maps (`@x`, `@x[key]`) can be assigned to.",
        "begin { pid = 1; }";
    NOT_OFFERED = "E0127", "a value does not exist in this kind of probe",
        "Which values there are depends on the probe: arguments at the entry of functions, `retval` at their return, \
         `args` at tracepoints.",
        "begin { print(arg0); }";
    UNKNOWN_FIELD = "E0128", "a record has no such field",
        "The fields of a tracepoint are those of its record, as the kernel describes them. With several attach points each \
         must have the field.",
        "tracepoint:sched:sched_switch { print(args.prev_pidd); }";
    BAD_PARAMETER = "E0129", "a parameter has a value of another kind",
        "A parameter that the script asks for with `getopt(\"name\", default)` is a number, a text or a boolean as its default is.",
        "";
    BAD_FORMAT = "E0130", "a format is malformed",
        "A conversion is `%[flags][width][.precision][length]letter` with a letter of `d i u x X o c p s r`; a percent sign \
         itself is written `%%`.",
        "begin { printf(\"%y\\n\", 1); }";
    FORMAT_COUNT = "E0131", "a format has another number of conversions than there are values",
        "Each conversion of the format takes one of the values behind it, in order.",
        "begin { printf(\"%d %d\\n\", 1); }";
    FORMAT_TYPE = "E0132", "a conversion does not fit its value",
        "`%d` and its like show numbers, `%s` shows any value, `%r` bytes.",
        "begin { printf(\"%d\\n\", comm); }";
    UNKNOWN_CONFIG = "E0133", "a config variable is not known",
        "A `config` block sets the variables that the reference lists; so do environment variables in capitals with \
         `CRUMBS_` or `BPFTRACE_` in front.",
        "config = { max_str_len = 64 } begin { }";
    BAD_CONFIG = "E0134", "a config variable cannot have this value",
        "Each config variable has its own range of values.",
        "config = { max_map_keys = 0 } begin { }";
    NO_VALUE = "E0135", "something without a value is used as one",
        "Functions such as `printf` and `clear` do something and give nothing back.",
        "begin { @x = printf(\"x\"); }";
    DOES_NOT_FIT = "E0136", "a value does not fit",
        "The type that was declared is too small for the value. Declare a greater one, or cut the value with a cast: \
         `(uint8)300` is 44.",
        "begin { let $x: uint8 = 300; print($x); }";
    UNKNOWN_TYPE = "E0137", "a type is not known",
        "Types are `bool`, `int8` to `int64`, `uint8` to `uint64`, their names in C, and `string[N]`.",
        "begin { let $x: uint33 = 1; print($x); }";
    READS_AGGREGATION = "E0138", "an aggregation that is not one number is used as one",
        "`count`, `sum`, `min`, `max` and `avg` are numbers and can be read. A histogram or `stats` is printed as a whole: \
         `print(@x)`.",
        "begin { @x = hist(1); if (@x > 5) { exit(); } }";
    BAD_AGGREGATION_PARAMETER = "E0139", "an aggregation cannot have this parameter",
        "The parameters of an aggregation are literal numbers within its limits.",
        "begin { @x = lhist(1, 10, 0, 1); }";
    UNKNOWN_SYMBOL = "E0360", "the kernel or a binary has no such symbol",
        "`kaddr` takes the names in /proc/kallsyms, `uaddr` those that `nm` and `nm -D` list for the traced binary.",
        "begin { print(kaddr(\"no_such_symbol\")); }";
    BAD_C = "E0350", "a C declaration cannot be understood",
        "The text in front of the probes is C: struct, union, enum and typedef, `#define` of constants, `#if`, and \
         `#include \"header.h\"`. It is read by crumbs itself, so extensions of C compilers other than `packed` and `aligned` \
         are not known. Types of headers in angle brackets come from the kernel's BTF; such headers are read where -I names \
         their directory, and the machine's own when a name is found nowhere else.",
        "struct a { int x y; };\nbegin { print(1); }";
    UNKNOWN_TYPE_OF_PLACE = "E0140", "nothing says which type a place has",
        "All that is assigned here is computed from itself. Assign a first value.",
        "begin { @x = @y; @y = @x; }";
    BAD_CAST = "E0141", "a value cannot be cast to this type",
        "Numbers, booleans and addresses can be cast to integers.",
        "begin { print((int32)comm); }";
    RECORD_TOO_LARGE = "E0142", "too much is sent at once",
        "What one `printf` or `print` sends is at most 64 KiB. Read shorter text: `str(p, 64)`.",
        "config = { max_strlen = 30000 } uprobe:libc:write { printf(\"%s%s%s\", str(arg0), str(arg1), str(arg2)); }";
    KEY_IN_CALL = "E0143", "a function works on a whole map",
        "`clear`, `zero` and `len` take a map by its bare name.",
        "begin { @x[1] = 1; clear(@x[1]); }";
    NOT_A_MAP = "E0144", "a function needs a map",
        "The argument must be a map: `clear(@x)`.",
        "begin { clear(1); }";
    KEY_TOO_LARGE = "E0145", "a map's key or value is too large",
        "The kernel refuses map elements of this size.",
        "config = { max_strlen = 32768 } uprobe:libc:write { @x[str(arg0), str(arg1)] = count(); }";
    NO_MEMBER = "E0146", "a tuple has no such member",
        "Members of a tuple are numbered from 0: `$t.0`, `$t.1`.",
        "begin { $t = (1, 2); print($t.2); }";
    UNSTABLE = "E0148", "something unstable is used",
        "What may still change in bpftrace has a config variable each: `unstable_NAME = enable` allows it, `warn` allows it with \
         a warning, `error` refuses it.",
        "begin { print(typeinfo(1)); }";
    FRACTION = "E0149", "a number with a fraction is used where it is not shown",
        "Programs in the kernel have whole numbers only. What a format shows by `%f`, `%e` or `%g` can be computed with literals \
         such as `1.0e9`: the whole numbers in it are sent, and it is added, subtracted, multiplied and divided when it is \
         printed.",
        "begin { $x = 1.5; }";
    NOT_TAKEN = "E0147", "left out on purpose",
        "Little of bpftrace is left out of crumbs: what needs a C compiler, and what something else does as well. The message \
         names what to write instead.",
        "begin { print(dw_ustack); }";
    BAD_EVENT = "E0170", "there is no such event",
        "`software:EVENT[:COUNT]` and `hardware:EVENT[:COUNT]` name an event that is counted and how many of it make the \
         probe fire; `self:signal:SIGUSR1` a signal to crumbs itself. `crumbs -l 'software:*'` lists events.",
        "software:page-fault { @ = count(); }";
    BAD_WATCHPOINT = "E0171", "memory cannot be watched in this way",
        "`watchpoint:ADDRESS:LENGTH:MODE` watches 1, 2, 4 or 8 bytes at an address that is a multiple of the length, for \
         accesses of the modes r, w, or x.",
        "watchpoint:0x1000:3:w { @ = count(); }";
    NO_KERNEL_FUNCTION = "E0174", "the kernel describes no such function",
        "fentry and fexit probes are placed on functions that the kernel's types (BTF) describe: those that are neither \
         inlined nor left out as ambiguous, of the kernel and of the modules that are loaded. A kprobe needs no description.",
        "fentry:no_such_function { @ = count(); }";
    NO_ITERATOR = "E0175", "the kernel has no such iterator",
        "An iterator goes through one of the kernel's lists. Which there are depends on the kernel; `crumbs -l 'iter:*'` lists \
         them.",
        "iter:tsk { @ = count(); }";
    PINNED = "E0176", "a pinned iterator cannot do this",
        "`iter:LIST:PIN` leaves a file behind. The kernel runs the program whenever someone reads that file, when crumbs has long \
         ended: `printf` is the text that the reader gets, written by the kernel, and there is nobody who could do anything else. \
         The kernel shows whole numbers and text, 12 of them at a time.",
        "iter:task:tasks { print(ctx.task.pid); }";
    REFUSED = "E0180", "this machine refuses a probe",
        "The script is right, but the kernel does not load or attach the probe: it lacks what the probe needs, the user lacks a \
         privilege, or what is traced is not there (any more). `crumbs doctor` says what this machine can do.",
        "";
    REJECTED = "E0181", "the kernel's verifier refuses a probe",
        "Every script that compiles should load, so this is a fault of crumbs, unless the kernel was built without something. \
         The message gives the verifier's reason, `-v` all that it said.",
        "";
    NEEDS_UNSAFE = "E0172", "this must be allowed with --unsafe",
        "What can change or crash the traced system is done only where the user allows it on the command line.",
        "kprobe:0xffffffff81000000 { @ = count(); }";
    NO_USDT = "E0173", "there is no such static probe",
        "`usdt:BINARY:[PROVIDER:]NAME` names a static probe (USDT) that a program or library was built with; `crumbs -l \
         'usdt:BINARY:*'` lists those of a file.",
        "usdt:libc:setjump { @ = count(); }";
    DISCARDED = "W0200", "a value is computed and not used",
        "The statement has no effect. Write `_ = …;` where that is meant.",
        "begin { pid + 1; }";
    CONSTANT_COMPARISON = "W0201", "a comparison always gives the same",
        "An unsigned number is never below 0. Where a negative number is meant, such as a failed call's result, cast: \
         `(int64)retval < 0`.",
        "uretprobe:libc:write /retval < 0/ { @errors = count(); }";
    MIXED_SIGNS = "W0202", "signed and unsigned numbers are compared",
        "Where one of them has 64 bits and no sign, both are compared without: negative numbers count as the greatest.",
        "uprobe:libc:write /nsecs < arg0/ { @x = count(); }";
    MISSING_PROBE = "W0203", "an attach point is skipped",
        "`missing_probes = warn` skips what is not there.",
        "config = { missing_probes = warn } begin { } uprobe:libc:zzz { @ = count(); }";
    UNUSED_VARIABLE = "W0204", "a variable is never assigned",
        "A variable that is declared only holds 0.",
        "begin { let $x; }";
    MAY_BE_CUT = "W0205", "a number may be cut",
        "The type that was declared is too small for some of the values. They are cut to it; a cast says that this is meant.",
        "begin { let $x: uint8 = nsecs; print($x); }";
    HOISTED = "W0206", "a variable is used behind its block",
        "A variable exists to the end of the block that assigns it first. One that is used behind that block exists in all of \
         the probe instead, as in scripts of old; `let $x;` before the block says so.",
        "begin { if (pid) { $x = 1; } print($x); }";
    INDIRECT_FUNCTION = "W0207", "a probe on a function that chooses another",
        "Functions such as `memcpy` of the C library exist in several versions for different processors. What has their name \
         chooses one of them when a program is started; calls then reach that directly.",
        "uprobe:libc:memcpy { @ = count(); }";
    USES_UNSTABLE = "W0208", "something unstable is used",
        "What may still change in bpftrace has a config variable each: `unstable_NAME = enable` allows it, `warn` allows it with \
         a warning, `error` refuses it.",
        "config = { unstable_tseries = warn } begin { @ = tseries(1, 1s, 3); }";
    LEFT_OUT = "W0209", "a wildcard leaves functions of the kernel out",
        "A probe on some functions of the kernel can stop the machine: what the processor does when idle, read-copy-update, and \
         at their return also locks. Wildcards leave them out; a probe can name them.",
        "kprobe:*s* { @ = count(); }";
    ABSENT = "W0210", "some of what a script looks at is not there",
        "With `missing_probes = summary`, as scripts of the library have it, a script does without libraries and functions that \
         this machine lacks: another version of a library has others. What it would count of them is missing from what it prints.",
        "config = { missing_probes = summary } begin { } uprobe:libc:zzz { @ = count(); }";
    BAD_LOOP = "E0320", "a loop cannot be made",
        "Loops are `for $i : a..b`, `for ($kv : @map)` over a map with keys, `while (condition)` and `unroll(n)` with a literal \
         from 1 to 100. Seven can stand in each other.",
        "begin { unroll(0) { print(1); } }";
    NOT_IN_LOOP = "E0321", "a loop is left outside of any",
        "`break` and `continue` belong to the innermost loop around them. `return` ends a probe or a function.",
        "begin { break; }";
    BAD_FUNCTION = "E0322", "a function is defined or called wrongly",
        "A function has a name of its own, says the types of its parameters and what it returns, and does not call itself: \
         `fn twice($n : int64) : int64 { return $n * 2; }`.",
        "fn f($n : int64) : int64 { return f($n); } begin { print(f(1)); }";
    NO_IMPORT = "E0300", "an import cannot be read",
        "`import \"path\"` takes over what a script, every script of a directory, or a module of the probe library defines. \
         Paths count from the importing file. C files cannot be imported: crumbs works without a C compiler.",
        "import \"no_such_file.bt\"; begin { }";
    IMPORT_STATEMENT = "E0301", "an import inside of a block",
        "Imports stand at the top of a script. Inside of blocks they are unstable and off unless the script's config sets \
         `unstable_import_statement = enable`.",
        "begin { import \"no_such_file.bt\"; }";
    IMPORTED_CONFIG = "E0302", "an imported file has a config block",
        "Only the script that is run decides on config variables, so that an import changes nothing behind its back.",
        "";
    DUPLICATE_MACRO = "E0303", "a macro or its parameter is defined twice",
        "Macros may share a name where the number or the kinds (`$v`, `@m`, `x`) of their parameters differ.",
        "macro m(x) { x } macro m(y) { y } begin { print(m(1)); }";
    MACRO_ARGUMENTS = "E0304", "a macro does not take these arguments",
        "A parameter `@m` takes a map as a whole, a bare word any value, and `$v` a variable; or any value as well where the macro \
         does not assign to it.",
        "macro m($v) { $v += 1; } begin { m(1); }";
    RECURSIVE_MACRO = "E0305", "a macro uses itself",
        "A macro is replaced by its text where it is used, so it can use other macros but not itself.",
        "macro m(x) { m(x) } begin { m(1); }";
    UNHYGIENIC_MAP = "E0306", "a macro uses a map that it was not given",
        "Maps belong to the whole script, so a macro names as parameters those that it uses: `macro m(@map) { … }`.",
        "macro m() { @x++; } begin { m(); @x = 1; }";
    STATIC_ASSERT = "E0308", "an assertion of the script does not hold",
        "`static_assert(condition, message)` is a condition under which a script makes sense: its parameters, the types and \
         probes of this machine.",
        "begin { static_assert(1 == 2, \"one is not two\"); }";
    FAILS = "E0309", "the script fails by its own word",
        "`fail(message)` refuses a script in which it can be reached: behind `if comptime`, where a parameter or a type is not as \
         the script wants it.",
        "begin { fail(\"not today\"); }";
    MAP_DECLARATION = "E0323", "a declaration of a map is in error",
        "`let @m = lruhash(1000);` says how a map is stored and how many elements it holds. `hash` refuses what is new when it is \
         full, `lruhash` drops what was used least lately; `percpuhash` and `percpulruhash` are the same for aggregations, \
         which have a value for each CPU.",
        "let @m = hash(10); begin { @m[1] = count(); }";
    UNKNOWN_PARAMETER = "E0310", "a script has no such parameter",
        "Parameters with a name, `--name=value` behind `--` on the command line, are those that the script asks for with \
         `getopt(\"name\")`. `crumbs --help SCRIPT` lists them.",
        "";
    TOO_MANY_PROBES = "E0311", "a limit on probes is exceeded",
        "`max_probes` and `max_bpf_progs` limit how many places a script is attached to and how many BPF programs it becomes, \
         so that a wildcard does not slow the machine down. There is no limit unless one is set.",
        "config = { max_probes = 1 } begin { } end { }";
    MACRO_TOO_LARGE = "E0307", "macros give too much code",
        "Macros that use macros multiply. Each use is a copy of the macro's text with the arguments in it.",
        "";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn ids_are_unique_and_well_formed() {
        for (i, code) in ALL.iter().enumerate() {
            assert!(
                code.id.len() == 5 && (code.id.starts_with('E') || code.id.starts_with('W')),
                "{}",
                code.id
            );
            assert!(code.id[1..].chars().all(|c| c.is_ascii_digit()), "{}", code.id);
            assert!(
                !code.title.is_empty() && !code.explanation.is_empty(),
                "{}",
                code.id
            );
            assert!(
                ALL[..i].iter().all(|other| other.id != code.id),
                "{} twice",
                code.id
            );
        }
    }
}
