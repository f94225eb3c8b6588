//! Files that are open in the traced process: `fdpath`.

use super::Prelude;

pub(super) const FDPATH: Prelude = Prelude {
    name: "fdpath",
    doc: "path of a file that the current process has open, by its descriptor, as `/proc/PID/fd` shows it: \
          `pipe:[9]`, `socket:[9]` and `anon_inode:…` for what has no path, ` (deleted)` behind what has it no more; \
          empty where nothing is open under this number",
    syntax: "fdpath(fd)",
    example: "uprobe:libc:write { @bytes[fdpath(arg0)] = sum(arg2); }",
    text: "macro fdpath(number) { filepath(fd_file(number)) }",
};

pub(super) const FILEPATH: Prelude = Prelude {
    name: "filepath",
    doc: "the same, of a file that the kernel has as a `struct file *`; empty for a null pointer",
    syntax: "filepath(file)",
    example: "kprobe:vfs_fsync { print(filepath((struct file *)arg0)); }",
    // PIPEFS_MAGIC, SOCKFS_MAGIC and ANON_INODE_FS_MAGIC (include/uapi/linux/magic.h). A deleted file has left its directory's
    // hash table. A root that is not its mount's is a file that never was in a directory (`memfd_create`).
    text: "macro filepath(of) { let $file = of; let $path = \"\"; if ($file != 0) { \
           let $entry = $file.f_path.dentry; let $inode = $file.f_inode; let $magic = $inode.i_sb.s_magic; \
           if ($magic == 0x50495045) { $path = numbered(\"pipe\", $inode.i_ino); } \
           else if ($magic == 0x534f434b) { $path = numbered(\"socket\", $inode.i_ino); } \
           else if ($magic == 0x09041934) { $path = str_concat(\"anon_inode:\", str($entry.d_name.name)); } \
           else if ($entry.d_parent == $entry && $entry != $file.f_path.mnt.mnt_root) { \
           $path = str_concat(str_concat(\"/\", str($entry.d_name.name)), \" (deleted)\"); } \
           else { $path = path_of($file.f_path.mnt, $entry, 64); \
           if ($entry.d_hash.pprev == 0 && $entry.d_parent != $entry) { \
           $path = str_concat($path, \" (deleted)\"); } } } $path }",
};

pub(super) const FD_FILE: Prelude = Prelude {
    name: "fd_file",
    doc: "the `struct file` that the current process has open under a descriptor; 0 where there is none",
    syntax: "fd_file(fd)",
    example: "uprobe:libc:write { print(fd_file(arg0).f_flags); }",
    // Descriptors are ints: what is above their 32 bits is not part of them.
    text: "macro fd_file(number) { let $fd = (uint32)(number); let $table = curtask.files.fdt; \
           $fd < (uint32)$table.max_fds ? (struct file *)*($table.fd + $fd) : (struct file *)0 }",
};

pub(super) const NUMBERED: Prelude = Prelude {
    name: "numbered",
    doc: "a name with a number in brackets behind it: `pipe:[9]`",
    syntax: "numbered(name, number)",
    example: "begin { print(numbered(\"pipe\", 9)); }",
    text: "macro numbered(name, number) { let $rest = (uint64)(number); let $text = \"]\"; \
           for $i : 0..20 { $text = str_concat((uint8[1])(uint8)(48 + $rest % 10), $text); \
           $rest /= 10; if ($rest == 0) { break; } } \
           str_concat(str_concat(name, \":[\"), $text) }",
};
