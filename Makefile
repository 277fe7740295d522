# Everything from a fresh checkout: each target sets up what it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup build run test lint format bench repeat clean

# Options for the tester, e.g. make run ARGS="client --machine microvm"
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

test: build lint ## lint, types, unit tests, tests with a real QEMU
	@npx vitest run

lint: node_modules/.package-lock.json ## formatter, linter, types, import rule
	@npm run --silent lint
	@npm run --silent typecheck

format: node_modules/.package-lock.json ## rewrite the sources in the house style
	@npm run --silent format

bench: build ## ratios: variants against bare QEMU life cycles, return to rings restarted
	@node scripts/bench.mjs

repeat: build ## 30 full runs on a loaded machine: the verdicts must not change; RUNS=n for another number
	@node scripts/repeat.mjs $(RUNS)

clean: ## remove what was built
	rm -rf dist node_modules/.cache
