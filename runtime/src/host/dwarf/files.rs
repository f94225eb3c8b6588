//! Which files hold the debug information of a program, and their sections.
//!
//! In: a program or library. Out: [`Info`]s. Debug information is looked for in the file itself; by its build id below the
//! directories for separate debug files; by the name in `.gnu_debuglink` beside the file, in `.debug` there, and below those
//! directories. A file that it shares parts with (`dwz`) is found by `.gnu_debugaltlink`, and one that was split off a unit
//! (`-gsplit-dwarf`) by the unit's own words, or in the package beside the program (`.dwp`). What does not carry the same
//! id is not taken.

use super::super::elf::Image;
use super::super::paths::resolve;
use super::super::refusal::unreadable;
use super::DebugFiles;
use super::info::{Info, Reader};
use super::object::Object;
use crumbs_compiler::target::TargetError;
use gimli::{
    Dwarf, DwarfFileType, DwarfPackageSections, DwarfSections, DwoId, LittleEndian, SectionId, Unit,
    constants,
};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where distributions keep separate debug files.
const DIRECTORY: &str = "/usr/lib/debug";

/// A file with debug information.
pub(super) struct DebugFile {
    contents: Contents,
    /// The number of what it shares with others.
    supplementary: Option<u32>,
}

enum Contents {
    /// Of whole programs.
    Whole(DwarfSections<Vec<u8>>),
    /// Of one unit of the file numbered `parent`.
    Split {
        sections: DwarfSections<Vec<u8>>,
        parent: u32,
        unit: usize,
    },
    /// Of one unit of that file, within a package of many.
    Packed {
        package: Rc<DwarfPackageSections<Vec<u8>>>,
        id: DwoId,
        parent: u32,
        unit: usize,
    },
}

/// The sections that questions need.
fn is_wanted(section: SectionId) -> bool {
    !matches!(
        section,
        SectionId::DebugLoc
            | SectionId::DebugLocLists
            | SectionId::DebugMacinfo
            | SectionId::DebugMacro
            | SectionId::DebugNames
    )
}

fn sections(object: &Object) -> DwarfSections<Vec<u8>> {
    let load = |section: SectionId| -> Result<Vec<u8>, std::convert::Infallible> {
        let wanted = is_wanted(section).then(|| object.section(section.name()));
        Ok(wanted.flatten().unwrap_or_default())
    };
    match DwarfSections::load(load) {
        Ok(sections) => sections,
        Err(never) => match never {},
    }
}

/// Those of a file that was split off.
fn split_sections(object: &Object) -> DwarfSections<Vec<u8>> {
    let load = |section: SectionId| -> Result<Vec<u8>, std::convert::Infallible> {
        let name = section.dwo_name().filter(|_| is_wanted(section));
        Ok(name.and_then(|name| object.section(name)).unwrap_or_default())
    };
    match DwarfSections::load(load) {
        Ok(sections) => sections,
        Err(never) => match never {},
    }
}

fn reader(section: &[u8]) -> Reader<'_> {
    Reader::new(section, LittleEndian)
}

impl DebugFiles {
    /// The number of the file that describes a binary.
    pub(super) fn of_binary(&self, image: &Image) -> Result<u32, TargetError> {
        let path = image.path();
        let known = self.by_binary.borrow().get(path).copied();
        let number = match known {
            Some(known) => known,
            None => {
                let found = self.find(path)?;
                let number = found.map(|object| self.add_whole(&object.0, &object.1));
                self.by_binary.borrow_mut().insert(path.to_owned(), number);
                number
            }
        };
        number.ok_or_else(|| {
            let help = "build it with -g, or install its debug information (Debian: its -dbgsym package)";
            unreadable(
                &format!("the types of {path}"),
                "it has no debug information",
                help.to_owned(),
            )
        })
    }

    /// The file that the debug information of the program at `path` was split off into; `None` where there is none.
    pub(in crate::host) fn separate(&self, path: &str) -> Option<PathBuf> {
        let (_, file) = self.find(path).ok()??;
        (file != Path::new(path)).then_some(file)
    }

    fn add(&self, file: DebugFile) -> u32 {
        let mut files = self.files.borrow_mut();
        files.push(Rc::new(file));
        files.len() as u32 - 1
    }

