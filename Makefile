# Each target sets up what it needs. A fresh machine has Python 3.11 or later, git and make.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev repro demo-long demo-gpu test test-fast test-avx2 test-long test-demo lint sbom advisories docs ui bench bench-compare clean

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
BIN := .venv/bin
STAMP := .venv/.installed
DEV := .venv/.dev_installed
RAY := .venv/.ray_installed
DOCS := .venv/.docs_installed

export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Images of Python often forbid the cache of compiled modules; a run's twenty processes would compile the same files each.
unexport PYTHONDONTWRITEBYTECODE
# Downloads show their progress to a person; a log is kept short.
PIP_PROGRESS := $(if $(CI),--quiet)
# Spinning OpenMP threads on a busy machine can cost tens of times the work itself.
export OMP_WAIT_POLICY ?= PASSIVE
# Processes that run tests: one more than the smallest machine has cores, since many tests wait for a process of their own.
WORKERS ?= 3

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no python3 found → install Python 3.11 or later"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11 → make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing what the pipeline runs on into .venv, once: PyTorch with its CUDA libraries takes 4.5 of about 6.3 GB …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "error: could not make .venv → install your system's python3-venv package"; exit 2; }
	@$(BIN)/python -m pip install $(PIP_PROGRESS) --disable-pip-version-check -c constraints.txt -e '.[train]'
	@touch $(STAMP)

setup: $(STAMP) ## install what the pipeline runs on into .venv

$(DEV): $(STAMP)
	@echo "Installing the tools for tests and checks, and every optional part that is tested (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(DEV)

setup-dev: $(DEV) ## install what tests and checks need, too

repro: setup ## run the pipeline on the demo corpus and the films in datasets/inbox
	@mkdir -p datasets/inbox
	@aiprod doctor --before-run
	@test -d models || test -n "$(REPRO_ARGS)" || python -m pipeline.side_by_side
	@dvc repro $(REPRO_ARGS)
	@aiprod summary --where

demo-long: setup ## train the demo for longer: up to an hour on two CPU cores
	@aiprod params use params/demo-long.yaml
	@$(MAKE) --no-print-directory repro

demo-gpu: setup ## train the demo at 128 to 256 pixels on a GPU
	@aiprod params use params/demo-gpu.yaml
	@$(MAKE) --no-print-directory repro

# Tracing takes over a third of the tests' time, so it is asked for: `make test COVERAGE=1`, as .ci/run does.
COVERED := --cov=aiprod --cov=pipeline --cov-report=term:skip-covered --cov-fail-under=85

test: setup-dev ## run all tests; with COVERAGE=1 also count the lines and branches that they run
	@python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(COVERAGE),$(COVERED))

test-fast: setup-dev ## run only the tests that take seconds
	@python -m pytest -n $(WORKERS) -m "not slow and not long"

test-avx2: setup-dev ## run the tests that compare floats to the bit as a processor without AVX-512 computes
	@ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "bitwise and not long"

$(RAY): $(DEV)
	@echo "Installing Ray and Weights & Biases for the tests of both (once; about 150 MB) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,ray,wandb]'
	@touch $(RAY)

test-long: setup-dev $(RAY) ## run the tests that take minutes: fuzzed films, a Ray cluster
	@python -m pytest -n $(WORKERS) --dist loadfile -m long --timeout 3000

test-demo: setup-dev ## check the outputs of `make repro`
	@python -m pytest tests/end_to_end/test_demo_outputs.py

lint: setup-dev ## style, types, import direction
	@ruff check src pipeline tests docs/hooks
	@ruff format --check --quiet src pipeline tests docs/hooks
	@mypy
	@lint-imports --no-cache
	@python -m aiprod.qc.units --check

sbom: setup-dev ## write what is installed to build/sbom.cdx.json, as a CycloneDX bill of materials
	@python -m tests.dependencies.sbom build/sbom.cdx.json

advisories: setup-dev ## hold what is installed against known vulnerabilities: make advisories FROM=../advisory-database
	@python -m tests.dependencies.advisories $(FROM)

$(DOCS): $(DEV)
	@echo "Installing MkDocs for the documentation site (once; about 110 MB) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $(DOCS)

docs: setup-dev $(DOCS) ## build the documentation site into site/, with every warning an error
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict
	@echo "open site/index.html, or with search: python -m http.server -d site"

ui: setup ## start MLflow on this machine, at the address it prints
	@aiprod ui

bench: setup-dev ## speed and scale as ratios: all, or make bench PARTS="scan shards" [SKIP=… SMALL=1 RESUME=1 OTHER=../before]
	@python -m tests.bench $(PARTS) $(if $(SKIP),--skip "$(SKIP)") $(if $(SMALL),--small) $(if $(RESUME),--resume) $(if $(LIST),--list) $(if $(OTHER),--other "$(OTHER)")

bench-compare: setup-dev ## compare speed with another checkout: make bench-compare OTHER=../before [DEMO=1 SUITE=1 ONLY=scan]
	@python -m tests.bench.compare $(OTHER) $(if $(ONLY),--only "$(ONLY)") $(if $(DEMO),--demo) $(if $(SUITE),--suite)

clean: ## remove outputs and the environment (keeps datasets/inbox and the state folder .aiprod)
	rm -rf .venv datasets/v1 models reports site .pytest_cache .mypy_cache .ruff_cache htmlcov
