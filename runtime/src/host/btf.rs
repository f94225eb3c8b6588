//! The kernel's own description of its types (`/sys/kernel/btf`).
//!
//! In: names. Out: types, fields, constants and functions, as [`crumbs_compiler::target::Target`] wants them, or why there
//! are none. Nothing is read before the first name is asked for; modules are read when vmlinux has no such name or the
//! module is named. What was answered once is kept.

mod convert;
mod object;
mod programs;
#[cfg(test)]
mod tests;
mod text;

use super::refusal::{io_error, unreadable};
use crate::sys::mmap::FileBytes;
use convert::Source;
use crumbs_compiler::ctype::{EnumType, Field, KernelFunction, StructId};
use crumbs_compiler::glob::Glob;
use crumbs_compiler::similar::similar;
use crumbs_compiler::target::TargetError;
use crumbs_compiler::types::Type;
use object::{Class, Entry, Kind, Object};
use programs::Program;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Where the kernel shows its types.
const DIRECTORY: &str = "/sys/kernel/btf";

/// The file of the kernel proper.
const VMLINUX: &str = "vmlinux";

/// How many names a "did you mean" lists.
const SIMILAR: usize = 5;

/// The enumeration that a constant belongs to, and its number.
type Constant = (Arc<EnumType>, i64);

/// The types of the kernel and its modules.
pub(super) struct KernelTypes {
    directory: PathBuf,
    vmlinux: OnceCell<Result<Rc<Object>, TargetError>>,
    /// The modules' names, sorted; a module's number is its place here and 1.
    modules: OnceCell<Vec<String>>,
    /// The loaded BPF programs that have types; their numbers go on where those of modules end.
    programs: OnceCell<Vec<Program>>,
    loaded: RefCell<HashMap<u16, Option<Rc<Object>>>>,
    types: RefCell<HashMap<(String, String), Result<Type, TargetError>>>,
    fields: RefCell<HashMap<StructId, Arc<[Field]>>>,
    constants: RefCell<HashMap<String, Option<Constant>>>,
}

