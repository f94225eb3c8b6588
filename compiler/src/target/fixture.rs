//! A [`Target`] that answers from recorded text, so that tests give the same bytes on every machine.
//!
//! In: text, handed in (no file is read). Out: the facts it states; what it does not state is not there. The text is
//! line by line; `#` begins a comment line, empty lines mean nothing:
//!
//! ```text
//! arch x86_64                     # or aarch64; required
//! kernel 6.18                     # required; features follow from FEATURES' `since`
//! without uprobe_multi links      # but this one, by its name in FEATURES
//! cpus 4                          # possible CPUs; 1 unless stated
//! pid-namespace 4 4026531836      # device and inode, where the user is not in the initial namespace
//!
//! cgroup /sys/fs/cgroup 1         # path and id
//!
//! binary /usr/lib/libc.so.6 aka libc libc.so    # its path and the short names that mean it
//! segment 0x26000 0x1550fc 0x26000              # of that binary, executable: address, size, file offset
//! function write 0xf8340 157                    # of that binary: name, file offset, size
//! object environ 0x1e8600 8                     # data of that binary: name, virtual address, size
//! ifunc strlen 0x9f1c0 129                      # the same for an indirect function
//!
//! usdt app start 0x1234 0 -4@%edi 8@$5         # of that binary: provider, name, file offset, semaphore, arguments
//!
//! symbol vmlinux vfs_read 0xffffffff81400000    # a traceable function of the kernel: module, name, address
//!
//! tracepoint syscalls:sys_enter_read            # and the text of its tracefs `format` file
//! name: sys_enter_read
//! ...
//! end
//!
//! types                                         # the kernel's types and functions, as C declares them
//! struct list_head { struct list_head *next, *prev; };
//! ssize_t vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos);
//! end
//!
//! header shapes.h                               # the text of a header that scripts include by this name (or `<name>`)
//! struct point { int x, y; };
//! end
//! ```
//!
//! (A comment stands on its own line; those beside the lines above are this page's.)

use super::{
    Arch, Binary, BinarySymbol, FEATURES, Feature, Function, KernelVersion, PidNamespace, SourceFile, Target,
    TargetError, TracepointFormat, UsdtProbe, tracepoint_format,
};
use crate::c::{self, Constant, Declarations};
use crate::ctype::{EnumType, Field, KernelFunction, StructId};
use crate::glob::Glob;
use crate::similar::similar;
use crate::types::Type;
use crate::usdt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What messages call the place that was searched.
const PLACE: &str = "the recorded target";

/// How many names a "did you mean" lists.
const SIMILAR: usize = 5;

/// Why a text is no fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureError {
    /// Line of the text, from 1; 0 where something is missing as a whole.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for FixtureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for FixtureError {}

/// An executable segment.
#[derive(Clone, Debug)]
struct Segment {
    address: u64,
    size: u64,
    offset: u64,
}

#[derive(Clone, Debug, Default)]
struct RecordedBinary {
    aliases: Vec<String>,
    segments: Vec<Segment>,
    functions: Arc<[Function]>,
    objects: BTreeMap<String, BinarySymbol>,
    usdt: Vec<UsdtProbe>,
}

/// The facts that a fixture text states; see the module's page for its format.
#[derive(Clone, Debug)]
pub struct FixtureTarget {
    arch: Arch,
    kernel: KernelVersion,
    without: Vec<Feature>,
    cpus: u32,
    pid_namespace: Option<PidNamespace>,
    binaries: BTreeMap<String, RecordedBinary>,
    tracepoints: BTreeMap<(String, String), Arc<TracepointFormat>>,
    cgroups: BTreeMap<String, u64>,
    /// Scripts to import and headers to include, by name.
    files: BTreeMap<String, String>,
    /// Module and name of the kernel's functions, and their addresses.
    symbols: BTreeMap<(String, String), u64>,
    /// The kernel's types and functions.
    types: Option<(Declarations, Vec<KernelFunction>)>,
}

