# Targets for users; `make` lists them. Everything runs in .venv, which `setup` builds from requirements.lock.
PYTHON ?= python3
PROFILE ?= quick
BIN := .venv/bin
INSTALLED := .venv/installed
# JupyterLab refuses to start as root, as in a container, unless told so.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help setup images reproduce lab checks test-fast test notebooks bench soak site cluster clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv and install what requirements.lock names

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

images: setup ## Fetch the real images that can be had (MNIST, FashionMNIST, solar cells); no failure without network
	@$(BIN)/paperlib data fetch mnist fashionmnist elpv || echo "going on with the images that are here" >&2

reproduce: images ## Re-run the papers on PROFILE=quick (smoke, quick, laptop, station, paper) and build the report
	@$(BIN)/paperlib reproduce --profile $(PROFILE)

lab: setup ## Open JupyterLab on the notebooks (this machine only, token on)
	PAPERLIB_ROOT=$(CURDIR) $(BIN)/jupyter lab --ip=127.0.0.1 $(AS_ROOT) notebooks

checks: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy paperlib

test-fast: checks ## Lint, types and unit tests, for daily work
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile tests/unit

test: checks ## Run every check: lint, types, all tests with coverage
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov=paperlib --cov-fail-under=90

notebooks: setup ## Run the notebooks by nbval, and hold their stored outputs against the committed records
	$(BIN)/python -m pytest --nbval notebooks/ tests/e2e/test_notebook_cells.py

bench: setup ## Measure speed against its targets, side by side
	@$(BIN)/python -c 'from paperlib.trials.environment import cores, cpu_name; print(cpu_name(), cores(), "cores")'
	@for file in benchmarks/[!r]*.py; do $(BIN)/python $$file || exit 1; done

site: setup ## Build results/reference/site, to host: the committed report and the documentation
	@$(BIN)/paperlib site

cluster: setup ## Add snakemake and its Slurm executor to .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r requirements-cluster.lock

soak: setup ## Kill and repeat for about 6 minutes; print the counts
	@$(BIN)/python -m soak

clean: ## Remove .venv and all results that are not committed
	rm -rf .venv results/smoke results/scratch results/reference figures/smoke figures/quick figures/scratch
	rm -rf results/*-tweaked figures/*-tweaked
	cd results && rm -rf */trials */costs */edge */checkpoints */cache */report */report.zip */.report.zip.stamp */crate.zip
	if [ -d results/quick ]; then find results/quick -mindepth 1 ! -name records.tar.xz ! -name kept.json -delete; fi
