PYTHON ?= python3
BIN := .venv/bin
# History in this folder, whatever shell started the command; the user's own setting wins.
export DAGSTER_HOME ?= $(CURDIR)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

ifneq ($(shell command -v uv),)
VENV := uv venv --quiet --clear --python $(PYTHON) .venv
INSTALL := uv pip install --quiet --python $(BIN)/python --no-deps
else
VENV := $(PYTHON) -m venv --clear .venv
INSTALL := $(BIN)/python -m pip install -qq --no-compile --no-deps
endif
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null || true

.PHONY: help setup setup-dev demo check load dev test test-all bench lint schema lock
help:             ## list the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: setup       ## load the events of the built-in sample API and show what came in
	@$(BIN)/python -m events_assets.demo

check: setup      ## try the configured API with a few requests
	@$(BIN)/events-assets check

load: setup       ## load and check the events of the configured API
	@PYTHONWARNINGS='ignore:Function `job_execute_command`' $(BIN)/dagster job execute -m events_assets.definitions -j events_job

PORT ?= 3000
dev: setup        ## open the Dagster UI on http://127.0.0.1:3000, or on the next free port
	@port=$$($(BIN)/python -c 'import socket; print(next(n for n in range($(PORT), 65536) if socket.socket().connect_ex(("127.0.0.1", n))))'); \
	[ $$port = $(PORT) ] || echo "Port $(PORT) is taken: the Dagster UI will be on http://127.0.0.1:$$port"; \
	PYTHONWARNINGS='ignore:Function `dev_command`' exec $(BIN)/dagster dev --host 127.0.0.1 --port $$port --workspace workspace.yaml

bench: setup-dev  ## compare with plain dlt and with the floor; options in ARGS: ARGS=--help
	@$(BIN)/python -m benchmarks $(ARGS)

schema: setup     ## write the JSON schema of .dlt/config.toml, and the notebook of docs/data.md
	@$(BIN)/python -m events_assets_tests.config_schema > docs/config.schema.json
	@$(BIN)/python -m events_assets_tests.notebook > docs/data.ipynb

test: setup-dev   ## run the tests that are quick
	@$(BIN)/python -m pytest -m "not slow"

test-all: setup-dev   ## run all tests
	@$(BIN)/python -m pytest

lint: setup-dev   ## check format, style, types and layers
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache --no-logo

setup: .venv/.complete   ## create .venv with what a load and the UI need
.venv/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("events_assets needs Python 3.11 or newer; this is %d.%d: set PYTHON=/path/to/python3" % sys.version_info[:2])'
	@echo "Setting up .venv (once; up to a minute) ..."
	@$(VENV)
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

setup-dev: .venv/.complete-dev   ## add what tests and linters need
.venv/.complete-dev: .venv/.complete requirements-dev.lock
	@echo "Adding what tests and linters need (once) ..."
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(COMPILE)
	@touch $@

PIN := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml
lock:             ## pin the newest versions that pyproject.toml admits (needs uv)
	$(PIN) --upgrade --extra setup -o requirements.lock
	$(PIN) --upgrade deploy/requirements.in --extra postgres -c requirements.lock -o deploy/requirements.lock \
	  $$(sed -n '/;/!s/==.*//p' requirements.lock | sort -u | sed 's/^/--no-emit-package /')
	$(PIN) --upgrade --extra dev -c requirements.lock -c deploy/requirements.lock -o requirements-dev.lock \
	  $$(sed -n '/;/!s/==.*//p' requirements.lock | sort -u | sed 's/^/--no-emit-package /')
	$(PIN) --upgrade --resolution lowest-direct --extra embedded-elt --extra test -o requirements-oldest.lock
