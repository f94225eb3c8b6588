#!/bin/bash
# Boots other kernels and tests there: the static binary end to end, that every golden script loads, and the live tests.
#
#   tests/kernels/run.sh [KERNEL…]     default: 5.10 6.1 6.12 6.18 7
#   tests/kernels/run.sh aarch64       cross-compiles first, which takes some minutes: not part of the default
#
# In: the static release binary (built if it is not there) and the test binaries of the dev profile. Prints a line a result
# and, when run by itself, the summary. 6.1 and 6.12 must boot; a kernel whose package cannot be had is skipped.
set -uo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${TALLY:-}" ]; then by_itself=1; fi
. tests/tally.sh
required=' 6.1 6.12 '
kernels=("$@"); [ $# -gt 0 ] || kernels=(5.10 6.1 6.12 6.18 7)
target=${CARGO_TARGET_DIR:-target}
binary=$target/x86_64-unknown-linux-gnu/release/crumbs
logs=$target/test-logs; mkdir -p "$logs"

give_up() { for kernel in "${kernels[@]}"; do skipped "kernel $kernel" "$1"; done; exit 0; }
[ "$(uname -m)" = x86_64 ] || give_up "the guests are x86-64"
for tool in qemu-system-x86_64 cpio xz dpkg-deb busybox; do
  command -v $tool > /dev/null || give_up "$tool is not installed"
done
of_x86=$(printf '%s\n' "${kernels[@]}" | grep -vx aarch64)
if [ -n "${by_itself:-}" ] && [ -n "$of_x86" ]; then bash tests/static.sh || { failed 'static build'; summary; exit 1; }; fi

# A binary for AArch64: a path in $crossed, or the guest is left out. Its packages can be had where Debian is.
crossed=''
cross() {
  local log=$logs/cross.log status
  if ! command -v qemu-system-aarch64 > /dev/null; then
    skipped 'kernel aarch64' 'qemu-system-aarch64 is not installed (qemu-system-arm)'; return 1
  fi
  crossed=$(bash tests/kernels/cross.sh 2> "$log"); status=$?
  case $status in
    0) aarch64-linux-gnu-strip -o "$stage/crumbs-aarch64" "$crossed"; crossed=$stage/crumbs-aarch64 ;;
    126) skipped 'kernel aarch64' "$(tail -1 "$log")"; return 1 ;;
    *) tail -20 "$log"; failed 'kernel aarch64: crumbs does not build for it'; return 1 ;;
  esac
}

# The test binaries that run in guests, and which of their tests.
[ -z "$of_x86" ] || executables=$(cargo test --workspace --no-run --message-format=json 2> "$logs/guest-build.log" |
  sed -n 's/.*"name":"\([^"]*\)".*"executable":"\([^"]*\)".*/\1 \2/p')
stage=$(mktemp -d); trap 'rm -rf "$stage"' EXIT
# What the guests share: binaries without their debug information, which would only fill the memory of the guest.
files=(-f "$binary:/crumbs" -f "$(command -v dd):/usr/local/bin/dd" -f tests/kernels/guest.sh:/guest.sh)
for name in ${of_x86:+golden crumbs_runtime differential exactness}; do
  path=$(awk -v name="$name" '$1 == name { print $2; exit }' <<< "$executables")
  if [ -z "$path" ]; then failed "guests: there is no test binary $name"; continue; fi
  strip -o "$stage/$name" "$path" 2> /dev/null || cp "$path" "$stage/$name"
  files+=(-f "$stage/$name:/tests/$name")
done

if gcc -O2 -pthread -static -o "$stage/target" tests/exactness/target.c; then files+=(-f "$stage/target:/target"); fi

