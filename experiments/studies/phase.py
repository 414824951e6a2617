"""The blog's question of 28 March 2016: "see if phase reconstruction is possible using the amplitude".

    rnnaudio experiment run phase [--minutes 4] [--smoke]

A small LSTM is trained to predict phase differences, in time and in frequency, from the log-magnitudes around a bin
(:mod:`rnnaudio.data.phase_batches`). The loss is the blog's own distance, sin^2((t - p) / 2), weighted with
amplitudes. A linear path in parallel with the LSTM starts as the phase gradient of a Gaussian window, on which the
network has to improve. The predicted differences are integrated to phases, which are used as they are, as the start of
fast Griffin-Lim, and in a stream. The baselines are zero and random phases, Griffin-Lim, and the phase gradient, on
excerpts of test pieces.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.shared.on_corpus import CORPUS, complete, full_or_tiny
from experiments.shared.options import Figures, Named
from experiments.shared.records import FOLDER, record
from experiments.studies.spectral_runs import with_transform
from rnnaudio import plots
from rnnaudio.audio import STFT, write_wav
from rnnaudio.audio.phase import (
    Differences,
    OnlineGriffinLim,
    griffin_lim,
    integrated,
    magnitude_differences,
    phase_differences,
    streamed,
)
from rnnaudio.data import (
    AudioCorpus,
    PhaseBatch,
    PhaseBatches,
    PhaseContext,
    RandomWindows,
    fixed_windows,
    phase_batch,
    steps_for,
)
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper, learnt_phases
from rnnaudio.metrics.spectra import mean_phase_distance, phase_distance_up_to_shift, spectral_convergence_db
from rnnaudio.nn import LSTM, Dense, Sequential, Sum
from rnnaudio.nn.initializers import constant
from rnnaudio.objectives import PhaseDifferences
from rnnaudio.optimizers import Adam
from rnnaudio.runs.config import require_more_than_zero
from rnnaudio.training import EarlyStopping, Limits, Run, WarmupCosine, checkpoint, train
from rnnaudio.training.resuming import set_model

SEED = 2016
WINDOW_S, HOP_S = 0.064, 0.016
N_STEPS, BATCH_SIZE, N_ROWS = 32, 16, 32
BEST = "learnt, fast Griffin-Lim"


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Options of a recurrent network that predicts phase differences from magnitudes."""

    stem: ClassVar[str] = "phase"
    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/ and the experiment's name
    n_units: int = 64
    radius: int = 4  # input bins below and above
    max_updates: int = 1600
    minutes: float = 5.0
    n_places: int = 12  # of the test split
    seconds: float = 4.0  # at each
    smoke: bool = False  # a few updates of a small model on the piano in the package; nothing is recorded
    resume: bool = False

    def __post_init__(self) -> None:
        require_more_than_zero(self, "n_units", "radius", "max_updates", "minutes", "n_places", "seconds")


def main() -> None:
    """Train, reconstruct, compare, record."""
    full_or_tiny(Options, {"n_units": 4, "max_updates": 3, "n_places": 2, "seconds": 0.5}, run, keep)


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train, reconstruct and compare; returns the figures. Curve, pictures and sounds go to the run's folder."""
    stft = STFT.in_seconds(corpus.sample_rate_hz, window_s=WINDOW_S, hop_s=HOP_S)
    context = PhaseContext(stft, options.radius)
    options.check_resumed(options.folder)
    audios = [corpus.test.prime_at(k, options.seconds).astype(np.float64) for k in range(options.n_places)]
    model = build(context, options.n_units)
    done = complete(learn(model, context, corpus, options))
    print(f"training ended: {done.reason}")
    plot_curve(done, options.folder)
    stepper = Stepper(model)
    places = [compared(stepper, context, corpus, k, audio, options) for k, audio in enumerate(audios)]
    figures: Figures = {
        "methods": {name: averaged([place[name] for place in places]) for name in places[0]},
        "n_parameters": model.n_parameters,
        "best_validation_phase_distance": done.stopping.best_loss,
        "updates": done.n_updates,
        "minutes": round(done.seconds / 60, 2),
        "ended": done.reason,
    }
    for name, row in figures["methods"].items():
        print(f"{name:34s}" + "  ".join(f"{key} {value}" for key, value in row.items()))
    plots.methods(
        {name: [place[name]["convergence_db"] for place in places] for name in places[0]},
        options.folder / "methods.png",
        quantity="spectral convergence (dB)",
        title=f"Sound from magnitudes alone, {options.n_places} times {options.seconds:g} s of test pieces",
    )
    return figures


def build(context: PhaseContext, n_units: int) -> Sum:
    """Build an LSTM in parallel with a linear path; it starts as that path alone, which is the phase gradient."""
    rng = np.random.default_rng((SEED, 0, 2))  # 2: the purpose; the batches draw from the same seed
    stack = Sequential([LSTM(context.n_inputs, n_units, rng=rng), Dense(n_units, 2, rng=rng, weights=constant(0.0))])
    linear = Dense(context.n_inputs, 2, rng=rng, weights=lambda rng, shape: context.gradient_weights())
    return Sum(stack=stack, linear=linear)


