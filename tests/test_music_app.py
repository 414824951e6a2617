"""Music over codes from a corpus to sound: what is saved, chosen and refused; the yardstick in one row."""

import dataclasses

import numpy as np
import pytest

from rnnaudio.app.music import MusicConfig, choose, encoded, load_music, play, train_music, transposed
from rnnaudio.data import AudioCorpus
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.sampling import Sampling
from rnnaudio.metrics.yardstick import Yardstick
from tests.test_metrics import RATE_HZ, music, noise, sine

TINY = MusicConfig(
    n_components=8, n_codes=12, transpose=(), n_dense=8, n_units=8, head_units=8, n_steps=16, batch_size=4,
    max_updates=4, validate_every=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's corpus and a run of four updates on it."""
    folder = tmp_path_factory.mktemp("music")
    build_demo_corpus(folder / "corpus.h5")
    train_music(TINY, folder / "corpus.h5", folder / "run")
    return folder


def test_a_run_is_loaded_and_plays_the_same_again(folder):
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        seeds = [corpus.test.seed_at(k, 1.0) for k in range(2)]
    runs = [load_music(folder / "run") for _ in range(2)]
    first, again = (play(run, seeds, 1.5, Sampling(1.0)) for run in runs)
    for a, b in zip(first, again, strict=True):
        assert a.shape == (24_000,) and np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)
    last = load_music(folder / "run", "model")
    assert last.config == TINY and last.codec.n_codes == 12


def test_the_choice_is_the_lowest_score(folder):
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        chosen = choose(folder / "run", corpus, temperatures=(0.8, 1.2), n_seeds=1, seconds=2.0)
    assert set(chosen.scores) == {"best 0.8", "best 1.2", "model 0.8", "model 1.2"}
    assert chosen.scores[f"{chosen.parameters} {chosen.temperature}"] == min(chosen.scores.values())


def test_a_finished_run_is_not_overwritten(folder):
    with pytest.raises(RnnaudioError, match="exists: go on with it"):
        train_music(TINY, folder / "corpus.h5", folder / "run")
    run = train_music(dataclasses.replace(TINY, max_updates=4), folder / "corpus.h5", folder / "run", resume=True)
    assert run.n_updates == 4


def test_what_is_no_run_over_codes_is_refused(folder, tmp_path):
    with pytest.raises(RnnaudioError, match="no checkpoint"):
        load_music(tmp_path)
    with pytest.raises(RnnaudioError, match="lower it"):
        train_music(dataclasses.replace(TINY, n_steps=10_000), folder / "corpus.h5", tmp_path / "long")


@pytest.mark.parametrize("semitones", [-5, 0, 7])
def test_transposition_moves_pitch_and_time(semitones):
    audio = sine(440.0, 4.0).astype(np.float32)
    moved = transposed(audio, semitones)
    factor = 2.0 ** (semitones / 12)
    assert len(moved) == pytest.approx(len(audio) / factor, rel=1e-3)
    spectrum = np.abs(np.fft.rfft(moved * np.hanning(len(moved))))
    assert np.argmax(spectrum) * RATE_HZ / len(moved) == pytest.approx(440.0 * factor, rel=2e-3)


def test_each_piece_is_encoded_in_each_transposition(folder):
    codec = load_music(folder / "run").codec
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        codes = list(encoded(corpus.train, codec, (0, 12)))
        assert len(codes) == 2 * len(corpus.train.pieces)
        assert len(codes[1]) == pytest.approx(len(codes[0]) / 2, abs=4)


def test_the_yardstick_puts_music_near_and_noise_far():
    training, unseen = ([music(12.0, seed) for seed in seeds] for seeds in (range(70, 74), range(74, 78)))
    yardstick = Yardstick.of(training, unseen, RATE_HZ, 6.0)
    near = yardstick.measure([music(12.0, seed) for seed in range(78, 82)])
    far = yardstick.measure([noise(12.0, 0.05, seed) for seed in range(4)])
    assert near["frechet_ratio"] < 6.0 < far["frechet_ratio"]
    assert near["jensen_shannon"] < far["jensen_shannon"] and near["in_range"] > 0.8 > far["in_range"]
    assert far["dead_for_good"] == 4 and far["deaths"] == ["turned into noise"]
    assert far["told_from_real"] > 0.95 > near["told_from_real"]
    with pytest.raises(RnnaudioError, match="shorter stretches"):
        Yardstick.of(training, unseen, RATE_HZ, 60.0)
