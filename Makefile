# The targets that people use have a line of help behind ##.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
ARGS ?=

# Where a devcluster keeps its data; the demo and the tests have clusters of
# their own, on other ports.
export DEVCLUSTER_STATE ?= $(CURDIR)/.devcluster/dev

# Kubernetes of the embedded cluster: hack/devcluster/go.mod pins the modules,
# this names them.
KUBE_VERSION := 1.37.2
kube_minor := $(word 2,$(subst ., ,$(KUBE_VERSION)))
kube_ldflags := $(foreach pkg,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(pkg).gitVersion=v$(KUBE_VERSION) -X $(pkg).gitMajor=1 -X $(pkg).gitMinor=$(kube_minor))

# One set of build flags for every program, tool and test, so that the build cache
# has each package once; the race detector needs cgo and has a second set. The
# modules agree on the versions of what they share (hack/verify.sh). Without DWARF,
# which only debuggers read, compiling takes a tenth less; for one: make build
# GOFLAGS=-trimpath
export CGO_ENABLED := 0
build_flags := -trimpath -gcflags=all=-dwarf=false
export GOFLAGS := $(strip $(filter-out $(build_flags),$(shell go env GOFLAGS)) $(build_flags))
RACE := CGO_ENABLED=1

tools := bin/tools
BUILD := $(CURDIR)/hack/build.sh
sources = $(shell find $(1) -name '*.go' -not -name '*_test.go' -o -name '*.sql' -o -name '*.lua' -o -name '*.yaml' -o -name '*.html') go.mod go.sum

.PHONY: help
help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

##@ Use

.PHONY: demo
demo: install-stores bin/devcluster bin/leaderboard-operator bin/leaderboard-server bin/demo $(tools)/helm ## Start a cluster, install the platform, play a match in two games. ARGS=--once ends after it.
	hack/demo.sh $(ARGS)

.PHONY: build
build: bin/leaderboard-operator bin/leaderboard-server ## Build the operator and the server into bin/.

bin/leaderboard-operator: $(call sources,main.go api controllers leaderboard-server)
	$(BUILD) $(@F) . -ldflags "-s -w -X main.version=$(VERSION)" -o $@

bin/leaderboard-server: $(call sources,leaderboard-server)
	$(BUILD) $(@F) ./leaderboard-server -ldflags "-s -w -X main.version=$(VERSION)" -o $@

# With the race detector, for make faults and make test.
bin/race/leaderboard-server: $(call sources,leaderboard-server)
	$(RACE) $(BUILD) "$(@F) with the race detector" ./leaderboard-server -race -o $@

bin/demo: $(call sources,hack/demo test/match test/gameclient api)
	$(BUILD) $(@F) ./hack/demo -o $@

bin/bench: $(call sources,hack/bench test/stores leaderboard-server)
	$(BUILD) $(@F) ./hack/bench -o $@

##@ Images and kind

# The images' architecture, for example ARCH=arm64, and their tag.
ARCH ?= $(shell go env GOARCH)
TAG ?= dev
programs := leaderboard-operator leaderboard-server
image_programs := $(programs:%=bin/images/$(ARCH)/%)

.PHONY: images image-programs images-check sbom
images: image-programs sbom ## Build the images of the operator and the server, with docker. ARCH=arm64, TAG=v1.2.3.
	@for p in $(programs); do hack/images/build.sh $$p $(TAG) $(ARCH) $(VERSION); done
image-programs: $(image_programs) bin/stamp
images-check: images ## Build each image once more, elsewhere, and compare their ids.
	hack/images/check.sh $(ARCH) $(TAG) $(programs)
sbom: $(image_programs:%=%.cdx.json) ## Write what the programs are made of (CycloneDX) beside them in bin/images.

bin/stamp: hack/images/stamp/main.go
	$(BUILD) $(@F) ./hack/images/stamp -o $@

# Nothing of the folder or the clone in which it is built; the image's labels tell
# the revision.
IMAGE_PROGRAM = GOARCH=$(ARCH) $(BUILD) "$(@F) for $(ARCH)" $(1) -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$(VERSION)" -o $@
bin/images/$(ARCH)/leaderboard-operator: bin/images/version $(call sources,main.go api controllers leaderboard-server)
	$(call IMAGE_PROGRAM,.)
