"""A run on audio, put together: corpus, batches, checks, baselines, model, training; and loading it again."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio import engine
from rnnaudio.runs.frames.build import (
    build_judging,
    build_model,
    build_optimizer,
    build_schedule,
    build_stopping,
    build_strategy,
)
from rnnaudio.runs.frames.config import TrainConfig, from_dict
from rnnaudio.runs.diagnosis.defects import present_in
from rnnaudio.runs.record import check_same, description, open_known, rate_of, scale_of
from rnnaudio.atomic import write_atomically
from rnnaudio.data import (
    AudioCorpus,
    Batch,
    Batches,
    ConsecutiveWindows,
    FrameOffsets,
    RandomWindows,
    ShiftedWindows,
    fixed_windows,
)
from rnnaudio.data.corpus import Scale, Split
from rnnaudio.diagnostics import BatchCheck, LinearPrediction, baselines, check_batch, linear_prediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Generated, OutputNoise, Stepper, generate_streams
from rnnaudio.metrics import decibel
from rnnaudio.nn import GaussianNoise, Layer, LinearPredictor, MemoryLSTM, Noisy
from rnnaudio.objectives import STRATEGIES, Strategy
from rnnaudio.training import Limits, LinearAnnealing, Run, train
from rnnaudio.training import checkpoint as checkpoints
from rnnaudio.training.loop import Row, set_model
from rnnaudio.training.memory import check_memory, in_bytes

BATCHERS: dict[str, type[Any]] = {
    "random": RandomWindows,
    "shifted": ShiftedWindows,
    "offsets": FrameOffsets,
    "consecutive": ConsecutiveWindows,
}
N_BASELINE_WINDOWS = 3200  # whatever the batch size: the linear baseline must not depend on it
MOST_BASELINE_FRAMES = 256_000  # less windows where they are long
MOST_PAIR_SAMPLES = 1 << 22
N_CHECKED_BATCHES = 100
SAME_PIECES_SHARE = 0.1


class LoadedRun(NamedTuple):
    """A trained model with what is needed to use it; record: what its checkpoint says of it."""

    config: TrainConfig
    model: Layer
    record: dict[str, Any]

    @property
    def sample_rate_hz(self) -> int:
        return rate_of(self.record)

    @property
    def scale(self) -> Scale:
        return scale_of(self.record)

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        """The corpus of the run, at ``path`` or where it was when last trained on; RnnaudioError if it is another."""
        return open_known(self.record["config"]["corpus"], path, lambda where: open_corpus(where, self.config))

    @property
    def strategy(self) -> Strategy:
        return build_strategy(self.config)

    @property
    def best_validation_loss(self) -> float | None:
        """Of the parameters that the model has, whatever they were chosen by; None if it was never validated."""
        return next((row["valid"] for row in reversed(self.record["history"]) if row["is_best"]), None)

    @property
    def output_noise_std(self) -> float:
        """Root of the mean squared error on the validation windows; 0 if there was no validation.

        RnnaudioError for a run of an early version, which did not store their power.
        """
        power = self.record["config"].get("validation_power")
        if power is None:
            raise RnnaudioError("the run does not say how loud its validation windows are: train it again for noise")
        return float(np.sqrt((self.best_validation_loss or 0.0) * power))

    def continue_seeds(self, seeds: Sequence[np.ndarray], n_samples: int) -> list[Generated]:
        """Let the model play on from each seed, in the way that the run's settings say."""
        c = self.config
        return generate_streams(
            Stepper(self.model, noise_seed=c.seed if c.noise_in_evaluation else None),
            seeds,
            n_samples=n_samples,
            noise=OutputNoise(self.output_noise_std, c.seed) if c.generation_noise else None,
            two_functions=c.generation == "two_functions_2016",
            progress=True,
        )


def open_corpus(path: Path, config: TrainConfig) -> AudioCorpus:
    """A corpus as the run hears it."""
    corpus = AudioCorpus.open(path)
    return corpus.min_max_2016() if config.scaling == "min_max_2016" else corpus


def train_and_valid(corpus: AudioCorpus, config: TrainConfig) -> tuple[Split, Split]:
    """What is trained and what is validated on."""
    if config.validation == "same_pieces":
        return corpus.train.cut(SAME_PIECES_SHARE)
    return corpus.train, corpus.train if config.validation == "training" else corpus.valid


