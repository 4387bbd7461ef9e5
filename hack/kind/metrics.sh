#!/usr/bin/env bash
# Installs metrics-server, which was built from the module $1, with its own chart.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

need_docker
need_cluster
"${kubectl[@]}" get apiservice v1beta1.metrics.k8s.io >/dev/null 2>&1 && exit
folder=$(go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p')
docker build --quiet --build-arg PROGRAM=metrics-server --tag metrics-server:dev --file hack/images/Dockerfile bin/images >/dev/null 2>&1 ||
  die "the image of metrics-server could not be built: see docker build --build-arg PROGRAM=metrics-server --file hack/images/Dockerfile bin/images"
load metrics-server:dev
# kubelets of kind have certificates that nobody signed.
bin/tools/helm upgrade --install metrics-server "$folder/charts/metrics-server" --namespace kube-system --wait --timeout 5m \
  --set image.repository=metrics-server --set image.tag=dev --set 'args={--kubelet-insecure-tls}' >/dev/null
