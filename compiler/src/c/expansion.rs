//! What macros become.
//!
//! In: tokens. Out: the same with all macros replaced, as C's preprocessor does it: arguments are replaced before they are
//! put in, `#` makes text of one, `##` makes one token of two, and what a macro became is looked at again for others. Bounded
//! by the preprocessor's budget and depth.

use super::Mistake;
use super::lexer::{Kind, Origin, Token, tokens};
use super::preprocess::{BUDGET, DEPTH, Macro, Outcome, Preprocessor};
use std::rc::Rc;

impl Preprocessor<'_> {
    /// Expands the macros in `tokens`, but for the `active` ones, which are being expanded.
    pub(super) fn expand(
        &mut self,
        tokens: &[Token],
        active: &mut Vec<Rc<str>>,
        out: &mut Vec<Token>,
    ) -> Outcome<()> {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            let too_much = || Mistake::new(token.place, "macros expand to too much");
            self.budget = self.budget.checked_sub(1).ok_or_else(too_much)?;
            let known = token.ident().filter(|name| !active.contains(name));
            let Some((name, used)) = known.and_then(|name| Some((name, self.macros.get(name)?))) else {
                out.push(token.clone());
                continue;
            };
            if active.len() >= DEPTH {
                return Err(Mistake::new(
                    token.place,
                    "macros expand to too many others in one another",
                ));
            }
            let used = used.clone();
            let mut body = if used.params.is_none() {
                let mut body = pasted(token, used.body.iter().map(|part| vec![part.clone()]).collect())?;
                at = self.with_arguments(&mut body, tokens, at);
                body
            } else {
                if !tokens.get(at).is_some_and(|open| open.is("(")) {
                    out.push(token.clone());
                    continue;
                }
                let (args, behind) = arguments(tokens, at, token)?;
                at = behind;
                self.substituted(token, &used, args, active)?
            };
            // A mistake in what a macro becomes is shown where it is used.
            for part in &mut body {
                part.place = token.place;
            }
            active.push(Rc::clone(name));
            let done = self.expand(&body, active, out);
            active.pop();
            done?;
        }
        Ok(())
    }

    /// Where a macro stands for the name of another with parameters, the arguments behind it are that one's. Gives where the
    /// text goes on.
    fn with_arguments(&self, body: &mut Vec<Token>, tokens: &[Token], at: usize) -> usize {
        let last = body.last().and_then(Token::ident);
        let takes = last
            .and_then(|name| self.macros.get(name))
            .is_some_and(|m| m.params.is_some());
        if !takes || !tokens.get(at).is_some_and(|open| open.is("(")) {
            return at;
        }
        let mut depth = 0usize;
        let close = tokens.iter().skip(at).position(|token| {
            depth += usize::from(token.is("("));
            depth -= usize::from(token.is(")"));
            depth == 0
        });
        let Some(close) = close else { return at };
        body.extend_from_slice(&tokens[at..=at + close]);
        at + close + 1
    }

    /// A macro's body with its arguments put in.
    fn substituted(
        &mut self,
        name: &Token,
        used: &Macro,
        mut args: Vec<Vec<Token>>,
        active: &mut Vec<Rc<str>>,
    ) -> Outcome<Vec<Token>> {
        let params = used.params.as_deref().unwrap_or_default();
        if used.variadic {
            collect_rest(&mut args, params.len(), name);
        }
        let none = params.is_empty() && args.iter().all(Vec::is_empty);
        if args.len() != params.len() && !none {
            let message = format!("the macro {} takes {} arguments", name.kind, params.len());
            return Err(Mistake::new(name.place, message).label(format!("{} are given", args.len())));
        }
        // An argument's own depth counts too, else calls in calls in calls would overflow the stack.
        let mut expanded = Vec::with_capacity(args.len());
        active.push("".into());
        for arg in &args {
            let mut to = Vec::new();
            if let Err(mistake) = self.expand(arg, active, &mut to) {
                active.pop();
                return Err(mistake);
            }
            expanded.push(to);
        }
        active.pop();
        let param = |token: &Token| {
            let name = token.ident()?;
            params.iter().position(|param| param == name)
        };
        // Each piece is what one token of the body became; `##` joins the ends of two.
        let mut pieces: Vec<Vec<Token>> = Vec::with_capacity(used.body.len());
        let mut length = 0;
        let mut at = 0;
        while let Some(token) = used.body.get(at) {
            at += 1;
            let next = used.body.get(at);
            let is_pasted = |token: Option<&Token>| token.is_some_and(|token| token.is("##"));
            let beside_paste = is_pasted(next) || at >= 2 && is_pasted(used.body.get(at - 2));
            let piece = match (param(token), next.and_then(param)) {
                (None, Some(arg)) if token.is("#") => {
                    at += 1;
                    vec![Token {
                        kind: Kind::Str(spelled(&args[arg]).into()),
                        ..token.clone()
                    }]
                }
                (Some(arg), _) if beside_paste => args[arg].clone(),
                (Some(arg), _) => expanded[arg].clone(),
                (None, _) => vec![token.clone()],
            };
            length += piece.len();
            if length > BUDGET {
                return Err(Mistake::new(name.place, "macros expand to too much"));
            }
            pieces.push(piece);
        }
        pasted(name, pieces)
    }
}

