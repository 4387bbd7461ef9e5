#!/usr/bin/env bash
# The demo's match, in the kind cluster.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

need_docker
need_cluster
step "applying two games and playing a match in each"
bin/demo --via "127.0.0.1:$port"
step "done"
"${kubectl[@]}" get leaderboards --all-namespaces
