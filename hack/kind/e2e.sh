#!/usr/bin/env bash
# The end-to-end tests, in the kind cluster. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

need_docker
need_cluster
E2E_BASE_URL=http://127.0.0.1:$port \
  CGO_ENABLED=1 bin/tools/gotestsum --format testname -- -race -vet=off -count=1 -timeout 60m "$@" ./test/e2e/...
