//! The syntax tree as text, for `-d ast` and for tests: one node a line, children indented below their parent.

use std::fmt::{self, Display, Write};

use crate::ast::*;

/// The whole tree. Every line ends with a newline; an empty script is the empty text.
pub fn dump(script: &Script) -> String {
    let mut dump = Dump {
        out: String::new(),
        depth: 0,
    };
    if let Some(shebang) = &script.shebang {
        dump.line(format_args!("shebang {:?}", shebang.node));
    }
    for item in &script.items {
        dump.item(item);
    }
    dump.out
}

struct Dump {
    out: String,
    depth: usize,
}

impl Dump {
    fn line(&mut self, text: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.out, "{:width$}{text}", "", width = self.depth * 2);
    }

    /// A node with what `children` adds below it.
    fn node(&mut self, text: impl Display, children: impl FnOnce(&mut Self)) {
        self.line(text);
        self.depth += 1;
        children(self);
        self.depth -= 1;
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Probe(probe) => self.probe(probe),
            Item::Config(config) => self.node("config", |dump| {
                for (name, value) in &config.entries {
                    match &value.node {
                        ConfigValue::Int(value) => dump.line(format_args!("{} = int {value}", name.node)),
                        ConfigValue::Word(word) => dump.line(format_args!("{} = word {word}", name.node)),
                        ConfigValue::Str(text) => dump.line(format_args!("{} = str {text:?}", name.node)),
                    }
                }
            }),
            Item::Import(import) => self.line(format_args!("import {:?}", import.path.node)),
            Item::MapDecl(decl) => {
                self.node(
                    format_args!("map declaration @{} {}", decl.name.node, decl.kind.node),
                    |dump| {
                        dump.exprs(&decl.args);
                    },
                );
            }
            Item::Macro(item) => self.node(format_args!("macro {}", item.name.node), |dump| {
                for param in &item.params {
                    match param {
                        MacroParam::Var(name) => dump.line(format_args!("param ${}", name.node)),
                        MacroParam::Map(name) => dump.line(format_args!("param @{}", name.node)),
                        MacroParam::Expr(name) => dump.line(format_args!("param {}", name.node)),
                    }
                }
                dump.block("body", &item.body);
            }),
            Item::Function(item) => self.node(format_args!("fn {}", item.name.node), |dump| {
                for (name, ty) in &item.params {
                    dump.node(format_args!("param ${}", name.node), |dump| dump.ty(ty));
                }
                if let Some(ty) = &item.result {
                    dump.node("result", |dump| dump.ty(ty));
                }
                dump.block("body", &item.body);
            }),
            Item::C(text) => self.line(format_args!("C {:?}", text.node)),
        }
    }

    fn probe(&mut self, probe: &Probe) {
        self.node("probe", |dump| {
            for point in &probe.attach_points {
                let label = point
                    .label
                    .as_ref()
                    .map(|label| format!("{}=", label.node))
                    .unwrap_or_default();
                let parts: Vec<String> = point.parts.iter().map(part).collect();
                dump.line(format_args!("attach {label}{}", parts.join(" : ")));
            }
            if let Some(predicate) = &probe.predicate {
                dump.node("predicate", |dump| dump.expr(predicate));
            }
            let form = match probe.form {
                BodyForm::Braces => "body {}",
                BodyForm::Angles => "body <>",
            };
            dump.block(form, &probe.body);
        });
    }

    fn block(&mut self, name: impl Display, block: &Block) {
        self.node(name, |dump| {
            for stmt in &block.stmts {
                dump.stmt(stmt);
            }
            if let Some(value) = &block.value {
                dump.node("value", |dump| dump.expr(value));
            }
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(expr) => self.node("expr", |dump| dump.expr(expr)),
            StmtKind::Discard(expr) => self.node("discard", |dump| dump.expr(expr)),
            StmtKind::Assign { target, op, value } => {
                let op = op.as_ref().map_or("", |op| op.node.text());
                self.node(format_args!("assign {op}="), |dump| {
                    dump.expr(target);
                    dump.expr(value);
                });
            }
            StmtKind::Let { name, ty, value } => self.node(format_args!("let ${}", name.node), |dump| {
                if let Some(ty) = ty {
                    dump.ty(ty);
                }
                if let Some(value) = value {
                    dump.expr(value);
                }
            }),
            StmtKind::If(inner) => self.if_expr(inner),
            StmtKind::For { var, over, body } => self.node(format_args!("for ${}", var.node), |dump| {
                match over {
                    ForOver::Range(start, end) => dump.node("range", |dump| {
                        dump.expr(start);
                        dump.expr(end);
                    }),
                    ForOver::Expr(expr) => dump.node("over", |dump| dump.expr(expr)),
                }
                dump.block("body", body);
            }),
            StmtKind::While { cond, body } => self.node("while", |dump| {
                dump.expr(cond);
                dump.block("body", body);
            }),
            StmtKind::Unroll { count, body } => self.node("unroll", |dump| {
                dump.expr(count);
                dump.block("body", body);
            }),
            StmtKind::Block(block) => self.block("block", block),
            StmtKind::Break => self.line("break"),
            StmtKind::Continue => self.line("continue"),
            StmtKind::Return(None) => self.line("return"),
            StmtKind::Return(Some(value)) => self.node("return", |dump| dump.expr(value)),
            StmtKind::Import(import) => self.line(format_args!("import {:?}", import.path.node)),
            StmtKind::Error => self.line("error"),
        }
    }

    fn if_expr(&mut self, inner: &IfExpr) {
        self.node("if", |dump| {
            dump.expr(&inner.cond);
            dump.block("then", &inner.then);
            if let Some(otherwise) = &inner.otherwise {
                dump.block("else", otherwise);
            }
        });
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(value) => self.line(format_args!("int {value}")),
            ExprKind::Float(value) => self.line(format_args!("float {value:?}")),
            ExprKind::Str(bytes) => self.line(format_args!("str \"{}\"", bytes.escape_ascii())),
            ExprKind::Bool(value) => self.line(format_args!("bool {value}")),
            ExprKind::Var(name) => self.line(format_args!("var ${name}")),
            ExprKind::Positional(number) => self.line(format_args!("positional ${number}")),
            ExprKind::PositionalCount => self.line("positional $#"),
            ExprKind::Map { name, key } => {
                self.node(format_args!("map @{name}"), |dump| {
                    dump.exprs(key.as_deref().unwrap_or_default())
                });
            }
            ExprKind::Ident(name) => self.line(format_args!("ident {name}")),
            ExprKind::Call { name, args } => self.node(format_args!("call {}", name.node), |dump| {
                for arg in args {
                    match arg {
                        Arg::Expr(expr) => dump.expr(expr),
                        Arg::Type(ty) => dump.ty(ty),
                    }
                }
            }),
            ExprKind::Unary(op, operand) => {
                self.node(format_args!("unary {}", op.text()), |dump| dump.expr(operand));
            }
            ExprKind::IncDec {
                increment,
                prefix,
                target,
            } => {
                let op = if *increment { "++" } else { "--" };
                let text = if *prefix {
                    format!("{op}_")
                } else {
                    format!("_{op}")
                };
                self.node(text, |dump| dump.expr(target));
            }
            ExprKind::Binary(op, left, right) => self.node(format_args!("binary {}", op.text()), |dump| {
                dump.expr(left);
                dump.expr(right);
            }),
            ExprKind::Ternary(cond, then, otherwise) => {
                self.node(if then.is_some() { "ternary" } else { "ternary ?:" }, |dump| {
                    dump.expr(cond);
                    if let Some(then) = then {
                        dump.expr(then);
                    }
                    dump.expr(otherwise);
                });
            }
            ExprKind::Field(of, name) => {
                self.node(format_args!("field .{}", name.node), |dump| dump.expr(of))
            }
            ExprKind::Arrow(of, name) => {
                self.node(format_args!("field ->{}", name.node), |dump| dump.expr(of))
            }
            ExprKind::TupleIndex(of, index) => {
                self.node(format_args!("tuple index .{}", index.node), |dump| dump.expr(of));
            }
            ExprKind::Index(of, index) => self.node("index", |dump| {
                dump.expr(of);
                dump.expr(index);
            }),
            ExprKind::Cast(ty, operand) => self.node("cast", |dump| {
                dump.ty(ty);
                dump.expr(operand);
            }),
            ExprKind::Tuple(items) => self.node("tuple", |dump| dump.exprs(items)),
            ExprKind::Record(fields) => self.node("record", |dump| {
                for (name, value) in fields {
                    dump.node(format_args!("{} =", name.node), |dump| dump.expr(value));
                }
            }),
            ExprKind::TypeCall { name, ty, path } => {
                self.node(format_args!("type call {}", name.node), |dump| {
                    dump.ty(ty);
                    if !path.is_empty() {
                        let path: Vec<&str> = path.iter().map(|name| name.node.as_str()).collect();
                        dump.line(format_args!("path {}", path.join(".")));
                    }
                })
            }
            ExprKind::Comptime(inner) => self.node("comptime", |dump| dump.expr(inner)),
            ExprKind::If(inner) => self.if_expr(inner),
            ExprKind::Block(block) => self.block("block", block),
            ExprKind::Error => self.line("error"),
        }
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Name(name) => self.line(format_args!("type {name}")),
            TypeExprKind::Tagged(keyword, tag) => self.line(format_args!("type {} {tag}", keyword.text())),
            TypeExprKind::Array(of, len) => self.node("type array", |dump| {
                dump.ty(of);
                if let Some(len) = len {
                    dump.expr(len);
                }
            }),
            TypeExprKind::Pointer(to) => self.node("type pointer", |dump| dump.ty(to)),
            TypeExprKind::Tuple(items) => self.node("type tuple", |dump| {
                for item in items {
                    dump.ty(item);
                }
            }),
            TypeExprKind::TypeOf(of) => self.node("type typeof", |dump| dump.expr(of)),
            TypeExprKind::TypeOfType(of) => self.node("type typeof", |dump| dump.ty(of)),
        }
    }
}

fn part(part: &AttachPart) -> String {
    if part.quoted {
        format!("{:?}", part.text)
    } else {
        part.text.clone()
    }
}

impl TagKeyword {
    /// The keyword.
    pub fn text(self) -> &'static str {
        match self {
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Enum => "enum",
        }
    }
}

impl UnaryOp {
    /// The operator as written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Neg => "-",
            Self::Not => "!",
            Self::BitNot => "~",
            Self::Deref => "*",
            Self::AddressOf => "&",
        }
    }
}

impl BinaryOp {
    /// The operator as written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::BitAnd => "&",
            Self::BitXor => "^",
            Self::BitOr => "|",
            Self::And => "&&",
            Self::Or => "||",
        }
    }
}

impl Display for UnaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
