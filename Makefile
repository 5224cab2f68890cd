# Everything that a fresh machine needs is Python 3.11 or newer, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -n 4 --dist worksteal --durations 25 --disable-plugin-autoload -p xdist -p timeout -p hypothesispytest

.DEFAULT_GOAL := help
.PHONY: help run up test suite browser bytecode check fix docs bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

$(READY): pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	grep -v '^#' requirements.txt | xargs -n 20 -P 3 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps
	$(BIN)/python -m pip check
	$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib # on all cores; pip would take one
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) bytecode ## the demo: learn how to run the tests of a real library, in about two minutes
	$(BIN)/steersman demo

up: $(READY) ## the service with its dashboard, on this machine alone
	$(BIN)/steersman up

test: ## the checks and the whole test suite, side by side: types are checked on one core alone
	$(MAKE) --jobs 3 check suite

suite: browser bytecode
	-@PYTHONDONTWRITEBYTECODE= $(PYTEST) -n 0 --collect-only -qq >/dev/null # compiles the tests, once for all workers
	$(PYTEST) -m "not long"

bytecode: $(READY) # each start of the command line would compile everything where Python may not write byte code by itself
	$(BIN)/python -m compileall -q src

browser: # tests of pages need a Chromium: found, or installed where that is allowed
	@for each in "$$STEERSMAN_CHROMIUM" chromium chromium-browser google-chrome; do command -v "$$each" >/dev/null && exit 0; done; \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| echo "No Chromium here: the tests of the pages will not run. Install one, or name it in STEERSMAN_CHROMIUM."

check: $(READY) ## format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY) ## format, and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## the tests of the documentation alone
	$(BIN)/python -m pytest tests/docs

bench: $(READY) ## the longest tests, and every published number: takes about an hour
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(PYTEST) -m long
	BIN=$(BIN) bash benchmarks/all.sh

clean: ## remove what the other targets made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -prune -exec rm -rf {} +
