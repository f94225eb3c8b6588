//! The debug information of traced programs (DWARF).
//!
//! In: a program or library, and where its code or a type is. Out: signatures of functions, types with their fields, the
//! instructions of lines of source, as [`crumbs_compiler::target::Target`] wants them, or why there are none. Nothing is
//! read before the first question; then only what that needs, and answers are kept. Debug information may lie in files
//! of its own ([`files`]); it is not trusted ([`info`]).

mod bounds;
mod convert;
mod files;
mod functions;
mod info;
mod lines;
mod object;
mod origin;
#[cfg(test)]
mod tests;

use super::elf::Image;
use convert::is_structure;
use crumbs_compiler::ctype::{Field, StructId};
use crumbs_compiler::signature::Signature;
use crumbs_compiler::target::TargetError;
use crumbs_compiler::types::Type;
use files::DebugFile;
use gimli::{DwTag, DwarfPackageSections, constants};
use info::{Die, Info};
use lines::Wanted;
pub use origin::{Origin, SourceLine};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Answers that are kept; `None` where there was none.
type Kept<K, V> = RefCell<HashMap<K, Option<V>>>;

/// The debug information that has been read.
pub(super) struct DebugFiles {
    /// Where separate debug files are looked for.
    directories: Vec<PathBuf>,
    /// A file's number is its place here.
    files: RefCell<Vec<Rc<DebugFile>>>,
    /// The number of the file that describes a binary; `None` where nothing does.
    by_binary: Kept<String, u32>,
    /// The number of the file that was split off a unit: by the file with the unit, and the unit's index.
    splits: Kept<(u32, usize), u32>,
    /// The package of what was split off a program, by the program's file.
    packages: Kept<u32, Rc<DwarfPackageSections<Vec<u8>>>>,
    types: Kept<(u32, String, String), Type>,
    fields: RefCell<HashMap<StructId, Arc<[Field]>>>,
    signatures: Kept<(u32, u64), Arc<Signature>>,
}

/// What can be said of a place in a program's code.
#[derive(Debug)]
enum Lines {
    /// Addresses, ascending.
    At(Vec<u64>),
    /// No code comes from that line; the next one that has some.
    NoCode(Option<u64>),
    /// There is no file of that name.
    NoFile,
}

