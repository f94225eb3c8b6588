//! The cheapest place near a function's entry at which a probe sees the same calls and arguments.
//!
//! In: an image and the entries of functions. Out: for each the offset of an instruction that the kernel emulates, or of the
//! entry itself. A uprobe on an instruction that the kernel emulates costs a tenth of one that it has to step over (x86-64);
//! glibc's `write` begins with `cmpb` and `je`, of which the second is of that kind.
//!
//! A place behind the entry is taken only if all of this is certain:
//! - from the entry on, every instruction before it is followed by the next one, cannot fail for what the program passes,
//!   writes no memory and none of the argument registers that are read ([`x86::emulated`]);
//! - nothing jumps to or behind the skipped instructions, up to the place: not the function itself, which jumps nowhere that
//!   its instructions do not say, nor parts of it that lie elsewhere ([`x86::leaves`], [`x86::is_followed`]); not its
//!   neighbours by short branches ([`x86::has_short_branch`]); nothing in any executable segment by long ones ([`scan`]);
//! - no symbol of the file names one of these places.
//!
//! On AArch64 the entry is always taken: what its kernels emulate (branches, address arithmetic, loads of literals) seldom
//! stands near an entry.

mod scan;
mod x86;

use super::elf::{CodeSymbol, Image, read_part};
use crumbs_compiler::target::{Arch, Entry, TargetError};
use scan::Targets;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use x86::{Code, Skipped, Surroundings};

/// The most code that is searched; functions of larger files keep their entries.
const MAX_SEARCHED: u64 = 64 << 20;

/// The longest function that is decoded.
const MAX_FUNCTION: u64 = 1 << 16;

/// How much of a file is read at once when all of it is searched.
const PIECE: u64 = 1 << 16;

/// How much is read around a function: several lie there.
const WINDOW: u64 = 1 << 14;

/// How much code is read for a part of a function that lies elsewhere.
const PART: u64 = 512;

/// The offsets in the file, one for each of `entries`, of which none is there twice.
pub(super) fn places(image: &Image, arch: Arch, entries: &[Entry]) -> Vec<u64> {
    let mut places: Vec<u64> = entries.iter().map(|entry| entry.offset).collect();
    if arch != Arch::X86_64 {
        return places;
    }
    // Where a file cannot be read, there is nothing certain about it.
    let Ok(skips) = skips(image, entries) else {
        return places;
    };
    for (place, skip) in places.iter_mut().zip(skips) {
        *place += skip.unwrap_or(0);
    }
    places
}

/// Bytes from each entry to its place, where that is another.
fn skips(image: &Image, entries: &[Entry]) -> Result<Vec<Option<u64>>, TargetError> {
    let mut text = Text::open(image)?;
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by_key(|&index| entries[index].offset);
    let mut skipped: Vec<(usize, Skipped)> = Vec::new();
    for index in order {
        if let Some(found) = text.skipped(entries[index])
            && skipped.last().is_none_or(|(_, last)| last.to <= found.entry)
        {
            skipped.push((index, found));
        }
    }
    let mut skips = vec![None; entries.len()];
    if !skipped.is_empty() {
        let reached = text.reached(skipped.iter().map(|(_, skipped)| *skipped).collect())?;
        for (index, found) in skipped {
            if reached.binary_search(&found.entry).is_err() {
                skips[index] = Some(found.to - found.entry);
            }
        }
    }
    Ok(skips)
}

/// An executable segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

/// The code of a file.
struct Text {
    file: File,
    length: u64,
    segments: Vec<Segment>,
    /// What has a name, by ascending address.
    symbols: Vec<CodeSymbol>,
    /// The code that was read last, from this address on.
    window: (u64, Vec<u8>),
}

impl Text {
    fn open(image: &Image) -> Result<Self, TargetError> {
        let segments: Vec<Segment> = image
            .executable_segments()
            .map(|(address, offset, size)| Segment {
                address,
                offset,
                size,
            })
            .collect();
        // Addresses are added to without further ado below.
        let first = segments.iter().map(|segment| segment.address).min();
        let end = segments.iter().map(|segment| {
            let end = segment.address.checked_add(segment.size)?;
            segment.offset.checked_add(segment.size)?;
            end.checked_add(MAX_SEARCHED)
        });
        let end = end
            .collect::<Option<Vec<u64>>>()
            .and_then(|ends| ends.into_iter().max());
        let is_small = match (first, end) {
            (Some(first), Some(end)) => end - first <= 2 * MAX_SEARCHED,
            _ => false,
        };
        let (file, length) = image.reopen()?;
        Ok(Self {
            file,
            length,
            symbols: image.code_symbols()?,
            segments: if is_small { segments } else { Vec::new() },
            window: (0, Vec::new()),
        })
    }

    fn segment(&self, address: u64) -> Option<Segment> {
        let holds = |segment: &&Segment| {
            address
                .checked_sub(segment.address)
                .is_some_and(|inside| inside < segment.size)
        };
        self.segments.iter().find(holds).copied()
    }

