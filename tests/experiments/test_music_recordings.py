"""The study of recordings of each kind: which corpora there are, and figures of sounds whose answer is known."""

import numpy as np
import pytest

from experiments.studies.music_recordings import dead_air, kinds, level_db, loop_share, told_apart
from rnnaudio.metrics import limits_of_all_music
from tests.support.recordings import write
from tests.support.sounds import RATE_HZ, music, noise

LIMITS = limits_of_all_music(RATE_HZ)


def test_each_recording_is_a_corpus_and_speech_is_one(tmp_path):
    for name in ("198-209-0000", "5703-47212-0000", "dance", "7 songs", "whale-2"):
        write(tmp_path / f"{name}.wav", noise(0.2, 0.1))
    found = {name: sorted(path.stem for path in files) for name, files in kinds(tmp_path)}
    speech = ["198-209-0000", "5703-47212-0000"]
    alone = {name: [name] for name in ("7 songs", "dance", "whale-2")}
    assert found == alone | {"speech": speech, "all together": sorted([*speech, "7 songs", "dance", "whale-2"])}


def test_shares_of_silence_and_of_repetition():
    """Windows of a second every quarter: 37 in 10 s, of which those within the silence of the last 4 s are 13."""
    silent = np.concatenate([music(6.0, 0), np.zeros(4 * RATE_HZ)])
    assert dead_air([silent], RATE_HZ, LIMITS) == pytest.approx(13 / 37, abs=3 / 37)
    assert dead_air([music(6.0, 0)], RATE_HZ, LIMITS) == 0.0
    assert (
        loop_share([np.tile(music(1.0, 3), 10)], RATE_HZ, LIMITS) > 0.8
    )  # the last ones have nothing to compare with
    assert loop_share([music(10.0, 0)], RATE_HZ, LIMITS) == 0.0


def test_levels_and_what_is_told_apart():
    assert level_db([np.full(5, 0.1), np.full(9, -0.1)]) == pytest.approx(-20.0)
    real, fake = [noise(8.0, 0.1, seed) for seed in range(4)], [[noise(8.0, 0.001, seed)] for seed in range(4)]
    assert told_apart(real, fake, RATE_HZ) == 1.0 and told_apart(real, [[], fake[0]], RATE_HZ) is None
