# What the kind scripts share. Sourced from the repository's root.

name=${KIND_CLUSTER_NAME:-leaderboard}
port=${KIND_INGRESS_PORT:-8088}
namespace=leaderboard-system
kind=bin/tools/kind
export KUBECONFIG=${KIND_KUBECONFIG:-$PWD/.kind/$name.kubeconfig}
kubectl=(bin/kubectl --request-timeout=30s)

# PostgreSQL and Redis of the cluster. Any image with their programs will do.
postgres_image=${KIND_POSTGRES_IMAGE:-postgres:17}
redis_image=${KIND_REDIS_IMAGE:-redis:8}

die() { echo "kind: $*" >&2; exit 1; }

# need_docker fails with one line that says what to type.
need_docker() {
  command -v docker >/dev/null || die "docker is not installed: apt-get install docker.io (or see https://docs.docker.com/engine/install/)"
  local version
  if ! version=$(docker version --format '{{.Server.Version}}' 2>/dev/null); then
    [[ $(docker version 2>&1) != *"permission denied"* ]] || die "you may not use docker: run this as root, or join its group (usermod -aG docker \$USER) and log in again"
    die "the docker daemon does not answer: start it (systemctl start docker, or dockerd), or see docker version"
  fi
  [[ ${version%%.*} -ge 20 ]] || die "docker $version is too old for kind: install 20.10 or later"
}

need_memory() {
  local available
  available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null) || return 0
  [[ -z $available || $available -ge 3072 ]] || die "only $available MiB of memory are free, and the cluster needs some 3 GiB: stop something"
}

cluster_exists() { "$kind" get clusters 2>/dev/null | grep -qx "$name"; }

# whole says whether the cluster answers with all its nodes.
whole() { [[ -s $KUBECONFIG ]] && [[ $("${kubectl[@]}" get nodes --no-headers 2>/dev/null | wc -l) -eq 3 ]]; }

need_cluster() { cluster_exists && whole || die "there is no cluster $name: run make kind-up"; }

# has_image IMAGE: here or, then, in its registry.
has_image() { docker image inspect "$1" >/dev/null 2>&1 || docker pull -q "$1" >/dev/null 2>&1; }

# load IMAGE...: into the nodes.
load() { "$kind" load docker-image --name "$name" "$@" >/dev/null 2>&1 || "$kind" load docker-image --name "$name" "$@"; }

step() { printf '\n[%3d s] %s\n' "$SECONDS" "$*"; }
