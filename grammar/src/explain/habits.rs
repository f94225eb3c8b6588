//! The recognisers of what people write who know other languages.
//!
//! In: a [`Failure`]. Out: as of [`super::rules`]. Each of these mistakes would otherwise be several, or be told in terms of
//! tokens.

use super::Failure;
use super::rules::Explained;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::recover::Repair;
use crate::span::Span;
use crate::token::Token;

/// `config { … }`, which would be a probe.
pub(crate) fn config_without_assignment(span: Span) -> Diagnostic {
    Diagnostic::error(&codes::SYNTAX, span, "the configuration is assigned")
        .help("write `config = { name = value; … }`")
}

/// `for i in range(10):`, `for (x in @m)`.
pub(super) fn for_each(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    if failure.token(start) != Some(Token::For) || !matches!(failure.found(), Some(Token::Ident(_))) {
        return None;
    }
    let name = failure.at;
    let opens_in_front = name == start + 1
        || name == start + 2 && matches!(failure.token(start + 1), Some(Token::LParen | Token::CastOpen));
    if !opens_in_front || failure.token(name + 1) != Some(Token::Ident("in")) {
        return None;
    }
    let span = failure.span(start).to(failure.span(name + 1));
    let diagnostic = Diagnostic::error(&codes::C_FOR, span, "a `for` loop is written otherwise")
        .help("go over a range, `for $i : 0..10 { … }`, or over a map, `for ($kv : @map) { … }`");
    Some((diagnostic, Repair::Skip))
}

/// `if c:` and the statement that it governs.
pub(super) fn colon_for_braces(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    let word = match (failure.previous()?, failure.token(start)?) {
        (Token::Else, _) => "else",
        (_, Token::If) => "if",
        (_, Token::While) => "while",
        (_, Token::For) => "for",
        _ => return None,
    };
    if failure.found() != Some(Token::Colon) || !failure.expects("{") || failure.place.bracket.is_some() {
        return None;
    }
    let message = format!("the body of `{word}` stands in braces");
    let diagnostic = Diagnostic::error(&codes::MISSING_BRACES, failure.here(), message)
        .help("write `{ … }` around it, without a colon");
    Some((diagnostic, Repair::Skip))
}

/// What stands for `do … while`.
const LOOP: &str = "loop with `while condition { … }`";

/// `do { … } while (…);` with its keyword at `span`.
pub(crate) fn loop_of_c(span: Span) -> Diagnostic {
    Diagnostic::error(&codes::SYNTAX, span, "there is no statement `do`").help(LOOP)
}

/// `switch`, `do`, `goto`, `try`.
pub(super) fn foreign_statement(failure: &Failure<'_, '_>) -> Option<Explained> {
    let start = failure.place.start;
    failure.place.block?;
    let Some(Token::Ident(word)) = failure.token(start) else {
        return None;
    };
    if failure.at != start + 1 && !(word == "switch" && failure.found() == Some(Token::LBrace)) {
        return None;
    }
    let help = match (word, failure.found()?) {
        ("switch", _) => "chain branches: `if a { … } else if b { … } else { … }`",
        ("do", Token::LBrace) => LOOP,
        ("try", Token::LBrace) => "nothing is thrown: functions tell by their value whether they failed",
        ("goto", Token::Ident(_)) => "leave a loop with `break`, a probe with `return`",
        ("var" | "auto" | "const" | "local", Token::Ident(name) | Token::Var(name)) => {
            let diagnostic = Diagnostic::error(
                &codes::C_DECLARATION,
                failure.span(start).to(failure.here()),
                format!("variables are not declared by `{word}`"),
            )
            .help(format!("write `${name} = …;`"));
            return Some((diagnostic, Repair::Skip));
        }
        _ => return None,
    };
    let message = format!("there is no statement `{word}`");
    let diagnostic = Diagnostic::error(&codes::SYNTAX, failure.span(start), message).help(help);
    Some((diagnostic, Repair::Skip))
}

/// `comm.startswith("x")`.
pub(super) fn method(failure: &Failure<'_, '_>) -> Option<Explained> {
    let Some(Token::Ident(name)) = failure.previous() else {
        return None;
    };
    let selects = failure.at.checked_sub(2).and_then(|at| failure.token(at))?;
    if failure.found() != Some(Token::LParen) || !matches!(selects, Token::Dot | Token::Arrow) {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::SYNTAX,
        failure.span(failure.at - 1),
        format!("`{name}` is called like a method, and values have none"),
    )
    .help("functions take the value as an argument: `name(value, …)`");
    Some((diagnostic, Repair::Skip))
}

