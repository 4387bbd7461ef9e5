#!/usr/bin/env bash
# Loads newly built images and rolls them out.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

need_docker
need_cluster
load leaderboard-operator:dev leaderboard-server:dev
"${kubectl[@]}" -n "$namespace" rollout restart deployment leaderboard-operator >/dev/null
bin/kubectl -n "$namespace" rollout status deployment leaderboard-operator --timeout=5m
for game in $("${kubectl[@]}" get leaderboards -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name} {end}'); do
  "${kubectl[@]}" -n "${game%/*}" rollout restart deployment -l "app.kubernetes.io/instance=${game#*/}" >/dev/null
done
