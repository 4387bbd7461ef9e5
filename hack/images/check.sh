#!/usr/bin/env bash
# Compiles and builds each image once more, from a clone in another folder and
# without caches of docker's, and fails if one differs from NAME:TAG.
set -euo pipefail
cd "$(dirname "$0")/../.."

arch=$1 tag=$2
shift 2
if [[ -n $(git status --porcelain --untracked-files=no) ]]; then
  echo "images: files are changed that are not committed, which a clone does not have: commit them" >&2
  exit 1
fi
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone --quiet "$PWD" "$clone"
# The version tells tags, which the clone of a branch may lack.
make -C "$clone" --no-print-directory image-programs ARCH="$arch" VERSION="$(git describe --tags --always)" >/dev/null
for program in "$@"; do
  "$clone/hack/images/build.sh" "$program" "$tag-check" "$arch" "$(git describe --tags --always)" >/dev/null
  ours=$(docker image inspect --format '{{.Id}}' "$program:$tag")
  theirs=$(docker image inspect --format '{{.Id}}' "$program:$tag-check")
  docker image rm "$program:$tag-check" >/dev/null
  if [[ $ours != "$theirs" ]]; then
    echo "images: two builds of $program differ: $ours and $theirs" >&2
    exit 1
  fi
  echo "$program: two builds are $ours"
done
