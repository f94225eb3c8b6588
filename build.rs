//! How the release binary is linked: smaller, with fewer pages to touch before it runs.
//!
//! In: what cargo says of the build, what the linker takes, and the C library of this machine. Out: options for the linker,
//! each of which it has been tried with: what is linked by another one is larger, and works as well.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first glibc that relocates by `DT_RELR`.
const GLIBC_WITH_RELR: (u32, u32) = (2, 36);

/// Leaves out how to unwind, 8 % of the binary, which nothing does: a panic aborts (`panic` of the profile). `INSERT` keeps
/// the linker's own script in force.
const WITHOUT_UNWINDING: &str = "SECTIONS {
    /DISCARD/ : { *(.eh_frame) *(.gcc_except_table .gcc_except_table.*) }
}
INSERT AFTER .text;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_release = is("PROFILE", "release");
    let is_gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if !is_release || !is_gnu {
        return;
    }
    // An index for unwinding, which nothing does here.
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    // What runs elsewhere is linked statically: the loader is in the binary, and C code that may want to unwind.
    let is_static = env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|all| all.contains("crt-static"));
    if is_static {
        return;
    }
    let script = out.join("without_unwinding.ld");
    // One copy of functions that are alike.
    let mut options = vec!["-Wl,--icf=all".to_owned()];
    if fs::write(&script, WITHOUT_UNWINDING).is_ok() {
        options.push(format!("-Wl,-T,{}", script.display()));
    }
    // 150 KB of relocations become 2 KB.
    let is_for_here = env::var("HOST").ok() == env::var("TARGET").ok();
    if is_for_here && glibc().is_some_and(|version| version >= GLIBC_WITH_RELR) {
        options.push("-Wl,-z,pack-relative-relocs".to_owned());
    }
    for option in options {
        if links_with(&option, &out) == Some(true) {
            println!("cargo::rustc-link-arg-bins={option}");
        }
    }
}

/// Whether a program can be linked with an option; `None` where that cannot be tried.
fn links_with(option: &str, out: &Path) -> Option<bool> {
    let source = out.join("linked.rs");
    fs::write(&source, "fn main() {}").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc.arg(&source).arg("-o").arg(out.join("linked"));
    rustc.args(["--edition", "2024", "--target", &env::var("TARGET").ok()?]);
    rustc.args(["-C", "panic=abort", "-C", "link-arg=-Wl,--no-eh-frame-hdr"]);
    rustc.args(["-C", &format!("link-arg={option}")]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    // A linker that does not know the option says so.
    let status = rustc.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(status.success())
}

/// The version of this machine's C library: `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
