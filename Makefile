# OmniChat: `make run` builds and starts it, `make test` runs all tests.
# Each target sets up what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := build
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GITLEAKS := github.com/zricethezav/gitleaks/v8@v8.30.1
TOOLS := $(CURDIR)/bin/tools
PAGE := $(shell find web/src web/public web/index.html web/*.json web/*.ts -type f 2>/dev/null)
E2E ?=

.PHONY: run build test chaos test-go test-web test-e2e lint fmt bench fuzz setup-test clean

run: build
	./bin/omnichat

build: web/dist/index.html
	go build -trimpath -o bin/omnichat ./cmd/omnichat

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	touch $@

web/dist/index.html: web/node_modules/.installed $(PAGE)
	cd web && npm run build

test: setup-test test-go test-web test-e2e

test-go:
	go test -race -timeout 40m ./...

# The faults of make test, many more of them, with seeds that nobody has tried.
CHAOS ?= 30m
chaos: setup-test
	go test -count=1 -timeout 10m -v -run '^TestSimulated' ./hub -sim.runs 20000
	go test -count=1 -timeout 3h -v -run '^TestChaos|Away$$|^TestKilledOwner' ./cmd/omnichat -chaos $(CHAOS)

test-web: web/node_modules/.installed
	cd web && npm run typecheck && npm test

test-e2e: build setup-test
	cd web && npm run size && npm run e2e -- $(E2E)
	go test -tags e2e -count=1 -run '^TestPageThroughTheProxy$$' ./cmd/omnichat

# Chromium, PostgreSQL, Redis, and the proxy of compose.yaml.
setup-test:
	@.ci/setup

lint: web/node_modules/.installed $(TOOLS)/golangci-lint $(TOOLS)/gitleaks
	test -z "$$(gofmt -l cmd hub transport repo providers web/*.go)"
	go vet ./...
	GOOS=darwin go vet ./hub ./providers/... ./transport
	$(TOOLS)/golangci-lint run
	cd web && npm run lint
	! grep -q '"resolved"' web/package-lock.json
	.ci/secrets $(TOOLS)/gitleaks

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) go install $(GOLANGCI)

$(TOOLS)/gitleaks:
	GOBIN=$(TOOLS) go install $(GITLEAKS)

fmt: web/node_modules/.installed
	gofmt -w cmd hub transport repo providers web/*.go
	cd web && npm run format

# A short form: bin/omnibench -help has the long ones. AGAINST is an older build.
AGAINST ?=
VS = $(if $(AGAINST),-against $(AGAINST))
BENCH = bin/omnibench
bench: build setup-test
	go build -trimpath -o $(BENCH) ./cmd/omnibench
	go test -run "^$$" -bench . -benchmem ./hub ./repo ./transport
	go test -run "^$$" -bench . -benchtime 1x ./cmd/omnichat
	$(BENCH) fanout $(VS) -rounds 3 -for 2s -settle 1s
	$(BENCH) fanout $(VS) -rounds 3 -for 2s -settle 1s -streams 1 -viewers 400 -closed
	$(BENCH) chat $(VS) -rounds 1 -for 3s -settle 1s -idle 1s -db sqlite,postgres
	$(BENCH) chat $(VS) -rounds 1 -streams 1 -fast -tokens 300000 -waves 0
	$(BENCH) replicas $(VS) -rounds 1 -for 2s
	$(BENCH) growth -rounds 1 -for 2s -settle 500ms -sse -messages 100000 -most 10000

# A short run of every fuzz target.
fuzz:
	@for t in $$(grep -rlE '^func Fuzz' --include='*_test.go' hub repo providers transport); do \
	  for f in $$(grep -oE '^func Fuzz[A-Za-z]+' $$t | cut -c6-); do \
	    go test -run '^$$' -fuzz "^$$f$$" -fuzztime 20s ./$$(dirname $$t) || exit 1; done; done

clean:
	rm -rf bin web/node_modules web/contract/generated web/dist/assets web/dist/index.html
