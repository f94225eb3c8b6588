#!/bin/bash
# Cross-compiles the static binary for AArch64, unoptimised. Prints its path.
#
#   cross.sh          exit status 126, with the reason: there is no compiler for it here, nor can there be
#
# Debian's rustc-web is a current compiler, and the same package for arm64 has its standard library, which is only unpacked
# (into $VM_CACHE, default ~/.cache/vmtest): this machine needs no second architecture.
set -euo pipefail
cd "$(dirname "$0")/../.."
triple=aarch64-unknown-linux-gnu
sysroot=${VM_CACHE:-$HOME/.cache/vmtest}/sysroot-arm64
cannot() { echo "cross.sh: $1" >&2; exit 126; }

if ! { [ -x /usr/bin/rustc ] && command -v aarch64-linux-gnu-gcc && [ -e /usr/aarch64-linux-gnu/lib/libc.a ]; } > /dev/null; then
  [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null || cannot 'rustc-web, gcc-aarch64-linux-gnu or libc6-dev-arm64-cross is missing'
  { apt-get -qq update &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends rustc-web gcc-aarch64-linux-gnu \
      libc6-dev-arm64-cross; } > /dev/null 2>&1 || cannot 'cannot install rustc-web, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross'
fi
# The standard library must be of the very compiler that is here.
version=$(dpkg-query -W -f '${Version}' rustc-web 2> /dev/null || true)
[ -n "$version" ] || cannot '/usr/bin/rustc is not that of rustc-web'
library=libstd-rust-web-dev
if [ "$(cat "$sysroot/version" 2> /dev/null)" != "$version" ]; then
  rm -rf "$sysroot"; mkdir -p "$sysroot/deb"
  tests/kernels/vm.sh -k aarch64 -p "$library=$version" "$sysroot/deb" || cannot "cannot download $library $version for arm64"
  dpkg-deb -x "$sysroot"/deb/*.deb "$sysroot/unpacked"
  mkdir -p "$sysroot/lib/rustlib"
  ln -s "$sysroot/unpacked/usr/lib/rustlib/$triple" "$sysroot/lib/rustlib/$triple"
  rm -rf "$sysroot/deb"
  echo "$version" > "$sysroot/version"
fi
export RUSTC=/usr/bin/rustc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export RUSTFLAGS="--sysroot $sysroot -C target-feature=+crt-static"
cargo build --quiet --target $triple
echo "${CARGO_TARGET_DIR:-target}/$triple/debug/crumbs"
