"""The last plan of 28 March 2016: "try the first strategy on the amplitude of the frequency domain".

    rnnaudio experiment run fourier [--cell gru|lstm] [--frames samples] [--defect-9] [--smoke]

Frames of 200 samples, without window or overlap, are converted to 101 magnitudes and scaled to -1 .. 1 by minimum and
maximum. BPTT covers 40 frames, and the state is carried through 10 such segments; the loss is the squared error of the
next frame. The phase is dropped, so the generated sound has phase zero and buzzes at the frame rate, 80 Hz, whatever
the model has learnt (defect 19).

``--frames samples``: the same network, batches and training, but on the samples of the frames. ``--defect-9``: the
training batcher provides the validation batches, so early stopping and the learning curve rely on sound that was
trained on. The validation batches hold 4 s instead of 20 s (320 frames would be 20 s if a frame had the 1000 samples
of earlier runs, which we take to be the reason).
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from experiments.shared.on_corpus import CORPUS, full_or_tiny
from experiments.shared.options import Named
from experiments.shared.records import FOLDER, record
from rnnaudio import plots
from rnnaudio.audio import MagnitudeScale, write_wav
from rnnaudio.data import (
    AudioCorpus,
    Batch,
    Batches,
    MagnitudeFrames,
    RandomRuns,
    fixed_windows,
)
from rnnaudio.generation import Stepper, generate
from rnnaudio.nn import GRU, LSTM, Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import Adam
from rnnaudio.runs.judging import judge
from rnnaudio.training import EarlyStopping, Evaluation, Limits, Run, train

FRAME, N_STEPS, N_SEGMENTS = 200, 40, 10
SEED = 2016
FRAMES_OF_DEFECT_9 = 320


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Options of a recurrent network on magnitudes."""

    stem: ClassVar[str] = "fourier-2016"
    always_named: ClassVar[tuple[str, ...]] = ("cell",)
    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/ and the experiment's name
    cell: Literal["gru", "lstm"] = "gru"
    n_units: int = 300
    batch_size: int = 32
    max_updates: int = 2000
    minutes: float = 8.0
    seconds: float = 10.0  # of the continuation
    frames: Literal["magnitudes_2016", "samples"] = "magnitudes_2016"  # samples: the same net on the sound itself
    defect_9: bool = False  # validate on training batches, 4 s of them
    smoke: bool = False  # a few updates of a small model on the piano in the package; nothing is recorded
    resume: bool = False


class Samples:
    """The identity, used in place of a :class:`MagnitudeScale`."""

    n_bins = FRAME

    def scaled(self, frames: np.ndarray) -> np.ndarray:
        return frames

    def audio(self, frames: np.ndarray) -> np.ndarray:
        return frames.reshape(-1)


Scale = MagnitudeScale | Samples


def main() -> None:
    """Train, generate, plot, record."""
    full_or_tiny(Options, {"n_units": 8, "batch_size": 4, "max_updates": 4, "seconds": 2.0}, run, keep)


