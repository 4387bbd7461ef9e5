#!/usr/bin/env bash
# Installs what this machine lacks of PostgreSQL and Redis and, with --compiler, of
# what tests need besides: the C compiler of the race detector and PgBouncer. Says
# so first.
set -euo pipefail

have() { command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null; }

missing=()
have postgres || missing+=(postgresql)
have redis-server || missing+=(redis-server)
if [[ ${1-} == --compiler ]]; then
  have gcc || have clang || missing+=(gcc libc6-dev)
  have pgbouncer || missing+=(pgbouncer)
fi
[[ ${#missing[@]} -eq 0 ]] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "PostgreSQL (15 or later), Redis (7.0 or later) and, for tests, a C compiler and PgBouncer are needed in PATH." >&2
  echo "Missing here, by their Debian names: ${missing[*]}." >&2
  echo "On macOS: brew install postgresql@17 redis pgbouncer; xcode-select --install. Elsewhere: your system's packages." >&2
  exit 1
fi
if [[ $EUID -ne 0 ]]; then
  echo "missing: ${missing[*]}. Type: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]} with apt-get (no service is started or enabled)"
# Debian starts a service on installation unless this program says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
