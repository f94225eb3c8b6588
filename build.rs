//! How the release binary is linked: smaller, with fewer pages to touch before it runs.
//!
//! In: what cargo says of the build, and the C library of this machine. Out: options for the linker. Linkers that do not know
//! `-z` options pass over them.

use std::env;
use std::process::Command;

/// The first glibc that relocates by `DT_RELR`.
const GLIBC_WITH_RELR: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_release = is("PROFILE", "release");
    let is_gnu = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if !is_release || !is_gnu {
        return;
    }
    // An index for unwinding, which nothing does here; debuggers read the table itself.
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    // 150 KB of relocations become 2 KB. What runs elsewhere is linked statically, and the loader of that is in the binary.
    let is_for_here = env::var("HOST").ok() == env::var("TARGET").ok();
    let is_static = env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|all| all.contains("crt-static"));
    if is_for_here && !is_static && glibc().is_some_and(|version| version >= GLIBC_WITH_RELR) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's C library: `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
