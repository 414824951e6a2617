"""Storage of the transform with a run on spectra, so that the run is not resumed with another transform."""

import dataclasses
from pathlib import Path
from typing import Any

from rnnaudio.audio import STFT
from rnnaudio.training import checkpoint


def with_transform(run_dir: Path, stft: STFT) -> dict[str, Any]:
    """Make the config to train with, which contains the transform.

    If the folder holds a run with another transform, RnnaudioError names the differences.
    """
    path = checkpoint.path_in(run_dir)
    saved = (checkpoint.load(path).record.get("config") or {}) if path.exists() else {}
    if "stft" in saved:
        STFT(**saved["stft"]).check_same(stft)
    return {"stft": dataclasses.asdict(stft)}
