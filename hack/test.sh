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
status=0
CGO_ENABLED=1 bin/tools/gotestsum --format pkgname-and-test-fails --packages "$packages" -- -race -vet=off -p 2 -timeout 30m "$@" || status=$?
# The same build settings as the binary's, so that Kubernetes is compiled once.
(cd hack/devcluster && CGO_ENABLED=0 ../../bin/tools/gotestsum --format pkgname-and-test-fails -- -vet=off -timeout 20m "$@" ./...) || status=$?
hack/e2e.sh "$@" || status=$?
exit "$status"
