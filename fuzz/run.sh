#!/bin/bash
# Fuzzes one target with the stable compiler: what cargo-fuzz does, without a sanitizer, which needs a nightly one.
#
#   fuzz/run.sh TARGET [libFuzzer's options, such as -max_total_time=600]
#
# Inputs that it finds interesting stay in fuzz/target/corpus; one that breaks the target is in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?which target? see README.md}; shift
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  coverage+=" -Cllvm-args=-sanitizer-coverage-$option"
done
# With --target, build scripts and procedural macros are built without coverage.
RUSTFLAGS="--cfg fuzzing $coverage" cargo build --profile fuzz --target "$host" --bin "$target"
mkdir -p "target/corpus/$target" "artifacts/$target"
exec "${CARGO_TARGET_DIR:-target}/$host/fuzz/$target" -artifact_prefix="artifacts/$target/" "$@" "target/corpus/$target" "corpus/$target"
