# What a host can be asked and told: POSIX sh, with coreutils or busybox, nothing else.
# An answer is a line: STEP <tab> WORD <tab> VALUE. `id` is the step that speaks.
LC_ALL=C; export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin; export PATH
umask 077
id=-
exact=

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\t%s\t%s\n' "$id" "$1" "${2-}"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
line() { tr '\n\t\r' '   '; }
# die KIND TEXT: the step has failed, and nothing after it is run.
die() { say failed "$1 $(printf %s "$2" | line)"; exit 1; }
nap() { sleep 0.2 2>/dev/null || sleep 1; }

# sum FILE: its digest; no pipe, since every program that is started costs more than the digest of a small file.
if have sha256sum; then
  sum() { sum_text=$(sha256sum <"$1") && printf '%s\n' "${sum_text%% *}"; }
elif have openssl; then
  sum() { sum_text=$(openssl dgst -sha256 -r <"$1") && printf '%s\n' "${sum_text%% *}"; }
else
  die failed "this host has neither sha256sum nor openssl"
fi
sum_stdin() { sum /dev/stdin; }

# ---- questions: they change nothing ----

# q_path STEP PATH WANTED TEXT_MAX: what is there; the text of a file with another digest than WANTED.
q_path() {
  id=$1
  if [ -h "$2" ]; then say link "$(readlink "$2" | line | sed 's/ *$//')"
  elif [ ! -e "$2" ]; then say none
  elif [ -d "$2" ]; then say dir "$(stat -c '%a %U:%G' "$2")"
  elif [ -f "$2" ]; then
    found=; [ "$3" = - ] || found=$(sum "$2") || found=
    say file "$(stat -c '%a %U:%G %s' "$2") $found"
    if [ "$4" -gt 0 ] && [ "$found" != "$3" ] && [ "$(stat -c %s "$2")" -le "$4" ]; then say text "$(hex <"$2")"; fi
  else say other; fi
}

# q_part STEP PATH: an upload that was cut off.
q_part() {
  id=$1
  if [ -f "$2" ] && [ ! -h "$2" ]; then say part "$(stat -c %s "$2") $(sum "$2")"; fi
}

# q_user STEP NAME GROUP...
q_user() {
  id=$1; name=$2; shift 2
  if uid=$(id -u "$name" 2>/dev/null); then
    say user "$uid:$(grep "^$name:" /etc/passwd | cut -d: -f6,7)"
    say groups "$(id -Gn "$name")"
  else say none; fi
  for group in "$@"; do
    if grep -q "^$group:" /etc/group; then say offered "$group"; fi
  done
}

inputs_sum() {
  for it in "$@"; do
    if [ -h "$it" ]; then printf 'link %s %s\n' "$it" "$(readlink "$it")"
    elif [ -f "$it" ]; then printf 'file %s %s\n' "$it" "$(sum "$it")"
    else printf 'none %s\n' "$it"; fi
  done | sum_stdin
}

# q_inputs STEP STAMP INPUT...: whether what was started has read what is there now.
q_inputs() {
  id=$1; stamp=$2; shift 2
  if [ "$(inputs_sum "$@")" = "$(cat "$stamp" 2>/dev/null)" ]; then say inputs same; else say inputs other; fi
}

# same_exe PID FILE: whether a process runs the program that is installed now.
same_exe() {
  [ "/proc/$1/exe" -ef "$2" ] && return 0
  runs=$(sum "/proc/$1/exe" 2>/dev/null)
  [ -n "$runs" ] && [ "$runs" = "$(sum "$2" 2>/dev/null)" ]
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

# supervisor PID_FILE CONFIG: the process that supervises by this configuration; a reused number is not taken for it.
supervisor() {
  pid=$(cat "$1" 2>/dev/null | tr -cd 0-9)
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
  tr '\000' '\n' <"/proc/$pid/cmdline" | grep -qxF -e "$2" || return 1
  echo "$pid"
}

q_process() {
  id=$1
  if supervisor "$2" "$3" >/dev/null; then say up; else say down; fi
}

# q_key STEP DIR TOOL...: whose certificate is there and until when, by the first of the tools that is there.
q_key() {
  id=$1; dir=$2; shift 2
  if [ ! -e "$dir/chain.pem" ]; then say none; return; fi
  if [ -f "$dir/roots.pem" ]; then say roots "$(sum "$dir/roots.pem")"; fi
  for tool in "$@"; do
    [ -x "$tool" ] || continue
    if shown=$("$tool" identity --dir "$dir" 2>/dev/null); then say key "$(printf %s "$shown" | line)"; return; fi
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
  port=$(printf ':%04X' "$1")
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v port="$port" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }'
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
    process) pid=$(cat "$2" 2>/dev/null | tr -cd 0-9); [ -n "$pid" ] && [ -d "/proc/$pid" ] ;;
  esac
}

