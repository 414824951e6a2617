"""Training on a corpus whose samples are not those it was built with."""

import h5py
import pytest

from rnnaudio.data import corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES
from tests.support.corpora import RATE_HZ, build, noise, recording

TINY = FramesConfig(model=ModelConfig(n_units=6), frame_size=40, n_steps=5, batch_size=4, max_updates=4)


@pytest.mark.parametrize(
    "at_once_bytes", [corpus.AT_ONCE_BYTES, pytest.param(0, marks=pytest.mark.slow)], ids=["at once", "beside"]
)
def test_a_run_on_a_damaged_corpus_leaves_no_checkpoint(tmp_path, monkeypatch, at_once_bytes):
    monkeypatch.setattr(corpus, "AT_ONCE_BYTES", at_once_bytes)
    path = tmp_path / "a.h5"
    build(path, [recording(split, noise(k, 4), split) for k, split in enumerate(("train", "valid", "test"))])
    with h5py.File(path, "a") as file:  # two chunks swapped, each with its valid checksum
        piece = file["pieces/000002"].id
        first, second = (piece.read_direct_chunk((place,))[1] for place in (0, RATE_HZ))
        piece.write_direct_chunk((0,), second)
        piece.write_direct_chunk((RATE_HZ,), first)
    with pytest.raises(RnnaudioError, match="a.h5: the samples of 'test' have changed since the corpus was built"):
        fit(FRAMES, TINY, path, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
