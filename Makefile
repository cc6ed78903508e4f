# Each target sets up what it needs. A fresh machine has Python 3.11 or later, git and make.
.DEFAULT_GOAL := help
.PHONY: help setup repro demo-long demo-gpu test test-fast test-avx2 test-long test-demo lint deps ui bench clean

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
BIN := .venv/bin
STAMP := .venv/.installed
RAY := .venv/.ray_installed

export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Spinning OpenMP threads on a busy machine can cost tens of times the work itself.
export OMP_WAIT_POLICY ?= PASSIVE

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no python3 found → install Python 3.11 or later"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11 → make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing into .venv (once; a few minutes, about 7 GB with the CUDA libraries of PyTorch) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "error: could not make .venv → install your system's python3-venv package"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

setup: $(STAMP) ## install everything into .venv

repro: setup ## run the pipeline on the demo corpus (and on whatever lies in datasets/inbox)
	@mkdir -p datasets/inbox
	@aiprod doctor --before-run
	@dvc repro $(REPRO_ARGS)
	@aiprod where

demo-long: setup ## train the demo world for longer: meant for up to an hour of two CPU cores
	@aiprod params use params/demo-long.yaml
	@$(MAKE) --no-print-directory repro

demo-gpu: setup ## train the demo world at 128 to 256 pixels on a GPU
	@aiprod params use params/demo-gpu.yaml
	@$(MAKE) --no-print-directory repro

test: setup ## run all tests with coverage
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov=aiprod --cov=pipeline --cov-report=term:skip-covered --cov-fail-under=85

test-fast: setup ## run the tests that take seconds
	@python -m pytest -n 2 -m "not slow and not long"

test-avx2: setup ## run the tests that compare floats to the bit as a processor without AVX-512 computes
	@ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 python -m pytest -n 2 -m "bitwise and not long"

$(RAY): $(STAMP)
	@echo "Installing Ray for the tests of a cluster (once; about 70 MB) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,ray]'
	@touch $(RAY)

test-long: setup $(RAY) ## run the tests that take minutes: fuzzed films, a Ray cluster
	@python -m pytest -m long --timeout 3000

test-demo: setup ## look at what `make repro` made
	@python -m pytest tests/end_to_end/test_demo_outputs.py

lint: setup ## style, types, import direction, and the code dependencies in dvc.yaml
	@ruff check src pipeline tests
	@mypy
	@lint-imports --no-cache
	@python -m pipeline.closure --check

deps: setup ## rewrite the code dependencies in dvc.yaml after adding or removing an import
	@python -m pipeline.closure --write

ui: setup ## open the experiment tracker on this machine, at the address it prints
	@aiprod ui

bench: setup ## time our parts against peers and plain decoding, as ratios (what is not beside this checkout is skipped)
	@python -m tests.bench

clean: ## remove outputs and the environment (keeps datasets/inbox and the state folder .aiprod)
	rm -rf .venv datasets/v1 models reports .pytest_cache .mypy_cache .ruff_cache htmlcov