q_wait() {
  id=$1
  if met "$2" "$3" >/dev/null 2>&1; then say met; else say unmet; fi
}

# q_manifest STEP FILE
q_manifest() {
  id=$1
  if [ -f "$2" ]; then say manifest "$(head -c 1048576 "$2" | hex)"; fi
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

# grow FILE BYTES: appends exactly so many bytes of stdin; a reader that takes more would eat the next step's data.
grow() {
  if [ -z "$exact" ]; then
    if [ "$(printf ab | { head -c 1 >/dev/null; cat; })" = b ]; then exact=yes; else exact=no; fi
  fi
  if [ "$exact" = yes ]; then head -c "$2" >>"$1"; return; fi
  start=$(stat -c %s "$1"); got=0
  while [ "$got" -lt "$2" ]; do
    want=$(($2 - got)); [ "$want" -le 65536 ] || want=65536
    dd bs="$want" count=1 2>/dev/null >>"$1" || return 1
    now=$(($(stat -c %s "$1") - start)); [ "$now" -gt "$got" ] || return 1
    got=$now
  done
}

# fresh FILE: an empty file of this script's own; a link that somebody left there is not followed.
fresh() {
  rm -f "$1" && (set -C; : >"$1") || die failed "cannot write $1"
}

own() { [ -z "$2" ] || chown -h "$2" "$1"; }

# swap FROM TO: puts FROM in the place of TO in one step.
swap() {
  if [ -d "$2" ] && [ ! -h "$2" ]; then die failed "$2 is a directory"; fi
  mv -fT "$1" "$2" 2>/dev/null || { [ ! -h "$2" ] || rm -f "$2"; mv -f "$1" "$2"; }
}

# settle PART PATH MODE OWNER SHA: checks what has arrived, then puts it in place.
settle() {
  found=$(sum "$1")
  if [ "$found" != "$5" ]; then
    rm -f "$1"
    die mismatch "$2 arrived with the digest $found instead of $5"
  fi
  own "$1" "$4" && chmod "$3" "$1" || die failed "cannot give $2 its owner $4 and mode $3"
  { sync "$1" || sync; } 2>/dev/null
  swap "$1" "$2" || die failed "cannot put $2 in place"
}

# do_put PATH MODE OWNER SHA BYTES: a small file from stdin.
do_put() {
  part=$1.part
  fresh "$part"
  grow "$part" "$5" || die failed "cannot write $part"
  settle "$part" "$1" "$2" "$3" "$4"
}

# do_binary PATH MODE OWNER SHA BYTES OFFSET: a large one; what arrived before is kept.
do_binary() {
  part=$1.part
  [ ! -h "$part" ] || rm -f "$part"
  if [ "$6" = 0 ]; then fresh "$part"; fi
  [ "$(stat -c %s "$part" 2>/dev/null)" = "$6" ] || die failed "$part is not as long as it was: run again"
  grow "$part" "$5" || die failed "cannot write $part"
  # The end of stdin is that of the connection: what came before it is right.
  [ "$(stat -c %s "$part")" = "$(($6 + $5))" ] || die failed "$1 has not come whole: the next run sends the rest"
  settle "$part" "$1" "$2" "$3" "$4"
}

# do_set PATH MODE OWNER
do_set() {
  own "$1" "$3" || die failed "cannot give $1 the owner $3"
  [ -z "$2" ] || chmod "$2" "$1" || die failed "cannot give $1 the mode $2"
}

do_dir() {
  (umask 022; mkdir -p "$1") || die failed "cannot make $1"
  do_set "$1" "$2" "$3"
}

# do_link PATH TO PREVIOUS: what the link led to stays reachable as PREVIOUS.
do_link() {
  if [ -n "$3" ] && [ -h "$1" ]; then
    rm -f "$3.part"
    ln -s "$(readlink "$1")" "$3.part" && swap "$3.part" "$3" || die failed "cannot make the link $3"
  fi
  rm -f "$1.part"
  ln -s "$2" "$1.part" && swap "$1.part" "$1" || die failed "cannot make the link $1"
}

# do_user NAME HOME SHELL GROUP...
do_user() {
  name=$1; home=$2; shell=$3; shift 3
  if ! id -u "$name" >/dev/null 2>&1; then
    if have useradd; then
      if grep -q "^$name:" /etc/group; then set_group="-g $name"; else set_group=-U; fi
      useradd --system --no-create-home $set_group --home-dir "$home" --shell "$shell" "$name"
    else
      grep -q "^$name:" /etc/group || addgroup -S "$name"
      adduser -S -D -H -h "$home" -s "$shell" -G "$name" "$name"
    fi || die failed "cannot make the user $name"
  fi
  for group in "$@"; do
    grep -q "^$group:" /etc/group || continue
    case " $(id -Gn "$name") " in *" $group "*) continue;; esac
    if have usermod; then usermod -a -G "$group" "$name"; else addgroup "$name" "$group"; fi ||
      die failed "cannot take $name into the group $group"
  done
}

