# Says what a host is, one `name<TAB>value` a line; changes nothing. POSIX sh: dash and busybox must do.
# The answer ends with `end`: without it the host said only a part. The shell's own words do what they can: a program
# that is started costs a host more than all the rest.
# $1: the prefix of the product's paths (empty on real hosts); then the ports that the host will listen on.
LC_ALL=C
export LC_ALL
root=$1
[ $# -gt 0 ] && shift
say() { printf '%s\t%s\n' "$1" "$2"; }
first() { [ -r "$1" ] && IFS= read -r line <"$1" && say "$2" "$line"; }
# runs PID PATH: whether a process runs this program; one that was removed since has no file any more to compare with.
runs() {
  [ -n "$1" ] || return 1
  case $2 in
    *' (deleted)') [ "$(readlink "/proc/$1/exe" 2>/dev/null)" = "$2" ] ;;
    *) [ "/proc/$1/exe" -ef "$2" ] ;;
  esac
}
has() { command -v "$1" >/dev/null 2>&1; }

if [ -r /proc/sys/kernel/arch ]; then
  read -r name </proc/sys/kernel/hostname
  read -r release </proc/sys/kernel/osrelease
  read -r machine </proc/sys/kernel/arch
else
  # None of the three holds a space; whatever is asked for, uname says them in this order.
  read -r name release machine <<EOF
$(uname -nrm)
EOF
fi
say arch "$machine"
say kernel "$release"
say hostname "$name"
say clock_s "$(date +%s)"
uid=
[ ! -r /proc/self/status ] || while read -r name _ value _; do case $name in Uid:) uid=$value; break;; esac; done </proc/self/status
say uid "${uid:-$(id -u)}"
[ -n "$SSH_CONNECTION" ] && say ssh "$SSH_CONNECTION"
first /etc/machine-id machine_id
first /proc/sys/kernel/random/boot_id boot_id
first /proc/1/comm init
[ -d /run/systemd/system ] && has systemctl && say systemd "$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
if [ -r /etc/os-release ]; then
  while IFS= read -r line; do
    case $line in PRETTY_NAME=*) line=${line#*=}; line=${line#\"}; say os "${line%\"}"; break;; esac
  done </etc/os-release
fi
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=
if [ -n "$libc" ]; then say libc "$libc"
else for it in /lib/ld-musl-*; do [ -e "$it" ] && say libc musl; done; fi
if [ -r /proc/meminfo ]; then
  while read -r name value _; do
    case $name in MemTotal:) say memory_kib "$value";; MemAvailable:) say memory_available_kib "$value"; break;; esac
  done </proc/meminfo
fi
has flock || say lacks flock
has sha256sum || say lacks sha256sum

