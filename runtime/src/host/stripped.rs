//! Symbols that were stripped from a program.
//!
//! In: an image. Out: the same, with the functions that a separate debug file or the section `.gnu_debugdata` names.
//! That section holds an ELF file that has nothing but a symbol table, compressed with xz; distributions of the Fedora
//! family put it into each program. Neither is trusted more than the program itself: what does not fit is left out.

use super::dwarf::DebugFiles;
use super::elf::Image;
use super::xz;
use crate::sys::process;
use crumbs_compiler::target::Arch;
use std::io::{self, Cursor, Write};
use std::os::fd::AsRawFd;

/// The section with compressed symbols.
const SECTION: &str = ".gnu_debugdata";

/// The most that it may become: several times those of the largest programs.
const MAX_SIZE: usize = 256 << 20;

/// Looks for the symbols that an image lacks. Gives whether it has got some.
pub(super) fn complete(image: &Image, debug: &DebugFiles, arch: Arch) -> bool {
    if !image.is_incomplete() {
        return false;
    }
    from_file(image, debug, arch);
    if image.is_incomplete() {
        from_section(image, arch);
    }
    !image.is_incomplete()
}

fn from_file(image: &Image, debug: &DebugFiles, arch: Arch) -> Option<()> {
    let file = debug.separate(image.path())?;
    let other = Image::open(file.to_str()?, arch).ok()?;
    image.complete(&other).ok()
}

fn from_section(image: &Image, arch: Arch) -> Option<()> {
    let compressed = image.section_contents(SECTION).ok()??;
    if xz::unpacked_size(&compressed)? > MAX_SIZE as u64 {
        return None;
    }
    let file = process::memory_file(c"crumbs-symbols", 0).ok()?;
    let mut limited = Limited {
        to: &file,
        left: MAX_SIZE,
    };
    lzma_rs::xz_decompress(&mut Cursor::new(compressed), &mut limited).ok()?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    image.complete(&Image::open(&path, arch).ok()?).ok()
}

/// Fails where more is written than expected.
struct Limited<W> {
    to: W,
    left: usize,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::print_stderr,
        reason = "tests; a skipped one says why"
    )]
    use super::*;
    use crate::host::scratch::Scratch;
    use crate::host::{HostOptions, HostTarget};
    use crumbs_compiler::target::{Binary, Target, TargetError};
    use std::path::Path;
    use std::process::Command;

    const SOURCE: &str =
        "static __attribute__((noinline)) int hidden(int n) { __asm__ volatile(\"\"); return n; }
        int main(int argc, char **argv) { return hidden(argc); }";

    /// Whether a command could be run in a directory.
    fn run(directory: &Path, command: &str) -> bool {
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(directory)
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// The offsets of the function in a program that was built with symbols, and in what `commands` make of it.
    fn offsets(commands: &str) -> Option<[Vec<u64>; 2]> {
        let scratch = Scratch::new();
        let app = scratch.compile("app", SOURCE, &["-g"])?;
        let offsets = || {
            let host = HostTarget::new(HostOptions::default());
            let binary = Binary {
                path: app.to_str().unwrap().to_owned(),
            };
            match host.functions_named(&binary, "hidden") {
                Ok(found) => {
                    let all = host.functions(&binary).unwrap();
                    assert!(all.iter().any(|function| function == &found[0]));
                    found.iter().map(|function| function.offset).collect()
                }
                Err(TargetError::NotFound { .. }) => Vec::new(),
                Err(error) => panic!("{error:?}"),
            }
        };
        let before = offsets();
        if !run(scratch.root(), commands) {
            eprintln!("skipped: there is no objcopy or xz");
            return None;
        }
        Some([before, offsets()])
    }

    #[test]
    fn a_separate_file_has_the_symbols() {
        let split = "objcopy --only-keep-debug app app.debug && strip app && objcopy --add-gnu-debuglink=app.debug app";
        if let Some([whole, split]) = offsets(split) {
            assert!(!whole.is_empty() && whole == split, "{whole:?} {split:?}");
        }
        // Without that file there is nothing to find.
        if let Some([_, stripped]) = offsets("strip app") {
            assert!(stripped.is_empty());
        }
    }

    #[test]
    fn a_section_has_the_symbols() {
        let packed = "objcopy -S --keep-symbol=hidden app small && strip app && xz -k small \\
            && objcopy --add-section .gnu_debugdata=small.xz app";
        if let Some([whole, packed]) = offsets(packed) {
            assert!(!whole.is_empty() && whole == packed, "{whole:?} {packed:?}");
        }
        let damaged =
            "strip app && head -c 3000 /dev/urandom >small && objcopy --add-section .gnu_debugdata=small app";
        if let Some([_, damaged]) = offsets(damaged) {
            assert!(damaged.is_empty());
        }
    }

    #[test]
    fn what_grows_too_large_is_refused() {
        let mut limited = Limited {
            to: Vec::new(),
            left: 4,
        };
        assert_eq!(limited.write(b"abc").unwrap(), 3);
        assert!(limited.write(b"de").is_err());
        assert_eq!(limited.to, b"abc");
    }
}
