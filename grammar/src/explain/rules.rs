//! The recognisers of common mistakes.
//!
//! In: a [`Failure`]. Out: what a user is told about it and how to go on, or nothing where it is another mistake.

use super::{Failure, habits};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::place;
use crate::recover::Repair;
use crate::span::Span;
use crate::token::Token;

/// What a rule makes of a failure that it recognises.
pub(super) type Explained = (Diagnostic, Repair);

/// The recognisers of common mistakes, tried in order.
pub(super) const RULES: &[fn(&Failure<'_, '_>) -> Option<Explained>] = &[
    outside_of_probes,
    missing_body,
    habits::no_attach_point,
    missing_comma_between_probes,
    hidden_by_comment,
    open_predicate,
    word_operator,
    else_if,
    stray_else,
    c_for,
    habits::for_each,
    for_in,
    missing_condition,
    missing_attach_point,
    let_without_sigil,
    habits::assignment_in_open_key,
    assignment_as_value,
    result_arrow,
    missing_braces,
    habits::colon_for_braces,
    habits::foreign_statement,
    habits::method,
    c_declaration,
    missing_semicolon,
    habits::semicolon_between_arguments,
    missing_bracket,
    call_without_parentheses,
    habits::missing_comma_between_arguments,
    habits::stray_bracket,
];

/// `printf("x")` without a probe around it.
fn outside_of_probes(failure: &Failure<'_, '_>) -> Option<Explained> {
    let Some(Token::AttachPoint(text)) = failure.token(0) else {
        return None;
    };
    let head = text.split(['(', ':']).next().unwrap_or(text);
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let call = text[head.len()..].starts_with('(') && word(head);
    let statement = call || text.starts_with(['@', '$', '(']) && !text.contains(':');
    let keyword = matches!(text, "if" | "for" | "while" | "return" | "unroll")
        || text
            .split('(')
            .next()
            .is_some_and(|word| matches!(word, "if" | "for" | "while" | "unroll"));
    if !failure.in_header() || !(statement || keyword) {
        return None;
    }
    let span = failure.span(0);
    let what = if keyword || !call {
        "this statement"
    } else {
        "this call"
    };
    let diagnostic = Diagnostic::error(
        &codes::STATEMENT_OUTSIDE,
        span,
        format!("{what} stands outside of a probe"),
    )
    .help("put it in the body of a probe, for instance `begin { … }`");
    Some((diagnostic, Repair::Skip))
}

fn missing_body(failure: &Failure<'_, '_>) -> Option<Explained> {
    if !failure.in_header()
        || failure.found().is_some()
        || failure.predicate_open().is_some_and(|open| {
            !failure.tokens[open..]
                .iter()
                .any(|(token, _)| *token == Token::PredicateClose)
        })
    {
        return None;
    }
    let (at, what) = match failure.previous()? {
        Token::PredicateClose => (failure.at - 1, "this predicate"),
        Token::AttachPoint(_) => (failure.at - 1, "this attach point"),
        Token::Comma => (failure.at - 1, "this comma"),
        _ => return None,
    };
    let message = format!("a body is missing behind {what}");
    let diagnostic = Diagnostic::error(&codes::MISSING_BODY, failure.span(at), message)
        .help("add what shall happen when the probe fires: `{ … }`");
    Some((diagnostic, Repair::Skip))
}

fn missing_comma_between_probes(failure: &Failure<'_, '_>) -> Option<Explained> {
    let (Some(Token::AttachPoint(_)), Some(Token::AttachPoint(_))) = (failure.previous(), failure.found())
    else {
        return None;
    };
    let Some(Token::AttachPoint(second)) = failure.found() else {
        return None;
    };
    let separate = failure.on_new_line();
    if !separate && !second.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let message = format!("`,` is missing in front of `{second}`");
    let help = match separate {
        true => "attach points that share a body are separated by `,`; otherwise the first one has no body",
        false => "attach points that share a body are separated by `,`",
    };
    let diagnostic = Diagnostic::error(&codes::MISSING_COMMA, failure.here(), message).help(help);
    Some((diagnostic, Repair::Insert(failure.at, Token::Comma)))
}

