"""The settings of `rnnaudio demo`: small enough for a minute of music and a few minutes of two cores."""

import dataclasses
from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.frames.config import ModelConfig, TrainConfig, from_dict
from rnnaudio.training import checkpoint

DEMO = TrainConfig(
    model=ModelConfig(n_units=200, linear_skip=2),
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    minutes=2.0,
    validate_every=20,
    patience=15,
)


def forget_earlier_demo(run_dir: Path) -> None:
    """Make the folder, and remove the checkpoint of an earlier demo there; RnnaudioError if it is another run's."""
    path = checkpoint.path_in(run_dir)
    if path.exists():
        saved = (checkpoint.load(path).record.get("config") or {}).get("train", {})
        earlier = dataclasses.replace(from_dict(TrainConfig, saved), minutes=DEMO.minutes) if saved else None
        if earlier != DEMO:
            raise RnnaudioError(f"{path} is not a demo's: name another --run-dir, so that it is not lost")
        path.unlink()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RnnaudioError(f"cannot make {run_dir}: {error.strerror}; name another --run-dir") from error
