"""Final post: a larger LSTM, interrupted and resumed with another training subset; good for two seconds, then stuck.

    python -m experiments.final_post [--smoke]

LSTM 400-200-200-200 with 2 s of gradient, trained on one half of the pieces, broken off, and resumed on the other:
"the step in the train curve". Then from 1 s of a test piece it plays a minute: how long it lives, and when it reaches
its fixed point or cycle.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro

from experiments.claims import Options
from experiments.results import FOLDER, record
from experiments.strategies import CORPUS
from rnnaudio import plots
from rnnaudio.app.arguments import REGISTRY, parsed
from rnnaudio.app.build import build_model
from rnnaudio.app.config import ModelConfig, TrainConfig
from rnnaudio.app.outcome import judge
from rnnaudio.data import AudioCorpus, RandomWindows, Split, fixed_windows, write_wav
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import run_command
from rnnaudio.generation import Stepper, generate
from rnnaudio.nn import Layer
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import RMSprop
from rnnaudio.training import EarlyStopping, Limits, train

CONFIG = TrainConfig(
    model=ModelConfig(n_layers=3, units=(400, 200, 200), peepholes=True, forget_bias=0.0, weights="gaussian_2016"),
    frame_size=200, n_steps=160, batch_size=16,
)  # fmt: skip
UPDATES, EVERY = 400, 25
SECONDS = 60.0
STILL = 1e-2  # of the sound's range: frames that differ by less repeat each other


def halves(split: Split) -> tuple[Split, Split]:
    """The first and the second half of the pieces; of one piece, its two halves."""
    if len(split.pieces) == 1:
        return split.cut(0.5)
    middle = len(split.pieces) // 2
    first, second = split.pieces[:middle], split.pieces[middle:]
    return Split(split.name, first, split.sample_rate_hz), Split(split.name, second, split.sample_rate_hz)


def fit(corpus: AudioCorpus, folder: Path, n_updates: int, sizes: dict[str, int]) -> tuple[Layer, Any]:
    """Half of the updates on the first half of the pieces, then resumed with the others."""
    model = build_model(CONFIG)
    run: Any = None
    for phase, subset in enumerate(halves(corpus.train), 1):
        run = train(
            model,
            predict_next,
            RandomWindows(subset, seed=CONFIG.seed, **sizes),
            fixed_windows(corpus.valid, **sizes),
            optimizer=RMSprop(1e-3),
            stopping=EarlyStopping(1000),
            limits=Limits(n_updates * phase // 2, validate_every=max(1, min(EVERY, n_updates // 2))),
            run_dir=folder,
            seed=CONFIG.seed,
            resume=True,
            on_validation=lambda row: None,
        )
        if not run.is_complete:
            raise KeyboardInterrupt  # it is saved; called again, it goes on
    return model, run


def in_equal_epochs(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Epochs as long as those of the first subset throughout: the halves differ in length, and time runs one way."""
    per_epoch = history[0]["updates"] / history[0]["epoch"]
    return [{**row, "epoch": row["updates"] / per_epoch} for row in history]


def step_in_the_curve(history: list[dict[str, Any]], n_updates: int) -> float:
    """How much the training figure moved at the change of subset, in dB."""
    before = [row["train"] for row in history if row["updates"] <= n_updates // 2]
    after = [row["train"] for row in history if row["updates"] > n_updates // 2]
    return float(10.0 * np.log10(after[0] / before[-1]))


def seconds_to_standstill(generated: np.ndarray, rate_hz: int, longest_frames: int = 40) -> float | None:
    """When frames of .1 s begin to repeat, one by one or in a cycle of at most 4 s; None if they never do."""
    n = rate_hz // 10
    spectra = np.abs(np.fft.rfft(generated[: len(generated) // n * n].reshape(-1, n) * np.hanning(n), axis=1))
    range_ = float(np.linalg.norm(spectra, axis=1).max()) or 1.0
    for start in range(len(spectra) - longest_frames):
        rest = spectra[start:]
        for lag in range(1, min(longest_frames, len(rest) // 2) + 1):
            if np.linalg.norm(rest[lag:] - rest[:-lag], axis=1).max() < STILL * range_:
                return start * 0.1
    return None


def play(model: Layer, corpus: AudioCorpus, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Seed, generated and true sound on the scale of the recording, and why it stopped, if it did."""
    rate = corpus.sample_rate_hz
    stretch = corpus.test.first(min(4.0, corpus.test.seconds))
    seed, ahead = stretch[:rate], stretch[rate:]
    played = generate(Stepper(model), seed, n_samples=round(seconds * rate), progress=True)
    restored = [corpus.restore(part) for part in (seed, played.audio[played.n_seed :], ahead)]
    return restored[0], restored[1], restored[2], played.stopped


def main() -> None:
    """Train, play on, draw, record."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            path = build_demo_corpus(Path(folder) / "corpus.h5")
            print(experiment(path, Path(folder) / "run", 2, 1.0, {"frame_size": 200, "n_steps": 4, "batch_size": 2}))
        return
    sizes = {"frame_size": CONFIG.frame_size, "n_steps": CONFIG.n_steps, "batch_size": CONFIG.batch_size}
    folder = options.runs / "final-post"
    figures = experiment(options.corpus, folder, UPDATES, SECONDS, sizes)
    print(figures)
    if options.corpus == CORPUS:
        for name in ("spectrogram", "learning-curve"):
            shutil.copy(folder / f"{name}.png", FOLDER / "pictures" / f"final-post-{name}.png")
        record("final-post", figures)


def experiment(path: Path, folder: Path, n_updates: int, seconds: float, sizes: dict[str, int]) -> dict[str, Any]:
    """All of it; the figures."""
    with AudioCorpus.open(path) as corpus:
        model, run = fit(corpus, folder, n_updates, sizes)
        seed, generated, original, stopped = play(model, corpus, seconds)
        alive = judge(generated, corpus, stopped)
        rate = corpus.sample_rate_hz
    write_wav(folder / "generated.wav", np.concatenate([seed, generated]), rate)
    shown = 3 * rate
    plots.spectrogram(seed, generated[:shown], original[:shown], rate, folder / "spectrogram.png")
    history = in_equal_epochs(run.history)
    plots.learning_curve(history, folder / "learning-curve.png", quantity="normalised MSE", decibel=True)
    still = seconds_to_standstill(generated, rate)
    ours = (
        f"validation {run.stopping.best_loss:.3g} of the variance; the training figure moved by "
        f"{step_in_the_curve(run.history, n_updates):+.1f} dB at the change of subset; "
        f"{'no fixed point within a minute' if still is None else f'fixed point or cycle after {still:.1f} s'}; kept "
        f"sounding {alive.seconds:.1f} s ({alive.reason or 'to the end'})"
    )
    claim = {
        "says": "it generates something good for two seconds before getting stuck in a fixed point",
        "2016": "2 s",
        "ours": ours,
        "why": "squared error fed back without noise; the step in the curve is the other subset's difficulty",
    }
    return {
        "claims": [claim],
        "alive_seconds": alive.seconds,
        "death": alive.reason,
        "seconds_to_standstill": still,
        "updates": run.n_updates,
        "minutes": round(run.seconds / 60, 1),
    }


if __name__ == "__main__":
    run_command(main, "final_post")
