# What a host can be asked, which changes nothing: POSIX sh, with coreutils or busybox, nothing else.
# An answer is a line: STEP <tab> WORD <tab> VALUE. `id` is the step that speaks.
LC_ALL=C; export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin; export PATH
umask 077
id=-
newline='
'
tab='	'
attributes=
known=

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\t%s\t%s\n' "$id" "$1" "${2-}"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
line() { tr '\n\t\r' '   '; }
# die KIND TEXT: the step has failed, and nothing after it is run.
die() { say failed "$1 $(printf %s "$2" | line)"; exit 1; }

# who: whose shell this is, in $uid; the kernel tells it without a program.
who() {
  uid=
  if [ -r /proc/self/status ]; then
    while read -r word _ it _; do
      case $word in Uid:) uid=$it; break;; esac
    done </proc/self/status
  fi
  uid=${uid:-$(id -u)}
}

# listed NAME FILE: whether a line of /etc/passwd or /etc/group is of that name.
listed() {
  while IFS=: read -r entry rest; do [ "$entry" != "$1" ] || return 0; done <"$2"
  return 1
}

# sum FILE: its digest; no pipe, since every program that is started costs more than the digest of a small file.
if have sha256sum; then
  sum() { found=$(sha256sum <"$1"); found=${found%% *}; }
elif have openssl; then
  sum() { found=$(openssl dgst -sha256 -r <"$1"); found=${found%% *}; }
else
  die failed "this host has neither sha256sum nor openssl"
fi
# sum_large FILE: openssl knows the processor's own instructions for it, and starts slower.
if have openssl && have sha256sum; then
  sum_large() {
    if found=$(openssl dgst -sha256 -r <"$1" 2>/dev/null); then found=${found%% *}; else sum "$1"; fi
  }
else
  sum_large() { sum "$1"; }
fi
# sum_sized FILE BYTES: its digest, the cheaper way.
large=2097152
sum_sized() { if [ "$2" -gt "$large" ]; then sum_large "$1"; else sum "$1"; fi; }

# While only questions are asked, nothing changes, and what was found out need not be found out again.
unchanging=
# Something will be started: what is waited for after it is asked then, and not now.
starts=
digests=$newline
links=$newline

# sums FILE...: the digests of those that are plain files, `DIGEST  PATH` a line; one program for all of them: openssl, if
# there is one, as soon as one of them is large.
sums() {
  [ -n "$unchanging" ] || digests=$newline
  by=sha256sum; have sha256sum || by=openssl
  for it in "$@"; do
    shift
    [ -f "$it" ] && [ ! -h "$it" ] || continue
    [ -z "$unchanging" ] || ! digest_of "$it" || continue
    # Nobody has asked for its size: it is one of ours, and small.
    size=0; change=; [ -z "$attributes" ] || attributes_of "$it"
    if [ -n "$change" ] && known_digest "$it" "$change"; then digests="$digests$found  $it$newline"; continue; fi
    # Both write a path with a backslash in a way of their own.
    case $it in *\\*) sum_sized "$it" "$size"; digests="$digests$found  $it$newline"; continue;; esac
    [ "$size" -le "$large" ] || by=openssl
    set -- "$@" "$it"
  done
  [ $# != 0 ] || return 0
  if [ $by = openssl ] && have openssl && found=$(openssl dgst -sha256 -r "$@" 2>/dev/null); then
    while IFS= read -r it; do digests="$digests${it%% \**}  ${it#* \*}$newline"; done <<EOF
$found
EOF
  elif have sha256sum; then
    digests="$digests$(sha256sum "$@" 2>/dev/null)$newline"
  else
    for it in "$@"; do sum "$it"; digests="$digests$found  $it$newline"; done
  fi
}

# digest_of FILE: what `sums` found of it, in $found.
digest_of() {
  found=
  case $digests in *"  $1$newline"*) ;; *) return 1;; esac
  found=${digests%%"  $1$newline"*}; found=${found##*"$newline"}
}

# link_of LINK: where it leads to, in $to.
link_of() {
  if [ -n "$unchanging" ]; then
    case $links in *"$newline$1$tab"*) to=${links#*"$newline$1$tab"}; to=${to%%"$newline"*}; return;; esac
  fi
  to=$(readlink "$1") && links="$links$1$tab$to$newline"
}

