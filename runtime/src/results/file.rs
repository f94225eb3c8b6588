//! A file that is there as a whole or not at all, and that no two processes write at the same time.
//!
//! In: its name. Out: something to write to, which becomes the file when it is [`NewFile::finish`]ed: until then it has
//! a name of its own beside it, locked. A process that is killed leaves only that behind, and the next one takes it over.

use crate::backend::Error;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How often a draft is looked for that others finish meanwhile.
const TRIES: usize = 100;

/// A file in the making.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    draft: Option<Draft>,
    to: BufWriter<File>,
}

#[derive(Debug)]
struct Draft {
    path: PathBuf,
    /// What had the name when this began.
    before: Option<Identity>,
}

/// Tells one state of a file from another.
type Identity = (u64, u64, i64, i64, u64);

fn identity(metadata: &Metadata) -> Identity {
    let m = metadata;
    (m.dev(), m.ino(), m.mtime(), m.mtime_nsec(), m.len())
}

/// The way out where processes would write to one file.
pub const ONE_FILE_EACH: &str =
    "give each process a file of its own: %p, %r and %h in a name tell them apart";

fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(format!("write to `{}`", path.display()), error.to_string())
}

impl NewFile {
    /// Begins a file. What has its name stays until it is finished.
    ///
    /// # Errors
    /// When it cannot be made, or another process is writing it.
    pub fn begin(path: &Path) -> Result<Self, Error> {
        let before = fs::metadata(path).ok();
        if before.as_ref().is_some_and(|before| !before.is_file()) {
            // A pipe or a device has nothing to be replaced.
            let file = OpenOptions::new().write(true).open(path);
            return Ok(Self {
                path: path.to_owned(),
                draft: None,
                to: BufWriter::new(file.map_err(|error| failed(path, error))?),
            });
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or_else(|| failed(path, "it names no file"))?);
        name.push(".unfinished");
        let draft = path.with_file_name(name);
        let file = locked(&draft).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::new(
                format!("write to `{}`", path.display()),
                "another process is writing it",
            )
            .help(ONE_FILE_EACH.to_owned()),
            _ => failed(path, error),
        })?;
        Ok(Self {
            path: path.to_owned(),
            draft: Some(Draft {
                path: draft,
                before: before.as_ref().map(identity),
            }),
            to: BufWriter::new(file),
        })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When it cannot be written, or another file got the name meanwhile.
    pub fn finish(mut self) -> Result<(), Error> {
        self.to.flush().map_err(|error| failed(&self.path, error))?;
        let Some(draft) = &self.draft else {
            return Ok(());
        };
        self.to
            .get_ref()
            .sync_data()
            .map_err(|error| failed(&self.path, error))?;
        if fs::metadata(&self.path).ok().as_ref().map(identity) != draft.before {
            return Err(Error::new(
                format!("write to `{}`", self.path.display()),
                "another process has written it meanwhile",
            )
            .help(ONE_FILE_EACH.to_owned()));
        }
        fs::rename(&draft.path, &self.path).map_err(|error| failed(&self.path, error))?;
        self.draft = None;
        Ok(())
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // What stays behind is taken over by the next process of that name.
            let _ = fs::remove_file(&draft.path);
        }
    }
}

/// The draft of that name, empty and locked by us.
fn locked(path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            // In a directory that others write to, a link of that name would lead to any file.
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Another process may have finished or removed it between the two calls.
        let (ours, named) = (file.metadata()?, fs::metadata(path));
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            file.set_len(0)?;
            return Ok(file);
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("crumbs-file-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_there_as_a_whole() {
        let directory = Directory::new("whole");
        let path = directory.0.join("a.json");
        fs::write(&path, "before").unwrap();
        let mut file = NewFile::begin(&path).unwrap();
        file.write_all(b"af").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        file.write_all(b"ter").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        drop(NewFile::begin(&path).unwrap());
        assert_eq!(directory.names(), ["a.json"]);
    }

    #[test]
    fn two_do_not_write_one_file() {
        let directory = Directory::new("two");
        let path = directory.0.join("a.json");
        let first = NewFile::begin(&path).unwrap();
        let error = NewFile::begin(&path).unwrap_err();
        assert_eq!(error.reason, "another process is writing it");
        // As where the other one's lock was not seen.
        fs::write(&path, "other").unwrap();
        let error = first.finish().unwrap_err();
        assert_eq!(error.reason, "another process has written it meanwhile");
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(directory.names(), ["a.json"]);
    }

    #[test]
    fn what_a_killed_process_left_is_taken_over() {
        let directory = Directory::new("killed");
        let path = directory.0.join("a.json");
        fs::write(directory.0.join(".a.json.unfinished"), "a long unfinished text").unwrap();
        let mut file = NewFile::begin(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(directory.names(), ["a.json"]);
    }

    #[test]
    fn a_link_in_the_place_of_the_draft_is_not_followed() {
        let directory = Directory::new("link");
        let victim = directory.0.join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, directory.0.join(".a.json.unfinished")).unwrap();
        assert!(NewFile::begin(&directory.0.join("a.json")).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn devices_are_written_as_they_are() {
        let mut file = NewFile::begin(Path::new("/dev/null")).unwrap();
        file.write_all(b"x").unwrap();
        file.finish().unwrap();
        assert!(NewFile::begin(Path::new("/")).is_err());
        assert!(NewFile::begin(Path::new("/no/such/directory")).is_err());
    }
}
