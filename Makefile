PYTHON ?= python3
BIN := .venv/bin
# History in this folder, whatever shell started the command; the user's own setting wins.
export DAGSTER_HOME ?= $(CURDIR)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup demo check load test dev bench lint lock
help:           ## list the commands
	@grep -E '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 10

demo: setup     ## load the events of the built-in sample API and show what came in
	@$(BIN)/python -m events_assets.demo

test: setup     ## run all tests
	@$(BIN)/python -m pytest

check: setup    ## try the configured API with a few requests
	@$(BIN)/events-assets check

load: setup     ## load and check the events of the configured API
	@$(BIN)/dg launch --job events_job

dev: setup      ## open the Dagster UI on http://127.0.0.1:3000
	@PYTHONWARNINGS='ignore:Function `dev_command`' $(BIN)/dagster dev --host 127.0.0.1 --workspace workspace.yaml

bench: setup    ## compare with plain dlt and with the floor; options in ARGS: ARGS=--help
	@$(BIN)/python -m benchmarks $(ARGS)

lint: setup     ## check format, style and types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

setup: .venv/.complete   ## create .venv with the pinned dependencies
.venv/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("events_assets needs Python 3.11 or newer; this is %d.%d: set PYTHON=/path/to/python3" % sys.version_info[:2])'
	@echo "Setting up .venv (once; a minute or two) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install -qq --no-compile --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true
	@touch $@

lock:           ## pin the newest versions that pyproject.toml admits (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --resolution lowest-direct --extra embedded-elt --extra test pyproject.toml -o requirements-oldest.lock
