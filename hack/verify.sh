#!/usr/bin/env bash
# Run after make generate: nothing generated may differ from what is committed,
# nothing may be left to format or tidy, and the contract may break no client.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() { echo "verify: $*" >&2; failed=1; }

unformatted=$(gofmt -l $(git ls-files '*.go'))
[[ -z $unformatted ]] || complain "run gofmt -w on: $unformatted"
for module in . hack/devcluster hack/tools; do
  (cd "$module" && go mod tidy -diff) || complain "run go mod tidy in $module"
done
hack/shared-modules.sh . hack/devcluster hack/tools || complain "the modules must agree on the versions of what they share"
[[ -z $(git status --porcelain -- api config charts docs leaderboard-server) ]] || {
  git status --short -- api config charts docs leaderboard-server >&2
  git diff --stat -- api config charts docs leaderboard-server >&2
  complain "generated files differ: run make generate and commit"
}
contract=$(hack/contract.sh 2>&1) || {
  echo "$contract" >&2
  complain "the contract breaks clients of the last release: leaderboard-server/httpapi/released/README.md"
}
bin/tools/helm lint --quiet charts/leaderboard-operator || complain "helm lint"
bin/tools/helm template leaderboard-operator charts/leaderboard-operator >/dev/null || complain "helm template"
exit "$failed"
