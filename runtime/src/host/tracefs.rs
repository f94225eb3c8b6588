//! Tracepoints, from tracefs.
//!
//! In: category and event names or patterns. Out: names and record formats, or why they cannot be read and what the
//! user can do. Names never leave the `events` directory.

use super::refusal::unreadable;
use crate::sys::mount;
use crumbs_compiler::glob::Glob;
use crumbs_compiler::similar::similar;
use crumbs_compiler::target::{TargetError, TracepointFormat, tracepoint_format};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where tracefs is mounted by itself: the second since Linux 4.1 only for programs that know no other place.
const ROOTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The largest format file read; the largest of Linux has 20 KB.
const MAX_FORMAT: u64 = 1 << 20;

/// How many names a "did you mean" lists.
const SIMILAR: usize = 5;

/// The formats are the kernel's own records (`ftrace:function`), not events that a program can be attached to.
const NOT_EVENTS: &str = "ftrace";

/// A mounted tracefs, found and read when first asked.
pub(crate) struct Tracefs {
    /// Where to look; where empty, [`ROOTS`] and then the mount table.
    given: Option<PathBuf>,
    root: OnceCell<PathBuf>,
    /// A mount of our own, where there was none.
    mount: OnceCell<OwnedFd>,
    events: OnceCell<Vec<(String, String)>>,
    formats: RefCell<HashMap<(String, String), Arc<TracepointFormat>>>,
}

impl Tracefs {
    pub(crate) fn new(given: Option<PathBuf>) -> Self {
        Self {
            given,
            root: OnceCell::new(),
            mount: OnceCell::new(),
            events: OnceCell::new(),
            formats: RefCell::default(),
        }
    }

    /// Every event whose category and name match, sorted.
    pub(crate) fn matching(&self, category: &str, event: &str) -> Result<Vec<(String, String)>, TargetError> {
        let (categories, names) = (Glob::new(category), Glob::new(event));
        if categories.is_literal() && names.is_literal() && self.is_event(category, event)? {
            return Ok(vec![(category.to_owned(), event.to_owned())]);
        }
        let events = self.events()?;
        let found: Vec<_> = events
            .iter()
            .filter(|(c, e)| categories.matches(c) && names.matches(e))
            .cloned()
            .collect();
        if found.is_empty() {
            Err(self.not_found(category, event))
        } else {
            Ok(found)
        }
    }

    /// The record of one event.
    pub(crate) fn format(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, TargetError> {
        let key = (category.to_owned(), event.to_owned());
        if let Some(format) = self.formats.borrow().get(&key) {
            return Ok(Arc::clone(format));
        }
        if !self.is_event(category, event)? {
            return Err(self.not_found(category, event));
        }
        let path = self
            .root()?
            .join("events")
            .join(category)
            .join(event)
            .join("format");
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(MAX_FORMAT).read_to_string(&mut text));
        read.map_err(|error| cannot_read(&path, &error))?;
        let format = tracepoint_format::parse(&text).map_err(|error| {
            let help = "report this as a bug of crumbs, with the text of that file".to_owned();
            unreadable(
                &path.to_string_lossy(),
                &format!("crumbs does not understand it: {error}"),
                help,
            )
        })?;
        let format = Arc::new(format);
        self.formats.borrow_mut().insert(key, Arc::clone(&format));
        Ok(format)
    }

    /// The functions that the kernel can trace, a line each, where that can be read.
    pub(crate) fn traceable_functions(&self) -> Option<String> {
        let path = self.root().ok()?.join("available_filter_functions");
        fs::read_to_string(path).ok().filter(|text| !text.is_empty())
    }

    fn is_event(&self, category: &str, event: &str) -> Result<bool, TargetError> {
        let one_name =
            |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        if category == NOT_EVENTS || !one_name(category) || !one_name(event) {
            return Ok(false);
        }
        let path = self
            .root()?
            .join("events")
            .join(category)
            .join(event)
            .join("format");
        match fs::metadata(&path) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(cannot_read(&path, &error)),
        }
    }

    fn events(&self) -> Result<&[(String, String)], TargetError> {
        if let Some(events) = self.events.get() {
            return Ok(events);
        }
        let path = self.root()?.join("available_events");
        let text = fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))?;
        let split = |line: &str| line.split_once(':').map(|(c, e)| (c.to_owned(), e.to_owned()));
        let mut events: Vec<_> = text
            .lines()
            .filter_map(split)
            .filter(|(c, _)| c != NOT_EVENTS)
            .collect();
        events.sort_unstable();
        events.dedup();
        Ok(self.events.get_or_init(|| events))
    }

    fn not_found(&self, category: &str, event: &str) -> TargetError {
        let names: Vec<String> = self
            .events()
            .unwrap_or_default()
            .iter()
            .map(|(c, e)| format!("{c}:{e}"))
            .collect();
        let similar = similar(
            &format!("{category}:{event}"),
            names.iter().map(String::as_str),
            SIMILAR,
        );
        // The path of a mount of our own is of no use to anybody else.
        let searched = match self.mount.get() {
            Some(_) => Some("`events` of tracefs, which is mounted nowhere here".to_owned()),
            None => {
                let root = self.root.get();
                root.map(|root| root.join("events").to_string_lossy().into_owned())
            }
        };
        TargetError::NotFound {
            similar,
            searched: searched.into_iter().collect(),
        }
    }

    fn root(&self) -> Result<&Path, TargetError> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let candidates: Vec<PathBuf> = match &self.given {
            Some(given) => vec![given.clone()],
            None => ROOTS.iter().map(PathBuf::from).chain(mounted()).collect(),
        };
        let mut denied = None;
        for candidate in &candidates {
            match fs::metadata(candidate.join("events")) {
                Ok(_) => return Ok(self.root.get_or_init(|| candidate.clone())),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    denied.get_or_insert_with(|| cannot_read(candidate, &error));
                }
                Err(_) => {}
            }
        }
        if denied.is_none()
            && self.given.is_none()
            && let Some(root) = self.mount()
        {
            return Ok(self.root.get_or_init(|| root));
        }
        Err(denied.unwrap_or_else(|| {
            let root = candidates
                .first()
                .map_or(ROOTS[0].into(), |root| root.to_string_lossy());
            let help = format!("mount it, as root: mount -t tracefs nodev {root}");
            unreadable(
                &root,
                "tracefs, which describes the tracepoints, is not mounted there",
                help,
            )
        }))
    }
}

