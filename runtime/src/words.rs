//! Words for numbers ([`Shown`]) that only this machine knows: names of users and processes, paths of cgroups, dates.

use crate::sys::user::user_name;
use crate::sys_time;
use crumbs_compiler::glob::Glob;
use crumbs_compiler::shown::Shown;
use crumbs_compiler::target::Arch;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The words for `number` as it is shown; the number itself where there are none.
pub(crate) fn words(shown: &Shown, number: u64, arch: Arch) -> String {
    if let Some(words) = shown.words(number, arch) {
        return words;
    }
    match shown {
        Shown::User => known_user(number).unwrap_or_else(|| number.to_string()),
        Shown::Process => process(number).unwrap_or_else(|| "N/A".to_owned()),
        Shown::Time(format) => String::from_utf8_lossy(&sys_time::strftime_at(format, number)).into_owned(),
        Shown::Cgroup(pattern) => cgroup(number, pattern.as_deref()),
        _ => number.to_string(),
    }
}

/// Why the system refused something, without the number of the error.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// A user's name; each is looked up once, because the directory service of a cluster may be slow.
fn known_user(uid: u64) -> Option<String> {
    static KNOWN: Mutex<Option<HashMap<u32, Option<String>>>> = Mutex::new(None);
    let uid = u32::try_from(uid).ok()?;
    let Ok(mut known) = KNOWN.lock() else {
        return user_name(uid);
    };
    let known = known.get_or_insert_default();
    known.entry(uid).or_insert_with(|| user_name(uid)).clone()
}

fn process(pid: u64) -> Option<String> {
    let comm = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(comm.trim_ascii_end()).into_owned())
}

/// `hierarchy:path` of a cgroup in every hierarchy that has it, separated by commas; empty where none has.
fn cgroup(id: u64, pattern: Option<&str>) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| {
        let (name, root) = hierarchy(line)?;
        if pattern.is_some_and(|pattern| !Glob::new(pattern).matches(&name)) {
            return None;
        }
        let directory = with_inode(&root, id)?;
        let path = directory.strip_prefix(&root).ok()?;
        Some(format!("{name}:/{}", path.display()))
    });
    found.collect::<Vec<_>>().join(",")
}

/// Name and root of the hierarchy that a line of `/proc/self/mounts` mounts.
fn hierarchy(mount: &str) -> Option<(String, PathBuf)> {
    let mut words = mount.split(' ').skip(1);
    let root = PathBuf::from(words.next()?);
    let name = match words.next()? {
        "cgroup2" => "unified".to_owned(),
        "cgroup" => root.file_name()?.to_string_lossy().into_owned(),
        _ => return None,
    };
    Some((name, root))
}

/// The directory with this inode number, which is a cgroup's id, at or below `root`.
fn with_inode(root: &Path, id: u64) -> Option<PathBuf> {
    if std::os::unix::fs::MetadataExt::ino(&fs::metadata(root).ok()?) == id {
        return Some(root.to_owned());
    }
    let mut queue = vec![root.to_owned()];
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(directory).ok()?.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.ino() == id {
                return Some(entry.path());
            }
            queue.push(entry.path());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(shown: &Shown, number: u64) -> String {
        words(shown, number, Arch::X86_64)
    }

    #[test]
    fn users_and_processes_have_names() {
        assert_eq!(shown(&Shown::User, 0), "root");
        assert_eq!(shown(&Shown::User, 4_294_967_000), "4294967000");
        let own = fs::read_to_string("/proc/self/comm").unwrap_or_default();
        assert_eq!(
            shown(&Shown::Process, u64::from(std::process::id())),
            own.trim_end()
        );
        assert_eq!(shown(&Shown::Process, 0), "N/A");
        assert_eq!(shown(&Shown::Error, 2), "No such file or directory");
    }

    #[test]
    fn hierarchies_are_read_from_mounts() {
        let of = |line: &str| hierarchy(line).map(|(name, root)| (name, root.display().to_string()));
        assert_eq!(
            of("none /sys/fs/cgroup cgroup2 rw,nosuid 0 0"),
            Some(("unified".into(), "/sys/fs/cgroup".into()))
        );
        assert_eq!(
            of("cgroup /sys/fs/cgroup/cpuset cgroup rw 0 0"),
            Some(("cpuset".into(), "/sys/fs/cgroup/cpuset".into()))
        );
        assert_eq!(of("proc /proc proc rw 0 0"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn directories_are_found_by_their_inode() {
        let root = std::env::temp_dir().join(format!("crumbs-words-{}", std::process::id()));
        let below = root.join("a").join("b");
        fs::create_dir_all(&below).expect("a temporary directory can be made");
        let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&below).expect("it was just made"));
        assert_eq!(with_inode(&root, id), Some(below));
        assert_eq!(with_inode(&root, u64::MAX), None);
        fs::remove_dir_all(&root).expect("it was just made");
    }
}
