//! Where members go: the layout that gcc and clang give structs on x86-64 and AArch64 (LP64, little endian; bitfields by the
//! rule that their type matters).

use super::ctype::{CType, Layout, Member, Size};

/// A member before it has a place.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub name: String,
    pub ty: CType,
    pub size: Size,
    pub width: Option<u32>,
    /// What `aligned` asks for; 0 where nothing.
    pub aligned: u32,
    /// Whether it is packed: by its own attribute or the struct's.
    pub packed: bool,
}

/// What decides the layout besides the members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub is_union: bool,
    /// What `aligned` asks of the struct; 0 where nothing.
    pub aligned: u32,
    /// The greatest alignment that `#pragma pack` leaves.
    pub pack: Option<u32>,
    /// Whether bitfields without a name align the struct too: on AArch64.
    pub unnamed_align: bool,
}

/// Places `members`; `None` where the struct would be larger than 4 GiB.
pub(super) fn place(members: Vec<Declared>, rules: Rules) -> Option<Layout> {
    let mut end = 0u64;
    let mut size = 0u64;
    let mut align = 1u32;
    let mut placed = Vec::with_capacity(members.len());
    for member in members {
        let start = if rules.is_union { 0 } else { end };
        let (offset, bits, own_align) = match member.width {
            Some(width) => bitfield(&member, width, start, rules),
            None => {
                let own = member_align(&member, rules);
                let offset = start.checked_next_multiple_of(8 * u64::from(own))?;
                (offset, member.size.bytes.checked_mul(8)?, own)
            }
        };
        align = align.max(own_align);
        end = offset.checked_add(bits)?;
        size = size.max(end);
        placed.push(Member {
            name: member.name,
            ty: member.ty,
            offset,
            width: member.width,
        });
    }
    align = align.max(rules.aligned);
    let size = size.div_ceil(8).checked_next_multiple_of(align.into())?;
    // The bits of a struct are counted in 32 bits.
    u32::try_from(size.checked_mul(8)?).ok()?;
    Some(Layout {
        size: size as u32,
        align,
        members: placed,
    })
}

fn member_align(member: &Declared, rules: Rules) -> u32 {
    let natural = if member.packed { 1 } else { member.size.align };
    let wanted = natural.max(member.aligned);
    rules.pack.map_or(wanted, |pack| wanted.min(pack))
}

/// Offset and size in bits of a bitfield behind `start`, and the alignment that it asks of the struct.
fn bitfield(member: &Declared, width: u32, start: u64, rules: Rules) -> (u64, u64, u32) {
    let unit = 8 * u64::from(member.size.align);
    let type_align = match rules.pack {
        Some(pack) => member.size.align.min(pack),
        None if member.packed => 1,
        None => member.size.align,
    };
    let asked = match rules.pack {
        Some(pack) => member.aligned.min(pack),
        None => member.aligned,
    };
    let counts = !member.name.is_empty() || rules.unnamed_align;
    let own_align = if counts { type_align.max(asked) } else { 1 };
    if width == 0 {
        // It ends the unit, packed or not.
        return (start.next_multiple_of(unit), 0, own_align);
    }
    let start = match asked {
        0 => start,
        asked => start.next_multiple_of(8 * u64::from(asked)),
    };
    let is_tight = member.packed || rules.pack.is_some();
    let spans = start / unit != (start + u64::from(width) - 1) / unit;
    let offset = if spans && !is_tight {
        start.next_multiple_of(unit)
    } else {
        start
    };
    (offset, width.into(), own_align)
}
