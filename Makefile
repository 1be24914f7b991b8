# `make help` names the targets. Each works again at once when run twice; only test-slurm needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONPATH :=
# hundreds of processes would each compile the package anew where a caller's environment has them keep nothing
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help coverage env demo demo-into reproduce lint test test-unit test-workflow test-browser test-containers test-second test-slurm test-faults soak benchmark audit lock docs settings

help:
	@echo "make env    set up .venv from requirements.lock"
	@echo "make demo   the whole pipeline on a small synthetic shale, in minutes on two CPU cores"
	@echo "make reproduce   the demo twice: are weights, volumes and tables the same to the byte?"
	@echo "make test   lint, types, unit tests and the workflow's tests"
	@echo "make test-browser   the report in a headless Chromium; as root on Debian it installs what it needs"
	@echo "make test-second   compare metrics with PoreSpy and torchmetrics, which it installs (1 GB)"
	@echo "make test-containers   build the Apptainer image and run the workflow in it: as root on Debian, minutes and gigabytes"
	@echo "make test-slurm   the pipeline on a SLURM cluster of three nodes, set up on this machine: as root, with apt-get"
	@echo "make test-faults   kill -9, full disks, missing permissions, damaged files: all cases; make test runs a few of them"
	@echo "make soak   train, predict and measure in one process for MINUTES=60: do memory, files, threads and disk stay flat?"
	@echo "make benchmark   speed and memory against the programs that PUBLISHED, JACOBIAN and RIVALS name (benchmarks/README.md)"
	@echo "make lint   the first two of these alone"
	@echo "make coverage   which lines and branches of the package the unit tests run: build/coverage"
	@echo "make docs   the documentation as a site in build/site; a broken link is an error"
	@echo "make settings   generate the tables of config/README.md and config/schema.json from the settings in the code"
	@echo "make audit  check the locked and the lowest allowed versions against known vulnerabilities (needs a network)"
	@echo "make lock   renew requirements.lock with the newest versions that pyproject.toml allows"

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older. Run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# networks as small as the demo's: two jobs of one thread are faster than one of two
DEMO_THREADS := --set-threads train_model=1 predict_test=1 predict_volume=1 predict_sample=1
DEMO := snakemake --configfile config/demo.yaml --cores 2 --resources gpu=2 $(DEMO_THREADS) --quiet rules
# the longest training at first: what waits for it would be all that is left at the end
FLOW := demo/models/flow/seed0/model.json

demo: $(STAMP)
	$(DEMO) --prioritize results/$(FLOW)
	@echo "Done. Open $(CURDIR)/results/report.html in a browser."

# run the demo again beside the existing one, and compare both
reproduce: demo
	rm -rf build/again
	$(MAKE) demo-into RESULTS=build/again
	txm2sem compare results build/again

# for targets that run the demo beside the existing one
demo-into: $(STAMP)
	$(DEMO) --config results_dir=$(or $(RESULTS),$(error RESULTS must name a folder)) --prioritize $(RESULTS)/$(FLOW)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "Done. Open $(CURDIR)/build/site/index.html in a browser."

settings: $(STAMP)
	python -m txm2sem_core.config.tables config

lint: $(STAMP)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	mypy
	snakemake --lint

TEST := pytest --ignore=tests/browser --ignore=tests/slurm --ignore=tests/containers
# a file's tests in one process: else both wait for the run, or make the models, that these share
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
test: lint
	$(TEST) $(PARALLEL) --junitxml=.pytest-results.xml

# for the CI: what failed (exit code 1) is tried once more, alone, since some tests go by the clock of a busy machine
test-twice: lint
	rm -f .pytest-results-again.xml
	$(TEST) $(PARALLEL) --junitxml=.pytest-results.xml || \
	  { [ $$? = 1 ] && $(TEST) -n 0 --last-failed --junitxml=.pytest-results-again.xml; }

# two parts of it, side by side in the CI
test-unit: $(STAMP)
	pytest $(PARALLEL) --ignore=tests/browser --ignore=tests/slurm --ignore=tests/workflow

test-workflow: $(STAMP)
	pytest $(PARALLEL) tests/workflow

# of the unit tests in their own processes: what only a command or a job of a test runs counts as not covered
coverage: $(STAMP)
	pytest $(PARALLEL) -q --cov --cov-report=term --cov-report=html:build/coverage --ignore=tests/browser --ignore=tests/slurm \
	  --ignore=tests/workflow --ignore=tests/faults