/// `printf("%d\n" pid)`, `f"…"`.
pub(super) fn missing_comma_between_arguments(failure: &Failure<'_, '_>) -> Option<Explained> {
    let opening = failure.place.bracket?;
    let of = opening.checked_sub(1).and_then(|before| failure.token(before))?;
    if !matches!(of, Token::Ident(_) | Token::Map(_)) {
        return None;
    }
    let found = failure.found()?;
    let begins = matches!(
        found,
        Token::Str(_)
            | Token::Int(_)
            | Token::Var(_)
            | Token::Map(_)
            | Token::Ident(_)
            | Token::Positional(_)
    );
    if !begins || !failure.expects(",") || !failure.previous()?.ends_operand() {
        return None;
    }
    let here = failure.here();
    let touches = failure.span(failure.at - 1).end == here.start;
    if let (Token::Str(_), Some(Token::Ident(prefix)), true) = (found, failure.previous(), touches) {
        let span = failure.span(failure.at - 1).to(here);
        let message = format!("there are no strings with a prefix `{prefix}`");
        let diagnostic = Diagnostic::error(&codes::SYNTAX, span, message)
            .help("values are put into text by a format: `printf(\"%s %d\\n\", comm, pid)`");
        return Some((diagnostic, Repair::Skip));
    }
    let message = format!("`,` is missing in front of {}", failure.described());
    let diagnostic = Diagnostic::error(&codes::MISSING_COMMA, here, message)
        .also(failure.behind(), "this argument ends here")
        .help("add `,`, or what connects the two");
    Some((diagnostic, Repair::Insert(failure.at, Token::Comma)))
}

/// `printf("%d\n"; pid);`.
pub(super) fn semicolon_between_arguments(failure: &Failure<'_, '_>) -> Option<Explained> {
    failure.place.bracket?;
    if failure.found() != Some(Token::Semi) || !failure.expects(",") {
        return None;
    }
    let mut depth = 0usize;
    for (number, (token, _)) in failure.tokens.iter().enumerate().skip(failure.at + 1) {
        match token {
            Token::LParen | Token::CastOpen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth > 0 => depth -= 1,
            // The bracket is closed in the same line: `;` was meant to separate.
            Token::RParen | Token::RBracket => {
                let between = failure.span(failure.at).end as usize..failure.span(number).start as usize;
                if failure.text.get(between)?.contains('\n') {
                    return None;
                }
                let diagnostic =
                    Diagnostic::error(&codes::MISSING_COMMA, failure.here(), "`;` between arguments")
                        .help("arguments are separated by `,`");
                return Some((diagnostic, Repair::Change(failure.at, Token::Comma)));
            }
            Token::Semi | Token::LBrace | Token::RBrace | Token::BodyClose => return None,
            _ => {}
        }
    }
    None
}

/// `@x[pid = 1;`: the bracket is what is wrong.
pub(super) fn assignment_in_open_key(failure: &Failure<'_, '_>) -> Option<Explained> {
    let opening = failure.place.bracket?;
    if failure.found() != Some(Token::Assign) || failure.token(opening) != Some(Token::LBracket) {
        return None;
    }
    let rest = failure.tokens.get(failure.at..)?;
    let mut statement = rest
        .iter()
        .take_while(|(token, _)| !matches!(token, Token::Semi | Token::RBrace | Token::BodyClose));
    if statement.any(|(token, _)| *token == Token::RBracket) {
        return None;
    }
    let diagnostic = Diagnostic::error(
        &codes::UNCLOSED_BRACKET,
        failure.behind(),
        "`]` is missing behind this",
    )
    .also(failure.span(opening), "this `[` is not closed")
    .help("add `]`");
    Some((diagnostic, Repair::Insert(failure.at, Token::RBracket)))
}

/// `print(1));`.
pub(super) fn stray_bracket(failure: &Failure<'_, '_>) -> Option<Explained> {
    let closing = match failure.found()? {
        Token::RParen => ")",
        Token::RBracket => "]",
        _ => return None,
    };
    if failure.place.bracket.is_some() || failure.place.block.is_none() || !failure.previous()?.ends_operand()
    {
        return None;
    }
    let message = format!("this `{closing}` closes nothing");
    let diagnostic = Diagnostic::error(&codes::UNMATCHED, failure.here(), message).help("remove it");
    Some((diagnostic, Repair::Skip))
}

/// What stands between an attach point and the body, and is no attach point: a condition, a call, the rest of a name.
pub(super) fn no_attach_point(failure: &Failure<'_, '_>) -> Option<Explained> {
    let (Some(Token::AttachPoint(first)), Some(Token::AttachPoint(second))) =
        (failure.previous(), failure.found())
    else {
        return None;
    };
    if failure.on_new_line() {
        return None;
    }
    let word = second.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_call = second.contains('(') && !second.contains(':');
    if is_call && !second.starts_with("if(") {
        let place = first.trim_end_matches(':');
        let body = match second.starts_with('(') {
            true => "…",
            false => second.trim_end_matches(';'),
        };
        let message = "what a probe does stands in braces";
        let diagnostic = Diagnostic::error(&codes::MISSING_BODY, failure.here(), message)
            .help(format!("write `{place} {{ {body} }}`"));
        return Some((diagnostic, Repair::Skip));
    }
    if let Some(kind) = first.strip_suffix(':') {
        let diagnostic = Diagnostic::error(&codes::SYNTAX, failure.here(), "a blank within an attach point")
            .help(format!("write `{kind}:{second}`"));
        return Some((diagnostic, Repair::Skip));
    }
    let goes_on = !matches!(
        failure.token(failure.at + 1),
        Some(Token::BodyOpen(_) | Token::PredicateOpen | Token::Comma)
    );
    if word && (goes_on || second == "if") || second.starts_with("if(") {
        let diagnostic = Diagnostic::error(
            &codes::UNCLOSED_PREDICATE,
            failure.here(),
            "a condition stands between slashes, in front of the body",
        )
        .help(format!("write `{first} /condition/ {{ … }}`"));
        return Some((diagnostic, Repair::Skip));
    }
    None
}