# attributes_of PATH: its mode, owner and size, in $shown; its size alone, in $size; what tells when it changed, in $change.
attributes_of() {
  case $attributes in
    *"$newline$1$tab"*) shown=${attributes#*"$newline$1$tab"}; shown=${shown%%"$newline"*};;
    *) shown=$(stat -c "%a %U:%G %s$tab" "$1");;
  esac
  change=${shown##*"$tab"}; shown=${shown%"$tab"*}
  size=${shown##* }; size=${size:-0}
}

# know PATH CHANGE DIGEST: what this run itself has put there, and when.
know() { known="$known$newline$1$tab$2$tab$3$newline"; }

# known_digest PATH CHANGE: the digest of a file that nobody has touched since it was put there, in $found.
known_digest() {
  # A clock that counts whole seconds tells nothing.
  case $2 in *.000000000*) return 1;; *.*) ;; *) return 1;; esac
  case $known in
    *"$newline$1$tab$2$tab"*) found=${known#*"$newline$1$tab$2$tab"}; found=${found%%"$newline"*};;
    *) return 1;;
  esac
}

# q_path STEP PATH WANTED TEXT_MAX: what is there; the text of a file with another digest than WANTED. Much of it is told
# by q_paths, which asks about all paths at once: a program that is started for each costs more than all the rest.
asked=
q_path() {
  id=$1
  if [ -h "$2" ]; then
    link_of "$2"
    case $to in *"$newline"*|*"$tab"*) to=$(printf '%s' "$to" | line);; esac
    say link "$to"
  elif [ ! -e "$2" ]; then say none
  elif [ -d "$2" ]; then asked="$asked$1${tab}dir${tab}-${tab}0$tab$2$newline"
  elif [ -f "$2" ]; then asked="$asked$1${tab}file$tab$3$tab$4$tab$2$newline"
  else say other; fi
}

q_paths() {
  [ -n "$asked" ] || return 0
  set --
  while IFS=$tab read -r _ _ _ _ path; do [ -z "$path" ] || set -- "$@" "$path"; done <<EOF
$asked
EOF
  attributes=$newline$(stat -c "%n$tab%a %U:%G %s$tab%i %z" "$@" 2>/dev/null)$newline
  set --
  while IFS=$tab read -r _ kind wanted _ path; do
    case $kind:$wanted in :*|dir:*|file:-) ;; *) set -- "$@" "$path";; esac
  done <<EOF
$asked
EOF
  sums "$@"
  while IFS=$tab read -r id kind wanted most path; do
    [ -n "$path" ] || continue
    attributes_of "$path"
    if [ "$kind" = dir ]; then say dir "${shown% *}"; continue; fi
    found=; [ "$wanted" = - ] || digest_of "$path"
    say file "$shown $found"
    if [ "$most" -gt 0 ] && [ "$found" != "$wanted" ] && [ "$size" -le "$most" ]; then say text "$(hex <"$path")"; fi
  done <<EOF
$asked
EOF
  asked=
}

# q_part STEP PATH: an upload that was cut off.
q_part() {
  id=$1
  if [ -f "$2" ] && [ ! -h "$2" ]; then size=$(stat -c %s "$2"); sum_sized "$2" "${size:-0}"; say part "$size $found"; fi
}

# local_groups NAME: the groups of a user that this host itself knows, in $groups.
local_groups() {
  primary=
  while IFS=: read -r entry _ _ number _; do
    if [ "$entry" = "$1" ]; then primary=$number; break; fi
  done </etc/passwd
  [ -n "$primary" ] || return 1
  groups=
  while IFS=: read -r entry _ number members; do
    case $number:,$members, in "$primary":*|*",$1,"*) groups="${groups:+$groups }$entry";; esac
  done </etc/group
}

# q_user STEP NAME GROUP...
q_user() {
  id=$1; name=$2; shift 2
  if local_groups "$name" || groups=$(id -Gn "$name" 2>/dev/null); then say user yes; say groups "$groups"
  else say none; fi
  for group in "$@"; do
    if listed "$group" /etc/group; then say offered "$group"; fi
  done
}

# inputs_now FILE...: what they are, in one line, in $read_now.
inputs_now() {
  sums "$@"
  read_now=
  for input in "$@"; do
    if [ -h "$input" ]; then link_of "$input"; read_now="${read_now}link $input $to, "
    elif [ -f "$input" ]; then digest_of "$input"; read_now="${read_now}file $input $found, "
    else read_now="${read_now}none $input, "; fi
  done
}

# q_inputs STEP STAMP INPUT...: whether what was started has read what is there now.
q_inputs() {
  id=$1; stamp=$2; shift 2
  if [ ! -r "$stamp" ]; then say inputs other; return; fi
  IFS= read -r read_then <"$stamp"
  inputs_now "$@"
  if [ "$read_now" = "$read_then" ]; then say inputs same; else say inputs other; fi
}

# same_exe PID FILE: whether a process runs the program that is installed now.
same_exe() {
  [ "/proc/$1/exe" -ef "$2" ] && return 0
  sum_large "/proc/$1/exe" 2>/dev/null; runs=$found
  sum_large "$2" 2>/dev/null
  [ -n "$runs" ] && [ "$runs" = "$found" ]
}

