//! The hash table of exported symbols (`.gnu.hash`), by which one name is found without reading all.
//!
//! In: the table's section, what reads the file, a name. Out: numbers of symbols that may be called so; the caller
//! compares the names. The file is not trusted: a table that makes no sense finds nothing, and at most [`MAX_CHAIN`]
//! symbols are looked at.

use goblin::elf::SectionHeader;

/// `SHT_GNU_HASH`.
pub(crate) const SECTION: u32 = 0x6fff_fff6;

/// Four words: buckets, the first symbol in the table, words of the Bloom filter (of 8 bytes), its shift.
const HEADER: u64 = 16;

/// The longest chain that is followed. Linkers make chains of a few symbols.
const MAX_CHAIN: u64 = 4096;

/// How much of a chain is read at once, in symbols.
const BLOCK: u64 = 16;

/// The symbols whose hash is that of `name`. `read` gives a part of the file by offset and size.
pub(crate) fn candidates(
    read: impl Fn(u64, u64) -> Option<Vec<u8>>,
    section: &SectionHeader,
    name: &[u8],
) -> Option<Vec<u64>> {
    // A part of the section, as words.
    let words = |at: u64, count: u64| {
        let end = at.checked_add(count.checked_mul(4)?)?;
        (end <= section.sh_size).then_some(())?;
        let bytes = read(section.sh_offset.checked_add(at)?, count * 4)?;
        let words = bytes.as_chunks::<4>().0.iter();
        Some(words.map(|word| u32::from_le_bytes(*word)).collect::<Vec<_>>())
    };
    let [buckets, first, bloom, _] = words(0, 4)?[..] else {
        return None;
    };
    let hash = hash(name);
    let bucket = u64::from(hash.checked_rem(buckets)?);
    let bucket_table = HEADER + 8 * u64::from(bloom);
    let start = *words(bucket_table + 4 * bucket, 1)?.first()?;
    // An empty bucket is 0, which is below the first symbol that has a hash.
    let skipped = u64::from(start.checked_sub(first)?);
    let chains = bucket_table + 4 * u64::from(buckets);
    let length = section.sh_size.checked_sub(chains)? / 4;
    let mut found = Vec::new();
    let mut at = skipped;
    while at < length.min(skipped + MAX_CHAIN) {
        for word in words(chains + 4 * at, BLOCK.min(length - at))? {
            // The lowest bit says that the chain ends.
            if word | 1 == hash | 1 {
                found.push(u64::from(first) + at);
            }
            if word & 1 == 1 {
                return Some(found);
            }
            at += 1;
        }
    }
    Some(found)
}

/// Bernstein's hash, as the dynamic linker computes it.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(5381u32, |hash, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from glibc's documentation of the format and by hand.
    #[test]
    fn hashes() {
        assert_eq!(hash(b""), 0x1505);
        assert_eq!(hash(b"printf"), 0x156b_2bb8);
        assert_eq!(hash(b"exit"), 0x7c96_7e3f);
    }

    fn table(words: &[u32]) -> (Vec<u8>, SectionHeader) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let section = SectionHeader {
            sh_size: bytes.len() as u64,
            ..SectionHeader::default()
        };
        (bytes, section)
    }

    fn find(bytes: &[u8], section: &SectionHeader, name: &[u8]) -> Option<Vec<u64>> {
        let read = |at: u64, size: u64| Some(bytes.get(at as usize..(at + size) as usize)?.to_vec());
        candidates(read, section, name)
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let printf = hash(b"printf");
        // One bucket, symbols from 7 on, one word of filter; a chain of three, of which two may be it.
        let (bytes, section) = table(&[
            1,
            7,
            1,
            0,
            0,
            0,
            7,
            printf & !1,
            0x1234_5678,
            printf | 1,
            printf | 1,
        ]);
        assert_eq!(find(&bytes, &section, b"printf"), Some(vec![7, 9]));
        assert_eq!(find(&bytes, &section, b"exit"), Some(vec![]));
    }

    #[test]
    fn damaged_tables_find_nothing() {
        let printf = hash(b"printf");
        for words in [
            &[][..],
            &[0, 7, 1, 0, 0, 0, 7, printf],
            &[1, 7, u32::MAX, 0, 0, 0, 7, printf],
            &[u32::MAX, 7, 1, 0, 0, 0, 7, printf],
            &[1, 7, 1, 0, 0, 0, 0, printf],
        ] {
            let (bytes, section) = table(words);
            assert_eq!(find(&bytes, &section, b"printf"), None, "{words:?}");
        }
        // A chain that does not end, and one behind the end.
        let endless: Vec<u32> = [1, 7, 0, 0, 7].into_iter().chain([printf & !1; 9000]).collect();
        let (bytes, section) = table(&endless);
        let found = find(&bytes, &section, b"printf").map(|found| found.len() as u64);
        assert!(found.is_some_and(|found| found < MAX_CHAIN + BLOCK), "{found:?}");
        let (bytes, section) = table(&[1, 7, 0, 0, 70, printf]);
        assert_eq!(find(&bytes, &section, b"printf"), Some(vec![]));
    }
}
