//! Functions that are macros: every script has them without an import.
//!
//! A macro of the script that takes the same arguments comes before one of these. One that uses another stands in front of
//! it. Unlike those of a script, they can have maps of their own, which all their uses share and no script can name.

mod globmatch;

use crumbs_grammar::ast::{Item, Macro, MacroParam};
use crumbs_grammar::source::HYGIENE_MARK;
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_item};

mod environment;
mod files;

/// What messages call the text of these macros.
pub const FILE: &str = "<prelude>";

/// A macro that every script has.
#[derive(Debug)]
pub struct Prelude {
    /// What a script writes.
    pub name: &'static str,
    /// One sentence of documentation.
    pub doc: &'static str,
    /// How it is used.
    pub syntax: &'static str,
    /// A script that uses it; a test compiles it.
    pub example: &'static str,
    /// Its definition, behind declarations of the maps that it keeps for itself.
    pub text: &'static str,
}

/// Every macro of this kind, declared once.
pub static ALL: &[Prelude] = &[
    Prelude {
        name: "assert",
        doc: "ends the run with exit status 1 and a message unless a condition holds",
        syntax: "assert(condition, message)",
        example: "begin { @x = 1; assert(@x == 1, \"a map keeps what it is given\"); }",
        text: "macro assert(cond, msg) { if (!(cond)) { errorf(\"assert failed: %s\", msg); exit(1); } }",
    },
    Prelude {
        name: "find",
        doc: "whether a map has an element of this key; if so, `$value` is set to it",
        syntax: "find(@map, key, $value)",
        example: "uprobe:libc:write { @size[tid] = arg2; } \
                  uretprobe:libc:write { let $size; if (find(@size, tid, $size)) { print($size); } }",
        text: "macro find(@map, key, $value) { \
               let $key = key; if (has_key(@map, $key)) { $value = @map[$key]; true } else { false } }",
    },
    Prelude {
        name: "globmatch",
        doc: "whether all of a text matches a pattern: `*` stands for any text, `?` for any byte, `[a-z]` for one of \
              these, `[!a-z]` for one that is none of them",
        syntax: "globmatch(text, pattern)",
        example: "tracepoint:syscalls:sys_enter_openat { \
                  if (globmatch(str(args.filename), \"/etc/*.conf\")) { @[comm] = count(); } }",
        text: globmatch::TEXT,
    },
    Prelude {
        name: "in_cgroup",
        doc: "whether the current process is in a cgroup (version 2), or in one below it, by the id that `cgroup` and \
              `cgroupid` give",
        syntax: "in_cgroup(id)",
        example: "tracepoint:syscalls:sys_enter_openat { if (in_cgroup($1)) { @ = count(); } }",
        // The root has no parent. What `cgroup.max.depth` allows is seldom deeper than some ten.
        text: "macro in_cgroup(id) { let $id = (uint64)(id); let $group = curtask.cgroups.dfl_cgrp; let $found = false; \
               for $i : 0..64 { if ((uint64)$group == 0) { break; } \
               if ((uint64)$group.kn.id == $id) { $found = true; break; } \
               let $parent = $group.self.parent; \
               $group = (struct cgroup *)((uint64)$parent == 0 ? (uint64)0 : \
               (uint64)$parent - offsetof(struct cgroup, self)); } $found }",
    },
    Prelude {
        name: "ppid",
        doc: "process id of the parent of the current process",
        syntax: "ppid([task])",
        example: "begin { print(ppid); }",
        text: "macro ppid() { ppid(curtask) }",
    },
    Prelude {
        name: "ppid",
        doc: "process id of the parent of a task's process",
        syntax: "ppid(task)",
        example: "begin { print(ppid(curtask)); }",
        text: "macro ppid(task) { (uint32)(task).real_parent.tgid }",
    },
    Prelude {
        name: "pcomm",
        doc: "name of the parent of the current process",
        syntax: "pcomm([task])",
        example: "begin { print(pcomm); }",
        text: "macro pcomm() { pcomm(curtask) }",
    },
    Prelude {
        name: "pcomm",
        doc: "name of the parent of a task's process",
        syntax: "pcomm(task)",
        example: "begin { print(pcomm(curtask)); }",
        text: "macro pcomm(task) { (task).real_parent.comm }",
    },
    Prelude {
        name: "leader_comm",
        doc: "name of the current process: that of its first thread",
        syntax: "leader_comm([task])",
        example: "begin { print(leader_comm); }",
        text: "macro leader_comm() { leader_comm(curtask) }",
    },
    Prelude {
        name: "leader_comm",
        doc: "name of a task's process: that of its first thread",
        syntax: "leader_comm(task)",
        example: "begin { print(leader_comm(curtask)); }",
        text: "macro leader_comm(task) { (task).group_leader.comm }",
    },
    Prelude {
        name: "leader_tid",
        doc: "thread id of the current process's first thread",
        syntax: "leader_tid([task])",
        example: "begin { print(leader_tid); }",
        text: "macro leader_tid() { leader_tid(curtask) }",
    },
    Prelude {
        name: "leader_tid",
        doc: "thread id of the first thread of a task's process",
        syntax: "leader_tid(task)",
        example: "begin { print(leader_tid(curtask)); }",
        text: "macro leader_tid(task) { (uint32)(task).group_leader.pid }",
    },
    environment::RANK,
    environment::JOBID,
    environment::ENV,
    environment::PROCESS,
    environment::SEARCH,
    files::FDPATH,
    files::FILEPATH,
    files::FD_FILE,
    files::NUMBERED,
    Prelude {
        name: "percpu_kaddr",
        doc: "address of a variable of the kernel that every CPU has one of: the current CPU's",
        syntax: "percpu_kaddr(\"symbol\"[, cpu])",
        example: "begin { print(*percpu_kaddr(\"process_counts\")); }",
        text: "macro percpu_kaddr(symbol) { percpu_kaddr(symbol, cpu) }",
    },
    Prelude {
        name: "percpu_kaddr",
        doc: "address of a CPU's variable of the kernel; 0 where there cannot be such a CPU",
        syntax: "percpu_kaddr(\"symbol\", cpu)",
        example: "begin { print(*percpu_kaddr(\"process_counts\", 0)); }",
        // The kernel keeps in this array how far each CPU's variables are from their symbols (include/asm-generic/percpu.h).
        text: "macro percpu_kaddr(symbol, number) { let $number: uint64 = (uint64)(number); \
               $number < ncpus ? kptr((uint64*)((uint64)kaddr(symbol) + *(kaddr(\"__per_cpu_offset\") + $number))) \
               : kptr((uint64*)0) }",
    },
    Prelude {
        name: "socket_cookie",
        doc: "the number by which the kernel knows a `struct sock`; 0 where nobody has asked for it yet",
        syntax: "socket_cookie(socket)",
        example: "kprobe:tcp_sendmsg { @[socket_cookie((struct sock *)arg0)] = count(); }",
        text: "macro socket_cookie(socket) { (uint64)((struct sock *)(socket)).__sk_common.skc_cookie.counter }",
    },
    Prelude {
        name: "abs_path",
        doc: "a path as seen from the root directory: relative ones behind the current process's working directory, of \
              which at most so many levels are looked at",
        syntax: "abs_path(path, levels)",
        example: "tracepoint:syscalls:sys_enter_openat { print(abs_path(str(args.filename), 32)); }",
        text: "macro abs_path(path, levels) { let $path = path; if (strncmp($path, \"/\", 1) == 0) { $path } else { \
               let $cwd = path_of(curtask.fs.pwd.mnt, curtask.fs.pwd.dentry, levels); \
               if ($path == \"\") { $cwd } else { \
               str_concat($cwd == \"/\" ? \"/\" : str_concat($cwd, \"/\"), $path) } } }",
    },
    Prelude {
        name: "cwd",
        doc: "path of the current process's working directory",
        syntax: "cwd",
        example: "begin { print(cwd); }",
        text: "macro cwd() { path_of(curtask.fs.pwd.mnt, curtask.fs.pwd.dentry, 32) }",
    },
    Prelude {
        name: "path",
        doc: "the same; how much room the path may take need not be said",
        syntax: "path(path, size)",
        example: "kprobe:vfs_read { print(path(((struct file *)arg0).f_path, 64)); }",
        text: "macro path(of, size) { path(of) }",
    },
    Prelude {
        name: "path",
        doc: "path of a file that the kernel has as a `struct path` or a pointer to one",
        syntax: "path(path[, size])",
        example: "kprobe:vfs_read { print(path(((struct file *)arg0).f_path)); }",
        text: "macro path(of) { path_of((of).mnt, (of).dentry, 64) }",
    },
    Prelude {
        name: "path_of",
        doc: "path of a directory entry of the kernel below a mount, of which at most so many levels are looked at",
        syntax: "path_of(struct vfsmount *, struct dentry *, levels)",
        example: "begin { print(path_of(curtask.fs.pwd.mnt, curtask.fs.pwd.dentry, 8)); }",
        text: "macro path_of(mount, entry, levels) { \
               let $mount = container_of(mount, struct mount, mnt); let $entry = entry; let $path = \"\"; \
               for $level : 0..(levels) { \
               if ($entry == $mount.mnt.mnt_root) { \
               if ($mount == $mount.mnt_parent) { break; } \
               $entry = $mount.mnt_mountpoint; $mount = $mount.mnt_parent; continue; } \
               if ($entry == $entry.d_parent) { break; } \
               $path = str_concat(str_concat(\"/\", str($entry.d_name.name)), $path); \
               $entry = $entry.d_parent; } \
               $path == \"\" ? \"/\" : $path }",
    },
];

