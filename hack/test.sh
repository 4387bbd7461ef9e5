#!/usr/bin/env bash
# Every test of the repo. Arguments go to go test, for example -run TestX.
set -euo pipefail
cd "$(dirname "$0")/.."
export KUBEBUILDER_ASSETS=$PWD/bin/envtest
export HELM=$PWD/bin/tools/helm OPERATOR_BIN=$PWD/bin/leaderboard-operator \
  RACE_SERVER_BIN=$PWD/bin/race/leaderboard-server DEVCLUSTER_BIN=$PWD/bin/devcluster

# Each suite that needs a database or an API server starts its own; two such
# suites at a time are what two cores carry. No vet here: make lint runs govet, and
# go test would vet all dependencies as well, which takes minutes the first time.
packages=$(go list ./... | grep -v '/test/e2e' | tr '\n' ' ')

# What needs a whole cluster waits most of the time, so it runs beside the rest, in a
# process group of its own that an interrupt can end. The embedded cluster's own tests
# have the same build settings as its binary, so that Kubernetes is compiled once.
in_clusters() {
  local status=0
  (cd hack/devcluster && CGO_ENABLED=0 ../../bin/tools/gotestsum --format pkgname-and-test-fails -- -vet=off -timeout 20m "$@" ./...) || status=$?
  hack/e2e.sh "$@" || status=$?
  return "$status"
}

output=$(mktemp)
set -m
in_clusters "$@" >"$output" 2>&1 &
beside=$!
set +m
trap 'kill -INT -- "-$beside" 2>/dev/null || true; wait "$beside" || true; rm -f "$output"' EXIT
trap 'exit 130' INT TERM
echo "the tests of the embedded cluster and those in it run beside these, and are told last"

status=0
CGO_ENABLED=1 bin/tools/gotestsum --format pkgname-and-test-fails --packages "$packages" -- -race -vet=off -p 2 -parallel 4 -timeout 45m "$@" || status=$?
wait "$beside" || status=$?
cat "$output"
exit "$status"