bin/images/$(ARCH)/leaderboard-server: bin/images/version $(call sources,leaderboard-server)
	$(call IMAGE_PROGRAM,./leaderboard-server)
# Changes only when the version does, which programs tell as their image's label does.
.PHONY: FORCE
bin/images/version: FORCE
	@mkdir -p $(@D); [[ $$(cat $@ 2>/dev/null) == "$(VERSION)" ]] || echo "$(VERSION)" >$@
%.cdx.json: % $(tools)/cyclonedx-gomod
	$(tools)/cyclonedx-gomod bin -json -version $(VERSION) -output $@ $<

# kind itself, its cluster and what it runs: docs/kind.md. KIND_NODE_IMAGE,
# KIND_CLUSTER_NAME, KIND_POSTGRES_IMAGE and KIND_REDIS_IMAGE may be set.
.PHONY: kind-up kind-load kind-demo kind-e2e kind-down kind-store-images
kind-up: $(tools)/kind $(tools)/helm bin/kubectl bin/images/$(ARCH)/ingress images ## Start a kind cluster with the platform in it. docs/kind.md
	hack/kind/up.sh
kind-store-images: ## Build images of PostgreSQL and Redis from Debian's packages, for machines that reach no registry.
	hack/kind/store-image.sh postgres
	hack/kind/store-image.sh redis
kind-load: $(tools)/kind images ## Load newly built images into the kind cluster and roll them out.
	hack/kind/load.sh
kind-demo: bin/demo ## Play the demo's match in the kind cluster.
	hack/kind/demo.sh
kind-e2e: $(tools)/gotestsum $(tools)/helm bin/images/metrics-server ## Run the end-to-end tests in the kind cluster.
	hack/kind/metrics.sh $(METRICS_SERVER)
	hack/kind/e2e.sh $(ARGS)
kind-down: $(tools)/kind ## Remove the kind cluster.
	hack/kind/down.sh

# What a HorizontalPodAutoscaler asks; the module has its chart, too.
METRICS_SERVER := sigs.k8s.io/metrics-server@v0.9.0
bin/images/metrics-server:
	go mod download $(METRICS_SERVER)
	cd "$$(go list -m -f '{{.Dir}}' $(METRICS_SERVER))" && $(BUILD) $(@F) ./cmd/metrics-server -ldflags "-s -w" -o $(CURDIR)/$@
bin/kubectl: bin/devcluster # which is kubectl, too
	ln -sf devcluster $@
bin/images/$(ARCH)/ingress: $(shell find hack/devcluster/ingress -name '*.go' 2>/dev/null) hack/devcluster/go.mod
	cd hack/devcluster && GOARCH=$(ARCH) $(BUILD) $(@F) ./ingress/controller -ldflags "-s -w" -o ../../$@

##@ Develop

.PHONY: test
test: install-for-tests bin/envtest bin/leaderboard-operator bin/leaderboard-server bin/race/leaderboard-server $(tools)/gotestsum $(tools)/helm $(tools)/oasdiff ## Run every test, with the race detector, against real stores and a real API server.
	hack/test.sh $(ARGS)

.PHONY: faults
faults: install-for-tests bin/race/leaderboard-server ## Break everything around two servers 250 times and look for lost scores. ARGS="-seed=42 -faults=50".
	$(RACE) RACE_SERVER_BIN=$(CURDIR)/bin/race/leaderboard-server go test -race -vet=off -count=1 -v -timeout 60m ./test/faults -args -faults=250 -writers=16 -staleness=1s $(ARGS)

.PHONY: campaign
campaign: install-for-tests bin/envtest ## End the operator, or lose an answer, at every one of its writes. Some 20 minutes.
	KUBEBUILDER_ASSETS=$(CURDIR)/bin/envtest CAMPAIGN=whole $(RACE) go test -race -vet=off -count=1 -v -parallel 4 -timeout 90m -run 'TestCampaign|TestTransitions|TestAtRest|TestKilled|SurviveACrash' ./controllers $(ARGS)