impl Tracefs {
    /// Mounts tracefs for this process alone, so that a machine without the mount can be traced and is left as it was.
    fn mount(&self) -> Option<PathBuf> {
        let fd = mount::detached(c"tracefs").ok()?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        fs::metadata(root.join("events")).ok()?;
        self.mount.get_or_init(|| fd);
        Some(root)
    }
}

/// Other places where tracefs is mounted.
fn mounted() -> Vec<PathBuf> {
    parse_mounts(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn parse_mounts(table: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let mut words = line.split(' ');
        let (place, kind) = (words.nth(1)?, words.next()?);
        (kind == "tracefs").then(|| PathBuf::from(place.replace("\\040", " ")))
    };
    table.lines().filter_map(place).collect()
}

fn cannot_read(path: &Path, error: &std::io::Error) -> TargetError {
    let what = path.to_string_lossy();
    if error.kind() == ErrorKind::PermissionDenied {
        let help = "run crumbs as root, or grant it CAP_DAC_READ_SEARCH as an ambient capability";
        return unreadable(&what, "only root may read tracefs", help.to_owned());
    }
    unreadable(
        &what,
        &error.to_string(),
        "see whether tracefs is mounted: mount -t tracefs".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::print_stderr,
        reason = "tests; a skipped one says why"
    )]

    use super::*;

    fn host() -> Option<Tracefs> {
        let tracefs = Tracefs::new(None);
        match tracefs.events() {
            Ok(_) => Some(tracefs),
            Err(error) => {
                eprintln!("skipped: {error:?}");
                None
            }
        }
    }

    #[test]
    fn every_format_of_this_machine_is_understood() {
        let Some(tracefs) = host() else { return };
        for (category, event) in tracefs.matching("*", "*").unwrap() {
            let format = tracefs
                .format(&category, &event)
                .unwrap_or_else(|error| panic!("{category}:{event}: {error:?}"));
            let mut end = 8;
            for field in &format.fields {
                assert!(field.offset >= end, "{category}:{event}: {} overlaps", field.name);
                end = field.offset + field.size;
                let whole = field.array.is_none_or(|n| n == 0 || field.size.is_multiple_of(n));
                assert!(
                    whole && !field.c_type.contains('['),
                    "{category}:{event}: {field:?}"
                );
            }
        }
    }

    #[test]
    fn events_by_name_and_pattern() {
        let Some(tracefs) = host() else { return };
        assert_eq!(tracefs.matching("sched", "sched_switch").unwrap().len(), 1);
        assert!(tracefs.matching("syscalls", "sys_enter_*").unwrap().len() > 100);
        for outside in [
            ("..", "sched"),
            ("sched/..", "x"),
            ("", ""),
            ("ftrace", "function"),
        ] {
            assert!(
                matches!(
                    tracefs.format(outside.0, outside.1),
                    Err(TargetError::NotFound { .. })
                ),
                "{outside:?}"
            );
        }
        let Err(TargetError::NotFound { similar, searched }) = tracefs.format("shed", "sched_swtich") else {
            panic!("found")
        };
        assert_eq!(similar[0], "sched:sched_switch");
        assert!(searched[0].ends_with("events"));
    }

    #[test]
    fn a_place_without_tracefs_says_how_to_mount_it() {
        let tracefs = Tracefs::new(Some(PathBuf::from("/nonexistent/tracing")));
        let Err(TargetError::Unreadable { what, help, .. }) = tracefs.matching("*", "*") else {
            panic!("read")
        };
        assert_eq!(what, "/nonexistent/tracing");
        assert!(help.contains("mount -t tracefs"));
    }

    #[test]
    fn refused_permission_says_what_is_missing() {
        let error = std::io::Error::from(ErrorKind::PermissionDenied);
        let TargetError::Unreadable { help, .. } = cannot_read(Path::new("/sys/kernel/tracing"), &error)
        else {
            panic!("not found")
        };
        assert!(help.contains("root") && help.contains("CAP_DAC_READ_SEARCH"));
    }

    #[test]
    fn mount_table() {
        let table = "sysfs /sys sysfs rw 0 0\nnodev /mnt/my\\040traces tracefs rw 0 0\nx\n";
        assert_eq!(parse_mounts(table), [PathBuf::from("/mnt/my traces")]);
    }
}
