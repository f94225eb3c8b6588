//! C declarations of a script and of its own headers: where the types come from that neither the kernel nor a traced
//! program describes.
//!
//! In: the C text that stands at the top of a script, a [`Target`] for headers and for the
//! kernel's types. Out: [`Declarations`], the types with the layout that a C compiler gives them (LP64, little endian:
//! the System V ABI of x86-64 and AAPCS64 agree on all that is accepted here).

use crate::codes;
use crate::ctype::{EnumType, Field, KernelFunction, StructId, StructType};
use crate::probe_kind::did_you_mean;
use crate::target::{Arch, KernelVersion, Target, TargetError};
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Spanned;
use ctype::{Body, Tables};
use lexer::{Kind, Origin, Place, tokens};
use parse::Parser;
use preprocess::Preprocessor;
use std::collections::HashMap;
use std::sync::Arc;

mod constant;
mod ctype;
mod declarator;
mod expansion;
mod layout;
mod lexer;
mod parse;
mod preprocess;
mod tagged;
#[cfg(test)]
mod tests;
pub(crate) mod well_known;
mod words;

/// So many mistakes are told of one script's C text.
const MAX_MISTAKES: usize = 10;

/// So many times as much as a script's own headers may the machine's expand to.
const SYSTEM_BUDGET: usize = 16;

/// What a C text declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declarations {
    /// Structs and unions, those without a name as well; [`StructId::Declared`] is an index.
    pub structs: Vec<(StructType, Arc<[Field]>)>,
    /// Types by tag, with the keyword: `struct point`, `enum color`.
    pub tags: HashMap<String, Type>,
    /// What `typedef` names.
    pub typedefs: HashMap<String, Type>,
    /// Constants of enums and macros.
    pub constants: HashMap<String, Constant>,
    /// The headers of the machine (`#include <…>`) that were asked for and not read: their types come from the kernel's
    /// own description, so a name that is missing there may be a macro.
    pub system_headers: Vec<String>,
}

/// From this number on, structs are those of headers of the machine.
pub const SYSTEM_STRUCTS: u32 = 1 << 31;

impl Declarations {
    /// The type of this tag, or of this typedef where `keyword` is empty.
    pub fn lookup(&self, keyword: &str, name: &str) -> Option<&Type> {
        if keyword.is_empty() {
            return self.typedefs.get(name);
        }
        self.tags.get(&format!("{keyword} {name}"))
    }

    /// The members of a declared struct.
    pub fn fields(&self, id: StructId) -> Option<&Arc<[Field]>> {
        match id {
            StructId::Declared(index) => {
                let index = index & !SYSTEM_STRUCTS;
                self.structs.get(index as usize).map(|(_, fields)| fields)
            }
            _ => None,
        }
    }
}

/// What the name of a constant stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A constant of an enum.
    Enum(Arc<EnumType>, i64),
    /// A macro that is an integer; [`Type::Int`] with its C type.
    Int(i64, Type),
    /// A macro that is text, without the quotes.
    Str(String),
}

/// Reads the C text of a script: what it declares, and what is wrong with it. `texts` are the pieces in order.
/// `includes` are headers that come first; one that is not there is taken for one of the system.
pub fn declarations(
    includes: &[String],
    texts: &[&Spanned<String>],
    target: &dyn Target,
) -> (Declarations, Vec<Diagnostic>) {
    read(includes, texts, target, false)
}

/// The directories of the kernel's headers (`include` and `arch/x86/include` of its source).
static KERNEL_HEADERS: &[&str] = &[
    "acpi",
    "asm",
    "asm-generic",
    "clocksource",
    "crypto",
    "cxl",
    "drm",
    "generated",
    "hyperv",
    "keys",
    "kunit",
    "kvm",
    "linux",
    "math-emu",
    "media",
    "memory",
    "misc",
    "net",
    "pcmcia",
    "ras",
    "rdma",
    "rv",
    "scsi",
    "soc",
    "sound",
    "target",
    "trace",
    "uapi",
    "ufs",
    "vdso",
    "video",
    "xen",
];

