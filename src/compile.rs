//! From the command line to a compiled script, and the stages in between for `-d`.

use crate::cli::{Args, StageName, Stop};
use crate::library;
use crate::output;
use crate::parameters::{self, Parameters};
use crate::report;
use crate::results;
use crumbs::{explain, stages};
use crumbs_compiler::config;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::expand;
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::Target;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::{COMMAND_LINE, Sources};
use crumbs_runtime::backend::Error;
use crumbs_runtime::host::MOST_BYTES;
use crumbs_runtime::results::Script;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};

/// A script as it was given.
#[derive(Debug)]
pub(crate) struct Source {
    /// What messages call it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Its parameters.
    pub(crate) params: Parameters,
}

/// Reads the script.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(crate) fn source(args: &Args) -> Result<Source, Stop> {
    if let Some(text) = &args.program {
        return Ok(Source {
            name: COMMAND_LINE.into(),
            text: text.clone(),
            params: parameters::parse(&args.words, &args.behind_dashes),
        });
    }
    let mut behind = args.behind_dashes.as_slice();
    // `crumbs -- FILE` names a script, too.
    let first = args.words.split_first().or_else(|| {
        let first = behind.split_first().map(|(file, _)| (file, [].as_slice()));
        behind = behind.get(1..).unwrap_or_default();
        first
    });
    let Some((file, params)) = first else {
        if args.is_run {
            return Err(Stop::Usage(
                "run which script? `crumbs lib` lists those of the library".into(),
            ));
        }
        return Err(Stop::Usage(
            "there is no script: give one with -e 'PROG', or name a FILE".into(),
        ));
    };
    let failed = |error: &dyn std::fmt::Display| {
        let is_script = !file.contains(['/', '.']) && file.contains(['{', '<', ':']);
        let help = match is_script {
            true => format!("to run a script given on the command line, use -e: crumbs -e '{file}'"),
            false => {
                "name a file of UTF-8 text, or `-` for standard input; -e takes the script itself".to_owned()
            }
        };
        report::failed(Error::new(format!("read the script `{file}`"), error.to_string()).help(help))
    };
    if args.is_run
        && let Some(script) = library::script(file)?
    {
        return Ok(Source {
            name: format!("{}{}", expand::LIBRARY, script.name),
            text: script.text.to_owned(),
            params: parameters::parse(params, behind),
        });
    }
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin()
            .lock()
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|script| script.take(MOST_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(failed(&format!("it has more than {} MiB", MOST_BYTES >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        failed(&format!("it is no text: byte {at} is not valid UTF-8"))
    })?;
    let name = if file == "-" { "stdin".into() } else { file.clone() };
    Ok(Source {
        name,
        text,
        params: parameters::parse(params, behind),
    })
}

/// What a stage left to do.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The compiled script, its object, the texts that both were made from, and the script as results keep it.
    Compiled(Box<Compiled>, Vec<u8>, Sources, Box<Script>),
    /// The same with the page that explains it ([`explain::page`]).
    Explained(String, Box<Compiled>, Vec<u8>),
    /// A stage was asked for and has been shown.
    Shown,
}