impl FixtureTarget {
    /// Reads a fixture text.
    ///
    /// # Errors
    /// At the first line that is none of the module's page, and where `arch` or `kernel` is missing.
    pub fn parse(text: &str) -> Result<Self, FixtureError> {
        let mut parser = Parser::default();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let fail = |reason: String| FixtureError {
                line: index + 1,
                reason,
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if let "tracepoint" | "types" | "header" = keyword {
                let mut text = String::new();
                loop {
                    match lines.next() {
                        None => return Err(fail(format!("this {keyword} has no `end` line"))),
                        Some((_, "end")) => break,
                        Some((_, line)) => {
                            text.push_str(line);
                            text.push('\n');
                        }
                    }
                }
                match keyword {
                    "tracepoint" => parser.tracepoint(rest.trim(), &text).map_err(fail)?,
                    "types" => parser.types = Some((index + 1, text)),
                    _ => {
                        parser.files.insert(rest.trim().to_owned(), text);
                    }
                }
            } else {
                parser.line(keyword, rest.trim()).map_err(fail)?;
            }
        }
        parser.finish()
    }

    /// Takes a feature away, as a `without` line does.
    #[must_use]
    pub fn without(mut self, feature: Feature) -> Self {
        self.without.push(feature);
        self
    }

    /// Replaces the kernel's version, as the `kernel` line states it.
    #[must_use]
    pub fn with_kernel(mut self, kernel: KernelVersion) -> Self {
        self.kernel = kernel;
        self
    }

    /// The same machine with one more file, beside every script.
    #[must_use]
    pub fn with_file(mut self, name: &str, text: &str) -> Self {
        self.files.insert(name.to_owned(), text.to_owned());
        self
    }

    fn recorded(&self, binary: &Binary) -> Result<&RecordedBinary, TargetError> {
        self.binaries
            .get(&binary.path)
            .ok_or_else(|| not_found(&binary.path, self.binaries.keys().map(String::as_str)))
    }
}

fn not_found<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> TargetError {
    TargetError::NotFound {
        similar: similar(wanted, candidates, SIMILAR),
        searched: vec![PLACE.to_owned()],
    }
}

impl Target for FixtureTarget {
    fn arch(&self) -> Arch {
        self.arch
    }

    fn kernel(&self) -> KernelVersion {
        self.kernel
    }

    fn possible_cpus(&self) -> u32 {
        self.cpus
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        self.cgroups.get(path).copied()
    }

    fn has(&self, feature: Feature) -> bool {
        let row = FEATURES.iter().find(|row| row.feature == feature);
        row.is_some_and(|row| self.kernel >= row.since) && !self.without.contains(&feature)
    }

    fn pid_namespace(&self) -> Option<PidNamespace> {
        self.pid_namespace
    }

    fn tracepoints(&self, category: &str, event: &str) -> Result<Vec<(String, String)>, TargetError> {
        let (categories, events) = (Glob::new(category), Glob::new(event));
        let matching = |(c, e): &&(String, String)| categories.matches(c) && events.matches(e);
        let found: Vec<_> = self.tracepoints.keys().filter(matching).cloned().collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let names: Vec<String> = self.tracepoints.keys().map(|(c, e)| format!("{c}:{e}")).collect();
        Err(not_found(
            &format!("{category}:{event}"),
            names.iter().map(String::as_str),
        ))
    }

    fn tracepoint(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, TargetError> {
        if let Some(format) = self.tracepoints.get(&(category.to_owned(), event.to_owned())) {
            return Ok(Arc::clone(format));
        }
        let names: Vec<String> = self.tracepoints.keys().map(|(c, e)| format!("{c}:{e}")).collect();
        Err(not_found(
            &format!("{category}:{event}"),
            names.iter().map(String::as_str),
        ))
    }

    fn usdt_probes(&self, binary: &Binary) -> Result<Arc<[UsdtProbe]>, TargetError> {
        Ok(self.recorded(binary)?.usdt.clone().into())
    }

    fn traceable_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        let (modules, names) = (Glob::new(module), Glob::new(name));
        let matching = |(m, n): &&(String, String)| modules.matches(m) && names.matches(n);
        let found: Vec<_> = self.symbols.keys().filter(matching).cloned().collect();
        if found.is_empty() {
            return Err(not_found(
                name,
                self.symbols.keys().map(|(_, name)| name.as_str()),
            ));
        }
        Ok(found)
    }

    fn kernel_address(&self, name: &str) -> Result<u64, TargetError> {
        let found = self.symbols.iter().find(|((_, n), _)| n == name);
        let names = self.symbols.keys().map(|(_, name)| name.as_str());
        found
            .map(|(_, address)| *address)
            .ok_or_else(|| not_found(name, names))
    }

