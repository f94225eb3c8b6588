#!/bin/sh
# Runs inside a guest (busybox): tries the static binary end to end, and runs test binaries of the workspace.
#
#   guest.sh TEST…     TEST is `VARIABLE=VALUE… BINARY ARGUMENTS`: a test binary with libtest's arguments
#
# Prints `passed NAME`, `failed NAME` and `skipped NAME: REASON`, and what crumbs says of the kernel on lines `INFO …`; what the
# test binaries print comes between lines `GUEST-TEST NAME` and `GUEST-STATUS N`.

crumbs=/crumbs

check() { # NAME COMMAND…: passes when the command succeeds
  name=$1; shift
  if "$@"; then echo "passed $name"; else echo "failed $name"; fi
}

one_file() { $crumbs --version | grep -q '^crumbs [0-9]'; }

# The one-liner of the README, with a dynamically linked dd.
flagship() {
  $crumbs -e 'uprobe:libc:write < @bytes = hist(arg2) >' \
    -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=4096 count=1000' > /tmp/out 2> /tmp/err
  status=$?
  grep -q '^\[4K, 8K) *1000 |@*|$' /tmp/out && [ $status -eq 0 ] || { cat /tmp/out /tmp/err; return 1; }
}

# Every system call of a child that makes a known number.
tracepoint() {
  $crumbs -e 'tracepoint:syscalls:sys_enter_write /comm == "dd" && args.count == 512/ { @n = count(); }' \
    -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=512 count=77' > /tmp/out 2> /tmp/err
  grep -q '^@n: 77$' /tmp/out || { cat /tmp/out /tmp/err; return 1; }
}

timers() {
  $crumbs -e 'interval:ms:50 { @ticks = count(); } interval:s:2 { printf("done\n"); exit(3); }' > /tmp/out 2> /tmp/err
  status=$?
  [ $status -eq 3 ] && grep -q '^done$' /tmp/out && grep -q '^@ticks: [1-9]' /tmp/out ||
    { echo "status $status"; cat /tmp/out /tmp/err; return 1; }
}

returns() {
  $crumbs -e 'uprobe:libc:read { @in = count(); } uretprobe:libc:read /retval == 512/ { @out = count(); }' \
    -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=512 count=33' > /tmp/out 2> /tmp/err
  grep -q '^@out: 33$' /tmp/out || { cat /tmp/out /tmp/err; return 1; }
}

# The scripts of the library on system calls and streams compile for this kernel, and its verifier takes them. The libraries that
# the others look at are not in the guest.
library() {
  tried=0 bad=0
  for script in $($crumbs lib | sed -n 's,^  \(posix/[a-z0-9]*\) .*,\1,p') stdio/buffering; do
    tried=$((tried + 1))
    $crumbs --dry-run run "$script" > /tmp/out 2>&1 || { echo "$script"; cat /tmp/out; bad=1; }
  done
  [ $tried -gt 10 ] && [ $bad -eq 0 ]
}

# Counts exactly 33 reads of 512 bytes that dd makes; NAME SCRIPT, in which COUNT stands for the condition and the body.
reads() {
  script=$(echo "$2" | sed "s/COUNT/\/comm == \"dd\" \&\& $3\/ { @[$4] = count(); }/")
  $crumbs -e "$script" -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=512 count=33' > /tmp/out 2> /tmp/err
  grep -q "^@\[$5\]: 33\$" /tmp/out || { echo "$1: $script"; cat /tmp/out /tmp/err; return 1; }
}

# A script that prints `ran` once something has happened. Not for functions of the kernel: the emulator can run an instruction that
# another CPU has just taken a probe from, which stops the guest (`int3` oops).
runs() {
  $crumbs -e "$1 { printf(\"ran\\n\"); exit(); }" -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=1 count=100000' \
    > /tmp/out 2> /tmp/err
  grep -q '^ran$' /tmp/out || { echo "$1"; cat /tmp/out /tmp/err; return 1; }
}

# Probes on the return of one function run in the order of the script; POINT.
order() {
  $crumbs -e "$1 /comm == \"dd\" && retval == 512/ { @turn = 1; }
    $1 /comm == \"dd\" && retval == 512/ { if (@turn == 1) { @right = count(); } @turn = 0; }" \
    -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=512 count=33' > /tmp/out 2> /tmp/err
  grep -q '^@right: 33$' /tmp/out || { cat /tmp/out /tmp/err; return 1; }
}

# A function of a module, which is found by its address; POINT.
of_module() {
  [ -e /dev/loop0 ] || insmod /modules/loop.ko || return 1
  $crumbs -e "$1 { @[func] = count(); }" -c '/bin/busybox losetup /dev/loop0' > /tmp/out 2> /tmp/err
  grep -q '^@\[lo_ioctl\]: [1-9]' /tmp/out || { cat /tmp/out /tmp/err; return 1; }
}

