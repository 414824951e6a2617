# rnnaudio's commands. `make` lists them; each sets up what it needs. GNU make 3.81 (macOS) or newer.
#
#   make experiment NAME=predict ARGS="--resume"    options for the command behind the target
#   make test PYTHON=python3.12                     another Python for a new environment (`make clean` removes the old)

PYTHON ?= python3
NAME ?=
ARGS ?=
# What was typed, for messages: a target may call make again with another.
GOAL ?= $(MAKECMDGOALS)$(if $(NAME), NAME=$(NAME))
VENV ?= .venv
THEANO_VENV ?= .venv-theano
CORPUS := datasets/mozart-steinway.h5
STRINGS := datasets/mozart-strings.h5

BIN := $(VENV)/bin
PIP := -m pip --quiet --disable-pip-version-check
AGAIN := $(MAKE) --no-print-directory
# Two workers, a file of tests each: graphs compiled for one file's tests are seldom of use to another's.
PARALLEL := -n 2 --dist loadfile

.PHONY: help demo test test-full check corpus experiment mnist gradcheck bench bench-gpu torture docs clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## a model of 2016 on piano, why it fails, and one that plays on: runs/demo/report.html
	@$(BIN)/rnnaudio demo $(ARGS)

test: $(VENV)/.installed ## run the fast tests on PyTensor
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-full: test-all test-modes test-jax test-theano-if-possible docs ## run every test, in every mode and engine, and build the documentation

check: lint types imports ## style and likely mistakes, type hints, which part may import which

corpus: $(CORPUS) ## build datasets/mozart-steinway.h5, 71 minutes of Mozart (downloads 40 MB once)

experiment: $(VENV)/.installed ## run one: make experiment NAME=last-day ARGS=...; NAME=all: those without a record; no NAME: list them
ifeq ($(NAME),)
	@$(BIN)/rnnaudio experiment list
else
	@needs=$$($(BIN)/rnnaudio experiment needs '$(NAME)' $(ARGS)) && \
	    for need in $$needs; do $(AGAIN) needs-$$need GOAL='$(GOAL)' || exit 1; done
	@$(BIN)/rnnaudio experiment run '$(NAME)' $(ARGS)
endif

mnist: ## the blog's perceptron on MNIST (downloads 20 MB once); as recorded: ARGS="--setting recorded"
	@$(AGAIN) experiment NAME=mnist

gradcheck: ## print the proofs: gradients, NumPy oracles, optimisers
	@$(AGAIN) experiment NAME=gradcheck

bench: ## time training steps against PyTorch, JAX (installs both, 1.1 GB) and scan; ARGS=--phases, --memory, --start
	@$(AGAIN) experiment NAME=bench

bench-gpu: ## on a machine with an NVIDIA GPU: train every recipe in mode jax, and time models against PyTorch
	@$(AGAIN) experiment NAME=bench-gpu

torture: ## kill, interrupt, fill, damage: counts of what holds (hours; ARGS=--short: minutes)
	@$(AGAIN) experiment NAME=torture

docs: $(VENV)/.installed-docs ## build the documentation in docs/_build/html
	@$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean: ## remove environments, caches and built pages; runs, corpora and downloads stay
	rm -rf $(VENV) $(THEANO_VENV) build *.egg-info
	rm -rf docs/_build docs/_generated docs/auto_gallery docs/reference/api/rnnaudio.* docs/sg_execution_times.rst
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- parts of test-full and of check, one at a time

.PHONY: test-all test-modes test-jax test-theano test-theano-if-possible theano lint types imports lock

test-all: $(VENV)/.installed
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# The tests that depend on the compile mode again: compiled C, then numba.
test-modes: $(VENV)/.installed
	@RNNAUDIO_MODE=c $(BIN)/python -m pytest $(PARALLEL) -m modes $(ARGS)
	@RNNAUDIO_MODE=numba $(BIN)/python -m pytest -n 2 --dist worksteal -m modes $(ARGS)

# These, and every layer's tests, in mode jax on the CPU (installs JAX, 400 MB).
test-jax: $(VENV)/.installed-jax
	@JAX_PLATFORMS=cpu RNNAUDIO_MODE=jax $(BIN)/python -m pytest -n 2 -m "modes or jax" $(ARGS)

# The fast tier: what only the full one runs are twins by scan, tiny experiments and the like, run on PyTensor. Left out
# are the rooms that know no engine, which the contract of imports holds; commands of the other tests use them, too.
# Elementwise operations are fused only where the compile mode matters: each fusion is a file of C++ of its own, and
# Theano compiles one at a time.
NO_ENGINE := $(addprefix --ignore=tests/,audio data datasets metrics plots project)
WITHOUT_FUSION := THEANO_FLAGS="optimizer_excluding=fusion,$(THEANO_FLAGS)"
test-theano: $(THEANO_VENV)/.installed
	@RNNAUDIO_ENGINE=theano $(THEANO_VENV)/bin/python -m pytest $(PARALLEL) -m "not slow and modes" $(NO_ENGINE) $(ARGS)
	@RNNAUDIO_ENGINE=theano $(WITHOUT_FUSION) $(THEANO_VENV)/bin/python -m pytest $(PARALLEL) \
	    -m "not slow and not modes" $(NO_ENGINE) $(ARGS)

