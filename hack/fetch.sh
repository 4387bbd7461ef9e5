#!/usr/bin/env bash
# Fetches the modules of what is built and tested after the embedded cluster, which
# takes minutes to compile and leaves the network idle meanwhile. Go locks its module
# cache, so that a build may fetch at the same time.
set -euo pipefail
cd "$(dirname "$0")/.."

go list -deps -test ./... >/dev/null
cd hack/tools
go list -deps helm.sh/helm/v4/cmd/helm gotest.tools/gotestsum >/dev/null
