//! A run in two halves: what is measured, up to its `end` programs, and what follows from that, maybe elsewhere and for several
//! runs together.

use super::{Host, HostNames, Session, losses, unwritable};
use crate::backend::{Backend, Error};
use crate::show::Output;
use crate::snapshot::{Elements, Leave, Maps, State};
use crate::value::name_addresses;
use crumbs_compiler::plan::{LossKind, MapId, Plan};

/// What a script's maps hold once all but its `end` programs is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The elements of the maps that are needed then, with every address named: keys, and what they hold.
    pub maps: Vec<(MapId, Elements)>,
    /// What was lost.
    pub losses: Vec<(LossKind, u64)>,
}

/// As [`super::run`], but for what comes last: `end` programs are not run and nothing is printed of the maps. Gives them instead.
///
/// # Errors
/// As [`super::run`], and when a map cannot be read.
pub fn measure<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    output: &mut dyn Output,
    start: u64,
) -> Result<(i32, Measured), Error> {
    let mut session = Session::new(plan, Maps::new(plan), output, start);
    let outcome = session.until_exit(backend, host, start);
    backend.detach();
    session.maps.programs_have_ended();
    outcome?;
    let measured = session.measured(backend, host)?;
    Ok((session.code, measured))
}

/// What comes last in [`super::run`], and nothing before: the `end` programs run on what the maps of `backend` hold, losses are told
/// and maps are printed. `zeroed`: the maps that `zero` was called on;
/// `lost`: what had been lost before.
///
/// # Errors
/// As [`super::run`].
pub fn conclude<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    output: &mut dyn Output,
    (zeroed, lost): (&[MapId], &[(LossKind, u64)]),
) -> Result<i32, Error> {
    let mut session = Session::new(plan, Maps::new(plan), output, 0);
    session.lost_before = lost.to_vec();
    zeroed.iter().for_each(|map| session.maps.mark_zeroed(*map));
    backend.detach();
    session.maps.programs_have_ended();
    session.finish(backend, host)?;
    Ok(session.code)
}

impl Session<'_> {
    /// What there is once everything is detached.
    fn measured<B: Backend>(&mut self, backend: &mut B, host: &mut dyn Host<B>) -> Result<Measured, Error> {
        self.report_skipped(backend)?;
        self.drain(backend, host)?;
        if let Some(code) = self.exit_flag(backend) {
            self.code = code;
        }
        let mut maps = Vec::new();
        for (id, map) in (0..).map(MapId).zip(&self.plan.maps) {
            if map.merging.is_none() {
                continue;
            }
            let mut contents = self.maps.states(backend, id, Leave::AsIs)?;
            for (key, state) in &mut contents {
                key.iter_mut()
                    .for_each(|key| name_addresses(key, &mut HostNames(host)));
                if let State::Value(value) = state {
                    name_addresses(value, &mut HostNames(host));
                }
            }
            maps.push((id, contents));
        }
        let losses = losses::totals(self.plan, backend);
        self.report_losses(&losses)?;
        self.output.flush().map_err(unwritable)?;
        Ok(Measured { maps, losses })
    }
}