/// Finds a macro by name.
pub fn by_name(name: &str) -> Option<&'static Prelude> {
    ALL.iter().find(|row| row.name == name)
}

/// Its definition and what it declares, with places counted from the start of its text. Maps that are no parameters have
/// names that no script can write.
pub(super) fn definition(row: &Prelude) -> Option<(Macro, Vec<Item>)> {
    let items = crumbs_grammar::parse(row.text).script.items;
    let (mut definitions, mut declarations): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| matches!(item, Item::Macro(_)));
    let mut own = Own { params: Vec::new() };
    declarations.iter_mut().for_each(|item| walk_item(&mut own, item));
    if let Some(Item::Macro(decl)) = definitions.first() {
        own.params = decl.params.iter().filter_map(map_param).collect();
    }
    definitions.iter_mut().for_each(|item| walk_item(&mut own, item));
    match definitions.into_iter().next() {
        Some(Item::Macro(decl)) => Some((decl, declarations)),
        _ => None,
    }
}

fn map_param(param: &MacroParam) -> Option<String> {
    match param {
        MacroParam::Map(name) => Some(name.node.clone()),
        _ => None,
    }
}

/// Gives the maps of a macro's own their names.
struct Own {
    params: Vec<String>,
}

impl VisitMut for Own {
    fn map(&mut self, name: &mut String, _span: Span) {
        if !self.params.contains(name) {
            name.push(HYGIENE_MARK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_parse_and_are_called_what_they_say() {
        for row in ALL {
            let parsed = crumbs_grammar::parse(row.text);
            assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
            assert_eq!(
                definition(row).map(|(decl, _)| decl.name.node).as_deref(),
                Some(row.name)
            );
        }
    }
}
