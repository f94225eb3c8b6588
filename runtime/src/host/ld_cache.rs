//! The dynamic loader's cache, `/etc/ld.so.cache` (glibc's `sysdeps/generic/dl-cache.h`).
//!
//! In: the bytes of the file, not trusted. Out: file names and paths of the libraries that programs of this machine can
//! load, in the cache's order. What is damaged is left out.

use crumbs_compiler::target::Arch;
use std::ffi::CStr;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// Header of the old format: the magic padded to 12 bytes, and the number of entries.
const OLD_HEADER: usize = 16;
/// An entry there: flags, key, value, 4 bytes each. Texts are counted from behind the entries.
const OLD_ENTRY: usize = 12;
/// Header of the new format: magic, number of entries, length of the texts, flags, an offset, three spare words.
const NEW_HEADER: usize = 48;
/// An entry there: flags, key, value, OS version, 4 bytes each, and 8 of hardware capabilities. Texts are counted from
/// the header's start.
const NEW_ENTRY: usize = 24;

/// `FLAG_TYPE_MASK`: the kind of library; below it, which architecture.
const TYPE_MASK: u32 = 0x00ff;
/// `FLAG_ELF` and `FLAG_ELF_LIBC6`.
const ELF_TYPES: [u32; 2] = [1, 3];
/// `FLAG_REQUIRED_MASK`.
const ARCH_MASK: u32 = 0xff00;

/// A library in the cache. Its texts are looked at only when they are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    cache: &'a [u8],
    name: usize,
    path: usize,
}

impl<'a> Entry<'a> {
    /// The name programs ask for, `libc.so.6`: the file's own name.
    pub(crate) fn name(&self) -> Option<&'a str> {
        text_at(self.cache, self.name)
    }

    /// Whether its name begins so.
    pub(crate) fn name_starts_with(&self, start: &str) -> bool {
        let name = self.cache.get(self.name..);
        name.is_some_and(|name| name.starts_with(start.as_bytes()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> Option<&'a str> {
        text_at(self.cache, self.path)
    }
}

/// The libraries of `arch` in the cache.
pub(crate) fn parse(cache: &[u8], arch: Arch) -> Vec<Entry<'_>> {
    if cache.starts_with(NEW_MAGIC) {
        return entries(
            cache,
            NEW_HEADER,
            NEW_ENTRY,
            count(cache, NEW_MAGIC.len()),
            0,
            arch,
        );
    }
    if !cache.starts_with(OLD_MAGIC) {
        return Vec::new();
    }
    let old_count = count(cache, OLD_HEADER - 4);
    let texts = old_count.saturating_mul(OLD_ENTRY).saturating_add(OLD_HEADER);
    // For a time both formats were written, the new one behind the old one's entries, aligned to 8 bytes.
    let new = cache
        .get(texts.saturating_add(7) & !7..)
        .filter(|rest| rest.starts_with(NEW_MAGIC));
    match new {
        Some(new) => entries(new, NEW_HEADER, NEW_ENTRY, count(new, NEW_MAGIC.len()), 0, arch),
        None => entries(cache, OLD_HEADER, OLD_ENTRY, old_count, texts, arch),
    }
}

fn count(bytes: &[u8], at: usize) -> usize {
    word(bytes, at)
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(0)
}

fn entries(
    bytes: &[u8],
    header: usize,
    size: usize,
    count: usize,
    texts: usize,
    arch: Arch,
) -> Vec<Entry<'_>> {
    let wanted = match arch {
        // FLAG_X8664_LIB64
        Arch::X86_64 => 0x0300,
        // FLAG_AARCH64_LIB64
        Arch::Aarch64 => 0x0a00,
    };
    let table = bytes.get(header..).unwrap_or_default();
    table
        .chunks_exact(size)
        .take(count)
        .filter_map(|entry| {
            let flags = word(entry, 0)?;
            if flags & ARCH_MASK != wanted || !ELF_TYPES.contains(&(flags & TYPE_MASK)) {
                return None;
            }
            let text = |at| texts.checked_add(usize::try_from(word(entry, at)?).ok()?);
            Some(Entry {
                cache: bytes,
                name: text(4)?,
                path: text(8)?,
            })
        })
        .collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|word| u32::from_ne_bytes(*word))
}

