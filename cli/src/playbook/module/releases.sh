# Goes before the questions and the changes of `releases`: what is installed side by side, and who runs it.

# runs DIR NAME...: whether a process runs a program of a release; those of the names are of no account.
runs() {
  runs_dir=$1; shift
  for runs_file in "$runs_dir"/bin/*; do
    [ -f "$runs_file" ] || continue
    for runs_name in "$@"; do [ "${runs_file##*/}" != "$runs_name" ] || continue 2; done
    for runs_it in /proc/[0-9]*/exe; do [ ! "$runs_it" -ef "$runs_file" ] || return 0; done
  done
  return 1
}

# told WORD LINK: where a link leads to.
told() {
  [ -h "$2" ] || return 0
  link_of "$2"
  case $to in *[[:cntrl:]]*) ;; *) say "$1" "$to" ;; esac
}

# q_releases STEP DIR CURRENT PREVIOUS: the releases with their ages, and where the links lead to.
q_releases() {
  id=$1
  told current "$3"
  told previous "$4"
  set -- "$2"/*
  for it in "$@"; do
    [ -d "$it" ] && [ ! -h "$it" ] || continue
    name=${it##*/}
    case $name in *[[:cntrl:]]*) continue ;; esac
    # Where there is one, nobody asks which is older.
    age=0; [ $# = 1 ] || age=$(stat -c %Y "$it")
    say release "$age $name"
    # Daemons are started again by the steps before; whatever else runs stays as it is.
    if runs "$it" mesh-agentd mesh-routerd; then say runs "$name"; fi
  done
}

# do_releases DIR CURRENT PREVIOUS NAME...: takes releases away, but none that is linked to or run by now.
do_releases() {
  dir=$1; current=$2; previous=$3; shift 3; gone=
  for name in "$@"; do
    it=$dir/$name
    [ -d "$it" ] && [ ! -h "$it" ] || continue
    if [ "$it" -ef "$current" ] || [ "$it" -ef "$previous" ] || runs "$it"; then continue; fi
    rm -rf "$it" || die failed "cannot remove $it"
    gone=yes
  done
  [ -n "$gone" ] || say met
}
