//! From the command line to a compiled script, and the stages in between for `-d`.

use crate::cli::{Args, StageName, Stop};
use crate::report;
use crumbs::stages;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::Target;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::{COMMAND_LINE, Sources};
use std::io::{Read, Write};

/// A script as it was given.
#[derive(Debug)]
pub(crate) struct Source {
    /// What messages call it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Its positional parameters.
    pub(crate) params: Vec<String>,
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
            params: args.words.clone(),
        });
    }
    let Some((file, params)) = args.words.split_first() else {
        return Err(Stop::Usage(
            "there is no script: give one with -e 'PROG', or name a FILE".into(),
        ));
    };
    let failed = |error: &dyn std::fmt::Display| {
        report::message(&format!("error: cannot read the script `{file}`: {error}"));
        if !file.contains(['/', '.']) && file.contains(['{', '<', ':']) {
            report::message(&format!(
                "  = help: to run a script given on the command line, use -e: crumbs -e '{file}'"
            ));
        }
        Stop::Failed
    };
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|content| bytes = content)
    };
    read.map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        failed(&format!("it is no text: byte {at} is not valid UTF-8"))
    })?;
    let name = if file == "-" { "stdin".into() } else { file.clone() };
    Ok(Source {
        name,
        text,
        params: params.to_vec(),
    })
}

/// What a stage left to do.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The compiled script, its object, and the texts that both were made from.
    Compiled(Box<Compiled>, Vec<u8>, Sources),
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
    let stage = args.stage;
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
    let options = Options {
        params: source.params.clone(),
        pid: args.pid,
        allow_unsafe: args.allow_unsafe,
        command_pid,
        config: environment(),
        library: crumbs_probe_library::MODULES,
        ..Options::default()
    };
    let checked = match stages::check(&source.name, &source.text, target, &options) {
        Ok(checked) => checked,
        Err(mistaken) => return refuse(&mistaken.sources, Err(mistaken.diagnostics)),
    };
    let (script, sources) = (checked.script, checked.sources);
    report::diagnostics(&sources, &checked.warnings);
    if stage == Some(StageName::Hir) {
        return show(args, |out| write!(out, "{script}"));
    }
    let compiled = refuse(&sources, driver::compile(&script, target))?;
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
            Ok(Outcome::Compiled(Box::new(compiled), object, sources))
        }
    }
}

/// Config variables from the environment: `CRUMBS_MAX_STRLEN`, or `BPFTRACE_MAX_STRLEN` as bpftrace users set it.
fn environment() -> Vec<(String, String)> {
    let named = |prefix: &str| {
        let prefix = prefix.to_owned();
        std::env::vars_os().filter_map(move |(name, value)| {
            let name = name.to_str()?.strip_prefix(&prefix)?.to_lowercase();
            Some((name, value.to_str()?.to_owned()))
        })
    };
    named("BPFTRACE_").chain(named("CRUMBS_")).collect()
}

fn refuse<T>(sources: &Sources, result: Result<T, Vec<Diagnostic>>) -> Result<T, Stop> {
    result.map_err(|diagnostics| {
        report::diagnostics(sources, &sources.settle(diagnostics));
        Stop::Failed
    })
}

/// Writes a stage to standard output or the file of `-o`.
fn show(args: &Args, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<Outcome, Stop> {
    let mut out = output(args)?;
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(Outcome::Shown),
        // A reader such as `head` has had enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Outcome::Shown),
        Err(error) => {
            report::message(&format!("error: cannot write the output: {error}"));
            Err(Stop::Failed)
        }
    }
}

/// Where results go.
///
/// # Errors
/// When the file of `-o` cannot be made, which has been reported.
pub(crate) fn output(args: &Args) -> Result<Box<dyn Write>, Stop> {
    let Some(path) = &args.output else {
        return Ok(Box::new(std::io::BufWriter::new(std::io::stdout())));
    };
    match std::fs::File::create(path) {
        Ok(file) => Ok(Box::new(std::io::BufWriter::new(file))),
        Err(error) => {
            report::message(&format!("error: cannot write to `{}`: {error}", path.display()));
            Err(Stop::Failed)
        }
    }
}
