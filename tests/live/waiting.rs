//! Programs that wait for a line before they go on.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that waits for a line, and is ended with this.
pub(crate) struct Waiting(Child);

impl Waiting {
    pub(crate) fn start(program: &Path) -> Self {
        let child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Gives it one line, the last.
    pub(crate) fn go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
