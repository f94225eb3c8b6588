//! Static user probes (USDT), from the notes of ELF files.
//!
//! In: an image. Out: the places of its probes. A note of owner `stapsdt` and type 3 holds, as `sys/sdt.h` lays it out,
//! three addresses (of the probe, of the link-time base, of the semaphore) and three texts (provider, name, arguments).
//! Where the file was changed after linking (prelink, debug information split off), the section `.stapsdt.base` tells by
//! how much addresses moved. Files are not trusted: what does not fit is left out.

use super::elf::Image;
use crumbs_compiler::target::{Arch, TargetError, UsdtProbe};
use crumbs_compiler::usdt;

/// The owner of the notes.
const OWNER: &[u8] = b"stapsdt\0";
/// Their type.
const PROBE: u32 = 3;
/// The section whose address is the base.
const BASE: &str = ".stapsdt.base";
/// The most probes that are read of a file: several times those of the largest programs.
const MAX_PROBES: usize = 1 << 16;

/// A note as it stands in the file.
struct Note<'a> {
    place: u64,
    base: u64,
    semaphore: u64,
    provider: &'a str,
    name: &'a str,
    arguments: &'a str,
}

/// The places of all static probes of a file, in its order.
pub(super) fn probes(image: &Image, arch: Arch) -> Result<Vec<UsdtProbe>, TargetError> {
    let base = image.section_address(BASE)?;
    let mut found = Vec::new();
    for section in image.notes()? {
        let mut rest = &section[..];
        while let Some((owner, kind, description, next)) = next_note(rest) {
            rest = next;
            if owner != OWNER || kind != PROBE {
                continue;
            }
            let probe = parse(description).and_then(|note| {
                let moved = base.map_or(0, |base| base.wrapping_sub(note.base));
                let moved_to = |address: u64| address.wrapping_add(moved);
                Some(UsdtProbe {
                    provider: note.provider.to_owned(),
                    name: note.name.to_owned(),
                    offset: image.file_offset(moved_to(note.place))?,
                    semaphore: match note.semaphore {
                        0 => 0,
                        address => image.data_offset(moved_to(address))?,
                    },
                    arguments: usdt::arguments(note.arguments, arch).into(),
                })
            });
            found.extend(probe);
            if found.len() >= MAX_PROBES {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Owner, type and description of a note, and what follows it.
type Split<'a> = (&'a [u8], u32, &'a [u8], &'a [u8]);

/// The first note of a section. Each part is padded to 4 bytes.
fn next_note(bytes: &[u8]) -> Option<Split<'_>> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (owner_size, size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
    let owner_end = 12usize.checked_add(owner_size)?;
    let start = owner_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(size)?;
    let next = end.checked_next_multiple_of(4)?.min(bytes.len());
    Some((
        bytes.get(12..owner_end)?,
        kind,
        bytes.get(start..end)?,
        &bytes[next..],
    ))
}

fn parse(description: &[u8]) -> Option<Note<'_>> {
    let word = |at: usize| Some(u64::from_le_bytes(*description.get(at..)?.first_chunk()?));
    let mut texts = description.get(24..)?.split(|byte| *byte == 0);
    let mut text = || std::str::from_utf8(texts.next()?).ok();
    Some(Note {
        place: word(0)?,
        base: word(8)?,
        semaphore: word(16)?,
        provider: text()?,
        name: text()?,
        arguments: text()?,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn note(owner: &[u8], description: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [owner.len() as u32, description.len() as u32, PROBE] {
            bytes.extend(word.to_le_bytes());
        }
        for part in [owner, description] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn notes_follow_each_other() {
        let mut description: Vec<u8> = [0x1000u64, 0x2000, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        description.extend(b"app\0start\0-4@%edi\0");
        let bytes = [note(b"GNU\0", b"abc"), note(OWNER, &description)].concat();
        let (owner, _, other, rest) = next_note(&bytes).unwrap();
        assert_eq!((owner, other), (&b"GNU\0"[..], &b"abc"[..]));
        let (owner, kind, found, rest) = next_note(rest).unwrap();
        assert_eq!((owner, kind, rest.len()), (OWNER, PROBE, 0));
        let note = parse(found).unwrap();
        assert_eq!((note.place, note.base, note.semaphore), (0x1000, 0x2000, 0));
        assert_eq!(
            (note.provider, note.name, note.arguments),
            ("app", "start", "-4@%edi")
        );
        assert!(next_note(rest).is_none());
    }

    /// Any bytes are read to the end without harm.
    #[test]
    fn damaged_notes() {
        let mut description = vec![0; 24];
        description.extend(b"app\0start\0\0");
        let bytes = note(OWNER, &description);
        for cut in 0..bytes.len() {
            if let Some((_, _, description, _)) = next_note(&bytes[..cut]) {
                parse(description);
            }
        }
        let mut huge = bytes.clone();
        huge[4..8].fill(0xff);
        assert!(next_note(&huge).is_none());
        huge = bytes;
        huge[..4].fill(0xff);
        assert!(next_note(&huge).is_none());
    }
}
