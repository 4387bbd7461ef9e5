#!/usr/bin/env bash
# Builds the image NAME:TAG of the program bin/images/ARCH/NAME. The same program
# at the same commit is the same image, id and all.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$1 tag=$2 arch=$3 version=$4
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
# The image and its file carry the time of the commit.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/context"
install -m 755 "bin/images/$arch/$program" "$work/context/$program"
touch -d "@$epoch" "$work/context/$program"
docker build --platform "linux/$arch" --iidfile "$work/id" \
  --build-arg PROGRAM="$program" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
  --file hack/images/Dockerfile "$work/context" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
built=$(<"$work/id")
before=$(docker image inspect --format '{{.Id}}' "$program:$tag" 2>/dev/null || true)
docker image save "$built" | bin/stamp -epoch "$epoch" -name "$program:$tag" | docker image load --quiet >/dev/null
# Neither what was built before it was stamped nor what had the name stays behind.
for id in "$built" $before; do
  if [[ $(docker image inspect --format '{{len .RepoTags}}' "$id" 2>/dev/null) == 0 ]]; then
    docker image rm "$id" >/dev/null 2>&1 || true # a container may still have it
  fi
done
docker image inspect --format "$program:$tag {{.Architecture}} {{.Size}} bytes {{.Id}}" "$program:$tag"
