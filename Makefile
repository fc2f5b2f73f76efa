# What developers run. Python's environment is .venv; `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
# Without compiled modules, each process of tests compiles all of them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test fast lint matrix screenshots bench docs
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

.venv: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[test]'
	@touch .venv

test: .venv ## run all tests, on real servers
	$(BIN)/pytest

fast: .venv ## run the tests that need no server, no process and no dashboard, with fewer random examples
	$(BIN)/pytest -q -p no:logging -p no:doctest -p no:junitxml -p no:cacheprovider --without-processes --ignore=tests/tui --ignore=tests/screenshots/test_pictures.py

lint: .venv ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

MAJORS ?= 13 14 15 16 17 18
matrix: .venv ## run the tests that need a server on other PostgreSQLs: make matrix MAJORS="13 18"
	$(BIN)/python -m tests.matrix $(MAJORS)

screenshots: .venv ## draw the pictures and fill in README from the recording, and list the queries
	$(BIN)/python -m screenshots

BENCH ?= locks.poll
bench: .venv ## run a benchmark of tests/benchmarks: make bench BENCH=hygiene.sweep
	$(BIN)/python -m tests.benchmarks.$(BENCH)

docs: .venv ## write the pages that are made of the code, and build the site into site/, links checked
	$(BIN)/python -m screenshots --queries --reference
	$(BIN)/pip install -q -e '.[docs]'
	$(BIN)/zensical build --strict --clean
	$(BIN)/python .ci/check_site.py site
