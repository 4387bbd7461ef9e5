#!/usr/bin/env bash
# Runs the tests that try what must be refused, and lists every attempt with its refusal:
# those in the files that say so by attack.Refused. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

ATTACKS=$(mktemp)
export ATTACKS
trap 'rm -f "$ATTACKS"' EXIT

status=0
while read -r package; do
  tests=$(grep -l 'attack\.Refused(' "$package"/*_test.go | xargs sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' | paste -sd '|')
  go test -race -vet=off -count=1 -timeout 30m -run "^($tests)\$" "$@" "./$package" || status=1
done < <(git grep -l 'attack\.Refused(' -- '*_test.go' | xargs -n 1 dirname | sort -u)

sort "$ATTACKS" | awk -F '\t' '
  $1 != last { printf "\n%s\n", $1; last = $1; tests++ }
  { printf "  %s: %s\n", $2, $3 }
  END { printf "\n%d attempts in %d tests, each refused\n", NR, tests }'
exit "$status"
