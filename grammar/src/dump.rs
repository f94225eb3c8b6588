//! The syntax tree as text, for `-d ast` and for tests: one node a line, children indented below their parent.
//!
//! The tree may be some thousand nodes deep, so it is walked with a list of what is left to do, not by recursion.

use std::fmt::{self, Display, Write};

use crate::ast::*;

/// The whole tree. Every line ends with a newline; an empty script is the empty text.
pub fn dump(script: &Script) -> String {
    let mut out = String::new();
    let shebang = script
        .shebang
        .iter()
        .map(|shebang| Node::Line(format!("shebang {:?}", shebang.node)));
    let mut left: Vec<(usize, Node<'_>)> = shebang
        .chain(script.items.iter().map(Node::Item))
        .map(|node| (0, node))
        .collect();
    left.reverse();
    while let Some((depth, node)) = left.pop() {
        let (line, children) = node.expand();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:width$}{line}", "", width = depth * 2);
        left.extend(children.into_iter().rev().map(|child| (depth + 1, child)));
    }
    out
}

/// What becomes a line and the lines below it.
enum Node<'a> {
    Line(String),
    Named(String, Vec<Node<'a>>),
    Block(&'static str, &'a Block),
    Item(&'a Item),
    Stmt(&'a Stmt),
    If(&'a IfExpr),
    Expr(&'a Expr),
    Type(&'a TypeExpr),
}

/// A line and what stands below it.
type Expanded<'a> = (String, Vec<Node<'a>>);

impl<'a> Node<'a> {
    fn expand(self) -> Expanded<'a> {
        match self {
            Self::Line(text) => (text, Vec::new()),
            Self::Named(text, children) => (text, children),
            Self::Block(name, block) => {
                let value = block
                    .value
                    .iter()
                    .map(|value| named("value", [Self::Expr(value)]));
                (
                    name.to_string(),
                    block.stmts.iter().map(Self::Stmt).chain(value).collect(),
                )
            }
            Self::Item(item) => expand_item(item),
            Self::Stmt(stmt) => expand_stmt(stmt),
            Self::If(inner) => {
                let mut children = vec![Self::Expr(&inner.cond), Self::Block("then", &inner.then)];
                children.extend(inner.otherwise.as_ref().map(|block| Self::Block("else", block)));
                ("if".to_string(), children)
            }
            Self::Expr(expr) => expand_expr(expr),
            Self::Type(ty) => expand_type(ty),
        }
    }
}

fn named<'a>(text: impl Into<String>, children: impl IntoIterator<Item = Node<'a>>) -> Node<'a> {
    Node::Named(text.into(), children.into_iter().collect())
}

fn expand_item(item: &Item) -> Expanded<'_> {
    match item {
        Item::Probe(probe) => expand_probe(probe),
        Item::Config(config) => {
            let entries = config.entries.iter().map(|(name, value)| {
                let name = &name.node;
                Node::Line(match &value.node {
                    ConfigValue::Int(value) => format!("{name} = int {value}"),
                    ConfigValue::Word(word) => format!("{name} = word {word}"),
                    ConfigValue::Str(text) => format!("{name} = str {text:?}"),
                })
            });
            ("config".to_string(), entries.collect())
        }
        Item::Import(import) => (format!("import {:?}", import.path.node), Vec::new()),
        Item::MapDecl(decl) => {
            let text = format!("map declaration @{} {}", decl.name.node, decl.kind.node);
            (text, decl.args.iter().map(Node::Expr).collect())
        }
        Item::Macro(item) => {
            let params = item.params.iter().map(|param| {
                Node::Line(match param {
                    MacroParam::Var(name) => format!("param ${}", name.node),
                    MacroParam::Map(name) => format!("param @{}", name.node),
                    MacroParam::Expr(name) => format!("param {}", name.node),
                })
            });
            (
                format!("macro {}", item.name.node),
                params.chain([Node::Block("body", &item.body)]).collect(),
            )
        }
        Item::Function(item) => {
            let params = item
                .params
                .iter()
                .map(|(name, ty)| named(format!("param ${}", name.node), [Node::Type(ty)]));
            let result = item.result.iter().map(|ty| named("result", [Node::Type(ty)]));
            let children = params
                .chain(result)
                .chain([Node::Block("body", &item.body)])
                .collect();
            (format!("fn {}", item.name.node), children)
        }
        Item::C(text) => (format!("C {:?}", text.node), Vec::new()),
    }
}

