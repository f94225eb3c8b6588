#!/bin/bash
# Runs every test there is. The last line is the summary, `N passed, N failed, N skipped`; the exit status says whether all
# passed. What this machine lacks is installed where that is possible (root, apt), else skipped and counted.
#
#   tests/run.sh [STAGE…]     default: all of: style test static kernels docs
set -uo pipefail
cd "$(dirname "$0")/.."
TALLY=$(mktemp) work=$(mktemp -d); trap 'rm -rf "$TALLY" "$work"' EXIT
. tests/tally.sh
stages=("$@"); [ $# -gt 0 ] || stages=(style test static kernels docs)
target=${CARGO_TARGET_DIR:-target}
logs=$target/test-logs; mkdir -p "$logs"

heading() { echo; echo "== $1 ($(date +%H:%M:%S))"; }

# step NAME COMMAND…: one result; the end of the command's output is shown when it fails.
step() {
  local name=$1; shift
  if "$@" > "$work/log" 2>&1; then passed "$name"; else tail -60 "$work/log"; failed "$name"; fi
}

# Packages of Debian that the tests use.
packages() {
  local missing=()
  for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio xz:xz-utils bpftool:bpftool gcc:gcc \
    readelf:binutils mpicc.openmpi:libopenmpi-dev mpirun.openmpi:openmpi-bin mpicc.mpich:libmpich-dev mpirun.mpich:mpich \
    h5cc:libhdf5-dev h5pcc.openmpi:libhdf5-openmpi-dev nc-config:libnetcdf-dev; do
    PATH=$PATH:/usr/sbin command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
  done
  [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
  [ -e /usr/lib/python3/dist-packages/h5py ] || missing+=(python3-h5py)
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null; then
    echo "installing ${missing[*]}"
    apt-get -qq update > "$logs/apt.log" 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >> "$logs/apt.log" 2>&1 &&
      return 0
    echo "could not install them: see $logs/apt.log"
  fi
  echo "missing here: ${missing[*]} (tests that need them are skipped)"
}

style() {
  heading style
  if cargo fmt --version > /dev/null 2>&1; then step 'rustfmt' cargo fmt --all --check; else
    skipped 'rustfmt' 'cargo fmt is not installed (rustup component add rustfmt)'; fi
  if cargo clippy --version > /dev/null 2>&1; then
    step 'clippy' cargo clippy --quiet --workspace --all-targets -- -D warnings
  else
    skipped 'clippy' 'cargo clippy is not installed (rustup component add clippy)'
  fi
}

# Unit, golden, live and generated tests: everything that cargo knows.
run_tests() {
  heading 'tests of the workspace'
  local log=$logs/cargo-test.log status
  timeout 2400 cargo test --workspace --no-fail-fast -- --show-output > "$log" 2>&1; status=$?
  tally_cargo "$log" 'cargo test' "$status"
  if [ "$status" -ne 0 ]; then sed -n '/^failures:$/,/^test result/p; /^error/,$p' "$log" | head -300; fi
  grep '^test result' "$log" | awk -v file="$log" '{ n += $4 } END { print n + 0 " tests passed in the log " file }'
}

static() {
  heading 'static build'
  step 'static build' bash tests/static.sh
  local binary=$target/x86_64-unknown-linux-gnu/release/crumbs
  [ -x "$binary" ] || return 0
  step 'the static binary needs no library' bash -c "! readelf -l '$binary' | grep -q INTERP"
  step 'the static binary runs' "$binary" --version
}

kernels() {
  heading 'other kernels'
  if [ ! -x "$target/x86_64-unknown-linux-gnu/release/crumbs" ]; then failed 'other kernels: no static binary'; return; fi
  bash tests/kernels/run.sh
}

docs() {
  heading documentation
  step 'documentation builds, every link resolves' env RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' \
    cargo doc --quiet --workspace --no-deps --document-private-items
}

packages
for stage in "${stages[@]}"; do
  case $stage in
    style | static | kernels | docs) "$stage" ;;
    test) run_tests ;;
    *) echo "run.sh: no stage $stage: there are style, test, static, kernels, docs" >&2; exit 2 ;;
  esac
done
summary
