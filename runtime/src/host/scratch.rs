//! For tests: a directory of their own, and small libraries in it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; a skipped one says why"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "crumbs-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(std::fs::canonicalize(path).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Compiles `source` to `name` with more arguments; `None`, said so, where there is no C compiler.
    pub(crate) fn compile(&self, name: &str, source: &str, arguments: &[&str]) -> Option<PathBuf> {
        let source = self.write(&format!("{name}.c"), source);
        let output = self.path(name);
        let run = Command::new("cc")
            .args(["-O1", "-o"])
            .arg(&output)
            .arg(source)
            .args(arguments)
            .output();
        match run {
            Ok(run) if run.status.success() => Some(output),
            Ok(run) => panic!("cc: {}", String::from_utf8_lossy(&run.stderr)),
            Err(error) => {
                eprintln!("skipped: cannot run cc: {error}");
                None
            }
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
