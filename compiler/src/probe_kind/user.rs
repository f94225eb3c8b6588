//! What `uprobe` and `uretprobe` share: places in programs and libraries.

use super::language::Language;
use super::{Failure, Place, Point, ProbeKind, did_you_mean};
use crate::codes;
use crate::glob::Glob;
use crate::plan::{Attach, Site, UprobePlace};
use crate::similar::similar;
use crate::target::{Binary, Function, Target, TargetError};
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;

mod source_line;

/// How many names a "did you mean" lists.
const SIMILAR: usize = 3;

/// What the part behind the binary says.
enum Wanted<'a> {
    /// A function, and the offset from its start.
    Function(&'a str, u64),
    /// All functions that match.
    Matching(Glob),
    /// All functions whose name in the language matches, with or without its parameters.
    Demangled(Language, Glob),
    /// A virtual address.
    Address(u64),
    /// A line of source.
    Line(source_line::SourceLine),
}

/// The places of an attach point `kind:BINARY:WHAT`, at the return of functions where `on_return`.
pub(super) fn expand(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let is_empty = |part: &AttachPart| part.text.is_empty();
    if point.parts.iter().skip(1).any(is_empty) {
        return Err(Failure::malformed(kind, point));
    }
    let (binary, what, wanted) = match (source_line::of(point), point.parts) {
        (Some((binary, what, wanted)), _) => (Some(binary), what, wanted),
        // Without a binary: of the traced program.
        (_, [what]) if point.traced && !is_empty(what) => (None, what, wanted(what)?),
        (_, [binary, what]) if point.traced && is_empty(binary) => (None, what, wanted(what)?),
        (_, [binary, ..]) if is_empty(binary) => return Err(Failure::malformed(kind, point)),
        (_, [binary, what]) => (Some(binary.clone()), what, wanted(what)?),
        (_, [binary, language, what]) => match Language::by_name(&language.text) {
            Some(language) => (
                Some(binary.clone()),
                what,
                Wanted::Demangled(language, Glob::new(&what.text)),
            ),
            None => return Err(Failure::malformed(kind, point)),
        },
        _ => return Err(Failure::malformed(kind, point)),
    };
    let is_whole = !matches!(
        wanted,
        Wanted::Function(_, 1..) | Wanted::Address(_) | Wanted::Line(_)
    );
    if on_return && !is_whole {
        return Err(Failure::wrong(
            Diagnostic::error(
                &codes::BAD_OFFSET,
                what.span,
                format!("a {} probe is placed on a whole function", kind.name()),
            )
            .help("name a function, without offset"),
        ));
    }
    let binaries = match (binaries(binary.as_ref(), point, target), &wanted) {
        (Err(failure), Wanted::Function(_, 0) | Wanted::Matching(_)) if failure.missing && point.traced => {
            let place = binary.and_then(|binary| late(kind, on_return, &binary, &what.text));
            return place.map(|place| vec![place]).ok_or(failure);
        }
        (binaries, _) => binaries?,
    };
    let mut cx = Expansion {
        kind,
        on_return,
        what,
        target,
        point,
        literal_binary: binaries.len() == 1,
        places: Vec::new(),
    };
    let mut failure = None;
    for binary in &binaries {
        if let Err(error) = cx.binary(binary, &wanted) {
            failure.get_or_insert(error);
        }
    }
    match failure {
        // Of several binaries, some may lack the function.
        Some(failure) if cx.places.is_empty() => Err(failure),
        _ => Ok(cx.places),
    }
}

/// The place of a function, or of all that match, in a library that the traced process may load later, where `library` is the
/// short name of one or a pattern for such.
fn late(kind: &dyn ProbeKind, on_return: bool, library: &AttachPart, function: &str) -> Option<Place> {
    let is_name = !(library.text.contains('/') || library.quoted && library.text.contains('*'));
    let library = library.text.as_str();
    let is_library = library.starts_with("lib") || library.contains(".so");
    let place = || Place {
        site: Site::new(
            format!("{}:{library}:{function}", kind.name()),
            function.to_owned(),
        ),
        ..Place::named(
            String::new(),
            Attach::Late {
                library: library.to_owned(),
                function: function.to_owned(),
                on_return,
                cookie: 0,
            },
        )
    };
    (is_library && is_name).then(place)
}

