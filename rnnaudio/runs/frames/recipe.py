"""Runs over frames: predict the next frame of samples, or reconstruct the current one, by squared error."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rnnaudio.data import AudioCorpus, Batch, Batches, RandomWindows, fixed_windows
from rnnaudio.data.corpus import Scale, Split
from rnnaudio.diagnostics import BatchCheck, LinearPrediction, baselines, check_batch, linear_prediction
from rnnaudio.diagnostics.subject import Subject
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Network
from rnnaudio.generation import OutputNoise, Stepper, continued_blocks
from rnnaudio.metrics import in_decibel, scores_in_decibel
from rnnaudio.nn import GaussianNoise, Layer, LinearPredictor, MemoryLSTM, Noisy
from rnnaudio.objectives import STRATEGIES, Strategy
from rnnaudio.optimizers import Optimizer
from rnnaudio.records import Record
from rnnaudio.registry import resolve
from rnnaudio.runs.continuing import AS_TRAINED, LoadedRun, SamplingOptions
from rnnaudio.runs.defects import present_in
from rnnaudio.runs.frames.batchers import BATCHERS
from rnnaudio.runs.frames.build import (
    build_judging,
    build_model,
    build_optimizer,
    build_schedule,
    build_stopping,
    build_strategy,
)
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.frames.fixed import FIXED
from rnnaudio.runs.frames.network import frames_network
from rnnaudio.runs.frames.page import frames_page
from rnnaudio.runs.frames.remedies import remedy
from rnnaudio.runs.judging import Sound
from rnnaudio.runs.lengths import Need, Needs
from rnnaudio.runs.recipe import Fitting, Page, Prepared, Recipe, subject_of
from rnnaudio.runs.record import SavedRun, open_known
from rnnaudio.training import Limits, LinearAnnealing
from rnnaudio.training.memory import check_memory, in_bytes
from rnnaudio.training.resuming import set_model

N_BASELINE_WINDOWS = 3200  # for any batch size: the linear baseline must not depend on it
MOST_BASELINE_FRAMES = 256_000  # fewer windows if they are long
MOST_PAIR_SAMPLES = 1 << 22
N_CHECKED_BATCHES = 100
SAME_PIECES_SHARE = 0.1
MOST_TOY_STEPS = 64
LEAST_TOY_FRAMES, LEAST_TOY_WINDOWS = 320, 4


@dataclass(frozen=True)
class FramesRun(LoadedRun):
    """A trained run over frames; it predicts frames, and does not sample them from a distribution."""

    config: FramesConfig

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        return open_known(self.record["config"]["corpus"], path, lambda where: open_corpus(where, self.config))

    @property
    def strategy(self) -> Strategy:
        return build_strategy(self.config)

    @property
    def output_noise_std(self) -> float:
        """Root mean squared error of the best parameters on the validation windows, in units of standardised samples.

        0 if the run was never validated. RnnaudioError for a run of an early version, whose record lacks the power of
        the validation windows.
        """
        power = self.record["config"].get("validation_power")
        if power is None:
            raise RnnaudioError("the run has no record of how loud its validation windows are: train anew for noise")
        return float(np.sqrt((self.best_validation_loss or 0.0) * power))

    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue the primes, see the base class; ``at_once`` has no effect, because generation takes little time.

        If a frame of a stream has a sample that is not finite, this frame and all later ones of the stream are NaN;
        once this holds for all streams, there are no more blocks. RnnaudioError if an option of sampling is set.
        """
        _refuse(sampling)
        return continued_blocks(self._stepper(), primes, n_samples=n_samples, **self._options())

    def networks(self) -> dict[str, Network]:
        noise = self.output_noise_std if self.config.generation_noise else 0.0
        return {"": frames_network(self.model, self.config, noise)}

    def _stepper(self) -> Stepper:
        return Stepper(self.model, noise_seed=self.config.seed if self.config.noise_in_evaluation else None)

    def _options(self) -> dict[str, Any]:
        """Return the arguments of :func:`continued_blocks` that the config sets.

        noise: noise added to the outputs, or None. two_functions: True for the faulty generation of 2016.
        """
        c = self.config
        return {
            "noise": OutputNoise(self.output_noise_std, c.seed) if c.generation_noise else None,
            "two_functions": c.generation == "two_functions_2016",
        }


