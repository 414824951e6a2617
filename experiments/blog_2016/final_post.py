"""Final post: a larger LSTM, interrupted and resumed with another training subset; good for two seconds, then stuck.

    rnnaudio experiment run final-post [--smoke]

An LSTM 400-200-200-200, with BPTT over 2 s, is trained on one half of the pieces, interrupted, and resumed on the
other half, which gives "the step in the train curve". Then it continues 1 s of a test piece for a minute. The figures
are how long the sound stays alive, and when it reaches a fixed point or a cycle.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from experiments.shared.on_corpus import CORPUS, Figures, complete, full_or_tiny
from experiments.shared.records import FOLDER, record
from rnnaudio import plots
from rnnaudio.audio import write_wav
from rnnaudio.data import AudioCorpus, RandomWindows, Split, fixed_windows
from rnnaudio.diagnostics.free_run import repetition
from rnnaudio.generation import Stepper, generate
from rnnaudio.metrics import Alive
from rnnaudio.nn import Layer
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import RMSprop
from rnnaudio.runs.frames.build import build_model
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.judging import judge
from rnnaudio.training import EarlyStopping, Limits, Run, train

CONFIG = FramesConfig(
    model=ModelConfig.of(n_layers=3, units=(400, 200, 200), peepholes=True, forget_bias=0.0, weights="gaussian_2016"),
    frame_size=200, n_steps=160, batch_size=16,
)  # fmt: skip
EVERY = 25  # updates


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the run; its model is fixed in the module."""

    corpus: Path = CORPUS
    run_dir: Path = Path("runs/final-post")
    n_updates: int = 400
    n_steps: int = CONFIG.n_steps
    batch_size: int = CONFIG.batch_size
    seconds: float = 60.0  # of the continuation
    smoke: bool = False  # two updates on the piano in the package; nothing is recorded


def halves(split: Split) -> tuple[Split, Split]:
    """The first and the second half of the pieces of a split; if there is only one piece, its two halves."""
    if len(split.pieces) == 1:
        return split.cut(0.5)
    middle = len(split.pieces) // 2
    first, second = split.pieces[:middle], split.pieces[middle:]
    return Split(split.name, first, split.sample_rate_hz), Split(split.name, second, split.sample_rate_hz)


def fit(corpus: AudioCorpus, options: Options) -> tuple[Layer, Any]:
    """Train on the first half of the pieces for half of the updates, then resume on the second half.

    Returns (model, run). Raises the errors of :func:`complete` if either half is interrupted or breaks down.
    """
    n_updates = options.n_updates
    sizes = {"frame_size": CONFIG.frame_size, "n_steps": options.n_steps, "batch_size": options.batch_size}
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
            run_dir=options.run_dir,
            seed=CONFIG.seed,
            resume=True,
            on_validation=lambda row: None,
        )
        complete(run)
    return model, run


