# Everything from a fresh checkout: each target sets up what it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup build run test lint format bench matrix repeat guest mutants mutation-test coverage durations api fidelity-live clean

# Options for the tester, e.g. make run ARGS="client --machine microvm"
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: node_modules/.package-lock.json ## install what is missing: npm packages from the lock file, QEMU from the distribution
	@sh scripts/install-qemu.sh

node_modules/.package-lock.json: package-lock.json
	@sh scripts/check-node.sh
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

build: setup ## compile to dist/
	@npm run --silent build

run: build ## run the main job against the distribution's QEMU; options in ARGS="..."
	@node dist/cli/main.js run $(ARGS)

test: build lint ## lint, types, unit tests, tests with a real QEMU, a real guest and a real browser
	@sh scripts/install-chromium.sh
	@sh scripts/install-guest.sh >/dev/null
	@npx vitest run

lint: node_modules/.package-lock.json ## formatter, linter, types, import rule
	@npm run --silent lint
	@npm run --silent typecheck

format: node_modules/.package-lock.json ## rewrite the sources in the house style
	@npm run --silent format

bench: build ## ratios: variants against bare QEMU life cycles, return to rings restarted
	@node scripts/bench.mjs

matrix: build ## the whole suite on QEMU 5.2, 7.2, 10.0 and Debian's newest, as one table; RELEASES="trixie sid" for some
	@node scripts/tool.mjs test/matrix/matrix.ts $(RELEASES) $(ARGS)

repeat: build ## full runs with cores and disk busy: the verdicts must not change; RUNS=n, QEMU="path...", options of run in ARGS="..."
	@node scripts/repeat.mjs --runs $(or $(RUNS),30) $(foreach q,$(QEMU),--qemu $(q)) -- $(ARGS)

guest: ## fetch a kernel of Debian's and busybox for a real guest, without installing them; prints their folder
	@sh scripts/install-guest.sh

mutants: setup ## build a QEMU from the distribution's source that has the defects of test/mutants; prints its path
	@node scripts/tool.mjs test/mutants/main.ts

mutation-test: build ## the suite against every defect of that QEMU, which it builds first: what caught each, and the score
	@qemu=$$(node scripts/tool.mjs test/mutants/main.ts) && node scripts/tool.mjs test/mutants/mutation-test.ts --qemu "$$qemu" $(ARGS)

coverage: setup ## docs/coverage.md; RUN=results.json MUTATION=results.json take over what these measured
	@node scripts/tool.mjs test/coverage/coverage.ts $(if $(RUN),--run $(RUN)) $(if $(MUTATION),--mutation $(MUTATION))

durations: setup ## cases/durations.json, by which shards are balanced; RUN=folder of a run on a quiet machine
	@node scripts/tool.mjs test/shards/durations.ts $(RUN)

api: setup ## dist/api: what the library exports, with what each takes, gives and throws
	@npx typedoc --logLevel Warn

fidelity-live: setup ## as root: QEMU with a real OVS-DPDK and with the mock peer, compared; docs/fidelity.md says what it needs
	@node scripts/tool.mjs test/fidelity/live.ts

clean: ## remove what was built
	rm -rf dist node_modules/.cache