# q_exe STEP PID FILE
q_exe() {
  id=$1
  case $2 in ''|0) say exe none; return;; esac
  if [ ! -d "/proc/$2" ]; then say exe none
  elif same_exe "$2" "$3"; then say exe same
  else say exe other; fi
}

unit_get() { systemctl show -p "$2" "$1" 2>/dev/null | cut -d= -f2-; }

q_unit() {
  id=$1
  if ! have systemctl || [ ! -d /run/systemd/system ]; then say nosystemd; return; fi
  for property in LoadState ActiveState UnitFileState NeedDaemonReload; do
    say "$property" "$(unit_get "$2" "$property")"
  done
}

# number FILE: the number in it, if there is one.
number() {
  [ -r "$1" ] || return 0
  { IFS= read -r it || [ -n "$it" ]; } <"$1"
  case $it in *[!0-9]*) ;; *) printf '%s\n' "$it";; esac
}

# supervisor PID_FILE CONFIG: the process that supervises by this configuration, in $pid; a reused number is not taken for
# it.
supervisor() {
  pid=
  [ -r "$1" ] || return 1
  { IFS= read -r pid || [ -n "$pid" ]; } <"$1"
  case $pid in ''|*[!0-9]*) return 1;; esac
  [ -r "/proc/$pid/cmdline" ] || return 1
  # Its words come without what is between them.
  words=
  IFS= read -r words <"/proc/$pid/cmdline" || :
  case $words in *supervise--config"$2") ;; *) return 1;; esac
}

# q_process STEP PID_FILE CONFIG [STARTS]: whether it runs, and whether it is started when it does not.
q_process() {
  id=$1
  if supervisor "$2" "$3"; then say up; return; fi
  say down
  starts=${4:-$starts}
}

# q_roots STEP DIR: which roots the owner of a certificate trusts.
q_roots() {
  id=$1
  if [ -f "$2/roots.pem" ]; then sum "$2/roots.pem"; say roots "$found"; fi
}

# q_key STEP DIR TOOL...: whose certificate is there and until when, by the first of the tools that is there.
q_key() {
  id=$1; dir=$2; shift 2
  if [ ! -e "$dir/chain.pem" ]; then say none; return; fi
  for tool in "$@"; do
    [ -x "$tool" ] || continue
    if shown=$("$tool" identity --dir "$dir" 2>/dev/null); then
      case $shown in *"$newline"*|*"$tab"*) shown=$(printf %s "$shown" | line);; esac
      say key "$shown"
      return
    fi
    break
  done
  say broken
}

# q_command STEP CREATES UNLESS
q_command() {
  id=$1
  if [ -n "$2" ] && { [ -e "$2" ] || [ -h "$2" ]; }; then say met; return; fi
  if [ -n "$3" ] && (sh -c "$3") </dev/null >/dev/null 2>&1; then say met; return; fi
  say unmet
}

# listening PORT: whether some process of this host listens there.
listening() {
  # Where it can be asked, the kernel looks up one port; the tables show every connection of a large machine.
  if have ss && shown=$(ss -Hltn "sport = :$1" 2>/dev/null); then [ -n "$shown" ]; return; fi
  grep -qs "$(printf '^ *[0-9]*: [0-9A-F]*:%04X [0-9A-F]*:[0-9A-F]* 0A ' "$1")" /proc/net/tcp /proc/net/tcp6
}

http_ok() {
  if have curl; then curl -fsS -m 5 -o /dev/null "$1"
  elif have wget; then wget -q -T 5 -O /dev/null "$1"
  else return 127; fi
}

# met WORD VALUE: whether what is waited for is so.
met() {
  case $1 in
    tcp) listening "$2" ;;
    http) http_ok "$2" ;;
    file) [ -e "$2" ] ;;
    process) pid=$(number "$2"); [ -n "$pid" ] && [ -d "/proc/$pid" ] ;;
  esac
}

q_wait() {
  id=$1
  if [ -z "$starts" ] && met "$2" "$3" >/dev/null 2>&1; then say met; else say unmet; fi
}

# q_manifest STEP FILE
q_manifest() {
  id=$1
  [ -f "$2" ] || return 0
  while IFS= read -r it; do
    case $it in *"$tab"*) ;; *) say path "$it";; esac
  done <"$2"
}

# q_listed STEP FILE: the paths of a manifest that are there.
q_listed() {
  id=$1
  [ -f "$2" ] || return 0
  while IFS= read -r it; do
    if [ -e "$it" ] || [ -h "$it" ]; then say listed "$(printf %s "$it" | line)"; fi
  done <"$2"
}
