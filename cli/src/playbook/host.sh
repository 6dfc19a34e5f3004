# What a host can be asked and told: POSIX sh, with coreutils or busybox, nothing else.
# An answer is a line: STEP <tab> WORD <tab> VALUE. `id` is the step that speaks.
LC_ALL=C; export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin; export PATH
umask 077
id=-
newline='
'
tab='	'
attributes=
exact=
known=

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\t%s\t%s\n' "$id" "$1" "${2-}"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
line() { tr '\n\t\r' '   '; }
# die KIND TEXT: the step has failed, and nothing after it is run.
die() { say failed "$1 $(printf %s "$2" | line)"; exit 1; }
# patience SECONDS: begins to wait for so long, counted by the naps: the clock costs a program, and may be set anew.
patience() { naps=0.05; slept=0; patience=$(($1 * 100)); }
# nap: soon at first, since most of what is waited for is about to come; whether there is patience left.
nap() {
  [ "$slept" -lt "$patience" ] || return 1
  case $naps in 0.05) length=5; next=0.1;; 0.1) length=10; next=0.2;; *) length=20; next=0.2;; esac
  sleep "$naps" 2>/dev/null || { sleep 1; length=100; }
  naps=$next; slept=$((slept + length))
}

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

# ---- questions: they change nothing ----

# While only questions are asked, nothing changes, and what was found out need not be found out again.
unchanging=
# Something will be started: what is waited for after it is asked then, and not now.
starts=
digests=$newline
links=$newline

# sums FILE...: the digests of those that are plain files, `DIGEST  PATH` a line; one program for all that are small.
sums() {
  [ -n "$unchanging" ] || digests=$newline
  for it in "$@"; do
    shift
    [ -f "$it" ] && [ ! -h "$it" ] || continue
    [ -z "$unchanging" ] || ! digest_of "$it" || continue
    # Nobody has asked for its size: it is one of ours, and small.
    size=0; change=; [ -z "$attributes" ] || attributes_of "$it"
    if [ -n "$change" ] && known_digest "$it" "$change"; then digests="$digests$found  $it$newline"; continue; fi
    # sha256sum writes a path with a backslash in another way.
    case $it in *\\*) size=unusual;; esac
    if [ "$size" != unusual ] && [ "$size" -le "$large" ] && have sha256sum; then set -- "$@" "$it"; continue; fi
    if [ "$size" = unusual ] || [ "$size" -le "$large" ]; then sum "$it"; else sum_large "$it"; fi
    digests="$digests$found  $it$newline"
  done
  [ $# = 0 ] || digests="$digests$(sha256sum "$@" 2>/dev/null)$newline"
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

# ---- changes: each is whole or not there ----

# has_fullblock: whether dd takes exactly what it is told to from a pipe; whoever started this may have seen it already.
has_fullblock() {
  if [ -z "$exact" ]; then
    if [ "${mesh_dd-}" = fullblock ] ||
      [ "$(printf abc | { dd bs=2 count=1 iflag=fullblock status=none 2>/dev/null; printf -; cat; })" = ab-c ]
    then exact=dd
    elif [ "$(printf ab | { head -c 1 >/dev/null; cat; })" = b ]; then exact=head
    else exact=no; fi
  fi
  [ "$exact" = dd ]
}

# grow FILE BYTES: appends exactly so many bytes of stdin, or all there are; a reader that takes more would eat the next
# step's data.
grow() {
  if has_fullblock; then
    # In large pieces: every piece is one write.
    piece=262144; rest=$(($2 % piece))
    [ "$2" -lt "$piece" ] || dd bs="$piece" count=$(($2 / piece)) iflag=fullblock status=none >>"$1" || return
    [ "$rest" = 0 ] || dd bs="$rest" count=1 iflag=fullblock status=none >>"$1"
    return
  fi
  if [ "$exact" = head ]; then head -c "$2" >>"$1"; return; fi
  start=$(stat -c %s "$1"); got=0
  while [ "$got" -lt "$2" ]; do
    want=$(($2 - got)); [ "$want" -le 65536 ] || want=65536
    dd bs="$want" count=1 2>/dev/null >>"$1" || return 1
    now=$(($(stat -c %s "$1") - start)); [ "$now" -gt "$got" ] || return 1
    got=$now
  done
}

# fresh FILE [MODE]: an empty file of this script's own; a link that somebody left there is not followed.
fresh() {
  if [ -e "$1" ] || [ -h "$1" ]; then rm -f "$1" || die failed "cannot write $1"; fi
  # Nobody reads it before it has its owner: others get at most what its mode gives them.
  case ${2-} in 0644|0640) born=$2;; *) born=0600;; esac
  case $born in 0644) mask=022;; 0640) mask=026;; *) mask=077;; esac
  umask $mask; set -C
  true >"$1" || die failed "cannot write $1"
  umask 077; set +C
}