    fn binaries(&self, spec: &str) -> Result<Vec<Binary>, TargetError> {
        let glob = Glob::new(spec);
        let meant = |path: &str, recorded: &RecordedBinary| {
            if spec.contains('/') {
                glob.matches(path)
            } else {
                recorded
                    .aliases
                    .iter()
                    .map(String::as_str)
                    .chain([file_name(path)])
                    .any(|name| glob.matches(name))
            }
        };
        let found: Vec<Binary> = (self.binaries.iter())
            .filter(|(path, recorded)| meant(path, recorded))
            .map(|(path, _)| Binary { path: path.clone() })
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let aliases = self.binaries.values().flat_map(|recorded| &recorded.aliases);
        let names = self.binaries.keys().filter(|_| spec.contains('/')).chain(aliases);
        Err(not_found(spec, names.map(String::as_str)))
    }

    fn functions(&self, binary: &Binary) -> Result<Arc<[Function]>, TargetError> {
        Ok(Arc::clone(&self.recorded(binary)?.functions))
    }

    fn import(&self, _importer: &str, path: &str) -> Result<Vec<SourceFile>, TargetError> {
        let directory = format!("{path}/");
        let files: Vec<SourceFile> = self
            .files
            .iter()
            .filter(|(name, _)| *name == path || name.starts_with(&directory))
            .map(|(name, text)| SourceFile {
                id: name.clone(),
                name: name.clone(),
                text: text.clone(),
            })
            .collect();
        if files.is_empty() {
            return Err(not_found(path, self.files.keys().map(String::as_str)));
        }
        Ok(files)
    }

    fn binary_symbol(&self, binary: &Binary, name: &str) -> Result<BinarySymbol, TargetError> {
        let objects = &self.recorded(binary)?.objects;
        let found = objects.get(name).copied();
        found.ok_or_else(|| not_found(name, objects.keys().map(String::as_str)))
    }

    fn virtual_address(&self, binary: &Binary, offset: u64) -> Result<u64, TargetError> {
        let segments = &self.recorded(binary)?.segments;
        let inside = |s: &&Segment| offset >= s.offset && offset - s.offset < s.size;
        let found = segments.iter().find(inside);
        found
            .map(|segment| offset - segment.offset + segment.address)
            .ok_or_else(|| not_found(&binary.path, std::iter::empty()))
    }

    fn file_offset(&self, binary: &Binary, address: u64) -> Result<u64, TargetError> {
        let segments = &self.recorded(binary)?.segments;
        let inside = |s: &&Segment| address >= s.address && address - s.address < s.size;
        match segments.iter().find(inside) {
            Some(segment) => Ok(address - segment.address + segment.offset),
            None => Err(TargetError::NotFound {
                similar: Vec::new(),
                searched: segments
                    .iter()
                    .map(|s| format!("{} {:#x}..{:#x}", binary.path, s.address, s.address + s.size))
                    .collect(),
            }),
        }
    }

    fn kernel_type(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        let (types, _) = self.types.as_ref().ok_or_else(super::no_types)?;
        let found = types.lookup(keyword, name).cloned();
        found.ok_or_else(|| {
            let prefix = format!("{keyword} ");
            let tags = types.tags.keys().filter_map(|tag| tag.strip_prefix(&prefix));
            let mut names: Vec<&str> = match keyword {
                "" => types.typedefs.keys().map(String::as_str).collect(),
                _ => tags.collect(),
            };
            names.sort_unstable();
            not_found(name, names.into_iter())
        })
    }

