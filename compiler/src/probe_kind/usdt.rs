//! `usdt`: static probes that programs and libraries were built with.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, did_you_mean, is_literal};
use crate::codes;
use crate::glob::Glob;
use crate::plan::{Attach, ProgramKind, Site, UprobePlace};
use crate::similar::similar;
use crate::target::{Binary, Target, UsdtProbe};
use crate::types::Space;
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;
use std::sync::Arc;

/// `usdt`.
pub(super) struct Usdt;

impl ProbeKind for Usdt {
    fn words(&self) -> &Words {
        &Words {
            name: "usdt",
            aliases: &["U"],
            doc: "runs at a static probe that a program or library was built with",
            syntax: "usdt:BINARY:[PROVIDER:]NAME",
            example: "usdt:libc:setjmp { @jumps = count(); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Kprobe
    }

    fn class(&self) -> Class {
        Class::Program
    }

    fn offers(&self) -> Offers {
        Offers {
            arguments: true,
            return_value: false,
            duration: false,
            record: false,
            function: false,
            memory: Space::User,
            filtered_by_pid: true,
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let (binary, provider, name) = match point.parts {
            [name] => (None, None, name),
            [binary, name] => (Some(binary), None, name),
            [binary, provider, name] => (Some(binary), Some(provider), name),
            _ => return Err(Failure::malformed(self, point)),
        };
        // Without a binary: any that the traced process has loaded.
        let anywhere = AttachPart {
            text: String::new(),
            quoted: false,
            span: point.span,
        };
        let binary = binary.unwrap_or(&anywhere);
        if name.text.is_empty() || (binary.text.is_empty() && !point.traced) {
            return Err(Failure::malformed(self, point));
        }
        let provider = provider.filter(|part| !part.text.is_empty());
        let binaries = super::user::binaries(Some(binary), point, target)?;
        let glob = |part: &AttachPart| match part.quoted {
            true => None,
            false => Some(Glob::new(&part.text)),
        };
        let (provider_glob, name_glob) = (provider.map(glob), glob(name));
        let literal = is_literal(name) && provider.is_none_or(is_literal) && binaries.len() == 1;
        let mut places = Vec::new();
        let mut known = Vec::new();
        for binary in &binaries {
            let probes = match target.usdt_probes(binary) {
                Ok(probes) => probes,
                // Of several files some may be none of ours.
                Err(_) if binaries.len() > 1 => continue,
                Err(error) => {
                    let message = format!("{} has no static probes", binary.path);
                    return Err(Failure::target(error, &codes::NO_USDT, name.span, message));
                }
            };
            let matches = |text: &str, part: &AttachPart, glob: &Option<Glob>| match glob {
                Some(glob) => glob.matches(text),
                None => part.text == text,
            };
            let wanted = |probe: &&UsdtProbe| {
                matches(&probe.name, name, &name_glob)
                    && provider
                        .zip(provider_glob.as_ref())
                        .is_none_or(|(part, glob)| matches(&probe.provider, part, glob))
            };
            places.extend(
                probes
                    .iter()
                    .filter(wanted)
                    .map(|probe| place(self, binary, probe, literal)),
            );
            known.extend(probes.iter().map(|probe| probe.name.clone()));
        }
        if places.is_empty() {
            return Err(none(self, &binaries, name, &known));
        }
        Ok(places)
    }
}

fn place(kind: &dyn ProbeKind, binary: &Binary, probe: &UsdtProbe, literal: bool) -> Place {
    Place {
        site: Site::new(
            format!(
                "{}:{}:{}:{}",
                kind.name(),
                binary.path,
                probe.provider,
                probe.name
            ),
            String::new(),
        ),
        attach: Attach::Uprobe {
            path: binary.path.clone(),
            on_return: false,
            places: vec![UprobePlace {
                offset: probe.offset,
                counter: probe.semaphore,
                entry: None,
                cookie: 0,
            }],
        },
        record: None,
        arguments: Some(Arc::clone(&probe.arguments)),
        literal,
    }
}

fn none(kind: &dyn ProbeKind, binaries: &[Binary], name: &AttachPart, known: &[String]) -> Failure {
    let place = match binaries {
        [binary] => binary.path.clone(),
        binaries => format!("none of {} files", binaries.len()),
    };
    let message = match binaries {
        [_] => format!("{place} has no static probe `{}`", name.text),
        _ => format!("{place} has a static probe `{}`", name.text),
    };
    let diagnostic = Diagnostic::error(&codes::NO_USDT, name.span, message);
    let names = similar(&name.text, known.iter().map(String::as_str), 3);
    Failure::missing(if names.is_empty() {
        diagnostic.help(format!(
            "`crumbs -l '{}:{}:*'` lists its static probes",
            kind.name(),
            binaries.first().map_or("BINARY", |binary| binary.path.as_str())
        ))
    } else {
        did_you_mean(diagnostic, &names)
    })
}
