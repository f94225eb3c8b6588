//! What was lost, by names that do not depend on a plan.

use crumbs_compiler::plan::{LossKind, MapId, Plan};

/// Something that was lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// Which kind: a name of `KINDS` or `OF_MAPS`.
    pub kind: &'static str,
    /// The map that it is about, without `@`.
    pub map: Option<String>,
}

/// The kinds that are about no map.
const KINDS: [(&str, LossKind); 6] = [
    ("event", LossKind::Event),
    ("scratch", LossKind::Scratch),
    ("loop", LossKind::Loop),
    ("zero_division", LossKind::ZeroDivision),
    ("calls", LossKind::Calls),
    ("read", LossKind::Read),
];

type OfMap = fn(MapId) -> LossKind;

/// The kinds that are about a map.
const OF_MAPS: [(&str, OfMap); 3] = [
    ("map_full", LossKind::MapFull),
    ("contended", LossKind::Contended),
    ("length", LossKind::Length),
];

impl Lost {
    /// The name of a kind of loss; `None` where it is about a map that the plan does not have.
    pub(super) fn of(kind: LossKind, plan: &Plan) -> Option<Self> {
        if let Some((name, _)) = KINDS.iter().find(|(_, known)| *known == kind) {
            return Some(Self {
                kind: name,
                map: None,
            });
        }
        let (LossKind::MapFull(map) | LossKind::Contended(map) | LossKind::Length(map)) = kind else {
            return None;
        };
        let (name, _) = OF_MAPS.iter().find(|(_, of)| of(map) == kind)?;
        Some(Self {
            kind: name,
            map: Some(plan.maps.get(map.0 as usize)?.name.clone()),
        })
    }

    /// What a file names so; `None` where there is no such kind.
    pub(super) fn named(kind: &str, map: Option<&str>) -> Option<Self> {
        let name = match map {
            None => KINDS.iter().find(|(name, _)| *name == kind)?.0,
            Some(_) => OF_MAPS.iter().find(|(name, _)| *name == kind)?.0,
        };
        Some(Self {
            kind: name,
            map: map.map(str::to_owned),
        })
    }

    /// The kind of loss in terms of a plan; `None` where the plan has no such map.
    pub(super) fn kind(&self, plan: &Plan) -> Option<LossKind> {
        let Some(wanted) = &self.map else {
            return KINDS
                .iter()
                .find(|(name, _)| *name == self.kind)
                .map(|(_, kind)| *kind);
        };
        let map = plan.maps.iter().position(|map| map.name == *wanted)?;
        let (_, of) = OF_MAPS.iter().find(|(name, _)| *name == self.kind)?;
        Some(of(MapId(map as u32)))
    }
}
