//! The comment that a script opens with.
//!
//! In: a script's text. Out: its documentation, the `//` of each line taken away.

/// What a script says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    lines: Vec<&'a str>,
}

/// What a line begins with that opens a section.
const HEADING: &str = "## ";

impl<'a> Header<'a> {
    /// The leading comment of a script; what a `#!` line says is for the shell.
    pub fn of(text: &'a str) -> Self {
        let lines = text.lines().skip_while(|line| line.starts_with("#!"));
        let comment = lines.map_while(|line| line.strip_prefix("//"));
        Self {
            lines: comment
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect(),
        }
    }

    /// The first line: what the script answers.
    pub fn question(&self) -> &'a str {
        self.lines.first().copied().unwrap_or_default()
    }

    /// All of it, as Markdown, without a newline at its end.
    pub fn markdown(&self) -> String {
        self.lines.join("\n").trim_end().to_owned()
    }

    /// The sections in their order: title and text.
    pub fn sections(&self) -> impl Iterator<Item = (&'a str, String)> + '_ {
        let starts = (0..self.lines.len()).filter(|at| self.lines[*at].starts_with(HEADING));
        starts.map(|start| {
            let text = self.lines[start + 1..]
                .iter()
                .take_while(|line| !line.starts_with(HEADING));
            let text: Vec<&str> = text.copied().collect();
            (
                &self.lines[start][HEADING.len()..],
                text.join("\n").trim_matches('\n').to_owned(),
            )
        })
    }

    /// The text of a section.
    pub fn section(&self, title: &str) -> Option<String> {
        self.sections()
            .find(|(name, _)| *name == title)
            .map(|(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn a_header_is_taken_apart() {
        let header = Header::of(
            "#!/usr/bin/env crumbs\n// How many?\n//\n// All.\n//\n// ## Cost\n//\n// None.\n//\n// ## Example\n//\n//     $ x\n\nbegin { }\n// not this\n",
        );
        assert_eq!(header.question(), "How many?");
        assert_eq!(header.section("Cost").as_deref(), Some("None."));
        assert_eq!(header.section("Example").as_deref(), Some("    $ x"));
        assert_eq!(header.section("Parameters"), None);
        assert!(header.markdown().ends_with("## Example\n\n    $ x"));
        assert_eq!(Header::of("begin { }").question(), "");
    }
}
