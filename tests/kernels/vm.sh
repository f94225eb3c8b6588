#!/bin/bash
# Runs a command as root under another Linux kernel, in a throw-away qemu guest (software emulation: no KVM is needed).
#
#   vm.sh [-k KERNEL] [-m MB] [-s CPUS] [-t SECONDS] [-a APPEND] [-f FILE[:DEST]]… [-d DIR[:DEST]]… [-M MODULE]… -- COMMAND
#   vm.sh [-k KERNEL] -n          only fetch the kernel
#   vm.sh [-k KERNEL] -p PACKAGE DIR   only download a package of the kernel's release and architecture
#
# KERNEL  5.10, 6.1, 6.12, 6.18 or 7: kernels that Debian packages (default 6.12); aarch64: 6.12 for arm64, with a dd of its own
# APPEND  words for the kernel's command line, such as preempt=full
# FILE    is copied into the guest with the shared libraries that it needs
# DIR     is copied into the guest with all that it holds
# MODULE  is a module of that kernel: it is /modules/MODULE.ko in the guest, not loaded
#
# Standard output is the guest's from COMMAND on. The exit status is COMMAND's; 124 when it took too long; 125 when the guest
# did not come up; 126 when the kernel's package cannot be had. Needs qemu-system-x86 (for aarch64: qemu-system-arm),
# busybox-static, cpio and xz-utils.
# Kernels are unpacked once, into $VM_CACHE (default ~/.cache/vmtest). The apt sources of this machine stay untouched.
set -euo pipefail

kernel=6.12 memory=1024 cpus=1 limit=300 append='' files=() directories=() modules=() only_fetch='' only_package=''
cache=${VM_CACHE:-$HOME/.cache/vmtest}
while getopts k:m:s:t:a:f:d:M:np: option; do
  case $option in
    k) kernel=$OPTARG ;; m) memory=$OPTARG ;; s) cpus=$OPTARG ;; t) limit=$OPTARG ;; a) append=$OPTARG ;;
    f) files+=("$OPTARG") ;; d) directories+=("$OPTARG") ;; M) modules+=("$OPTARG") ;; n) only_fetch=1 ;; p) only_package=$OPTARG ;; *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ "${1:-}" != -- ] || shift

# Where a kernel is: release of Debian, and package (a pattern where the package's name holds the patch level).
architecture=''
case $kernel in
  5.10) suite=bullseye package=linux-image-cloud-amd64 ;;
  6.1)  suite=bookworm package=linux-image-cloud-amd64 ;;
  6.12) suite=bookworm package=linux-image-6.12-cloud-amd64 ;;
  6.18) suite=trixie-backports package='linux-image-6\.18\.[0-9.]*[+]deb13-cloud-amd64' ;;
  7)    suite=trixie-backports package=linux-image-cloud-amd64 ;;
  aarch64) suite=bookworm package=linux-image-6.12-cloud-arm64 architecture=arm64 ;;
  *) echo "vm.sh: no kernel $kernel: there are 5.10, 6.1, 6.12, 6.18, 7 and aarch64" >&2; exit 2 ;;
esac
release=$suite
[ -z "$architecture" ] || suite=$suite-$architecture
# The sources of this machine know more of its own release: security updates through its mirror.
[ "$suite" != "$(. /etc/os-release; echo "${VERSION_CODENAME:-}")" ] || suite=host

# Options that make apt read the given release instead of what this machine is set up for.
apt_options=()
read_release() {
  local state=$cache/apt-$suite mirror
  [ "$suite" != host ] || return 0
  mkdir -p "$state/lists/partial"
  mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | awk '$2 !~ /security|updates/ && !n++ { print $1 }' || true)
  local signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  mirror=${mirror:-http://deb.debian.org/debian}
  echo "deb $signed $mirror $release main" > "$state/src.list"
  case $release in
    *-backports) ;;
    *) echo "deb $signed ${mirror%/debian*}/debian-security $release-security main" >> "$state/src.list" ;;
  esac
  apt_options=(-o "Dir::Etc::SourceList=$state/src.list" -o Dir::Etc::SourceParts=/dev/null
               -o "Dir::State::Lists=$state/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  # As if nothing was installed: what is here is of another architecture.
  [ -z "$architecture" ] || apt_options+=(-o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture"
                                          -o Dir::State::status=/dev/null)
  # What could be fetched counts: an archived release has no security updates any more.
  apt-get "${apt_options[@]}" -qq update > /dev/null 2>&1 || true
}

depends() { apt-cache "${apt_options[@]}" depends "$1" 2> /dev/null | sed -n "s/.*Depends: \\($2\\)/\\1/p"; }

# Downloads packages into a directory. Root does it without apt's sandbox user, who may have no access there.
download() {
  local directory=$1; shift
  (cd "$directory" && apt-get "${apt_options[@]}" -o APT::Sandbox::User=root download -qq "$@" > /dev/null 2>&1)
}