# Where things will lie: the nearest directories that exist.
nearest() {
  dir=$root/$1
  while [ ! -d "$dir" ] && [ -n "$dir" ]; do dir=${dir%/*}; done
  dir=${dir:-/}
}
nearest opt; opt=$dir
nearest var; var=$dir
# field N WORDS...: one of the words.
field() {
  field=
  [ $# -gt "$1" ] || return 0
  shift "$1"
  field=$1
}
# disk_lines NAME KIBS INODES: of two lines of df; a mount point may hold spaces.
disk_lines() {
  set -f
  # shellcheck disable=SC2086
  field 4 $2; free=$field
  # shellcheck disable=SC2086
  field 4 $3; inodes=$field
  set +f
  mount=/${2#*% /}
  case $2 in *%*) ;; *) mount=/;; esac
  disk "$1" "$free" "$inodes" "$mount"
}
# disk NAME KIB INODES MOUNT
disk() {
  free=$2; inodes=$3; mount=$4
  say "disk_$1" "$free $inodes $mount"
  # Both are mostly on the same file system.
  [ "$mount" != "$mount_before" ] || return 0
  mount_before=$mount
  options=
  [ ! -r /proc/mounts ] || while read -r _ at _ it _; do [ "$at" != "$mount" ] || options=$it; done </proc/mounts
  case ,$options, in *,noexec,*) say noexec "$mount";; esac
  case ,$options, in *,ro,*) say readonly "$mount";; esac
}
mount_before=
if found=$(df -k --output=avail,iavail,target "$opt" "$var" 2>/dev/null); then
  for it in - opt var; do
    read -r kib inodes mount
    [ "$it" = - ] || disk "$it" "$kib" "$inodes" "$mount"
  done <<EOF
$found
EOF
else
  { IFS= read -r _; IFS= read -r opt_kib; IFS= read -r var_kib; } <<EOF
$(df -Pk "$opt" "$var" 2>/dev/null)
EOF
  { IFS= read -r _; IFS= read -r opt_inodes; IFS= read -r var_inodes; } <<EOF
$(df -Pi "$opt" "$var" 2>/dev/null)
EOF
  disk_lines opt "$opt_kib" "$opt_inodes"
  disk_lines var "$var_kib" "$var_inodes"
fi

count=0
if has ip; then ip -o addr show 2>/dev/null | while read -r _ interface _ address _; do
  count=$((count + 1)); [ "$count" -le 256 ] || break
  say address "$interface $address"
done
else hostname -I 2>/dev/null | tr ' ' '\n' | head -n 256 | while IFS= read -r it; do [ -n "$it" ] && say address "- $it"; done; fi

first /proc/driver/nvidia/version gpu_driver
[ -d /proc/driver/nvidia/gpus ] && say gpus "$(ls /proc/driver/nvidia/gpus | wc -l | tr -d ' ')"

# The executables that run, `PID PATH` a line between line ends. A path may hold line ends of its own: what is told of a
# process is asked of it once more.
newline='
'
executables=$newline$(ls -l /proc/[0-9]*/exe 2>/dev/null | while IFS= read -r line; do
  case $line in *' -> '*) pid=${line#*/proc/}; echo "${pid%%/*} ${line#*/exe -> }";; esac
done)$newline

# listener PORT TABLE AT PID: one that is told, with its program where that can be seen.
listener() {
  exe=
  case $executables in *"$newline$4 "*) exe=${executables#*"$newline$4 "}; exe=${exe%%"$newline"*};; esac
  runs "$4" "$exe" || exe=
  say listens "$1 $2 $3 ${4:--} $exe"
}

# Who listens where this host will listen: TCP in state 0A, UDP in 07.
listens=
# Where it can be asked, the kernel looks up these ports alone; its tables show every connection of a large machine.
some=yes
if [ $# -gt 0 ] && has ss; then
  ports=
  for port in "$@"; do ports="${ports:+$ports or }sport = :$port"; done
  # The processes are looked for only when there is something to be found.
  [ -e "$root/etc/mesh/agentd.toml" ] || some=$(ss -Hltun "$ports" 2>/dev/null) || some=yes
  if [ -n "$some" ] && found=$(ss -Hltunp "$ports" 2>/dev/null); then
    some=
    while read -r kind _ _ _ at _ users; do
      [ -n "$at" ] || continue
      pid=
      case $users in *pid=*) pid=${users#*pid=}; pid=${pid%%,*};; esac
      listener "${at##*:}" "$kind" - "$pid"
    done <<EOF
$found
EOF
  fi
fi
if [ $# -gt 0 ] && [ -n "$some" ]; then
  kept=$*
  for port in $kept; do
    set -- "$@" -e "$(printf ':%04X [0-9A-F]*:[0-9A-F]* 0[A7] ' "$port")"
    shift
  done
  # `tcp:   7: ADDRESS PEER STATE ...`
  listens=$(cd /proc/net 2>/dev/null && grep -s "$@" tcp tcp6 udp udp6 | while IFS=: read -r table _ it; do
    read -r at _ state _ _ _ _ _ inode _ <<EOF
$it
EOF
    case $table:$state in tcp*:0A|udp*:07) echo "$((0x${at##*:})) $table $at $inode";; esac
  done)
fi
if [ -n "$listens" ]; then
  owners=$newline$(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -e '^/proc/' -e 'socket:' | while read -r line; do
    case $line in
      /proc/*) pid=${line#/proc/}; pid=${pid%%/*};;
      *) inode=${line##*socket:[}; case $listens$newline in *" ${inode%]}$newline"*) echo "${inode%]} $pid";; esac;;
    esac
  done)$newline
  while read -r port table at inode; do
    pid=
    case $owners in *"$newline$inode "*) pid=${owners#*"$newline$inode "}; pid=${pid%%"$newline"*};; esac
    listener "$port" "$table" "$at" "$pid"
  done <<EOF
$listens
EOF
fi

# What of the product is there.
for it in "$root"/opt/mesh/releases/*; do
  [ "$it" -ef "$root/opt/mesh/current" ] && say release "${it##*/}" && break
done
if [ -r "$root/etc/mesh/agentd.toml" ]; then
  while read -r name is value _; do
    case $name in "["*) break;; esac
    [ "$is" = = ] || continue
    value=${value#\"}
    case $name in mesh|node|voter) say "config_$name" "${value%\"}";; esac
  done <"$root/etc/mesh/agentd.toml"
fi
[ -e "$root/var/lib/mesh/raft/meta.json" ] && say raft meta
[ -e "$root/var/lib/mesh/raft/log.redb" ] && say raft log
if [ -e "$root/etc/mesh/pki/node/chain.pem" ] && [ -r "$root/etc/mesh/pki/node/roots.pem" ]; then
  pem=
  while IFS= read -r line; do pem=$pem$line; case $line in *END*) break;; esac; done <"$root/etc/mesh/pki/node/roots.pem"
  say root "$pem"
fi
while read -r pid path; do
  case $path in "$root"/opt/mesh/releases/*/bin/mesh-*) runs "$pid" "$path" && say runs "$pid $path";; esac
done <<EOF
$executables
EOF
# Who changed it last, and only then who changes it now: whoever begins in between is seen by one of the two.
work=$root/run/mesh-bootstrap.work
line=
if [ ! -e "$work" ] || { [ -r "$work" ] && IFS= read -r line <"$work"; } || [ ! -s "$work" ]; then say changer "-$line"; fi
lock=$root/run/mesh-bootstrap.lock
if [ -s "$lock" ] && has flock && ! flock -n "$lock" true 2>/dev/null; then first "$lock" lock; fi
say end 1
