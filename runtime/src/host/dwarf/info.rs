//! Walking debug information: units, entries, and what they refer to.
//!
//! In: the sections of a file. Out: entries ([`Die`]) by place, by reference and by name. Files are not trusted: every walk
//! is linear in the file, every name and every chain of references is bounded, and all of one question's walks end at a
//! deadline, because abbreviations and names of hostile files can overlap at will. What one question keeps in memory is
//! bounded too ([`bounds`]).

use super::bounds::{self, Budget};
use gimli::{
    AttributeValue, DebugInfoOffset, DebugTypesOffset, DebuggingInformationEntry, DwTag, Dwarf, EndianSlice,
    LittleEndian, Unit, UnitHeader, UnitOffset, UnitType, constants,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(super) type Reader<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Entry<'a> = DebuggingInformationEntry<Reader<'a>>;
pub(super) type Value<'a> = AttributeValue<Reader<'a>>;

/// One question about one file is given up after this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Names longer than this are cut: C++ has some of a thousand bytes.
const MAX_NAME: usize = 4096;

/// After so many steps of a walk the time is looked at.
const CHECKED: u32 = 256;

/// So many references are followed from one entry to another that says more about it.
const MAX_CHAIN: usize = 16;

/// Marks the place of an entry in `.debug_types`; offsets in files are far below it.
const IN_TYPES: u64 = 1 << 63;

/// The debug information of one file.
pub(super) struct Info<'a> {
    /// The file's number.
    pub(super) number: u32,
    pub(super) dwarf: Dwarf<Reader<'a>>,
    /// Of `.debug_info`, by ascending offset, then those of `.debug_types`.
    headers: Vec<UnitHeader<Reader<'a>>>,
    /// How many of the headers are of `.debug_info`.
    in_info: usize,
    /// The unit of another file that this one, which was split off it, belongs to.
    skeleton: Option<Rc<Unit<Reader<'a>>>>,
    /// What several files have in common (`dwz`).
    supplementary: Option<Box<Info<'a>>>,
    units: RefCell<HashMap<usize, Option<Rc<Unit<Reader<'a>>>>>>,
    deadline: Instant,
    /// What may still be read into memory.
    budget: Budget,
}

/// An entry.
pub(super) struct Die<'i, 'a> {
    pub(super) info: &'i Info<'a>,
    pub(super) unit: Rc<Unit<Reader<'a>>>,
    pub(super) entry: Entry<'a>,
}

impl<'a> Info<'a> {
    /// The units of `dwarf`; of those behind damage there are none.
    pub(super) fn new(
        number: u32,
        dwarf: Dwarf<Reader<'a>>,
        skeleton: Option<Rc<Unit<Reader<'a>>>>,
        supplementary: Option<Box<Info<'a>>>,
    ) -> Self {
        let mut headers = Vec::new();
        let mut units = dwarf.units();
        while let Some(header) = units
            .next()
            .ok()
            .flatten()
            .filter(|_| headers.len() < bounds::UNITS)
        {
            headers.push(header);
        }
        let in_info = headers.len();
        let mut units = dwarf.type_units();
        while let Some(header) = units
            .next()
            .ok()
            .flatten()
            .filter(|_| headers.len() < bounds::UNITS)
        {
            headers.push(header);
        }
        Self {
            number,
            dwarf,
            headers,
            in_info,
            skeleton,
            supplementary,
            units: RefCell::default(),
            deadline: Instant::now() + PATIENCE,
            budget: Budget::default(),
        }
    }

    /// Whether there is still time.
    pub(super) fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    pub(super) fn unit_count(&self) -> usize {
        self.headers.len()
    }

