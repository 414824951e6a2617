"""Options, training and figures that the experiments with DRAW share.

The learning rate falls along a cosine, so the number of updates must be known in advance. Unless ``--updates`` gives
it, it is estimated by timing a few updates on this machine, and stored with the run.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.shared.on_corpus import complete
from experiments.shared.options import Figures, Named
from rnnaudio.data import in_batches
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.painting import Painted
from rnnaudio.nn import Draw
from rnnaudio.objectives import Bound
from rnnaudio.optimizers import Adam
from rnnaudio.seeds import GREATEST_SEED, check_seed
from rnnaudio.training import (
    EarlyStopping,
    Evaluation,
    Judging,
    Limits,
    Run,
    TrainStep,
    WarmupCosine,
    checkpoint,
    train,
)

TIMED_UPDATES = 12
N_VALIDATIONS = 30  # a run
MOST_STEPS_SHOWN = 12
EVALUATION_BATCH = 500  # images


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Options of all experiments with DRAW."""

    stem: ClassVar[str] = "draw"
    attention: bool = False  # read and write through grids of Gaussian filters
    minutes: float = 20.0  # of training, all sittings together
    updates: int = 0  # 0: as many as fit into the minutes, by timing a few
    n_steps: int = 10  # of the canvas
    n_units: int = 256  # of encoder and decoder
    n_codes: int = 100  # latent numbers a step
    n_read: int = 8  # filters a side, with attention
    n_write: int = 8
    batch_size: int = 128
    learning_rate: float = 2e-3
    max_gradient_norm: float = 10.0
    n_warmup: int = 200
    n_valid: int = 2500  # images of each validation
    seed: int = 2016
    run_dir: Path | None = None  # default: runs/ and the experiment's name
    resume: bool = False
    smoke: bool = False  # instead: a few updates of a small model on made-up or packaged data; nothing is recorded

    def __post_init__(self) -> None:
        at_least_one = ("n_steps", "n_units", "n_codes", "n_read", "n_write", "batch_size", "n_valid")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise RnnaudioError(f"{name} is {getattr(self, name)}: expected 1 or more")
        for name in ("minutes", "learning_rate", "max_gradient_norm"):
            if not getattr(self, name) > 0.0:
                raise RnnaudioError(f"{name} is {getattr(self, name):g}: expected more than 0")
        for name in ("updates", "n_warmup"):
            if getattr(self, name) < 0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}: expected 0 or more")
        check_seed(self.seed)

    @property
    def kind(self) -> str:
        """The kind of DRAW in words."""
        return "with attention" if self.attention else "without attention"


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """Data and model: training batches, held-out images (n, pixels), a factory of models, and their bound."""

    batches: Any
    valid: np.ndarray
    test: np.ndarray
    build: Callable[[], Draw]
    bound: Bound


def model_of(options: Options, size: tuple[int, int], mean: np.ndarray, *, std: float | None = None) -> Draw:
    """Build the model.

    mean: the first canvas, (pixels,). std: initial width of Gaussian pixels; None: binary pixels.
    """
    rng = np.random.default_rng((options.seed, 0, 2))  # 2: the purpose; batches and noise draw from the same seed
    n_read, n_write = (options.n_read, options.n_write) if options.attention else (0, 0)
    sizes = {"n_read": n_read, "n_write": n_write}
    model = Draw(size, options.n_units, options.n_codes, rng=rng, learns_std=std is not None, **sizes)
    model.painter.start_from(mean)
    model.cover_image()
    if std is not None:
        model.set_values(model.get_values() | {"log_std": np.asarray(np.log(std))})
    return model


