//! Why a file cannot be traced or read, in the user's terms and with the way out.

use super::reach;
use crumbs_compiler::target::{Arch, TargetError};
use goblin::elf::{Header, header};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The way out for what is neither.
pub(super) const NAME_A_PROGRAM: &str = "name a program or a shared library";

/// Refuses a file that no process of this machine runs.
pub(super) fn check_kind(path: &str, header: &Header, arch: Arch) -> Result<(), TargetError> {
    let this = match arch {
        Arch::X86_64 => header::EM_X86_64,
        Arch::Aarch64 => header::EM_AARCH64,
    };
    let machine = machine_name(header.e_machine);
    if header.e_machine != this {
        let reason = format!("it is for {machine} and this machine is {}", machine_name(this));
        return Err(unreadable(
            path,
            &reason,
            "trace it on a machine of its kind".to_owned(),
        ));
    }
    if header.e_ident[header::EI_CLASS] != header::ELFCLASS64 {
        let help = "crumbs traces 64-bit programs; use a 64-bit build of it".to_owned();
        return Err(unreadable(path, "it is a 32-bit program", help));
    }
    if header.e_ident[header::EI_DATA] != header::ELFDATA2LSB {
        return Err(unreadable(
            path,
            "it is for a big-endian machine",
            NAME_A_PROGRAM.to_owned(),
        ));
    }
    match header.e_type {
        header::ET_EXEC | header::ET_DYN => Ok(()),
        header::ET_REL => {
            let help = "link it, and name the program or library that it becomes part of".to_owned();
            Err(unreadable(path, "it is an object file, which does not run", help))
        }
        header::ET_CORE => Err(unreadable(path, "it is a core dump", NAME_A_PROGRAM.to_owned())),
        _ => Err(unreadable(
            path,
            "it is neither a program nor a library",
            NAME_A_PROGRAM.to_owned(),
        )),
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        header::EM_X86_64 => "x86-64".to_owned(),
        header::EM_AARCH64 => "AArch64".to_owned(),
        header::EM_386 => "32-bit x86".to_owned(),
        header::EM_ARM => "32-bit Arm".to_owned(),
        header::EM_RISCV => "RISC-V".to_owned(),
        header::EM_PPC64 => "64-bit POWER".to_owned(),
        header::EM_S390 => "IBM Z".to_owned(),
        header::EM_BPF => "BPF".to_owned(),
        other => format!("machine {other}"),
    }
}

/// What a file is that begins with `start` and is no ELF file.
pub(super) fn not_elf(path: &str, start: &[u8]) -> TargetError {
    if let Some(interpreter) = interpreter(start) {
        let reason = format!("it is a script, run by {interpreter}");
        return unreadable(path, &reason, format!("trace its interpreter: `{interpreter}`"));
    }
    if start.starts_with(b"/* GNU ld script") {
        let help = "name the library itself, which has a number behind `.so`".to_owned();
        return unreadable(path, "it is a text for the linker that names the library", help);
    }
    unreadable(path, "it is no ELF file", NAME_A_PROGRAM.to_owned())
}

/// The program that a script's first line names, looking through `env`.
pub(super) fn interpreter(start: &[u8]) -> Option<String> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let program = words.next()?;
    if program.rsplit('/').next() == Some("env") {
        let named = words.find(|word| !word.starts_with('-') && !word.contains('='));
        return Some(named.unwrap_or(program).to_owned());
    }
    Some(program.to_owned())
}

/// A refusal.
pub(super) fn unreadable(what: &str, reason: &str, help: String) -> TargetError {
    TargetError::Unreadable {
        what: what.to_owned(),
        reason: reason.to_owned(),
        help,
    }
}

/// A file that contradicts itself.
pub(super) fn damaged(path: &str, reason: &str) -> TargetError {
    unreadable(
        path,
        &format!("it is damaged: {reason}"),
        "install or build it again".to_owned(),
    )
}

/// Why `part` of a file could not be read.
pub(super) fn read_error(path: &str, error: &io::Error, part: &str) -> TargetError {
    match error.kind() {
        ErrorKind::UnexpectedEof => damaged(path, &format!("{part} lie outside the file")),
        _ => io_error(path, error),
    }
}

/// Opens a file that can be a program.
pub(super) fn open_regular(path: &str) -> Result<File, TargetError> {
    let file = reach::open(Path::new(path));
    let file = file.map_err(|error| io_error(path, &error))?;
    let kind = file
        .metadata()
        .map_err(|error| io_error(path, &error))?
        .file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let (reason, help) = if kind.is_dir() {
        (
            "it is a directory",
            format!("name a file in it, as in `{}/*`", path.trim_end_matches('/')),
        )
    } else {
        ("it is no regular file", NAME_A_PROGRAM.to_owned())
    };
    Err(unreadable(path, reason, help))
}

/// Why a file could not be read.
pub(super) fn io_error(path: &str, error: &io::Error) -> TargetError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => TargetError::NotFound {
            similar: Vec::new(),
            searched: vec![path.to_owned()],
        },
        ErrorKind::PermissionDenied => {
            let help = "run crumbs as a user who may read it, such as root".to_owned();
            unreadable(path, "you have no permission to read it", help)
        }
        _ => unreadable(
            path,
            &error.to_string(),
            "see whether the file can be read by other programs".to_owned(),
        ),
    }
}
