#!/usr/bin/env bash
# Builds a Go program and reports progress: hack/build.sh LABEL PACKAGE [go build flags].
# A cold build takes minutes, so a line every ten seconds says how far it is.
# MEANWHILE names a program that runs as long as the compiler does; its failure is
# no failure of the build, which waits for it.
set -euo pipefail
shopt -s lastpipe # report runs in this shell
label=$1 package=$2
shift 2
interval=10

say() { printf 'building %s: %s\n' "$label" "$*"; }

# meanwhile starts the program in a process group of its own, which ends with this script.
meanwhile() {
  set -m
  "$1" >/dev/null 2>&1 &
  group=$!
  set +m
  trap 'kill -- "-$group" 2>/dev/null || true; wait "$group" 2>/dev/null || true' EXIT
}

# report reads what go build -v writes: the name of each package that it compiles, on
# a line of its own. Whatever else it writes is a message, and has spaces.
report() {
  local line rest='' next=$((SECONDS + interval)) status
  compiled=0
  while true; do
    status=0
    IFS= read -r -t "$interval" line || status=$?
    line=$rest$line rest=''
    case $status in
    0) if [[ $line == *[[:space:]]* ]]; then printf '%s\n' "$line" >&2; else compiled=$((compiled + 1)); fi ;;
    1) return ;;
    *) rest=$line ;; # for a while nothing, or part of a line: a package or the linker takes long
    esac

    if ((SECONDS >= next)); then
      say "$compiled of some $total packages compiled after $SECONDS s"
      next=$((SECONDS + interval))
    fi
  done
}

say started
total=$(go list -deps "$package" | wc -l)
[[ -z ${MEANWHILE-} ]] || meanwhile "$MEANWHILE"
go build -v "$@" "$package" 2>&1 | report
say "done after $SECONDS s, packages compiled: $compiled"

if [[ -n ${MEANWHILE-} ]]; then
  wait "$group" || say "${MEANWHILE##*/} failed: what it does is done again where it is needed"
  trap - EXIT
fi
