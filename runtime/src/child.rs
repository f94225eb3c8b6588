//! The process under observation: the command of `-c`, the process of `-p`.
//!
//! A command is split into words ([`words`]), looked up, and forked before anything is attached; it is held before
//! `execve` until [`Child::release`], so that no event of it is missed and none of crumbs' own start is seen. It stays
//! in the process group of crumbs: Ctrl-C at a terminal reaches both. It runs as the user who called `sudo` (see
//! [`crate::sys::fork::Identity`]) and inherits neither descriptors nor capabilities of crumbs.

use crate::backend::Error;
use crate::sys::fork::{self, Forked, Identity, Image};
use crate::sys::process;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long a command may take to end after SIGTERM before it gets SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Splits a command into words as a shell does, without expanding anything.
///
/// Blanks separate words. Between single quotes everything is literal; between double quotes a backslash makes the
/// following `"`, `\`, `$` or `` ` `` literal and stays before anything else; outside quotes it makes any character
/// literal. Quoted parts join what they touch, and `''` is an empty word. There are no variables, globs, pipes or
/// redirections: `sh -c '…'` has them.
///
/// # Errors
/// What is missing: a closing quote, or a character after a last backslash.
pub fn words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote is not closed".into()),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("nothing follows the last backslash".into()),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => break,
            },
            Some(c) => word.push(c),
            None => break,
        }
    }
    Err("a double quote is not closed".into())
}

/// Something that ends, to be waited for.
#[derive(Debug)]
pub struct Watch {
    pid: u32,
    /// `None` where the machine does not give one (a seccomp filter may forbid it).
    pidfd: Option<OwnedFd>,
}

impl Watch {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            pidfd: process::pidfd_open(pid).ok(),
        }
    }

    /// Readable once the process has ended.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Whether there is a descriptor; otherwise [`Watch::ended`] has to be asked now and then.
    pub fn has_fd(&self) -> bool {
        self.pidfd.is_some()
    }

    /// Whether the process has ended.
    pub fn ended(&self) -> bool {
        match &self.pidfd {
            Some(fd) => process::readable(fd.as_fd(), 0).unwrap_or(true),
            None => !process::exists(self.pid) || is_zombie(self.pid),
        }
    }
}

/// State and parent of a process: fields 3 and 4 of `/proc/PID/stat`, which follow the name in parentheses.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The process that is told when a process ends: the one that started it, while that runs.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|(_, parent)| parent)
}

fn is_zombie(pid: u32) -> bool {
    matches!(stat(pid), Some(('Z' | 'X', _)))
}

/// A running process to trace (`-p`).
///
/// # Errors
/// When there is none of that number, it has ended, or the number is a thread's.
pub fn watch_process(pid: u32) -> Result<Watch, Error> {
    let refuse =
        |reason: String, help: String| Err(Error::new(format!("trace process {pid}"), reason).help(help));
    if pid == 0 || !process::exists(pid) {
        return refuse(
            "there is no such process".into(),
            "-p takes the number that `ps` shows; -c starts a command".into(),
        );
    }
    let leader = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|status| {
            status
                .lines()
                .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse::<u32>().ok())
        });
    if let Some(leader) = leader.filter(|leader| *leader != pid) {
        return refuse(
            format!("{pid} is a thread of process {leader}"),
            format!("use -p {leader}, and compare `tid` in the script"),
        );
    }
    let watch = Watch::new(pid);
    if watch.ended() {
        return refuse(
            "it has already ended".into(),
            "name one that still runs; -c starts a command and traces it from its beginning".into(),
        );
    }
    Ok(watch)
}

/// The command of `-c`. Dropped before it ended it is terminated and waited for.
#[derive(Debug)]
pub struct Child {
    command: String,
    process: Forked,
    watch: Watch,
    status: Option<ExitStatus>,
}

impl Child {
    /// Splits, looks up and forks a command, which then waits for [`Child::release`].
    ///
    /// # Errors
    /// When it cannot be split, there is no such program, or it cannot be forked.
    pub fn spawn(command: &str) -> Result<Self, Error> {
        let refuse =
            |reason: String, help: Option<String>| Error::new(format!("run `{command}`"), reason).help(help);
        let words = words(command)
            .map_err(|reason| refuse(reason, Some("quotes and backslashes work as in a shell".into())))?;
        let name = words.first().filter(|name| !name.is_empty()).ok_or_else(|| {
            refuse(
                "it is empty".into(),
                Some(
                    "-c takes a program and its arguments: -c 'dd if=/dev/zero of=/dev/null count=1'".into(),
                ),
            )
        })?;
        let identity = Identity::of_sudo_caller();
        let environment = environment(identity.as_ref());
        let program = find_program(name, &environment).map_err(|reason| {
            let help = words
                .iter()
                .any(|word| matches!(word.as_str(), "|" | "&&" | "||" | ";" | ">"));
            let help = if help {
                "there is no shell: write sh -c '…'"
            } else {
                "-c takes a program on PATH or its path, with arguments"
            };
            refuse(reason, Some(help.into()))
        })?;
        let image =
            Image::new(&program, &words, environment).map_err(|error| refuse(error.to_string(), None))?;
        let process =
            fork::fork_held(&image, identity.as_ref()).map_err(|error| refuse(error.to_string(), None))?;
        let watch = Watch::new(process.pid());
        Ok(Self {
            command: command.into(),
            process,
            watch,
            status: None,
        })
    }