/// The files that `binary` means; `*` for all that the traced process has loaded, or any process where none is traced;
/// `None` for the program of the traced process, an empty name for all that it has loaded.
pub(super) fn binaries(
    binary: Option<&AttachPart>,
    point: &Point<'_>,
    target: &dyn Target,
) -> Result<Vec<Binary>, Failure> {
    let none = |error| {
        let message = "there is no traced process to look in".to_owned();
        Failure::target(error, &codes::NO_BINARY, point.span, message)
            .or_help("trace a process with -p or -c, or name the file, as in `uprobe:/usr/bin/app:main`")
    };
    let loaded = || target.loaded_binaries().map_err(none);
    let Some(binary) = binary else {
        let mut loaded = loaded()?;
        loaded.truncate(1);
        return Ok(loaded);
    };
    if binary.text.is_empty() {
        return loaded();
    }
    if binary.text == "*" && !binary.quoted {
        return match target.loaded_binaries() {
            Ok(loaded) => Ok(loaded),
            Err(TargetError::NotFound { .. }) => target.running_binaries().map_err(none),
            Err(error) => Err(none(error)),
        };
    }
    target.binaries(&binary.text).map_err(|error| {
        let matches_nothing = !binary.quoted && binary.text.contains('*');
        let (code, message) = if matches_nothing {
            (
                &codes::NO_MATCH,
                format!("no program or library matches `{}`", binary.text),
            )
        } else {
            (
                &codes::NO_BINARY,
                format!("cannot find a program or library `{}`", binary.text),
            )
        };
        Failure::target(error, code, binary.span, message)
            .or_help("give its path, or trace a process that has loaded it, with -p or -c")
    })
}

fn wanted(what: &AttachPart) -> Result<Wanted<'_>, Failure> {
    let text = what.text.as_str();
    if what.quoted {
        // `"name"+16`; no name ends like that.
        return Ok(match text.rsplit_once('+') {
            Some((name, offset)) if offset.starts_with(|c: char| c.is_ascii_digit()) => {
                Wanted::Function(name, number(offset, what)?)
            }
            _ => Wanted::Function(text, 0),
        });
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Wanted::Address(number(text, what)?));
    }
    let glob = Glob::new(text);
    if !glob.is_literal() {
        return Ok(Wanted::Matching(glob));
    }
    match text.split_once('+') {
        Some((name, offset)) => Ok(Wanted::Function(name, number(offset, what)?)),
        None => Ok(Wanted::Function(text, 0)),
    }
}

fn number(text: &str, what: &AttachPart) -> Result<u64, Failure> {
    super::number(text).ok_or_else(|| {
        Failure::wrong(
            Diagnostic::error(&codes::BAD_OFFSET, what.span, format!("`{text}` is no number"))
                .help("offsets and addresses are decimal (`16`) or hexadecimal (`0x10`)"),
        )
    })
}

/// One attach point being expanded.
struct Expansion<'a> {
    kind: &'a dyn ProbeKind,
    on_return: bool,
    what: &'a AttachPart,
    target: &'a dyn Target,
    point: &'a Point<'a>,
    literal_binary: bool,
    places: Vec<Place>,
}

