#!/usr/bin/env bash
# Every test of the repo. Arguments go to go test, for example -run TestX.
set -euo pipefail
cd "$(dirname "$0")/.."
export KUBEBUILDER_ASSETS=$PWD/bin/envtest
export HELM=$PWD/bin/tools/helm

# Each suite that needs a database or an API server starts its own; two such
# suites at a time are what two cores carry.
packages=$(go list ./... | grep -v '/test/e2e' | tr '\n' ' ')
status=0
bin/tools/gotestsum --format pkgname-and-test-fails --packages "$packages" -- -race -p 2 -timeout 15m "$@" || status=$?
# The same build settings as the binary's, so that Kubernetes is compiled once.
(cd hack/devcluster && CGO_ENABLED=0 DEVCLUSTER_BIN=$PWD/../../bin/devcluster ../../bin/tools/gotestsum --format pkgname-and-test-fails -- -timeout 10m "$@" ./...) || status=$?
hack/e2e.sh "$@" || status=$?
exit "$status"