def run(options: Options, corpus: AudioCorpus) -> dict[str, Any]:
    """Train, measure and generate; returns the figures. Curve, spectrogram and sound go to the run's folder."""
    options.check_resumed(options.folder)
    scale = MagnitudeScale.fit(corpus.train, FRAME) if options.frames == "magnitudes_2016" else Samples()
    held_out = on_held_out(scale, corpus, options.batch_size)
    model = build(options, scale.n_bins)
    sizes = {"frame_size": FRAME, "n_steps": N_STEPS, "batch_size": options.batch_size}
    runs = RandomRuns(corpus.train, n_segments=N_SEGMENTS, seed=SEED, **sizes)
    batches = MagnitudeFrames(runs, scale) if isinstance(scale, MagnitudeScale) else runs
    done = train(
        model,
        predict_next,
        batches,
        on_training_sound(batches) if options.defect_9 else held_out,
        optimizer=Adam(1e-3, max_gradient_norm=1.0),
        stopping=EarlyStopping(10),
        run_dir=options.folder,
        limits=Limits(options.max_updates, 60.0 * options.minutes, max(1, options.max_updates // 20)),
        seed=SEED,
        resume=options.resume,
    )
    print(f"training ended: {done.reason}")
    figures = measured(model, held_out, done) | listen(model, scale, corpus, options.folder, options.seconds)
    plot_curve(done, options)
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures


def build(options: Options, n_bins: int) -> Sequential:
    """Build the model: one recurrent layer and a linear read-out."""
    rng = np.random.default_rng((SEED, 0, 2))  # 2: the purpose; the batches draw from the same seed
    cell = {"gru": GRU, "lstm": LSTM}[options.cell]
    return Sequential([cell(n_bins, options.n_units, rng=rng), Dense(options.n_units, n_bins, rng=rng)])


def on_held_out(scale: Scale, corpus: AudioCorpus, batch_size: int) -> list[Batch]:
    """Batches of the validation split, without defect 9."""
    windows = fixed_windows(corpus.valid, frame_size=FRAME, n_steps=N_STEPS, batch_size=batch_size)
    return [Batch(scale.scaled(frames), resets) for frames, resets in windows]


def on_training_sound(batches: Batches) -> list[Batch]:
    """Validation batches with defect 9: the first ones of the training batcher, 320 frames instead of 1600 (20 s)."""
    first = batches.batch(0)
    n = max(1, FRAMES_OF_DEFECT_9 // N_STEPS)
    return [Batch(np.ascontiguousarray(first.frames[:, :n]), first.resets[:n])]


def measured(model: Sequential, held_out: list[Batch], done: Run) -> dict[str, Any]:
    """Squared error on the held-out frames, and its share of the variance and of the mean square of the targets.

    The variance of each bin (or sample) is the error of its mean over these *validation* targets, which is the best
    possible constant; the share that repeating the last frame leaves is given for comparison. Relative to the mean
    square, as in the learning curve, any error of magnitudes looks small, because nearly all values are close to -1.
    """
    inputs, targets = (
        np.concatenate([part.reshape(-1, model.n_out) for part in parts])
        for parts in zip(*(predict_next.split(batch.frames) for batch in held_out), strict=True)
    )
    power = float(np.mean(targets.astype(np.float64) ** 2))
    mse = Evaluation(model, predict_next)(held_out)["normalised_mse"] * power
    of_mean = float(np.mean(np.var(targets, axis=0, dtype=np.float64)))
    of_last = float(np.mean((targets - inputs) ** 2, dtype=np.float64))
    return {
        "mse": float(f"{mse:.4g}"),
        "share_of_variance_left": round(mse / of_mean, 4),
        "share_of_variance_left_by_repeating_the_last_frame": round(of_last / of_mean, 4),
        "share_of_mean_square_left": round(mse / power, 5),
        "median_of_targets": round(float(np.median(targets)), 4),
        "best_validation_of_training": done.stopping.best_loss,
        "updates": done.n_updates,
        "minutes": round(done.seconds / 60, 2),
        "ended": done.reason,
    }


def listen(model: Sequential, scale: Scale, corpus: AudioCorpus, folder: Path, seconds: float) -> dict[str, Any]:
    """Continue a second of the test split, and judge the result; write sounds and spectrogram to the folder.

    Magnitudes are converted to sound with phase zero. The recorded continuation, converted in the same way, is judged,
    too. seconds: length of the continuation, rounded down to whole frames.
    """
    rate = corpus.sample_rate_hz
    n_seed, n_new = rate // FRAME, round(seconds * rate) // FRAME
    stretch = corpus.test.prime_at(0, (n_seed + n_new) * FRAME / rate)
    true = scale.scaled(stretch.reshape(-1, FRAME))
    title = "Magnitudes of 2016, played with phase zero" if isinstance(scale, MagnitudeScale) else "Frames of samples"
    played = generate(Stepper(model), true[:n_seed].reshape(-1), n_samples=n_new * scale.n_bins)
    frames = played.audio.reshape(-1, scale.n_bins)[n_seed:]
    seed, original = np.split(corpus.restore(stretch), [n_seed * FRAME])
    seed_played_back = corpus.restore(scale.audio(true[:n_seed]))
    generated = corpus.restore(scale.audio(frames))
    n_clipped = write_wav(folder / "generated.wav", np.concatenate([seed_played_back, generated]), rate)
    write_wav(folder / "original.wav", np.concatenate([seed, original]), rate)
    plots.spectrogram(seed, generated, original, rate, folder / "spectrogram.png", title=title)
    alive = judge(generated, corpus, played.stopped, seed_played_back)
    truth = judge(corpus.restore(scale.audio(true[n_seed:])), corpus, "", seed_played_back)
    return {
        "alive_seconds": alive.seconds,
        "death": alive.reason,
        "true_frames_played_back_alive_seconds": truth.seconds,
        "true_frames_played_back_death": truth.reason,
        "clipped_samples": n_clipped,
    }


def plot_curve(done: Run, options: Options) -> None:
    """Plot the learning curve with the run's own validation losses."""
    where = "training sound (defect 9)" if options.defect_9 else "held-out pieces"
    path = options.folder / "learning-curve.png"
    quantity = "error over the targets' mean square"
    plots.learning_curve(done.history, path, quantity=quantity, title=f"Validated on {where}")


def claim(figures: dict[str, Any]) -> dict[str, str]:
    """The plan of the blog and its outcome, as a row of the table of claims."""
    left, repeated = (figures[f"share_of_variance_left{of}"] for of in ("", "_by_repeating_the_last_frame"))
    return {
        "says": "try the first strategy on the amplitude of the frequency domain, to see if it is enough",
        "2016": "scripts, no result",
        "ours": f"{left} of the variance of the held-out frames is left; repeating the last frame leaves {repeated}",
        "why": "magnitudes scaled by the loudest of all are nearly all -1, so the cost looks tiny whatever is learnt",
    }


def keep(options: Options, figures: dict[str, Any]) -> None:
    """Record the figures and the pictures of a full run."""
    record(options.name, {"settings": options.settings, **figures, "claims": [claim(figures)]})
    for picture in ("learning-curve", "spectrogram"):
        shutil.copy(options.folder / f"{picture}.png", FOLDER / "pictures" / f"{options.name}-{picture}.png")