fn expand_probe(probe: &Probe) -> Expanded<'_> {
    let points = probe.attach_points.iter().map(|point| {
        let label = point
            .label
            .as_ref()
            .map(|label| format!("{}=", label.node))
            .unwrap_or_default();
        let parts: Vec<String> = point.parts.iter().map(part).collect();
        Node::Line(format!("attach {label}{}", parts.join(" : ")))
    });
    let predicate = probe
        .predicate
        .iter()
        .map(|predicate| named("predicate", [Node::Expr(predicate)]));
    let form = match probe.form {
        BodyForm::Braces => "body {}",
        BodyForm::Angles => "body <>",
    };
    (
        "probe".to_string(),
        points
            .chain(predicate)
            .chain([Node::Block(form, &probe.body)])
            .collect(),
    )
}

fn expand_stmt(stmt: &Stmt) -> Expanded<'_> {
    let one = |text: &str, child| (text.to_string(), vec![child]);
    match &stmt.kind {
        StmtKind::Expr(expr) => one("expr", Node::Expr(expr)),
        StmtKind::Discard(expr) => one("discard", Node::Expr(expr)),
        StmtKind::Assign { target, op, value } => {
            let op = op.as_ref().map_or("", |op| op.node.text());
            (
                format!("assign {op}="),
                vec![Node::Expr(target), Node::Expr(value)],
            )
        }
        StmtKind::Let { name, ty, value } => {
            let children = ty.iter().map(Node::Type).chain(value.iter().map(Node::Expr));
            (format!("let ${}", name.node), children.collect())
        }
        StmtKind::If(inner) => Node::If(inner).expand(),
        StmtKind::For { var, over, body } => {
            let over = match over {
                ForOver::Range(start, end) => named("range", [Node::Expr(start), Node::Expr(end)]),
                ForOver::Expr(expr) => named("over", [Node::Expr(expr)]),
            };
            (
                format!("for ${}", var.node),
                vec![over, Node::Block("body", body)],
            )
        }
        StmtKind::While { cond, body } => (
            "while".to_string(),
            vec![Node::Expr(cond), Node::Block("body", body)],
        ),
        StmtKind::Unroll { count, body } => (
            "unroll".to_string(),
            vec![Node::Expr(count), Node::Block("body", body)],
        ),
        StmtKind::Block(block) => Node::Block("block", block).expand(),
        StmtKind::Break => ("break".to_string(), Vec::new()),
        StmtKind::Continue => ("continue".to_string(), Vec::new()),
        StmtKind::Return(value) => ("return".to_string(), value.iter().map(Node::Expr).collect()),
        StmtKind::Import(import) => (format!("import {:?}", import.path.node), Vec::new()),
        StmtKind::Error => ("error".to_string(), Vec::new()),
    }
}

fn with_exprs<'a>(text: impl Into<String>, exprs: &[&'a Expr]) -> Expanded<'a> {
    (text.into(), exprs.iter().copied().map(Node::Expr).collect())
}