/// `// …` in a predicate or in front of the body.
fn hidden_by_comment(failure: &Failure<'_, '_>) -> Option<Explained> {
    let open = failure.predicate_open()?;
    let from = failure.span(open).start as usize;
    let to = failure.span(failure.at).end as usize;
    let comment = from + failure.text.get(from..to)?.find("//")?;
    let in_string = failure
        .tokens
        .iter()
        .any(|(_, span)| span.range().contains(&comment));
    if in_string {
        return None;
    }
    let end = failure.text[comment..]
        .find('\n')
        .map_or(failure.text.len(), |len| comment + len);
    let diagnostic = Diagnostic::error(
        &codes::COMMENT_IN_PREDICATE,
        Span::new(comment, end),
        "this is a comment, in the middle of the predicate",
    )
    .help("a division is written with one slash; a comment goes in front of the probe");
    Some((diagnostic, Repair::Skip))
}

/// `/pid == 1 < @x = …`: the slash in front of the body is missing, and another one further on was taken for it.
fn open_predicate(failure: &Failure<'_, '_>) -> Option<Explained> {
    let open = failure.predicate_open()?;
    let found = failure.found()?;
    let assigns = matches!(found, Token::Assign | Token::PlusAssign | Token::MinusAssign);
    let target = failure.tokens[open..failure.at]
        .iter()
        .rposition(|(token, _)| *token == Token::Lt)?
        + open;
    let sigil = matches!(failure.token(target + 1), Some(Token::Map(_) | Token::Var(_)));
    if !(sigil && assigns) {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::UNCLOSED_PREDICATE,
        failure.span(target),
        "the predicate is not closed in front of this body",
    )
    .also(failure.span(open), "the predicate begins here")
    .help("add `/` in front of the body");
    Some((diagnostic, Repair::Skip))
}

fn word_operator(failure: &Failure<'_, '_>) -> Option<Explained> {
    let (number, word) = match (failure.found(), failure.previous()) {
        (Some(Token::Ident(word)), _) if matches!(word, "and" | "or") => (failure.at, word),
        (_, Some(Token::Ident("not"))) => (failure.at - 1, "not"),
        _ => return None,
    };
    let (operator, token) = match word {
        "and" => ("&&", Token::AndAnd),
        "or" => ("||", Token::OrOr),
        _ => ("!", Token::Bang),
    };
    let diagnostic = Diagnostic::error(
        &codes::WORD_OPERATOR,
        failure.span(number),
        format!("`{word}` is no operator"),
    )
    .help(format!("write `{operator}`"));
    Some((diagnostic, Repair::Change(number, token)))
}

fn else_if(failure: &Failure<'_, '_>) -> Option<Explained> {
    let number = [failure.place.start, failure.at]
        .into_iter()
        .chain(failure.at.checked_sub(1))
        .find(|&number| {
            matches!(
                failure.token(number),
                Some(Token::Ident("elif" | "elsif" | "elseif"))
            )
        })?;
    let diagnostic = Diagnostic::error(
        &codes::ELSE_IF,
        failure.span(number),
        format!("`{}` is written `else if`", failure.source(failure.span(number))),
    )
    .help("write `else if`");
    Some((diagnostic, Repair::Skip))
}

fn stray_else(failure: &Failure<'_, '_>) -> Option<Explained> {
    if failure.found() != Some(Token::Else) {
        return None;
    }
    let diagnostic = Diagnostic::error(&codes::STRAY_ELSE, failure.here(), "this `else` has no `if`")
        .help("`else` stands directly behind the `}` of its `if`, without `;`");
    Some((diagnostic, Repair::Skip))
}

fn c_for(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    if failure.token(start) != Some(Token::For) || failure.at > start + 4 {
        return None;
    }
    let header = place::condition(failure.tokens, start)?;
    let counts = failure.tokens[header.clone()]
        .iter()
        .any(|(token, _)| *token == Token::Semi);
    if !counts {
        return None;
    }
    let span = failure.span(header.start).to(failure.span(header.end - 1));
    let diagnostic = Diagnostic::error(&codes::C_FOR, span, "there is no `for` loop with three parts")
        .help("count with a range, whose end is excluded: `for $i : 0..10 { … }`");
    Some((diagnostic, Repair::Skip))
}

fn let_without_sigil(failure: &Failure<'_, '_>) -> Option<Explained> {
    let Some(Token::Ident(name)) = failure.found() else {
        return None;
    };
    let (sigil, what) = match failure.previous()? {
        Token::Let if failure.expects("map") => ('@', "maps"),
        Token::Let | Token::For => ('$', "variables"),
        Token::LParen if failure.expects("variable") && !failure.expects("number") => ('$', "variables"),
        _ => return None,
    };
    let diagnostic = Diagnostic::error(
        &codes::MISSING_SIGIL,
        failure.here(),
        format!("{what} begin with `{sigil}`"),
    )
    .help(format!("write `{sigil}{name}`"));
    let repair = match sigil {
        '$' => Repair::Change(failure.at, Token::Var("")),
        _ => Repair::Change(failure.at, Token::Map("")),
    };
    Some((diagnostic, repair))
}