impl Expansion<'_> {
    fn binary(&mut self, binary: &Binary, wanted: &Wanted<'_>) -> Result<(), Failure> {
        match wanted {
            Wanted::Function(name, offset) => {
                // Several local functions can have one name.
                let functions = match self.target.functions_named(binary, name) {
                    Ok(functions) => functions,
                    Err(TargetError::NotFound { similar, searched }) => {
                        let mut failure = self.no_function(binary, name, &similar);
                        if let Some(said) = searched.first().filter(|said| **said != binary.path)
                            && failure.diagnostic.primary.message.is_empty()
                        {
                            failure.diagnostic =
                                Box::new(failure.diagnostic.label(format!("looked in {said}")));
                        }
                        return Err(failure);
                    }
                    Err(error) => return Err(self.unreadable(binary, error)),
                };
                for function in &functions {
                    self.check_offset(binary, function, *offset)?;
                    if function.indirect {
                        self.warn_indirect(binary, without_version(name));
                    }
                    let (what, literal) = (&self.what.text, self.literal_binary);
                    let func = without_version(name);
                    match offset {
                        0 => self.function(binary, what, func, function, literal),
                        _ => self.place(binary, what, func, function.offset + offset, literal),
                    }
                }
            }
            Wanted::Demangled(language, glob) => {
                let functions = self.target.functions(binary);
                let functions = functions.map_err(|error| self.unreadable(binary, error))?;
                let before = self.places.len();
                for function in functions.iter() {
                    if let Some(name) = language.matching(&function.name, glob) {
                        let what = format!("{}:{name}", language.name());
                        self.function(binary, &what, &name, function, glob.is_literal());
                    }
                }
                if self.places.len() == before {
                    return Err(self.no_match(binary, &functions));
                }
            }
            Wanted::Line(line) => self.line(binary, line)?,
            Wanted::Matching(glob) => self.matching(binary, glob)?,
            Wanted::Address(address) => {
                let offset = self.target.file_offset(binary, *address).map_err(|error| {
                    let message = format!("{address:#x} is not in executable code of {}", binary.path);
                    Failure::target(error, &codes::BAD_OFFSET, self.what.span, message)
                })?;
                // Without symbols the place has no function, and needs none.
                let functions = self.target.functions(binary).ok();
                let within = functions.iter().flat_map(|all| all.iter());
                let function = within
                    .filter(|f| f.offset <= offset && offset - f.offset < f.size.max(1))
                    .min_by_key(rank);
                let function = function.map_or(String::new(), |f| f.name.clone());
                self.place(binary, &self.what.text, &function, offset, self.literal_binary);
            }
        }
        Ok(())
    }

    /// The functions that match; those with versions where the pattern has one.
    fn matching(&mut self, binary: &Binary, glob: &Glob) -> Result<(), Failure> {
        let functions = match self.what.text.contains('@') {
            true => self.target.versioned_functions(binary).map(Into::into),
            false => self.target.functions(binary),
        };
        let functions = functions.map_err(|error| self.unreadable(binary, error))?;
        let before = self.places.len();
        for function in functions.iter().filter(|f| glob.matches(&f.name)) {
            self.function(
                binary,
                &function.name,
                without_version(&function.name),
                function,
                false,
            );
        }
        match self.places.len() == before {
            true => Err(self.no_match(binary, &functions)),
            false => Ok(()),
        }
    }

    fn unreadable(&self, binary: &Binary, error: TargetError) -> Failure {
        let message = format!("there are no functions in {}", binary.path);
        Failure::target(error, &codes::NO_FUNCTION, self.what.span, message)
    }

    /// The kernel does not see whether an instruction begins at an offset: a probe within one changes it.
    fn check_offset(&self, binary: &Binary, function: &Function, offset: u64) -> Result<(), Failure> {
        let bad = |message: String, label: String| {
            let diagnostic = Diagnostic::error(&codes::BAD_OFFSET, self.what.span, message);
            Err(Failure::wrong(diagnostic.label(label)))
        };
        let name = &function.name;
        if function.size == 0 && !self.point.unsafe_allowed {
            let message = format!("how large `{name}` is is not known: its symbol has size 0");
            let label = "it may be no function".to_owned();
            return bad(message, label).map_err(|failure: Failure| Failure {
                diagnostic: Box::new(
                    failure
                        .diagnostic
                        .help("--unsafe attaches to it all the same; if it is data, that changes it"),
                ),
                ..failure
            });
        }
        if offset == 0 {
            return Ok(());
        }
        if function.size != 0 && offset >= function.size {
            let message = format!("offset {offset} is behind the end of `{name}`");
            return bad(message, format!("`{name}` has {} bytes", function.size));
        }
        match self.target.is_instruction(binary, function, offset) {
            Ok(false) if !self.point.unsafe_allowed => {
                let message = format!("no instruction of `{name}` begins at offset {offset}");
                let label = "a probe inside of an instruction would change it".to_owned();
                bad(message, label).map_err(|failure: Failure| Failure {
                    diagnostic: Box::new(failure.diagnostic.help(format!(
                        "`objdump -d --disassemble={name} {}` shows where they begin; --unsafe leaves the check out",
                        binary.path
                    ))),
                    ..failure
                })
            }
            // What cannot be decoded cannot be checked.
            _ => Ok(()),
        }
    }

    /// A place for the calls of a whole function.
    fn function(&mut self, binary: &Binary, what: &str, func: &str, function: &Function, literal: bool) {
        self.place(binary, what, func, function.offset, literal);
        if let Some(Place {
            attach: Attach::Uprobe { places, .. },
            ..
        }) = self.places.last_mut()
            && !self.on_return
            && !function.indirect
        {
            places
                .iter_mut()
                .for_each(|place| place.entry = Some(place.offset));
        }
    }

    fn place(&mut self, binary: &Binary, what: &str, func: &str, offset: u64, literal: bool) {
        self.places.push(Place {
            site: Site::new(
                format!("{}:{}:{what}", self.kind.name(), binary.path),
                func.to_owned(),
            ),
            attach: Attach::Uprobe {
                path: binary.path.clone(),
                on_return: self.on_return,
                places: vec![UprobePlace {
                    offset,
                    counter: 0,
                    entry: None,
                    cookie: 0,
                }],
            },
            record: None,
            arguments: None,
            literal,
        });
    }

    /// What has the name is run once by each process, to choose what calls of that name reach.
    fn warn_indirect(&self, binary: &Binary, name: &str) {
        let message = format!("`{name}` stands for one of several functions: its calls are not seen here");
        let diagnostic = Diagnostic::warning(&codes::INDIRECT_FUNCTION, self.what.span, message)
            .label("chosen once by each process, and only that is seen")
            .help(format!(
                "those that it can stand for have names of their own: `crumbs -l '{}:{}:*{name}*'` lists them where the file \
                 has symbols",
                self.kind.name(),
                binary.path
            ));
        self.point.warnings.borrow_mut().push(diagnostic);
    }

    fn no_function(&self, binary: &Binary, name: &str, similar: &[String]) -> Failure {
        let message = format!("{} has no function `{name}`", binary.path);
        let names = &similar[..similar.len().min(SIMILAR)];
        let diagnostic = did_you_mean(
            Diagnostic::error(&codes::NO_FUNCTION, self.what.span, message),
            names,
        );
        let diagnostic = self.note_inlined(diagnostic, binary, name);
        Failure::missing(if names.is_empty() {
            self.list_hint(diagnostic, binary)
        } else {
            diagnostic
        })
    }

    fn no_match(&self, binary: &Binary, functions: &[Function]) -> Failure {
        let message = format!("no function of {} matches `{}`", binary.path, self.what.text);
        let stem = self.what.text.replace('*', "");
        let names = similar(&stem, functions.iter().map(|f| f.name.as_str()), SIMILAR);
        let diagnostic = did_you_mean(
            Diagnostic::error(&codes::NO_MATCH, self.what.span, message),
            &names,
        );
        Failure::missing(if names.is_empty() {
            self.list_hint(diagnostic, binary)
        } else {
            diagnostic
        })
    }

    fn list_hint(&self, diagnostic: Diagnostic, binary: &Binary) -> Diagnostic {
        let diagnostic = match self.target.is_stripped(binary) {
            true => diagnostic.help(format!(
                "it is stripped, so only the functions it exports have names: install its debug information (Debian: its -dbgsym \
                 package), or give an address, as in `{}:{}:0x1234`",
                self.kind.name(),
                binary.path
            )),
            false => diagnostic,
        };
        diagnostic.help(format!(
            "`crumbs -l '{}:{}:*'` lists its functions",
            self.kind.name(),
            binary.path
        ))
    }
}

/// The function of `memcpy@GLIBC_2.14`.
fn without_version(name: &str) -> &str {
    match name.split_once('@') {
        Some((base, _)) if !base.is_empty() => base,
        _ => name,
    }
}

/// Of several names for one place, the one to show: without leading underscores, then the first.
fn rank<'f>(function: &&'f Function) -> (bool, &'f str) {
    (function.name.starts_with('_'), &function.name)
}
