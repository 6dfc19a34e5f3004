#!/bin/sh
# Makes the root file system of machines with systemd: Debian, as small as it goes. 3 minutes, 300 MB; again: at once.
#
#   tests/bed/rootfs.sh DIRECTORY
#
# The packages come from the mirror that this machine's apt uses. Needs root, debootstrap and systemd-container.
set -eu
target=$1
[ ! -e "$target" ] || exit 0
die() {
  echo "tests/bed/rootfs.sh: $*" >&2
  exit 1
}
for it in debootstrap:debootstrap systemd-nspawn:systemd-container; do
  command -v "${it%:*}" > /dev/null || die "\`${it%:*}\` is not installed: apt-get install ${it#*:}"
done
mkdir -p "$(dirname "$target")"
exec 9> "$target.lock"
flock 9
[ ! -e "$target" ] || exit 0
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | sed -n "s| $suite\$||p" | head -n 1)
[ -n "$mirror" ] || die "no mirror of Debian $suite in this machine's apt sources"
rm -rf "$target.new"
echo "debootstrap: Debian $suite to $target, about 3 minutes" >&2
debootstrap --variant=minbase \
  --include=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,ca-certificates,procps \
  "$suite" "$target.new" "$mirror" > "$target.log" 2>&1 || die "debootstrap failed: $(tail -n 3 "$target.log")"
rm -rf "$target.new"/var/cache/apt/archives/*.deb "$target.new"/var/lib/apt/lists/*
# Who prepares a machine has not been logged in to it, and a machine's keys and id are its own.
rm -f "$target.new"/etc/ssh/ssh_host_* "$target.new/etc/machine-id"
mv "$target.new" "$target"
