//! Which file names a short library name means.
//!
//! In: what the user wrote (`libc`, `libhdf5.so`, `libssl.so.3`, `lib*`) and a file name. Out: whether it is meant, and
//! how closely.

use crumbs_compiler::glob::Glob;

/// Builds of one library for different ways of running, which distributions install side by side under names of their
/// own (Debian: `libhdf5_serial.so`, `libhdf5_openmpi.so`). Other words behind `_` are other libraries (`libhdf5_hl`).
const BUILDS: [&str; 7] = ["serial", "openmpi", "mpich", "mpi", "parallel", "mt", "debug"];

/// How closely a file name is meant, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closeness {
    /// The name itself.
    Exact,
    /// With its version: `libc.so.6` for `libc`.
    Versioned,
    /// With a number or hash in its stem: `libglib-2.0.so.0`, or `libhdf5-1a2b3c4d.so.310` in a Python wheel.
    Tagged,
    /// A build of it, perhaps tagged: `libhdf5_serial.so.103`.
    Build,
}

/// How closely `file` is meant by `spec`; `None` where it is not.
pub(crate) fn closeness(spec: &str, file: &str) -> Option<Closeness> {
    if spec.contains('*') {
        return Glob::new(spec).matches(file).then_some(Closeness::Exact);
    }
    if spec == file {
        return Some(Closeness::Exact);
    }
    let (wanted, wanted_version) = split(spec);
    // Of the hundreds of files that are asked about, most end here.
    if !file.starts_with(wanted) {
        return None;
    }
    let (stem, version) = split(file);
    let version = version?;
    // `.so` means any version and `.so.1` means `.so.1.2`, but not `.so.10`.
    let same = wanted_version.is_none_or(|w| {
        version
            .strip_prefix(w)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    if wanted.is_empty() || !same {
        return None;
    }
    let rest = stem.strip_prefix(wanted)?;
    let (rest, tagged) = match rest.rsplit_once('-') {
        Some((rest, tag)) if is_tag(tag) => (rest, true),
        _ => (rest, false),
    };
    match rest.strip_prefix('_') {
        None if rest.is_empty() => Some(if tagged {
            Closeness::Tagged
        } else {
            Closeness::Versioned
        }),
        Some(build) if BUILDS.contains(&build) => Some(Closeness::Build),
        _ => None,
    }
}

/// What the names of all files begin with that `spec` means.
pub(crate) fn start(spec: &str) -> &str {
    match spec.split_once('*') {
        Some((start, _)) => start,
        None => stem(spec),
    }
}

/// The stem of a library's file name, for suggestions: `libc` of `libc.so.6`.
pub(crate) fn stem(file: &str) -> &str {
    split(file).0
}

/// Splits `libc.so.6` into `libc` and `.so.6`.
fn split(name: &str) -> (&str, Option<&str>) {
    let end = |at: &usize| matches!(name.as_bytes().get(at + 3), None | Some(b'.'));
    match name.match_indices(".so").map(|(at, _)| at).find(end) {
        Some(at) => (&name[..at], Some(&name[at..])),
        None => (name, None),
    }
}

fn is_tag(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_hexdigit())
        && text.chars().all(|c| c.is_ascii_hexdigit() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::Closeness::*;
    use super::closeness;

    #[test]
    fn names_and_files() {
        for (spec, file, wanted) in [
            ("libc.so.6", "libc.so.6", Some(Exact)),
            ("libc.so", "libc.so.6", Some(Versioned)),
            ("libc", "libc.so.6", Some(Versioned)),
            ("libc", "libc-2.31.so", Some(Tagged)),
            ("libc", "libcap.so.2", None),
            ("libc", "libc++.so.1", None),
            ("libfoo.so.1", "libfoo.so.1.2", Some(Versioned)),
            ("libfoo.so.1", "libfoo.so.10", None),
            ("libhdf5", "libhdf5_serial.so.103", Some(Build)),
            ("libhdf5", "libhdf5_hl.so.100", None),
            ("libhdf5", "libhdf5_serial_hl.so.100", None),
            ("libhdf5", "libhdf5-1a2b.so.310", Some(Tagged)),
            ("libhdf5.so.310", "libhdf5-1a2b.so.310", Some(Tagged)),
            ("libhdf5_hl", "libhdf5_hl-0f1e2d3c.so.310", Some(Tagged)),
            ("libhdf5", "libhdf5_openmpi-1a2b3c4d.so.103", Some(Build)),
            ("lib*ssl*", "libssl.so.3", Some(Exact)),
            ("libc", "libc", Some(Exact)),
            ("libc", "libc.txt", None),
            ("", "libc.so.6", None),
            (".so", ".so.1", None),
        ] {
            assert_eq!(closeness(spec, file), wanted, "{spec} against {file}");
        }
    }
}
