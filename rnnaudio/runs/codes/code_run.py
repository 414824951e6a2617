"""How a model is trained that says the probabilities of codes, of which the levels of samples are one stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from rnnaudio.nn import Layer
from rnnaudio.objectives import Objective
from rnnaudio.optimizers import Adam
from rnnaudio.training import EarlyStopping, Limits, Run, WarmupCosine, train


class Settings(Protocol):
    """Of a run's config, those that training looks at."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def max_updates(self) -> int: ...

    @property
    def validate_every(self) -> int: ...

    @property
    def minutes(self) -> float: ...

    @property
    def seed(self) -> int: ...


def schedule_of(settings: Settings) -> WarmupCosine:
    """Of the learning rate: up in a tenth of the updates, 100 at most, then along a cosine to 3 %."""
    n_warmup = min(100, settings.max_updates // 10)
    return WarmupCosine(settings.learning_rate, n_warmup, settings.max_updates, 0.03)


def train_on_codes(
    model: Layer,
    objective: Objective,
    batches: Any,
    validation: Sequence[Any],
    *,
    settings: Settings,
    run_dir: Path,
    resume: bool,
    config: dict[str, Any],
    unit: str,
) -> Run:
    """Adam under :func:`schedule_of`, for all updates or minutes; ``unit``: what the loss counts bits of."""

    def tell(row: dict[str, Any]) -> None:
        best = "  * best" if row["is_best"] else ""
        tqdm.write(
            f"epoch {row['epoch']:6.2f}  {row['updates']:6d} updates  {row['seconds']:6.0f} s  "
            f"train {row['train']:.3f}  valid {row['valid']:.3f} bits a {unit}{best}"
        )

    return train(
        model,
        objective,
        batches,
        validation,
        optimizer=Adam(settings.learning_rate, max_gradient_norm=1.0),
        stopping=EarlyStopping(1000),
        run_dir=Path(run_dir),
        limits=Limits(settings.max_updates, settings.minutes * 60.0, settings.validate_every),
        schedule=schedule_of(settings),
        seed=settings.seed,
        resume=resume,
        config=config,
        on_validation=tell,
    )
