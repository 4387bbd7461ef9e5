#!/usr/bin/env bash
# Makes the kind cluster and installs the stores and the platform in it. What is
# there already stays.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

need_docker
mkdir -p "$(dirname "$KUBECONFIG")"
if cluster_exists && ! whole; then
  step "removing the cluster $name, which was left half made"
  "$kind" delete cluster --name "$name" --kubeconfig "$KUBECONFIG" >/dev/null
fi
if ! cluster_exists; then
  need_memory
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "port $port of 127.0.0.1 is taken: end what listens there, or set KIND_INGRESS_PORT"
  fi
  if [[ -n ${KIND_NODE_IMAGE:-} ]] && ! docker image inspect "$KIND_NODE_IMAGE" >/dev/null 2>&1 && ! docker pull -q "$KIND_NODE_IMAGE" 2>/dev/null; then
    die "there is no image $KIND_NODE_IMAGE, here or in its registry: build it, or leave KIND_NODE_IMAGE out"
  fi
  step "creating the cluster $name"
  sed "s/\${PORT}/$port/" hack/kind/cluster.yaml |
    "$kind" create cluster --name "$name" --kubeconfig "$KUBECONFIG" ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"} --config - --wait 5m ||
    die "the cluster could not be made: kind says above why. Without a registry, set KIND_NODE_IMAGE to a node image that you have"
fi

step "loading images"
hack/images/build.sh ingress dev "$(go env GOARCH)" dev >/dev/null
for store in postgres redis; do
  image=${store}_image setting=KIND_${store^^}_IMAGE
  has_image "${!image}" && continue
  [[ -z ${!setting:-} ]] ||
    die "there is no image ${!image}, here or in its registry: set KIND_POSTGRES_IMAGE and KIND_REDIS_IMAGE to images that you have"
  # Which the other scripts are to use, too.
  printf -v "$image" %s "leaderboard-$store:debian"
  export "$setting=${!image}"
  docker image inspect "${!image}" >/dev/null 2>&1 || hack/kind/store-image.sh "$store"
done
load leaderboard-operator:dev leaderboard-server:dev
load ingress:dev "$postgres_image" "$redis_image" --nodes "$name-control-plane" # where they run

step "starting PostgreSQL, Redis and the ingress"
hack/kind/stores.sh
"${kubectl[@]}" apply -f hack/kind/ingress.yaml >/dev/null
for workload in databases/statefulset/postgres databases/statefulset/redis ingress/deployment/ingress; do
  ns=${workload%%/*}
  bin/kubectl -n "$ns" rollout status "${workload#*/}" --timeout=5m >/dev/null ||
    { bin/kubectl -n "$ns" get pods; die "${workload#*/} did not start: see kubectl -n $ns describe pods"; }
done

step "installing the operator with its chart"
KUBECTL=bin/kubectl hack/install-platform.sh ".kind/$name.stores.json" "$port"
step "done: the platform runs in kind-$name"
echo "  export KUBECONFIG=$KUBECONFIG"
echo "  make kind-demo"