/// `=` where only a value can stand.
fn assignment_as_value(failure: &Failure<'_, '_>) -> Option<Explained> {
    if failure.found() != Some(Token::Assign) || !failure.previous()?.ends_operand() {
        return None;
    }
    let start = failure.place.start;
    let condition = failure.predicate_open().is_some()
        || place::condition(failure.tokens, start).is_some_and(|condition| condition.contains(&failure.at));
    if !condition && failure.place.bracket.is_none() {
        let chained = failure.tokens[start..failure.at]
            .iter()
            .any(|(token, _)| *token == Token::Assign);
        return chained.then(|| {
            let diagnostic = Diagnostic::error(
                &codes::ASSIGNMENT_IN_CONDITION,
                failure.here(),
                "an assignment has no value",
            )
            .help("assign in two statements, or compare with `==`");
            (diagnostic, Repair::Change(failure.at, Token::EqEq))
        });
    }
    let diagnostic = match condition {
        true => assignment_in_condition(failure.here()),
        false => Diagnostic::error(
            &codes::ASSIGNMENT_IN_CONDITION,
            failure.here(),
            "`=` in an expression",
        )
        .label("this assigns")
        .help("compare with `==`"),
    };
    Some((diagnostic, Repair::Change(failure.at, Token::EqEq)))
}

/// `=` in a condition.
pub(crate) fn assignment_in_condition(span: Span) -> Diagnostic {
    Diagnostic::error(&codes::ASSIGNMENT_IN_CONDITION, span, "`=` in a condition")
        .label("this assigns")
        .help("compare with `==`")
}

/// `fn f() -> type`.
fn result_arrow(failure: &Failure<'_, '_>) -> Option<Explained> {
    if failure.found() != Some(Token::Arrow) || failure.token(0) != Some(Token::Fn) {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::SYNTAX,
        failure.here(),
        "`->` in front of the type of the result",
    )
    .help("write `:` instead: `fn f($a: int64): int64 { … }`");
    Some((diagnostic, Repair::Change(failure.at, Token::Colon)))
}

/// `if (c) f();`, `else f();`, `if c` at the end.
fn missing_braces(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    let (word, number) = match (failure.previous()?, failure.token(start)?) {
        (Token::Else, _) => ("else", failure.at - 1),
        (_, Token::If) => ("if", start),
        (_, Token::For) => ("for", start),
        (_, Token::While) => ("while", start),
        (_, Token::Unroll) => ("unroll", start),
        _ => return None,
    };
    let found = failure.found()?;
    let body_begins =
        found.starts_statement() || matches!(found, Token::Semi | Token::RBrace | Token::BodyClose);
    if !failure.expects("{") || !body_begins || failure.place.bracket.is_some() {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::MISSING_BRACES,
        failure.here(),
        format!("the body of `{word}` stands in braces"),
    )
    .also(failure.span(number), format!("this `{word}` has none"))
    .help(format!(
        "write `{word}{} {{ … }}`",
        if word == "else" { "" } else { " …" }
    ));
    Some((diagnostic, Repair::Skip))
}

/// `int x = 5;`, `struct foo *p = …;`.
fn c_declaration(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    failure.place.block?;
    let first = failure.token(start)?;
    let tagged = matches!(first, Token::Struct | Token::Union | Token::Enum) && failure.at == start;
    let named = matches!(first, Token::Ident(_))
        && failure.at == start + 1
        && matches!(failure.found(), Some(Token::Ident(_) | Token::Var(_)))
        && matches!(failure.token(start + 2), Some(Token::Assign | Token::Semi));
    if !(tagged || named) || failure.on_new_line() && named {
        return None;
    }
    let help = match (failure.found(), failure.token(start)) {
        (Some(Token::Ident(name) | Token::Var(name)), Some(Token::Ident(ty))) if named => {
            format!("write `let ${name}: {ty} = …;`, or only `${name} = …;`")
        }
        _ => "write `let $name: type = …;`, or only `$name = …;`".to_string(),
    };
    let end = if named { failure.at } else { start };
    let span = failure.span(start).to(failure.span(end));
    let diagnostic =
        Diagnostic::error(&codes::C_DECLARATION, span, "variables are not declared as in C").help(help);
    Some((diagnostic, Repair::Skip))
}

