"""Catalogue of all experiments in this folder, by name: ``rnnaudio experiment list``.

This module imports nothing heavy, so that listing is quick; :mod:`experiments.runner` imports and runs experiments.
"""

import difflib
from pathlib import Path
from typing import NamedTuple

from rnnaudio.errors import RnnaudioError

RESULTS = Path(__file__).parent / "results"
SMOKE = (("--smoke",),)
MNIST = "MNIST, 20 MB"
GROUPS = {
    "blog_2016": "The experiments of the blog",
    "studies": "Studies beyond the blog",
    "benchmarks": "Speed and memory",
    "proofs": "Proofs and cross-checks",
}


class Run(NamedTuple):
    """A recorded run of an experiment: the record's name, and the options that make it."""

    record: str
    arguments: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return RESULTS / f"{self.record}.json"

    @property
    def folder(self) -> Path:
        """The default folder for checkpoints, sounds and pictures of the run."""
        return Path("runs") / self.record


class Experiment(NamedTuple):
    """A module of this package with a ``main``, under the name that `rnnaudio experiment run` takes.

    ``needs`` names the extras and data that make has to set up before a run: ``corpus``, ``strings`` (a second
    corpus), ``bench``, ``theano``, ``theano-if-possible``, ``fuzz-if-possible``.
    """

    name: str
    module: str
    about: str
    time: str
    post: str = ""  # of the blog that it tests; "": none, and no part of `experiment run all`
    runs: tuple[Run, ...] = ()
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()  # in front of those that are typed
    settings: str = ""  # a file beside the module, which its main reads
    smoke: tuple[tuple[str, ...], ...] = ()  # the options of its tiny forms
    downloads: str = ""  # what its run itself downloads, the first time

    @property
    def group(self) -> str:
        return self.module.split(".")[0]

    @property
    def settings_path(self) -> Path:
        return Path(__file__).parent / self.group / self.settings


def _from_settings(name: str, about: str, time: str, post: str) -> Experiment:
    """Make the entry of a blog experiment that consists of a settings file only."""
    module, settings = "blog_2016.reproduce", f"{name}.toml"
    return Experiment(name, module, about, time, post, (Run(name),), ("corpus",), settings=settings, smoke=SMOKE)


