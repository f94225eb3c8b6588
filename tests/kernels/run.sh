#!/bin/bash
# Boots other kernels and tests there: the static binary end to end, that every golden script loads, and the live tests.
#
#   tests/kernels/run.sh [KERNEL…]     default: 5.10 6.1 6.12 6.18 7
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
if [ -n "${by_itself:-}" ]; then bash tests/static.sh || { failed 'static build'; summary; exit 1; }; fi

# The test binaries that run in guests, and which of their tests.
executables=$(cargo test --workspace --no-run --message-format=json 2> "$logs/guest-build.log" |
  sed -n 's/.*"name":"\([^"]*\)".*"executable":"\([^"]*\)".*/\1 \2/p')
stage=$(mktemp -d); trap 'rm -rf "$stage"' EXIT
tests=() files=()
add() { # TARGET FILTER: the tests of a target that a filter selects
  local path
  path=$(awk -v name="$1" '$1 == name { print $2; exit }' <<< "$executables")
  if [ -z "$path" ]; then failed "guests: no test binary $1"; return; fi
  if [ ! -e "$stage/$1" ]; then
    # Without its debug information it is a tenth of the size; what matters is the memory of the guest.
    strip -o "$stage/$1" "$path" 2> /dev/null || cp "$path" "$stage/$1"
    files+=(-f "$stage/$1:/tests/$1")
  fi
  tests+=("/tests/$1 $2")
}
add golden loads_
add differential kernel
add crumbs_runtime kernel::

for kernel in "${kernels[@]}"; do
  log=$logs/kernel-$kernel.log
  bash tests/kernels/vm.sh -k "$kernel" -n 2> "$log"
  if [ $? -eq 126 ]; then
    case $required in
      *" $kernel "*) failed "kernel $kernel: $(tail -1 "$log")" ;;
      *) skipped "kernel $kernel" "$(tail -1 "$log")" ;;
    esac
    continue
  fi
  words=$(printf " '%s'" "${tests[@]}")
  for attempt in 1 2; do
    bash tests/kernels/vm.sh -k "$kernel" -m 2048 -s 2 -t 600 -a preempt=full \
      -f "$binary:/crumbs" -f "$(command -v dd):/usr/local/bin/dd" -f tests/kernels/guest.sh:/guest.sh \
      ${files[@]+"${files[@]}"} -d tests/golden:/golden \
      -- "GOLDEN_DIR=/golden sh /guest.sh$words" > "$log" 2>&1
    status=$?
    [ $status -eq 125 ] && [ $attempt -eq 1 ] || break
  done
  if [ $status -ne 0 ]; then tail -20 "$log"; failed "kernel $kernel: the guest ended with status $status"; continue; fi
  grep -v '^passed\|^VM-\|^test .* ok$' "$log" | sed -n '/^GUEST-TEST/q; p'
  sed '/^GUEST-TEST/,$d' "$log" | grep -E '^(passed|failed|skipped) ' | sed "s/^\([a-z]*\) /\1 kernel $kernel: /" |
    tee -a "$TALLY" | grep -v '^passed'
  # Each test binary's part of the log, counted as on this machine.
  csplit -sz -f "$log.part" "$log" '/^GUEST-TEST /' '{*}'
  for part in "$log".part*; do
    name=$(sed -n 's,^GUEST-TEST /tests/,,p' "$part" | head -1)
    [ -n "$name" ] || { rm "$part"; continue; }
    status=$(sed -n 's/^GUEST-STATUS //p' "$part" | tail -1)
    tally_cargo "$part" "kernel $kernel: $name" "${status:-1}"
    [ "${status:-1}" -eq 0 ] || grep -v '^test .* ok$' "$part" | tail -60
    rm "$part" "$part.results"
  done
done
[ -z "${by_itself:-}" ] || summary
