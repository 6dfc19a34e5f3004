# What a host can be told, after `questions.sh`: each change is whole or not there.
exact=

# patience SECONDS: begins to wait for so long, counted by the naps: the clock costs a program, and may be set anew.
patience() { naps=0.05; slept=0; patience=$(($1 * 100)); }
# nap: soon at first, since most of what is waited for is about to come; whether there is patience left.
nap() {
  [ "$slept" -lt "$patience" ] || return 1
  case $naps in 0.05) length=5; next=0.1;; 0.1) length=10; next=0.2;; *) length=20; next=0.2;; esac
  sleep "$naps" 2>/dev/null || { sleep 1; length=100; }
  naps=$next; slept=$((slept + length))
}

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