test-theano-if-possible:
	@if $(PYTHON) -c '$(IS_PYTHON_311)'; then $(AGAIN) test-theano; \
	    else echo "test-theano is left out: Theano 1.0.5 runs on Python 3.11 only, and $(PYTHON) is $(found_python)"; fi

theano: $(THEANO_VENV)/.installed

lint: $(VENV)/.installed
	@$(BIN)/ruff check .

types: $(VENV)/.installed
	@$(BIN)/mypy

imports: $(VENV)/.installed
	@$(BIN)/lint-imports --no-logo

# Run after a change of the requirements in setup.cfg, and to take newer versions; `git diff` shows which.
LOCK_VENV := build/lock-venv
WITHOUT_ADDRESSES := import json, sys; bom = json.load(sys.stdin); bom["metadata"].pop("tools", None); \
    [part.pop("externalReferences", None) for part in bom["components"]]; \
    bom["components"] = [part for part in bom["components"] if part["name"] not in ("rnnaudio", "pip")]; \
    json.dump(bom, sys.stdout, indent=1, sort_keys=True)
lock:
	@$(PYTHON) -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python $(PIP) install uv cyclonedx-bom
	@$(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --extra dev setup.cfg --output-file requirements.lock
	@$(AGAIN) $(VENV)/.installed
	@$(LOCK_VENV)/bin/cyclonedx-py environment --output-reproducible $(VENV)/bin/python | \
	    $(PYTHON) -c '$(WITHOUT_ADDRESSES)' >sbom.cdx.json

# ---- what `rnnaudio experiment needs` may answer

.PHONY: needs-corpus needs-strings needs-bench needs-theano needs-theano-if-possible needs-fuzz-if-possible

needs-corpus: $(CORPUS)
	@:

needs-strings: $(STRINGS)
	@:

needs-bench: $(VENV)/.installed-bench
	@:

# Atheris has wheels for some systems only, and its source needs Clang.
needs-fuzz-if-possible: $(VENV)/.installed
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	    $(BIN)/python $(PIP) install --only-binary atheris --editable '.[fuzz]' || \
	    echo "part guided will be left out: Atheris could not be installed, see above"

needs-theano: theano
	@:

needs-theano-if-possible:
	@if $(PYTHON) -c '$(IS_PYTHON_311)'; then $(AGAIN) theano; fi

# ---- environments and corpora

define require_python
@$(PYTHON) -c '' 2>/dev/null || { echo "$(PYTHON) does not run; rnnaudio needs Python 3.11 or newer:" \
    "make $(GOAL) PYTHON=python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is Python $(found_python);" \
    "rnnaudio needs 3.11 or newer: make $(GOAL) PYTHON=python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks venv or ensurepip: install them" \
    "(Debian, Ubuntu: apt install python3-venv) or take another: make $(GOAL) PYTHON=python3.11" >&2; exit 1; }
endef

IS_PYTHON_311 := import sys; sys.exit(sys.version_info[:2] != (3, 11))

define require_python_311
@$(PYTHON) -c '$(IS_PYTHON_311)' || { echo "$(PYTHON) is Python $(found_python);" \
    "Theano 1.0.5 runs on 3.11 only: make $(GOAL) PYTHON=python3.11" >&2; exit 1; }
endef

found_python = $$($(PYTHON) -c 'import sys; print(sys.version.split()[0])')

# Versions and hashes from requirements.lock; the build of rnnaudio itself takes setuptools from there, too.
$(VENV)/.installed: setup.cfg pyproject.toml requirements.lock
	$(require_python)
	@echo "setting up $(VENV), about a minute ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python $(PIP) install --require-hashes --requirement requirements.lock
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-corpus: $(VENV)/.installed
	@echo "installing what building the corpus needs ..."
	@$(BIN)/python $(PIP) install --editable '.[corpus]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "installing what building the documentation needs ..."
	@$(BIN)/python $(PIP) install --editable '.[docs]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-jax
	@echo "installing PyTorch ..."
	@$(BIN)/python $(PIP) install --editable '.[bench]'
	@touch $@

$(VENV)/.installed-jax: $(VENV)/.installed
	@echo "installing JAX ..."
	@$(BIN)/python $(PIP) install --editable '.[jax]'
	@touch $@

$(CORPUS): datasets/mozart_steinway.py datasets/steinway.py | $(VENV)/.installed-corpus
	@$(BIN)/python datasets/mozart_steinway.py $@

# tinysoundfont wants pyaudio, which needs PortAudio's headers and plays to loudspeakers: not needed here.
$(STRINGS): datasets/mozart_steinway.py datasets/steinway.py datasets/soundfont.py | $(VENV)/.installed-corpus
	@$(BIN)/python $(PIP) install --no-deps tinysoundfont==0.3.7
	@$(BIN)/python datasets/mozart_steinway.py $@ --instrument strings

$(THEANO_VENV)/.installed: setup.cfg pyproject.toml requirements-theano.txt
	$(require_python)
	$(require_python_311)
	@echo "setting up $(THEANO_VENV), about a minute ..."
	@$(PYTHON) -m venv --clear $(THEANO_VENV)
	@$(THEANO_VENV)/bin/python $(PIP) install --requirement requirements-theano.txt
	@$(THEANO_VENV)/bin/python $(PIP) install --no-deps --editable .
	@touch $@