.PHONY: attack
attack: install-for-tests bin/envtest ## Try what must be refused, and list every attempt with its refusal.
	KUBEBUILDER_ASSETS=$(CURDIR)/bin/envtest $(RACE) hack/attack.sh $(ARGS)

.PHONY: test-matrix
test-matrix: ## Run the tests of the stores on every supported version of PostgreSQL, Redis and Valkey.
	hack/test-matrix.sh $(ARGS)

.PHONY: e2e
e2e: install-for-tests bin/devcluster bin/leaderboard-operator bin/leaderboard-server $(tools)/helm $(tools)/gotestsum ## Run the end-to-end tests in an embedded cluster of their own.
	hack/e2e.sh $(ARGS)

.PHONY: lint
lint: $(tools)/golangci-lint ## Lint, the import rules of the layout included.
	$(tools)/golangci-lint run ./...
	cd hack/devcluster && $(CURDIR)/$(tools)/golangci-lint run --config $(CURDIR)/.golangci.yaml ./...

.PHONY: generate
generate: $(tools)/controller-gen $(tools)/oapi-codegen ## Regenerate what is generated and committed.
	$(tools)/controller-gen object paths=./api/...
	$(tools)/controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	$(tools)/controller-gen rbac:roleName=leaderboard-operator paths=./controllers/... output:rbac:dir=config/rbac
	go generate ./...
	go run ./hack/chartgen

.PHONY: verify
verify: generate $(tools)/helm $(tools)/oasdiff ## Check that generated files, formatting, modules and chart are as they should be, and that the contract breaks no client.
	hack/verify.sh

.PHONY: release-contract
release-contract: $(tools)/oasdiff ## Make the contract that is served now the released one, which later ones must not break.
	hack/contract.sh
	cp leaderboard-server/httpapi/openapi.yaml leaderboard-server/httpapi/released/
	: >leaderboard-server/httpapi/exceptions.txt

.PHONY: bench
bench: install-stores bin/bench bin/leaderboard-server ## Measure the server; prints ratios taken in one run and writes docs/benchmarks.md. ARGS="-only batch", "-size 10m".
	bin/bench -markdown docs/benchmarks.md $(ARGS)

.PHONY: clean
clean: ## Remove what was built. Clusters have to be down.
	rm -rf bin

##@ Cluster

.PHONY: up down
up: install-stores bin/devcluster ## Start an embedded cluster that stays (bin/devcluster kubectl talks to it).
	bin/devcluster up $(ARGS)
down: bin/devcluster ## Stop the embedded cluster.
	bin/devcluster down

bin/devcluster: $(shell find hack/devcluster -name '*.go' -not -name '*_test.go' 2>/dev/null) hack/devcluster/go.mod hack/devcluster/go.sum
	cd hack/devcluster && MEANWHILE=$(CURDIR)/hack/fetch.sh \
		$(BUILD) "the embedded cluster" . -ldflags "-s -w $(kube_ldflags)" -o ../../$@

# envtest wants a folder with the two programs; both are in one binary.
bin/envtest: bin/devcluster
	mkdir -p $@
	ln -sf ../devcluster $@/kube-apiserver
	ln -sf ../devcluster $@/etcd
	touch $@

.PHONY: install-stores install-for-tests
install-stores:
	@hack/install-packages.sh
install-for-tests:
	@hack/install-packages.sh --compiler

$(tools)/controller-gen: TOOL = sigs.k8s.io/controller-tools/cmd/controller-gen
$(tools)/golangci-lint: TOOL = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(tools)/oapi-codegen: TOOL = github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen
$(tools)/oasdiff: TOOL = github.com/oasdiff/oasdiff
$(tools)/cyclonedx-gomod: TOOL = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
$(tools)/gotestsum: TOOL = gotest.tools/gotestsum
$(tools)/helm: TOOL = helm.sh/helm/v4/cmd/helm
$(tools)/kind: TOOL = sigs.k8s.io/kind
$(tools)/%: hack/tools/go.mod hack/tools/go.sum
	cd hack/tools && $(BUILD) $(@F) $(TOOL) -o ../../$@
