"""Preparation of the run folder of `rnnaudio demo`."""

import dataclasses
from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.training import checkpoint


def forget_earlier_demo(run_dir: Path, settings: FramesConfig) -> None:
    """Make the folder ``run_dir``, and delete the checkpoint of an earlier demo in it.

    RnnaudioError if the checkpoint was trained with settings that differ from ``settings`` in more than ``minutes``,
    or if the folder cannot be made.
    """
    path = checkpoint.path_in(run_dir)
    if path.exists():
        saved = (checkpoint.load(path).record.get("config") or {}).get("train", {})
        earlier = dataclasses.replace(from_dict(FramesConfig, saved), minutes=settings.minutes) if saved else None
        if earlier != settings:
            raise RnnaudioError(f"{path} is not a demo's: name another --run-dir, so that it is not lost")
        path.unlink()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RnnaudioError(f"cannot make {run_dir}: {error.strerror}; name another --run-dir") from error