fn text_at(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let text = CStr::from_bytes_until_nul(&rest[..rest.len().min(4096)]).ok()?;
    text.to_str().ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::print_stderr, reason = "a skipped test says why")]

    use super::*;

    /// A cache in the new format.
    fn new_cache(libraries: &[(u32, &str, &str)]) -> Vec<u8> {
        let (mut table, mut texts) = (Vec::new(), Vec::new());
        let start = NEW_HEADER + libraries.len() * NEW_ENTRY;
        for (flags, name, path) in libraries {
            let mut put = |text: &str| {
                let at = u32::try_from(start + texts.len()).expect("small");
                texts.extend_from_slice(text.as_bytes());
                texts.push(0);
                at
            };
            for word in [*flags, put(name), put(path), 0, 0, 0] {
                table.extend_from_slice(&word.to_ne_bytes());
            }
        }
        let mut cache = NEW_MAGIC.to_vec();
        cache.extend_from_slice(&u32::try_from(libraries.len()).expect("small").to_ne_bytes());
        cache.resize(NEW_HEADER, 0);
        [cache, table, texts].concat()
    }

    fn old_cache(libraries: &[(u32, &str, &str)]) -> Vec<u8> {
        let (mut table, mut texts) = (Vec::new(), Vec::new());
        for (flags, name, path) in libraries {
            let at = u32::try_from(texts.len()).expect("small");
            let name_length = u32::try_from(name.len()).expect("small");
            texts.extend_from_slice(format!("{name}\0{path}\0").as_bytes());
            for word in [*flags, at, at + name_length + 1] {
                table.extend_from_slice(&word.to_ne_bytes());
            }
        }
        let mut cache = OLD_MAGIC.to_vec();
        cache.push(0);
        cache.extend_from_slice(&u32::try_from(libraries.len()).expect("small").to_ne_bytes());
        [cache, table, texts].concat()
    }

    const LIBRARIES: [(u32, &str, &str); 4] = [
        (0x0303, "libc.so.6", "/lib64/libc.so.6"),
        (0x0003, "libc.so.6", "/lib/libc.so.6"),
        (0x0a03, "libc.so.6", "/arm/libc.so.6"),
        (0x0301, "libz.so.1", "/lib64/libz.so.1"),
    ];

    fn paths(cache: &[u8], arch: Arch) -> Vec<String> {
        let entries = parse(cache, arch).into_iter();
        entries
            .filter_map(|entry| entry.path().map(str::to_owned))
            .collect()
    }

    #[test]
    fn both_formats_and_both_together() {
        let old = old_cache(&LIBRARIES);
        let new = new_cache(&LIBRARIES);
        let mut both = old_cache(&[]);
        both.extend_from_slice(&new);
        for cache in [old, new, both] {
            assert_eq!(
                paths(&cache, Arch::X86_64),
                ["/lib64/libc.so.6", "/lib64/libz.so.1"]
            );
            assert_eq!(paths(&cache, Arch::Aarch64), ["/arm/libc.so.6"]);
        }
    }

    #[test]
    fn damaged_caches_give_what_is_left() {
        let cache = new_cache(&LIBRARIES);
        for length in 0..cache.len() {
            assert!(paths(&cache[..length], Arch::X86_64).len() <= 2);
        }
        let cache = old_cache(&LIBRARIES);
        for length in 0..cache.len() {
            assert!(paths(&cache[..length], Arch::X86_64).len() <= 2);
        }
        let mut huge = new_cache(&LIBRARIES);
        huge[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(paths(&huge, Arch::X86_64).len() >= 2);
    }

    #[test]
    fn the_cache_of_this_machine() {
        let arch = if cfg!(target_arch = "aarch64") {
            Arch::Aarch64
        } else {
            Arch::X86_64
        };
        let Ok(cache) = std::fs::read("/etc/ld.so.cache") else {
            eprintln!("skipped: this machine has no /etc/ld.so.cache");
            return;
        };
        let libraries = parse(&cache, arch);
        let libc = libraries.iter().find(|entry| entry.name_starts_with("libc.so"));
        let libc = libc.and_then(Entry::path);
        assert!(
            libc.is_some_and(|libc| std::path::Path::new(libc).exists()),
            "{} entries",
            libraries.len()
        );
        // Every third bit, one at a time, in the headers and the first entries; and cuts all over.
        let mut copy = cache.clone();
        for bit in (0..cache.len().min(4096) * 8).step_by(3) {
            copy[bit / 8] ^= 1 << (bit % 8);
            let _ = paths(&copy, arch);
            copy[bit / 8] ^= 1 << (bit % 8);
        }
        for length in (0..cache.len()).step_by(97) {
            let _ = paths(&cache[..length], arch);
        }
    }
}