impl DebugFiles {
    /// Reads nothing yet.
    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            files: RefCell::default(),
            by_binary: RefCell::default(),
            splits: RefCell::default(),
            packages: RefCell::default(),
            types: RefCell::default(),
            fields: RefCell::default(),
            signatures: RefCell::default(),
        }
    }

    /// The signature of the function at `address` of a binary.
    ///
    /// # Errors
    /// When nothing describes the binary (`Unreadable`) or the function (`NotFound`).
    pub(super) fn signature(&self, image: &Image, address: u64) -> Result<Arc<Signature>, TargetError> {
        let file = self.of_binary(image)?;
        let known = self.signatures.borrow().get(&(file, address)).cloned();
        let found = known.unwrap_or_else(|| {
            let found = self.read_signature(file, address).map(Arc::new);
            self.signatures
                .borrow_mut()
                .insert((file, address), found.clone());
            found
        });
        found.ok_or_else(not_found)
    }

    fn read_signature(&self, file: u32, address: u64) -> Option<Signature> {
        let unit = self.with(file, |info| info.unit_with(address))??;
        let of = |info: &Info<'_>, unit| Some(info.function(unit, address)?.signature());
        match self.split_off(file, unit) {
            Some(split) => self.with(split, |info| {
                (0..info.unit_count()).find_map(|unit| of(info, unit))
            })?,
            None => self.with(file, |info| of(info, unit))?,
        }
    }

    /// Whether calls of a function of that name have been replaced by its code.
    pub(super) fn is_inlined(&self, image: &Image, name: &str) -> bool {
        let inlined = |file| self.with(file, |info| info.is_inlined(name)) == Some(true);
        self.of_binary(image)
            .is_ok_and(|file| self.all_of(file).any(inlined))
    }

    /// The type of this name: of a struct, union or enum by its tag; without a keyword, a typedef, a plain type, or a C++
    /// class.
    ///
    /// # Errors
    /// When nothing describes the binary (`Unreadable`) or it has no such type (`NotFound`).
    pub(super) fn named(&self, image: &Image, keyword: &str, name: &str) -> Result<Type, TargetError> {
        let file = self.of_binary(image)?;
        let key = (file, keyword.to_owned(), name.to_owned());
        let known = self.types.borrow().get(&key).cloned();
        let found = known.unwrap_or_else(|| {
            let found = self.find_type(file, keyword, name);
            self.types.borrow_mut().insert(key, found.clone());
            found
        });
        found.ok_or_else(not_found)
    }

    fn find_type(&self, file: u32, keyword: &str, name: &str) -> Option<Type> {
        let wanted = |tag| is_named_by(tag, keyword);
        let mut declared = None;
        let defined = self.all_of(file).find_map(|file| {
            self.with(file, |info| {
                let mut visit = |die: Die<'_, '_>| {
                    if !die.is_called(name) {
                        return None;
                    }
                    if die.is_declaration() {
                        declared.get_or_insert_with(|| die.as_type());
                        return None;
                    }
                    Some(die.as_type())
                };
                let common = info
                    .supplementary()
                    .and_then(|info| info.find_anywhere(wanted, &mut visit));
                common.or_else(|| info.find_anywhere(wanted, &mut visit))
            })?
        });
        defined.or(declared)
    }

    /// The members of a struct.
    ///
    /// # Errors
    /// When it is not one of this machine's programs, or only declared.
    pub(super) fn fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        if let Some(known) = self.fields.borrow().get(&id) {
            return Ok(Arc::clone(known));
        }
        let StructId::Binary { binary, id: place } = id else {
            return Err(not_found());
        };
        let read = |info: &Info<'_>| {
            let die = info.placed(binary, place)?;
            if !die.is_declaration() {
                return Some(Ok(die.fields()));
            }
            let keyword = if die.tag() == constants::DW_TAG_union_type {
                "union"
            } else {
                "struct"
            };
            Some(Err((keyword, die.name()?)))
        };
        let fields: Arc<[Field]> = match self.with(binary, read).flatten() {
            None => return Err(not_found()),
            Some(Ok(fields)) => fields.into(),
            // Another unit defines it.
            Some(Err((keyword, name))) => match self.find_type(self.root(binary), keyword, &name) {
                Some(Type::Struct(of)) if of.size > 0 && of.id != id => self.fields(of.id)?,
                _ => return Err(not_found()),
            },
        };
        self.fields.borrow_mut().insert(id, Arc::clone(&fields));
        Ok(fields)
    }

    /// Where in the file the code of a line of source is.
    ///
    /// # Errors
    /// When nothing describes the binary, or no code comes from that line.
    pub(super) fn code_of_line(
        &self,
        image: &Image,
        path: &str,
        line: u64,
        column: Option<u64>,
    ) -> Result<Vec<u64>, TargetError> {
        let reason = match self.lines(image, path, line, column)? {
            Lines::At(addresses) => {
                let offsets = addresses
                    .into_iter()
                    .filter_map(|address| image.file_offset(address));
                let offsets: Vec<u64> = offsets.collect();
                if !offsets.is_empty() {
                    return Ok(offsets);
                }
                "that line's code is in no executable segment".to_owned()
            }
            Lines::NoCode(Some(next)) => {
                format!("no code comes from that line; the next one with code is {next}")
            }
            Lines::NoCode(None) => "no code comes from that line".to_owned(),
            Lines::NoFile => "no code comes from a file of that name".to_owned(),
        };
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: vec![format!("{}: {reason}", image.path())],
        })
    }

    /// The addresses of a line of source.
    ///
    /// # Errors
    /// When nothing describes the binary.
    fn lines(&self, image: &Image, path: &str, line: u64, column: Option<u64>) -> Result<Lines, TargetError> {
        let file = self.of_binary(image)?;
        let wanted = Wanted {
            file: path,
            line,
            column,
        };
        let found = self.with(file, |info| info.line(&wanted)).unwrap_or_default();
        Ok(match found {
            found if !found.addresses.is_empty() => Lines::At(found.addresses),
            found if found.has_file => Lines::NoCode(found.next),
            _ => Lines::NoFile,
        })
    }

    /// Where the instruction at `address` of a binary comes from. What was put into functions is not told of units that were
    /// split.
    pub(super) fn origin(&self, image: &Image, address: u64) -> Option<Origin> {
        let file = self.of_binary(image).ok()?;
        self.with(file, |info| info.origin(info.unit_with(address)?, address))?
    }

    /// A file, and all that were split off it.
    fn all_of(&self, file: u32) -> impl Iterator<Item = u32> {
        let skeletons = self.with(file, |info| info.skeletons()).unwrap_or_default();
        let splits = skeletons
            .into_iter()
            .filter_map(move |unit| self.split_off(file, unit));
        std::iter::once(file).chain(splits)
    }
}

/// Whether a script names a type of this tag with that keyword.
fn is_named_by(tag: DwTag, keyword: &str) -> bool {
    match keyword {
        "union" => tag == constants::DW_TAG_union_type,
        "enum" => tag == constants::DW_TAG_enumeration_type,
        "" => {
            matches!(
                tag,
                constants::DW_TAG_typedef | constants::DW_TAG_base_type | constants::DW_TAG_class_type
            )
        }
        _ => is_structure(tag) && tag != constants::DW_TAG_union_type,
    }
}

fn not_found() -> TargetError {
    TargetError::NotFound {
        similar: Vec::new(),
        searched: Vec::new(),
    }
}
