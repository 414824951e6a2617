"""The transform that runs over spectra keep, so that none is resumed with another: the shapes may be the same."""

import dataclasses
from pathlib import Path
from typing import Any

from rnnaudio.audio import STFT
from rnnaudio.training import checkpoint


def with_transform(run_dir: Path, stft: STFT) -> dict[str, Any]:
    """The config to train with; RnnaudioError that names the differences from the transform of a run in the folder."""
    path = checkpoint.path_in(run_dir)
    saved = (checkpoint.load(path).record.get("config") or {}) if path.exists() else {}
    if "stft" in saved:
        STFT(**saved["stft"]).check_same(stft)
    return {"stft": dataclasses.asdict(stft)}