def train_on_corpus(config: TrainConfig, corpus_path: Path, run_dir: Path, *, resume: bool = False) -> Run:
    """Train the model of ``config`` on a corpus; everything goes to ``run_dir`` (see :func:`rnnaudio.training.train`).

    A step that needs more memory than there is is refused before anything is read or written. Before the first update
    a batch check proves target against input, the baselines are measured, and the test split is asked for the seed
    that will be needed at the end.
    """
    path = checkpoints.path_to_write(run_dir, resume)
    _say_what_the_mode_costs()
    strategy, model, optimizer = build_strategy(config), built(config), build_optimizer(config)
    steps = {"n_steps": config.n_steps, "batch_size": config.batch_size}
    memory = check_memory(model, strategy, optimizer, segment_steps=config.segment_steps, **steps)
    with open_corpus(corpus_path, config) as corpus:
        batches, validation, linear, measured = _looked_at(corpus, config, strategy)
        start_from_linear_prediction(model, linear)
        record = {
            "train": dataclasses.asdict(config),
            "corpus": description(corpus),
            **measured,
            "defects": [defect.name for defect in present_in(config)],
        }
        if path.exists():
            _check_resumable(record, path)
        if config.preflight and not path.exists():
            from rnnaudio.runs.diagnosis.preflight import require  # it trains in turn

            require(config)
        for name in ("diagnosis.json", "diagnosis.png"):  # of the run as it was before
            (Path(run_dir) / name).unlink(missing_ok=True)
        print(f"a step needs about {in_bytes(memory.total)} of memory")
        print("compiling ...")
        write_atomically(Path(run_dir) / "config.json", json.dumps(record, indent=2).encode() + b"\n")
        return train(
            model,
            strategy,
            batches,
            validation,
            optimizer=optimizer,
            stopping=build_stopping(config),
            run_dir=Path(run_dir),
            limits=Limits(config.max_updates, config.minutes * 60.0, config.validate_every),
            schedule=build_schedule(config),
            seed=config.seed,
            segment_steps=config.segment_steps,
            judging=build_judging(config),
            resume=resume,
            config=record,
            on_update=annealing(model, config),
            on_validation=lambda row: tqdm.write(describe_row(row)),
        )


def _looked_at(
    corpus: AudioCorpus, config: TrainConfig, strategy: Strategy
) -> tuple[Batches, list[Batch], LinearPrediction | None, dict[str, Any]]:
    """Batches, validation, linear prediction, and what is measured of them, for the record."""
    sizes = {"frame_size": config.frame_size, "n_steps": config.n_steps, "batch_size": config.batch_size}
    to_train, to_validate = train_and_valid(corpus, config)
    batches: Batches = BATCHERS[config.batches](to_train, seed=config.seed, **sizes)
    validation = fixed_windows(to_validate, **sizes)
    if not any(np.ptp(batch.frames) for batch in validation):
        raise RnnaudioError(f"the validation pieces of {corpus.path} are silent; build it with music in that split")
    corpus.test.first(seed_seconds(config, corpus.sample_rate_hz))
    check = _checked(strategy, batches, config)
    print(check if check.passed else f"{check}; trained all the same, for target_shift is {config.target_shift}")
    anywhere = RandomWindows(to_train, seed=config.seed, **sizes)
    linear = _linear_prediction(strategy, anywhere, n_frames=config.model.linear_skip or 2)
    scores = baselines(pairs(strategy, validation), linear)
    print(f"validation baselines: {in_words(scores)}")
    loudness = power(target for _, target in pairs(strategy, validation))
    return batches, validation, linear, {"baselines": scores, "validation_power": loudness}


