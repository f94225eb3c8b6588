//! The kernel's functions and addresses, from `/proc/kallsyms`.
//!
//! Read only for wildcards and addresses: the file is made anew at each reading, which takes some 50 ms. Where tracefs
//! says which functions can be traced, that decides (it may be unreadable even for root, and is never required);
//! otherwise every function counts, and attaching leaves out what the kernel refuses.

use super::refusal::{io_error, unreadable};
use super::tracefs::Tracefs;
use crumbs_compiler::glob::Glob;
use crumbs_compiler::similar::similar;
use crumbs_compiler::target::TargetError;
use std::collections::{HashMap, HashSet};
use std::fs;

/// Where the kernel lists its symbols: address, type, name, and the module in brackets.
const KALLSYMS: &str = "/proc/kallsyms";

/// What the kernel proper is called where a module can stand.
const KERNEL: &str = "vmlinux";

/// How many names a "did you mean" lists.
const SIMILAR: usize = 5;

/// A symbol of the kernel.
struct Symbol<'a> {
    address: u64,
    is_code: bool,
    name: &'a str,
    module: &'a str,
}

fn parse(line: &str) -> Option<Symbol<'_>> {
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let is_code = matches!(words.next()?, "t" | "T" | "w" | "W");
    let name = words.next()?;
    let module = words.next().map_or(KERNEL, |module| {
        module.trim_start_matches('[').trim_end_matches(']')
    });
    Some(Symbol {
        address,
        is_code,
        name,
        module,
    })
}

/// Names of code that is no function or never traced: parts that compilers move away, their helpers, and the text of
/// BPF programs.
fn is_function(symbol: &Symbol<'_>) -> bool {
    let name = symbol.name;
    symbol.is_code
        && symbol.module != "bpf"
        && !name.contains(".cold")
        && ![
            "__cfi_",
            "__pfx_",
            "__traceiter_",
            "__probestub_",
            "__SCT__",
            "__SCK__",
            "bpf_prog_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        && !matches!(name, "_stext" | "_text" | "_etext")
}

fn read() -> Result<String, TargetError> {
    fs::read_to_string(KALLSYMS).map_err(|error| io_error(KALLSYMS, &error))
}

/// See [`crumbs_compiler::target::Target::traceable_functions`].
pub(super) fn traceable(
    tracefs: &Tracefs,
    module: &str,
    name: &str,
) -> Result<Vec<(String, String)>, TargetError> {
    let (modules, names) = (Glob::new(module), Glob::new(name));
    let kernel_by_another_name = modules.matches("kernel");
    let wanted =
        |m: &str, n: &str| names.matches(n) && (modules.matches(m) || m == KERNEL && kernel_by_another_name);
    let mut found: Vec<(String, String)> = match tracefs.traceable_functions() {
        Some(list) => {
            let each = list.lines().filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let name = words.next()?;
                let module = words
                    .next()
                    .map_or(KERNEL, |m| m.trim_start_matches('[').trim_end_matches(']'));
                Some((module, name))
            });
            each.filter(|(m, n)| wanted(m, n))
                .map(|(m, n)| (m.to_owned(), n.to_owned()))
                .collect()
        }
        None => {
            let text = read()?;
            let symbols = text.lines().filter_map(parse).filter(is_function);
            symbols
                .filter(|symbol| wanted(symbol.module, symbol.name))
                .map(|symbol| (symbol.module.to_owned(), symbol.name.to_owned()))
                .collect()
        }
    };
    // Links find a function by its name alone: of several the first.
    found.sort_unstable_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    let mut known = HashSet::new();
    found.retain(|(_, name)| known.insert(name.clone()));
    if found.is_empty() {
        let stem = name.replace('*', "");
        return Err(not_found(&stem));
    }
    Ok(found)
}

/// See [`crumbs_compiler::target::Target::kernel_address`].
pub(super) fn address(name: &str) -> Result<u64, TargetError> {
    let text = read()?;
    let named = text.lines().filter(|line| line.contains(name));
    let found = named.filter_map(parse).find(|symbol| symbol.name == name);
    match found {
        None => Err(not_found(name)),
        // What `kernel.kptr_restrict` hides.
        Some(Symbol { address: 0, .. }) => Err(unreadable(
            KALLSYMS,
            "the kernel hides its addresses from you",
            "run crumbs as root; see the sysctl kernel.kptr_restrict".to_owned(),
        )),
        Some(symbol) => Ok(symbol.address),
    }
}

/// What the compiler of the kernel made of a function of this name (`vfs_read.isra.0`): copies with other parameters
/// (`isra`), for constant arguments (`constprop`), or a part of it (`part`).
pub(super) fn clones(name: &str) -> Vec<String> {
    let text = read().unwrap_or_default();
    let symbols = text.lines().filter(|line| line.contains(name)).filter_map(parse);
    let mut found: Vec<String> = symbols
        .filter(is_function)
        .filter(|symbol| {
            symbol
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        })
        .map(|symbol| symbol.name.to_owned())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The addresses of functions of modules, for those of `wanted` (module and name) that are there and not hidden.
pub(super) fn module_functions(wanted: &HashSet<(&str, &str)>) -> HashMap<(String, String), u64> {
    let text = read().unwrap_or_default();
    let symbols = text.lines().filter_map(parse);
    let meant = symbols.filter(|symbol| {
        symbol.is_code && symbol.address != 0 && wanted.contains(&(symbol.module, symbol.name))
    });
    let mut found = HashMap::new();
    for symbol in meant {
        let key = (symbol.module.to_owned(), symbol.name.to_owned());
        found.entry(key).or_insert(symbol.address);
    }
    found
}

fn not_found(name: &str) -> TargetError {
    let text = read().unwrap_or_default();
    let names = text
        .lines()
        .filter_map(parse)
        .filter(is_function)
        .map(|symbol| symbol.name);
    TargetError::NotFound {
        similar: similar(name, names, SIMILAR),
        searched: vec![KALLSYMS.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lines_of_kallsyms() {
        let symbol = parse("ffffffff81000010 T vfs_read").unwrap();
        assert_eq!(
            (symbol.address, symbol.name, symbol.module),
            (0xffff_ffff_8100_0010, "vfs_read", "vmlinux")
        );
        assert!(is_function(&symbol));
        let symbol = parse("ffffffffc0000000 t ext4_read\t[ext4]").unwrap();
        assert_eq!((symbol.name, symbol.module), ("ext4_read", "ext4"));
        for none in [
            "ffffffff81000010 D jiffies",
            "ffffffff81000010 t vfs_read.cold",
            "ffffffff81000010 t x\t[bpf]",
        ] {
            assert!(!is_function(&parse(none).unwrap()), "{none}");
        }
        assert!(parse("").is_none() && parse("zz T x").is_none());
    }
}