def learn(subject: Subject, options: Options, run_dir: Path) -> tuple[Draw, Run]:
    """Train or resume; returns the model and the run.

    KeyboardInterrupt if the run is interrupted (it is then saved, and --resume continues it); RnnaudioError if
    training breaks down, if the folder of a new run holds a run, and for the reasons of :func:`planned`.
    """
    model = subject.build()
    n_updates = planned(options, run_dir) or timed(subject, options)
    done = train(
        model,
        subject.bound,
        subject.batches,
        in_batches(subject.valid[: options.n_valid], EVALUATION_BATCH),
        optimizer=Adam(options.learning_rate, max_gradient_norm=options.max_gradient_norm),
        stopping=EarlyStopping(N_VALIDATIONS),
        run_dir=run_dir,
        limits=Limits(n_updates, 60.0 * options.minutes, max(1, n_updates // N_VALIDATIONS)),
        schedule=WarmupCosine(options.learning_rate, min(options.n_warmup, n_updates // 2), n_updates),
        seed=options.seed,
        judging=Judging(with_noise=True),  # a bound is an expectation over draws
        resume=options.resume,
        config={"settings": options.settings, "n_updates": n_updates},
    )
    print(f"training ended: {done.reason}")
    return model, complete(done)


def planned(options: Options, run_dir: Path) -> int:
    """Number of updates of the run, stored with a run to resume; 0 if it is to be found by timing.

    RnnaudioError if there is no run to resume, or if it has other settings.
    """
    options.check_resumed(run_dir)
    if not options.resume:
        return options.updates
    path = checkpoint.path_in(run_dir)
    config = checkpoint.load(path).record["config"]
    for name, value in options.settings.items():
        matters = name not in ("minutes", "updates", *([] if options.attention else ["n_read", "n_write"]))
        if matters and config["settings"].get(name) != value:
            raise RnnaudioError(
                f"{path} was trained with {name} {config['settings'].get(name)}, now {value}; "
                "resume with the same, or name another --run-dir"
            )
    return int(config["n_updates"])


def timed(subject: Subject, options: Options) -> int:
    """Number of updates that fit into the time limit, at least 10, estimated by timing 12 on a separate model.

    A tenth of the time is reserved for validation.
    """
    optimizer = Adam(options.learning_rate, max_gradient_norm=options.max_gradient_norm)
    step = TrainStep(subject.build(), subject.bound, optimizer, seed=options.seed)
    times = []
    for update in range(TIMED_UPDATES):
        batch, started = subject.batches.batch(update), time.perf_counter()
        step(batch, None, learning_rate=1e-5, update=update)
        times.append(time.perf_counter() - started)
    seconds = float(np.median(times[2:]))
    n_updates = max(10, int(0.9 * 60.0 * options.minutes / seconds))
    print(f"an update takes {1000 * seconds:.0f} ms: {n_updates} fit into {options.minutes:g} minutes", flush=True)
    return n_updates


def bounds(model: Draw, subject: Subject, options: Options) -> dict[str, dict[str, float]]:
    """Bounds on all test and all validation images, in nats per image, with one sample of the codes for each.

    For each split, they are the values that :class:`Bound` reports, by name.
    """
    evaluate = Evaluation(model, subject.bound, noise_seed=(options.seed + 1) % (GREATEST_SEED + 1))
    held_out = {"test": subject.test, "valid": subject.valid}
    return {name: evaluate(in_batches(images, EVALUATION_BATCH)) for name, images in held_out.items()}


def course(model: Draw, subject: Subject, options: Options, done: Run) -> Figures:
    """The figures of the training run."""
    return {
        "n_test": len(subject.test),
        "updates": done.n_updates,
        "epochs": round(done.n_updates / subject.batches.batches_per_epoch, 2),
        "minutes": round(done.seconds / 60, 2),
        "ms_per_update": round(1000 * done.seconds / max(1, done.n_updates), 1),
        "n_parameters": model.n_parameters,
        "seed": options.seed,
        "settings": options.settings,
        "ended": done.reason,
    }


def curve(done: Run) -> list[Figures]:
    """The history of the run, as stored in the record."""
    return [{k: round(float(row[k]), 4) for k in ("updates", "epoch", "seconds", "train", "valid")}
            for row in done.history]  # fmt: skip


def print_figures(figures: Figures) -> None:
    """Print one line for each figure except the curve."""
    print("\n".join(f"{name}: {value}" for name, value in figures.items() if name != "curve"))


def canvases_shown(painted: Painted) -> tuple[np.ndarray, dict[str, Any]]:
    """Choose at most 12 canvases for a picture, including the first and the last; returns (canvases, grids).

    canvases: (n_shown, n, pixels). grids: the attention grids ``reads`` and ``writes`` of their steps; None without
    attention, and for ``reads`` if not all steps are shown.
    """
    n = len(painted.canvases)
    every = np.unique(np.linspace(0, n - 1, min(n, MOST_STEPS_SHOWN)).round().astype(int))
    reads = painted.reads if len(every) == n else None  # it would be plotted on the canvas of another step
    boxes = {"reads": reads, "writes": painted.writes}
    return painted.canvases[every], {k: None if v is None else v[every] for k, v in boxes.items()}
