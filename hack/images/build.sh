#!/usr/bin/env bash
# Builds the image NAME:TAG of a program from bin/images/ARCH, twice where --check
# is given, and fails if the two differ in anything but the time of building.
set -euo pipefail
cd "$(dirname "$0")/../.."

check=
[[ ${1:-} == --check ]] && check=1 && shift
program=$1 tag=$2 arch=$3 version=$4
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
# Files carry the time of the commit, so that layers are the same whenever they
# are built. BuildKit takes SOURCE_DATE_EPOCH for the image's own time, too; the
# older builder writes the present time there.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
touch -d "@$epoch" "bin/images/$arch/$program"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
build() {
  docker build --quiet --platform "linux/$arch" --build-arg SOURCE_DATE_EPOCH="$epoch" \
    --build-arg PROGRAM="$program" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
    --tag "$program:$tag" --file hack/images/Dockerfile "$@" "bin/images/$arch" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}
content() { docker image inspect --format '{{json .RootFS}} {{json .Config.User}} {{json .Config.Entrypoint}} {{json .Config.Labels}} {{.Architecture}}' "$program:$tag"; }

build
if [[ -n $check ]]; then
  first=$(content)
  build --no-cache
  if [[ $first != "$(content)" ]]; then
    echo "images: two builds of $program differ: $first and $(content)" >&2
    exit 1
  fi
fi
docker image inspect --format "$program:$tag {{.Architecture}} {{.Size}} bytes {{index .RootFS.Layers 0}}" "$program:$tag"
