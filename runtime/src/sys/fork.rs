//! Forking a process that waits before it executes a program.
//!
//! In: everything as prepared C strings. After `fork` the child calls only async-signal-safe functions: other threads
//! may have held locks at that moment. It is done here rather than by [`std::process::Command`] because that returns
//! only when the program already runs.
#![expect(unsafe_code, reason = "fork and what must follow it")]

use super::{check, retry};
use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What to execute.
#[derive(Debug)]
pub struct Image {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    /// A program, its arguments (the first is its name) and its whole environment.
    ///
    /// # Errors
    /// When something has a NUL byte.
    pub fn new(program: &Path, arguments: &[String], environment: Vec<CString>) -> io::Result<Self> {
        Ok(Self {
            program: CString::new(program.as_os_str().as_bytes())?,
            arguments: arguments
                .iter()
                .map(|argument| CString::new(argument.as_str()))
                .collect::<Result<_, _>>()?,
            environment,
        })
    }
}

/// A user to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    name: String,
}

impl Identity {
    /// The user who called sudo, with all groups; `None` unless this is root through sudo of someone else.
    pub fn of_sudo_caller() -> Option<Self> {
        let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
        let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
        let name = std::env::var("SUDO_USER").ok()?;
        (uid != 0 && super::process::effective_uid() == 0).then(|| Self::new(uid, gid, &name))
    }

    /// A user with all groups that `id -G` knows: a statically linked program cannot ask the name services (LDAP and
    /// such) that clusters keep them in. Only `gid` where it knows none.
    pub fn new(uid: u32, gid: u32, name: &str) -> Self {
        let listed = std::process::Command::new("id")
            .args(["-G", "--", name])
            .output()
            .ok();
        let mut groups: Vec<u32> = listed
            .filter(|output| output.status.success())
            .map(|output| {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.split_ascii_whitespace()
                    .filter_map(|id| id.parse().ok())
                    .collect()
            })
            .unwrap_or_default();
        if groups.is_empty() {
            groups.push(gid);
        }
        Self {
            uid,
            gid,
            groups,
            name: name.into(),
        }
    }

    /// `USER`, `LOGNAME` and `HOME` of this user, as environment entries.
    pub fn login_entries(&self) -> Vec<CString> {
        let mut entries = vec![format!("USER={}", self.name), format!("LOGNAME={}", self.name)];
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let home = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(&self.name))
                .then(|| fields.nth(4))
                .flatten()
        });
        entries.extend(home.map(|home| format!("HOME={home}")));
        entries
            .into_iter()
            .filter_map(|entry| CString::new(entry).ok())
            .collect()
    }
}

/// A process that waits, or waited, to execute its program.
#[derive(Debug)]
pub struct Forked {
    pid: i32,
    /// A byte lets it go on; closing makes it end.
    hold: Option<PipeWriter>,
    /// What `execve` failed with; closed without a word by its success.
    failure: PipeReader,
    reaped: Option<i32>,
}

/// Forks; the child becomes `identity`, gives up capabilities, and waits.
///
/// # Errors
/// The kernel's.
pub fn fork_held(image: &Image, identity: Option<&Identity>) -> io::Result<Forked> {
    let (hold_reader, hold) = io::pipe()?;
    let (failure, failure_writer) = io::pipe()?;
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let arguments = pointers(&image.arguments);
    // A script without `#!` is run by sh, as execvp does.
    let mut sh_arguments = vec![c"sh".as_ptr(), image.program.as_ptr()];
    sh_arguments.extend(arguments.iter().skip(1));
    let environment = pointers(&image.environment);
    let plan = AfterFork {
        program: &image.program,
        arguments: &arguments,
        sh_arguments: &sh_arguments,
        environment: &environment,
        identity,
        hold: hold_reader.as_raw_fd(),
        hold_writer: hold.as_raw_fd(),
        failure: failure_writer.as_raw_fd(),
    };
    // No handler of ours may run in the child, where it would write to our pipe.
    let blocked = block_signals();
    // SAFETY: the child calls only async-signal-safe functions and never returns (see `AfterFork::run`).
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        plan.run(&blocked)
    }
    let error = io::Error::last_os_error();
    set_signal_mask(&blocked);
    if pid < 0 {
        return Err(error);
    }
    Ok(Forked {
        pid,
        hold: Some(hold),
        failure,
        reaped: None,
    })
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: all-zero is a valid set; both sets live through the calls.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
        before
    }
}

