//! Functions of libraries that are not there yet: a process opens them by dlopen(3), from a place where no other program
//! would find them.
//!
//! In: the plan, and the kernel's reports of executable mappings. Out: links, for each file that a name of a library can
//! mean, once a process that is traced has mapped it. The report comes while the process goes on, so that calls in the
//! first milliseconds are missed; a library that is found by its name when the run starts is attached before any process
//! loads it, and misses none.

use super::{Attached, Error, Job, error, load, run, site_name};
use crate::backend::Skipped;
use crate::host::{self, reach};
use crate::kernel::probe;
use crate::sys::mmap_events::{MmapEvents, ProcessEvent};
use crumbs_compiler::plan::{Attach, Plan, Site, UprobePlace};
use crumbs_compiler::target::Function;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What waits for libraries.
#[derive(Debug)]
pub struct Late {
    wanted: Vec<Wanted>,
    events: MmapEvents,
    /// The process whose libraries count; any, where there is none.
    pid: Option<u32>,
    /// Whether that process's mappings have been looked at.
    began: bool,
}

/// A function that is looked for in each library that appears.
#[derive(Debug)]
struct Wanted {
    /// Index into the plan's programs.
    program: usize,
    probe: String,
    library: String,
    function: String,
    on_return: bool,
    cookie: u32,
    /// Whether it is a pattern for functions, each with a cookie of its own.
    is_open: bool,
    /// Device and inode of the files it was looked for in.
    seen: BTreeSet<(u64, u64)>,
    found: bool,
}

impl Late {
    /// Whether a plan has anything that is attached later.
    pub(super) fn is_wanted(plan: &Plan) -> bool {
        let mut attaches = plan.programs.iter().flat_map(|program| &program.attach);
        attaches.any(|attach| matches!(attach, Attach::Late { .. }))
    }

    /// Begins to wait for what a plan wants; `None` where that is nothing.
    ///
    /// # Errors
    /// When the kernel does not report mappings.
    pub(in crate::kernel) fn of(plan: &Plan, pid: Option<u32>) -> Result<Option<Self>, Error> {
        let mut wanted = Vec::new();
        for (index, program) in plan.programs.iter().enumerate() {
            for attach in &program.attach {
                let Attach::Late {
                    library,
                    function,
                    on_return,
                    cookie,
                } = attach
                else {
                    continue;
                };
                wanted.push(Wanted {
                    program: index,
                    probe: site_name(plan, program, attach).to_owned(),
                    library: library.clone(),
                    function: function.clone(),
                    on_return: *on_return,
                    cookie: *cookie,
                    is_open: attach.has_late_places(),
                    seen: BTreeSet::new(),
                    found: false,
                });
            }
        }
        let Some(first) = wanted.first() else {
            return Ok(None);
        };
        let events = MmapEvents::await_each(probe::possible_cpus()).map_err(|failure| {
            let reason = format!("the kernel does not report what processes load ({failure})");
            error(&first.probe, reason, None)
        })?;
        Ok(Some(Self {
            wanted,
            events,
            pid,
            began: false,
        }))
    }

    /// One of them is readable when there may be something to attach.
    pub(in crate::kernel) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.events.descriptors()
    }

    /// Attaches to what was loaded since the last call.
    pub(in crate::kernel) fn attach(&mut self, plan: &Plan, programs: &[OwnedFd]) -> Attached {
        let mut files: Vec<PathBuf> = Vec::new();
        if !std::mem::replace(&mut self.began, true) {
            files.extend(self.pid.map(host::mapped_by).unwrap_or_default());
        }
        for event in self.events.take() {
            match event {
                ProcessEvent::Map { pid, path, .. } if self.pid.is_none_or(|wanted| wanted == pid) => {
                    files.push(host::seen_from_here(pid, &path));
                }
                // What was lost may have been the library.
                ProcessEvent::Lost(_) => files.extend(self.pid.map(host::mapped_by).unwrap_or_default()),
                _ => {}
            }
        }
        let mut all = Attached::default();
        for file in files {
            let Ok(identity) = reach::metadata(&file).map(|data| (data.dev(), data.ino())) else {
                continue;
            };
            for wanted in &mut self.wanted {
                if wanted.seen.insert(identity) {
                    wanted.attach(&file, plan, programs, self.pid, &mut all);
                }
            }
        }
        all
    }

    /// What never appeared.
    pub(in crate::kernel) fn missed(&self, plan: &Plan) -> impl Iterator<Item = Skipped> {
        let is_elsewhere = |program: usize| {
            let at_once = plan
                .programs
                .get(program)
                .into_iter()
                .flat_map(|program| &program.attach);
            let mut later = self.wanted.iter().filter(|wanted| wanted.program == program);
            later.any(|wanted| wanted.found)
                || at_once
                    .into_iter()
                    .any(|attach| !matches!(attach, Attach::Late { .. }))
        };
        let missed = self.wanted.iter().filter(|wanted| !wanted.found);
        missed.map(move |wanted| Skipped::NotLoaded {
            library: wanted.library.clone(),
            replaced: is_elsewhere(wanted.program),
            reason: error(
                &wanted.probe,
                format!(
                    "no library `{}` with a function `{}` was loaded during the run, and none is installed",
                    wanted.library, wanted.function
                ),
                None,
            ),
        })
    }
}

impl Wanted {
    /// The cookie of a function: one that names it where the script does not.
    fn cookie_of(&self, function: &Function, path: &str, plan: &Plan) -> u32 {
        if !self.is_open {
            return self.cookie;
        }
        let kind = self.probe.split(':').next().unwrap_or_default();
        let probe = format!("{kind}:{path}:{}", function.name);
        plan.add_late_site(Site::new(probe, function.name.as_str()))
    }

    /// Attaches to the function in a file, if that is the library and has it.
    fn attach(
        &mut self,
        file: &Path,
        plan: &Plan,
        programs: &[OwnedFd],
        pid: Option<u32>,
        all: &mut Attached,
    ) {
        let functions = host::functions_of_library(file, &self.library, &self.function);
        let (Some(path), false) = (file.to_str(), functions.is_empty()) else {
            return;
        };
        let places = functions
            .iter()
            .map(|function| UprobePlace {
                entry: None,
                offset: function.offset,
                counter: 0,
                cookie: self.cookie_of(function, path, plan),
            })
            .collect();
        self.found = true;
        let attach = Attach::Uprobe {
            path: path.to_owned(),
            on_return: self.on_return,
            places,
        };
        let job = Job {
            program: programs[self.program].as_fd(),
            index: self.program,
            attach: &attach,
            probe: &self.probe,
            site: Some(self.cookie),
            multi: load::attaches_by_multi_link(&plan.programs[self.program]),
        };
        match run(&job, pid) {
            Ok(more) => {
                all.links.extend(more.links);
                all.skipped.extend(more.skipped);
            }
            Err(reason) => all.skipped.push(Skipped::Missing { places: 1, reason }),
        }
    }
}