def _refuse(sampling: SamplingOptions) -> None:
    """Raise RnnaudioError if an option of sampling is set."""
    if sampling != AS_TRAINED:
        raise RnnaudioError(
            "this run predicts the next frame and samples nothing: leave --temperature, --top-k, --nucleus and "
            "--sampling-seed out (runs over codes and samples take them)"
        )


class FramesRecipe(Recipe[FramesConfig]):
    """The recipe of runs over frames of samples: recurrent layers and a read-out, trained by squared error."""

    name = "frames"
    key = "train"
    Config = FramesConfig
    quantity = "normalised MSE"
    decibel = True
    fixed: ClassVar = FIXED
    meaning: ClassVar = {"scaling"}

    def open_corpus(self, path: Path, config: FramesConfig) -> AudioCorpus:
        return open_corpus(path, config)

    def may_change(self, config: FramesConfig) -> Set[str]:
        """Return the names of the settings that may differ when a run is resumed: those of the base class.

        ``max_updates`` is excluded if the schedule is cosine, because the learning rate then depends on it.
        """
        return super().may_change(config) - ({"max_updates"} if config.schedule == "cosine" else set())

    def more_patience(self, config: FramesConfig) -> str:
        return super().more_patience(config) if config.stopping == "patience" else "--stopping patience"

    def in_words(self, loss: float) -> str:
        return in_decibel(loss)

    def prime_seconds(self, config: FramesConfig, sample_rate_hz: int) -> float:
        """Return one second, or the length of a frame in seconds if that is longer."""
        return max(1.0, config.frame_size / sample_rate_hz)

    def needs(self, config: FramesConfig, corpus: AudioCorpus) -> Needs:
        to_train, to_validate = train_and_valid(corpus, config)
        window = (config.n_steps + 1) * config.frame_size
        sizes = {"frame_size": config.frame_size, "n_steps": config.n_steps, "batch_size": config.batch_size}
        span_of = getattr(resolve(BATCHERS[config.batches]), "span_of", None)  # a batcher of one's own may have none
        span = span_of(**sizes) if span_of else window
        settings = "n_steps or frame_size"
        of_batch = "n_steps, frame_size or batch_size" if span > window else settings
        return Needs(Need(to_train, span, of_batch), Need(to_validate, window, settings))

    def least_prime_samples(self, config: FramesConfig) -> int:
        return config.frame_size

    def prepare(self, config: FramesConfig, corpus: AudioCorpus, run_dir: Path | None = None) -> Prepared:
        """Prepare a training: build the model, check the shift from input to target on a batch, measure the baselines.

        The results of check and baselines are printed. RnnaudioError if a training step needs more memory than is
        available (tested before the music is read), if the music is silent or too short, or if the check fails.
        """
        strategy, model, optimizer = build_strategy(config), built(config), build_optimizer(config)
        steps = {"n_steps": config.n_steps, "batch_size": config.batch_size}
        memory = check_memory(model, strategy, optimizer, segment_steps=config.segment_steps, **steps)
        batches, validation, training = windows(corpus, config)
        check = _checked(strategy, batches, config)
        print(check if check.passed else f"{check}; trained all the same, for target_shift is {config.target_shift}")
        linear = _linear_prediction(strategy, training, config)
        start_from_linear_prediction(model, linear)
        scores = baselines(pairs(strategy, validation), linear)
        print(f"validation baselines: {scores_in_decibel(scores)}")
        print(f"a step needs about {in_bytes(memory.total)} of memory")
        measured = {
            "baselines": scores,
            "validation_power": power(target for _, target in pairs(strategy, validation)),
            "defects": [defect.name for defect in present_in(config)],
        }
        return Prepared(
            model,
            strategy,
            batches,
            validation,
            fitting(config, model),
            training.pieces,
            1.0,
            measured,
            promised=STRATEGIES[config.strategy],
        )

    def load(self, config: FramesConfig, saved: SavedRun) -> FramesRun:
        # The saved parameters replace the initial ones, so the fastest initializer will do.
        wide = config.model.kind.wide_as_frame
        quick = dataclasses.replace(config.model, weights="gaussian_2016" if wide else "usual")
        rng = saved.sparing_generator()
        rng.spend(config.model.linear_skip, config.frame_size, config.frame_size)
        model = build_model(dataclasses.replace(config, model=quick), rng)
        set_model(model, saved.parameters(), saved.path)
        return FramesRun(config, model, saved.record)

    def page(self, run: LoadedRun, corpus: AudioCorpus, sound: Sound, folder: Path) -> Page:
        return frames_page(run, corpus, folder)

    def subject(self, run: LoadedRun, corpus: AudioCorpus, run_dir: Path | None = None) -> Subject:
        """Make the subject of a diagnosis; skips the checks of :meth:`prepare`, since the diagnosis makes its own."""
        config = run.config
        batches, validation, training = windows(corpus, config)
        parts = fitting(config, run.model)
        if parts.on_update:
            parts.on_update(run.record.get("n_updates", 0))
        strategy = build_strategy(config)
        measured: Record = {"baselines": run.record.get("config", {}).get("baselines", {})}
        prepared = Prepared(run.model, strategy, batches, validation, parts, training.pieces, 1.0, measured)
        subject = subject_of(run, prepared, corpus, self.prime_seconds(config, corpus.sample_rate_hz))
        return dataclasses.replace(subject, optimizer=claimed_optimizer(config), play=frame_player(run))

    def remedy(self, cause: str, config: FramesConfig, rate_factor: float = 1.0) -> str:
        return remedy(cause, config, rate_factor)

    def toy(self, config: FramesConfig) -> FramesConfig:
        """Return the config with a constant learning rate, and sequences of at most 64 steps after the burn-in."""
        n_steps = min(config.n_steps, MOST_TOY_STEPS + config.burn_in)
        return dataclasses.replace(config, n_steps=n_steps, schedule="constant")

    def toy_sizes(self, config: FramesConfig) -> tuple[int, int]:
        window = (config.n_steps + 1) * config.frame_size + config.batch_size
        return config.frame_size, max(LEAST_TOY_FRAMES * config.frame_size, LEAST_TOY_WINDOWS * window)

    def toy_scale(self, config: FramesConfig, audio: np.ndarray) -> Scale:
        if config.scaling == "min_max_2016":
            return Scale(float(audio.max() + audio.min()) / 2.0, float(np.ptp(audio)) / 2.0)
        return super().toy_scale(config, audio)


