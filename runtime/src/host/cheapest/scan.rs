//! Which skipped instructions anything in a file's code jumps to.
//!
//! In: code, piece by piece, and where probes could be moved. Out: which of these nothing jumps over by a branch with four
//! bytes of distance. Every byte is taken for the beginning of such a branch, so that it does not matter where instructions
//! begin; what is none can make an entry stay that need not, and that is rare: it would have to hit a few bytes among 2³².

use super::x86::Skipped;

/// The ranges that are looked for.
pub(super) struct Targets {
    ranges: Vec<Skipped>,
    /// A bit for each address from `first` on: whether it is in a range. Empty where the ranges are few.
    bits: Vec<u64>,
    first: u64,
    last: u64,
}

/// So many ranges are looked for one by one.
const FEW: usize = 2;

/// The longest branch that is looked for, bytes.
pub(super) const LONGEST_BRANCH: usize = 6;

/// Bytes that are looked at together.
const BLOCK: usize = 64;

impl Targets {
    /// `ranges` are in ascending order and do not overlap.
    pub(super) fn new(ranges: Vec<Skipped>) -> Self {
        let first = ranges.first().map_or(0, |range| range.entry);
        let last = ranges.last().map_or(0, |range| range.to);
        let mut bits = Vec::new();
        if ranges.len() > FEW {
            let words = usize::try_from((last - first) / 64 + 1).unwrap_or(0);
            bits = vec![0_u64; words];
            for range in &ranges {
                for address in range.entry + 1..=range.to {
                    let at = address - first;
                    bits[(at / 64) as usize] |= 1 << (at % 64);
                }
            }
        }
        Self {
            ranges,
            bits,
            first,
            last,
        }
    }

    /// Calls `hit` with the entry of each range that a branch in `code` at `address` jumps to, once or more often. A branch
    /// is not seen that begins within the last [`LONGEST_BRANCH`] bytes: pieces overlap by so many.
    pub(super) fn find(&self, code: &[u8], address: u64, hit: &mut dyn FnMut(u64)) {
        if self.bits.is_empty() {
            for range in &self.ranges {
                self.find_one(code, address, *range, hit);
            }
            return;
        }
        for (at, window) in code.windows(LONGEST_BRANCH).enumerate() {
            let distance = match window {
                [0xe8 | 0xe9, a, b, c, d, _] => [*a, *b, *c, *d],
                [_, second, a, b, c, d] if window[0] == 0x0f && second & 0xf0 == 0x80 => [*a, *b, *c, *d],
                _ => continue,
            };
            let length = if window[0] == 0x0f { 6 } else { 5 };
            let to = (address + at as u64 + length).wrapping_add_signed(i32::from_le_bytes(distance).into());
            if self.contains(to) {
                let index = self.ranges.partition_point(|range| range.to < to);
                if let Some(range) = self.ranges.get(index) {
                    hit(range.entry);
                }
            }
        }
    }

    fn contains(&self, address: u64) -> bool {
        if address < self.first || address > self.last {
            return false;
        }
        let at = address - self.first;
        self.bits[(at / 64) as usize] & (1 << (at % 64)) != 0
    }

    /// The distances first, many at once: hardly any leads to one range.
    fn find_one(&self, code: &[u8], address: u64, range: Skipped, hit: &mut dyn FnMut(u64)) {
        let mut start = 0;
        while start + 4 <= code.len() {
            let end = (start + BLOCK).min(code.len() - 3);
            let may_lead = match code.get(start..start + BLOCK + 3) {
                Some(block) => may_lead(block, address.wrapping_add(start as u64), range),
                None => true,
            };
            if may_lead && (start..end).any(|at| self.is_branch(code, address, at, range)) {
                hit(range.entry);
                return;
            }
            start = end;
        }
    }

    /// Whether the four bytes at `at` are the distance of a branch to `range`.
    fn is_branch(&self, code: &[u8], address: u64, at: usize, range: Skipped) -> bool {
        let is_opcode = match code.get(..at) {
            Some([.., 0xe8 | 0xe9]) => true,
            Some([.., 0x0f, second]) => second & 0xf0 == 0x80,
            _ => false,
        };
        let distance = code.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        let to = distance.map(|distance: [u8; 4]| {
            (address + at as u64 + 4).wrapping_add_signed(i32::from_le_bytes(distance).into())
        });
        is_opcode && to.is_some_and(|to| range.contains(to))
    }
}

/// Whether any four bytes of a block are the distance of a branch to a range, modulo 2³², which is how far branches reach.
/// Written so that the compiler makes vector instructions of it: each of the four loops goes over whole words.
fn may_lead(block: &[u8], address: u64, range: Skipped) -> bool {
    let length = (range.to - range.entry) as u32;
    let mut any = false;
    for phase in 0..4 {
        // What must be added to a distance for its target, as bytes behind the entry.
        let base = address
            .wrapping_add(phase as u64 + 4)
            .wrapping_sub(range.entry + 1) as u32;
        for (at, word) in block[phase..].as_chunks::<4>().0.iter().enumerate() {
            let to = base
                .wrapping_add(4 * at as u32)
                .wrapping_add(u32::from_le_bytes(*word));
            any |= to < length;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x1000;

    /// A jump with four bytes of distance, `opcode` being its other bytes.
    fn branch(code: &mut [u8], at: usize, opcode: &[u8], to: u64) {
        code[at..at + opcode.len()].copy_from_slice(opcode);
        let from = BASE + (at + opcode.len()) as u64 + 4;
        let distance = to.wrapping_sub(from) as u32;
        code[at + opcode.len()..at + opcode.len() + 4].copy_from_slice(&distance.to_le_bytes());
    }

    fn found(code: &[u8], ranges: &[(u64, u64)]) -> Vec<u64> {
        let ranges = ranges.iter().map(|&(entry, to)| Skipped { entry, to });
        let mut hits = Vec::new();
        Targets::new(ranges.collect()).find(code, BASE, &mut |entry| hits.push(entry));
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    #[test]
    fn every_kind_of_branch_to_every_byte_is_found() {
        for opcode in [&[0xe8][..], &[0xe9], &[0x0f, 0x80], &[0x0f, 0x8f]] {
            for at in [1, 2, 60, 61, 62, 63, 64, 65, 200, 490] {
                for to in BASE + 0x100..BASE + 0x10c {
                    let mut code = vec![0xcc; 512];
                    branch(&mut code, at, opcode, to);
                    let expected = (BASE + 0x100 < to && to <= BASE + 0x109).then_some(BASE + 0x100);
                    let expected: Vec<u64> = expected.into_iter().collect();
                    let one = [(BASE + 0x100, BASE + 0x109)];
                    assert_eq!(found(&code, &one), expected, "{opcode:x?} at {at} to {to:x}");
                    let many = [
                        (BASE, BASE + 4),
                        one[0],
                        (BASE + 0x150, BASE + 0x154),
                        (BASE + 0x200, BASE + 0x204),
                    ];
                    assert_eq!(
                        found(&code, &many),
                        expected,
                        "{opcode:x?} at {at} to {to:x} among many"
                    );
                }
            }
        }
    }

    #[test]
    fn distances_that_are_no_branches_do_not_count() {
        let mut code = vec![0xcc; 512];
        branch(&mut code, 100, &[0x81], BASE + 0x105);
        branch(&mut code, 200, &[0x90, 0x85], BASE + 0x105);
        assert!(found(&code, &[(BASE + 0x100, BASE + 0x109)]).is_empty());
    }
}
