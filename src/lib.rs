//! What the `crumbs` command and its tests share: the way from a script's text to a compiled script, and the text in which
//! mistakes are shown.

pub mod ends;
pub mod explain;
pub mod render;
pub mod stages;