# The tests of a kernel, each `VARIABLE=VALUE… BINARY FILTER`. What is emulated is slow, so the random ones make fewer cases and
# the target of the exactness tests fewer calls: with preempt=full, each of those finds its planted faults all the same.
# Kernels before 6.1 have the core of the language only.
tests_of() {
  tests=()
  [ "$1" != aarch64 ] || return 0
  tests=('GOLDEN_DIR=/golden /tests/golden loads_' '/tests/crumbs_runtime kernel::')
  case $1 in 6.1 | 6.12) tests+=('PROPTEST_CASES=12 /tests/differential kernel_') ;; esac
  case $1 in 6.12 | 7)
    if [ -e "$stage/target" ]; then
      tests+=('CRUMBS_EXACTNESS_CALLS=2048 CRUMBS_EXACTNESS_TARGET=/target /tests/exactness live_')
    else
      skipped "kernel $1: exactness" 'its target needs gcc and a static libc'
    fi ;;
  esac
}

# Whether a kernel's image is here or can be had.
has_image() {
  local kernel=$1 log=$logs/kernel-$1.log
  bash tests/kernels/vm.sh -k "$kernel" -n 2> "$log"
  [ $? -eq 126 ] || return 0
  case $required in
    *" $kernel "*) failed "kernel $kernel: $(tail -1 "$log")" ;;
    *) skipped "kernel $kernel" "$(tail -1 "$log")" ;;
  esac
  return 1
}

# Boots a kernel and prints what it found.
guest() {
  local kernel=$1 log=$logs/kernel-$1.log status attempt name words='' part
  tests_of "$kernel"
  [ ${#tests[@]} -eq 0 ] || words=$(printf " '%s'" "${tests[@]}")
  # Test binaries are not built for it; dd comes with the kernel.
  [ "$kernel" != aarch64 ] || files=(-f "$crossed:/crumbs" -f tests/kernels/guest.sh:/guest.sh)
  for attempt in 1 2; do
    bash tests/kernels/vm.sh -k "$kernel" -m 2048 -s 2 -t 1200 -a preempt=full -M loop \
      "${files[@]}" -d tests/golden:/golden -- "sh /guest.sh$words" > "$log" 2>&1
    status=$?
    [ $status -eq 125 ] && [ $attempt -eq 1 ] || break
  done
  if [ $status -ne 0 ]; then tail -20 "$log"; failed "kernel $kernel: the guest ended with status $status"; return; fi
  grep -v '^passed\|^INFO\|^VM-\|^test .* ok$' "$log" | sed -n '/^GUEST-TEST/q; p'
  sed '/^GUEST-TEST/,$d' "$log" | grep -E '^(passed|failed|skipped) ' | sed "s/^\([a-z]*\) /\1 kernel $kernel: /" |
    tee -a "$TALLY" | grep -v '^passed'
  [ ${#tests[@]} -gt 0 ] || return 0
  # Each test binary's part of the log, counted as on this machine.
  csplit -sz -f "$log.part" "$log" '/^GUEST-TEST /' '{*}'
  for part in "$log".part*; do
    name=$(sed -n 's,^GUEST-TEST .*/tests/,,p;s,^GUEST-TEST /tests/,,p' "$part" | head -1)
    [ -n "$name" ] || { rm "$part"; continue; }
    status=$(sed -n 's/^GUEST-STATUS //p' "$part" | tail -1)
    tally_cargo "$part" "kernel $kernel: $name" "${status:-1}"
    [ "${status:-1}" -eq 0 ] || grep -v '^test .* ok$' "$part" | tail -60
    rm "$part" "$part.results"
  done
}

# Two at a time: a guest is mostly at work on one CPU. What each prints is shown as a whole.
booted=()
for kernel in "${kernels[@]}"; do
  has_image "$kernel" || continue
  [ "$kernel" != aarch64 ] || cross || continue
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
  guest "$kernel" > "$stage/out-$kernel" 2>&1 &
  booted+=("$kernel")
done
wait
for kernel in "${booted[@]}"; do cat "$stage/out-$kernel"; done
[ -z "${by_itself:-}" ] || summary
