//! What the command line says about a compilation.

/// What is not in the script but decides what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The positional parameters: `$1` is the first.
    pub params: Vec<String>,
    /// The named parameters (`--name`, `--name=value`), in order: `getopt` reads them.
    pub named: Vec<(String, Option<String>)>,
    /// The modules of the probe library: what an import calls them, and their text.
    pub library: &'static [(&'static str, &'static str)],
    /// The process that is traced (`-p`), as its pid namespace numbers it.
    pub pid: Option<u32>,
    /// Whether `warnf` is silent (`--no-warnings`).
    pub no_warnings: bool,
    /// Whether the user allows what can change or crash the traced system (`--unsafe`).
    pub allow_unsafe: bool,
    /// The process that runs the traced command (`-c`), numbered likewise.
    pub command_pid: Option<u32>,
    /// Config variables that are set from outside (environment, flags), which win over the script's: name in lower
    /// case without prefix, and value. A later one wins.
    pub config: Vec<(String, String)>,
}
