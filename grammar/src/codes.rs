//! The mistakes that the front end reports, each declared once.

use crate::diagnostic::Code;

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal, $example:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code { id: $id, title: $title, explanation: $explanation, example: $example };
        )*
        /// Every code of the front end, in order. The example of a code is empty where a script that triggers it
        /// does not fit a page.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    TOO_LARGE = "E0001", "the script is too large",
        "A script has at most 16 MiB.", "";
    UNEXPECTED_CHARACTERS = "E0002", "characters that mean nothing",
        "The language is written in ASCII; other characters stand in strings and comments only. A file that was not meant \
         to be a script often looks like this.",
        "begin { print(1 § 2); }";
    UNTERMINATED_STRING = "E0003", "a string is not closed",
        "A string begins and ends with a double quote on one line. A line break in it is written `\\n`, a quote `\\\"`.",
        "begin { printf(\"hello\\n); }";
    UNTERMINATED_COMMENT = "E0004", "a comment is not closed",
        "A comment that begins with `/*` ends with `*/`. Such comments do not nest.",
        "begin { } /* to do";
    NUMBER_TOO_LARGE = "E0005", "a number does not fit 64 bits",
        "Numbers go to 18446744073709551615. Durations count in nanoseconds: 584 years is the most.",
        "begin { print(18446744073709551616); }";
    BAD_NUMBER = "E0006", "a number is malformed",
        "Numbers are decimal (`42`, `1_000`, `1e6`), hexadecimal (`0x2a`) or octal (`052`), with a duration suffix (`ns`, `us`, \
         `ms`, `s`, `m`, `h`, `d`) if wanted.",
        "begin { print(5kb); }";
    BAD_ESCAPE = "E0007", "an escape in a string is not known",
        "A backslash in a string begins `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\`, an octal byte (`\\033`) or a hexadecimal one (`\\x1b`).",
        "begin { printf(\"100\\%\"); }";
    SINGLE_QUOTES = "E0008", "a string stands between single quotes",
        "Strings stand between double quotes. Single quotes are left to the shell, which keeps a script in them as it is.",
        "begin { printf('hello'); }";
    TOO_DEEP = "E0009", "nested too deeply",
        "Brackets nest at most 256 levels deep, and an expression or an `else if` chain has at most 2000 operators or \
         branches in one another.", "";
    MISSING_BODY = "E0010", "a probe has no body",
        "Behind its attach points and its predicate, a probe has a body: `{ … }` or `< … >`.",
        "kprobe:vfs_read";
    UNCLOSED_PREDICATE = "E0011", "a predicate is not closed",
        "A predicate stands between slashes: `probe /condition/ { … }`. The second slash is the one in front of the body.",
        "kprobe:vfs_read /pid == 1 { @ = count(); }";
    UNCLOSED_BODY = "E0012", "a body is not closed",
        "Every `{` needs its `}`, and a body opened by `<` its `>`.",
        "kprobe:vfs_read { @ = count();";
    UNMATCHED = "E0013", "a delimiter has no partner",
        "A closing delimiter closes the nearest open one of its kind.",
        "begin { print(1); } }";
    ANGLE_CLOSES = "E0014", "a `>` closes the body",
        "In a body between `<` and `>`, a `>` outside of parentheses, brackets and braces closes the body. A comparison or a \
         shift to the right is put in parentheses there: `(a > b)`. In a body between `{` and `}` nothing is needed.",
        "begin < @a = pid > 5; print(@a) >";
    SYNTAX = "E0015", "something else was expected",
        "The script does not follow the grammar at this place.",
        "begin { print(1 +); }";
    MISSING_SEMICOLON = "E0016", "`;` is missing",
        "Statements are separated by `;`. Behind the last one, and behind `}`, none is needed.",
        "begin {\n  $x = 1\n  print($x);\n}";
    CALL_PARENTHESES = "E0017", "arguments stand without parentheses",
        "A function's arguments stand in parentheses: `printf(\"%d\\n\", pid)`.",
        "begin { printf \"hello\"; }";
    ASSIGNMENT_IN_CONDITION = "E0018", "an assignment where a value is wanted",
        "`=` assigns and is a statement; `==` compares and is a value.",
        "begin { if (pid = 1) { print(1); } }";
    WORD_OPERATOR = "E0019", "an operator is written as a word",
        "The logical operators are `&&`, `||` and `!`.",
        "begin { print(pid == 1 and tid == 2); }";
    MISSING_BRACES = "E0020", "a branch or loop has no braces",
        "What `if`, `else`, `for`, `while` and `unroll` govern stands in braces, also when it is one statement.",
        "begin { if (pid == 1) print(1); }";
    C_FOR = "E0021", "a `for` loop as in other languages",
        "A `for` loop goes over a range, `for $i : 0..10 { … }`, or over a map, `for ($kv : @map) { … }`.",
        "begin { for ($i = 0; $i < 10; $i++) { print($i); } }";
    STATEMENT_OUTSIDE = "E0022", "a statement outside of a probe",
        "Statements run when a probe fires, so they stand in a probe's body. `begin { … }` runs once, at the start.",
        "printf(\"hello\\n\")";
    UNCLOSED_BRACKET = "E0023", "`)` or `]` is missing",
        "Every `(` and `[` is closed within its statement.",
        "begin { print((1 + 2); }";
    MISSING_COMMA = "E0024", "`,` is missing",
        "Attach points that share a body, and arguments, are separated by commas.",
        "kprobe:vfs_read kprobe:vfs_write { @ = count(); }";
    UNCLOSED_DECLARATION = "E0025", "a declaration does not end",
        "`import` ends with `;`; `config`, `macro` and `fn` with the `}` of their block.",
        "import \"lib.bt\"\nbegin { }";
    C_DECLARATION = "E0026", "a variable declared as in C",
        "A variable is declared by its first assignment, or by `let $name: type = value;`.",
        "begin { int x = 5; }";
    MISSING_SIGIL = "E0027", "a name without `$` or `@`",
        "Variables begin with `$`, maps with `@`.",
        "begin { let x = 5; }";
    ELSE_IF = "E0028", "`else if` is written otherwise",
        "Branches are chained as `if a { … } else if b { … } else { … }`.",
        "begin { if pid { print(1); } elif tid { print(2); } }";
    STRAY_ELSE = "E0029", "`else` without an `if`",
        "An `else` stands directly behind the `}` of its `if`.",
        "begin { if pid { print(1); }; else { print(2); } }";
    UNCLOSED_C = "E0030", "a C definition is not closed",
        "The braces of a `struct`, `union` or `enum` definition must be balanced.",
        "struct a { int x;";
    TOO_MANY = "E0031", "there are more mistakes than are shown",
        "After a number of mistakes the rest is not shown: it is often a consequence, or not a script at all.", "";
    COMMENT_IN_PREDICATE = "E0032", "a comment hides the end of the predicate",
        "`//` begins a comment, also within a predicate, and what follows on the line is not read.",
        "kprobe:vfs_read /pid == 1 // { @ = count(); }";
}