    /// A unit by its index.
    pub(super) fn unit(&self, index: usize) -> Option<Rc<Unit<Reader<'a>>>> {
        if let Some(known) = self.units.borrow().get(&index) {
            return known.clone();
        }
        let read = || {
            let header = *self.headers.get(index).filter(|_| self.has_time())?;
            let abbreviations = bounds::check(&self.dwarf, &header)?;
            let mut unit = self.dwarf.unit(header).ok()?;
            if !self.budget.keeps(bounds::weight(&unit, abbreviations)) {
                // Those that are in use stay.
                self.units.borrow_mut().clear();
            }
            if let Some(skeleton) = &self.skeleton {
                unit.copy_relocated_attributes(skeleton);
            }
            Some(Rc::new(unit))
        };
        let unit = read();
        self.units.borrow_mut().insert(index, unit.clone());
        unit
    }

    /// The indexes of the units that say that the rest of them was split off.
    pub(super) fn skeletons(&self) -> Vec<usize> {
        let is_skeleton = |&index: &usize| match self.headers[index].type_() {
            UnitType::Skeleton(_) => true,
            // Before version 5 only an attribute says so.
            UnitType::Compilation if self.headers[index].version() < 5 => {
                self.unit(index).is_some_and(|unit| unit.dwo_id.is_some())
            }
            _ => false,
        };
        (0..self.in_info).filter(is_skeleton).collect()
    }

    /// The index of the unit that holds an offset of `.debug_info`.
    pub(super) fn unit_at(&self, offset: DebugInfoOffset<usize>) -> Option<usize> {
        let begins =
            |header: &UnitHeader<Reader<'_>>| header.debug_info_offset().map_or(usize::MAX, |at| at.0);
        let behind = self.headers[..self.in_info].partition_point(|header| begins(header) <= offset.0);
        behind.checked_sub(1)
    }

    /// The entry at an offset of `.debug_info`.
    pub(super) fn at(&self, offset: DebugInfoOffset<usize>) -> Option<Die<'_, 'a>> {
        let unit = self.unit(self.unit_at(offset)?)?;
        let within = offset.to_unit_offset(&unit.header)?;
        self.die(unit, within)
    }

    fn in_types(&self, offset: DebugTypesOffset<usize>) -> Option<Die<'_, 'a>> {
        let units = self.in_info..self.headers.len();
        let within = |index: &usize| offset.to_unit_offset(&self.headers[*index]).is_some();
        let unit = self.unit(units.into_iter().find(within)?)?;
        let within = offset.to_unit_offset(&unit.header)?;
        self.die(unit, within)
    }

    fn die(&self, unit: Rc<Unit<Reader<'a>>>, offset: UnitOffset) -> Option<Die<'_, 'a>> {
        if !offset.is_in_bounds(&unit.header) {
            return None;
        }
        let entry = unit.entry(offset).ok()?;
        Some(Die {
            info: self,
            unit,
            entry,
        })
    }

    /// The type that a unit of its own describes.
    fn signed(&self, signature: gimli::DebugTypeSignature) -> Option<Die<'_, 'a>> {
        let (index, at) = self.headers.iter().enumerate().find_map(|(index, header)| {
            let (UnitType::Type {
                type_signature,
                type_offset,
            }
            | UnitType::SplitType {
                type_signature,
                type_offset,
            }) = header.type_()
            else {
                return None;
            };
            (type_signature == signature).then_some((index, type_offset))
        })?;
        self.die(self.unit(index)?, at)
    }

    /// The entry that [`Die::place`] calls so, of the file numbered `number`: this one or what it has in common with
    /// others.
    pub(super) fn placed(&self, number: u32, place: u64) -> Option<Die<'_, 'a>> {
        let info = match &self.supplementary {
            Some(other) if other.number == number => other,
            _ => self,
        };
        let offset = usize::try_from(place & !IN_TYPES).ok()?;
        if place & IN_TYPES != 0 {
            info.in_types(DebugTypesOffset(offset))
        } else {
            info.at(DebugInfoOffset(offset))
        }
    }

    /// The entries of a unit whose tag is `wanted`, in order, until `visit` gives something.
    pub(super) fn find<'s, T>(
        &'s self,
        unit: &Rc<Unit<Reader<'a>>>,
        wanted: impl Fn(DwTag) -> bool,
        mut visit: impl FnMut(Die<'s, 'a>) -> Option<T>,
    ) -> Option<T> {
        let mut raw = unit.entries_raw(None).ok()?;
        let mut count = 0u32;
        while !raw.is_empty() {
            count = count.wrapping_add(1);
            if count.is_multiple_of(CHECKED) && !self.has_time() {
                return None;
            }
            let offset = raw.next_offset();
            let Some(abbreviation) = raw.read_abbreviation().ok()? else {
                continue;
            };
            if wanted(abbreviation.tag())
                && let Some(die) = self.die(Rc::clone(unit), offset)
                && let Some(found) = visit(die)
            {
                return Some(found);
            }
            raw.skip_attributes(abbreviation.attributes()).ok()?;
        }
        None
    }

    /// [`Info::find`] in all units.
    pub(super) fn find_anywhere<'s, T>(
        &'s self,
        wanted: impl Fn(DwTag) -> bool,
        mut visit: impl FnMut(Die<'s, 'a>) -> Option<T>,
    ) -> Option<T> {
        (0..self.headers.len()).find_map(|index| self.find(&self.unit(index)?, &wanted, &mut visit))
    }

    /// What several files have in common.
    pub(super) fn supplementary(&self) -> Option<&Info<'a>> {
        self.supplementary.as_deref()
    }
}

impl<'i, 'a> Die<'i, 'a> {
    pub(super) fn tag(&self) -> DwTag {
        self.entry.tag()
    }

