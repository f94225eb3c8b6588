//! What stands between two tokens of a line.

use crate::token::Token;

/// White space before a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    space: bool,
    may_break: bool,
}

impl Gap {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        space: false,
        may_break: false,
    };
    const SPACE: Self = Self {
        space: true,
        may_break: false,
    };
    /// A space, or the author's line break.
    const LOOSE: Self = Self {
        space: true,
        may_break: true,
    };
    /// Nothing, or the author's line break.
    const TIGHT: Self = Self {
        space: false,
        may_break: true,
    };

    pub(super) fn is_space(self) -> bool {
        self.space
    }

    pub(super) fn may_break(self) -> bool {
        self.may_break
    }
}

/// A bracket that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Paren,
    Cast,
    Index,
    /// A block; whether it is used for its value, and whether an `if` made it.
    Block {
        is_value: bool,
        of_if: bool,
    },
}

/// What has to be remembered of the tokens so far.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    /// What the token before is to the next one.
    previous: Option<Kind>,
    /// The last character of the operator before, if it was one.
    operator: Option<char>,
    open: Vec<Open>,
    /// How many brackets were open at each `if` that is used for its value and whose block has not come.
    value_ifs: Vec<usize>,
    /// The block that was closed last.
    closed: Option<Open>,
    /// Whether the tokens are those of a type, behind the colon of a declaration.
    in_type: bool,
    /// Whether a colon would begin a type: behind `let`, and in the head of a function.
    declares: bool,
    /// The `?` that have no `:` yet.
    questions: usize,
}

/// What a token is to its right neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An operand ends.
    Operand,
    /// A name, which may be that of a function.
    Name,
    /// An operator in front of its operand.
    Prefix,
    /// An operator between two, or anything else that wants a space behind it.
    Infix,
    /// `(`, `[`, `.`, `->`: nothing follows it.
    Tight,
    /// `)` of a cast.
    CastClose,
    /// A star of a type.
    TypeStar,
    /// A keyword.
    Keyword,
    /// The slash that begins a predicate.
    Predicate,
    /// `?` directly.
    Question,
    /// A brace, or `;`.
    Edge,
}

impl Kind {
    fn ends_operand(self) -> bool {
        matches!(self, Self::Operand | Self::Name)
    }
}

impl Spacing {
    /// What stands before a token, which is the next one then.
    pub(super) fn before(&mut self, token: Token<'_>) -> Gap {
        let previous = self.previous;
        let operand_ended = previous.is_some_and(Kind::ends_operand);
        let (gap, kind) = self.classify(token, operand_ended);
        self.previous = Some(kind);
        let text = token.fixed_text().unwrap_or_default();
        let operator = std::mem::replace(&mut self.operator, text.chars().last());
        match previous {
            // `- -$x` is no `--$x`.
            Some(Kind::Prefix) if operator.is_some_and(|operator| text.starts_with(operator)) => Gap::SPACE,
            Some(Kind::Prefix | Kind::CastClose | Kind::Predicate) => Gap::NONE,
            Some(Kind::Tight) => Gap {
                space: false,
                may_break: gap.may_break,
            },
            None | Some(Kind::Edge)
                if !matches!(
                    token,
                    Token::Semi | Token::Comma | Token::RParen | Token::RBracket
                ) =>
            {
                Gap::SPACE
            }
            _ => gap,
        }
    }

    /// Whether the block that a brace begins is used for its value.
    pub(super) fn opens_value(&self, _brace: Token<'_>) -> bool {
        matches!(self.open.last(), Some(Open::Block { is_value: true, .. }))
    }

    /// Whether the brace that was closed just now ends a statement.
    pub(super) fn closed_statement(&self) -> bool {
        !matches!(self.closed, Some(Open::Block { is_value: true, .. }))
    }