FRAMES = FramesRecipe()


# ---------------------------------------------------------------- corpus, windows, checks


def open_corpus(path: Path, config: FramesConfig) -> AudioCorpus:
    """Open a corpus with samples on the scale that the setting ``scaling`` selects."""
    corpus = AudioCorpus.open(path)
    return corpus.min_max_2016() if config.scaling == "min_max_2016" else corpus


def train_and_valid(corpus: AudioCorpus, config: FramesConfig) -> tuple[Split, Split]:
    """Return the pieces to train on and those to validate on, as selected by the setting ``validation``."""
    if config.validation == "same_pieces":
        return corpus.train.cut(SAME_PIECES_SHARE)
    return corpus.train, corpus.train if config.validation == "training" else corpus.valid


def windows(corpus: AudioCorpus, config: FramesConfig) -> tuple[Batches, list[Batch], Split]:
    """Return the training batches, the fixed validation batches, and the training split.

    RnnaudioError if all validation windows are silent, or if all pieces of a split are shorter than a window.
    """
    sizes = {"frame_size": config.frame_size, "n_steps": config.n_steps, "batch_size": config.batch_size}
    to_train, to_validate = train_and_valid(corpus, config)
    batches: Batches = resolve(BATCHERS[config.batches])(to_train, seed=config.seed, **sizes)
    validation = fixed_windows(to_validate, **sizes)
    if not any(np.ptp(batch.frames) for batch in validation):
        raise RnnaudioError(f"the validation pieces of {corpus.path} are silent; build it with music in that split")
    return batches, validation, to_train


def fitting(config: FramesConfig, model: Layer) -> Fitting:
    """Make the training rules of a config: optimizer, schedule, limits, stopping rule, and the noise of ``model``."""
    return Fitting(
        build_optimizer(config),
        build_stopping(config),
        Limits(config.max_updates, config.minutes * 60.0, config.validate_every),
        config.seed,
        build_schedule(config),
        config.segment_steps,
        build_judging(config),
        annealing(model, config),
    )


def _linear_prediction(strategy: Strategy, training: Split, config: FramesConfig) -> LinearPrediction | None:
    """Fit the linear baseline to random windows of the training split; None for very wide frames.

    The number of windows hardly depends on the batch size.
    """
    sizes = {"frame_size": config.frame_size, "n_steps": config.n_steps, "batch_size": config.batch_size}
    anywhere = RandomWindows(training, seed=config.seed, **sizes)
    n_windows = min(N_BASELINE_WINDOWS, math.ceil(MOST_BASELINE_FRAMES / config.n_steps))
    some = (anywhere.batch(k) for k in range(math.ceil(n_windows / config.batch_size)))
    return linear_prediction(pairs(strategy, some), n_frames=config.model.linear_skip or 2)


