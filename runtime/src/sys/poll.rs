//! Waiting: `epoll(7)`, and SIGINT and SIGTERM as a descriptor.
#![expect(unsafe_code, reason = "system calls")]

use super::{check, retry};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::time::Duration;

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = check(libc::c_long::from(unsafe {
            libc::epoll_create1(libc::EPOLL_CLOEXEC)
        }))?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Adds a descriptor; [`Epoll::wait`] reports it as `token` while it is readable.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token,
        };
        // SAFETY: `event` lives through the call.
        check(libc::c_long::from(unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_raw_fd(),
                &raw mut event,
            )
        }))
        .map(drop)
    }

    /// Waits until something is readable, a signal arrives or `timeout` is over (`None`: never; rounded up to
    /// milliseconds). Gives the tokens, none for the latter two.
    ///
    /// # Errors
    /// The kernel's, `EINTR` left out.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
        let millis = timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        // SAFETY: the kernel writes at most as many events as there is room for.
        let found = check(libc::c_long::from(unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as i32,
                millis,
            )
        }));
        match found {
            Ok(found) => Ok(events
                .iter()
                .take(found as usize)
                .map(|event| event.u64)
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Where the signal handler writes; -1 for nowhere.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);
/// When the first signal came, milliseconds of the monotonic clock; 0 for never.
static FIRST_SIGNAL: AtomicI64 = AtomicI64::new(0);

/// How long after the first signal another one is the same wish: `timeout -s INT` sends two at once.
const IMPATIENCE_MS: i64 = 1000;

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// SIGINT or SIGTERM.
    End,
    /// SIGUSR1.
    Usr1,
}

/// SIGINT, SIGTERM and SIGUSR1. The first of the former two makes [`Signals::as_fd`] readable. One that comes more than a
/// second later ends the process at once, with status 128 + signal: what is attached is descriptors, which the kernel then
/// closes. SIGUSR1 makes it readable each time, and ends nothing.
#[derive(Debug)]
pub struct Signals {
    pipe: std::io::PipeReader,
    _writer: OwnedFd,
    previous: Vec<(i32, libc::sigaction)>,
}

/// What the handler writes.
const END: u8 = 0;
const USR1: u8 = 1;

extern "C" fn on_signal(signal: i32) {
    // SAFETY: clock_gettime, write and _exit are async-signal-safe; errno is put back, as the interrupted code may be
    // about to read it.
    unsafe {
        let errno = *libc::__errno_location();
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
        let now = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
        if signal == libc::SIGUSR1 {
            libc::write(SIGNAL_PIPE.load(Ordering::Relaxed), [USR1].as_ptr().cast(), 1);
            *libc::__errno_location() = errno;
            return;
        }
        match FIRST_SIGNAL.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed) {
            Err(first) if now - first > IMPATIENCE_MS => libc::_exit(128 + signal),
            _ => {
                libc::write(SIGNAL_PIPE.load(Ordering::Relaxed), [END].as_ptr().cast(), 1);
            }
        }
        *libc::__errno_location() = errno;
    }
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and SIGUSR1 until dropped. One at a time in a process. Signals that were ignored are taken
    /// too: a shell starts background jobs with SIGINT ignored, and `kill -INT` is meant to end them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn catch() -> io::Result<Self> {
        let (pipe, writer) = std::io::pipe()?;
        let writer = OwnedFd::from(writer);
        set_nonblocking(&pipe)?;
        set_nonblocking(&writer)?;
        FIRST_SIGNAL.store(0, Ordering::Relaxed);
        SIGNAL_PIPE.store(writer.as_raw_fd(), Ordering::Relaxed);
        let previous = vec![
            (libc::SIGINT, handle(libc::SIGINT)?),
            (libc::SIGTERM, handle(libc::SIGTERM)?),
            (libc::SIGUSR1, handle(libc::SIGUSR1)?),
        ];
        Ok(Self {
            pipe,
            _writer: writer,
            previous,
        })
    }

    /// Readable while a signal has come that [`Signals::take`] has not told.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.pipe)
    }

    /// Whether SIGINT or SIGTERM has come, told or not.
    pub fn is_ending(&self) -> bool {
        FIRST_SIGNAL.load(Ordering::Relaxed) != 0
    }

    /// The next signal that has come, in order.
    pub fn take(&mut self) -> Option<Caught> {
        let mut bytes = [0; 1];
        match retry(|| self.pipe.read(&mut bytes)) {
            Ok(1..) if bytes == [USR1] => Some(Caught::Usr1),
            Ok(1..) => Some(Caught::End),
            _ => None,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, action) in &self.previous {
            // SAFETY: puts back an action that sigaction gave.
            unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
        }
        SIGNAL_PIPE.store(-1, Ordering::Relaxed);
    }
}

/// Installs the handler and gives the action that was there.
fn handle(signal: i32) -> io::Result<libc::sigaction> {
    // SAFETY: all-zero is a valid sigaction (default action, empty mask).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut previous: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as extern "C" fn(i32) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: both structs live through the call; the handler is async-signal-safe.
    check(libc::c_long::from(unsafe {
        libc::sigaction(signal, &raw const action, &raw mut previous)
    }))?;
    Ok(previous)
}

fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(libc::c_long::from(unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK)
    }))
    .map(drop)
}
