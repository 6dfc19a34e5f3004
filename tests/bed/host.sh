# Boots one host of a test bed, in the host's network namespace.
#
#   $1 name   $2 address/bits   $3 the public key that may log in   $4 the library that shifts clocks, or nothing
#   $5 a root file system with systemd, or nothing   $6 the cgroup that its machines go to
#
# The working directory is a tmpfs of the host's own (its disk); stdin is its /etc/hosts. Its root is an overlay whose
# upper layer is on that disk. Without systemd it lies over this machine's root (programs are there, but nobody's home,
# nobody's keys, no mesh, and no GPU), and this script is the host's first process: every other ends with it.
set -eu
name=$1 address=$2 key=$3 clock=$4 lower=${5:-/} cgroup=$6
umask 022
read -r pid _ < /proc/self/stat
ip -batch - << END
link set lo up
addr replace $address dev eth0
link set eth0 up
END

# What a freshly installed host would not have, hidden under whiteouts (device 0,0).
hide() {
  [ ! -e "/$1" ] || mknod "upper/$1" c 0 0
}

hidden="root home tmp usr/local etc/ssh etc/sudoers.d etc/mesh etc/systemd/system var/tmp var/log var/lib/mesh opt"

format() {
  mkdir -p upper work root
  [ "$lower" = / ] || return 0
  mkdir -p upper/etc/systemd upper/usr upper/var/lib
  for it in $hidden; do hide "$it"; done
  for it in /*; do
    case ${it#/} in
      bin | boot | dev | etc | home | lib* | media | mnt | opt | proc | root | run | sbin | srv | sys | tmp | usr | var) ;;
      *) hide "${it#/}" ;;
    esac
  done
}

accounts() {
  {
    echo 'root:*:19000:0:99999:7:::'
    grep -v -e '^root:' "$lower/etc/shadow"
    # Its password is op-secret.
    echo 'op:$6$meshbed$ZArP3CLyf2yVa7zKTMRQn9RQgXevUJPjrqWCec30Cgg.FcGyiEufAQtOzCc5dbRIdPAhS4P90f3/Nzic8zUgi.:19000:0:99999:7:::'
    echo 'opfree:*:19000:0:99999:7:::'
    echo 'nosudo:*:19000:0:99999:7:::'
  } > shadow
  cat shadow > root/etc/shadow
  id=6000
  mkdir -p -m 700 root/root/.ssh
  echo "$key" > root/root/.ssh/authorized_keys
  for user in op opfree nosudo; do
    id=$((id + 1))
    echo "$user:x:$id:$id::/home/$user:/bin/bash" >> root/etc/passwd
    echo "$user:x:$id:" >> root/etc/group
    mkdir -p "root/home/$user/.ssh"
    echo "$key" > "root/home/$user/.ssh/authorized_keys"
    chown -R "$id:$id" "root/home/$user"
  done
  echo 'op ALL=(ALL:ALL) ALL' > root/etc/sudoers.d/bed
  echo 'opfree ALL=(ALL:ALL) NOPASSWD: ALL' >> root/etc/sudoers.d/bed
  chmod 440 root/etc/sudoers.d/bed
}

install() {
  mkdir -p root/root root/home root/opt root/usr/local/bin root/usr/local/lib root/etc/ssh root/etc/sudoers.d root/etc/systemd/system
  mkdir -p root/var/log root/run root/proc root/sys root/dev
  chmod 700 root/root
  mkdir -p -m 1777 root/tmp root/var/tmp
  chmod 1777 root/tmp root/var/tmp
  accounts
  echo "$name" > root/etc/hostname
  tr -d - < /proc/sys/kernel/random/uuid > root/etc/machine-id
  rm -f root/etc/resolv.conf root/etc/motd
  : > root/etc/resolv.conf
  ssh-keygen -q -t ed25519 -N '' -C "$name" -f root/etc/ssh/ssh_host_ed25519_key
  cat > root/etc/ssh/sshd_config << 'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PidFile none
Subsystem sftp internal-sftp
END
  [ -z "$clock" ] || skewable
}

skewable() {
  cp "$clock" root/usr/local/lib/bed-clock.so
  truncate -s 8 root/usr/local/lib/bed-clock
  echo /usr/local/lib/bed-clock.so > root/etc/ld.so.preload
}

devices() {
  mount -t tmpfs -o mode=755,size=1m dev root/dev
  mknod -m 666 root/dev/null c 1 3
  mknod -m 666 root/dev/zero c 1 5
  mknod -m 666 root/dev/full c 1 7
  mknod -m 666 root/dev/random c 1 8
  mknod -m 666 root/dev/urandom c 1 9
  mknod -m 666 root/dev/tty c 5 0
  mkdir root/dev/pts root/dev/shm
  mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts root/dev/pts
  mount -t tmpfs -o mode=1777 shm root/dev/shm
  ln -s pts/ptmx root/dev/ptmx
  ln -s /proc/self/fd root/dev/fd
  ln -s fd/0 root/dev/stdin
  ln -s fd/1 root/dev/stdout
  ln -s fd/2 root/dev/stderr
}

# A boot by the kernel's own means; a login has the environment of sshd's making, not of ours.
plain() {
  hostname "$name"
  mount -t proc proc root/proc
  mount -t sysfs -o ro sysfs root/sys
  mount -t tmpfs -o mode=755 run root/run
  mkdir -p root/run/sshd root/run/lock
  devices
  # A boot has an id of its own, although the kernel below has booted once.
  cat /proc/sys/kernel/random/uuid > root/run/boot_id
  mount --bind -o ro root/run/boot_id root/proc/sys/kernel/random/boot_id
  cd root
  pivot_root . .
  umount -l .
  cd /
  # An init starts its services again, and so does this one.
  while :; do
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /usr/sbin/sshd -D -e || :
    sleep 0.2
  done
}

# A boot by systemd: the first process is the child of systemd-nspawn. 133 is how it says that the machine reboots.
machine() {
  # What nspawn reads of its children is to be in the terms of this process namespace.
  mount -t proc proc /proc
  for it in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -f "$it/cgroup.procs" ] || continue
    mkdir -p "$it/$cgroup/$name"
    echo 0 > "$it/$cgroup/$name/cgroup.procs"
  done
  while :; do
    status=0
    systemd-nspawn --quiet --directory=root --machine="$name" --boot --register=no --keep-unit --link-journal=no \
      --resolv-conf=off --timezone=off --network-namespace-path="/run/netns/$name" || status=$?
    [ "$status" = 133 ] || exit "$status"
  done
}

fresh=
[ -d upper ] || fresh=yes
[ -z "$fresh" ] || format
mount -t overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" "$name" root
[ -z "$fresh" ] || install
cat > root/etc/hosts
echo "$pid" > pid.new
mv pid.new pid
if [ "$lower" = / ]; then plain; else machine; fi