own() { [ -z "$2" ] || chown -h "$2" "$1"; }

# dress FILE MODE OWNER: what belongs to a file of this script's own, which `fresh` has made.
dress() {
  own "$1" "$3" && { [ "$2" = "$born" ] || chmod "$2" "$1"; }
}

# swap FROM TO: puts FROM in the place of TO in one step.
swap() {
  if [ -d "$2" ] && [ ! -h "$2" ]; then die failed "$2 is a directory"; fi
  mv -fT "$1" "$2" 2>/dev/null || { [ ! -h "$2" ] || rm -f "$2"; mv -f "$1" "$2"; }
}

# settle PART PATH MODE OWNER SHA [BYTES]: checks what has arrived, then puts it in place.
settle() {
  sum_sized "$1" "${6:-0}"
  if [ "$found" != "$5" ]; then
    # The end of stdin is that of the connection: what came before it is right.
    if [ -n "${6-}" ] && [ "$(stat -c %s "$1")" -lt "$6" ]; then
      die failed "$2 has not come whole: the next run sends the rest"
    fi
    rm -f "$1"
    die mismatch "$2 arrived with the digest $found instead of $5"
  fi
  place "$1" "$2" "$3" "$4"
}

# place PART PATH MODE OWNER: puts a whole file in place, on the disk before it counts.
place() {
  dress "$1" "$3" "$4" || die failed "cannot give $2 its owner $4 and mode $3"
  { sync "$1" || sync; } 2>/dev/null
  swap "$1" "$2" || die failed "cannot put $2 in place"
}

# do_put PATH MODE OWNER SHA BYTES: a small file from stdin.
do_put() {
  part=$1.part
  fresh "$part" "$2"
  grow "$part" "$5" || die failed "cannot write $part"
  settle "$part" "$1" "$2" "$3" "$4"
}

# do_text PATH MODE OWNER TEXT: a small file that is no secret; no program is started to write it.
do_text() {
  part=$1.part
  fresh "$part" "$2"
  printf '%s' "$4" >>"$part" || die failed "cannot write $part"
  place "$part" "$1" "$2" "$3"
}

# do_binary PATH MODE OWNER SHA BYTES OFFSET: a large one; what arrived before is kept.
do_binary() {
  part=$1.part
  born=
  [ ! -h "$part" ] || rm -f "$part"
  if [ "$6" = 0 ]; then fresh "$part"
  elif [ "$(stat -c %s "$part" 2>/dev/null)" != "$6" ]; then die failed "$part is not as long as it was: run again"; fi
  grow "$part" "$5" || die failed "cannot write $part"
  settle "$part" "$1" "$2" "$3" "$4" "$(($6 + $5))"
  # Its inode, and the instant at which its contents or attributes were changed last.
  change=$(stat -c '%i %z' "$1" 2>/dev/null)
  know "$1" "$change" "$4"
  say change "$change"
}