fn set_signal_mask(mask: &libc::sigset_t) {
    // SAFETY: the set lives through the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// What the child needs, all of it made before the fork.
struct AfterFork<'a> {
    program: &'a CStr,
    arguments: &'a [*const libc::c_char],
    sh_arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    identity: Option<&'a Identity>,
    hold: i32,
    hold_writer: i32,
    failure: i32,
}

impl AfterFork<'_> {
    /// The child, from fork to execve. Async-signal-safe: no allocation, no lock, no panic.
    fn run(&self, mask: &libc::sigset_t) -> ! {
        // SAFETY: async-signal-safe calls on descriptors of ours, NUL-terminated strings and null-terminated lists that
        // were made before the fork.
        unsafe {
            libc::close(self.hold_writer);
            // Rust ignores SIGPIPE, which programs do not expect to inherit; the others may have handlers of ours.
            for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut());
            if !self.give_up_privileges() {
                self.fail();
            }
            let mut byte = 0u8;
            let released = loop {
                match libc::read(self.hold, (&raw mut byte).cast(), 1) {
                    -1 if *libc::__errno_location() == libc::EINTR => {}
                    count => break count == 1,
                }
            };
            if !released {
                libc::_exit(0);
            }
            libc::execve(
                self.program.as_ptr(),
                self.arguments.as_ptr(),
                self.environment.as_ptr(),
            );
            if *libc::__errno_location() == libc::ENOEXEC {
                libc::execve(
                    c"/bin/sh".as_ptr(),
                    self.sh_arguments.as_ptr(),
                    self.environment.as_ptr(),
                );
            }
            self.fail()
        }
    }

    /// Tells the parent `errno` and ends.
    fn fail(&self) -> ! {
        // SAFETY: async-signal-safe; the bytes are on the stack.
        unsafe {
            let errno = (*libc::__errno_location()).to_ne_bytes();
            libc::write(self.failure, errno.as_ptr().cast(), errno.len());
            libc::_exit(127)
        }
    }

    /// Becomes the user and clears what capabilities would survive execve: the ambient and the inheritable set. Plain
    /// system calls: the C library's wrappers want to act on all threads.
    fn give_up_privileges(&self) -> bool {
        #[repr(C)]
        struct Header {
            version: u32,
            pid: i32,
        }
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Data {
            effective: u32,
            permitted: u32,
            inheritable: u32,
        }
        // `_LINUX_CAPABILITY_VERSION_3`
        let mut header = Header {
            version: 0x2008_0522,
            pid: 0,
        };
        let mut data = [Data {
            effective: 0,
            permitted: 0,
            inheritable: 0,
        }; 2];
        // SAFETY: plain system calls on structs of the kernel's layout, on the stack.
        unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
            if libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) == 0 {
                for word in &mut data {
                    word.inheritable = 0;
                }
                libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr());
            }
            let Some(user) = self.identity else { return true };
            libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()) == 0
                && libc::syscall(libc::SYS_setresgid, user.gid, user.gid, user.gid) == 0
                && libc::syscall(libc::SYS_setresuid, user.uid, user.uid, user.uid) == 0
        }
    }
}

impl Forked {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Lets it execute its program and waits until it does. Later calls do nothing.
    ///
    /// # Errors
    /// Why it could not.
    pub fn release(&mut self) -> io::Result<()> {
        let Some(mut hold) = self.hold.take() else {
            return Ok(());
        };
        // If it has already failed, nobody reads this; the failure is in the other pipe.
        let _ = hold.write_all(&[1]);
        let mut errno = Vec::new();
        self.failure.read_to_end(&mut errno)?;
        match <[u8; 4]>::try_from(errno) {
            Ok(errno) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            Err(_) => Ok(()),
        }
    }

    /// Makes it end if it still waits.
    pub fn abandon(&mut self) {
        self.hold = None;
    }

    /// Sends a signal, unless it was waited for already (its number may be another's then).
    pub fn signal(&self, signal: i32) {
        if self.reaped.is_none() {
            // SAFETY: takes no pointer; the process is our child and not reaped.
            unsafe { libc::kill(self.pid, signal) };
        }
    }

    /// Its wait status, once it has ended.
    pub fn try_wait(&mut self) -> Option<i32> {
        if self.reaped.is_none() {
            let mut status = 0;
            let pid = self.pid;
            // SAFETY: `status` lives through the call.
            let waited = retry(|| {
                check(libc::c_long::from(unsafe {
                    libc::waitpid(pid, &raw mut status, libc::WNOHANG)
                }))
            });
            if matches!(waited, Ok(found) if found == libc::c_long::from(pid)) {
                self.reaped = Some(status);
            }
        }
        self.reaped
    }
}