def learn(model: Sum, context: PhaseContext, corpus: AudioCorpus, options: Options) -> Run:
    """Train on windows of the training pieces, and validate on those of the validation pieces."""
    n_steps = steps_for(N_STEPS + context.n_frames - 2, context.stft)
    sizes = {"frame_size": context.stft.hop_samples, "n_steps": n_steps, "batch_size": BATCH_SIZE}
    batches = PhaseBatches(RandomWindows(corpus.train, seed=SEED, **sizes), context, N_ROWS, SEED)
    return train(
        model,
        PhaseDifferences(),
        batches,
        held_out(context, corpus, sizes),
        optimizer=Adam(3e-3, max_gradient_norm=1.0),
        schedule=WarmupCosine(3e-3, min(50, options.max_updates - 1), options.max_updates),
        stopping=EarlyStopping(20),
        run_dir=options.folder,
        limits=Limits(options.max_updates, 60.0 * options.minutes, max(1, options.max_updates // 20)),
        seed=SEED,
        resume=options.resume,
        config=with_transform(options.folder, context.stft) | {"radius": context.radius, "n_units": options.n_units},
    )


def load_learnt(run_dir: Path, stft: STFT) -> tuple[Stepper, PhaseContext]:
    """Load the trained model of a run, for :class:`rnnaudio.generation.LearntPhase` with this transform.

    RnnaudioError if the folder holds no run, or a run of another kind, or if the model was trained with another
    transform; the message then names the differences.
    """
    path = checkpoint.path_in(run_dir)
    saved = checkpoint.load(path)
    try:
        config = saved.record["config"]
        trained_on, radius, n_units = STFT(**config["stft"]), config["radius"], config["n_units"]
    except (KeyError, TypeError) as error:
        raise RnnaudioError(
            f"{path} holds no model of phases ({error}): name a run of `rnnaudio experiment run phase`"
        ) from error
    trained_on.check_same(stft)
    context = PhaseContext(stft, radius)
    model = build(context, n_units)
    set_model(model, saved.group("best") or saved.group("model"), path)
    return Stepper(model), context


def held_out(context: PhaseContext, corpus: AudioCorpus, sizes: dict[str, int], most: int = 20) -> list[PhaseBatch]:
    """Batches of windows spread over the validation pieces, at most ``most``."""
    windows = fixed_windows(corpus.valid, **sizes)
    chosen = windows[:: -(-len(windows) // most)]
    draws = [np.random.default_rng((SEED, k, 7)) for k in range(len(chosen))]  # 7: the purpose
    return [phase_batch(w.frames, context, N_ROWS, rng) for w, rng in zip(chosen, draws, strict=True)]


def compared(
    stepper: Stepper, context: PhaseContext, corpus: AudioCorpus, place: int, audio: np.ndarray, options: Options
) -> dict[str, Figures]:
    """Measure every method at one place of the test split; sounds and a picture are written for the first place."""
    stft = context.stft
    spectra = stft.forward(audio)
    magnitudes = np.abs(spectra)
    started = time.perf_counter()
    phases, differences = learnt_phases(stepper, context, magnitudes)
    to_learnt_phases = time.perf_counter() - started
    found, figures = {}, {}
    for name, method in reconstructions(magnitudes, stft, len(audio), phases).items():
        started = time.perf_counter()
        found[name] = method()
        figures[name] = measured(spectra, stft.forward(found[name]), stft)
        figures[name]["seconds"] = time.perf_counter() - started + to_learnt_phases * name.startswith("learnt")
    guesses = {"phase gradient": magnitude_differences(magnitudes, stft), "learnt": differences}
    for name, guess in guesses.items():
        figures[name] |= distances_of(guess, spectra, stft)
    if place == 0:
        for name in ("zero phase", "random phase", "fast Griffin-Lim, 50", "learnt", BEST):
            path = options.folder / f"{name.replace(', ', '-').replace(' ', '-')}.wav"
            write_wav(path, corpus.restore(found[name]), corpus.sample_rate_hz)
        write_wav(options.folder / "original.wav", corpus.restore(audio), corpus.sample_rate_hz)
        plot_spectra(spectra, differences, stft, options.folder)
    return figures


def reconstructions(
    magnitudes: np.ndarray, stft: STFT, n: int, learnt: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    """Functions that reconstruct n samples from magnitudes (n_frames, n_bins), by name of the method.

    learnt: the phases that the network predicts, (n_frames, n_bins) in radians.
    """

    def bulk(start: Any, n_iterations: int = 0, momentum: float = 0.99) -> Callable[[], np.ndarray]:
        options: Any = {"n_iterations": n_iterations, "momentum": momentum, "n_samples": n, "seed": SEED}
        return lambda: griffin_lim(magnitudes, stft, start=start() if callable(start) else start, **options)

    def stream(phases: np.ndarray) -> np.ndarray:
        online = OnlineGriffinLim(stft)
        rows = zip(magnitudes, phases, strict=True)
        return np.concatenate([*(online.push(*row) for row in rows), online.flush()])[:n]

    def gradient() -> np.ndarray:
        return integrated(magnitudes, magnitude_differences(magnitudes, stft), stft)

    return {
        "zero phase": bulk("zero"),
        "random phase": bulk("random"),
        "Griffin-Lim, 50": bulk("random", 50, 0.0),
        "fast Griffin-Lim, 50": bulk("random", 50),
        "Griffin-Lim in a stream": lambda: streamed(magnitudes, stft)[:n],
        "phase gradient": bulk(gradient),
        "phase gradient, in a stream": lambda: stream(gradient()),
        "phase gradient, fast Griffin-Lim": bulk(gradient, 50),
        "learnt": bulk(learnt),
        "learnt, in a stream": lambda: stream(learnt),
        BEST: bulk(learnt, 50),
    }


def measured(true: np.ndarray, found: np.ndarray, stft: STFT) -> Figures:
    """Error of magnitudes in dB, and mean distances of phases (0 to 1, random: 1/2), weighted with true amplitudes.

    true, found: spectra (n_frames, n_bins). ``phase_distance`` is measured after the best common shift; ``in_time``
    and ``in_frequency`` are the distances of phase differences, see :func:`distances_of`.
    """
    phases, others = np.angle(true), np.angle(found)
    shift_free = phase_distance_up_to_shift(phases, others, np.abs(true))
    distances = distances_of(phase_differences(others, stft), true, stft)
    return {
        "convergence_db": spectral_convergence_db(true, found),
        "phase_distance": shift_free,
        "in_time": distances["said_in_time"],
        "in_frequency": distances["said_in_frequency"],
    }


def distances_of(guess: Differences, true: np.ndarray, stft: STFT) -> Figures:
    """Mean distances of phase differences from those of the true spectra (n_frames, n_bins), in time and frequency.

    Each difference is weighted with the geometric mean of the two true amplitudes.
    """
    right = phase_differences(np.angle(true), stft)
    a = np.abs(true)
    return {
        "said_in_time": mean_phase_distance(right.time[1:], guess.time[1:], np.sqrt(a[1:] * a[:-1])),
        "said_in_frequency": mean_phase_distance(
            right.frequency[:, 1:], guess.frequency[:, 1:], np.sqrt(a[:, 1:] * a[:, :-1])
        ),
    }


def averaged(rows: list[Figures]) -> Figures:
    """Means of the figures over the places, to four significant digits."""
    return {key: float(f"{np.mean([row[key] for row in rows]):.4g}") for key in rows[0]}


def plot_spectra(spectra: np.ndarray, differences: Differences, stft: STFT, folder: Path) -> None:
    """Plot the blog's two pictures, amplitude and phase, and the true and the predicted phase differences."""
    n_frames, n_bins = min(len(spectra), 125), min(stft.n_bins, 129)
    part = np.s_[:n_frames, :n_bins]
    plots.spectral_panels(
        {
            "Amplitude": np.abs(spectra)[part],
            "Phase": plots.Angles(np.angle(spectra)[part]),
            "Phase less that of the frame before and the bin's own turn": plots.Angles(
                phase_differences(np.angle(spectra), stft).time[part]
            ),
            "The same, predicted from the amplitude": plots.Angles(differences.time[part]),
        },
        stft.times_s(n_frames),
        stft.frequencies_hz()[:n_bins],
        folder / "spectra.png",
    )


def plot_curve(done: Run, folder: Path) -> None:
    """Plot the learning curve."""
    title = "Differences of phases from magnitudes"
    plots.learning_curve(done.history, folder / "learning-curve.png", quantity="phase distance", title=title)


def claim(figures: Figures) -> dict[str, str]:
    """The row of the table of claims."""
    db = {name: f"{row['convergence_db']:.1f}" for name, row in figures["methods"].items()}
    return {
        "says": "see if phase reconstruction is possible using the amplitude",
        "2016": "no result: \"I don't believe that there's a model that can reproduce such a thing\"",
        "ours": f"it is: spectral convergence {db['learnt']} dB by a learnt model alone, {db[BEST]} dB with 50 "
        f"iterations of fast Griffin-Lim after it ({db['fast Griffin-Lim, 50']} dB from random phase, "
        f"{db['random phase']} dB random phase alone)",
        "why": "differences of phases can be read off the amplitude, phases themselves cannot",
    }


def keep(options: Options, figures: Figures) -> None:
    """Record the figures and the pictures of a full run."""
    settings = options.settings | {"window_s": WINDOW_S, "hop_s": HOP_S}
    record(options.name, {"settings": settings, **figures, "claims": [claim(figures)]})
    for picture in ("methods", "spectra"):
        shutil.copy(options.folder / f"{picture}.png", FOLDER / "pictures" / f"{options.name}-{picture}.png")
