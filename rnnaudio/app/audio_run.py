"""A run on audio, put together: corpus, batches, checks, baselines, model, training; and loading it again."""

import dataclasses
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio.app.build import build_model, build_optimizer
from rnnaudio.app.config import TrainConfig, from_dict
from rnnaudio.atomic import write_atomically
from rnnaudio.data import (
    AudioCorpus,
    Batches,
    ConsecutiveWindows,
    FrameOffsets,
    RandomWindows,
    ShiftedWindows,
    fixed_windows,
)
from rnnaudio.diagnostics import LinearPrediction, baselines, check_batch, linear_prediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import decibel
from rnnaudio.nn import Layer, LinearPredictor, Noisy
from rnnaudio.training import STRATEGIES, EarlyStopping, Limits, LinearAnnealing, Run, WarmupCosine, train
from rnnaudio.training import checkpoint as checkpoints
from rnnaudio.training.loop import Row, set_model

BATCHERS: dict[str, type[Any]] = {
    "random": RandomWindows,
    "shifted": ShiftedWindows,
    "offsets": FrameOffsets,
    "consecutive": ConsecutiveWindows,
}
N_BASELINE_BATCHES = 100
MAY_CHANGE_ON_RESUME = {"minutes", "max_updates", "patience"}


class LoadedRun(NamedTuple):
    """A trained model with what is needed to use it. values: normalised MSE of the baselines."""

    config: TrainConfig
    model: Layer
    record: dict[str, Any]

    @property
    def sample_rate_hz(self) -> int:
        return int(self.record["config"]["corpus"]["sample_rate_hz"])

    def standardise(self, audio: np.ndarray) -> np.ndarray:
        corpus = self.record["config"]["corpus"]
        return ((audio - corpus["mean"]) / corpus["std"]).astype(np.float32)

    def restore(self, audio: np.ndarray) -> np.ndarray:
        corpus = self.record["config"]["corpus"]
        return (audio * corpus["std"] + corpus["mean"]).astype(np.float32)


def train_on_corpus(config: TrainConfig, corpus_path: Path, run_dir: Path, *, resume: bool = False) -> Run:
    """Train the model of ``config`` on a corpus; everything goes to ``run_dir`` (see :func:`rnnaudio.training.train`).

    Before the first update a batch check proves target against input, and the baselines are measured.
    """
    if resume:
        _check_resumable(config, run_dir)
    with closing(AudioCorpus.open(corpus_path)) as corpus:
        sizes = {"frame_size": config.frame_size, "n_steps": config.n_steps, "batch_size": config.batch_size}
        batches: Batches = BATCHERS[config.batches](corpus.train, seed=config.seed, **sizes)
        validation = fixed_windows(corpus.valid, **sizes)
        strategy = STRATEGIES[config.strategy]
        check = check_batch(strategy, batches.batch(0))
        if not check.passed:
            raise RnnaudioError(f"{check}: the strategy is wired wrongly")
        print(check)
        n_pairs = min(N_BASELINE_BATCHES, batches.batches_per_epoch)
        linear = linear_prediction(
            (strategy.split(batches.batch(k).frames) for k in range(n_pairs)), n_frames=config.model.linear_skip or 2
        )
        scores = baselines((strategy.split(b.frames) for b in validation), linear)
        print("validation baselines: " + ", ".join(f"{name} {in_decibel(score)}" for name, score in scores.items()))
        model = build_model(config)
        start_from_linear_prediction(model, linear)
        record = {
            "train": dataclasses.asdict(config),
            "corpus": {
                "path": str(corpus_path),
                "sample_rate_hz": corpus.sample_rate_hz,
                "mean": corpus.mean,
                "std": corpus.std,
                "train_seconds": corpus.train.seconds,
            },
            "baselines": scores,
        }
        write_atomically(Path(run_dir) / "config.json", json.dumps(record, indent=2).encode())
        cosine = WarmupCosine(config.learning_rate, min(100, config.max_updates // 10), config.max_updates)
        return train(
            model,
            strategy,
            batches,
            validation,
            optimizer=build_optimizer(config),
            stopping=EarlyStopping(config.patience),
            run_dir=Path(run_dir),
            limits=Limits(config.max_updates, config.minutes * 60.0, config.validate_every),
            schedule=cosine if config.schedule == "cosine" else None,
            seed=config.seed,
            resume=resume,
            config=record,
            on_update=_annealing(model, config),
            on_validation=lambda row: tqdm.write(describe_row(row, scores)),
        )


def load_run(run_dir: Path) -> LoadedRun:
    """The model of a run with its best parameters (the last ones if it was never validated)."""
    path = Path(run_dir) / "checkpoint.safetensors"
    saved = checkpoints.load(path)
    try:
        config = from_dict(TrainConfig, saved.record["config"]["train"])
    except (KeyError, TypeError) as error:
        raise RnnaudioError(f"{path} holds no audio run (settings: {error}); name a run of `train`") from error
    model = build_model(config)
    set_model(model, saved.group("best") or saved.group("model"), path)
    return LoadedRun(config, model, saved.record)


def start_from_linear_prediction(model: Layer, linear: LinearPrediction) -> None:
    """Give the model's linear skip path, if it has one, the least-squares coefficients."""
    for _, layer in model.layers():
        if isinstance(layer, LinearPredictor):
            layer.weight.set_value(linear.weight.astype(layer.weight.dtype))
            layer.bias.set_value(linear.bias.astype(layer.bias.dtype))


def in_decibel(normalised_mse: float) -> str:
    """``-12.3 dB`` of a ratio of powers."""
    return f"{float(decibel(normalised_mse)):.2f} dB"


def describe_row(row: Row, scores: dict[str, float]) -> str:
    """One line of progress: every loss beside the best baseline."""
    name, score = min(scores.items(), key=lambda item: item[1])
    best = "  * best" if row["is_best"] else ""
    return (
        f"epoch {row['epoch']:7.2f}  {row['seconds'] / 60:5.1f} min  train {in_decibel(row['train'])}  "
        f"valid {in_decibel(row['valid'])}  ({name} {in_decibel(score)}){best}"
    )


def _annealing(model: Layer, config: TrainConfig) -> Callable[[int], None] | None:
    if not config.anneal_noise_over:
        return None
    factor = LinearAnnealing(1.0, 0.0, config.anneal_noise_over)
    noisy = [layer for _, layer in model.layers() if isinstance(layer, Noisy)]

    def set_noise(update: int) -> None:
        for layer in noisy:
            layer.set_std(config.model.input_noise * factor(update), config.model.state_noise * factor(update))

    return set_noise


def _check_resumable(config: TrainConfig, run_dir: Path) -> None:
    path = Path(run_dir) / "checkpoint.safetensors"
    if not path.exists():
        return
    saved = checkpoints.load(path).record["config"]["train"]
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    for name in now:
        if name not in MAY_CHANGE_ON_RESUME and saved.get(name) != now[name]:
            raise RnnaudioError(
                f"{path} was trained with {name} = {saved.get(name)}, now it is {now[name]}: "
                "resume with the same settings, or train in another run directory"
            )


