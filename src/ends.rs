//! The `end` blocks of a script whose other blocks have run already, on other machines.
//!
//! In: [`Results`]. Out: the script's `end` blocks, compiled for the user-space VM with maps of the types that the results have.
//! No fact of this machine counts.

use crate::stages;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_grammar::ast::Item;
use crumbs_grammar::diagnostic::{Diagnostic, Severity};
use crumbs_runtime::backend::Error;
use crumbs_runtime::results::{self, Results};

/// What the VM is, to the compiler.
///
/// # Errors
/// When crumbs does not know this machine's architecture.
pub fn target() -> Result<FixtureTarget, Error> {
    let facts = format!("arch {}\nkernel 7.0\n", std::env::consts::ARCH);
    FixtureTarget::parse(&facts).map_err(|error| cannot(error.to_string()))
}

/// Compiles the script's `end` blocks. Needs a large stack ([`stages::on_large_stack`]).
///
/// # Errors
/// When they need more than maps.
pub fn compile(results: &Results) -> Result<Compiled, Error> {
    let script = &results.script;
    // An `end` block that does nothing, for scripts without any.
    let text = format!("{}\n{}\nend {{ }}\n", script.imports.join("\n"), script.text);
    compile_text(results, &text)
}

/// Compiles an `end` block that does nothing, with the script's config; all maps are printed. Needs a large stack.
///
/// # Errors
/// When the maps cannot be had.
pub fn compile_maps(results: &Results) -> Result<Compiled, Error> {
    let text = &results.script.text;
    let parsed = crumbs_grammar::parse(text);
    let configs = parsed.script.items.iter().filter_map(|item| match item {
        Item::Config(config) => text.get(config.span.range()),
        _ => None,
    });
    let text = format!("{}\nend {{ }}\n", configs.collect::<Vec<_>>().join("\n"));
    let mut compiled = compile_text(results, &text)?;
    compiled.plan.settings.print_maps_on_exit = true;
    Ok(compiled)
}

fn compile_text(results: &Results, text: &str) -> Result<Compiled, Error> {
    let target = target()?;
    let script = &results.script;
    let options = Options {
        params: script.params.clone(),
        named: script.named.clone(),
        config: script.config.clone(),
        // Commands are left out when it comes to them.
        allow_unsafe: true,
        only_end: Some(results::known(results)),
        ..Options::default()
    };
    let first = |diagnostics: &[Diagnostic]| {
        let error = diagnostics.iter().find(|d| d.severity == Severity::Error);
        cannot(error.map_or_else(String::new, |error| error.message.clone()))
    };
    let checked = stages::check(&script.name, text, &target, &options);
    let checked = checked.map_err(|mistaken| first(&mistaken.diagnostics))?;
    let compiled = driver::compile(&checked.script, &target);
    let mut compiled = compiled.map_err(|diagnostics| first(&diagnostics))?;
    // What was cut off is marked already.
    compiled.plan.settings.str_trunc_trailer.clear();
    Ok(compiled)
}

fn cannot(reason: String) -> Error {
    Error::new("compile them", reason)
}
