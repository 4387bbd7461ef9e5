#!/usr/bin/env bash
# Refuses an OpenAPI document that breaks clients of an earlier one, and prints what does:
# hack/contract.sh [EARLIER [DOCUMENT]]. Without arguments, the last released document and
# the one that is served now. leaderboard-server/httpapi/released has the rules, and
# exceptions.txt next to it what breaks clients all the same.
set -euo pipefail
root=$(dirname "$0")/..
api=$root/leaderboard-server/httpapi
oasdiff=${OASDIFF:-$root/bin/tools/oasdiff}

"$oasdiff" validate "${2:-$api/openapi.yaml}" --fail-on WARN
exec "$oasdiff" breaking --fail-on WARN --severity-levels "$api/released/levels.txt" --err-ignore "$api/exceptions.txt" --warn-ignore "$api/exceptions.txt" --color never \
  "${1:-$api/released/openapi.yaml}" "${2:-$api/openapi.yaml}"
