"""Scaling and splits of 2016: minimum to maximum, cut at the end of each piece."""

import dataclasses

import numpy as np
import pytest

from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.data import ArrayPiece, Split
from rnnaudio.data.corpus import AudioCorpus, Stretch
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.errors import RnnaudioError
from tests.support import oracles_2016

RATE_HZ = 8000


def corpus_of(path, **audio):
    recordings = [
        Recording(name, "made", "CC0", name, lambda sound=sound: (sound, RATE_HZ)) for name, sound in audio.items()
    ]
    build_corpus(recordings, path, sample_rate_hz=RATE_HZ, progress=False, cleaning=AS_IT_IS)
    return AudioCorpus.open(path)


def test_min_max_scaling(tmp_path):
    rng = np.random.default_rng(0)
    audio = {name: rng.uniform(-0.1, 0.1, RATE_HZ).astype("float32") for name in ("train", "valid", "test")}
    audio["valid"][100] = 0.5  # one click, in the validation set, sets the scale
    audio["test"][200] = -0.3
    audio["train"][300] = 0.0
    with corpus_of(tmp_path / "c.h5", **audio) as corpus:
        stored = {piece.split: piece.dataset[:].astype(float) for piece in corpus.pieces}
        scaled = corpus.min_max_2016()
        read = {piece.split: piece.read(0, piece.n_samples) for piece in scaled.pieces}
        expected = oracles_2016.min_max(np.concatenate(list(stored.values())))
        got = np.concatenate([read[name] for name in stored])
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert got.min() == pytest.approx(-1.0, abs=1e-6) and got.max() == pytest.approx(1.0, abs=1e-6)
        assert read["train"][300] == pytest.approx(-0.25, abs=1e-3)  # silence is not 0
        np.testing.assert_allclose(scaled.restore(read["valid"]), stored["valid"] / 32768, atol=1e-6)
        np.testing.assert_allclose(scaled.standardise(stored["test"] / 32768), read["test"], atol=1e-6)
        (piece,) = corpus.train.pieces  # the corpus itself is as before
        assert piece.read(0, RATE_HZ).std() == pytest.approx(1.0, rel=1e-3)


def test_min_max_scaling_of_nothing_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    with corpus_of(tmp_path / "c.h5", **{n: rng.uniform(-1, 1, 900) for n in ("train", "valid", "test")}) as corpus:
        flat = dataclasses.replace(corpus.pieces[0], n_samples=1)  # one sample: the lowest is the highest
        with pytest.raises(RnnaudioError, match="all samples are .*; min/max scaling needs audio that varies"):
            dataclasses.replace(corpus, pieces=(flat,)).min_max_2016()


def test_a_split_is_cut_at_the_end_of_each_piece():
    a, b = np.arange(10, dtype="float32"), np.arange(100, 120, dtype="float32")
    begun, ends = Split("train", (ArrayPiece(a), ArrayPiece(b)), RATE_HZ).cut(0.2)
    read = [[piece.read(0, piece.n_samples).tolist() for piece in part.pieces] for part in (begun, ends)]
    assert read == [[a[:8].tolist(), b[:16].tolist()], [a[8:].tolist(), b[16:].tolist()]]
    assert begun.n_samples + ends.n_samples == 30 and begun.seconds == 24 / RATE_HZ
    assert ends.pieces[1].read(1, 3).tolist() == [117.0, 118.0]


def test_a_stretch_reads_no_further_than_it_goes():
    stretch = Stretch(ArrayPiece(np.arange(10, dtype="float32")), 4, 7)
    assert stretch.n_samples == 3 and stretch.read(0, 3).tolist() == [4.0, 5.0, 6.0]
    for start, stop in ((0, 4), (-1, 2), (2, 1)):
        with pytest.raises(IndexError):
            stretch.read(start, stop)
