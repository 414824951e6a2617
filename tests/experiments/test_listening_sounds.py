"""Sounds for a listening test: each condition, the same number for the same prime; and what comes with the package."""

import numpy as np
import pytest

from experiments.studies import listening_sounds, ship
from experiments.studies.listening_sounds import Options
from experiments.studies.music import SMOKE, through_codec
from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import prime_and_continuation
from rnnaudio.runs.load import load

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    corpus = build_demo_corpus(folder / "corpus.h5")
    fit(CODES, SMOKE, corpus, folder / "run")
    return Options(folder / "run", corpus, folder / "out", n_primes=2, seconds=2.0)


def test_sounds_of_each_condition_and_the_same_prime(options):
    said = listening_sounds.write(options)
    assert said.startswith(f"wrote {options.out}: 2 sounds of 2 s of ours, chain, codec, music; rnnaudio listen ")
    run = load(options.run_dir, CodesRun)
    with AudioCorpus.open(options.corpus) as corpus:
        rate = corpus.sample_rate_hz
        for k in range(2):
            true = corpus.restore(prime_and_continuation(corpus.test, k, 1.0, 2.5))
            sounds = {c: read_audio(options.out / c / f"{k + 1}.wav")[0] for c in ("ours", "chain", "codec", "music")}
            assert {len(sound) for sound in sounds.values()} == {2 * rate}
            np.testing.assert_allclose(sounds["music"], true[rate : 3 * rate], atol=2.0 / 32768)
            expected = through_codec(true, run)[rate : 3 * rate]
            np.testing.assert_allclose(sounds["codec"], expected, atol=2.0 / 32768)
            assert not np.array_equal(sounds["ours"], sounds["chain"])
    with pytest.raises(RnnaudioError, match="out exists: choose another folder"):
        listening_sounds.write(options)


def test_options_out_of_range_are_refused():
    with pytest.raises(RnnaudioError, match="n_primes is 0; expected 1 or more"):
        Options(n_primes=0)
    with pytest.raises(RnnaudioError, match="seconds is 0"):
        Options(seconds=0.0)
    with pytest.raises(RnnaudioError, match="name is '../x'; expected small letters"):
        ship.Options(name="../x")


def test_what_does_not_play_does_not_come_with_the_package():
    good = {"n_bytes": 8_000_000, "most_bits_changed": 0.0099, "alive_seconds": [60.0, 300.0]}
    ship.refuse_unless_it_plays(good)
    for changes, words in (
        ({"n_bytes": 8_000_001}, "it has 8000001 bytes, expected 8000000 at most"),
        ({"most_bits_changed": 0.01}, "half precision changes 0.01 bits"),
        ({"alive_seconds": [12.3, 300.0]}, "a continuation dies after 12.3 s"),
    ):
        with pytest.raises(RnnaudioError, match=words):
            ship.refuse_unless_it_plays(good | changes)
