#!/bin/bash
# Prints docs/kernels.md: what works on which kernel, as the guests of tests/kernels/run.sh said.
#
#   tests/kernels/table.sh > docs/kernels.md       after tests/kernels/run.sh
#
# In: the logs of that run. A kernel that was not booted has no column.
set -euo pipefail
cd "$(dirname "$0")/../.."
logs=${CARGO_TARGET_DIR:-target}/test-logs
columns=(); files=()
for kernel in 5.10 6.1 6.12 6.18 7 aarch64; do
  log=$logs/kernel-$kernel.log
  if grep -q '^INFO kernel: ' "$log" 2> /dev/null; then
    version=$(sed -n 's/^INFO kernel: \([0-9.]*\).*/\1/p' "$log")
    [ "$kernel" != aarch64 ] || version="$version on AArch64"
    columns+=("$version"); files+=("$log")
  fi
done
[ ${#files[@]} -gt 0 ] || { echo 'no guest has run: tests/kernels/run.sh' >&2; exit 1; }

row() { printf '| %s |' "$1"; shift; printf ' %s |' "$@"; echo; }
head_of() { row "$1" "${columns[@]}"; printf '|---|'; printf -- '---|%.0s' "${columns[@]}"; echo; }

cat << 'END'
# Kernels

What the guests of `tests/kernels/run.sh` found, each a Debian kernel in qemu. Made by `tests/kernels/table.sh`.

END
head_of 'What was tried there'
sed -n 's/^\(passed\|failed\) //p' "${files[@]}" | grep -v 'static binary' | awk '!seen[$0]++' | while read -r name; do
  cells=()
  for file in "${files[@]}"; do
    if grep -qx "passed $name" "$file"; then cells+=(works)
    elif grep -qx "failed $name" "$file"; then cells+=(no)
    else cells+=(-); fi
  done
  row "$name" "${cells[@]}"
done
printf '\nWhere a feature of the kernel is missing, crumbs does the same in another way, or says what it needs:\n\n'
head_of 'Feature (since)'
sed -n 's/^INFO   \(.*\): \(yes\|no\) (since \(.*\))$/\1 (\3)/p' "${files[@]}" | awk '!seen[$0]++' | while read -r feature; do
  cells=()
  for file in "${files[@]}"; do
    cells+=("$(sed -n "s/^INFO   ${feature% (*}: \\(yes\\|no\\) .*/\\1/p" "$file")")
  done
  row "$feature" "${cells[@]}"
done
