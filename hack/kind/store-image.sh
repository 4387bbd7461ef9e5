#!/usr/bin/env bash
# Builds leaderboard-STORE:debian, for postgres or redis, from Debian's packages: for
# machines that reach no registry.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh
source hack/debian.sh

need_docker
store=$1 image=leaderboard-$1:debian suite=trixie
case $store in
  postgres) package=postgresql-17 ;;
  redis) package=redis-server ;;
  *) die "there is no store $store: type postgres or redis" ;;
esac
[[ $EUID -eq 0 ]] && command -v debootstrap >/dev/null ||
  die "there is no image for $store, here or in a registry, and building one takes root and debootstrap: apt-get install debootstrap, or set KIND_${store^^}_IMAGE to an image that you have"

step "building $image from Debian's packages"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
debian_release "$suite" "$package" "$root" || die "Debian's packages could not be fetched: set DEBIAN_MIRROR to a mirror that you reach"

# As whom the Pods run; initdb wants a name for it.
grep -q '^[^:]*:[^:]*:999:' "$root/etc/passwd" || echo 'store:x:999:999::/data:/bin/sh' >>"$root/etc/passwd"
grep -q '^[^:]*:[^:]*:999:' "$root/etc/group" || echo 'store:x:999:' >>"$root/etc/group"
tar --create --numeric-owner --directory "$root" --exclude './dev/*' --exclude './proc/*' --exclude './sys/*' \
  --exclude './var/cache/apt/*' --exclude './var/lib/apt/lists/*' --exclude './var/lib/postgresql/*' --exclude './usr/share/doc/*' . |
  docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'LABEL org.opencontainers.image.source=https://github.com/leaderboard-dev/leaderboard-operator' - "$image" >/dev/null
docker image inspect --format "$image {{.Architecture}} {{.Size}} bytes" "$image"