    /// The code at these addresses, as far as they are in the segment of `around`.
    fn code(&mut self, around: u64, range: Range<u64>) -> Option<Code<'_>> {
        let segment = self.segment(around)?;
        let end = range.end.min(segment.address.checked_add(segment.size)?);
        let start = range.start.max(segment.address).min(end);
        let is_read =
            |(from, bytes): &(u64, Vec<u8>)| *from <= start && end <= from.saturating_add(bytes.len() as u64);
        if !is_read(&self.window) {
            // Functions are looked at by ascending address, and then what is right before them.
            let from = start.saturating_sub(x86::BEFORE).max(segment.address);
            let size = (segment.address + segment.size - from).min((end - from).max(WINDOW));
            let offset = segment.offset.checked_add(from - segment.address)?;
            self.window = (from, read_part(&self.file, self.length, offset, size).ok()?);
        }
        let (from, bytes) = &self.window;
        let at = |address: u64| usize::try_from(address - from).ok();
        Some(Code {
            bytes: bytes.get(at(start)?..at(end)?)?,
            address: start,
        })
    }

    /// Where a probe on a function could be moved to, as far as the function and its neighbours tell.
    fn skipped(&mut self, wanted: Entry) -> Option<Skipped> {
        let segment = self.segments.iter().find(|segment| {
            wanted
                .offset
                .checked_sub(segment.offset)
                .is_some_and(|inside| inside < segment.size)
        })?;
        let entry = segment.address + (wanted.offset - segment.offset);
        let size = self.size(entry)?;
        let end = entry.checked_add(size)?;
        let code = self.code(entry, entry..end)?;
        let to = x86::emulated(code, entry, wanted.arguments)?;
        if to == entry {
            return None;
        }
        let skipped = Skipped { entry, to };
        let outside = x86::leaves(code, skipped, end)?;
        let next = self.symbols.partition_point(|symbol| symbol.address <= entry);
        if self
            .symbols
            .get(next)
            .is_some_and(|symbol| skipped.contains(symbol.address))
        {
            return None;
        }
        let before = self.code(entry, entry.saturating_sub(x86::BEFORE)..entry)?;
        if x86::has_short_branch(before, skipped) {
            return None;
        }
        if end < to + x86::SHORT_REACH {
            let after = self.code(entry, end..to + x86::SHORT_REACH + x86::LONGEST as u64)?;
            if x86::has_short_branch(after, skipped) {
                return None;
            }
        }
        x86::is_followed(outside, entry..end, self).then_some(skipped)
    }

    /// The size of the function at an address.
    fn size(&self, entry: u64) -> Option<u64> {
        let size = self.symbol(entry)?.size;
        (1..=MAX_FUNCTION).contains(&size).then_some(size)
    }

    fn symbol(&self, address: u64) -> Option<&CodeSymbol> {
        let at = self
            .symbols
            .binary_search_by_key(&address, |symbol| symbol.address);
        self.symbols.get(at.ok()?)
    }

    /// The entries of those ranges, in ascending order, that something jumps into; in ascending order.
    fn reached(&self, ranges: Vec<Skipped>) -> Result<Vec<u64>, TargetError> {
        let targets = Targets::new(ranges);
        let mut reached = Vec::new();
        // One buffer for all: new memory costs more than what is read into it.
        let mut buffer = vec![0; PIECE as usize + 2 * scan::LONGEST_BRANCH];
        for segment in &self.segments {
            let mut done = 0;
            while done < segment.size {
                let size = (segment.size - done).min(PIECE + scan::LONGEST_BRANCH as u64) as usize;
                let piece = &mut buffer[..size + scan::LONGEST_BRANCH];
                let (code, behind) = piece.split_at_mut(size);
                let read = self.file.read_exact_at(code, segment.offset + done);
                read.map_err(|_| unreadable())?;
                // So that a branch at the segment's end is seen.
                behind.fill(0);
                let piece = match done + PIECE < segment.size {
                    true => &buffer[..size],
                    false => &buffer[..size + scan::LONGEST_BRANCH],
                };
                targets.find(piece, segment.address.wrapping_add(done), &mut |entry| {
                    reached.push(entry);
                });
                done += PIECE;
            }
        }
        reached.sort_unstable();
        reached.dedup();
        Ok(reached)
    }
}

impl Surroundings for Text {
    fn code_from(&mut self, address: u64) -> Option<(Vec<u8>, u64)> {
        let code = self.code(address, address..address.checked_add(PART)?)?;
        Some((code.bytes.to_vec(), code.address))
    }

    fn is_function(&self, address: u64) -> bool {
        // Local symbols can be parts of functions (`write.cold`).
        self.symbol(address).is_some_and(|symbol| !symbol.is_local)
    }
}

/// What is not certain is not told: the entry is taken.
fn unreadable() -> TargetError {
    TargetError::NotFound {
        similar: Vec::new(),
        searched: Vec::new(),
    }
}

#[cfg(test)]
#[path = "cheapest/tests.rs"]
mod tests;