# PoreSpy needs a gigabyte of packages: they are in an environment of their own, which can import ours
# bioimageio.core, which tests exported models, needs an older pydantic than ours: it has one too
SECOND := $(VENV)/second
# so do ome-zarr-models, ome-zarr and napari, which look at our volumes; napari needs a screen: Xvfb, or it is skipped
ZOO := $(VENV)/zoo
VIEWERS := $(VENV)/viewers
test-second: $(STAMP)
	@test -x $(SECOND)/bin/python || { $(PYTHON) -m venv $(SECOND) && \
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(SECOND)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth; }
	$(SECOND)/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock \
	  $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["second"])')
	@test -x $(ZOO)/bin/python || { $(PYTHON) -m venv $(ZOO) && \
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(ZOO)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth; }
	$(ZOO)/bin/python -m pip install --quiet --disable-pip-version-check bioimageio.core==0.11.0 'pydantic<2.13' onnxruntime
	@test -x $(VIEWERS)/bin/python || { $(PYTHON) -m venv $(VIEWERS) && \
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(VIEWERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_ours.pth; }
	$(VIEWERS)/bin/python -m pip install --quiet --disable-pip-version-check ome-zarr-models==1.7 ome-zarr==0.18.0 napari==0.9.2 PyQt6
	TXM2SEM_ZOO_PYTHON=$(ZOO)/bin/python TXM2SEM_VIEWERS_PYTHON=$(VIEWERS)/bin/python $(SECOND)/bin/python -m pytest -n 0 \
	  tests/exact/test_second_libraries.py tests/exact/test_second_export.py tests/exact/test_second_viewers.py \
	  tests/exact/test_second_arrays.py tests/exact/test_second_napari.py tests/exact/test_rock.py -k "second or porespy"

# the memory of every rule's jobs beside what they reserve, on phantoms of three sizes: minutes
test-scale: $(STAMP)
	python benchmarks/scale/run.py build/scale --sizes small

test-browser: $(STAMP)
	tests/browser/prepare $(VENV)
	pytest -n 0 tests/browser

# what it made stays in build/containers, and is used again
test-containers: $(STAMP)
	tests/containers/prepare build/containers
	TXM2SEM_TEST_CONTAINERS=build/containers pytest -n 0 tests/containers

# every fault: kills during the whole pipeline, full disks, missing permissions, damaged files, a continuous reader
test-faults: $(STAMP)
	TXM2SEM_FAULTS=all pytest -n 0 tests/faults -s --junitxml=.pytest-results-faults.xml

# -s: shows progress while it runs; where no cluster can be set up the test is skipped, and says why
test-slurm: $(STAMP)
	TXM2SEM_TEST_SLURM=1 pytest tests/slurm -s --timeout 1800 --junitxml=.pytest-results-slurm.xml

# OUTPUT: a new folder for its table, curve and verdict; build/ is not committed
MINUTES ?= 60
OUTPUT ?= build/soak-$(shell date +%Y%m%d-%H%M%S)
soak: $(STAMP)
	OMP_NUM_THREADS=1 python benchmarks/soak.py --minutes $(MINUTES) --output $(OUTPUT)

# other programs are never part of this repository: those that are not named are left out
PUBLISHED ?= nowhere
JACOBIAN ?= nowhere
RIVALS ?= nowhere
benchmark: $(STAMP)
	python benchmarks/run.py --published $(abspath $(PUBLISHED)) --jacobian $(abspath $(JACOBIAN)) --rivals $(RIVALS) \
	  $(if $(QUICK),--quick) $(BENCHMARK_OPTIONS)

# An environment of its own, to keep the audit's packages apart from ours. Exit code 1: a vulnerability is known.
AUDIT := $(VENV)/audit
audit: $(STAMP)
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; } || true
	@$(BIN)/python .ci/audit.py $(AUDIT)/bin/pip-audit requirements.lock pyproject.toml

# One lock for CPU and GPU: torch's local version (+cpu) and the CUDA packages that its GPU build pulls in are left out.
lock:
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv $$folder/venv && \
	$$folder/venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 '.[workflow,slurm,tensorboard,docs,dev]' && \
	$$folder/venv/bin/python -m pip freeze --exclude txm2sem > $$folder/freeze && \
	{ head -n 1 requirements.lock; grep -viE '^(nvidia|cuda|triton)' $$folder/freeze | sed 's/+.*//'; } > $$folder/lock && \
	cp $$folder/lock requirements.lock
