# The same commands as CI. `make run` and `make test` set up what they need.

# Built dependencies outlive a checkout, so that they are built once a machine. Work in one checkout at a time: Cargo tells
# the artefacts of two apart by the times of their files alone.
CACHE ?= $(HOME)/.cache/spanhouse
export CARGO_TARGET_DIR ?= $(CACHE)/target
VENV := $(CACHE)/venv
NODE := $(CACHE)/node
WEB := ui/web
CARGO := cargo --locked

.DEFAULT_GOAL := help
.PHONY: help run release test check fmt web web-check browser node python bench-commits bench-ingest bench-pending \
	bench-sampling bench-sampling-quick bench-steps bench-storage bench-overhead fuzz

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 22

run: web ## Build everything and start the demo on http://127.0.0.1:7317
	@echo "==> building spanhouse: about ten minutes the first time on two cores, seconds later on"
	$(CARGO) build --profile quick --package spanhouse
	@echo "==> starting the demo; Ctrl-C ends it"
	$(CARGO_TARGET_DIR)/quick/spanhouse demo

release: web ## Build the fastest binary
	$(CARGO) build --release --package spanhouse

test: browser node python web web-check ## Run every test
	$(CARGO) build --workspace
	VENV=$(VENV) NODE=$(NODE) tests/setup/with-tools.sh $(CARGO) test --workspace
	$(MAKE) bench-sampling-quick

check: web ## Formatting and lints, as CI has them
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	@# The fuzz targets are no member, so nothing else notices that their lock file is behind.
	$(CARGO) metadata --format-version 1 --manifest-path fuzz/Cargo.toml > /dev/null

fmt: ## Format the code
	cargo fmt --all
	cd $(WEB) && npm run --silent format

# The page: packages once they change, the build whenever a source is newer.
web: $(WEB)/dist/index.html

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	@echo "==> installing the page's packages"
	cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(WEB)/dist/index.html: $(WEB)/node_modules/.package-lock.json $(shell find $(WEB)/src $(WEB)/public $(WEB)/*.* -type f 2>/dev/null)
	@echo "==> building the page"
	cd $(WEB) && npm run --silent build
	@touch $@

web-check: web
	cd $(WEB) && npm run --silent check && npm run --silent test

bench-commits: ## What commits cost as the tables grow old (FLUSHES=1000 MERGED=no)
	$(CARGO) bench --package storage --bench commits

bench-steps: ## What each step of ingest costs a span (CORPUS=FILE)
	$(CARGO) bench --package collector --bench steps

bench-pending: ## What pending traces take in memory
	@# Bytes are the same in every build, and this one is there anyway.
	$(CARGO) bench --profile dev --package collector --bench pending

bench-ingest: release ## What ingest costs (SPANS=1000000 RUNS=3 ENCODING=identity TRANSPORT=http, and more)
	$(CARGO) run --release --package bench

bench-sampling: ## What sampling keeps, against others (SEEDS=5 BUDGETS=1,5,10 OURS=1 STREAMS=recorded POLICY='{"diversity":0.2}', and more)
	$(CARGO) run --release --package bench-sampling

bench-sampling-quick: ## The sampler's goals at 5 %, in a minute; fails when one is missed
	QUICK=1 $(CARGO) run --package bench-sampling

bench-storage: release ## Bytes a span and times of queries, beside others (CORPUS=FILE SPANS=1000000 PEERS=none, and more)
	@tests/storage/setup.sh $(CACHE)/peers
	PYTHON=$(CACHE)/peers/bin/python $(CARGO) run --release --package bench-storage

bench-overhead: ## What tracing costs a small service in Node (ROUNDS=4 SECONDS=10)
	$(CARGO) build --package spanhouse
	@mkdir -p $(CACHE)/overhead && cp tests/overhead/package.json tests/overhead/package-lock.json $(CACHE)/overhead
	@npm ci --prefix $(CACHE)/overhead --silent --ignore-scripts --no-audit --no-fund
	NODE_PATH=$(CACHE)/overhead/node_modules node tests/overhead/bench.cjs $(CARGO_TARGET_DIR)/debug/spanhouse $(ROUNDS) $(SECONDS)

fuzz: ## Fuzz what reads foreign bytes (TARGET=otlp_protobuf SECONDS=600); needs cargo-fuzz
	RUSTC_BOOTSTRAP=1 cargo run --locked --manifest-path fuzz/Cargo.toml --bin seeds
	RUSTC_BOOTSTRAP=1 cargo fuzz run $(or $(TARGET),otlp_protobuf) -- -max_len=8000 -max_total_time=$(or $(SECONDS),600)

browser:
	@tests/setup/browser.sh

node:
	@tests/setup/node.sh $(NODE)

python:
	@tests/setup/python.sh $(VENV)
