"""Fixtures of corpora."""

import numpy as np
import pytest

from rnnaudio.audio.cleaning import AS_IT_IS
from tests.support.corpora import build, noise, recording


@pytest.fixture
def small(tmp_path):
    """A corpus of three pieces, and the int16 samples that it must hold."""
    audio = {
        split: noise(seed, seconds)
        for seed, (split, seconds) in enumerate({"train": 2.3, "valid": 1.5, "test": 1.2}.items())
    }
    path = tmp_path / "small.h5"
    build(path, [recording(split, samples, split) for split, samples in audio.items()], cleaning=AS_IT_IS)
    return path, {split: np.round(samples.astype(float) * 32768).astype(np.int16) for split, samples in audio.items()}
