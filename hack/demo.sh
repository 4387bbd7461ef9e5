#!/usr/bin/env bash
# The main job, start to end: a cluster, the platform, two games, a match.
#   --once   end after the match; the status tells whether the boards were right
set -euo pipefail
cd "$(dirname "$0")/.."

once=
for arg in "$@"; do
  case $arg in
  --once) once=1 ;;
  *) echo "demo: unknown argument $arg (there is --once)" >&2; exit 2 ;;
  esac
done

export DEVCLUSTER_STATE=$PWD/.devcluster/demo
export KUBECONFIG=$DEVCLUSTER_STATE/kubeconfig
ingress_port=${DEVCLUSTER_INGRESS_PORT:-8088}
step() { printf '\n[%3d s] %s\n' "$SECONDS" "$*"; }

trap 'bin/devcluster down' EXIT
trap 'exit 130' INT TERM
step "starting a Kubernetes cluster, PostgreSQL and Redis"
bin/devcluster up --fresh --image leaderboard-operator="$PWD/bin/leaderboard-operator" \
  --image leaderboard-server="$PWD/bin/leaderboard-server"
step "installing the operator with its chart"
hack/install-platform.sh "$DEVCLUSTER_STATE/stores.json" "$ingress_port"
bin/devcluster status
step "applying two games and playing a match in each"
bin/demo --via "127.0.0.1:$ingress_port"
step "done"
bin/devcluster kubectl get leaderboards --all-namespaces # the end of make kind-demo, too
if [[ -z $once ]]; then
  echo
  echo "The cluster stays up until you press Ctrl-C. In another terminal:"
  echo "  export KUBECONFIG=$KUBECONFIG; $PWD/bin/devcluster kubectl get lb -A"
  # A sleep in the foreground would keep bash from seeing the signal; one in the
  # background does not see it.
  sleep infinity &
  trap 'kill %1; bin/devcluster down' EXIT
  wait
fi