    fn struct_fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        let (types, _) = self.types.as_ref().ok_or_else(super::no_types)?;
        let fields = match id {
            StructId::Kernel { object: 0, id } => types.structs.get(id as usize),
            _ => None,
        };
        let fields = fields.map(|(_, fields)| Arc::clone(fields));
        fields.ok_or_else(|| not_found("", std::iter::empty()))
    }

    fn kernel_constant(&self, name: &str) -> Option<(Arc<EnumType>, i64)> {
        match self.types.as_ref()?.0.constants.get(name)? {
            Constant::Enum(of, value) => Some((Arc::clone(of), *value)),
            _ => None,
        }
    }

    fn kernel_functions(&self, module: Option<&str>, name: &str) -> Result<Vec<KernelFunction>, TargetError> {
        let (_, functions) = self.types.as_ref().ok_or_else(super::no_types)?;
        let meant = module.is_none_or(|module| module == "vmlinux");
        let found = functions.iter().filter(|function| meant && function.name == name);
        let found: Vec<_> = found.cloned().collect();
        if found.is_empty() {
            return Err(not_found(
                name,
                functions.iter().map(|function| function.name.as_str()),
            ));
        }
        Ok(found)
    }

    fn system_header(&self, name: &str) -> Option<(String, String)> {
        let text = self.files.get(&format!("<{name}>"))?;
        Some((name.to_owned(), text.clone()))
    }

    fn described_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        let (_, functions) = self.types.as_ref().ok_or_else(super::no_types)?;
        let glob = Glob::new(name);
        let names = functions.iter().map(|function| function.name.as_str());
        let wanted = names
            .clone()
            .filter(|name| glob.matches(name) && Glob::new(module).matches("vmlinux"));
        let mut found: Vec<_> = wanted
            .map(|name| ("vmlinux".to_owned(), name.to_owned()))
            .collect();
        found.sort_unstable();
        if found.is_empty() {
            return Err(not_found(name, names));
        }
        Ok(found)
    }

    fn header(&self, name: &str, _from: Option<&str>) -> Result<(String, String), TargetError> {
        match self.files.get(name) {
            Some(text) => Ok((name.to_owned(), text.clone())),
            None => Err(not_found(name, self.files.keys().map(String::as_str))),
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What has been read so far.
#[derive(Default)]
struct Parser {
    arch: Option<Arch>,
    kernel: Option<KernelVersion>,
    without: Vec<Feature>,
    cpus: Option<u32>,
    pid_namespace: Option<PidNamespace>,
    binaries: BTreeMap<String, RecordedBinary>,
    /// The binary that `function` and `segment` lines belong to, with its functions.
    current: Option<(String, Vec<Function>)>,
    tracepoints: BTreeMap<(String, String), Arc<TracepointFormat>>,
    symbols: BTreeMap<(String, String), u64>,
    cgroups: BTreeMap<String, u64>,
    /// The line that the types begin at, and their text.
    types: Option<(usize, String)>,
    files: BTreeMap<String, String>,
}

impl Parser {
    fn line(&mut self, keyword: &str, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (keyword, words.as_slice()) {
            ("arch", ["x86_64"]) => self.arch = Some(Arch::X86_64),
            ("arch", ["aarch64"]) => self.arch = Some(Arch::Aarch64),
            ("kernel", [version]) => self.kernel = Some(kernel_version(version)?),
            ("without", [_, ..]) => {
                let row = FEATURES.iter().find(|row| row.name == rest).ok_or_else(|| {
                    let names: Vec<String> = FEATURES.iter().map(|row| format!("`{}`", row.name)).collect();
                    format!("`{rest}` is no feature; there are {}", names.join(", "))
                })?;
                self.without.push(row.feature);
            }
            ("cpus", [count]) => match number(count)? {
                count @ 1..=0xffff => self.cpus = u32::try_from(count).ok(),
                count => return Err(format!("a machine of {count} CPUs")),
            },
            ("pid-namespace", [dev, ino]) => {
                self.pid_namespace = Some(PidNamespace {
                    dev: number(dev)?,
                    ino: number(ino)?,
                });
            }
            ("cgroup", [path, id]) => {
                self.cgroups.insert((*path).to_owned(), number(id)?);
            }
            ("binary", [path, names @ ..]) => self.binary(path, names)?,
            ("segment", [address, size, offset]) => {
                self.segment(Segment {
                    address: number(address)?,
                    size: number(size)?,
                    offset: number(offset)?,
                })?;
            }
            ("function" | "ifunc", [name, offset, size]) => {
                let (_, functions) = self.current.as_mut().ok_or("a function before any binary")?;
                let (offset, size) = (number(offset)?, number(size)?);
                functions.push(Function {
                    name: (*name).to_owned(),
                    offset,
                    size,
                    indirect: keyword == "ifunc",
                });
            }
            ("object", [name, address, size]) => {
                let symbol = BinarySymbol {
                    address: number(address)?,
                    size: number(size)?,
                    moves: true,
                };
                let (path, _) = self.current.as_ref().ok_or("an object before any binary")?;
                let binary = self.binaries.entry(path.clone()).or_default();
                binary.objects.insert((*name).to_owned(), symbol);
            }
            ("usdt", [provider, name, offset, semaphore, arguments @ ..]) => {
                let arch = self.arch.ok_or("a static probe before `arch`")?;
                let probe = UsdtProbe {
                    provider: (*provider).to_owned(),
                    name: (*name).to_owned(),
                    offset: number(offset)?,
                    semaphore: number(semaphore)?,
                    arguments: usdt::arguments(&arguments.join(" "), arch).into(),
                };
                let (path, _) = self.current.as_ref().ok_or("a static probe before any binary")?;
                self.binaries.entry(path.clone()).or_default().usdt.push(probe);
            }
            ("symbol", [module, name, address]) => {
                let key = ((*module).to_owned(), (*name).to_owned());
                self.symbols.insert(key, number(address)?);
            }
            _ => return Err(format!("`{keyword} {rest}` is no line of a fixture")),
        }
        Ok(())
    }

    /// Adds a segment to the binary that lines are about.
    fn segment(&mut self, segment: Segment) -> Result<(), String> {
        let ends = (
            segment.address.checked_add(segment.size),
            segment.offset.checked_add(segment.size),
        );
        let (Some(_), Some(_)) = ends else {
            return Err("the segment wraps around".to_owned());
        };
        let (path, _) = self.current.as_ref().ok_or("a segment before any binary")?;
        self.binaries
            .entry(path.clone())
            .or_default()
            .segments
            .push(segment);
        Ok(())
    }

    fn binary(&mut self, path: &str, names: &[&str]) -> Result<(), String> {
        if !path.starts_with('/') {
            return Err(format!("`{path}` is no absolute path"));
        }
        let aliases = match names {
            [] => &[],
            ["aka", aliases @ ..] if !aliases.is_empty() => aliases,
            _ => return Err("a binary's path is followed by `aka` and its short names".to_owned()),
        };
        self.close_binary();
        if self.binaries.contains_key(path) {
            return Err(format!("`{path}` stands here twice"));
        }
        let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        self.binaries.insert(
            path.to_owned(),
            RecordedBinary {
                aliases,
                ..Default::default()
            },
        );
        self.current = Some((path.to_owned(), Vec::new()));
        Ok(())
    }

    fn close_binary(&mut self) {
        if let Some((path, mut functions)) = self.current.take() {
            functions.sort_by(|a, b| (&a.name, a.offset).cmp(&(&b.name, b.offset)));
            self.binaries.entry(path).or_default().functions = functions.into();
        }
    }

    fn tracepoint(&mut self, name: &str, format: &str) -> Result<(), String> {
        let (category, event) = name
            .split_once(':')
            .ok_or_else(|| format!("`{name}` is no `category:event`"))?;
        let format =
            tracepoint_format::parse(format).map_err(|error| format!("format of {name}: {error}"))?;
        let key = (category.to_owned(), event.to_owned());
        match self.tracepoints.insert(key, Arc::new(format)) {
            None => Ok(()),
            Some(_) => Err(format!("`{name}` stands here twice")),
        }
    }

    fn finish(mut self) -> Result<FixtureTarget, FixtureError> {
        self.close_binary();
        let missing = |what: &str| FixtureError {
            line: 0,
            reason: format!("there is no `{what}` line"),
        };
        let arch = self.arch.ok_or_else(|| missing("arch"))?;
        let types = self.types.map(|(line, text)| {
            c::recorded(&text, arch).map_err(|(within, reason)| FixtureError {
                line: line + within,
                reason,
            })
        });
        Ok(FixtureTarget {
            arch,
            kernel: self.kernel.ok_or_else(|| missing("kernel"))?,
            without: self.without,
            cpus: self.cpus.unwrap_or(1),
            pid_namespace: self.pid_namespace,
            binaries: self.binaries,
            tracepoints: self.tracepoints,
            cgroups: self.cgroups,
            symbols: self.symbols,
            types: types.transpose()?,
            files: self.files,
        })
    }
}

fn kernel_version(text: &str) -> Result<KernelVersion, String> {
    let numbers = text
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let (major, minor) = numbers.ok_or_else(|| format!("`{text}` is no kernel version such as 6.12"))?;
    Ok(KernelVersion { major, minor })
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
#[path = "fixture_tests.rs"]
mod tests;
