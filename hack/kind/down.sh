#!/usr/bin/env bash
# Removes the cluster and everything that kind-up made, images in docker excepted.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

need_docker
"$kind" delete cluster --name "$name" --kubeconfig "$KUBECONFIG"
rm -f "$KUBECONFIG" "$KUBECONFIG.lock" ".kind/$name.stores.json"
rmdir .kind 2>/dev/null || true
# kind's network stays behind otherwise.
if [[ -z $("$kind" get clusters 2>/dev/null) ]] && docker network inspect kind >/dev/null 2>&1; then
  docker network rm kind >/dev/null
fi
