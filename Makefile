# What a newcomer runs: `make demo`, `make test`. Everything else is for people who change swivel.
#
#   deps   install missing system packages by name (Debian, Ubuntu)
#   demo   build, start a natural voice, run the demo; ARGS=--once places one call and ends
#   ui     build the page into ui/dist, from where a release takes it into the binary
#   test   every test, the ones over real sockets included
#   bench  the figures of docs/benchmarks.md
#   soak   the long forms of the tests
#   lint   formatting, clippy, licences
#   fmt    format

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: help deps voice browser phones agents ui ui-test demo test bench soak lint fmt

CACHE ?= $(or $(XDG_CACHE_HOME),$(if $(HOME),$(HOME)/.cache,/tmp))/swivel
export CARGO_TARGET_DIR ?= $(CACHE)/target

CARGO  ?= cargo
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
ARGS   ?=

# clang, libclang: bindings of RocksDB. build-essential: RocksDB itself. espeak-ng: the voice of a bare machine.
# sip-tester, baresip: callers of the live tests. openssl: the other side of TLS. dnsmasq-base: a name server.
# kamailio: a carrier. python3-venv: Piper, pocketsphinx, Pipecat.
PACKAGES := build-essential clang libclang-dev cmake espeak-ng sip-tester baresip-core python3 python3-venv curl ca-certificates openssl dnsmasq-base kamailio

help:
	@sed -n 's/^#   //p' Makefile

deps:
	@scripts/deps $(PACKAGES)

.venv/%/.ready: requirements/%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-input --requirement $<
	touch $@

# The page: Node 18 or newer, and the packages its lock file names.
ui/node_modules/.package-lock.json: ui/package-lock.json
	@scripts/deps $(if $(shell command -v npm),,nodejs npm)
	cd ui && npm ci --no-audit --no-fund --silent
	touch $@

ui/dist/index.html: ui/node_modules/.package-lock.json $(shell find ui -maxdepth 1 -type f) $(shell find ui/src ui/public -type f)
	cd ui && npm run --silent build
	touch $@

ui: ui/dist/index.html

ui-test: ui
	cd ui && npm run --silent check && npm run --silent test

demo: deps voice
	@$(MAKE) --no-print-directory ui || echo "The page could not be built: everything else works."
	$(CARGO) build --release --locked --bin swivel
	@scripts/demo $(ARGS)

# A natural voice. Without it everything works, spoken by espeak-ng.
voice: deps
	@$(MAKE) --no-print-directory .venv/piper/.ready || echo "Piper could not be installed: espeak-ng will speak."

# A telephone in a browser, JsSIP driven in the system's Chromium; the page, driven and examined; Twilio's library for Node.
.venv/browser/.ready .venv/twilio/.ready: .venv/%/.ready:
	rm -rf $(@D)
	mkdir -p $(@D)
	cp -r tests/live/$*/* $(@D)
	cd $(@D) && npm ci --no-audit --no-fund --silent
	touch $@

.venv/browser/.ready: tests/live/browser/package-lock.json $(shell find tests/live/browser -name '*.mjs')
.venv/twilio/.ready: tests/live/twilio/package-lock.json tests/live/twilio/documents.mjs

# What only the tests with a browser and with Node need; without it they say that they were not run.
browser:
	@scripts/deps chromium $(if $(shell command -v npm),,nodejs npm) || echo "Chromium could not be installed."
	@$(MAKE) --no-print-directory .venv/browser/.ready || echo "The telephone in a browser could not be installed."
	@$(MAKE) --no-print-directory .venv/twilio/.ready || echo "Twilio's library for Node could not be installed."

# Other people's telephones and their attackers: pjsua2, linphone, sipvicious. Without them their tests say that they were
# not run.
phones:
	@scripts/deps linphone-cli || echo "linphone could not be installed."
	@$(MAKE) --no-print-directory .venv/phones/.ready || echo "pjsua2 and sipvicious could not be installed."

# Other people's agents: Pipecat. Without it its test says that it was not run.
agents:
	@$(MAKE) --no-print-directory .venv/pipecat/.ready || echo "Pipecat could not be installed."

test: deps voice browser phones agents ui-test .venv/test/.ready .venv/schemathesis/.ready .venv/kazoo/.ready
	$(CARGO) test --locked --lib --bins --test it $(patsubst tests/%.rs,--test %,$(wildcard tests/*.rs))
	CARGO=$(CARGO) scripts/live

bench: deps
	$(CARGO) build --release --locked --bin swivel
	$(CARGO) bench --locked --bench packet_path
	$(CARGO) bench --locked --bench rtp_floor
	$(CARGO) bench --locked --bench relay
	$(CARGO) bench --locked --bench conference
	$(CARGO) bench --locked --bench api
	$(CARGO) bench --locked --bench beside
	$(CARGO) bench --locked --bench calls
	$(CARGO) bench --locked --bench application

# The same tests at full length, one after the other.
soak: deps voice browser phones agents ui .venv/test/.ready .venv/schemathesis/.ready .venv/kazoo/.ready
	SWIVEL_TEST_TIER=soak SWIVEL_FUZZ_SECONDS=1800 SWIVEL_CRASH_ROUNDS=500 \
		$(CARGO) test --release --locked -- --include-ignored --test-threads 1

lint: deps
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- --deny warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check; else echo "cargo-deny is not installed: licences and advisories were not checked"; fi

fmt:
	$(CARGO) fmt
