"""The blog's plan of 28 March 2016: "try the first strategy on the amplitude of the frequency domain".

    rnnaudio experiment run amplitude [--minutes 5] [--smoke]

The first strategy is to predict the next frame. Three models of equal width are trained on the same pieces for the
same number of updates:

    amplitude      log-magnitudes of overlapping Hann windows, 128 principal components, squared error
    distribution   the same input, but a Gaussian for each component, trained by its likelihood
    time           the samples of a hop, squared error, as in all runs of the blog

Each is an LSTM in parallel with a linear path that starts as the least-squares predictor from two frames. To compare
them, each runs freely after a prime of two seconds from test pieces, and its output is converted to log-magnitudes of
the windows of the recording (the samples of ``time`` are first appended to the recorded ones), so that their errors
are comparable at every distance ahead. Windows that begin after the last recorded sample contain nothing of the prime;
in earlier windows, ``time`` has the advantage that some samples are those of the recording.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.shared.on_corpus import CORPUS, complete, full_or_tiny
from experiments.shared.options import Figures, Named
from experiments.shared.records import FOLDER, record
from experiments.studies.spectral_runs import with_transform
from rnnaudio import plots
from rnnaudio.audio import STFT, LogScale, write_wav
from rnnaudio.audio.phase import griffin_lim, integrated, magnitude_differences
from rnnaudio.data import (
    AudioCorpus,
    RandomWindows,
    SpectralFrames,
    fixed_windows,
    spectra_of_hops,
    spectral_batch,
    steps_for,
)
from rnnaudio.diagnostics.baselines import LinearPrediction, contexts, linear_prediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper, continue_frames
from rnnaudio.nn import LSTM, Dense, Dropout, LinearPredictor, Noisy, Sequential, Sum
from rnnaudio.nn.initializers import constant
from rnnaudio.objectives import NextFrameDistribution, Strategy, predict_next
from rnnaudio.optimizers import Adam
from rnnaudio.runs.config import require_more_than_zero
from rnnaudio.runs.judging import judge
from rnnaudio.training import EarlyStopping, Limits, Run, WarmupCosine, train

SEED = 2016
N_STEPS, BATCH_SIZE = 48, 24
SECONDS_PRIME, SECONDS_AHEAD = 2.0, 1.0
TEMPERATURES = (0.5, 1.0)
KINDS = ("amplitude", "distribution", "time")


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Train, measure and generate with three models that predict the next frame."""

    stem: ClassVar[str] = "amplitude"
    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/ and the experiment's name
    window_s: float = 0.128  # the hop is a quarter
    n_units: int = 256
    n_components: int = 128
    input_noise: float = 0.15
    dropout: float = 0.3  # before the read-out
    max_updates: int = 1600
    minutes: float = 10.0  # of training, each model, at most
    n_places: int = 32  # of the test split, where errors are measured
    n_played: int = 4  # places that are continued
    seconds: float = 10.0  # of each continuation
    smoke: bool = False  # a few updates of small models on the piano in the package; nothing is recorded
    resume: bool = False

    def __post_init__(self) -> None:
        require_more_than_zero(
            self, "window_s", "n_units", "n_components", "max_updates", "minutes", "n_places", "n_played", "seconds"
        )
        if not (0.0 <= self.dropout < 1.0 and self.input_noise >= 0.0):
            raise RnnaudioError(
                f"dropout is {self.dropout}, input_noise {self.input_noise}; expected 0 or more, and dropout below 1"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A trained model of one kind; ``linear`` is the least-squares predictor that it started from."""

    kind: str
    stepper: Stepper
    scale: LogScale
    linear: LinearPrediction
    run: Run
    n_parameters: int

    @property
    def is_time(self) -> bool:
        return self.kind == "time"


TINY: dict[str, Any] = {
    "window_s": 0.032,
    "n_units": 4,
    "n_components": 6,
    "max_updates": 2,
    "n_places": 3,
    "n_played": 1,
    "seconds": 1.5,
}


def main() -> None:
    """Train, measure, generate, record."""
    full_or_tiny(Options, TINY, run, keep)


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train, measure and generate; returns the figures. Runs, pictures and sounds go to the run's folder."""
    stft = transform(options, corpus)
    options.check_resumed(options.folder)
    prime_and_ahead(options, corpus, stft), prime_and_played(options, corpus, stft)  # refuse short pieces now
    scale = LogScale.fit(corpus.train, stft, n_components=options.n_components)
    models = [trained(kind, scale, corpus, options) for kind in KINDS]
    errors, seconds = errors_ahead(models, corpus, options)
    quantity = "share of the variance of log-magnitudes left"
    title = f"Error after a prime of {SECONDS_PRIME:g} s, {options.n_places} places of test pieces"
    plots.error_by_horizon(errors, seconds, options.folder / "errors.png", quantity=quantity, title=title)
    n_overlapping = stft.window_samples // stft.hop_samples
    named = {"next_frame": 0, "first_frame_wholly_ahead": n_overlapping - 1, "a_second_ahead": len(seconds) - 1}
    figures: Figures = {
        "variance_lost_by_components": round(scale.lost, 4),
        "share_of_variance_left": {
            when: {name: float(f"{row[k]:.4g}") for name, row in errors.items()} for when, k in named.items()
        },
        "training": {m.kind: training_figures(m.run, m.n_parameters) for m in models},
        "played": played(models, corpus, options),
    }
    for part in ("share_of_variance_left", "training", "played"):
        for name, row in figures[part].items():
            print(f"{part}, {name}: {row}")
    return figures


def transform(options: Options, corpus: AudioCorpus) -> STFT:
    """The transform, with windows of exactly four hops at any sample rate, so that hops and windows are comparable."""
    hop = max(1, round(options.window_s / 4 * corpus.sample_rate_hz))
    return STFT(4 * hop, hop, sample_rate_hz=corpus.sample_rate_hz)


def trained(kind: str, scale: LogScale, corpus: AudioCorpus, options: Options) -> Trained:
    """Train a model of one of KINDS, or resume it with --resume.

    RnnaudioError if the frames are too large for linear prediction, if the run to resume has another transform, or if
    training breaks down; KeyboardInterrupt if it is interrupted.
    """
    print(f"---- {kind}", flush=True)
    stft = scale.stft
    n_steps = N_STEPS if kind == "time" else steps_for(N_STEPS, stft)
    sizes = {"frame_size": stft.hop_samples, "n_steps": n_steps, "batch_size": BATCH_SIZE}
    windows: Any = RandomWindows(corpus.train, seed=SEED, **sizes)
    batches = windows if kind == "time" else SpectralFrames(windows, scale)
    objective = NextFrameDistribution() if kind == "distribution" else predict_next
    linear = linear_prediction(
        predict_next.split(batches.batch(k).frames) for k in range(min(60, options.max_updates))
    )
    if linear is None:
        raise RnnaudioError(f"frames of {scale.n_features} values are too many for linear prediction: take fewer")
    model = build(linear, kind == "distribution", options)
    held_out = fixed_windows(corpus.valid, **sizes)
    held_out = held_out[:: -(-len(held_out) // 20)]
    done = train(
        model,
        objective,
        batches,
        held_out if kind == "time" else [spectral_batch(batch, scale) for batch in held_out],
        optimizer=Adam(2e-3, max_gradient_norm=1.0),
        schedule=WarmupCosine(2e-3, min(50, options.max_updates - 1), options.max_updates),
        stopping=EarlyStopping(20),
        run_dir=options.folder / kind,
        limits=Limits(options.max_updates, 60.0 * options.minutes, max(1, options.max_updates // 20)),
        seed=SEED,
        resume=options.resume,
        config=with_transform(options.folder / kind, stft),
    )
    print(f"training ended: {complete(done).reason}")
    plot_curve(done, objective, options.folder / kind)
    return Trained(kind, Stepper(model), scale, linear, done, model.n_parameters)


def build(linear: LinearPrediction, has_variance: bool, options: Options) -> Sum:
    """Build an LSTM, with input noise in training, in parallel with the linear path.

    It starts as the linear path alone. has_variance: also predict a log-variance for each value, which starts at 0.
    """
    n, rng = len(linear.bias), np.random.default_rng((SEED, 0, 2))  # 2: the purpose; batches draw from the same seed
    n_out = 2 * n if has_variance else n
    cell = Noisy(LSTM(n, options.n_units, rng=rng), std=options.input_noise)
    path = LinearPredictor(n, n_out)
    weight, bias = path.weight.get_value(), path.bias.get_value()
    weight[:, :n], bias[:n] = linear.weight, linear.bias
    path.weight.set_value(weight)
    path.bias.set_value(bias)
    read_out = Dense(options.n_units, n_out, rng=rng, weights=constant(0.0))
    return Sum(stack=Sequential([cell, Dropout(options.n_units, options.dropout), read_out]), linear=path)


def errors_ahead(
    models: list[Trained], corpus: AudioCorpus, options: Options
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Squared errors of log-magnitudes over their variance, by predictor; and the distances ahead in seconds.

    Errors and distances are (n_ahead,) each, one value per frame ahead. The error is summed over bins and averaged
    over places; the variance, over time and places, is summed over bins.
    """
    scale = models[0].scale
    hops, n_prime = prime_and_ahead(options, corpus, scale.stft)
    n_ahead = len(hops) - n_prime
    target = logs_of(hops, scale)
    n_known = len(target) - n_ahead
    target = target[n_known:]
    variance = np.var(target, axis=(0, 1)).sum()
    known = scale.scaled(np.abs(spectra_of_hops(hops[:n_prime], scale.stft)))
    predictions = {model.kind: predicted(model, hops[:n_prime], known, n_ahead) for model in models}
    last = logs_of(hops[:n_prime], scale)[-1]
    linear = rolled(models[0].linear, known, n_ahead)
    predictions |= {
        "linear prediction of log-magnitudes": scale.log_magnitudes(linear),
        "the last frame again": np.broadcast_to(last, target.shape),
        "the mean of all frames": np.broadcast_to(scale.mean, target.shape),
        "the truth through the components": scale.log_magnitudes(scale.scaled(scale_back(target, scale))),
    }
    errors = {name: np.sum((p - target) ** 2, axis=2).mean(axis=1) / variance for name, p in predictions.items()}
    return errors, np.arange(1, n_ahead + 1) * scale.stft.hop_samples / corpus.sample_rate_hz


def prime_and_ahead(options: Options, corpus: AudioCorpus, stft: STFT) -> tuple[np.ndarray, int]:
    """Hops of the test split where errors are measured, (time, places, hop), and the number of hops in the prime."""
    n_prime, n_ahead = (round(s * stft.rate()) // stft.hop_samples for s in (SECONDS_PRIME, SECONDS_AHEAD))
    return hops_of(corpus, options.n_places, n_prime + n_ahead, stft), n_prime


def prime_and_played(options: Options, corpus: AudioCorpus, stft: STFT) -> tuple[np.ndarray, int]:
    """Hops of recorded audio where primes are continued, (time, places, hop), and the number of hops in a prime.

    The hops also cover the continuation, and the hops after it into which its last windows extend.
    """
    n_prime, n_new = (round(s * stft.rate()) // stft.hop_samples for s in (SECONDS_PRIME, options.seconds))
    return hops_of(corpus, options.n_played, n_prime + n_new + overhang(stft), stft), n_prime


def overhang(stft: STFT) -> int:
    """Number of hops by which a window extends beyond its first hop."""
    return stft.offset // stft.hop_samples


def hops_of(corpus: AudioCorpus, n_places: int, n_hops: int, stft: STFT) -> np.ndarray:
    """Hops (n_hops, n_places, hop) of standardised audio from the test split; RnnaudioError if no piece is so long."""
    seconds = n_hops * stft.hop_samples / stft.rate()
    places = [corpus.test.prime_at(k, seconds) for k in range(n_places)]
    return np.stack(places).reshape(n_places, n_hops, stft.hop_samples).swapaxes(0, 1)


def predicted(model: Trained, hops: np.ndarray, known: np.ndarray, n_ahead: int) -> np.ndarray:
    """Log-magnitudes predicted by a free run at temperature 0, (n_ahead, places, n_bins).

    hops: the primes in samples, (time, places, hop). known: their scaled spectra, (n_frames, places, n_features).
    """
    if not model.is_time:
        return model.scale.log_magnitudes(continue_frames(model.stepper, known, n_ahead))
    new = continue_frames(model.stepper, hops, n_ahead)
    return logs_of(np.concatenate([hops, new]), model.scale)[-n_ahead:]


def logs_of(hops: np.ndarray, scale: LogScale) -> np.ndarray:
    """Log-magnitudes of all whole windows: samples (time, places, hop) -> (n_frames, places, n_bins)."""
    return np.log1p(scale.compression / np.sqrt(scale.stft.window_samples) * np.abs(spectra_of_hops(hops, scale.stft)))


def scale_back(logs: np.ndarray, scale: LogScale) -> np.ndarray:
    """Convert log-magnitudes back to magnitudes |X|, of the same shape."""
    return np.expm1(logs) * np.sqrt(scale.stft.window_samples) / scale.compression


def rolled(linear: LinearPrediction, known: np.ndarray, n_ahead: int) -> np.ndarray:
    """Free run of the linear prediction from two frames: known (time, places, n) -> (n_ahead, places, n)."""
    frames = list(known)
    for _ in range(n_ahead):
        frames.append((contexts(np.stack(frames[-2:]), 2) @ linear.weight + linear.bias)[-1])
    return np.stack(frames[-n_ahead:])


def played(models: list[Trained], corpus: AudioCorpus, options: Options) -> dict[str, Figures]:
    """Seconds that free runs stay alive, mean over the places, and how they end, by name of the sound.

    The sounds are those of each model (at temperatures 0, .5 and 1 if it predicts a distribution), the true amplitudes
    through the components, and the recording.
    """
    scale = models[0].scale
    hops, n_prime = prime_and_played(options, corpus, scale.stft)
    n_over = overhang(scale.stft)
    n_new = len(hops) - n_prime - n_over
    magnitudes = np.abs(spectra_of_hops(hops, scale.stft))
    hops, n_known = hops[: n_prime + n_new], n_prime - n_over
    begun = hops[:n_over]
    known, sounds = scale.scaled(magnitudes[:n_known]), {}
    for model in models:
        if model.is_time:
            sounds[model.kind] = np.concatenate(
                [hops[:n_prime], continue_frames(model.stepper, hops[:n_prime], n_new)]
            )
            continue
        for heat in (0.0, *TEMPERATURES) if model.kind == "distribution" else (0.0,):
            new = continue_frames(model.stepper, known, n_new + n_over, temperature=heat, seed=SEED)
            name = f"{model.kind}, temperature {heat:g}" if model.kind == "distribution" else model.kind
            sounds[name] = sounded(np.concatenate([magnitudes[:n_known], scale.magnitudes(new)]), scale.stft, begun)
    through = scale.magnitudes(scale.scaled(magnitudes))
    sounds["true amplitudes through the components"] = sounded(through, scale.stft, begun)
    sounds["the recording"] = hops
    return {name: judged(name, sound, n_prime, hops, corpus, options) for name, sound in sounds.items()}


def sounded(magnitudes: np.ndarray, stft: STFT, begun: np.ndarray) -> np.ndarray:
    """Convert magnitudes to samples by fast Griffin-Lim, started from the phases of the phase gradient.

    (n_frames, places, n_bins) -> (n_frames, places, hop). The first hops, which are covered by fewer windows than the
    rest, are replaced by ``begun``, (hops, places, hop); the last windows extend beyond the result.
    """
    result = np.empty((len(magnitudes), *begun.shape[1:]))
    result[: len(begun)] = begun
    for place in range(magnitudes.shape[1]):
        rows = magnitudes[:, place]
        start = integrated(rows, magnitude_differences(rows, stft), stft, seed=SEED)
        result[len(begun) :, place] = griffin_lim(rows, stft, start=start).reshape(-1, begun.shape[2])
    return result


def judged(
    name: str, sound: np.ndarray, n_prime: int, hops: np.ndarray, corpus: AudioCorpus, options: Options
) -> Figures:
    """Alive seconds and endings at all places; the sound and spectrogram of the first place go to the folder."""
    rate, lives = corpus.sample_rate_hz, []
    for place in range(sound.shape[1]):
        audio, true = (corpus.restore(all_hops[:, place].reshape(-1)) for all_hops in (sound, hops))
        seed, generated = np.split(audio, [n_prime * hops.shape[2]])
        lives.append(judge(generated, corpus, "", seed))
        if place == 0:
            stem = name.replace(", ", "-").replace(" ", "-")
            write_wav(options.folder / f"{stem}.wav", audio, rate)
            original = true[len(seed) :]
            path = options.folder / f"{stem}.png"
            plots.spectrogram(true[: len(seed)], generated, original, rate, path, title=name)
    ends = [life.reason.split(" (")[0] or "alive to the end" for life in lives]
    return {
        "alive_seconds": round(float(np.mean([life.seconds for life in lives])), 2),
        "ends": {end: ends.count(end) for end in sorted(set(ends))},
    }


def training_figures(done: Run, n_parameters: int) -> Figures:
    """The figures of a training run that are recorded."""
    best = min(done.history, key=lambda row: row["valid"])
    losses = {name: float(f"{best[name]:.4g}") for name in best if name.startswith("valid")}
    return {
        **losses,
        "n_parameters": n_parameters,
        "updates": done.n_updates,
        "minutes": round(done.seconds / 60, 2),
        "ended": done.reason,
    }


def plot_curve(done: Run, objective: Strategy, folder: Path) -> None:
    """Plot the learning curve."""
    quantity = (
        "nats a value" if isinstance(objective, NextFrameDistribution) else "error over the targets' mean square"
    )
    plots.learning_curve(done.history, folder / "learning-curve.png", quantity=quantity, title=folder.name)


def claim(figures: Figures) -> dict[str, str]:
    """Row of the claims table.

    The goal is an error, one second ahead, below the errors of the mean frame and of linear prediction.
    """
    left, lives = figures["share_of_variance_left"], figures["played"]
    ahead = left["first_frame_wholly_ahead"]
    linear = ahead["linear prediction of log-magnitudes"]
    later = left["a_second_ahead"]
    enough = later["amplitude"] < min(later["the mean of all frames"], later["linear prediction of log-magnitudes"])
    hot = "distribution, temperature 1"
    return {
        "says": "try the first strategy on the amplitude of the frequency domain to see if these model is enough "
        "(overlapping windows, logarithm)",
        "2016": "no result",
        "ours": f"{'yes' if enough else 'no'}: of the variance of the first window wholly ahead "
        f"{ahead['amplitude']} is left (linear prediction of the same {linear}, time domain {ahead['time']}, "
        f"the last frame again {ahead['the last frame again']}), after a second {later['amplitude']} (the mean of all "
        f"frames {later['the mean of all frames']}); in free run alive for "
        f"{lives['amplitude']['alive_seconds']} s by squared error, {lives[hot]['alive_seconds']} s sampled from the "
        f"distribution, {lives['time']['alive_seconds']} s in the time domain",
        "why": "squared error strikes one blurred chord again and again, and what is sampled sounds on as a texture, "
        "no onset of a note in its spectrogram",
    }


def keep(options: Options, figures: Figures) -> None:
    """Record the figures and the pictures of a full run."""
    settings = options.settings | {"hop_s": options.window_s / 4, "n_steps": N_STEPS, "batch_size": BATCH_SIZE}
    record(options.name, {"settings": settings, **figures, "claims": [claim(figures)]})
    for picture in ("errors", "amplitude", "distribution-temperature-1"):
        shutil.copy(options.folder / f"{picture}.png", FOLDER / "pictures" / f"{options.name}-{picture}.png")
