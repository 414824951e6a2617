"""The excerpts embedded in the package, and the corpus made of them."""

from pathlib import Path

import numpy as np
import pytest

from rnnaudio.data import AudioCorpus, Recording
from rnnaudio.data.demo import build_demo_corpus, embedded_recordings

SECONDS = {"train": (38, 42), "valid": (9, 11), "test": (11, 13)}
MORE_SECONDS = {"train": (248, 252), "valid": (39, 41), "test": (41, 43)}


def sound_of(recording: Recording) -> tuple[np.ndarray, int]:
    assert callable(recording.load)
    return recording.load()


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return embedded_recordings()


@pytest.fixture(scope="module")
def more() -> list[Recording]:
    return embedded_recordings(more=True)


def test_about_a_minute_in_three_splits(recordings: list[Recording], more: list[Recording]) -> None:
    for split, (least, most) in SECONDS.items():
        sounds = [sound_of(recording) for recording in recordings if recording.split == split]
        assert least <= sum(len(audio) / rate_hz for audio, rate_hz in sounds) <= most
    for split, (least, most) in MORE_SECONDS.items():
        assert least <= sum(len(sound_of(one)[0]) / 16_000 for one in more if one.split == split) <= most
    assert {one.title for one in recordings} < {one.title for one in more} and len(more) == len(recordings) + 5


def test_no_work_is_in_two_splits(more: list[Recording]) -> None:
    splits_of: dict[str, set[str | None]] = {}
    for recording in more:
        splits_of.setdefault(" ".join(recording.title.split()[:2]), set()).add(recording.split)
    assert set(splits_of) == {"K. 80", "K. 155", "K. 156", "K. 458", "K. 545"}
    assert all(len(splits) == 1 for splits in splits_of.values())


def test_each_is_mono_16_khz_and_at_a_moderate_level(more: list[Recording]) -> None:
    for recording in more:
        audio, rate_hz = sound_of(recording)
        assert (rate_hz, audio.ndim, audio.dtype.name) == (16_000, 1, "float32")
        assert 0.1 < np.abs(audio).max() < 0.9
        assert -30 < 10 * np.log10(np.mean(audio**2)) < -18
        assert abs(audio.mean()) < 1e-3
        seconds = audio[: len(audio) // rate_hz * rate_hz].reshape(-1, rate_hz)
        assert 10 * np.log10(np.mean(seconds**2, axis=1)).min() > -45  # no dead stretch


def test_each_says_where_it_comes_from(more: list[Recording]) -> None:
    for recording in more:
        assert recording.source.startswith("music21 corpus: mozart/")
        assert "University of Iowa Musical Instrument Samples" in recording.licence


def test_the_files_are_small() -> None:
    folder = Path(__file__).parents[2] / "rnnaudio" / "data" / "piano"
    assert sum(path.stat().st_size for path in folder.rglob("*.flac")) < 8_000_000


def test_they_make_a_corpus(tmp_path: Path, recordings: list[Recording]) -> None:
    path = build_demo_corpus(tmp_path / "demo.h5")
    with AudioCorpus.open(path) as corpus:
        assert [piece.title for piece in corpus.pieces] == [recording.title for recording in recordings]
        for piece, recording in zip(corpus.pieces, recordings, strict=True):
            audio, _ = sound_of(recording)
            stored = corpus.restore(piece.read(0, piece.n_samples))
            assert piece.n_samples > 0.97 * len(audio)
            # only silence may have been cut, at either end
            np.testing.assert_allclose(np.sum(stored**2), np.sum(audio**2), rtol=1e-4)
        assert {name: getattr(corpus, name).seconds > 9 for name in SECONDS} == dict.fromkeys(SECONDS, True)
