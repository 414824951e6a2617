"""Small corpora of noise."""

from pathlib import Path

import numpy as np

from rnnaudio.audio.cleaning import Cleaning
from rnnaudio.data.corpus_build import Recording, build_corpus

RATE_HZ = 8000


def noise(seed: int, seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-level, level, round(seconds * RATE_HZ)).astype(np.float32)


def recording(title: str, audio: np.ndarray, split: str | None = None) -> Recording:
    return Recording(title, f"source of {title}", "CC0", split, lambda: (audio, RATE_HZ))


def build(out: Path, recordings: list, **options):
    defaults = {"sample_rate_hz": RATE_HZ, "progress": False, "cleaning": Cleaning(join_seconds=0.0)}
    return build_corpus(recordings, out, **defaults | options)
