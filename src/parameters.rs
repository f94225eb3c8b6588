//! A script's parameters: words of the command line, and the list of those that the script knows.
//!
//! In: the words in front of `--` and behind it. Out: positional parameters (`$1`, …) in their order from both, and named ones
//! (`--name=value`, `--flag`), which stand behind `--` so that none is taken for an option of crumbs.

use crate::cli::Args;
use crate::compile::{self, Source};
use crumbs_compiler::expand::expand;
use crumbs_compiler::function::getopt;
use crumbs_compiler::options::Options;
use crumbs_runtime::host::{HostOptions, HostTarget};
use std::fmt::Write;

/// The parameters of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// `$1` is the first.
    pub(crate) positional: Vec<String>,
    /// Name and, where one is given, value.
    pub(crate) named: Vec<(String, Option<String>)>,
}

/// Takes the words apart.
pub(crate) fn parse(before: &[String], behind: &[String]) -> Parameters {
    let mut parameters = Parameters {
        positional: before.to_vec(),
        named: Vec::new(),
    };
    for word in behind {
        match word.strip_prefix("--").filter(|name| !name.is_empty()) {
            None => parameters.positional.push(word.clone()),
            Some(named) => parameters.named.push(match named.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (named.to_owned(), None),
            }),
        }
    }
    parameters
}

/// The named parameters that the script of a command line has, as `--help` shows them; empty where it has none.
pub(crate) fn help(args: &Args) -> String {
    // Without a script there is nothing to list, and a script that cannot be read says so when it is run.
    if args.program.is_none() && args.words.is_empty() {
        return String::new();
    }
    let Ok(source) = compile::source(args) else {
        return String::new();
    };
    listing(&source)
}

fn listing(source: &Source) -> String {
    let parsed = crumbs_grammar::parse(&source.text);
    let target = HostTarget::new(HostOptions::from_environment());
    let options = Options {
        library: crumbs_probe_library::MODULES,
        ..Options::default()
    };
    let expanded = expand(&source.name, &source.text, parsed.script, &target, &options);
    let declared = getopt::declared(&expanded.script);
    let rows: Vec<(String, String)> = declared
        .into_iter()
        .map(|parameter| {
            let default = parameter
                .default
                .and_then(|span| expanded.sources.text().get(span.range()));
            let form = match default {
                None | Some("true" | "false") => format!("--{}", parameter.name),
                Some(_) => format!("--{}=VALUE", parameter.name),
            };
            let mut text = parameter.description.unwrap_or_default();
            if let Some(default) = default {
                let space = if text.is_empty() { "" } else { " " };
                text.push_str(&format!("{space}[default: {default}]"));
            }
            (form, text)
        })
        .collect();
    let width = rows.iter().map(|(form, _)| form.len()).max().unwrap_or(0);
    let mut out = String::new();
    if !rows.is_empty() {
        let _ = writeln!(out, "\nParameters of {}, behind `--`:", source.name);
    }
    for (form, text) in rows {
        let _ = writeln!(out, "{}", format!("  {form:width$}  {text}").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Source, listing, parse};

    #[test]
    fn words_behind_the_dashes() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let parameters = parse(&words("1 two"), &words("--deep --size=5 3 --name= -4 --=x"));
        assert_eq!(parameters.positional, words("1 two 3 -4"));
        let named: Vec<(&str, Option<&str>)> = parameters
            .named
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        assert_eq!(
            named,
            [
                ("deep", None),
                ("size", Some("5")),
                ("name", Some("")),
                ("", Some("x"))
            ]
        );
    }

    #[test]
    fn the_script_s_parameters_are_listed() {
        let source = Source {
            name: "tool.bt".to_owned(),
            text: "macro m() { getopt(\"deep\") } begin { if (m) { print(getopt(\"size\", 5, \"bytes at least\")); } \
                   print(getopt(\"size\", 5)); print(getopt(\"all\", true, \"everything\")); }"
                .to_owned(),
            params: super::Parameters::default(),
        };
        assert_eq!(
            listing(&source),
            "\nParameters of tool.bt, behind `--`:\n  --deep\n  --size=VALUE  bytes at least [default: 5]\n  \
             --all         everything [default: true]\n"
        );
    }
}