# do_set PATH MODE OWNER
do_set() {
  own "$1" "$3" || die failed "cannot give $1 the owner $3"
  [ -z "$2" ] || chmod "$2" "$1" || die failed "cannot give $1 the mode $2"
}

do_dir() {
  if [ ! -e "$1" ] && [ -n "$2" ] && have install; then
    case $3 in
      *:*) (umask 022; install -d -m "$2" -o "${3%%:*}" -g "${3#*:}" "$1");;
      ?*) (umask 022; install -d -m "$2" -o "$3" "$1");;
      *) (umask 022; install -d -m "$2" "$1");;
    esac || die failed "cannot make $1"
    return
  fi
  (umask 022; mkdir -p "$1") || die failed "cannot make $1"
  do_set "$1" "$2" "$3"
}

# do_link PATH TO PREVIOUS: what the link led to stays reachable as PREVIOUS.
do_link() {
  if [ -n "$3" ] && [ -h "$1" ]; then
    rm -f "$3.part"
    ln -s "$(readlink "$1")" "$3.part" && swap "$3.part" "$3" || die failed "cannot make the link $3"
  fi
  if [ ! -e "$1" ] && [ ! -h "$1" ] && ln -s "$2" "$1" 2>/dev/null; then return; fi
  [ ! -h "$1.part" ] || rm -f "$1.part"
  ln -s "$2" "$1.part" && swap "$1.part" "$1" || die failed "cannot make the link $1"
}

# also GROUP...: the words for useradd that take a user into those groups that the host has.
also() {
  list=
  for group in "$@"; do ! listed "$group" /etc/group || list=$list${list:+,}$group; done
  [ -z "$list" ] || echo "-G $list"
}

# do_user NAME HOME SHELL GROUP...
do_user() {
  name=$1; home=$2; shell=$3; shift 3
  if listed "$name" /etc/passwd; then :
  elif have useradd; then
    if listed "$name" /etc/group; then set_group="-g $name"; else set_group=-U; fi
    # shellcheck disable=SC2046
    useradd --system --no-create-home $set_group $(also "$@") --home-dir "$home" --shell "$shell" "$name"
    # 9 is one that is there already: this host knows it from somewhere else.
    case $? in 0) return;; 9) id -u "$name" >/dev/null 2>&1;; *) false;; esac || die failed "cannot make the user $name"
  elif ! id -u "$name" >/dev/null 2>&1; then
    listed "$name" /etc/group || addgroup -S "$name"
    adduser -S -D -H -h "$home" -s "$shell" -G "$name" "$name" || die failed "cannot make the user $name"
  fi
  [ $# -gt 0 ] || return 0
  groups=$(id -Gn "$name")
  for group in "$@"; do
    listed "$group" /etc/group || continue
    case " $groups " in *" $group "*) continue;; esac
    if have usermod; then usermod -a -G "$group" "$name"; else addgroup "$name" "$group"; fi ||
      die failed "cannot take $name into the group $group"
  done
}

do_nouser() {
  if have userdel; then userdel "$1"; else deluser "$1"; fi || die failed "cannot remove the user $1"
}

# do_keygen TOOL DIR SUBJECT_FLAG SUBJECT: a key beside the one in use; its request goes to stdout.
do_keygen() {
  [ ! -e "$2.next" ] || rm -rf "$2.next"
  request=$("$1" keygen --dir "$2.next" "$3" "$4") || die failed "cannot make a key in $2"
  # Its lines, with commas between them: there are none in it.
  # shellcheck disable=SC2086
  (IFS=$newline; set -f; set -- $request; IFS=,; say request "$*")
}

# do_stage PATH TEXT: a file of a directory that is put in place as a whole; only its owner reads it.
do_stage() {
  fresh "$1"
  printf '%s' "$2" >>"$1" || die failed "cannot write $1"
}