fn expand_expr(expr: &Expr) -> Expanded<'_> {
    let leaf = |text: String| (text, Vec::new());
    match &expr.kind {
        ExprKind::Int(value) => leaf(format!("int {value}")),
        ExprKind::Float(value) => leaf(format!("float {value:?}")),
        ExprKind::Str(bytes) => leaf(format!("str \"{}\"", bytes.escape_ascii())),
        ExprKind::Bool(value) => leaf(format!("bool {value}")),
        ExprKind::Var(name) => leaf(format!("var ${name}")),
        ExprKind::Positional(number) => leaf(format!("positional ${number}")),
        ExprKind::PositionalCount => leaf("positional $#".to_string()),
        ExprKind::Map { name, key } => (
            format!("map @{name}"),
            key.iter().flatten().map(Node::Expr).collect(),
        ),
        ExprKind::Ident(name) => leaf(format!("ident {name}")),
        ExprKind::Call { name, args } => {
            let args = args.iter().map(|arg| match arg {
                Arg::Expr(expr) => Node::Expr(expr),
                Arg::Type(ty) => Node::Type(ty),
            });
            (format!("call {}", name.node), args.collect())
        }
        ExprKind::Unary(op, operand) => with_exprs(format!("unary {op}"), &[operand]),
        ExprKind::IncDec {
            increment,
            prefix,
            target,
        } => {
            let op = if *increment { "++" } else { "--" };
            with_exprs(
                if *prefix {
                    format!("{op}_")
                } else {
                    format!("_{op}")
                },
                &[target],
            )
        }
        ExprKind::Binary(op, left, right) => with_exprs(format!("binary {op}"), &[left, right]),
        ExprKind::Ternary(cond, Some(then), otherwise) => with_exprs("ternary", &[cond, then, otherwise]),
        ExprKind::Ternary(cond, None, otherwise) => with_exprs("ternary ?:", &[cond, otherwise]),
        ExprKind::Field(of, name) => with_exprs(format!("field .{}", name.node), &[of]),
        ExprKind::Arrow(of, name) => with_exprs(format!("field ->{}", name.node), &[of]),
        ExprKind::TupleIndex(of, index) => with_exprs(format!("tuple index .{}", index.node), &[of]),
        ExprKind::Index(of, index) => with_exprs("index", &[of, index]),
        ExprKind::Cast(ty, operand) => ("cast".to_string(), vec![Node::Type(ty), Node::Expr(operand)]),
        ExprKind::Tuple(items) => ("tuple".to_string(), items.iter().map(Node::Expr).collect()),
        ExprKind::Record(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| named(format!("{} =", name.node), [Node::Expr(value)]));
            ("record".to_string(), fields.collect())
        }
        ExprKind::TypeCall { name, ty, path } => {
            let mut children = vec![Node::Type(ty)];
            if !path.is_empty() {
                let path: Vec<&str> = path.iter().map(|name| name.node.as_str()).collect();
                children.push(Node::Line(format!("path {}", path.join("."))));
            }
            (format!("type call {}", name.node), children)
        }
        ExprKind::Comptime(inner) => with_exprs("comptime", &[inner]),
        ExprKind::If(inner) => Node::If(inner).expand(),
        ExprKind::Block(block) => Node::Block("block", block).expand(),
        ExprKind::Error => leaf("error".to_string()),
    }
}

fn expand_type(ty: &TypeExpr) -> Expanded<'_> {
    match &ty.kind {
        TypeExprKind::Name(name) => (format!("type {name}"), Vec::new()),
        TypeExprKind::Tagged(keyword, tag) => (format!("type {} {tag}", keyword.text()), Vec::new()),
        TypeExprKind::Array(of, len) => {
            let len = len.iter().map(|len| Node::Expr(len));
            (
                "type array".to_string(),
                std::iter::once(Node::Type(of)).chain(len).collect(),
            )
        }
        TypeExprKind::Pointer(to) => ("type pointer".to_string(), vec![Node::Type(to)]),
        TypeExprKind::Tuple(items) => ("type tuple".to_string(), items.iter().map(Node::Type).collect()),
        TypeExprKind::TypeOf(of) => ("type typeof".to_string(), vec![Node::Expr(of)]),
        TypeExprKind::TypeOfType(of) => ("type typeof".to_string(), vec![Node::Type(of)]),
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