impl KernelTypes {
    /// Reads nothing yet. `directory` instead of the usual one.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory: directory.unwrap_or_else(|| DIRECTORY.into()),
            vmlinux: OnceCell::new(),
            modules: OnceCell::new(),
            programs: OnceCell::new(),
            loaded: RefCell::default(),
            types: RefCell::default(),
            fields: RefCell::default(),
            constants: RefCell::default(),
        }
    }

    /// The type of a tag, or of a typedef or integer type where `keyword` is empty.
    pub(super) fn named(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        let key = (keyword.to_owned(), name.to_owned());
        if let Some(known) = self.types.borrow().get(&key) {
            return known.clone();
        }
        let found = self.find(keyword, name);
        self.types.borrow_mut().insert(key, found.clone());
        found
    }

    fn find(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        match self.definition(keyword, name)? {
            Some((number, object, id)) => Ok(source(&object, number).ty(id)),
            None => Err(self.no_such_type(keyword, name)),
        }
    }

    /// Where a type of that name is defined; where it is declared only, if it is nowhere defined.
    fn definition(&self, keyword: &str, name: &str) -> Result<Option<(u16, Rc<Object>, u32)>, TargetError> {
        let mut declared = None;
        for (number, object) in self.vmlinux_then_modules()? {
            let of_kind = object.named(Class::Type, name).into_iter().filter_map(|id| {
                let entry = object.entry(id)?;
                is_tagged(entry, keyword).then_some((id, entry))
            });
            for (id, entry) in of_kind {
                if entry.kind != Kind::Forward {
                    return Ok(Some((number, object, id)));
                }
                declared.get_or_insert((number, Rc::clone(&object), id));
            }
        }
        Ok(declared)
    }

    /// The members of a struct.
    pub(super) fn fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        if let Some(known) = self.fields.borrow().get(&id) {
            return Ok(Arc::clone(known));
        }
        let fields: Arc<[Field]> = self.read_fields(id)?.into();
        self.fields.borrow_mut().insert(id, Arc::clone(&fields));
        Ok(fields)
    }

    fn read_fields(&self, id: StructId) -> Result<Vec<Field>, TargetError> {
        let StructId::Kernel { object: number, id } = id else {
            return Err(nothing());
        };
        let object = self.object(number)?.ok_or_else(nothing)?;
        let entry = object.entry(id).ok_or_else(nothing)?;
        if entry.kind != Kind::Forward {
            return source(&object, number).fields(id).ok_or_else(nothing);
        }
        let keyword = if entry.flag { "union" } else { "struct" };
        match self.definition(keyword, &object.text(entry.name))? {
            Some((number, object, id)) => source(&object, number).fields(id).ok_or_else(nothing),
            None => Err(nothing()),
        }
    }

    /// The enum that has a constant of that name, and its value.
    pub(super) fn constant(&self, name: &str) -> Option<(Arc<EnumType>, i64)> {
        if let Some(known) = self.constants.borrow().get(name) {
            return known.clone();
        }
        let objects = self.vmlinux_then_modules().ok();
        let found = objects.into_iter().flatten().find_map(|(number, object)| {
            let of = object.enum_with(name)?;
            let enumeration = source(&object, number).enumeration(of, object.entry(of)?);
            let value = enumeration.variants.iter().find(|(n, _)| n == name)?.1;
            Some((Arc::new(enumeration), value))
        });
        self.constants.borrow_mut().insert(name.to_owned(), found.clone());
        found
    }

    /// The functions of that name: in `module` (`vmlinux` is the kernel proper), or in the first place that has any.
    pub(super) fn functions(
        &self,
        module: Option<&str>,
        name: &str,
    ) -> Result<Vec<KernelFunction>, TargetError> {
        let mut searched = Vec::new();
        match module {
            None => {
                for (number, object) in self.vmlinux_then_modules()? {
                    let found = self.functions_of(&object, number, name);
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
            }
            Some(module) => {
                let number = self.number(module).ok_or_else(|| TargetError::NotFound {
                    similar: similar(module, self.modules().iter().map(String::as_str), SIMILAR),
                    searched: vec![self.directory.display().to_string()],
                })?;
                if let Some(object) = self.object(number)? {
                    let found = self.functions_of(&object, number, name);
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                searched.push(module.to_owned());
            }
        }
        let vmlinux = self.vmlinux()?;
        Err(TargetError::NotFound {
            similar: similar(name, vmlinux.names(Class::Function), SIMILAR),
            searched,
        })
    }

    /// Module (`vmlinux` for the kernel proper) and name of the functions that match two glob patterns, sorted.
    pub(super) fn function_names(
        &self,
        module: &str,
        name: &str,
    ) -> Result<Vec<(String, String)>, TargetError> {
        let (modules, names) = (Glob::new(module), Glob::new(name));
        let mut objects = vec![(VMLINUX.to_owned(), 0)];
        let others = self.modules().iter().zip(1..=u16::MAX);
        objects.extend(others.map(|(module, number)| (module.clone(), number)));
        // Asked for by their name only: programs come and go.
        if module.starts_with(programs::PREFIX) {
            let programs = self.programs().iter().map(|program| &program.name);
            objects.extend(programs.filter_map(|name| Some((name.clone(), self.number(name)?))));
        }
        let mut found = Vec::new();
        for (module, number) in objects.into_iter().filter(|(module, _)| modules.matches(module)) {
            let Some(object) = self.object(number)? else {
                continue;
            };
            if let Some(program) = self.program(number) {
                let own = program.functions().iter().filter_map(|id| object.entry(*id));
                let own = own.map(|entry| object.text(entry.name));
                found.extend(
                    own.filter(|name| names.matches(name))
                        .map(|name| (module.clone(), name)),
                );
            } else {
                let wanted = object.names(Class::Function).filter(|name| names.matches(name));
                found.extend(wanted.map(|name| (module.clone(), name.to_owned())));
            }
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            let vmlinux = self.vmlinux()?;
            let stem = name.replace('*', "");
            return Err(TargetError::NotFound {
                similar: similar(&stem, vmlinux.names(Class::Function), SIMILAR),
                searched: vec![self.directory.display().to_string()],
            });
        }
        Ok(found)
    }

    /// The definitions of a type, as C text.
    pub(super) fn definition_text(&self, keyword: &str, name: &str) -> Result<String, TargetError> {
        let found = self.definition(keyword, name)?;
        let text = found.and_then(|(number, object, id)| source(&object, number).definition(id));
        text.ok_or_else(|| self.no_such_type(keyword, name))
    }

    /// The kernel's structs, unions and enums whose names match, with their keywords, sorted.
    pub(super) fn tagged(&self, keyword: &str, name: &Glob) -> Result<Vec<String>, TargetError> {
        let vmlinux = self.vmlinux()?;
        let tagged = vmlinux
            .own()
            .filter(|(_, entry)| entry.kind != Kind::Forward && is_tagged(*entry, keyword));
        let names = tagged.filter_map(|(_, entry)| std::str::from_utf8(vmlinux.string(entry.name)).ok());
        let matching = names.filter(|found| !found.is_empty() && name.matches(found));
        let mut found: Vec<String> = matching.map(|name| format!("{keyword} {name}")).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The parameters of a function as C text, and what it returns where that is not `void`.
    pub(super) fn parameter_texts(
        &self,
        module: &str,
        name: &str,
    ) -> Result<(Vec<String>, Option<String>), TargetError> {
        let number = self.number(module).ok_or_else(nothing)?;
        let object = self.object(number)?.ok_or_else(nothing)?;
        let function = object.named(Class::Function, name).into_iter().next();
        let of = source(&object, number);
        let proto = function.and_then(|id| object.entry(id)).ok_or_else(nothing)?.word;
        let entry = object.entry(proto).ok_or_else(nothing)?;
        let param = |i: usize| {
            let (name, ty) = (object.word(proto, i * 2)?, object.word(proto, i * 2 + 1)?);
            Some(match (name, ty) {
                (0, 0) => "...".to_owned(),
                (name, ty) => of.parameter(ty, &object.text(name)),
            })
        };
        let params = (0..entry.count).map_while(param).collect();
        let result = (entry.word != 0).then(|| of.parameter(entry.word, "retval"));
        Ok((params, result))
    }

    fn functions_of(&self, object: &Object, number: u16, name: &str) -> Vec<KernelFunction> {
        let described = |id| {
            let (params, result) = source(object, number).signature(id)?;
            Some(KernelFunction {
                name: name.to_owned(),
                object: number,
                module: self.module(number).to_owned(),
                id,
                params,
                result,
            })
        };
        let mut named = object.named(Class::Function, name);
        if let Some(program) = self.program(number) {
            named.retain(|id| program.has(*id));
        }
        named.into_iter().filter_map(described).collect()
    }

    fn no_such_type(&self, keyword: &str, name: &str) -> TargetError {
        let vmlinux = self.vmlinux().ok();
        let similar = vmlinux.map_or_else(Vec::new, |vmlinux| {
            let tagged = vmlinux.own().filter(|(_, entry)| is_tagged(*entry, keyword));
            let names = tagged.filter_map(|(_, entry)| std::str::from_utf8(vmlinux.string(entry.name)).ok());
            similar(name, names.filter(|name| !name.is_empty()), SIMILAR)
        });
        TargetError::NotFound {
            similar,
            searched: vec![self.directory.display().to_string()],
        }
    }

    /// The kernel's types, then those of each module, which is read when the iterator comes to it.
    fn vmlinux_then_modules(&self) -> Result<impl Iterator<Item = (u16, Rc<Object>)>, TargetError> {
        let vmlinux = Rc::clone(self.vmlinux()?);
        // Numbers of 16 bits: more modules than that have no names to look for.
        let modules = std::iter::once(()).flat_map(|()| 1..=self.modules().len().min(0xffff) as u16);
        let modules = modules.filter_map(|number| Some((number, self.object(number).ok()??)));
        Ok(std::iter::once((0, vmlinux)).chain(modules))
    }

    fn vmlinux(&self) -> Result<&Rc<Object>, TargetError> {
        let read = || {
            let path = self.directory.join(VMLINUX);
            let bytes = File::open(&path).and_then(FileBytes::new);
            let bytes = bytes.map_err(|error| no_btf(&path, &error))?;
            let broken = || {
                let help = "declare the types that the script needs in the script".to_owned();
                unreadable(&path.to_string_lossy(), "it is no BTF of this machine", help)
            };
            Object::new(bytes, None).map(Rc::new).ok_or_else(broken)
        };
        self.vmlinux
            .get_or_init(read)
            .as_ref()
            .map_err(TargetError::clone)
    }

    /// The names of the modules that have types.
    pub(super) fn modules(&self) -> &[String] {
        self.modules.get_or_init(|| {
            let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let mut names: Vec<String> = names.filter(|name| name != VMLINUX).collect();
            names.sort_unstable();
            names
        })
    }

    fn number(&self, module: &str) -> Option<u16> {
        if module == VMLINUX {
            return Some(0);
        }
        let place = if module.starts_with(programs::PREFIX) {
            let place = self
                .programs()
                .iter()
                .position(|program| program.name == module)?;
            self.modules().len() + place
        } else {
            self.modules().iter().position(|name| name == module)?
        };
        u16::try_from(place + 1).ok()
    }

    /// The loaded programs, as they were when this was first asked.
    fn programs(&self) -> &[Program] {
        self.programs.get_or_init(Program::all)
    }

    /// The program that a number means, if it is none of a module.
    fn program(&self, number: u16) -> Option<&Program> {
        let place = usize::from(number).checked_sub(self.modules().len() + 1)?;
        self.programs.get()?.get(place)
    }

    /// A module's name by its number; empty for vmlinux.
    fn module(&self, number: u16) -> &str {
        if let Some(program) = self.program(number) {
            return &program.name;
        }
        let place = usize::from(number).checked_sub(1);
        place
            .and_then(|place| self.modules().get(place))
            .map_or("", String::as_str)
    }

    /// The object of that number; `None` where a module's cannot be read (it may have been unloaded).
    fn object(&self, number: u16) -> Result<Option<Rc<Object>>, TargetError> {
        let vmlinux = self.vmlinux()?;
        if number == 0 {
            return Ok(Some(Rc::clone(vmlinux)));
        }
        if let Some(known) = self.loaded.borrow().get(&number) {
            return Ok(known.clone());
        }
        let object = match self.program(number) {
            Some(program) => program.object(),
            None => {
                let file = File::open(self.directory.join(self.module(number)));
                let bytes = file.and_then(FileBytes::new).ok();
                let object = bytes.and_then(|bytes| Object::new(bytes, Some(Rc::clone(vmlinux))));
                object.map(Rc::new)
            }
        };
        self.loaded.borrow_mut().insert(number, object.clone());
        Ok(object)
    }
}

fn source(object: &Object, number: u16) -> Source<'_> {
    Source { object, number }
}

/// Whether a type is named with this keyword.
fn is_tagged(entry: Entry, keyword: &str) -> bool {
    match entry.kind {
        Kind::Struct => keyword == "struct",
        Kind::Union => keyword == "union",
        Kind::Forward => keyword == if entry.flag { "union" } else { "struct" },
        Kind::Enum | Kind::Enum64 => keyword == "enum",
        Kind::Typedef | Kind::Int | Kind::Float => keyword.is_empty(),
        _ => false,
    }
}

fn nothing() -> TargetError {
    TargetError::NotFound {
        similar: Vec::new(),
        searched: Vec::new(),
    }
}

fn no_btf(path: &Path, error: &std::io::Error) -> TargetError {
    if error.kind() == ErrorKind::NotFound {
        let help = "declare the types that the script needs in the script, and use probes that need none, such as kprobe and \
                    tracepoint; or run a kernel that has it"
            .to_owned();
        return unreadable(
            "the kernel's types",
            "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)",
            help,
        );
    }
    io_error(&path.to_string_lossy(), error)
}