    fn classify(&mut self, token: Token<'_>, operand_ended: bool) -> (Gap, Kind) {
        use Token::*;
        match token {
            BodyOpen(_) | LBrace | ValueOpen => (self.open_block(token), Kind::Edge),
            BodyClose | RBrace => {
                self.closed = self.open.pop();
                match self.closed {
                    Some(Open::Block { is_value: true, .. }) => (Gap::SPACE, Kind::Operand),
                    _ => (Gap::SPACE, Kind::Edge),
                }
            }
            LParen | CastOpen => {
                let is_call = self.previous == Some(Kind::Name) || operand_ended;
                self.open.push(if token == CastOpen {
                    Open::Cast
                } else {
                    Open::Paren
                });
                (if is_call { Gap::NONE } else { Gap::LOOSE }, Kind::Tight)
            }
            LBracket => {
                self.open.push(Open::Index);
                (Gap::NONE, Kind::Tight)
            }
            RParen | RBracket => {
                if self.open.len() <= 1 {
                    self.in_type = false;
                }
                match self.open.pop() {
                    Some(Open::Cast) => (Gap::NONE, Kind::CastClose),
                    _ => (Gap::TIGHT, Kind::Operand),
                }
            }
            Semi => {
                (self.in_type, self.declares, self.questions) = (false, false, 0);
                (Gap::NONE, Kind::Edge)
            }
            Comma => {
                self.in_type = false;
                (Gap::NONE, Kind::Infix)
            }
            Dot | Arrow => (Gap::TIGHT, Kind::Tight),
            DotDot => (Gap::NONE, Kind::Tight),
            PredicateOpen => (Gap::SPACE, Kind::Predicate),
            PredicateClose => (Gap::NONE, Kind::Infix),
            PlusPlus | MinusMinus if operand_ended => (Gap::NONE, Kind::Operand),
            PlusPlus | MinusMinus | Bang | Tilde => (Gap::LOOSE, Kind::Prefix),
            Star if self.in_type || self.open.last() == Some(&Open::Cast) => self.type_star(),
            Minus | Star | Amp if !operand_ended => (Gap::LOOSE, Kind::Prefix),
            Colon => self.colon(),
            Question => {
                self.questions += 1;
                (Gap::LOOSE, Kind::Question)
            }
            Assign if matches!(self.open.last(), Some(Open::Paren)) => (Gap::NONE, Kind::Tight),
            Assign => {
                self.in_type = false;
                (Gap::SPACE, Kind::Infix)
            }
            _ => self.word_or_operator(token),
        }
    }

    fn word_or_operator(&mut self, token: Token<'_>) -> (Gap, Kind) {
        use Token::*;
        match token {
            Ident(_) | Sizeof | Offsetof | Typeof | Typeinfo => (Gap::LOOSE, Kind::Name),
            Unroll => (Gap::LOOSE, Kind::Name),
            Int(_) | Float(_) | Str(_) | Var(_) | Map(_) | Positional(_) | PositionalCount | True | False
            | AttachPoint(_) | CText(_) => (Gap::LOOSE, Kind::Operand),
            ValueIf => {
                self.value_ifs.push(self.open.len());
                (Gap::LOOSE, Kind::Keyword)
            }
            Else => {
                if let Some(Open::Block {
                    is_value: true,
                    of_if: true,
                }) = self.closed
                {
                    self.value_ifs.push(self.open.len());
                }
                (Gap::SPACE, Kind::Keyword)
            }
            Let | Fn => {
                self.declares = true;
                (Gap::SPACE, Kind::Keyword)
            }
            Config => (Gap::SPACE, Kind::Name),
            _ if token
                .fixed_text()
                .is_some_and(|text| text.starts_with(|c: char| c.is_alphabetic())) =>
            {
                (Gap::SPACE, Kind::Keyword)
            }
            _ => (Gap::LOOSE, Kind::Infix),
        }
    }

    fn open_block(&mut self, token: Token<'_>) -> Gap {
        let of_if = self.value_ifs.last() == Some(&self.open.len());
        if of_if {
            self.value_ifs.pop();
        }
        let is_value = of_if || token == Token::ValueOpen;
        self.open.push(Open::Block { is_value, of_if });
        (self.in_type, self.declares) = (false, false);
        Gap::SPACE
    }

    /// A star of a type: `struct foo *`, `int8 **`.
    fn type_star(&mut self) -> (Gap, Kind) {
        let gap = match self.previous {
            Some(Kind::TypeStar) => Gap::NONE,
            _ => Gap::SPACE,
        };
        (gap, Kind::TypeStar)
    }

    fn colon(&mut self) -> (Gap, Kind) {
        if self.declares {
            self.in_type = true;
            return (Gap::NONE, Kind::Infix);
        }
        self.questions = self.questions.saturating_sub(1);
        match self.previous {
            // `a ?: b`
            Some(Kind::Question) => (Gap::NONE, Kind::Infix),
            _ => (Gap::LOOSE, Kind::Infix),
        }
    }
}
