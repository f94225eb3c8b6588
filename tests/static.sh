#!/bin/bash
# Builds the one file to carry: a static binary that runs on any x86-64 Linux, whatever its libc. Prints its path.
set -euo pipefail
cd "$(dirname "$0")/.."
RUSTFLAGS='-C target-feature=+crt-static' cargo build --quiet --release --target x86_64-unknown-linux-gnu
echo "${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/release/crumbs"