do_nouser() {
  if have userdel; then userdel "$1"; else deluser "$1"; fi || die failed "cannot remove the user $1"
}

# do_keygen TOOL DIR SUBJECT_FLAG SUBJECT: a key beside the one in use; its request goes to stdout.
do_keygen() {
  rm -rf "$2.next"
  request=$("$1" keygen --dir "$2.next" "$3" "$4") || die failed "cannot make a key in $2"
  say request "$(printf '%s\n' "$request" | hex)"
}

# do_identity DIR OWNER: the certificate is the last to be put in place: with it the identity is whole.
do_identity() {
  next=$1.next
  for it in key roots chain; do
    own "$next/$it.pem" "$2" && chmod 600 "$next/$it.pem" || die failed "cannot complete $next"
  done
  own "$next" "$2" && chmod 700 "$next" || die failed "cannot complete $next"
  sync
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
  fresh "$1.part"
  printf '%s\n' "$2" >>"$1.part" && swap "$1.part" "$1" || die failed "cannot write $1"
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
  read_now=$(inputs_sum "$@")
  systemctl reset-failed "$name" 2>/dev/null
  if have timeout; then said=$(timeout "$limit" systemctl "$word" "$name" 2>&1)
  else said=$(systemctl "$word" "$name" 2>&1); fi || die failed "$name does not start: $(unit_end "$name" "$said")"
  keep_stamp "$stamp" "$read_now"
}

# do_stop_unit NAME SECONDS: also one that is started again and again.
do_stop_unit() {
  systemctl stop --no-block "$1" 2>/dev/null
  end=$(($(date +%s) + $2)); killed=
  while :; do
    case $(unit_get "$1" ActiveState) in inactive|failed) break;; esac
    if [ "$(date +%s)" -ge "$end" ]; then
      [ -z "$killed" ] || die failed "$1 does not stop"
      killed=yes; end=$((end + 10))
      systemctl kill -s KILL "$1" 2>/dev/null
    fi
    nap
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
  holder=$(supervisor "$1" "$2") || return 0
  kill -TERM "$holder" 2>/dev/null; kill -CONT "$holder" 2>/dev/null
  end=$(($(date +%s) + $3)); killed=
  while supervisor "$1" "$2" >/dev/null; do
    if [ "$(date +%s)" -ge "$end" ]; then
      [ -z "$killed" ] || die failed "the supervisor $holder does not stop"
      killed=yes; end=$((end + 10))
      kill -KILL "$holder" 2>/dev/null
    fi
    nap
  done
}

# as USER COMMAND...
as() {
  user=$1; shift
  if [ -z "$user" ] || [ "$(id -un)" = "$user" ]; then exec "$@"; fi
  if setpriv --reuid "$user" --regid "$user" --init-groups true 2>/dev/null; then
    exec setpriv --reuid "$user" --regid "$user" --init-groups "$@"
  fi
  exec su -s /bin/sh "$user" -c 'exec "$0" "$@"' "$@"
}

# do_process TOOL CONFIG PID_FILE LOG USER STAMP INPUT...: it outlives this login.
do_process() {
  tool=$1; config=$2; pid_file=$3; log=$4; user=$5; stamp=$6; shift 6
  read_now=$(inputs_sum "$@")
  if have setsid; then apart=setsid; else apart=; fi
  # The log is opened by the user it belongs to.
  (trap '' HUP; umask 027; cd /
    as "$user" sh -c 'log=$1; shift; exec "$@" >>"$log" 2>&1' sh "$log" $apart "$tool" supervise --config "$config"
  ) </dev/null >/dev/null 2>&1 8>&- &
  end=$(($(date +%s) + 10))
  until supervisor "$pid_file" "$config" >/dev/null; do
    [ "$(date +%s)" -lt "$end" ] || die failed "the supervisor does not start: $(tail -n 5 "$log")"
    nap
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
  end=$(($(date +%s) + $3))
  until met "$1" "$2" >/dev/null 2>&1; do
    if [ "$1" = http ] && ! have curl && ! have wget; then die failed "this host has neither curl nor wget"; fi
    [ "$(date +%s)" -lt "$end" ] || die deadline "$1 $2 was waited for in vain for $3 s"
    nap
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

# do_manifest FILE SHA BYTES: the paths on stdin join those that are listed.
do_manifest() {
  do_put "$1.new" 0600 "" "$2" "$3"
  fresh "$1.part"
  cat "$1" "$1.new" 2>/dev/null | sort -u >>"$1.part" || die failed "cannot write $1"
  rm -f "$1.new"
  swap "$1.part" "$1" || die failed "cannot write $1"
}
