# `make` sets everything up, measures, and draws; `make help` tells the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

PYTHON ?= python3
VENV ?= .venv
EXTRAS := torch,jax,bench,peers,workflow,slurm,report,test,lint
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
SNAKEMAKE := PATH="$(BIN):$$PATH" $(BIN)/snakemake --cores $(CORES)

.PHONY: all setup figures paper report picture smoke test reliability soak coverage fuzz lint format clean help

all: $(INSTALLED)  ## set up, measure with the preset that fits this machine, draw, and print a summary
	$(SNAKEMAKE) $(if $(SETTINGS),--config $(SETTINGS))

setup: $(INSTALLED)  ## only create the environment in .venv

figures: $(INSTALLED)  ## bring tables and figures up to date from what has been measured, without measuring
	$(SNAKEMAKE) --config measure=false $(SETTINGS)

paper: $(INSTALLED)  ## build paper/jetbench.pdf from what has been measured, without measuring; needs latexmk
	@command -v latexmk >/dev/null || { echo "latexmk is not installed; README.md names the packages." >&2; exit 1; }
	$(SNAKEMAKE) paper --config measure=false $(SETTINGS)

report: $(INSTALLED)  ## write report.html, one file with everything that opens without network, without measuring
	$(SNAKEMAKE) report.html --config measure=false $(SETTINGS)

picture: $(INSTALLED)  ## draw the pictures of README.md and docs, and docs/reproduction.md, from the records in results
	$(BIN)/jetbench report collect results --out results
	$(BIN)/jetbench report figure overview --records results/records.parquet --machine epyc-2core --out docs/overview.png
	$(BIN)/jetbench report figure overview --records results/records.parquet --machine h200 --out docs/h200.png
	$(BIN)/jetbench report figure reproduction --records results/records.parquet --machine epyc-2core --out docs/reproduction.png
	$(BIN)/jetbench report page --records results/records.parquet --machine epyc-2core --picture reproduction.png
	$(BIN)/jetbench report figure hilbert --out docs/vectors.png

smoke: $(INSTALLED)  ## the whole workflow with tiny networks in build/smoke, in two minutes
	$(SNAKEMAKE) --directory $(SMOKE) --config preset=smoke

test: $(INSTALLED)  ## run all tests; `make test TESTS=tests/test_symbol.py` runs one file
	OMP_NUM_THREADS=1 PATH="$(BIN):$$PATH" $(BIN)/pytest --numprocesses auto --dist worksteal $(TESTS)

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

lint: $(INSTALLED)  ## check style: ruff and snakefmt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflows/rules

format: $(INSTALLED)  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflows/rules

clean:  ## remove the environment and everything generated but the measurements
	rm -rf $(VENV) build .snakemake .jetbench .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## print this list
	@grep --extended-regexp --no-filename '^[a-z]+:.*##' $(MAKEFILE_LIST) \
		| sed --regexp-extended 's/^([a-z]+):.*##\s*/  make \1|/' | column --table --separator '|'
	@echo "Variables: PRESET=smoke|cpu|gpu|paper  CORES=$(CORES)  PYTHON=$(PYTHON)  VENV=$(VENV)"

# Installing again only when the requirements change: a second `make` needs no network.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "jetbench needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)." \
			"Name another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@if nvidia-smi --list-gpus >/dev/null 2>&1; then \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpu]'; fi
	@touch $@
