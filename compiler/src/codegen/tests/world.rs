//! What both interpreters act on: memory at fixed addresses, helpers that answer by rule, and a record of calls. Two
//! programs mean the same if they return the same and leave the same world behind.

use crate::helper::Helper;

/// What r10 holds; the frame is the 512 bytes below.
pub(super) const FRAME_TOP: u64 = 0x7f00_0000_1000;
pub(super) const MEMORY_BASE: u64 = 0x5500_0000_0000;
pub(super) const MEMORY_SIZE: usize = 4096;
pub(super) const CONTEXT: u64 = 0x3300_0000_0000;
/// Where every map's only value is.
const VALUE_BASE: u64 = 0x4400_0000_0000;
pub(super) const MAP_BASE: u64 = 0x2200_0000_0000;
const FRAME_SIZE: u64 = 512;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct World {
    frame: Vec<u8>,
    pub(super) memory: Vec<u8>,
    context: Vec<u8>,
    value: Vec<u8>,
    /// Number and arguments of every call.
    pub(super) calls: Vec<(u32, Vec<u64>)>,
}

impl World {
    /// With everything 0 but the context.
    pub(super) fn new() -> Self {
        Self {
            frame: vec![0; FRAME_SIZE as usize],
            memory: vec![0; MEMORY_SIZE],
            context: (0..64u8).map(|i| i.wrapping_mul(37) ^ 0xa5).collect(),
            value: vec![0; 8],
            calls: Vec::new(),
        }
    }

    /// As `len` of `struct __sk_buff`, at the start of the context.
    pub(super) fn set_packet_length(&mut self, length: u32) {
        self.context[..4].copy_from_slice(&length.to_le_bytes());
    }

    pub(super) fn clear_frame(&mut self) {
        self.frame.fill(0);
    }

    /// The topmost bytes of the frame, which hold the slots.
    pub(super) fn slots(&self, bytes: u32) -> &[u8] {
        &self.frame[self.frame.len() - bytes as usize..]
    }

    fn bytes(&mut self, addr: u64, len: u32) -> Result<&mut [u8], String> {
        for (base, bytes) in [
            (FRAME_TOP - FRAME_SIZE, &mut self.frame),
            (MEMORY_BASE, &mut self.memory),
            (CONTEXT, &mut self.context),
            (VALUE_BASE, &mut self.value),
        ] {
            if let Some(at) = addr.checked_sub(base)
                && let Some(range) = bytes
                    .get_mut(at as usize..)
                    .and_then(|rest| rest.get_mut(..len as usize))
            {
                return Ok(range);
            }
        }
        Err(format!("{len} bytes at {addr:#x} are nowhere"))
    }

    pub(super) fn read(&mut self, addr: u64, len: u32) -> Result<u64, String> {
        let mut word = [0; 8];
        word[..len as usize].copy_from_slice(self.bytes(addr, len)?);
        Ok(u64::from_le_bytes(word))
    }

    pub(super) fn write(&mut self, addr: u64, len: u32, value: u64) -> Result<(), String> {
        self.bytes(addr, len)?
            .copy_from_slice(&value.to_le_bytes()[..len as usize]);
        Ok(())
    }

    /// Calls a helper. Its answer depends on everything it was given and on how many calls there were before.
    pub(super) fn call(&mut self, helper: Helper, args: Vec<u64>) -> Result<u64, String> {
        let mut hash = self.calls.len() as u64;
        for &arg in args.iter().chain([&u64::from(helper.row().number)]) {
            hash = (hash ^ arg).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        let result = match helper {
            Helper::MapLookupElem => {
                hash ^= self.read(args[1], 8)?;
                if hash & 1 == 0 { 0 } else { VALUE_BASE }
            }
            Helper::ProbeReadKernel => {
                // As the kernel does for an address that cannot be read.
                self.bytes(args[0], args[1] as u32)?.fill(0);
                (-14i64) as u64
            }
            _ => hash,
        };
        self.calls.push((helper.row().number, args));
        Ok(result)
    }
}
