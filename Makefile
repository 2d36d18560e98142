# Everything a newcomer or a machine needs; `make` alone says what there is.
SHELL := /bin/bash
BIN := node_modules/.bin
FLEETWIRE := npx --no-install fleetwire

.DEFAULT_GOAL := help
.PHONY: help setup up demo down test unit lint tidy gen bench

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: npm packages, nats-server, tmux
	@bash deploy/setup.sh

up: setup ## Start the fabric and two nodes with an agent each, and keep serving
	@$(FLEETWIRE) up --demo

demo: setup ## The same in a folder of its own, then end everything; fails loudly
	@$(FLEETWIRE) demo

down: ## End what `make up` started
	@$(FLEETWIRE) down --programs

test: setup ## All tests, linters and checks
	@bash deploy/setup-compat.sh
	@npm run -s test

unit: setup ## The fast tests only
	@npm run -s test -- unit

lint: setup ## Linters, formatter and type check
	@npm run -s lint

tidy: setup ## The checks of the source tree itself
	@npm run -s test -- tidy

gen: setup ## Make the generated code and reference pages anew
	@npm run -s gen

bench: setup ## Routed throughput and latency beside the raw limits
	@npm run -s bench -- routed
