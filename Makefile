# `make help` lists what there is. Everything that make installs goes into .venv in this folder.

STUDY ?= studies/quick.toml
# The first Python that is new enough; `make PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: help study test clean
.DEFAULT_GOAL := help

help:
	@echo "make study                         install, get MNIST, run $(STUDY), write the report"
	@echo "make study STUDY=studies/desk.toml the same with another study"
	@echo "make test                          install and check everything: linters, types, tests"
	@echo "make clean                         remove the environment and caches, not results or data"

study: .venv/.installed
	@$(BIN)/lowroad run $(STUDY)

# pytest comes last, so that the last line is its summary; two processes of one thread each.
test: .venv/.installed-for-tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --doctest-modules src
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf build dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# venv makes pip last: an environment without it is half made.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "lowroad needs Python 3.11 or newer and found none." \
		"Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lowroad needs Python 3.11" \
		" or newer, but $(PYTHON) is %d.%d. Name another: make PYTHON=/path/to/python3.11" \
		% sys.version_info[:2])'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e .
	@touch $@

.venv/.installed-for-tests: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e ".[dev]"
	@touch .venv/.installed $@