/// What every machine with C headers has.
const COMMON_HEADER: &str = "stdio.h";

/// The same with the headers of the machine, as far as they can be found and understood: what is wrong with them is passed
/// over. Structs are numbered from [`SYSTEM_STRUCTS`] on.
pub fn with_system_headers(
    includes: &[String],
    texts: &[&Spanned<String>],
    target: &dyn Target,
) -> Declarations {
    read(includes, texts, target, true).0
}

fn read(
    includes: &[String],
    texts: &[&Spanned<String>],
    target: &dyn Target,
    reads_system: bool,
) -> (Declarations, Vec<Diagnostic>) {
    if texts.is_empty() && includes.is_empty() {
        return (Declarations::default(), Vec::new());
    }
    let outside = Outside {
        arch: target.arch(),
        kernel: target.kernel(),
        target: Some(target),
        id: if reads_system {
            |id| StructId::Declared(id | SYSTEM_STRUCTS)
        } else {
            StructId::Declared
        },
        keeps_functions: false,
        asks_kernel: !reads_system,
    };
    let mut preprocessor = Preprocessor::new(&outside);
    preprocessor.reads_system = reads_system;
    if reads_system {
        preprocessor.budget *= SYSTEM_BUDGET;
    }
    for name in includes {
        let line = match target.header(name, None) {
            Err(TargetError::NotFound { .. }) => format!("#include <{name}>\n"),
            _ => format!("#include \"{name}\"\n"),
        };
        preprocessor.text(&line, Origin::Script(0));
    }
    for text in texts {
        preprocessor.text(&text.node, Origin::Script(text.span.start as usize));
    }
    preprocessor.finish();
    let end = texts.last().map_or(Place::default(), |text| Place {
        span: text.span,
        header: None,
    });
    let (mut tables, mut mistakes) = parsed(&mut preprocessor, end);
    let headers = std::mem::take(&mut preprocessor.headers);
    let declared = declared(&mut tables, &mut preprocessor, &mut mistakes);
    mistakes.truncate(MAX_MISTAKES);
    let diagnostics = mistakes.into_iter().map(|mistake| mistake.diagnostic(&headers));
    (declared, diagnostics.collect())
}

/// Reads declarations that stand for the kernel's own: what a recorded target states. Struct ids are
/// [`StructId::Kernel`] with the index as id; functions have the order of declaration from 1.
///
/// # Errors
/// What is wrong, and in which line.
pub fn recorded(text: &str, arch: Arch) -> Result<(Declarations, Vec<KernelFunction>), (usize, String)> {
    let outside = Outside {
        arch,
        kernel: KernelVersion { major: 0, minor: 0 },
        target: None,
        id: |id| StructId::Kernel { object: 0, id },
        keeps_functions: true,
        asks_kernel: true,
    };
    let mut preprocessor = Preprocessor::new(&outside);
    preprocessor.text(text, Origin::Script(0));
    preprocessor.finish();
    let (mut tables, mut mistakes) = parsed(&mut preprocessor, Place::default());
    let declared = declared(&mut tables, &mut preprocessor, &mut mistakes);
    if let Some(mistake) = mistakes.into_iter().next() {
        let before = text.get(..mistake.place.span.start as usize).unwrap_or(text);
        return Err((before.matches('\n').count() + 1, mistake.message));
    }
    let functions = tables.functions.iter().zip(1..).map(|(function, id)| {
        let param = |(name, ty): &(String, _)| (name.clone(), tables.to_type(ty, &outside));
        KernelFunction {
            name: function.name.clone(),
            object: 0,
            module: String::new(),
            id,
            params: function.params.iter().map(param).collect(),
            result: tables.to_type(&function.result, &outside),
        }
    });
    Ok((declared, functions.collect()))
}