# do_identity DIR OWNER: the certificate is the last to be put in place: with it the identity is whole.
do_identity() {
  next=$1.next
  set -- "$1" "$2" "$next/key.pem" "$next/roots.pem" "$next/chain.pem"
  [ -z "$2" ] || chown -h "$2" "$3" "$4" "$5" "$next" || die failed "cannot complete $next"
  { sync "$3" "$4" "$5" "$next" || sync; } 2>/dev/null
  if [ ! -e "$1" ]; then mv "$next" "$1" || die failed "cannot make $1"; return; fi
  for it in key roots chain; do
    swap "$next/$it.pem" "$1/$it.pem" || die failed "cannot put $1/$it.pem in place"
  done
  rm -rf "$next"
  do_set "$1" 0700 "$2"
}

# do_unit_file PATH NAME SHA BYTES: systemd reads it before it counts.
do_unit_file() {
  part=$1.part
  fresh "$part"
  grow "$part" "$4" || die failed "cannot write $part"
  if have systemd-analyze; then
    trial=$(mktemp -d) || die failed "cannot make a directory"
    cp "$part" "$trial/$2" && chmod 644 "$trial/$2"
    said=$(systemd-analyze verify --recursive-errors=no "$trial/$2" 2>&1)
    code=$?
    case $said in *nrecognized\ option*) said=$(systemd-analyze verify "$trial/$2" 2>&1); code=$? ;; esac
    rm -rf "$trial"
    [ "$code" = 0 ] || { rm -f "$part"; die failed "systemd refuses $2: $said"; }
  fi
  settle "$part" "$1" 0644 "" "$3"
  systemctl daemon-reload || die failed "systemd cannot read its units again"
}

keep_stamp() {
  [ -n "$1" ] || return 0
  # Half of it is as good as none: what was started is then started once more.
  fresh "$1"
  printf '%s\n' "$2" >>"$1" || die failed "cannot write $1"
}

# unit_end NAME SAID: how a unit ended and its own last words; what systemctl has said where there are none.
unit_end() {
  printf '%s, status %s: ' "$(unit_get "$1" Result)" "$(unit_get "$1" ExecMainStatus)"
  run=$(unit_get "$1" InvocationID)
  words=$(journalctl --quiet --no-pager --output=cat --lines=3 "_SYSTEMD_INVOCATION_ID=${run:-none}" 2>/dev/null)
  printf '%s\n' "${words:-$2}" | sed '$!s/$/;/'
}

# do_unit NAME WORD SECONDS STAMP INPUT...: start or restart.
do_unit() {
  name=$1; word=$2; limit=$3; stamp=$4; shift 4
  inputs_now "$@"
  systemctl reset-failed "$name" 2>/dev/null
  if have timeout; then said=$(timeout "$limit" systemctl "$word" "$name" 2>&1)
  else said=$(systemctl "$word" "$name" 2>&1); fi || die failed "$name does not start: $(unit_end "$name" "$said")"
  keep_stamp "$stamp" "$read_now"
}

# do_stop_unit NAME SECONDS: also one that is started again and again.
do_stop_unit() {
  systemctl stop --no-block "$1" 2>/dev/null
  patience "$2"; killed=
  while :; do
    case $(unit_get "$1" ActiveState) in inactive|failed) break;; esac
    nap && continue
    [ -z "$killed" ] || die failed "$1 does not stop"
    killed=yes; patience 10
    systemctl kill -s KILL "$1" 2>/dev/null
  done
  systemctl reset-failed "$1" 2>/dev/null
  return 0
}

do_nounit() {
  systemctl disable "$1" >/dev/null 2>&1
  rm -f "$2" || die failed "cannot remove $2"
  systemctl daemon-reload || die failed "systemd cannot read its units again"
  systemctl reset-failed "$1" 2>/dev/null
  return 0
}

# do_stop_process PID_FILE CONFIG SECONDS: its own processes die with a supervisor that had to be killed.
do_stop_process() {
  supervisor "$1" "$2" || return 0
  holder=$pid
  kill -TERM "$holder" 2>/dev/null; kill -CONT "$holder" 2>/dev/null
  patience "$3"; killed=
  while supervisor "$1" "$2"; do
    nap && continue
    [ -z "$killed" ] || die failed "the supervisor $holder does not stop"
    killed=yes; patience 10
    kill -KILL "$holder" 2>/dev/null
  done
}

