# rnnaudio's commands. `make` lists them; each sets up what it needs. GNU make 3.81 (macOS) or newer.
#
#   make predict ARGS="..."           options for the command behind the target
#   make test PYTHON=python3.12       another Python for a new environment (`make clean` removes the old one)

PYTHON ?= python3
ARGS ?=
VENV ?= .venv
THEANO_VENV ?= .venv-theano
CORPUS := datasets/mozart-steinway.h5
STRINGS := datasets/mozart-strings.h5

BIN := $(VENV)/bin
PIP := -m pip --quiet --disable-pip-version-check
# Two workers, a file of tests each: graphs compiled for one file's tests are seldom of use to another's.
PARALLEL := -n 2 --dist loadfile

.PHONY: help demo predict reconstruct timit mnist fourier phase amplitude draw draw-piano music music-strings music-aids samples verify gradcheck \
        bench bench-generation bench-growth bench-mnist bench-samples bench-theano blind-test experiment experiments \
        experiments-smoke ablation info corpus test test-modes test-jax test-theano theano lint types imports clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## train on the minute of piano in the package, play on, write runs/demo/report.html
	@$(BIN)/rnnaudio demo $(ARGS)

predict: $(VENV)/.installed $(CORPUS) ## the blog's main job: predict the next frame of the piano corpus, then play on
	@$(BIN)/python -m experiments.blog_2016.predict $(ARGS)

reconstruct: $(VENV)/.installed $(CORPUS) ## the same model and data, told to give back the current frame
	@$(BIN)/python -m experiments.blog_2016.reconstruct $(ARGS)

timit: $(VENV)/.installed ## both strategies on speech, your own copy of TIMIT: make timit DIR=the folder with TRAIN and TEST
	@$(BIN)/python -m experiments.blog_2016.timit $(if $(DIR),'$(DIR)') $(ARGS)

mnist: $(VENV)/.installed ## the blog's perceptron on MNIST (downloads 20 MB once); as recorded: ARGS="--setting recorded"
	@$(BIN)/python -m experiments.blog_2016.mnist $(ARGS)

experiments: $(VENV)/.installed $(CORPUS) ## each experiment of the blog without a record, then a table; ARGS=--again: all (hours; goes on where it was)
	@$(BIN)/python -m experiments.everything $(ARGS)

experiments-smoke: $(VENV)/.installed ## all of them in tiny form, on the piano in the package (minutes)
	@$(BIN)/python -m experiments.everything --smoke $(ARGS)

ablation: $(VENV)/.installed $(CORPUS) ## which of the 24 defects of 2016 mattered: one repaired, one planted at a time
	@$(BIN)/python -m experiments.studies.ablation $(ARGS)

experiment: $(VENV)/.installed $(CORPUS) ## one experiment of the blog: make experiment NAME=last_day (a file of experiments/blog_2016/)
	@test -f 'experiments/blog_2016/$(NAME).py' || { echo "no experiment '$(NAME)'; expected NAME= one of week_21_march," \
	    "week_28_march, last_week, last_week_checks, last_week_grid, last_day, final_post, classmates" >&2; exit 2; }
	@$(BIN)/python -m experiments.blog_2016.$(NAME) $(ARGS)

fourier: $(VENV)/.installed $(CORPUS) ## the blog's last plan: predict magnitudes instead of samples (no phase)
	@$(BIN)/python -m experiments.blog_2016.fourier_2016 $(ARGS)

phase: $(VENV)/.installed $(CORPUS) ## learn phases from amplitudes, against Griffin-Lim and its kin (10 minutes)
	@$(BIN)/python -m experiments.studies.phase $(ARGS)

amplitude: $(VENV)/.installed $(CORPUS) ## predict amplitudes of overlapping windows, against predicting samples (20 minutes)
	@$(BIN)/python -m experiments.studies.amplitude $(ARGS)

music: $(VENV)/.installed $(CORPUS) ## learn codes of spectra and play on for five minutes, with a Markov chain as control (an hour)
	@$(BIN)/python -m experiments.studies.music $(ARGS)

music-strings: $(VENV)/.installed $(STRINGS) ## the same of a second sound: the scores played by the strings of a soundfont (an hour)
	@$(BIN)/python -m experiments.studies.music --corpus $(STRINGS) --run-dir runs/music-strings --name music-strings $(ARGS)

music-aids: $(VENV)/.installed $(CORPUS) ## which aids of training help that model: transpositions, noise, dropout, ... (an hour)
	@$(BIN)/python -m experiments.studies.music_aids $(ARGS)

samples: $(VENV)/.installed $(CORPUS) ## learn music sample by sample (SampleRNN), 15 minutes; ARGS="--tiers 2 --readout categorical"
	@$(BIN)/python -m experiments.studies.samples $(ARGS)

draw: $(VENV)/.installed ## the blog's plan after that: DRAW paints digits, 20 minutes; ARGS="--attention" looks at parts of them
	@$(BIN)/python -m experiments.studies.draw $(ARGS)

draw-piano: $(VENV)/.installed $(CORPUS) ## the same on log-amplitudes of piano: nats, pictures, sound (20 minutes; ARGS="--attention")
	@$(BIN)/python -m experiments.studies.draw_piano $(ARGS)