def built(config: FramesConfig) -> Layer:
    """Build the model of a config with its initial parameters; RnnaudioError if it does not fit into memory."""
    try:
        return build_model(config)
    except MemoryError as error:
        message = f"the model alone is larger than the memory ({error}): lower n_units or n_layers"
        raise RnnaudioError(message) from error


def pairs(strategy: Strategy, batches: Iterable[Batch]) -> Iterator[tuple[Any, Any]]:
    """Yield (input, target) arrays, (time, batch, n) each; large batches are split by sequence, to save memory."""
    for batch in batches:
        n_parts = -(-batch.frames.size // MOST_PAIR_SAMPLES)
        for frames in np.array_split(batch.frames, min(n_parts, batch.frames.shape[1]), axis=1):
            yield strategy.split(frames)


def power(arrays: Iterable[np.ndarray]) -> float:
    """Compute the mean of the squares of all elements of the arrays."""
    squares, n = zip(*((np.sum(np.square(a, dtype=np.float64)), a.size) for a in arrays), strict=True)
    return float(sum(squares) / sum(n))


def _checked(strategy: Strategy, batches: Batches, config: FramesConfig) -> BatchCheck:
    """Check the shift from input to target in the first batch that is not silent; returns the result.

    RnnaudioError if the shift is not that of the strategy and the config does not set ``target_shift``, or if the
    first 100 batches are silent.
    """
    sounding = (b for b in map(batches.batch, range(N_CHECKED_BATCHES)) if np.ptp(b.frames, axis=0).any())
    batch = next(sounding, None)
    if batch is None:
        raise RnnaudioError(f"the first {N_CHECKED_BATCHES} batches are silent; train on music")
    check = check_batch(strategy, batch)._replace(expected=STRATEGIES[config.strategy].shift)
    if not check.passed and config.target_shift is None:
        raise RnnaudioError(f"{check}: the strategy is wired wrongly")
    return check


def start_from_linear_prediction(model: Layer, linear: LinearPrediction | None) -> None:
    """Set the linear skip path of a model, if it has one, to a linear prediction; None: no change."""
    if linear is None:
        return
    for _, layer in model.layers():
        if isinstance(layer, LinearPredictor):
            layer.weight.set_value(linear.weight.astype(layer.weight.dtype))
            layer.bias.set_value(linear.bias.astype(layer.bias.dtype))


def annealing(model: Layer, config: FramesConfig) -> Callable[[int], None] | None:
    """Make a function (update) that sets the standard deviations of the model's noise; None for constant noise."""
    if not config.anneal_noise_over:
        return None
    factor, m = LinearAnnealing(1.0, 0.0, config.anneal_noise_over), config.model
    gates = getattr(m.options, "layer_noise", 0.0)
    stds = {Noisy: (m.input_noise, m.state_noise), MemoryLSTM: (gates,), GaussianNoise: (m.readout_noise,)}
    noisy: list[Any] = [layer for _, layer in model.layers() if type(layer) in stds]

    def set_noise(update: int) -> None:
        for layer in noisy:
            layer.set_std(*(std * factor(update) for std in stds[type(layer)]))

    return set_noise


# ---------------------------------------------------------------- for the diagnosis


def claimed_optimizer(config: FramesConfig) -> Optimizer:
    """Make the optimizer that the run was meant to have: RMSprop for ``rmsprop_2016``, otherwise the config's own."""
    claimed = "rmsprop" if config.optimizer == "rmsprop_2016" else config.optimizer
    return build_optimizer(dataclasses.replace(config, optimizer=claimed))


def frame_player(run: LoadedRun) -> Callable[[np.ndarray, int], np.ndarray]:
    """Make a function (prime (time, n), n_frames) -> generated frames (n_frames, n); NaN once they are not finite."""

    def play(true: np.ndarray, n_frames: int) -> np.ndarray:
        n = true.shape[1]
        (result,) = run.continue_primes([np.ravel(true)], n_frames * n)
        frames = np.full(n_frames * n, np.nan, np.float32)
        new = result.audio[result.n_prime :]
        frames[: len(new)] = new
        return frames.reshape(n_frames, n)

    return play