# as USER COMMAND...
as() {
  user=$1; shift
  who
  if [ -z "$user" ]; then exec "$@"; fi
  if [ "$uid" != 0 ] || [ "$user" = root ]; then [ "$(id -un)" != "$user" ] || exec "$@"; fi
  # busybox has one that cannot do this.
  case $(setpriv --help 2>&1) in
    *--init-groups*) exec setpriv --reuid "$user" --regid "$user" --init-groups "$@";;
  esac
  exec su -s /bin/sh "$user" -c 'exec "$0" "$@"' "$@"
}

# do_process TOOL CONFIG PID_FILE LOG USER STAMP INPUT...: it outlives this login.
do_process() {
  tool=$1; config=$2; pid_file=$3; log=$4; user=$5; stamp=$6; shift 6
  inputs_now "$@"
  if have setsid; then apart=setsid; else apart=; fi
  # The log is opened by the user it belongs to.
  (trap '' HUP; umask 027; cd /
    as "$user" sh -c 'log=$1; shift; exec "$@" >>"$log" 2>&1' sh "$log" $apart "$tool" supervise --config "$config"
  ) </dev/null >/dev/null 2>&1 8>&- &
  patience 10
  until supervisor "$pid_file" "$config"; do
    nap || die failed "the supervisor does not start: $(tail -n 5 "$log")"
  done
  keep_stamp "$stamp" "$read_now"
}

# do_command SCRIPT SECONDS CREATES UNLESS ARG...
do_command() {
  script=$1; limit=$2; creates=$3; unless=$4; shift 4
  if [ -n "$creates" ] && { [ -e "$creates" ] || [ -h "$creates" ]; }; then say met; return; fi
  if [ -n "$unless" ] && (sh -c "$unless") </dev/null >/dev/null 2>&1; then say met; return; fi
  # What it leaves running is not part of this run: it does not hold the file that says that a script is at work.
  if have timeout; then said=$(timeout "$limit" sh -c "$script" sh "$@" </dev/null 8>&-)
  else said=$(sh -c "$script" sh "$@" </dev/null 8>&-); fi
  code=$?
  say stdout "$(printf '%s' "$said" | head -c 65536 | hex)"
  say status "$code"
  [ "$code" = 0 ] || die failed "the command ended with status $code"
}

# do_wait WORD VALUE SECONDS
do_wait() {
  patience "$3"
  end=
  until met "$1" "$2" >/dev/null 2>&1; do
    if [ "$1" = http ]; then
      # A page that does not come takes its time too.
      have curl || have wget || die failed "this host has neither curl nor wget"
      end=${end:-$(($(date +%s) + $3))}
      [ "$(date +%s)" -lt "$end" ] || slept=$patience
    fi
    nap || die deadline "$1 $2 was waited for in vain for $3 s"
  done
}

do_absent() {
  if [ -d "$1" ] && [ ! -h "$1" ]; then rm -rf "$1"; else rm -f "$1"; fi || die failed "cannot remove $1"
}

# do_prune PATH...: files and links go, directories when they are empty; the longest paths come first.
do_prune() {
  for it in "$@"; do
    if [ -d "$it" ] && [ ! -h "$it" ]; then rmdir "$it" 2>/dev/null || :
    else rm -f "$it" || die failed "cannot remove $it"; fi
  done
}

# do_manifest FILE PATHS: the paths, a line each, join those that are listed.
do_manifest() {
  fresh "$1.part"
  if [ -f "$1" ]; then { cat "$1"; printf '%s' "$2"; } | sort -u; else printf '%s' "$2"; fi >>"$1.part" ||
    die failed "cannot write $1"
  swap "$1.part" "$1" || die failed "cannot write $1"
}