# Downloads the kernel's packages and unpacks them; sets $image.
fetch() {
  local name real
  read_release
  name=$(apt-cache "${apt_options[@]}" pkgnames | grep -x "$package" | sort -V | tail -1 || true)
  [ -n "$name" ] || { echo "vm.sh: there is no package $package in $suite" >&2; exit 126; }
  image=$cache/$suite/$name
  real=$(depends "$name" 'linux-image-[0-9].*' | head -1)
  real=${real:-$name}
  rm -rf "$image.deb" "$image.tmp"; mkdir -p "$image.deb"
  # Newer releases have kernel and modules in packages of their own.
  # shellcheck disable=SC2046
  download "$image.deb" "$real" $(depends "$real" 'linux-\(binary\|modules\)-.*') ||
    { echo "vm.sh: cannot download $real from $suite" >&2; exit 126; }
  # What this machine's programs cannot stand in for.
  if [ -n "$architecture" ]; then
    download "$image.deb" busybox-static coreutils libc6 ||
      { echo "vm.sh: cannot download busybox-static, coreutils and libc6 for $architecture" >&2; exit 126; }
  fi
  for deb in "$image.deb"/*.deb; do dpkg-deb -x "$deb" "$image.tmp"; done
  mv "$image.tmp" "$image"; rm -rf "$image.deb"
}

if [ -n "$only_package" ]; then
  read_release
  download "$1" "$only_package" || exit 126
  exit 0
fi

# A kernel that the cache has under a name that matches will do.
image=$(find "$cache/$suite" -mindepth 1 -maxdepth 1 -type d -regex ".*/$package" 2> /dev/null | sort -V | tail -1 || true)
[ -n "$image" ] || fetch
[ -z "$only_fetch" ] || exit 0
vmlinuz=$(find "$image" -name 'vmlinuz*' | head -1)

# --- the initial file system: busybox, what is to be copied, and the libraries it needs
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,sbin,dev,proc,sys,tmp,mnt,root,etc,usr/bin}
put() { mkdir -p "$root$(dirname "$2")"; cp -L "$1" "$root$2"; }
if [ -n "$architecture" ]; then
  put "$image/bin/busybox" /bin/busybox
  put "$image/bin/dd" /usr/local/bin/dd
  put "$image/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1" /lib/ld-linux-aarch64.so.1
  put "$image/lib/aarch64-linux-gnu/libc.so.6" /lib/aarch64-linux-gnu/libc.so.6
else
  put "$(command -v busybox)" /bin/busybox
fi
for file in ${files[@]+"${files[@]}"}; do
  from=${file%%:*} to=${file#*:}
  [ "$from" != "$to" ] || to=$(realpath -s "$from")
  put "$from" "$to"
  for library in $( (ldd "$from" 2> /dev/null || true) | grep -o '/[^ ]*'); do
    [ -e "$root$library" ] || put "$library" "$library"
  done
done
for directory in ${directories[@]+"${directories[@]}"}; do
  from=${directory%%:*} to=${directory#*:}
  [ "$from" != "$to" ] || to=$(realpath -s "$from")
  mkdir -p "$root$to"; cp -rL "$from/." "$root$to"
done
for module in ${modules[@]+"${modules[@]}"}; do
  from=$(find "$image" -name "$module.ko*" | head -1)
  [ -n "$from" ] || { echo "vm.sh: the kernel has no module $module" >&2; exit 2; }
  mkdir -p "$root/modules"
  case $from in *.xz) xz -dc "$from" ;; *) cat "$from" ;; esac > "$root/modules/$module.ko"
done
printf '%s\n' "$*" > "$root/command"
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
cat > "$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/local/bin:/usr/bin:/bin:/sbin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t tracefs trace /sys/kernel/tracing; mount -t debugfs debug /sys/kernel/debug; mount -t bpf bpf /sys/fs/bpf
ip link set lo up
echo; echo "VM-BEGIN $(uname -r)"
sh /command < /dev/null 2>&1
status=$?
echo; echo "VM-EXIT $status"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) > "$work/cpio"

# --- run. "-M pc" boots reliably; "-M microvm" hangs now and then.
status=0 console=ttyS0
emulator=(qemu-system-x86_64 -M pc -cpu max)
# Authentication of pointers by its own algorithm would be most of what the emulator does.
[ -z "$architecture" ] || { console=ttyAMA0; emulator=(qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on); }
timeout "$limit" "${emulator[@]}" -accel tcg,thread=multi -m "$memory" -smp "$cpus" -nographic \
  -no-reboot -nic none -kernel "$vmlinuz" -initrd "$work/cpio" \
  -append "console=$console quiet loglevel=1 panic=-1 $append" < /dev/null 2>&1 |
  tr -d '\r' | tee "$work/log" | sed -n '/^VM-BEGIN/,/^VM-EXIT/p' || status=${PIPESTATUS[0]}
result=$(sed -n 's/^VM-EXIT //p' "$work/log" | tail -1)
[ -z "$result" ] || exit "$result"
tail -20 "$work/log" >&2
[ "$status" -ne 124 ] || exit 124
exit 125
