//! How much a file compressed with xz becomes, before anything of it is decompressed.
//!
//! In: the file, not trusted. Out: the bytes that its blocks say they become. A few kilobytes can become many gigabytes, and the
//! decompressor keeps a block in memory until its end; each block is a sequence of LZMA2 chunks that tell their sizes
//! (the .xz file format 1.2, sections 2 and 3; liblzma's `lzma2_decoder.c` for the chunks).

/// Bytes of the header of a stream: magic, flags, checksum.
const STREAM_HEADER: usize = 12;

/// The bytes that all blocks become; `None` where it is no such file.
pub(super) fn unpacked_size(file: &[u8]) -> Option<u64> {
    // The second byte of the flags says how large each block's checksum is.
    let check = match *file.get(7)? & 0xf {
        0 => 0,
        kind => 4usize << ((kind - 1) / 3),
    };
    let mut at = STREAM_HEADER;
    let mut total = 0u64;
    loop {
        // A block's header begins with its length in words; 0 begins the index behind the last block.
        let words = usize::from(*file.get(at)?);
        if words == 0 {
            return Some(total);
        }
        let start = at.checked_add((words + 1) * 4)?;
        let (size, end) = block(file, start)?;
        total = total.checked_add(size)?;
        let padded = start.checked_add((end - start).checked_next_multiple_of(4)?)?;
        at = padded.checked_add(check)?;
    }
}

/// What the chunks from `at` on become, and where they end.
fn block(file: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut total = 0u64;
    loop {
        let control = *file.get(at)?;
        let half = |place: usize| {
            Some(usize::from(u16::from_be_bytes(
                *file.get(place..)?.first_chunk()?,
            )))
        };
        let (size, behind) = match control {
            0 => return Some((total, at + 1)),
            // Not compressed.
            1 | 2 => {
                let size = half(at + 1)? + 1;
                (size, at + 3 + size)
            }
            0x80.. => {
                let size = (usize::from(control & 0x1f) << 16) + half(at + 1)? + 1;
                let has_properties = control >= 0xc0;
                (size, at + 5 + usize::from(has_properties) + half(at + 3)? + 1)
            }
            _ => return None,
        };
        total = total.checked_add(size as u64)?;
        at = behind;
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::print_stderr,
        reason = "tests; a skipped one says why"
    )]

    use super::unpacked_size;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn xz(bytes: &[u8], options: &[&str]) -> Option<Vec<u8>> {
        let mut child = Command::new("xz")
            .args(["-c"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| eprintln!("skipped: cannot run xz: {error}"))
            .ok()?;
        let mut input = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || input.write_all(bytes).unwrap());
            Some(child.wait_with_output().unwrap().stdout)
        })
    }

    #[test]
    fn sizes_are_told_before_decompressing() {
        let noise: Vec<u8> = (0..200_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 15) as u8)
            .collect();
        let zeros = vec![0; 20_000_000];
        for (bytes, options) in [
            (&noise[..], &["-0"][..]),
            (&zeros, &["-6"]),
            (&noise, &["--check=none", "--block-size=50000"]),
            (&noise, &["--check=crc32", "--block-size=30001"]),
            (&zeros, &["--check=sha256", "--block-size=7000000"]),
            (&[], &[]),
        ] {
            let Some(packed) = xz(bytes, options) else { return };
            assert_eq!(unpacked_size(&packed), Some(bytes.len() as u64), "{options:?}");
            for cut in (0..packed.len()).step_by(packed.len() / 60 + 1) {
                assert!(unpacked_size(&packed[..cut]).is_none_or(|size| size <= bytes.len() as u64));
            }
        }
    }
}