def in_equal_epochs(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The history, converted to epochs of the first subset throughout, because the two halves differ in length."""
    per_epoch = history[0]["updates"] / history[0]["epoch"]
    return [{**row, "epoch": row["updates"] / per_epoch} for row in history]


def step_in_the_curve(history: list[dict[str, Any]], n_updates: int, figure: str) -> float:
    """Change of a loss in dB at the change of the training subset; figure: ``train`` or ``valid``.

    10 log10 (first loss on the second subset / last loss on the first).
    """
    before = [row[figure] for row in history if row["updates"] <= n_updates // 2]
    after = [row[figure] for row in history if row["updates"] > n_updates // 2]
    return float(10.0 * np.log10(after[0] / before[-1]))


def seconds_to_standstill(generated: np.ndarray, rate_hz: int) -> float | None:
    """Seconds after which the generated samples, (n,), only repeat; None if they never do.

    They repeat frame by frame, at a fixed point or in a cycle of up to 64 frames. Frames count as equal if the rms of
    their difference is at most a thousandth of the rms of the last quarter of all frames; see
    :func:`rnnaudio.diagnostics.free_run.repetition`.
    """
    n = CONFIG.frame_size
    _, since = repetition(generated[: len(generated) // n * n].reshape(-1, n))
    return round(since * n / rate_hz, 3) if np.isfinite(since) else None


def level_db(sound: np.ndarray) -> float:
    """Level of a sound in dB: 10 log10 (mean square + 1e-12), which is -120 dB for silence."""
    return round(float(10.0 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-12)), 1)


def play(model: Layer, corpus: AudioCorpus, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Continue the first second of a test piece; returns (prime, continuation, recording, reason).

    The sounds are (n,) samples on the scale -1 to 1. The recording is what follows the prime in the piece, up to 3 s.
    reason: why generation stopped early; empty if it did not.
    """
    rate = corpus.sample_rate_hz
    stretch = corpus.test.first(min(4.0, corpus.test.seconds))
    seed, ahead = stretch[:rate], stretch[rate:]
    played = generate(Stepper(model), seed, n_samples=round(seconds * rate), progress=True)
    restored = [corpus.restore(part) for part in (seed, played.audio[played.n_prime :], ahead)]
    return restored[0], restored[1], restored[2], played.stopped


def plot_curve(run: Run, options: Options) -> None:
    """Plot the learning curve, with the change of the subset marked."""
    history = in_equal_epochs(run.history)
    change = max(row["epoch"] for row in history if row["updates"] <= options.n_updates // 2)
    plots.learning_curve(
        history,
        options.run_dir / "learning-curve.png",
        quantity="normalised MSE",
        decibel=True,
        title="LSTM 400-200-200-200, broken off and resumed",
        changes={"from here on the other half of the pieces": change},
    )


def in_words(run: Run, n_updates: int, still: float | None, alive: Alive) -> str:
    """Format the outcome of the run. still: seconds until the sound only repeats; None if it never does."""
    return (
        f"validation {run.stopping.best_loss:.3g} of the variance; the training figure moved by "
        f"{step_in_the_curve(run.history, n_updates, 'train'):+.1f} dB at the change of subset, validation by "
        f"{step_in_the_curve(run.history, n_updates, 'valid'):+.1f} dB; "
        f"{'no fixed point within a minute' if still is None else f'fixed point or cycle after {still:.1f} s'}; kept "
        f"sounding {alive.seconds:.1f} s ({alive.reason or 'to the end'})"
    )


def main() -> None:
    """Train, generate, plot, record."""
    full_or_tiny(Options, {"n_updates": 2, "seconds": 2.0, "n_steps": 4, "batch_size": 2}, experiment, keep)


def keep(options: Options, figures: Figures) -> None:
    """Record the figures and two pictures."""
    for name in ("spectrogram", "learning-curve"):
        shutil.copy(options.run_dir / f"{name}.png", FOLDER / "pictures" / f"final-post-{name}.png")
    record("final-post", figures)


def experiment(options: Options, corpus: AudioCorpus) -> Figures:
    """Train, generate and plot; returns the figures."""
    model, run = fit(corpus, options)
    seed, generated, original, stopped = play(model, corpus, options.seconds)
    alive = judge(generated, corpus, stopped, seed)
    rate = corpus.sample_rate_hz
    write_wav(options.run_dir / "generated.wav", np.concatenate([seed, generated]), rate)
    shown = 3 * rate
    plots.spectrogram(seed, generated[:shown], original[:shown], rate, options.run_dir / "spectrogram.png")
    plot_curve(run, options)
    still = seconds_to_standstill(generated, rate)
    claim = {
        "says": "it generates something good for two seconds before getting stuck in a fixed point",
        "2016": "2 s",
        "ours": in_words(run, options.n_updates, still, alive),
        "why": "squared error fed back without noise; at the change the music is new to the model. Whether two "
        "seconds have to do with the length of the gradient was not tested",
    }
    print(f"{claim['ours']}")
    return {
        "claims": [claim],
        "alive_seconds": alive.seconds,
        "death": alive.reason,
        "seconds_to_standstill": still,
        "level_db": {
            "seed": level_db(seed),
            "after .25 s": level_db(generated[rate // 4 : rate // 2]),
            "after 1 s": level_db(generated[rate : 2 * rate]),
            "last second": level_db(generated[-rate:]),
        },
        "updates": run.n_updates,
        "minutes": round(run.seconds / 60, 1),
    }