fn missing_semicolon(failure: &Failure<'_, '_>) -> Option<Explained> {
    let found = failure.found()?;
    let begins = found.starts_statement() || found == Token::ErrorStmt;
    // Behind a word on the same line, a word or variable may be its argument, or declared by it.
    let separate = failure.on_new_line()
        || !matches!(found, Token::Ident(_) | Token::Var(_) | Token::Map(_))
        || !matches!(failure.previous(), Some(Token::Ident(_)));
    if !failure.expects(";") || !begins || !separate || failure.place.bracket.is_some() {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::MISSING_SEMICOLON,
        failure.behind(),
        "`;` is missing behind this statement",
    )
    .also(failure.here(), "the next one begins here")
    .help("add `;`");
    Some((diagnostic, Repair::Insert(failure.at, Token::Semi)))
}

fn missing_bracket(failure: &Failure<'_, '_>) -> Option<Explained> {
    let opening = failure.place.bracket?;
    let found = failure.found()?;
    let closing = match failure.token(opening)? {
        Token::LBracket => (Token::RBracket, "]", "["),
        _ => (Token::RParen, ")", "("),
    };
    let ends = matches!(
        found,
        Token::Semi | Token::RBrace | Token::BodyClose | Token::PredicateClose | Token::LBrace
    ) || found.starts_statement() && failure.on_new_line();
    if !ends || !failure.expects(closing.1) {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::UNCLOSED_BRACKET,
        failure.behind(),
        format!("`{}` is missing behind this", closing.1),
    )
    .also(
        failure.span(opening),
        format!("this `{}` is not closed", closing.2),
    )
    .help(format!("add `{}`", closing.1));
    Some((diagnostic, Repair::Insert(failure.at, closing.0)))
}

/// `for $i in 0..3`.
fn for_in(failure: &Failure<'_, '_>) -> Option<Explained> {
    let loops = failure.token(failure.place.start) == Some(Token::For);
    if !(loops && failure.found() == Some(Token::Ident("in")) && failure.expects(":")) {
        return None;
    }
    let diagnostic = Diagnostic::error(&codes::SYNTAX, failure.here(), "`in` is written `:`")
        .help("write `for $i : 0..10 { … }` or `for ($kv : @map) { … }`");
    Some((diagnostic, Repair::Change(failure.at, Token::Colon)))
}

/// `if { … }`: the block was read as the condition.
fn missing_condition(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    let word = match failure.token(start)? {
        Token::If => "if",
        Token::While => "while",
        Token::Unroll => "unroll",
        _ => return None,
    };
    if failure.token(start + 1) != Some(Token::ValueOpen) || !failure.expects("{") {
        return None;
    }
    let message = format!("a condition is missing behind `{word}`");
    Some((
        Diagnostic::error(&codes::SYNTAX, failure.span(start), message),
        Repair::Skip,
    ))
}

/// A predicate or a body without anything in front of it.
fn missing_attach_point(failure: &Failure<'_, '_>) -> Option<Explained> {
    if failure.at != 0
        || !matches!(
            failure.found(),
            Some(Token::BodyOpen(_) | Token::PredicateOpen | Token::Comma)
        )
    {
        return None;
    }
    let message = "an attach point is missing in front of this";
    let diagnostic = Diagnostic::error(&codes::SYNTAX, failure.here(), message).help(
        "say where it runs, for instance `kprobe:vfs_read { … }`, or `begin { … }` for once at the start",
    );
    Some((diagnostic, Repair::Skip))
}

/// `printf "x"`, `print @x`.
fn call_without_parentheses(failure: &Failure<'_, '_>) -> Option<Explained> {
    let Some(Token::Ident(name)) = failure.previous() else {
        return None;
    };
    if failure.place.block.is_none() || failure.at != failure.place.start + 1 {
        return None;
    }
    let argument = matches!(
        failure.found()?,
        Token::Str(_)
            | Token::Var(_)
            | Token::Map(_)
            | Token::Int(_)
            | Token::Float(_)
            | Token::Ident(_)
            | Token::Positional(_)
    );
    if !argument || !failure.expects("(") || failure.on_new_line() {
        return None;
    }
    let end = place::statement(failure.tokens, failure.place.start, failure.at).end;
    let last = failure.span(end.saturating_sub(1).max(failure.at));
    let arguments = failure.source(failure.here().to(last));
    let shown = if arguments.len() <= 40 && !arguments.contains('\n') {
        arguments
    } else {
        "…"
    };
    let diagnostic = Diagnostic::error(
        &codes::CALL_PARENTHESES,
        failure.here(),
        format!("the arguments of `{name}` stand in parentheses"),
    )
    .help(format!("write `{name}({shown})`"));
    Some((diagnostic, Repair::Skip))
}