/// Compiles a script, or shows a stage of it. `command_pid` is the process that is to run the traced command. Needs a large
/// stack ([`stages::on_large_stack`]).
///
/// # Errors
/// When the script has mistakes, which have been reported.
pub(crate) fn compile(
    source: &Source,
    args: &Args,
    command_pid: Option<u32>,
    target: &dyn Target,
) -> Result<Outcome, Stop> {
    let stage = args.stage();
    if stage == Some(StageName::Tokens) {
        let tokens = crumbs_grammar::lexer::tokens(&source.text);
        return show(args, |out| {
            tokens
                .into_iter()
                .try_for_each(|(token, span)| writeln!(out, "{span:?} {token}"))
        });
    }
    if stage == Some(StageName::Ast) {
        let parsed = crumbs_grammar::parse(&source.text);
        if stages::has_error(&parsed.diagnostics) {
            let sources = Sources::new(&source.name, &source.text);
            return refuse(&sources, Err(parsed.diagnostics));
        }
        return show(args, |out| {
            out.write_all(crumbs_grammar::dump::dump(&parsed.script).as_bytes())
        });
    }
    let options = options(source, args, command_pid)?;
    let checked = match stages::check(&source.name, &source.text, target, &options) {
        Ok(checked) => checked,
        Err(mistaken) => return refuse(&mistaken.sources, Err(mistaken.diagnostics)),
    };
    let (script, sources) = (checked.script, checked.sources);
    if !args.bpftrace.no_warnings {
        report::diagnostics(&sources, &checked.warnings);
    }
    if stage == Some(StageName::Hir) {
        return show(args, |out| write!(out, "{script}"));
    }
    let compiled = refuse(&sources, driver::compile_with(&script, target, &stages::Threads))?;
    if args.bpftrace.is_compile_only() {
        return Ok(Outcome::Shown);
    }
    match stage {
        Some(StageName::Ir) => show(args, |out| {
            compiled.functions.iter().try_for_each(|f| write!(out, "{f}"))
        }),
        Some(StageName::Asm) => show(args, |out| {
            out.write_all(stages::listing(&script, &compiled, sources.text()).as_bytes())
        }),
        _ => {
            let info = SourceInfo {
                name: &source.name,
                text: sources.text(),
            };
            let object = refuse(&sources, driver::write_object(&compiled, &info))?;
            if stage == Some(StageName::Elf) {
                return show(args, |out| out.write_all(&object));
            }
            if args.explains {
                let page = explain::page(&script, &compiled, &sources);
                return Ok(Outcome::Explained(page, Box::new(compiled), object));
            }
            let script = results::script(source, &sources, &options);
            Ok(Outcome::Compiled(
                Box::new(compiled),
                object,
                sources,
                Box::new(script),
            ))
        }
    }
}

/// What a command line says of compiling.
///
/// # Errors
/// When it says nothing that makes sense.
fn options(source: &Source, args: &Args, command_pid: Option<u32>) -> Result<Options, Stop> {
    Ok(Options {
        params: source.params.positional.clone(),
        named: source.params.named.clone(),
        no_warnings: args.bpftrace.no_warnings,
        report_failures: args.bpftrace.reports_failures(),
        pid: args.pid,
        dry_run: args.dry_run,
        allow_unsafe: args.allow_unsafe,
        command_pid,
        only_end: None,
        follow_tree: args.follows_tree()?,
        config: environment(),
        library: crumbs_probe_library::MODULES,
        includes: args.bpftrace.includes.clone(),
    })
}

/// The names of all places that a script is attached to, in order, each once.
///
/// # Errors
/// When the script has mistakes, which have been reported.
pub(crate) fn places(source: &Source, args: &Args, target: &dyn Target) -> Result<Vec<String>, Stop> {
    let options = options(source, args, None)?;
    let checked = stages::check(&source.name, &source.text, target, &options);
    let checked = checked.map_err(|mistaken| {
        report::diagnostics(&mistaken.sources, &mistaken.diagnostics);
        Stop::Failed
    })?;
    let mut known = HashSet::new();
    let names = checked.script.sites.into_iter().map(|site| site.probe);
    Ok(names.filter(|name| known.insert(name.clone())).collect())
}

/// Config variables from the environment: `CRUMBS_MAX_STRLEN`, or `BPFTRACE_MAX_STRLEN` as bpftrace users set it. What bpftrace
/// reads from its environment and crumbs does not is left out, since it may be meant for bpftrace.
fn environment() -> Vec<(String, String)> {
    let named = |prefix: &str| {
        let prefix = prefix.to_owned();
        std::env::vars_os().filter_map(move |(name, value)| {
            let name = name.to_str()?.strip_prefix(&prefix)?.to_lowercase();
            Some((name, value.to_str()?.to_owned()))
        })
    };
    let is_known =
        |name: &str| config::by_name(name).is_some() || config::RENAMED.iter().any(|(old, _)| *old == name);
    let of_bpftrace = named("BPFTRACE_").filter(|(name, _)| is_known(name));
    let own = named("CRUMBS_").filter(|(name, _)| {
        let ignored = !is_known(name) && !config::ENVIRONMENT_ONLY.contains(&name.as_str());
        if ignored {
            let name = name.to_uppercase();
            report::message(&format!(
                "warning: CRUMBS_{name} is set, and there is no config variable of this name"
            ));
        }
        is_known(name)
    });
    of_bpftrace.chain(own).collect()
}

fn refuse<T>(sources: &Sources, result: Result<T, Vec<Diagnostic>>) -> Result<T, Stop> {
    result.map_err(|diagnostics| {
        report::diagnostics(sources, &sources.settle(diagnostics));
        Stop::Failed
    })
}

/// Shows a stage.
fn show(args: &Args, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<Outcome, Stop> {
    output::write(args, write).map(|_| Outcome::Shown)
}
