//! What a process had started before crumbs (`--follow tree -p PID`).
//!
//! In: a script that follows processes, attached. Out: the threads of the process's descendants in the script's map of followed
//! threads. From their entry on the kernel follows what they start. So a pass over `/proc` can only miss what a thread started
//! after `/proc` was read and before its entry was made, and that is a child of a thread which is there by the next pass:
//! passes are made until one finds nothing new. A process whose parents had ended by then is init's child, and is not found.

use super::KernelBackend;
use crate::backend::{Backend, Error};
use crate::child;
use crumbs_compiler::plan::{BpfMapId, Generations, Storage};
use std::collections::{HashMap, HashSet};
use std::fs;

/// More passes than any process can keep up with by starting others all the time.
const PASSES: usize = 1000;

impl KernelBackend {
    /// Follows the processes that descend from `root`, which is followed itself.
    ///
    /// # Errors
    /// When the map is full or cannot be changed.
    pub fn follow_descendants(&mut self, root: u32) -> Result<(), Error> {
        let Some((map, key_size)) = self.followed() else {
            return Ok(());
        };
        let mut known = HashSet::new();
        for _ in 0..PASSES {
            let new: Vec<u32> = threads_below(root)
                .into_iter()
                .filter(|thread| known.insert(*thread))
                .collect();
            if new.is_empty() {
                return Ok(());
            }
            for thread in new {
                let mut key = u64::from(thread).to_ne_bytes().to_vec();
                key.resize(key_size, 0);
                self.insert_zero(map, &key)?;
            }
        }
        Ok(())
    }

    /// The map of followed threads, and the size of its keys: a number in as many bytes.
    fn followed(&self) -> Option<(BpfMapId, usize)> {
        let map = self.plan.maps.iter().find(|map| map.is_followed_threads())?;
        let Storage::Hash(Generations::One(id)) = map.storage else {
            return None;
        };
        let spec = self.plan.bpf_maps.get(id.0 as usize)?;
        Some((id, spec.key_size as usize))
    }
}

/// The threads of the processes that descend from `root`.
fn threads_below(root: u32) -> Vec<u32> {
    let numbers = |directory: &str| -> Vec<u32> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    };
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for process in numbers("/proc") {
        if let Some(parent) = child::parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut threads = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            threads.extend(numbers(&format!("/proc/{process}/task")));
            parents.push(process);
        }
    }
    threads
}

#[cfg(test)]
mod tests {
    use super::threads_below;
    use std::process::{Command, Stdio};

    #[test]
    #[expect(clippy::unwrap_used, reason = "tests")]
    fn descendants_are_found() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let found = threads_below(std::process::id());
        assert!(found.contains(&child.id()), "{found:?}");
        assert!(!found.contains(&std::process::id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
