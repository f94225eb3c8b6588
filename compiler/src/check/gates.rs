//! What is unstable in bpftrace: config variables say whether scripts may use it.

use super::cx::Cx;
use crate::codes;
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
}
