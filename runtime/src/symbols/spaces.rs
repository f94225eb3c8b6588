//! Which files were mapped where in which process, also in processes that have ended since.
//!
//! In: the contents of `/proc/PID/maps` and what the kernel reports of forks, execs and mappings
//! ([`crate::sys::mmap_events`]). Out: file and offset for an address. A process has a new life with each exec; an address is
//! looked up in the latest life that has it, since stacks of earlier ones are printed as well.

use std::collections::HashMap;
use std::path::PathBuf;

/// An executable mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// The file, as the process named it.
    pub path: PathBuf,
}

/// The mappings of a process since an exec, in the order they were made.
type Life = Vec<Mapping>;

/// Address spaces of processes.
#[derive(Debug, Default)]
pub struct Spaces {
    lives: HashMap<u32, Vec<Life>>,
}

impl Spaces {
    /// Whether anything is known of a process.
    pub fn knows(&self, pid: u32) -> bool {
        self.lives.contains_key(&pid)
    }

    /// A process was made by another: it has that one's mappings.
    pub fn fork(&mut self, parent: u32, child: u32) {
        if parent != child
            && let Some(life) = self.lives.get(&parent).and_then(|lives| lives.last())
        {
            let life = life.clone();
            self.lives.insert(child, vec![life]);
        }
    }

    /// A process executes another program: its mappings are gone.
    pub fn exec(&mut self, pid: u32) {
        self.lives.entry(pid).or_default().push(Life::new());
    }

    /// A process has mapped a file.
    pub fn map(&mut self, pid: u32, mapping: Mapping) {
        let lives = self.lives.entry(pid).or_default();
        if lives.is_empty() {
            lives.push(Life::new());
        }
        if let Some(life) = lives.last_mut() {
            life.push(mapping);
        }
    }

    /// Takes over what `/proc/PID/maps` says of a process.
    pub fn read(&mut self, pid: u32, maps: &str) {
        let life: Life = maps.lines().filter_map(parse_line).collect();
        if !life.is_empty() {
            self.lives.entry(pid).or_default().push(life);
        }
    }

    /// Every mapping of a process, the earliest first.
    pub fn all(&self, pid: u32) -> impl Iterator<Item = &Mapping> {
        self.lives.get(&pid).into_iter().flatten().flatten()
    }

    /// The file and the offset in it that an address of a process shows; the latest mapping counts.
    pub fn find(&self, pid: u32, address: u64) -> Option<(&Mapping, u64)> {
        let lives = self.lives.get(&pid)?.iter().rev();
        let mapping = lives
            .flat_map(|life| life.iter().rev())
            .find(|mapping| (mapping.start..mapping.end).contains(&address))?;
        Some((mapping, address - mapping.start + mapping.offset))
    }
}

/// A line of `/proc/PID/maps` (proc(5)) that is an executable mapping of a file.
fn parse_line(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let (word, behind) = rest.trim_start().split_once(' ')?;
        rest = behind;
        Some(word)
    };
    let (range, permissions, offset, _device, _inode) = (word()?, word()?, word()?, word()?, word()?);
    let path = rest.trim_start();
    if permissions.as_bytes().get(2) != Some(&b'x') || !path.starts_with('/') {
        return None;
    }
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = range.split_once('-')?;
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        path: path.strip_suffix(" (deleted)").unwrap_or(path).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, path: &str) -> Mapping {
        Mapping {
            start,
            end: start + 0x1000,
            offset: 0x2000,
            path: path.into(),
        }
    }

    fn found(spaces: &Spaces, pid: u32, address: u64) -> Option<(String, u64)> {
        let (mapping, offset) = spaces.find(pid, address)?;
        Some((mapping.path.display().to_string(), offset))
    }

    #[test]
    fn lines_of_proc_maps() {
        let maps = "55d0c000-55d0d000 r--p 00000000 fe:00 12   /usr/bin/dd\n\
                    55d0d000-55d1a000 r-xp 00001000 fe:00 12   /usr/bin/dd\n\
                    7f000000-7f001000 r-xp 00000000 00:00 0    [vdso]\n\
                    7f100000-7f101000 r-xp 00003000 fe:00 13   /tmp/a b (deleted)\n\
                    nonsense\n\n7-8\n";
        let mut spaces = Spaces::default();
        spaces.read(1, maps);
        assert_eq!(
            found(&spaces, 1, 0x55d0_d010),
            Some(("/usr/bin/dd".into(), 0x1010))
        );
        assert_eq!(found(&spaces, 1, 0x55d0_c010), None);
        assert_eq!(found(&spaces, 1, 0x7f00_0010), None);
        assert_eq!(found(&spaces, 1, 0x7f10_0000), Some(("/tmp/a b".into(), 0x3000)));
        assert_eq!(found(&spaces, 2, 0x55d0_d010), None);
    }

    #[test]
    fn forks_share_and_execs_begin_anew() {
        let mut spaces = Spaces::default();
        spaces.map(1, mapping(0x1000, "/a"));
        spaces.fork(1, 2);
        assert_eq!(found(&spaces, 2, 0x1004), Some(("/a".into(), 0x2004)));
        spaces.exec(2);
        spaces.map(2, mapping(0x1000, "/b"));
        assert_eq!(found(&spaces, 2, 0x1004), Some(("/b".into(), 0x2004)));
        assert_eq!(found(&spaces, 1, 0x1004), Some(("/a".into(), 0x2004)));
        // Of the life before there is what the later one does not have.
        spaces.map(1, mapping(0x5000, "/c"));
        spaces.exec(1);
        spaces.map(1, mapping(0x1000, "/d"));
        assert_eq!(found(&spaces, 1, 0x5000), Some(("/c".into(), 0x2000)));
        assert_eq!(found(&spaces, 1, 0x1000), Some(("/d".into(), 0x2000)));
    }
}