/// The type that a piece of C names: `const char *`, `struct sock *`, `unsigned long`. Tags and typedefs are
/// the target's. `None` for what is no type.
pub fn named_type(text: &str, target: &dyn Target) -> Option<Type> {
    let outside = Outside {
        arch: target.arch(),
        kernel: target.kernel(),
        target: Some(target),
        id: StructId::Declared,
        keeps_functions: false,
        asks_kernel: true,
    };
    let tokens = tokens(text, Origin::Script(0));
    let mut tables = Tables::default();
    let mut parser = Parser::new(&tokens, &[], &mut tables, &outside, Place::default());
    let ty = parser.type_name().ok()?;
    if parser.peek().is_some() {
        return None;
    }
    complete(&mut tables, &outside);
    Some(tables.to_type(&ty, &outside))
}

/// Parses what the preprocessor leaves.
fn parsed(preprocessor: &mut Preprocessor<'_>, end: Place) -> (Tables, Vec<Mistake>) {
    let mut tables = Tables::default();
    let mut mistakes = std::mem::take(&mut preprocessor.mistakes);
    let outside = preprocessor.outside;
    Parser::new(&preprocessor.out, &preprocessor.packs, &mut tables, outside, end)
        .declarations(&mut mistakes);
    complete(&mut tables, outside);
    (tables, mistakes)
}

/// Looks outside for the tags that have been named without a body.
fn complete(tables: &mut Tables, outside: &Outside<'_>) {
    for tag in &mut tables.tags {
        if let (Body::Declared, Some(name)) = (&tag.body, &tag.name)
            && let Some((ty, align)) = outside.known(tag.keyword, name)
        {
            tag.body = Body::Known(ty, align);
        }
    }
}

