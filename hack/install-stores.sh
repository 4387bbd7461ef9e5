#!/usr/bin/env bash
# Installs PostgreSQL and Redis if this machine lacks them; says so first.
set -euo pipefail

have() { command -v "$1" >/dev/null || compgen -G "$2" >/dev/null; }

missing=()
have postgres '/usr/lib/postgresql/*/bin/postgres' || missing+=(postgresql)
have redis-server '/nonexistent' || missing+=(redis-server)
[[ ${#missing[@]} -eq 0 ]] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "PostgreSQL (15 or later) and Redis (7.0 or later) are needed in PATH; missing here: ${missing[*]}." >&2
  echo "On macOS: brew install postgresql@17 redis. Elsewhere: your system's packages of these names." >&2
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
