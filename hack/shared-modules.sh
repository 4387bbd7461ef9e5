#!/usr/bin/env bash
# Checks that the Go modules in the folders FOLDER... require the modules that they
# share in the same versions, as a package of two versions is compiled twice. Where
# they do not, says what to type.
set -euo pipefail

# requirements FOLDER prints "PATH VERSION FOLDER" for each module that it requires,
# the version with ~ for -: sort puts a pre-release before its release then.
requirements() {
  awk -v folder="$1" '
    function requirement(path, version) { gsub(/-/, "~", version); print path, version, folder }
    $1 == "require" && $2 != "(" { requirement($2, $3) }
    /^require \(/ { inside = 1; next }
    /^\)/ { inside = 0 }
    inside && NF >= 2 && $1 !~ /^\/\// { requirement($1, $2) }' "$1/go.mod"
}

# The last line of each module has its newest version.
for folder in "$@"; do requirements "$folder"; done | LC_ALL=C sort -k1,1 -k2,2V | awk '
  { gsub(/~/, "-", $2); module[NR] = $1; version[NR] = $2; folder[NR] = $3; newest[$1] = $2 }
  END {
    for (i = 1; i <= NR; i++)
      if (version[i] != newest[module[i]])
        outdated[folder[i]] = outdated[folder[i]] " " module[i] "@" newest[module[i]]
    for (f in outdated) {
      failed = 1
      print f " requires other versions than the other modules: (cd " f " && go get" outdated[f] " && go mod tidy)"
    }
    exit failed
  }' >&2