/// The pieces in a row, the ends beside each `##` made one token.
fn pasted(name: &Token, pieces: Vec<Vec<Token>>) -> Outcome<Vec<Token>> {
    let mut out: Vec<Token> = Vec::new();
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        if !matches!(piece.as_slice(), [paste] if paste.is("##")) {
            out.extend(piece);
            continue;
        }
        let mut right = pieces.next().unwrap_or_default().into_iter();
        match (out.pop(), right.next()) {
            // GNU: no comma before arguments that are not there.
            (Some(left), None) if left.is(",") => {}
            (Some(left), Some(right)) if left.is(",") => out.extend([left, right]),
            (Some(left), Some(right)) => out.push(joined(name, &left, &right)?),
            (left, right) => out.extend(left.into_iter().chain(right)),
        }
        out.extend(right);
    }
    Ok(out)
}

/// One token of two.
fn joined(name: &Token, left: &Token, right: &Token) -> Outcome<Token> {
    let text = format!("{}{}", left.kind.spelling(), right.kind.spelling());
    match tokens(&text, Origin::Script(0)).as_slice() {
        [one] => Ok(Token {
            kind: one.kind.clone(),
            ..left.clone()
        }),
        _ => {
            let message = format!(
                "in the macro {}, `##` makes `{text}`, which is no token",
                name.kind
            );
            Err(Mistake::new(name.place, message))
        }
    }
}

/// Tokens as text, with blanks where there were some.
fn spelled(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (i, token) in tokens.iter().enumerate() {
        if i > 0 && token.spaced {
            text.push(' ');
        }
        text.push_str(&token.kind.spelling());
    }
    text
}

/// Makes one argument of all from the last parameter's on.
fn collect_rest(args: &mut Vec<Vec<Token>>, params: usize, name: &Token) {
    let fixed = params.saturating_sub(1);
    if args.len() <= fixed {
        // `f(a)` of `f(a, ...)`.
        args.resize(params, Vec::new());
        return;
    }
    let rest = args.split_off(fixed);
    let comma = Token {
        kind: Kind::Punct(","),
        ..name.clone()
    };
    args.push(rest.join(&comma));
}

/// The arguments of a macro's use whose `(` is at `open`, and where they end.
fn arguments(tokens: &[Token], open: usize, name: &Token) -> Outcome<(Vec<Vec<Token>>, usize)> {
    let mut args = vec![Vec::new()];
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match &token.kind {
            Kind::Punct("(") => depth += 1,
            Kind::Punct(")") if depth == 1 => return Ok((args, at + 1)),
            Kind::Punct(")") => depth -= 1,
            Kind::Punct(",") if depth == 1 => {
                args.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if depth > 1 || !token.is("(") {
            args.last_mut()
                .into_iter()
                .for_each(|arg| arg.push(token.clone()));
        }
    }
    Err(Mistake::new(
        name.place,
        format!("the arguments of {} have no `)`", name.kind),
    ))
}