    fn add_whole(&self, object: &Object, path: &Path) -> u32 {
        let supplementary = self.shared(object, path).map(|object| {
            self.add(DebugFile {
                contents: Contents::Whole(sections(&object)),
                supplementary: None,
            })
        });
        self.add(DebugFile {
            contents: Contents::Whole(sections(object)),
            supplementary,
        })
    }

    /// The file with the debug information of the program at `path`, which may be that itself.
    fn find(&self, path: &str) -> Result<Option<(Object, PathBuf)>, TargetError> {
        const INFO: &str = ".debug_info";
        let Some(own) = Object::open(path)? else {
            return Ok(None);
        };
        let program = Path::new(path);
        if own.has(INFO) {
            return Ok(Some((own, program.to_owned())));
        }
        let id = own.build_id();
        let is_same = |object: &Object| match (&id, object.build_id()) {
            (Some(id), Some(other)) => *id == other,
            _ => true,
        };
        let mut candidates = Vec::new();
        if let Some(id) = &id {
            candidates.extend(self.below_directories(&by_build_id(id)));
        }
        if let Some((name, _)) = own.link(".gnu_debuglink")
            && !name.is_empty()
            && !name.contains('/')
        {
            let real = resolve(program.to_owned()).unwrap_or_else(|_| program.to_owned());
            let beside = real.parent().unwrap_or(Path::new("/"));
            candidates.push(beside.join(&name));
            candidates.push(beside.join(".debug").join(&name));
            candidates
                .extend(self.below_directories(&beside.strip_prefix("/").unwrap_or(beside).join(&name)));
            candidates.extend(self.below_directories(Path::new(&name)));
        }
        let open = |path: PathBuf| {
            let object = Object::open(path.to_str()?).ok()??;
            let fits = object.has(INFO) && object.machine() == own.machine() && is_same(&object);
            fits.then_some((object, path))
        };
        Ok(candidates.into_iter().find_map(open))
    }

    fn below_directories(&self, path: &Path) -> Vec<PathBuf> {
        let usual = [PathBuf::from(DIRECTORY)];
        let all = self.directories.iter().chain(&usual);
        all.map(|directory| directory.join(path)).collect()
    }

    /// The file that `object` at `path` shares parts with.
    fn shared(&self, object: &Object, path: &Path) -> Option<Object> {
        let (name, id) = object.link(".gnu_debugaltlink")?;
        let real = resolve(path.to_owned()).unwrap_or_else(|_| path.to_owned());
        let beside = real.parent().unwrap_or(Path::new("/")).join(&name);
        let mut candidates = vec![beside];
        candidates.extend(self.below_directories(&by_build_id(&id)));
        candidates.into_iter().find_map(|path| {
            let object = Object::open(path.to_str()?).ok()??;
            (object.build_id()? == id).then_some(object)
        })
    }

    /// The number of the file that was split off a unit of another; `None` where none was, or it cannot be found.
    pub(super) fn split_off(&self, parent: u32, unit: usize) -> Option<u32> {
        if let Some(known) = self.splits.borrow().get(&(parent, unit)) {
            return *known;
        }
        let (id, names) = self.with(parent, |info| skeleton(info, unit))??;
        let packed = || {
            let package = self.package(parent)?;
            let contents = Contents::Packed {
                package,
                id,
                parent,
                unit,
            };
            self.if_described(contents)
        };
        let split = || {
            names.iter().find_map(|path| {
                let object = Object::open(path.to_str()?).ok()??;
                let contents = Contents::Split {
                    sections: split_sections(&object),
                    parent,
                    unit,
                };
                self.if_described(contents)
            })
        };
        let number = packed().or_else(split);
        self.splits.borrow_mut().insert((parent, unit), number);
        number
    }

    /// Adds a file of one unit, where it has that.
    fn if_described(&self, contents: Contents) -> Option<u32> {
        let number = self.add(DebugFile {
            contents,
            supplementary: None,
        });
        let units = self.with(number, |info| info.unit_count()).unwrap_or_default();
        (units > 0).then_some(number)
    }

    /// The package beside the program that file `parent` describes.
    fn package(&self, parent: u32) -> Option<Rc<DwarfPackageSections<Vec<u8>>>> {
        if let Some(known) = self.packages.borrow().get(&parent) {
            return known.clone();
        }
        let binaries = self.by_binary.borrow();
        let (path, _) = binaries.iter().find(|(_, number)| **number == Some(parent))?;
        let read = || {
            let object = Object::open(&format!("{path}.dwp")).ok()??;
            let load = |section: SectionId| -> Result<Vec<u8>, gimli::Error> {
                let name = section.dwo_name().filter(|_| is_wanted(section));
                Ok(name.and_then(|name| object.section(name)).unwrap_or_default())
            };
            DwarfPackageSections::load(load).ok().map(Rc::new)
        };
        let package = read();
        self.packages.borrow_mut().insert(parent, package.clone());
        package
    }

