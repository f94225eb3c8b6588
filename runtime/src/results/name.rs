//! Names of files that every process of a job fills in for itself: `out.%h.json`.
//!
//! | in the name | stands for |
//! |---|---|
//! | `%h` | the machine's name |
//! | `%p` | the process id |
//! | `%r` | the rank in a parallel job: the first of [`RANKS`] that is set |
//! | `%j` | the batch job: the first of [`JOBS`] that is set |
//! | `%%` | `%` |

use crate::backend::Error;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where a process finds its rank, as the builtin `rank` does.
pub const RANKS: &[&str] = &["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"];
/// Where a process finds its job, as the builtin `jobid` does.
pub const JOBS: &[&str] = &["SLURM_JOB_ID", "FLUX_JOB_ID", "PBS_JOBID"];

/// The machine's name.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

/// The first of these variables of our environment that is set.
pub fn variable(names: &[&str]) -> Option<String> {
    let set = names.iter().filter_map(std::env::var_os);
    set.map(|value| value.to_string_lossy().into_owned())
        .find(|value| !value.is_empty())
}

/// The name with everything in it filled in. What comes from outside is no path: a `/` in it becomes `_`.
///
/// # Errors
/// When it asks for something that there is not, or that this process does not have.
pub fn filled(name: &Path) -> Result<PathBuf, Error> {
    filled_with(name, &mut |letter| match letter {
        b'h' => Some(host()),
        b'p' => Some(std::process::id().to_string()),
        b'r' => variable(RANKS),
        b'j' => variable(JOBS),
        _ => None,
    })
}

fn filled_with(name: &Path, value: &mut dyn FnMut(u8) -> Option<String>) -> Result<PathBuf, Error> {
    let fail = |what: &[u8], reason: String, help: &str| {
        Error::new(
            format!("write to `{}`", name.display()),
            format!("`%{}` in the name {reason}", String::from_utf8_lossy(what)),
        )
        .help(help.to_owned())
    };
    let mut out = Vec::new();
    let mut rest = name.as_os_str().as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        out.extend_from_slice(&rest[..at]);
        let letter = rest.get(at + 1..at + 2).unwrap_or_default();
        match letter {
            b"%" => out.push(b'%'),
            b"h" | b"p" | b"r" | b"j" => {
                let Some(value) = value(letter[0]) else {
                    let variables = if letter == b"r" { RANKS } else { JOBS };
                    let reason = format!("is not known here: none of {} is set", variables.join(", "));
                    return Err(fail(
                        letter,
                        reason,
                        "start crumbs by the job's launcher, or use %h and %p",
                    ));
                };
                out.extend(value.bytes().map(|byte| if byte == b'/' { b'_' } else { byte }));
            }
            _ => {
                let help = "known are %h (host), %p (process), %r (rank), %j (job); %% is a single %";
                return Err(fail(letter, "means nothing".to_owned(), help));
            }
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(PathBuf::from(OsString::from_vec(out)))
}

/// Whether the name of a file ends so.
pub fn ends_with(name: &Path, end: &str) -> bool {
    name.file_name()
        .map(OsStr::as_bytes)
        .is_some_and(|name| name.ends_with(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(name: &str) -> Result<String, String> {
        let mut value = |letter| match letter {
            b'h' => Some("node/1".to_owned()),
            b'p' => Some("42".to_owned()),
            b'r' => Some("3".to_owned()),
            _ => None,
        };
        let filled = filled_with(Path::new(name), &mut value);
        filled
            .map(|path| path.display().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_filled_in() {
        assert_eq!(fill("out.json"), Ok("out.json".to_owned()));
        assert_eq!(fill("d/%h.%r-%p%%h.json"), Ok("d/node_1.3-42%h.json".to_owned()));
        for (name, wanted) in [
            (
                "%j.json",
                "cannot write to `%j.json`: `%j` in the name is not known here: none of SLURM_JOB_ID",
            ),
            ("a%x", "cannot write to `a%x`: `%x` in the name means nothing"),
            ("a%", "cannot write to `a%`: `%` in the name means nothing"),
        ] {
            let error = fill(name).expect_err("it is wrong");
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
