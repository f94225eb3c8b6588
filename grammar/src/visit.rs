//! Walks over the syntax tree that may change it.
//!
//! In: a tree and a [`VisitMut`]. Its methods see every node of their kind, parents first; a method that is not overridden
//! goes on with the node's children. Invariant: every span and every mention of a variable or map of the tree passes
//! through [`VisitMut::span`], [`VisitMut::var`] and [`VisitMut::map`], unless a method above it stops the walk.

use crate::ast::*;
use crate::span::Span;

/// What is done at each node.
pub trait VisitMut: Sized {
    /// An expression.
    fn expr(&mut self, expr: &mut Expr) {
        walk_expr(self, expr);
    }

    /// A statement.
    fn stmt(&mut self, stmt: &mut Stmt) {
        walk_stmt(self, stmt);
    }

    /// A type.
    fn ty(&mut self, ty: &mut TypeExpr) {
        walk_type(self, ty);
    }

    /// The name of a variable, where it is declared and where it is used; without `$`.
    fn var(&mut self, _name: &mut String) {}

    /// The name of a map, without `@`, with the place of the mention.
    fn map(&mut self, _name: &mut String, _span: Span) {}

    /// A place in the text.
    fn span(&mut self, _span: &mut Span) {}
}

/// Goes on with the parts of an item.
pub fn walk_item<V: VisitMut>(v: &mut V, item: &mut Item) {
    match item {
        Item::Probe(probe) => {
            for point in &mut probe.attach_points {
                if let Some(label) = &mut point.label {
                    v.span(&mut label.span);
                }
                point.parts.iter_mut().for_each(|part| v.span(&mut part.span));
                v.span(&mut point.span);
            }
            if let Some(predicate) = &mut probe.predicate {
                v.expr(predicate);
            }
            walk_block(v, &mut probe.body);
            v.span(&mut probe.span);
        }
        Item::Config(config) => {
            for (name, value) in &mut config.entries {
                v.span(&mut name.span);
                v.span(&mut value.span);
            }
            v.span(&mut config.span);
        }
        Item::Import(import) => walk_import(v, import),
        Item::MapDecl(decl) => {
            v.map(&mut decl.name.node, decl.name.span);
            v.span(&mut decl.name.span);
            v.span(&mut decl.kind.span);
            decl.args.iter_mut().for_each(|arg| v.expr(arg));
            v.span(&mut decl.span);
        }
        Item::Macro(decl) => {
            v.span(&mut decl.name.span);
            for param in &mut decl.params {
                let (MacroParam::Var(name) | MacroParam::Map(name) | MacroParam::Expr(name)) = param;
                v.span(&mut name.span);
            }
            walk_block(v, &mut decl.body);
            v.span(&mut decl.span);
        }
        Item::Function(decl) => {
            v.span(&mut decl.name.span);
            for (name, ty) in &mut decl.params {
                var(v, name);
                v.ty(ty);
            }
            if let Some(result) = &mut decl.result {
                v.ty(result);
            }
            walk_block(v, &mut decl.body);
            v.span(&mut decl.span);
        }
        Item::C(text) => v.span(&mut text.span),
    }
}

/// Goes on with the parts of a block.
pub fn walk_block<V: VisitMut>(v: &mut V, block: &mut Block) {
    block.stmts.iter_mut().for_each(|stmt| v.stmt(stmt));
    if let Some(value) = &mut block.value {
        v.expr(value);
    }
    v.span(&mut block.span);
}

