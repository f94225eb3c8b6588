//! Functions: which unit has the one at an address, what it takes and gives, and where it has been inlined.
//!
//! In: addresses as the program's file has them. Out: [`Signature`]s.

use super::info::{Die, Info};
use crumbs_compiler::signature::{Param, Passing, Signature};
use crumbs_compiler::types::Type;
use gimli::constants;

/// The most parameters that are read.
const MAX_PARAMS: usize = 256;

impl<'a> Info<'a> {
    /// The index of the unit whose code `address` is in.
    pub(super) fn unit_with(&self, address: u64) -> Option<usize> {
        self.by_ranges_table(address)
            .or_else(|| (0..self.unit_count()).find(|&index| self.unit_covers(index, address)))
    }

    fn unit_covers(&self, index: usize, address: u64) -> bool {
        let Some(unit) = self.unit(index) else {
            return false;
        };
        let is_unit = |tag| {
            matches!(
                tag,
                constants::DW_TAG_compile_unit
                    | constants::DW_TAG_skeleton_unit
                    | constants::DW_TAG_partial_unit
            )
        };
        let within = |begin, length| (address.wrapping_sub(begin) < length).then_some(());
        self.find(&unit, is_unit, |root| Some(root.find_range(within).is_some()))
            .unwrap_or(false)
    }

    /// By `.debug_aranges`, which need not list all units.
    fn by_ranges_table(&self, address: u64) -> Option<usize> {
        let mut tables = self.dwarf.debug_aranges.headers();
        while let Some(table) = tables.next().ok()? {
            let mut entries = table.entries();
            if !self.has_time() {
                return None;
            }
            while let Some(entry) = entries.next().ok()? {
                if address.wrapping_sub(entry.address()) < entry.length() {
                    return self.unit_at(table.debug_info_offset());
                }
            }
        }
        None
    }

    /// The function of a unit that begins at `address`.
    pub(super) fn function(&self, unit: usize, address: u64) -> Option<Die<'_, 'a>> {
        let unit = self.unit(unit)?;
        let is_function = |tag| tag == constants::DW_TAG_subprogram;
        self.find(&unit, is_function, |die| {
            (die.entry_address() == Some(address)).then_some(die)
        })
    }

    /// Whether code of the function of this name has been put into others.
    pub(super) fn is_inlined(&self, name: &str) -> bool {
        /// `DW_INL_inlined`, `DW_INL_declared_inlined`.
        const INLINED: [u64; 2] = [1, 3];
        let is_function = |tag| tag == constants::DW_TAG_subprogram;
        let inlined = self.find_anywhere(is_function, |die| {
            if !die.is_called(name) && !die.is_linked_as(name) {
                return None;
            }
            let inline = match die.value(constants::DW_AT_inline)? {
                gimli::AttributeValue::Inline(inline) => u64::from(inline.0),
                value => value.udata_value()?,
            };
            INLINED.contains(&inline).then_some(())
        });
        inlined.is_some()
    }
}

impl Die<'_, '_> {
    /// Whether the linker knows it by this name.
    fn is_linked_as(&self, name: &str) -> bool {
        self.value(constants::DW_AT_linkage_name).is_some_and(|value| {
            let found = self.info.dwarf.attr_string(&self.unit, value);
            found.is_ok_and(|found| found.slice() == name.as_bytes())
        })
    }

    /// What this function takes and gives.
    pub(super) fn signature(&self) -> Signature {
        let is_param = |tag| tag == constants::DW_TAG_formal_parameter;
        let params = self.with_origins(|die| {
            let params = die.children(MAX_PARAMS, is_param);
            (!params.is_empty()).then(|| params.iter().map(Die::param).collect::<Vec<_>>())
        });
        let result = self.with_origins(|die| die.ty());
        let stores_result = || {
            let result = self.with_origins(|die| die.ty())?;
            Some(matches!(
                result.passing(),
                Passing::Memory { align: 8 } | Passing::Reference
            ))
        };
        Signature {
            params: params.unwrap_or_default(),
            stores_result: stores_result().unwrap_or(false),
            result: result.map_or(Type::Void, |ty| ty.as_type()),
        }
    }

    fn param(&self) -> Param {
        let declaration = self.with_origins(|die| die.ty()).map(|ty| ty.c_text());
        let ty = self.with_origins(|die| die.ty());
        Param {
            name: self.with_origins(|die| die.name()).unwrap_or_default(),
            declaration: declaration.unwrap_or_else(|| "void".to_owned()),
            ty: ty.as_ref().map_or(Type::Void, |ty| ty.as_type()),
            passing: ty.map_or(Passing::Words(Vec::new()), |ty| ty.passing()),
        }
    }
}
