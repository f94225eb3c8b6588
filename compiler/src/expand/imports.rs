//! Imports: files of macros, functions and probes that a script uses.
//!
//! In: a script. Out: its items with those of imported files in the place of each import. A path is looked up beside the
//! importing file, then in the probe library; scripts of the library import from it alone. What cannot be read or parsed is
//! reported, and its import left out.

use super::stdlib;
use crate::codes;
use crate::options::Options;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::target::{SourceFile, Target, TargetError};
use crumbs_grammar::ast::{Import, Item, Script, Stmt, StmtKind};
use crumbs_grammar::diagnostic::{Diagnostic, Label, Severity};
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_item, walk_stmt};
use std::collections::HashSet;

/// What the names of the probe library's texts begin with: no file's name does, as the command line would have it.
pub const LIBRARY: &str = "library:";

/// What imports are resolved with.
pub(super) struct Importer<'a> {
    pub target: &'a dyn Target,
    pub options: &'a Options,
    /// Whether imports may stand inside of blocks.
    pub statements: bool,
    pub sources: &'a mut Sources,
    pub diagnostics: &'a mut Vec<Diagnostic>,
}

/// Replaces all imports.
pub(super) fn resolve(script: &mut Script, importer: &mut Importer<'_>) {
    let mut known = HashSet::new();
    let items = std::mem::take(&mut script.items);
    script.items = importer.items(items, &mut known);
}