/// Goes on with the parts of a statement.
pub fn walk_stmt<V: VisitMut>(v: &mut V, stmt: &mut Stmt) {
    match &mut stmt.kind {
        StmtKind::Expr(e) | StmtKind::Discard(e) => v.expr(e),
        StmtKind::Assign { target, op, value } => {
            v.expr(target);
            if let Some(op) = op {
                v.span(&mut op.span);
            }
            v.expr(value);
        }
        StmtKind::Let { name, ty, value } => {
            if let Some(ty) = ty {
                v.ty(ty);
            }
            if let Some(value) = value {
                v.expr(value);
            }
            var(v, name);
        }
        StmtKind::If(branch) => walk_if(v, branch),
        StmtKind::For {
            var: name,
            over,
            body,
        } => {
            match over {
                ForOver::Range(from, to) => {
                    v.expr(from);
                    v.expr(to);
                }
                ForOver::Expr(e) => v.expr(e),
            }
            var(v, name);
            walk_block(v, body);
        }
        StmtKind::While { cond: e, body } | StmtKind::Unroll { count: e, body } => {
            v.expr(e);
            walk_block(v, body);
        }
        StmtKind::Block(block) => walk_block(v, block),
        StmtKind::Return(Some(e)) => v.expr(e),
        StmtKind::Import(import) => walk_import(v, import),
        StmtKind::Return(None) | StmtKind::Break | StmtKind::Continue | StmtKind::Error => {}
    }
    v.span(&mut stmt.span);
}

/// Goes on with the parts of an expression.
pub fn walk_expr<V: VisitMut>(v: &mut V, expr: &mut Expr) {
    let span = expr.span;
    match &mut expr.kind {
        ExprKind::Var(name) => v.var(name),
        ExprKind::Map { name, key } => {
            v.map(name, span);
            key.iter_mut().flatten().for_each(|key| v.expr(key));
        }
        ExprKind::Call { name, args } => {
            v.span(&mut name.span);
            for arg in args {
                match arg {
                    Arg::Expr(arg) => v.expr(arg),
                    Arg::Type(ty) => v.ty(ty),
                }
            }
        }
        ExprKind::Unary(_, of) | ExprKind::IncDec { target: of, .. } | ExprKind::Comptime(of) => v.expr(of),
        ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) => {
            v.expr(a);
            v.expr(b);
        }
        ExprKind::Ternary(c, a, b) => {
            v.expr(c);
            if let Some(a) = a {
                v.expr(a);
            }
            v.expr(b);
        }
        ExprKind::Field(of, name) | ExprKind::Arrow(of, name) => {
            v.expr(of);
            v.span(&mut name.span);
        }
        ExprKind::TupleIndex(of, index) => {
            v.expr(of);
            v.span(&mut index.span);
        }
        ExprKind::Cast(ty, of) => {
            v.ty(ty);
            v.expr(of);
        }
        ExprKind::Tuple(members) => members.iter_mut().for_each(|member| v.expr(member)),
        ExprKind::Record(fields) => {
            for (name, value) in fields {
                v.span(&mut name.span);
                v.expr(value);
            }
        }
        ExprKind::TypeCall { name, ty, path } => {
            v.span(&mut name.span);
            v.ty(ty);
            path.iter_mut().for_each(|name| v.span(&mut name.span));
        }
        ExprKind::If(branch) => walk_if(v, branch),
        ExprKind::Block(block) => walk_block(v, block),
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::Positional(_)
        | ExprKind::PositionalCount
        | ExprKind::Ident(_)
        | ExprKind::Error => {}
    }
    v.span(&mut expr.span);
}

/// Goes on with the parts of a type.
pub fn walk_type<V: VisitMut>(v: &mut V, ty: &mut TypeExpr) {
    match &mut ty.kind {
        TypeExprKind::Name(_) | TypeExprKind::Tagged(..) => {}
        TypeExprKind::Array(of, len) => {
            v.ty(of);
            if let Some(len) = len {
                v.expr(len);
            }
        }
        TypeExprKind::Pointer(of) | TypeExprKind::TypeOfType(of) => v.ty(of),
        TypeExprKind::Tuple(members) => members.iter_mut().for_each(|member| v.ty(member)),
        TypeExprKind::TypeOf(of) => v.expr(of),
    }
    v.span(&mut ty.span);
}

fn walk_if<V: VisitMut>(v: &mut V, branch: &mut IfExpr) {
    v.expr(&mut branch.cond);
    walk_block(v, &mut branch.then);
    if let Some(otherwise) = &mut branch.otherwise {
        walk_block(v, otherwise);
    }
}

fn walk_import<V: VisitMut>(v: &mut V, import: &mut Import) {
    v.span(&mut import.path.span);
    v.span(&mut import.span);
}

fn var<V: VisitMut>(v: &mut V, name: &mut Name) {
    v.var(&mut name.node);
    v.span(&mut name.span);
}