# A function of which the compiler has only made another: by that one's name, by wildcard, and what its own name says.
clones() {
  $crumbs -l 'kprobe:*.isra.0' | sed 's/^kprobe://; s/\.isra\.0$//' > /tmp/clones
  base=$(while read -r name; do grep -q " $name\$" /proc/kallsyms || { echo "$name"; break; }; done < /tmp/clones)
  [ -n "$base" ] || { echo 'this kernel has none'; return 1; }
  for clone in "$base.isra.0" "$base*"; do
    $crumbs -e "kprobe:$clone { @ = count(); } interval:ms:1 { exit(); }" > /tmp/out 2> /tmp/err ||
      { echo "$clone"; cat /tmp/out /tmp/err; return 1; }
  done
  $crumbs -e "kprobe:$base { @ = count(); }" > /tmp/out 2> /tmp/err
  grep -q "the compiler made $base.isra.0" /tmp/err || { cat /tmp/out /tmp/err; return 1; }
}

# A pinned iterator: its file shows what `printf` says, when crumbs has ended.
pinned() {
  $crumbs -e 'iter:task:crumbs /ctx.task.pid == 1/ { printf("%d %-5s|%x\n", ctx.task.pid, ctx.task.comm, 255); }' \
    > /tmp/out 2> /tmp/err
  grep -q '^Program pinned to /sys/fs/bpf/crumbs$' /tmp/out && [ "$(cat /sys/fs/bpf/crumbs)" = '1 init |ff' ] ||
    { cat /tmp/out /tmp/err /sys/fs/bpf/crumbs; return 1; }
  rm /sys/fs/bpf/crumbs
}

# The functions of a loaded BPF program, which is that of another crumbs, by name and by wildcard; KIND.
of_program() {
  $crumbs -e 'uprobe:libc:read { @ = count(); }' > /dev/null 2>&1 &
  other=$!
  until $crumbs -l "$1:bpf:*" 2> /dev/null | grep -q uprobe || ! kill -0 $other; do :; done
  point=$($crumbs -l "$1:bpf:*" | grep uprobe | head -1)
  bad=0
  for point in "$point" "$1:bpf:${point##*:}" "$1:bpf:*uprobe*"; do
    $crumbs -e "$point { @[func] = count(); }" -c '/usr/local/bin/dd if=/dev/zero of=/dev/null bs=512 count=33' > /tmp/out 2> /tmp/err
    grep -q '^@\[.*uprobe.*\]: 3[3-9]$' /tmp/out || { echo "$point"; cat /tmp/out /tmp/err; bad=1; }
  done
  kill $other; wait $other 2> /dev/null
  [ $bad -eq 0 ]
}

# Completed calls of the kernel and of user code, each with its arguments and result.
calls() {
  $crumbs -e 'kcall:vfs_write /arg2 == 77 && retval == 77 && duration > 0/ { @kernel = count(); }
    ucall:libc:read /arg2 == 77 && retval == 77/ { @user = count(); }' \
    -c '/usr/local/bin/dd if=/dev/zero of=/tmp/seventy-seven bs=77 count=20' > /tmp/out 2> /tmp/err
  grep -q '^@kernel: 20$' /tmp/out && grep -q '^@user: 20$' /tmp/out ||
    { cat /tmp/out /tmp/err; return 1; }
}

check 'static binary starts' one_file
$crumbs --info | sed 's/^/INFO /'
check 'flagship one-liner' flagship
check 'tracepoint' tracepoint
check 'interval and exit code' timers
check 'return probe' returns
case $(uname -r) in
  5.*) echo 'skipped scripts of the library load: kernels before 6.1 have the core of the language' ;;
  *) check 'scripts of the library load' library ;;
esac
check 'user probes by wildcard' reads uprobes 'uprobe:libc:rea* COUNT' 'arg2 == 512' func read
check 'kprobe' reads kprobe 'kprobe:vfs_read COUNT' 'arg2 == 512' func vfs_read
check 'kprobe by wildcard' reads kprobes 'kprobe:vfs_r* COUNT' 'arg2 == 512' func vfs_read
check 'kretprobe by wildcard' reads kretprobes 'kretprobe:vfs_r* COUNT' 'retval == 512' func vfs_read
check 'fentry' reads fentry 'fentry:vfs_read COUNT' 'args.count == 512' func vfs_read
check 'fexit' reads fexit 'fexit:vfs_read COUNT' 'retval == 512' func vfs_read
check 'fexit by wildcard' reads fexits 'fexit:vfs_rea* COUNT' 'retval == 512' func vfs_read
check 'raw tracepoint' runs rawtracepoint:sys_enter
check 'profile' runs profile:hz:99
check 'software event' runs software:cpu-clock:1000000
check 'iterator' runs iter:task
check 'pinned iterator' pinned
check 'fentry on a BPF program' of_program fentry
check 'fexit on a BPF program' of_program fexit
check 'completed calls' calls
check 'order of return probes' order kretprobe:vfs_read
check 'order of return probes by wildcard' order 'kretprobe:vfs_rea*'
check 'kprobe on a module' of_module kprobe:loop:lo_ioctl
check 'kprobe on a module by wildcard' of_module 'kprobe:loop:lo_i*'
case $(uname -r) in
  5.*) echo 'skipped fentry on a module: kernels before 5.11 do not describe the functions of modules' ;;
  *) check 'fentry on a module' of_module fentry:loop:lo_ioctl ;;
esac
check 'functions that the compiler made (.isra, .constprop)' clones

for test in "$@"; do
  echo "GUEST-TEST $test"
  # shellcheck disable=SC2086
  env $test --show-output --test-threads=1 2>&1
  echo "GUEST-STATUS $?"
done
exit 0
