//! Where a refusal of the verifier is shown.

use super::rejected;
use crumbs_grammar::span::Span;
use crumbs_runtime::kernel::reject::Rejection;

#[test]
fn refusals_of_the_verifier_are_shown_at_their_statement() {
    let text = "begin {\n  @x = 1;\n}";
    let mut rejection = Rejection {
        probe: "begin".into(),
        program: 0,
        position: Some((2, 3)),
        instruction: Some(7),
        reason: "R1 is not readable".into(),
        log: String::new(),
    };
    let probe = Span::new(0, text.len());
    let shown = rejected(text, probe, &rejection, "the output of -v");
    assert_eq!(shown.code.id, "E0181");
    assert_eq!(&text[shown.primary.span.range()], "@x = 1;");
    assert_eq!(
        shown.message,
        "cannot load begin: the kernel's verifier refused it: R1 is not readable"
    );
    assert!(
        shown.help[0].contains("report it with the script and the output of -v"),
        "{shown:?}"
    );
    // A place that is not in the text, or none: the probe.
    for position in [None, Some((0, 0)), Some((2, 400)), Some((99, 1))] {
        rejection.position = position;
        assert_eq!(rejected(text, probe, &rejection, "").primary.span, probe);
    }
}