    pub(super) fn value(&self, name: gimli::DwAt) -> Option<Value<'a>> {
        self.entry.attr_value(name)
    }

    pub(super) fn number(&self, name: gimli::DwAt) -> Option<u64> {
        self.value(name)?.udata_value()
    }

    /// A number that may be negative.
    pub(super) fn signed_number(&self, name: gimli::DwAt) -> Option<i64> {
        let value = self.value(name)?;
        value
            .sdata_value()
            .or_else(|| value.udata_value().map(|n| n as i64))
    }

    pub(super) fn flag(&self, name: gimli::DwAt) -> bool {
        matches!(self.value(name), Some(AttributeValue::Flag(true)))
    }

    /// Whether it says only that there is such a thing.
    pub(super) fn is_declaration(&self) -> bool {
        self.flag(constants::DW_AT_declaration)
    }

    /// Where it is in its file.
    pub(super) fn place(&self) -> u64 {
        let offset = self.entry.offset();
        match offset.to_debug_info_offset(&self.unit.header) {
            Some(at) => at.0 as u64,
            None => offset.to_unit_section_offset(&self.unit.header).0 as u64 | IN_TYPES,
        }
    }

    /// Its own name, as bytes.
    fn name_bytes(&self) -> Option<&'a [u8]> {
        let value = self.value(constants::DW_AT_name)?;
        let text = self.info.dwarf.attr_string(&self.unit, value).ok()?.slice();
        // Looking for the end of a long name takes time.
        if text.len() > MAX_NAME && !self.info.has_time() {
            return None;
        }
        Some(&text[..text.len().min(MAX_NAME)])
    }

    /// Its own name.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.name_bytes()?;
        (self.info.budget.takes(name.len())).then(|| String::from_utf8_lossy(name).into_owned())
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name_bytes() == Some(name.as_bytes())
    }

    /// The entry that an attribute refers to.
    pub(super) fn reference(&self, name: gimli::DwAt) -> Option<Die<'i, 'a>> {
        match self.value(name)? {
            AttributeValue::UnitRef(offset) => self.info.die(Rc::clone(&self.unit), offset),
            AttributeValue::DebugInfoRef(offset) => self.info.at(offset),
            AttributeValue::DebugInfoRefSup(offset) => self.info.supplementary.as_ref()?.at(offset),
            AttributeValue::DebugTypesRef(signature) => self.info.signed(signature),
            _ => None,
        }
    }

    /// The type it has; `None` for `void`.
    pub(super) fn ty(&self) -> Option<Die<'i, 'a>> {
        self.reference(constants::DW_AT_type)
    }

    /// It, and the entries whose attributes it shares: what it was made from, what it defines.
    pub(super) fn with_origins<T>(&self, mut found: impl FnMut(&Die<'i, 'a>) -> Option<T>) -> Option<T> {
        if let Some(found) = found(self) {
            return Some(found);
        }
        let origin = |die: &Die<'i, 'a>| {
            die.reference(constants::DW_AT_abstract_origin)
                .or_else(|| die.reference(constants::DW_AT_specification))
        };
        let mut next = origin(self);
        for _ in 0..MAX_CHAIN {
            let die = next?;
            if let Some(found) = found(&die) {
                return Some(found);
            }
            next = origin(&die);
        }
        None
    }

    /// Its children with such a tag, `most` at the most.
    pub(super) fn children(&self, most: usize, wanted: impl Fn(DwTag) -> bool) -> Vec<Die<'i, 'a>> {
        let mut found = Vec::new();
        let Ok(mut tree) = self.unit.entries_tree(Some(self.entry.offset())) else {
            return found;
        };
        let Ok(root) = tree.root() else { return found };
        let mut children = root.children();
        let mut count = 0u32;
        while let Ok(Some(child)) = children.next() {
            count = count.wrapping_add(1);
            let has_time = !count.is_multiple_of(CHECKED) || self.info.has_time();
            if found.len() >= most || !has_time {
                break;
            }
            if wanted(child.entry().tag()) && !self.info.budget.takes(size_of::<Die<'_, '_>>()) {
                break;
            }
            if wanted(child.entry().tag()) {
                found.push(Die {
                    info: self.info,
                    unit: Rc::clone(&self.unit),
                    entry: child.entry().clone(),
                });
            }
        }
        found
    }

    /// The addresses that an attribute is, or refers to.
    pub(super) fn address(&self, name: gimli::DwAt) -> Option<u64> {
        let value = self.value(name)?;
        self.info.dwarf.attr_address(&self.unit, value).ok()?
    }

    /// The address ranges of its code, as first addresses and lengths, until `visit` gives something.
    pub(super) fn find_range<T>(&self, mut visit: impl FnMut(u64, u64) -> Option<T>) -> Option<T> {
        if let Some(low) = self.address(constants::DW_AT_low_pc)
            && let Some(high) = self.value(constants::DW_AT_high_pc)
        {
            let length = match high {
                AttributeValue::Udata(length) => length,
                high => {
                    let high = self.info.dwarf.attr_address(&self.unit, high).ok()??;
                    high.checked_sub(low)?
                }
            };
            return visit(low, length);
        }
        let ranges = self.value(constants::DW_AT_ranges)?;
        let mut ranges = self.info.dwarf.attr_ranges(&self.unit, ranges).ok()??;
        let mut count = 0u32;
        while let Some(range) = ranges.next().ok()? {
            count = count.wrapping_add(1);
            if count.is_multiple_of(CHECKED) && !self.info.has_time() {
                return None;
            }
            if let Some(found) = visit(range.begin, range.end.checked_sub(range.begin)?) {
                return Some(found);
            }
        }
        None
    }

    /// The address where the function begins.
    pub(super) fn entry_address(&self) -> Option<u64> {
        self.address(constants::DW_AT_entry_pc)
            .or_else(|| self.address(constants::DW_AT_low_pc))
            .or_else(|| self.find_range(|begin, _| Some(begin)))
    }
}