verify: $(VENV)/.installed $(CORPUS) ## check MNIST, predict and reconstruct against each other
	@if $(PYTHON) -c '$(IS_PYTHON_311)'; then $(MAKE) --no-print-directory $(THEANO_VENV)/.installed; fi
	@$(BIN)/python -m experiments.proofs.verify --theano-python $(THEANO_VENV)/bin/python $(ARGS)

gradcheck: $(VENV)/.installed ## print the proofs: gradients, NumPy oracles, optimisers
	@$(BIN)/python -m experiments.proofs.gradcheck $(ARGS)

blind-test: $(VENV)/.installed ## plant 24 faults in small runs; `diagnose` must name each without being told
	@$(BIN)/python -m experiments.proofs.blind_test $(ARGS)

bench: $(VENV)/.installed-bench ## time training steps against PyTorch's, JAX's and raw scan's (installs both, 1.1 GB)
	@$(BIN)/python -m experiments.benchmarks.bench $(ARGS)

bench-theano: $(VENV)/.installed $(THEANO_VENV)/.installed ## the same against Theano 1.0.5 (Python 3.11 only)
	@$(BIN)/python -m experiments.benchmarks.bench --cells lstm gru --peers theano --name bench-theano $(ARGS)

bench-growth: $(VENV)/.installed ## how the time of a step grows with steps, batch, units and layers
	@$(BIN)/python -m experiments.benchmarks.growth $(ARGS)

bench-mnist: $(VENV)/.installed-bench ## time an epoch of the blog's MNIST network against PyTorch's
	@$(BIN)/python -m experiments.benchmarks.bench_mnist $(ARGS)

bench-samples: $(VENV)/.installed-bench $(CORPUS) ## the model of `make samples` in PyTorch, as many minutes (installs PyTorch, 700 MB)
	@$(BIN)/python -m experiments.benchmarks.samples_torch $(ARGS)

bench-generation: $(VENV)/.installed-bench ## time generation, one stream and 16, against PyTorch's (installs PyTorch, 700 MB)
	@$(BIN)/python -m experiments.benchmarks.generation_speed $(ARGS)

info: $(VENV)/.installed ## what computes: engine, compile mode, BLAS, threads, speed; what would make it faster
	@$(BIN)/rnnaudio info $(ARGS)

corpus: $(CORPUS) ## build datasets/mozart-steinway.h5, 71 minutes of Mozart (downloads 40 MB once)

test: $(VENV)/.installed ## run the tests on PyTensor
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-modes: $(VENV)/.installed ## run the tests that depend on the compile mode again: compiled C, then numba
	@RNNAUDIO_MODE=c $(BIN)/python -m pytest $(PARALLEL) -m modes $(ARGS)
	@RNNAUDIO_MODE=numba $(BIN)/python -m pytest $(PARALLEL) -m modes $(ARGS)

test-jax: $(VENV)/.installed-jax ## run the tests of mode jax, and every layer in it, on the CPU (installs JAX, 400 MB)
	@JAX_PLATFORMS=cpu RNNAUDIO_MODE=jax $(BIN)/python -m pytest -n 2 -m "modes or jax" $(ARGS)

test-theano: $(THEANO_VENV)/.installed ## run the tests on Theano 1.0.5 (Python 3.11 only)
	@RNNAUDIO_ENGINE=theano $(THEANO_VENV)/bin/python -m pytest $(PARALLEL) $(ARGS)

theano: $(THEANO_VENV)/.installed ## set up .venv-theano: RNNAUDIO_ENGINE=theano .venv-theano/bin/rnnaudio ...

lint: $(VENV)/.installed ## style and likely mistakes (ruff)
	@$(BIN)/ruff check .

types: $(VENV)/.installed ## type hints (mypy)
	@$(BIN)/mypy

imports: $(VENV)/.installed ## which part may import which (import-linter; the contract is in setup.cfg)
	@$(BIN)/lint-imports --no-logo

clean: ## remove environments and caches; runs, corpora and downloads stay
	rm -rf $(VENV) $(THEANO_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- what the commands need

define require_python
@$(PYTHON) -c '' 2>/dev/null || { echo "$(PYTHON) does not run; rnnaudio needs Python 3.11 or newer:" \
    "make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is Python $(found_python);" \
    "rnnaudio needs 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks venv or ensurepip: install them" \
    "(Debian, Ubuntu: apt install python3-venv) or take another: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
endef

IS_PYTHON_311 := import sys; sys.exit(sys.version_info[:2] != (3, 11))

define require_python_311
@$(PYTHON) -c '$(IS_PYTHON_311)' || { echo "$(PYTHON) is Python $(found_python);" \
    "Theano 1.0.5 runs on 3.11 only: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
endef

found_python = $$($(PYTHON) -c 'import sys; print(sys.version.split()[0])')

$(VENV)/.installed: setup.cfg pyproject.toml
	$(require_python)
	@echo "setting up $(VENV), about a minute ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python $(PIP) install --editable '.[dev]'
	@touch $@

$(VENV)/.installed-corpus: $(VENV)/.installed
	@echo "installing what building the corpus needs ..."
	@$(BIN)/python $(PIP) install --editable '.[corpus]'
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