def _linear_prediction(strategy: Strategy, anywhere: RandomWindows, *, n_frames: int) -> LinearPrediction | None:
    """Fitted to random windows, about as many whatever the batch size."""
    n_windows = min(N_BASELINE_WINDOWS, -(-MOST_BASELINE_FRAMES // anywhere.n_steps))
    some = (anywhere.batch(k) for k in range(-(-n_windows // anywhere.batch_size)))
    return linear_prediction(pairs(strategy, some), n_frames=n_frames)


def built(config: TrainConfig) -> Layer:
    """The model of a config; RnnaudioError if it is larger than the memory."""
    try:
        return build_model(config)
    except MemoryError as error:
        message = f"the model alone is larger than the memory ({error}): lower n_units or n_layers"
        raise RnnaudioError(message) from error


def pairs(strategy: Strategy, batches: Iterable[Batch]) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets, of large batches a few sequences at a time: the baselines take many times their memory."""
    for batch in batches:
        n_parts = -(-batch.frames.size // MOST_PAIR_SAMPLES)
        for frames in np.array_split(batch.frames, min(n_parts, batch.frames.shape[1]), axis=1):
            yield strategy.split(frames)


def seed_seconds(config: TrainConfig, sample_rate_hz: int) -> float:
    """The length of seed that a run is tried on: one second, or one frame where that is longer."""
    return max(1.0, config.frame_size / sample_rate_hz)


def power(arrays: Iterable[np.ndarray]) -> float:
    """Mean of squares."""
    squares, n = zip(*((np.sum(np.square(a, dtype=np.float64)), a.size) for a in arrays), strict=True)
    return float(sum(squares) / sum(n))


def _checked(strategy: Strategy, batches: Batches, config: TrainConfig) -> BatchCheck:
    """The batch check on the first batch that is not silence; a failure ends the run unless it was asked for."""
    sounding = (b for b in map(batches.batch, range(N_CHECKED_BATCHES)) if np.ptp(b.frames, axis=0).any())
    batch = next(sounding, None)
    if batch is None:
        raise RnnaudioError(f"the first {N_CHECKED_BATCHES} batches are silent; train on music")
    check = check_batch(strategy, batch)._replace(expected=STRATEGIES[config.strategy].shift)
    if not check.passed and config.target_shift is None:
        raise RnnaudioError(f"{check}: the strategy is wired wrongly")
    return check


def _say_what_the_mode_costs() -> None:
    """Once per run, where training is slower or less tested than it could be; `rnnaudio info` says more."""
    if engine.MODE == "python" and engine.kernel() == "scan":
        print("scan in mode python: an update takes a minute and more; unset RNNAUDIO_KERNEL, or install g++ or clang")
    elif engine.MODE == "python" and not engine.HAS_COMPILER:
        print("no C++ compiler found: what the kernels do not compute runs in NumPy, up to a third slower")
    elif engine.MODE == "numba":
        print("mode numba: the start takes a minute; mode c or python takes seconds")
    elif engine.devices() == ["cpu"]:
        print("mode jax on a processor: without a GPU, unset RNNAUDIO_MODE for the fused kernels")


def load_run(run_dir: Path) -> LoadedRun:
    """The model of a run with its best parameters (the last ones if it was never validated)."""
    path = checkpoints.path_in(run_dir)
    saved = checkpoints.load(path)
    try:
        config = from_dict(TrainConfig, saved.record["config"]["train"])
    except (KeyError, TypeError) as error:
        if "music" in (saved.record.get("config") or {}):
            raise RnnaudioError(
                f"{path} is a run of `music`: it plays by `generate`, and goes on by `music CORPUS RUN --resume`"
            ) from error
        raise RnnaudioError(f"{path} holds no audio run (settings: {error}); name a run of `train`") from error
    # The saved parameters replace the drawn ones: those that take no time to draw do.
    quick = dataclasses.replace(config.model, weights="gaussian_2016")
    model = build_model(dataclasses.replace(config, model=quick))
    set_model(model, saved.group("best") or saved.group("model"), path)
    return LoadedRun(config, model, saved.record)


def start_from_linear_prediction(model: Layer, linear: LinearPrediction | None) -> None:
    """Give the model's linear skip path, if it has one, the least-squares coefficients, if there are any."""
    if linear is None:
        return
    for _, layer in model.layers():
        if isinstance(layer, LinearPredictor):
            layer.weight.set_value(linear.weight.astype(layer.weight.dtype))
            layer.bias.set_value(linear.bias.astype(layer.bias.dtype))


def in_decibel(normalised_mse: float) -> str:
    """``-12.30 dB`` of a ratio of powers; NaN is the ratio to the power of silence."""
    return "nan (silence)" if np.isnan(normalised_mse) else f"{float(decibel(normalised_mse)):.2f} dB"


def in_words(scores: dict[str, float]) -> str:
    """``predict zero 0.00 dB, ...`` of a dictionary of normalised MSE."""
    return ", ".join(f"{name} {in_decibel(score)}" for name, score in scores.items())


def duration(seconds: float) -> str:
    """``45 s``, or ``12.3 min`` from two minutes on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def describe_row(row: Row) -> str:
    """One line of progress."""
    best = "  * best" if row["is_best"] else ""
    losses = f"train {in_decibel(row['train'])}  valid {in_decibel(row['valid'])}"
    return f"epoch {row['epoch']:7.2f}  {duration(row['seconds']):>9s}  {losses}{best}"


def annealing(model: Layer, config: TrainConfig) -> Callable[[int], None] | None:
    """What sets the model's noise to that of an update; None if it is constant."""
    if not config.anneal_noise_over:
        return None
    factor, m = LinearAnnealing(1.0, 0.0, config.anneal_noise_over), config.model
    stds = {Noisy: (m.input_noise, m.state_noise), MemoryLSTM: (m.layer_noise,), GaussianNoise: (m.readout_noise,)}
    noisy: list[Any] = [layer for _, layer in model.layers() if type(layer) in stds]

    def set_noise(update: int) -> None:
        for layer in noisy:
            layer.set_std(*(std * factor(update) for std in stds[type(layer)]))

    return set_noise


def _check_resumable(record: dict[str, Any], path: Path) -> None:
    """Refuse other settings, but for limits, and another corpus; a cosine schedule depends on its limit too."""
    saved = checkpoints.load(path).record.get("config") or {}
    before = from_dict(TrainConfig, saved.get("train") or {})  # with the settings that came later
    limits = {"minutes"} if record["train"]["schedule"] == "cosine" else {"minutes", "max_updates"}
    check_same(saved | {"train": dataclasses.asdict(before)}, record, {"train": limits, "corpus": {"path"}}, path)
