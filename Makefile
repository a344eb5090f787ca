# Every target sets up what it needs. PYTHON=/path/to/python3.11 chooses the interpreter of a fresh environment.
.DEFAULT_GOAL := help
.PHONY: help up test check lock clean environment bench bench-engine simulate-diagrams mutate-uploads conformance
.PHONY: torture simulate
.NOTPARALLEL:

BIN := .venv/bin
# Two at a time: the browser and the servers under test need room as well.
PYTEST_ARGS ?= -n 2

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-17s %s\n' "$$name" "$$text"; done

up: environment ## everything in the foreground: database, gateway sandbox, web, workers; Ctrl-C stops all
	@$(BIN)/python -m app.cli up

test: environment ## the whole suite, on a real PostgreSQL, a real Redis and a real browser
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: environment ## lint, format, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports

bench: environment ## the whole system beside pgbench, SpiffWorkflow, RQ and DBOS; also written to var/bench.json
	@$(BIN)/python -m bench.system $(if $(ROUNDS),ROUNDS=$(ROUNDS))

bench-engine: environment ## what expressions, instances and retries cost, beside SpiffWorkflow as it comes
	@$(BIN)/python -m bench.engine

simulate-diagrams: environment ## random diagrams stopped after every step; COUNT=5000 SEED=1
	@$(BIN)/python -m bench.diagrams COUNT=$(or $(COUNT),5000) $(if $(SEED),SEED=$(SEED))

mutate-uploads: environment ## broken files through the gate; COUNT=100000 SEED=1
	@$(BIN)/python -m bench.uploads COUNT=$(or $(COUNT),100000) $(if $(SEED),SEED=$(SEED))

torture: environment ## a real stack under traffic and kill -9; KILLS=1000 PAYMENTS=10000 SEED=1 WORKERS=3 BREAK=fresh-keys|no-write-ahead|hasty-failover, REDIS=1
	@$(BIN)/python -m proof.torture $(foreach name,KILLS PAYMENTS SEED WORKERS BREAK,$(if $($(name)),$(name)=$($(name))))

# Sets of texts have their order from the hash seed, and a history must be the same for the same SEED.
simulate: environment ## the whole system in one thread with made-up time and faults; PAYMENTS=2000 SEED=1 PROCESSES=2 BREAK=...
	@PYTHONHASHSEED=0 $(BIN)/python -m proof.simulation $(foreach name,PAYMENTS SEED PROCESSES BREAK,$(if $($(name)),$(name)=$($(name))))

conformance: environment ## renew docs/conformance.md and docs/other-tools.md
	@$(BIN)/python -m tests.conformance

lock: environment ## renew requirements.lock from pyproject.toml
	@$(BIN)/python -m venv --clear build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check pip-tools
	@# pip-compile forgets the markers of what extras ask for, unless it is told of them a second time.
	@$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
		print(*(one for extra in extras.values() for one in extra if ";" in one), sep="\n")' > build/lock/markers.in
	@build/lock/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --all-extras --strip-extras \
		--no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
		--output-file requirements.lock pyproject.toml build/lock/markers.in

clean: ## remove what was installed or built; data in var/ stays
	rm -rf .venv .browser build app/console/static/dist app/console/frontend/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@sh tools/environment.sh