/// What is declared at the end of the text.
fn declared(
    tables: &mut Tables,
    preprocessor: &mut Preprocessor<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Declarations {
    let outside = preprocessor.outside;
    let mut constants = HashMap::new();
    macros(tables, preprocessor, mistakes, &mut constants);
    let mut structs = Vec::with_capacity(tables.tags.len());
    let mut tags = HashMap::new();
    for (index, tag) in tables.tags.iter().enumerate() {
        let ty = tables.to_type(&ctype::CType::Tag(index), outside);
        let fields = match &tag.body {
            Body::Struct(layout) => tables.fields(layout, outside),
            _ => Vec::new(),
        };
        // Enums and types from outside have a place too, so that a struct's number is its tag's.
        let row = match &ty {
            Type::Struct(of) => of.clone(),
            _ => StructType {
                id: (outside.id)(index as u32),
                name: tag.full_name().into(),
                size: 0,
            },
        };
        structs.push((row, fields.into()));
        if tables.by_name.get(&tag.full_name()) == Some(&index) {
            tags.insert(tag.full_name(), ty);
        }
    }
    let typedefs = tables.typedefs.iter();
    let typedefs = typedefs
        .map(|(name, ty)| (name.to_string(), tables.to_type(ty, outside)))
        .collect();
    for (name, (tag, value)) in &tables.constants {
        if let Body::Enum(of) = &tables.tags[*tag].body {
            constants
                .entry(name.to_string())
                .or_insert(Constant::Enum(Arc::clone(of), *value));
        }
    }
    Declarations {
        structs,
        tags,
        typedefs,
        constants,
        system_headers: std::mem::take(&mut preprocessor.system_headers),
    }
}

/// The macros that are constants. Others are nothing: most macros of C headers make sense to C only.
fn macros(
    tables: &mut Tables,
    preprocessor: &mut Preprocessor<'_>,
    mistakes: &mut Vec<Mistake>,
    constants: &mut HashMap<String, Constant>,
) {
    let outside = preprocessor.outside;
    let is_constant = |params: &Option<_>| params.is_none();
    let mut names: Vec<_> = preprocessor
        .macros
        .iter()
        .filter(|(_, m)| is_constant(&m.params))
        .collect();
    names.sort_unstable_by_key(|(_, used)| used.order);
    let names: Vec<_> = names
        .into_iter()
        .map(|(name, used)| (name.clone(), used.clone()))
        .collect();
    for (name, used) in names {
        let mut body = Vec::new();
        if let Err(mistake) = preprocessor.expand(&used.body, &mut vec![name.clone()], &mut body) {
            if mistakes.len() < MAX_MISTAKES && mistake.message.contains("too much") {
                mistakes.push(mistake);
                return;
            }
            continue;
        }
        let text: Option<Vec<&str>> = body
            .iter()
            .map(|token| match &token.kind {
                Kind::Str(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        if let Some(parts) = text.filter(|parts| !parts.is_empty()) {
            constants.insert(name.to_string(), Constant::Str(parts.concat()));
            continue;
        }
        let mut parser = Parser::new(&body, &[], tables, outside, used.place);
        if let Ok(value) = parser.value()
            && parser.peek().is_none()
        {
            constants.insert(name.to_string(), Constant::Int(value.bits, Type::Int(value.ty)));
        }
    }
}

/// What C text can refer to that it does not declare.
struct Outside<'a> {
    arch: Arch,
    kernel: KernelVersion,
    target: Option<&'a dyn Target>,
    /// The id of the struct of that number.
    id: fn(u32) -> StructId,
    /// Whether signatures of functions are wanted.
    keeps_functions: bool,
    /// Whether the kernel is asked for types and constants. The machine's headers have their own, and would ask for
    /// thousands.
    asks_kernel: bool,
}

impl Outside<'_> {
    /// The type of a tag, or a typedef where `keyword` is empty, and its alignment.
    fn known(&self, keyword: &str, name: &str) -> Option<(Type, u32)> {
        let target = self.target.filter(|_| self.asks_kernel)?;
        let ty = target.kernel_type(keyword, name).ok()?;
        let align = self.align(&ty, 0);
        Some((ty, align))
    }

    /// The alignment of a type from outside: for structs, the greatest of its members'.
    fn align(&self, ty: &Type, depth: u32) -> u32 {
        /// Structs contain one another no deeper than this.
        const DEPTH: u32 = 32;
        match ty {
            Type::Struct(of) => {
                let fields = self
                    .target
                    .filter(|_| depth < DEPTH)
                    .and_then(|target| target.struct_fields(of.id).ok());
                let aligns = fields.iter().flat_map(|fields| fields.iter()).map(|field| {
                    let align = self.align(&field.ty, depth + 1);
                    // A member that is not aligned shows that the struct is packed.
                    if field.offset.is_multiple_of(align) {
                        align
                    } else {
                        1
                    }
                });
                aligns.max().unwrap_or(1).min(of.size.max(1))
            }
            Type::Array(element, _) => self.align(element, depth),
            Type::Bytes(size @ (4 | 8 | 16)) => *size,
            ty => ty.align(),
        }
    }

    /// A constant of the kernel's enums, or of a header that everybody knows.
    fn constant(&self, name: &str) -> Option<i64> {
        let target = self.target.filter(|_| self.asks_kernel);
        let kernel = target.and_then(|target| target.kernel_constant(name));
        kernel
            .map(|(_, value)| value)
            .or_else(|| well_known::constant(name))
    }

    /// The path and the text of a header.
    fn header(&self, name: &str, from: Option<&str>, place: Place) -> Result<(String, String), Mistake> {
        let nothing = || TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        };
        let read = self
            .target
            .ok_or_else(nothing)
            .and_then(|target| target.header(name, from));
        read.map_err(|error| match error {
            TargetError::NotFound { similar, searched } => {
                let mistake = Mistake::new(place, format!("there is no header `{name}`"));
                let mistake = match searched.as_slice() {
                    [] => mistake,
                    searched => mistake.label(format!("looked in {}", searched.join(", "))),
                };
                Mistake { similar, ..mistake }
            }
            TargetError::Unreadable { what, reason, help } => {
                Mistake::new(place, format!("cannot read {what}: {reason}")).help(help)
            }
        })
    }

    /// The path and the text of `<name>` in the directories that the user named.
    fn included_header(&self, name: &str) -> Option<(String, String)> {
        self.target?.included_header(name)
    }

    /// The path and the text of `<name>` among the headers of the machine.
    fn system_header(&self, name: &str) -> Option<(String, String)> {
        self.target?.system_header(name)
    }

    /// That `<name>` can be meant: it is a header of the kernel, whose types are known without it, or the machine has it or
    /// has no headers at all.
    fn check_system_header(&self, name: &str, place: Place) -> Result<(), Mistake> {
        let directory = name.split('/').next().unwrap_or(name);
        let is_missing = !KERNEL_HEADERS.contains(&directory)
            && self.system_header(name).is_none()
            && self.system_header(COMMON_HEADER).is_some();
        if is_missing {
            let mistake = Mistake::new(place, format!("there is no header `{name}`"));
            return Err(mistake.help("directories with headers are named by -I"));
        }
        Ok(())
    }

    fn unknown_type(&self, name: &str, place: Place) -> Mistake {
        let target = self.target.filter(|_| self.asks_kernel);
        let similar = match target.map(|target| target.kernel_type("", name)) {
            Some(Err(TargetError::NotFound { similar, .. })) => similar,
            _ => Vec::new(),
        };
        let mistake = Mistake::new(place, format!("there is no type `{name}`"));
        let mistake = Mistake { similar, ..mistake };
        mistake.help(self.where_types_come_from())
    }

    fn where_types_come_from(&self) -> &'static str {
        "types come from the script itself, its own headers (-I names their directories) and the kernel's BTF"
    }

    /// The macros that are always there: name, parameters, body.
    fn predefined(&self) -> Vec<(&'static str, &'static [&'static str], String)> {
        let KernelVersion { major, minor } = self.kernel;
        let version = (u32::from(major) << 16) + (u32::from(minor) << 8);
        let arch = match self.arch {
            Arch::X86_64 => "__x86_64__",
            Arch::Aarch64 => "__aarch64__",
        };
        let flags = [
            arch,
            "__linux__",
            "__LP64__",
            "__KERNEL__",
            "__BPF_TRACING__",
            "BPFTRACE_HAVE_BTF",
        ];
        let mut all: Vec<(_, &[_], _)> = flags.map(|name| (name, [].as_slice(), "1".to_owned())).to_vec();
        all.push(("LINUX_VERSION_CODE", &[], version.to_string()));
        let of_version = "(((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))";
        all.push(("KERNEL_VERSION", &["a", "b", "c"], of_version.to_owned()));
        all
    }
}

/// What is wrong with a C text.
#[derive(Clone, Debug)]
struct Mistake {
    place: Place,
    message: String,
    label: String,
    help: Vec<String>,
    /// Names that may have been meant.
    similar: Vec<String>,
}

impl Mistake {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            label: String::new(),
            help: Vec::new(),
            similar: Vec::new(),
        }
    }

    fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// As it is shown: in the script, or at the `#include` of the header that it is in.
    fn diagnostic(self, headers: &[String]) -> Diagnostic {
        let header = self
            .place
            .header
            .and_then(|(number, line)| Some((headers.get(number as usize)?, line)));
        let message = match header {
            Some((header, line)) => format!("{header}:{line}: {}", self.message),
            None => self.message,
        };
        let diagnostic = Diagnostic::error(&codes::BAD_C, self.place.span, message).label(self.label);
        let diagnostic = did_you_mean(diagnostic, &self.similar);
        self.help
            .into_iter()
            .filter(|help| !help.is_empty())
            .fold(diagnostic, Diagnostic::help)
    }
}
