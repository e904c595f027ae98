# pinfunnel: every target sets up what it needs (.venv) and can run again at no cost. Needs bash, Python 3.11 to 3.13 and pip.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
EXTRA_VENV := .venv-xgboost-ray
MLFLOW_VENV := .venv-mlflow
export PYTHON
ALONE := tests/architecture tests/edges tests/extra tests/hosts tests/unit
ON_RAY := tests/integration
OVER_HTTP := tests/e2e
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo serve docs test test-faults test-cluster fuzz check audit hooks format bench test-mlflow test-xgboost-ray clean

help: ## this list
	@echo "pinfunnel: a recommendation funnel on Ray. First steps: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Settings: PYTHON=python3.12 (interpreter), ARGS='...' (passed on), PINFUNNEL_DATA=folder (real data for tests)"

setup: ## make .venv with the exact versions of constraints.txt (again only when something changed)
	@.ci/venv $(VENV) constraints.txt '.[dev]'

demo: setup ## watch the funnel build, serve, log, train and improve; ends by itself with a table
	@$(BIN)/pinfunnel demo $(ARGS)

serve: setup ## keep the server up; prints URLs and a curl line (Ctrl-C ends it)
	@$(BIN)/pinfunnel serve $(ARGS)

docs: setup ## write the generated pages of docs/reference, check every link, and build the site into build/site
	@$(BIN)/python -m apps.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	echo "docs: build/site/index.html; with search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

test: setup ## all tests, with a floor under line coverage; ARGS='tests/unit -k walk' picks some
	@$(if $(ARGS),exec $(BIN)/python -m pytest $(ARGS))
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report= --cov-fail-under=0 $(ALONE)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-append --cov-report=term:skip-covered $(ON_RAY)
	$(BIN)/python -m pytest $(OVER_HTTP) # in turn: a server needs the cores

test-faults: setup ## break a server under load in every way that is known (begins none after 15 minutes); ARGS='--short' for a few
	@$(BIN)/python -c 'import libfaketime' 2>/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt libfaketime ||
		echo "no libfaketime (it needs a C compiler): steps of the clock are skipped"
	$(BIN)/pinfunnel faults $(ARGS)

test-cluster: setup ## `ray up` with three machines in namespaces, and docs/cluster.md line by line (as root; some minutes); HOSTS=all for more
	@PINFUNNEL_HOSTS=$(or $(HOSTS),1) $(BIN)/python -m pytest -s -rs tests/hosts $(ARGS)

fuzz: setup ## try TIMES=25 times as many random requests, events, tables and files as a test run (some minutes)
	@PINFUNNEL_FUZZ=$(or $(TIMES),25) $(BIN)/python -m pytest -m fuzz --hypothesis-show-statistics tests/edges tests/unit $(ARGS)

check: setup ## ruff, spelling, mypy --strict, bandit, and the imports' direction
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --severity-level medium apps cluster serving training
	$(BIN)/lint-imports

audit: setup ## known weaknesses of the packages in constraints.txt (asks PyPI's advisory service)
	@$(BIN)/python -m pip install --quiet pip-audit
	@$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip $(ARGS) || { \
		echo "audit: a package has a known weakness, or could not be looked up (the line above says which);"; \
		echo "audit: behind a mirror or without a network nothing is known: run it where pypi.org is reached"; exit 1; }

hooks: setup ## run the checks of .pre-commit-config.yaml at every git commit from now on
	@$(BIN)/pre-commit install

format: setup ## let ruff format and fix what it can
	@$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## run the benchmarks (docs/benchmarks.md); ARGS='walk --json out.json' picks one
	@$(BIN)/pinfunnel bench $(ARGS)

test-mlflow: setup ## the extra pinfunnel[mlflow] against a real tracking server, which has an environment of its own
	@.ci/venv $(MLFLOW_VENV) constraints-mlflow.txt --alone
	PINFUNNEL_MLFLOW="$$PWD/$(MLFLOW_VENV)/bin/mlflow" $(BIN)/python -m pytest tests/extra/test_mlflow.py $(ARGS)

test-xgboost-ray: setup ## the extra pinfunnel[xgboost-ray], in an environment of its own; models load in both
	@.ci/venv $(EXTRA_VENV) constraints-xgboost-ray.txt --listed
	export PINFUNNEL_MODELS="$$PWD/build/models-of-both"
	rm -rf "$$PINFUNNEL_MODELS"
	$(BIN)/python -m tests.extra.models_of_both "$$PINFUNNEL_MODELS"
	$(EXTRA_VENV)/bin/python -m pytest tests/extra/test_xgboost_ray.py $(ARGS)
	$(BIN)/python -m tests.extra.models_of_both "$$PINFUNNEL_MODELS" --check 2.0.

clean: ## remove environments and caches (never your data, nor pinfunnel-home)
	@rm -rf $(VENV) $(EXTRA_VENV) $(MLFLOW_VENV) build *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find apps cluster serving tests training -name __pycache__ -type d -prune -exec rm -rf {} +