    /// Its process id, which is known before it runs.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Something that tells its end, for [`crate::kernel::KernelBackend::watch`].
    pub fn watch(&self) -> Watch {
        Watch::new(self.pid())
    }

    /// Lets it run; returns once it has become the program.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub fn release(&mut self) -> Result<(), Error> {
        self.process
            .release()
            .map_err(|error| Error::io(format!("run `{}`", self.command), &error))
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.process.try_wait().map(ExitStatus::from_raw);
        }
        self.status
    }

    /// Ends it: SIGTERM, and SIGKILL to one that does not heed it within some seconds. One that was never released
    /// ends without having run. Gives its exit status.
    pub fn end(&mut self) -> Option<ExitStatus> {
        if self.status().is_some() {
            return self.status;
        }
        self.process.abandon();
        let mut signal = libc::SIGTERM;
        self.process.signal(signal);
        let mut deadline = Instant::now() + PATIENCE;
        while self.status().is_none() {
            if Instant::now() >= deadline && signal == libc::SIGTERM {
                signal = libc::SIGKILL;
                self.process.signal(signal);
                deadline += PATIENCE;
            } else if Instant::now() >= deadline {
                break; // In an uninterruptible wait: init will reap it.
            }
            match self.watch.as_fd() {
                Some(fd) => drop(process::readable(fd, 100)),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        self.status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// The programs that a command is known to run: its own, and those of its words that are paths of executable files, as in
/// `mpirun -n 4 ./app`. Empty where the command cannot be run, which [`Child::spawn`] reports.
pub fn programs(command: &str) -> Vec<PathBuf> {
    let words = words(command).unwrap_or_default();
    let environment = environment(Identity::of_sudo_caller().as_ref());
    let is_candidate = |(index, word): &(usize, &String)| *index == 0 || word.contains('/');
    words
        .iter()
        .enumerate()
        .filter(is_candidate)
        .filter_map(|(_, word)| find_program(word, &environment).ok())
        .collect()
}

/// Where a program is: a path with a slash as it stands, else the first match on the PATH that the child will have.
fn find_program(name: &str, environment: &[CString]) -> Result<PathBuf, String> {
    let runnable =
        |path: &Path| std::fs::metadata(path).map(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    if name.contains('/') {
        return match runnable(Path::new(name)) {
            Ok(true) => Ok(name.into()),
            Ok(false) => Err(format!("{name} is not an executable file")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("there is no such file".into()),
            Err(error) => Err(error.to_string()),
        };
    }
    let path = environment
        .iter()
        .find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    path.split(|byte| *byte == b':')
        .map(|dir| if dir.is_empty() { b".".as_slice() } else { dir })
        .map(|dir| Path::new(std::ffi::OsStr::from_bytes(dir)).join(name))
        .find(|path| runnable(path).unwrap_or(false))
        .ok_or_else(|| "command not found".into())
}

/// The environment of the command: crumbs' own, or, where it runs as the user who called sudo, theirs.
///
/// sudo resets the environment, and its being setuid removes `LD_LIBRARY_PATH` from it; but `/proc` still shows what
/// the sudo process was started with, which the user's own process may have as well.
fn environment(identity: Option<&Identity>) -> Vec<CString> {
    let own = || {
        std::env::vars_os().filter_map(|(name, value)| {
            let mut entry = name.into_vec();
            entry.push(b'=');
            entry.extend(value.as_bytes());
            CString::new(entry).ok()
        })
    };
    let Some(identity) = identity else {
        return own().collect();
    };
    if let Some(environment) = sudo_environment() {
        return environment;
    }
    let replaced = |entry: &CString| {
        [&b"SUDO_"[..], b"USER=", b"LOGNAME=", b"HOME="]
            .iter()
            .any(|name| entry.as_bytes().starts_with(name))
    };
    let mut environment: Vec<CString> = own().filter(|entry| !replaced(entry)).collect();
    environment.extend(identity.login_entries());
    environment
}

/// What the nearest ancestor that is sudo was started with.
fn sudo_environment() -> Option<Vec<CString>> {
    let mut pid = std::process::id();
    for _ in 0..16 {
        (_, pid) = stat(pid)?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        if matches!(name.trim(), "sudo" | "sudo-rs") {
            let bytes = std::fs::read(format!("/proc/{pid}/environ"))
                .ok()
                .filter(|bytes| !bytes.is_empty())?;
            let entries = bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
            return Some(entries.filter_map(|entry| CString::new(entry).ok()).collect());
        }
    }
    None
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