ALL = (
    Experiment(
        "mnist", "blog_2016.mnist", "the perceptron of week 2, as recorded in 2016 and with today's habits",
        "a minute", post="week 2", smoke=SMOKE, downloads=MNIST,
        runs=(
            Run("mnist-blog", ("--setting", "blog", "--seeds", "5")),
            Run("mnist-february", ("--setting", "february", "--seeds", "3")),
            Run("mnist-march", ("--setting", "march", "--seeds", "3")),
        ),
    ),
    _from_settings(
        "week-21-march", "the noisy memory-only LSTM, its target the input, and repaired", "30 minutes",
        post="week 21 March",
    ),
    _from_settings(
        "week-28-march", "the same cell under both strategies, and at four sizes", "30 minutes",
        post="week 28 March",
    ),
    Experiment(
        "predict", "blog_2016.strategies", "the blog's main job: predict the next frame of piano, then play on",
        "4 minutes", post="week 28 March", runs=(Run("predict_next"),), needs=("corpus",), settings="predict.toml",
    ),
    Experiment(
        "reconstruct", "blog_2016.strategies", "the same model and data, trained to reconstruct the current frame",
        "4 minutes", post="week 28 March", runs=(Run("reconstruct_current"),), needs=("corpus",),
        settings="reconstruct.toml",
    ),
    _from_settings(
        "last-week", "three GRU layers without a read-out, repaired one defect at a time", "12 minutes",
        post="last week",
    ),
    Experiment(
        "last-week-checks", "blog_2016.last_week_checks", "the author's four checks, what they show, and a fifth",
        "2 minutes", post="last week", runs=(Run("last-week-checks"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "last-week-grid", "blog_2016.last_week_grid", "the sizes he tried: what each costs, and some of them run",
        "30 minutes", post="last week", runs=(Run("last-week-grid"),), needs=("corpus",),
        settings="last-week-grid.toml", smoke=SMOKE,
    ),
    _from_settings(
        "last-day", "three ways to make batches, each with the right RMSprop and the blog's", "12 minutes",
        post="the last day",
    ),
    Experiment(
        "final-post", "blog_2016.final_post", "a larger LSTM, interrupted and resumed on the other half of the pieces",
        "10 minutes", post="final post", runs=(Run("final-post"),), needs=("corpus",), smoke=SMOKE,
    ),
    _from_settings(
        "classmates", "the classmates' best setting and ours, on our corpus", "20 minutes", post="not in the blog",
    ),
    Experiment(
        "fourier", "blog_2016.fourier_2016", "predict magnitudes of frames instead of samples, without phase",
        "2 minutes", post="week 28 March (part 2)", runs=(Run("fourier-2016-gru"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "phase", "studies.phase", "learn phases from amplitudes, against Griffin-Lim and its kin", "10 minutes",
        post="week 28 March (part 2)", runs=(Run("phase"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "amplitude", "studies.amplitude", "predict amplitudes of overlapping windows, against predicting samples",
        "20 minutes", post="week 28 March (part 2)", runs=(Run("amplitude"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "music", "studies.music", "learn codes of spectra, play five minutes, with a Markov chain as control",
        "an hour", post="not in the blog", runs=(Run("music"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "music-strings", "studies.music", "the same of a second sound: the scores played by a soundfont's strings",
        "an hour", runs=(Run("music-strings"),), needs=("strings",),
        arguments=(
            "--corpus", "datasets/mozart-strings.h5", "--run-dir", "runs/music-strings", "--name", "music-strings",
        ),
    ),
    Experiment(
        "music-aids", "studies.music_aids", "which aids of training help that model: transpositions, dropout, ...",
        "an hour", post="not in the blog", runs=(Run("music-aids"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "beat", "studies.beat", "whether frames from whole beats back give free runs a beat, and what they cost",
        "two hours", post="not in the blog", needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "samples", "studies.samples", "learn music sample by sample, in tiers of frames (SampleRNN)", "20 minutes",
        post="not in the blog", runs=(Run("samples-3-logistic"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "draw", "studies.draw", "DRAW paints digits; --attention reads and writes parts of them", "20 minutes",
        post="week 28 March (part 2)", smoke=(("--smoke",), ("--attention", "--smoke")), downloads=MNIST,
        runs=(
            Run("draw"),
            Run("draw-attention", ("--attention",)),
            Run("draw-attention-minutes-80", ("--attention", "--minutes", "80")),
        ),
    ),
    Experiment(
        "draw-piano", "studies.draw_piano", "DRAW on log-amplitudes of piano: nats, pictures, sound", "20 minutes",
        post="week 28 March (part 2)", runs=(Run("draw-piano"), Run("draw-piano-attention", ("--attention",))),
        needs=("corpus",), smoke=(("--smoke",), ("--attention", "--smoke")),
    ),
    Experiment(
        "timit", "blog_2016.timit", "both strategies on speech: give the folder of your own copy of TIMIT",
        "30 minutes", post="last week", smoke=SMOKE,
    ),
    Experiment(
        "ablation", "studies.ablation", "which of the 24 defects mattered: one repaired, one planted at a time",
        "an hour", post="all", runs=(Run("ablation"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "blind-test", "proofs.blind_test", "plant 24 faults in small runs; the diagnosis must name each blindly",
        "5 minutes", post="all", runs=(Run("blind-test"),), smoke=(("--quick",),),
    ),
    Experiment(
        "blind-test-recordings", "proofs.blind_test_recordings",
        "the same on real recordings, in runs as users train them: give their folder", "25 minutes",
        runs=(Run("blind-test-recordings"),),
    ),
    Experiment(
        "advice", "proofs.advice", "follow what the diagnosis advises: does what it promises improve?", "10 minutes",
        runs=(Run("advice"),), smoke=(("--quick",),),
    ),
    Experiment(
        "counterfeits", "studies.counterfeits", "is music alive, and noise, tones, loops, fades and silence dead?",
        "30 minutes", runs=(Run("counterfeits"),), smoke=SMOKE,
    ),
    Experiment(
        "musical-time", "studies.musical_time", "do tempo, bars, intervals and keys tell music from counterfeits?",
        "10 minutes", needs=("corpus",), smoke=SMOKE,
        runs=(
            Run("musical-time", ("--run", "runs/piano")),
            Run("musical-time-openscore", (
                "--corpus", "openscore.h5", "--name", "musical-time-openscore", "--most", "6",
            )),
        ),
    ),
    Experiment(
        "music-recordings", "studies.music_recordings", "what codes make of recordings of each kind",
        "half an hour, with --recordings FOLDER", runs=(Run("music-recordings"),),
    ),
    Experiment(
        "listening-sounds", "studies.listening_sounds", "sounds of a run of codes, a chain, codec and music, to judge",
        "5 minutes", needs=("corpus",), smoke=SMOKE,
    ),
    Experiment(
        "ship", "studies.ship", "pack a run as a model that comes with the package, if it plays", "10 minutes",
        runs=(Run("ship"),), needs=("corpus",), smoke=SMOKE,
    ),
    Experiment("gradcheck", "proofs.gradcheck", "gradients, kernels and optimisers against oracles", "5 minutes"),
    Experiment(
        "mutants", "proofs.mutants", "plant 200 small mistakes in the package; the tests must catch them", "hours",
        runs=(Run("mutants"),),
    ),
    Experiment(
        "torture", "proofs.torture.torture", "kills, signals, full disks, damage, hostile files: what holds", "hours",
        runs=(Run("torture"),),
        needs=("fuzz-if-possible",),
        smoke=(("--short", "--parts", "kills", "interruptions", "pairs", "numbers", "disk", "flips"),),
    ),
    Experiment(
        "verify", "proofs.verify", "MNIST, predict and reconstruct checked against each other", "3 minutes",
        downloads=MNIST, needs=("corpus", "theano-if-possible"),
    ),
    Experiment(
        "listening", "studies.listening", "print the tables of docs/ on listening, from the records of music",
        "seconds",
    ),
    Experiment(
        "bench", "benchmarks.bench", "training steps of layers and models against PyTorch, JAX and the loop of scan",
        "40 minutes", runs=(Run("bench"),), needs=("bench",),
    ),
    Experiment(
        "bench-gpu", "benchmarks.gpu", "on a machine with a GPU: recipes in mode jax, models against PyTorch's",
        "10 minutes", needs=("bench",),
    ),
    Experiment(
        "bench-theano", "benchmarks.bench", "the same against Theano 1.0.5 (Python 3.11 only)", "20 minutes",
        runs=(Run("bench-theano"),), needs=("theano",),
        arguments=("--cells", "lstm", "gru", "--peers", "theano", "--name", "bench-theano"),
    ),
    Experiment(
        "bench-growth", "benchmarks.growth", "how a step's time grows with steps, batch, units and layers",
        "5 minutes", runs=(Run("growth-lstm"), Run("growth-gru", ("--cell", "gru"))),
    ),
    Experiment(
        "bench-mnist", "benchmarks.bench_mnist", "an epoch of the blog's MNIST network against PyTorch's", "a minute",
        downloads=MNIST,
        runs=(Run("bench-mnist"),), needs=("bench",),
    ),
    Experiment(
        "bench-samples", "benchmarks.samples_torch", "the model of samples in PyTorch, for as many minutes",
        "20 minutes", runs=(Run("samples-3-logistic-torch"),), needs=("bench", "corpus"),
    ),
    Experiment(
        "bench-generation", "benchmarks.generation_speed", "generation, one stream and 16, against PyTorch's",
        "3 minutes", runs=(Run("generation-speed"),), needs=("bench",),
    ),
    Experiment(
        "compile-times", "benchmarks.compile_times", "the time of each compile mode before and after the first step",
        "5 minutes", runs=(Run("compile-times-pytensor"),),
    ),
    Experiment(
        "feeding", "benchmarks.feeding", "how long a step waits for its batch, and whether memory stays flat",
        "10 minutes", runs=(Run("feeding"),),
    ),
    Experiment(
        "memory", "benchmarks.memory", "the memory predicted for a step against the memory it takes (Linux only)",
        "3 minutes", runs=(Run("memory"), Run("memory-long", ("--long",))),
    ),
    Experiment(
        "data-parallel", "benchmarks.data_parallel", "training on several processes against a model of its time (MPI)",
        "5 minutes", smoke=SMOKE,
    ),
)  # fmt: skip
EXPERIMENTS = {experiment.name: experiment for experiment in ALL}


def find(name: str) -> Experiment:
    """Return the experiment of a name; RnnaudioError, with the most similar name if any, if there is none."""
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    nearest = difflib.get_close_matches(name.replace("_", "-"), EXPERIMENTS, 1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "`rnnaudio experiment list` has the names"
    raise RnnaudioError(f"no experiment {name!r}; {hint}")


def as_list() -> str:
    """Text that lists all experiments by group, one per line."""
    width = max(map(len, EXPERIMENTS))
    lines = []
    for group, title in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {e.name:{width}}  {e.about} ({e.time})" for e in ALL if e.group == group]
    return "\n".join(lines[1:])


def needs(name: str, arguments: list[str]) -> tuple[str, ...]:
    """List the extras and data to set up before a run with these arguments; with --smoke no corpus is needed.

    RnnaudioError if the name is unknown.
    """
    wanted = ("corpus",) if name == "all" else find(name).needs
    return tuple(need for need in wanted if not ("--smoke" in arguments and need in ("corpus", "strings")))


def notes(name: str, arguments: list[str], wanted: tuple[str, ...]) -> list[str]:
    """Notes for the user: that there is nothing to set up, if ``wanted`` is empty, and what the run itself downloads.

    wanted: the result of :func:`needs`.
    """
    downloads = "" if name == "all" or "--smoke" in arguments else find(name).downloads
    nothing = [] if wanted else [f"make has nothing to set up for {name}"]
    return nothing + ([f"{name} downloads {downloads}, the first time it runs"] if downloads else [])