    /// The file that `file` was split off, or itself.
    pub(super) fn root(&self, file: u32) -> u32 {
        let files = self.files.borrow();
        match files.get(file as usize).map(|file| &file.contents) {
            Some(Contents::Split { parent, .. } | Contents::Packed { parent, .. }) => *parent,
            // What several files share is asked about by its number; the one that asks comes right behind it.
            _ => match files.get(file as usize + 1) {
                Some(next) if next.supplementary == Some(file) => file + 1,
                _ => file,
            },
        }
    }

    /// Reads the file of that number.
    pub(super) fn with<T>(&self, number: u32, read: impl FnOnce(&Info<'_>) -> T) -> Option<T> {
        let file = self.file(number)?;
        let (parent, unit) = match &file.contents {
            Contents::Whole(sections) => {
                let shared = file
                    .supplementary
                    .and_then(|number| Some((number, self.file(number)?)));
                let shared = shared
                    .as_ref()
                    .and_then(|(number, file)| Some((*number, file.whole()?)));
                return Some(read(&whole(number, sections, shared)));
            }
            Contents::Split { parent, unit, .. } | Contents::Packed { parent, unit, .. } => (*parent, *unit),
        };
        let parent_file = self.file(parent)?;
        let parent = whole(parent, parent_file.whole()?, None);
        let skeleton = parent.unit(unit)?;
        let mut dwarf = match &file.contents {
            Contents::Packed { package, id, .. } => {
                let package = package.borrow(|section| reader(section), reader(&[])).ok()?;
                package.find_cu(*id, &parent.dwarf).ok()??
            }
            Contents::Split { sections, .. } | Contents::Whole(sections) => sections.borrow(|s| reader(s)),
        };
        dwarf.make_dwo(&parent.dwarf);
        dwarf.file_type = DwarfFileType::Dwo;
        Some(read(&Info::new(number, dwarf, Some(skeleton), None)))
    }

    fn file(&self, number: u32) -> Option<Rc<DebugFile>> {
        self.files.borrow().get(number as usize).map(Rc::clone)
    }
}

impl DebugFile {
    fn whole(&self) -> Option<&DwarfSections<Vec<u8>>> {
        match &self.contents {
            Contents::Whole(sections) => Some(sections),
            _ => None,
        }
    }
}

fn whole<'a>(
    number: u32,
    sections: &'a DwarfSections<Vec<u8>>,
    shared: Option<(u32, &'a DwarfSections<Vec<u8>>)>,
) -> Info<'a> {
    let mut dwarf: Dwarf<Reader<'a>> = sections.borrow(|section| reader(section));
    let supplementary = shared.map(|(number, sections)| {
        let borrowed = || sections.borrow(|section| reader(section));
        dwarf.set_sup(borrowed());
        Box::new(Info::new(number, borrowed(), None, None))
    });
    Info::new(number, dwarf, None, supplementary)
}

/// What a unit says of the file that was split off it: its id, and where it may be.
fn skeleton(info: &Info<'_>, index: usize) -> Option<(DwoId, Vec<PathBuf>)> {
    let unit: Rc<Unit<Reader<'_>>> = info.unit(index)?;
    let name = unit.dwo_name().ok()??;
    let text = |value| {
        let text = info.dwarf.attr_string(&unit, value).ok()?.slice();
        (text.len() < 4096).then(|| String::from_utf8_lossy(text).into_owned())
    };
    let name = PathBuf::from(text(name)?);
    let root = unit.entry(unit.header.root_offset()).ok()?;
    let directory = root.attr_value(constants::DW_AT_comp_dir).and_then(text);
    let mut paths = vec![name.clone()];
    if let Some(directory) = directory {
        paths.insert(0, Path::new(&directory).join(&name));
    }
    Some((unit.dwo_id?, paths))
}

/// `.build-id/ab/cdef.debug`.
fn by_build_id(id: &[u8]) -> PathBuf {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = hex.split_at(hex.len().min(2));
    PathBuf::from(format!(".build-id/{first}/{rest}.debug"))
}
