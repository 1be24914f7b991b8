# make env: set up .venv; make demo: the whole road in minutes; make test: every check that needs no server.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONPATH :=

.PHONY: env demo test lint clean-env

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older. Run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# networks as small as the demo's: two jobs of one thread are faster than one of two
DEMO_THREADS := --set-threads train_model=1 predict_test=1 predict_volume=1

demo: $(STAMP)
	snakemake --configfile config/demo.yaml --cores 2 --resources gpu=2 $(DEMO_THREADS) --quiet rules
	@echo "Done. Open $(CURDIR)/results/report.html in a browser."

lint: $(STAMP)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	mypy
	snakemake --lint

test: lint
	pytest -n 2
