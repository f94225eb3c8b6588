//! What is unstable in bpftrace: config variables say whether scripts may use it.

use super::cx::Cx;
use crate::codes;
use crate::config;
use crate::hir;
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// Reports that `what` is used where the config variable `gate` refuses it or wants a warning of it; `None` where it
    /// refuses.
    pub(super) fn pass_gate(&mut self, gate: &str, what: &str, span: Span) -> Option<()> {
        let message = format!("`{what}` is unstable: what it does may change");
        let help = format!("say that it may be used: `config = {{ {gate} = enable }}`");
        match self.configured.value(gate) {
            "error" => self.report(Diagnostic::error(&codes::UNSTABLE, span, message).help(help)),
            "warn" => {
                self.report::<()>(Diagnostic::warning(&codes::USES_UNSTABLE, span, message).help(help));
                Some(())
            }
            _ => Some(()),
        }
    }

    /// The map that `tseries` takes for the clock must have an integer; reports at the first series where it does not.
    pub(super) fn check_series_clock(&mut self, maps: &[hir::Map]) -> Option<()> {
        let is_series = |map: &&hir::Map| matches!(&map.value, Type::Agg(ty) if ty.aggregation().gate() == Some(config::UNSTABLE_SERIES));
        let clock = self.configured.config.series_clock.as_deref();
        let (Some(clock), Some(series)) = (clock, maps.iter().find(is_series)) else {
            return Some(());
        };
        let is_clock =
            |map: &hir::Map| map.name == clock && map.key.is_none() && matches!(map.value, Type::Int(_));
        if maps.iter().any(is_clock) {
            return Some(());
        }
        let message = format!("`@{clock}` is no clock for `tseries`");
        let help = format!(
            "`{}` names a map without keys that holds an integer",
            config::SERIES_CLOCK
        );
        self.report(Diagnostic::error(&codes::BAD_CONFIG, series.span, message).help(help))
    }
}
