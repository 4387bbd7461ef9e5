#!/usr/bin/env bash
# The end-to-end tests, in an embedded cluster of their own that is gone
# afterwards. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

export DEVCLUSTER_STATE=${DEVCLUSTER_STATE_E2E:-$PWD/.devcluster/e2e}
export DEVCLUSTER_API_PORT=26543 DEVCLUSTER_INGRESS_PORT=8188 DEVCLUSTER_POSTGRES_PORT=25532 \
  DEVCLUSTER_REDIS_PORT=26479 DEVCLUSTER_POD_CIDR=10.244.1.0/24
export KUBECONFIG=$DEVCLUSTER_STATE/kubeconfig

trap 'bin/devcluster down' EXIT
trap 'exit 130' INT TERM
bin/devcluster up --fresh --image leaderboard-operator="$PWD/bin/leaderboard-operator" \
  --image leaderboard-server="$PWD/bin/leaderboard-server"
# The node writes a changed Secret within a second.
hack/install-platform.sh "$DEVCLUSTER_STATE/stores.json" "$DEVCLUSTER_INGRESS_PORT" --set retireLogins.after=20s
E2E_BASE_URL=http://127.0.0.1:$DEVCLUSTER_INGRESS_PORT \
  CGO_ENABLED=1 bin/tools/gotestsum --format testname -- -race -vet=off -count=1 -timeout 30m "$@" ./test/e2e/...
