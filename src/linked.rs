//! Programs that are linked statically: probes on libraries see nothing of what they call.

use crate::report;
use crumbs_compiler::plan::{Attach, Plan};
use crumbs_runtime::{child, host};
use std::path::Path;

/// Says so, once, of a command whose program is such a one while a script has probes on libraries.
pub(crate) fn warn(command: &str, plan: &Plan) {
    let mut attached = plan.programs.iter().flat_map(|program| &program.attach);
    let looks_at_libraries = attached.any(|attach| match attach {
        Attach::Uprobe { path, .. } => is_library(path),
        Attach::Late { .. } => true,
        _ => false,
    });
    let Some(program) = child::programs(command)
        .into_iter()
        .find(|program| looks_at_libraries && host::is_static(program))
    else {
        return;
    };
    report::message(&format!(
        "WARNING: {0} is linked statically: its calls of libraries are calls within itself, which probes on libraries do not see. \
         System calls are seen; `crumbs -l 'uprobe:{0}:*'` lists what can be traced in it",
        program.display()
    ));
}

fn is_library(path: &str) -> bool {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".so") || name.contains(".so.")
}
