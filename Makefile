# `make` sets everything up, measures, and draws; `make help` tells the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# the Python of the environment; empty: the newest here for which the pinned versions have wheels
PYTHON ?=
VENV ?= .venv
EXTRAS := torch,jax,bench,peers,workflow,slurm,report,test,lint,docs
CORES ?= all
# smoke, cpu, gpu or paper; empty: gpu where there is an NVIDIA GPU, else cpu
PRESET ?=
POINTS ?= 500
CASES ?= 500
# what `make test` runs, and where `make smoke` works
TESTS ?= tests
SMOKE ?= build/smoke

BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed
SETTINGS := $(if $(PRESET),preset=$(PRESET))
PYTEST := OMP_NUM_THREADS=1 PATH="$(BIN):$$PATH" $(BIN)/pytest --numprocesses auto --dist worksteal
SNAKEMAKE := PATH="$(BIN):$$PATH" $(BIN)/snakemake --cores $(CORES)

.PHONY: all setup figures paper report picture docs smoke test test-all reliability soak coverage fuzz lint format clean help

all: $(INSTALLED)  ## set up, measure with the preset that fits this machine, draw, and print a summary
	$(SNAKEMAKE) $(if $(SETTINGS),--config $(SETTINGS))

setup: $(INSTALLED)  ## only create the environment in .venv

figures: $(INSTALLED)  ## bring tables and figures up to date from what has been measured, without measuring
	$(SNAKEMAKE) --config measure=false $(SETTINGS)

paper: $(INSTALLED)  ## build paper/jetbench.pdf from what has been measured, without measuring; needs latexmk
	@command -v latexmk >/dev/null || { echo "latexmk is not installed; docs/install.md names the packages." >&2; exit 1; }
	$(SNAKEMAKE) paper --config measure=false $(SETTINGS)

report: $(INSTALLED)  ## write report.html, one file with everything that opens without network, without measuring
	$(SNAKEMAKE) report.html --config measure=false $(SETTINGS)

picture: $(INSTALLED)  ## redraw figures and tables of the machines with committed records, and those of docs
	$(BIN)/jetbench report collect results --out results
	for machine in $$(git ls-files 'results/*/machine.json' | cut -d/ -f2); do \
		$(BIN)/jetbench report draw --machine $$machine; done
	$(BIN)/jetbench report page --machine epyc-2core --picture reproduction.png
	cp figures/epyc-2core/overview.png figures/epyc-2core/reproduction.png docs
	cp figures/epyc-2core/hilbert.png docs/vectors.png
	cp figures/h200/overview.png docs/h200.png

docs: $(INSTALLED)  ## build the documentation into build/docs, without network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

smoke: $(INSTALLED)  ## the whole workflow with tiny networks in build/smoke, in two minutes
	$(SNAKEMAKE) --directory $(SMOKE) --config preset=smoke

test: $(INSTALLED)  ## run the tests but the long ones; `make test TESTS=tests/torch` runs all of one folder or file
	$(PYTEST) $(if $(filter tests,$(TESTS)),-m "not long") $(TESTS)

test-all: $(INSTALLED)  ## run all tests, also those that take long: faults, clusters, packages, compilers
	$(PYTEST) tests

reliability: $(INSTALLED)  ## inject every fault that is known and write docs/reliability.md from what was seen
	rm -rf build/observations && mkdir -p build/observations
	JETBENCH_OBSERVATIONS=$(abspath build/observations) OMP_NUM_THREADS=1 \
		$(BIN)/pytest --numprocesses auto tests/faults
	$(BIN)/python tests/faults/reliability.py build/observations > build/reliability.md
	mv build/reliability.md docs/reliability.md

soak: $(INSTALLED)  ## 500 short points in one process: do memory and time per point grow? `make soak POINTS=60`
	$(BIN)/python .ci/soak.py $(POINTS)

coverage: $(INSTALLED)  ## run a list of functions through every method and write docs/coverage.*; half an hour
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m coverage_table --out docs

fuzz: $(INSTALLED)  ## random programs and random functions against right values; `make fuzz CASES=5000` runs more
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --cases $(CASES) --shrink
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz.collapse --cases $(CASES)

lint: $(INSTALLED)  ## check style and types: ruff, snakefmt and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflows/rules
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(INSTALLED)  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflows/rules

clean:  ## remove the environment and everything generated but the measurements
	rm -rf $(VENV) build .snakemake .jetbench .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## print this list
	@grep --extended-regexp --no-filename '^[a-z-]+:.*##' $(MAKEFILE_LIST) \
		| sed --regexp-extended 's/^([a-z]+):.*##\s*/  make \1|/' | column --table --separator '|'
	@echo "Variables: PRESET=smoke|cpu|gpu|paper  CORES=$(CORES)  PYTHON=python3.12  VENV=$(VENV)"

# Installing again only when the requirements change: a second `make` needs no network.
$(INSTALLED): pyproject.toml constraints.txt
	@for python in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do \
		$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		$$python -m venv $$([[ -x $(BIN)/$${python##*/} ]] || echo --clear) $(VENV); \
		if $(BIN)/python -m pip install --quiet --dry-run --only-binary :all: --no-deps --constraint constraints.txt \
			torch jaxlib numpy scipy pandas pyarrow matplotlib $(if $(PYTHON),|| true); then exit 0; fi; \
		echo "$$python lacks wheels of the pinned versions; trying an older one." >&2; \
	done; \
	echo "jetbench needs Python 3.11 or newer with the module venv; $(or $(PYTHON),python3) is" \
		"$$($(or $(PYTHON),python3) --version 2>&1 || echo missing). Name another one: make PYTHON=python3.12" >&2; exit 1
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@if nvidia-smi --list-gpus >/dev/null 2>&1; then \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpu]'; fi
	@touch $@