impl Importer<'_> {
    fn items(&mut self, items: Vec<Item>, known: &mut HashSet<String>) -> Vec<Item> {
        let mut out = Vec::with_capacity(items.len());
        for mut item in items {
            let mut inner = Statements::default();
            walk_item(&mut inner, &mut item);
            let root = match item {
                Item::Import(import) => Some(import),
                item => {
                    // What a block imports must be there before it is used.
                    let found = inner.found.into_iter().filter(|import| self.allows(import));
                    for import in found.collect::<Vec<_>>() {
                        out.extend(self.import(&import, known));
                    }
                    out.push(item);
                    None
                }
            };
            if let Some(import) = root {
                out.extend(self.import(&import, known));
            }
        }
        out
    }

    fn allows(&mut self, import: &Import) -> bool {
        if !self.statements {
            self.diagnostics.push(
                Diagnostic::error(
                    &codes::IMPORT_STATEMENT,
                    import.span,
                    "an import inside of a block",
                )
                .help("import at the top of the script")
                .help("or allow it with `config = { unstable_import_statement = enable }`"),
            );
        }
        self.statements
    }

    fn import(&mut self, import: &Import, known: &mut HashSet<String>) -> Vec<Item> {
        let mut out = Vec::new();
        if self.options.only_end.is_some() {
            // What the script imported is part of its text by now.
            return out;
        }
        match self.files(import) {
            Ok(files) => {
                for file in files {
                    if known.insert(file.id.clone()) {
                        out.extend(self.file(import, &file, known));
                    }
                }
            }
            Err(diagnostic) => self.diagnostics.push(*diagnostic),
        }
        out
    }

    /// The files that an import means.
    fn files(&self, import: &Import) -> Result<Vec<SourceFile>, Box<Diagnostic>> {
        let path = &import.path.node;
        let span = import.path.span;
        if [".c", ".h", ".o"].iter().any(|end| path.ends_with(end)) {
            let message = format!("`{path}` needs a C compiler, which crumbs does without");
            return Err(Box::new(
                Diagnostic::error(&codes::NO_IMPORT, span, message)
                    .help("write what it does as a `macro` or `fn` in a script, and import that")
                    .help(
                        "types that it declares can be taken over with `#include` or written into the script",
                    ),
            ));
        }
        let importer = self.sources.file(span).0;
        let library = self.options.library;
        let module = library.iter().find(|(name, _)| in_library(name, path));
        let module = module.map(|(name, text)| SourceFile {
            id: format!("{LIBRARY}{name}"),
            name: format!("{LIBRARY}{name}"),
            text: (*text).to_owned(),
        });
        if importer.starts_with(LIBRARY)
            && let Some(file) = module
        {
            return Ok(vec![file]);
        }
        match self.target.import(importer, path) {
            Ok(files) => Ok(files),
            Err(TargetError::NotFound { .. }) if let Some(files) = stdlib::files(path) => Ok(files),
            Err(TargetError::NotFound {
                similar: names,
                searched,
            }) => {
                if let Some(file) = module {
                    return Ok(vec![file]);
                }
                let mut diagnostic =
                    Diagnostic::error(&codes::NO_IMPORT, span, format!("there is no `{path}` to import"));
                if !searched.is_empty() {
                    diagnostic = diagnostic.label(format!("not found as {}", searched.join(", ")));
                }
                let mut names = names;
                names.extend(similar(path, library.iter().map(|(name, _)| *name), 3));
                Err(Box::new(did_you_mean(diagnostic, &names)))
            }
            Err(TargetError::Unreadable { what, reason, help }) => Err(Box::new(
                Diagnostic::error(&codes::NO_IMPORT, span, format!("cannot import {what}: {reason}"))
                    .help(help),
            )),
        }
    }

    /// The items of an imported file, its own imports replaced.
    fn file(&mut self, import: &Import, file: &SourceFile, known: &mut HashSet<String>) -> Vec<Item> {
        let Some(start) = self.sources.add_file(&file.name, &file.text) else {
            let message = format!("with `{}` there is more text than crumbs reads", file.name);
            self.diagnostics
                .push(Diagnostic::error(&codes::NO_IMPORT, import.span, message));
            return Vec::new();
        };
        let parsed = crumbs_grammar::parse(&file.text);
        let failed = parsed.diagnostics.iter().any(|d| d.severity == Severity::Error);
        let moved = parsed.diagnostics.into_iter().map(|d| moved(d, start));
        self.diagnostics
            .extend(moved.map(|d| d.also(import.span, "imported here")));
        if failed {
            return Vec::new();
        }
        let mut items = parsed.script.items;
        items
            .iter_mut()
            .for_each(|item| walk_item(&mut Shift(start as u32), item));
        for item in &items {
            if let Item::Config(config) = item {
                self.diagnostics.push(
                    Diagnostic::error(
                        &codes::IMPORTED_CONFIG,
                        config.span,
                        "a file that is imported sets no config",
                    )
                    .also(import.span, "imported here")
                    .help("move the `config` block into the script that is run"),
                );
            }
        }
        items.retain(|item| !matches!(item, Item::Config(_)));
        self.items(items, known)
    }
}

/// Whether the library's module `name` is what `path` asks for.
fn in_library(name: &str, path: &str) -> bool {
    let suffixes = [".bt", ".crumbs"];
    suffixes
        .iter()
        .find_map(|end| path.strip_suffix(end))
        .unwrap_or(path)
        == name
}

/// The imports of blocks, which are taken out.
#[derive(Default)]
struct Statements {
    found: Vec<Import>,
}

impl VisitMut for Statements {
    fn stmt(&mut self, stmt: &mut Stmt) {
        if let StmtKind::Import(import) = &stmt.kind {
            self.found.push(import.clone());
            stmt.kind = StmtKind::Error;
        } else {
            walk_stmt(self, stmt);
        }
    }
}

/// Moves places from a file's text to where the file is in all text.
pub(super) struct Shift(pub u32);

impl VisitMut for Shift {
    fn span(&mut self, span: &mut Span) {
        span.start += self.0;
        span.end += self.0;
    }
}

fn moved(mut diagnostic: Diagnostic, by: usize) -> Diagnostic {
    let mut shift = Shift(by as u32);
    let labels: [&mut [Label]; 2] = [
        std::slice::from_mut(&mut diagnostic.primary),
        &mut diagnostic.secondary,
    ];
    for label in labels.into_iter().flatten() {
        shift.span(&mut label.span);
    }
    diagnostic
}
