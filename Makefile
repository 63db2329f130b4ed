# PYTHON chooses the Python, PORT the port of the demonstration; FRESH=1 tests against the newest packages.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
.PHONY: help demo test test-ops test-update bench fmt clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.tools ## Render a service, run it on PORT, show one request; ONCE=1 stops after that
	@PORT="$(PORT)" ONCE="$(ONCE)" $(BIN)/python hooks/demo.py

test: $(if $(FRESH),.venv/.fresh,.venv/.all) ## Check everything; FRESH=1 with the newest packages
	@$(BIN)/python hooks/checks.py

test-ops: .venv/.all ## Install, adopt, build, run and watch services with the real tools; installs Debian packages
	@$(BIN)/python hooks/ops.py

test-update: .venv/.all ## Update 300 generated histories of services; HISTORIES=n another number
	@UPDATE_HISTORIES=$(or $(HISTORIES),300) $(BIN)/pytest tests/update/test_histories.py -n 2 -q

bench: .venv/.all ## Measure against bare FastAPI; ONLY=instructions, CHECK=1 the gates, HISTORY=1 keeps the run
	@$(BIN)/python tests/bench $(ONLY:%=--only %) $(if $(CHECK),--check) $(if $(HISTORY),--history)

fmt: .venv/.all ## Format and repair what can be repaired
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .

clean: ## Remove what the targets made
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

.venv/.tools: hooks/environment.py constraints.txt
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "There is no $(PYTHON): install Python 3.11 or later, or name one with make PYTHON=python3.12"; exit 1; }
	@echo "Preparing .venv ..."
	@"$(PYTHON)" hooks/environment.py tools
	@touch $@

.venv/.all: .venv/.tools pyproject.toml template/chassis/pyproject.toml
	@echo "Installing what the tests need ..."
	@"$(PYTHON)" hooks/environment.py all
	@touch $@

.PHONY: .venv/.fresh
.venv/.fresh:
	@echo "Installing the newest packages ..."
	@"$(PYTHON)" hooks/environment.py all --fresh
	@rm -f .venv/.tools .venv/.all
