# `make study` and `make test` set everything up themselves; they need Python 3.11 or later and git.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help study test test-all mutants coverage fuzz crash-test test-pythons wheel lint format bench docs clean

help:
	@echo "make study     set up, then run the main job: prune RBMs of the Ising chain (runs/study)"
	@echo "make test      set up, then run the tests"
	@echo "make test-all  the tests with the slow ones"
	@echo "make mutants   mutation tests of the numerical packages (an hour)"
	@echo "make coverage  line and branch coverage of the numerical packages"
	@echo "make crash-test  kill, interrupt or fail each stage, resume, compare (an hour)"
	@echo "make fuzz      read mutated files of every format: MUTATIONS of each, for at most SECONDS"
	@echo "make test-pythons  the tests under each supported Python that this machine has"
	@echo "make wheel     build the wheel, and check it in an environment of its own"
	@echo "make lint      ruff, mypy and the import contracts"
	@echo "make docs      the documentation into site/, from an environment of its own"
	@echo "make bench     compare speed with the peers, which get an environment of their own"

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

study: .venv/ready
	$(BIN)/psiprune study --out runs/study

# A process for each core, so BLAS gets one thread in each. A file's tests stay together, as they share
# what is costly to make, in the order of tests/conftest.py.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test: .venv/ready
	$(PYTEST)

test-all: .venv/ready
	$(PYTEST) -m ''

# MUTANTS=--again resumes an interrupted run; MUTANTS="--only 'rbm/*'" selects mutants.
mutants: .venv/ready
	OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m mutation --results mutants.jsonl $(MUTANTS)

coverage: .venv/ready
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

crash-test: .venv/ready
	$(BIN)/python scripts/crash_test.py $(CRASH_OPTIONS)

MUTATIONS ?= 10000
SECONDS ?= 36000

fuzz: .venv/ready
	$(BIN)/python tests/fuzz.py --mutations $(MUTATIONS) --seconds $(SECONDS)

test-pythons:
	scripts/test_pythons.sh

wheel: .venv/ready
	scripts/check_wheel.sh $(BIN)/python

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv-peers/ready: benchmarks/requirements-peers.txt benchmarks/requirements-qucumber.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements-peers.txt
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements-qucumber.txt
	touch $@

bench: .venv/ready .venv-peers/ready
	$(BIN)/python benchmarks/table.py

.venv-docs/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

clean:
	rm -rf .venv .venv-docs .venv-peers .venv-py* build site dist .pytest_cache .mypy_cache .ruff_cache
