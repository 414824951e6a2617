"""The study of recordings of each kind: which corpora there are, and figures of sounds whose answer is known."""

import dataclasses

import numpy as np
import pytest

from experiments.studies import music_recordings
from experiments.studies.music_recordings import dead_air, excerpts_by_piece, kinds, level_db, loop_share, told_apart
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import limits_of_all_music
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.config import to_dict
from rnnaudio.training import checkpoint
from tests.support.recordings import write
from tests.support.sounds import RATE_HZ, music, noise

LIMITS = limits_of_all_music(RATE_HZ)


def test_each_recording_is_a_corpus_and_speech_is_one(tmp_path):
    for name in ("198-209-0000", "5703-47212-0000", "dance", "7 songs", "whale-2", "45__bird-0013"):
        write(tmp_path / f"{name}.wav", noise(0.2, 0.1))
    found = {name: sorted(path.stem for path in files) for name, files in kinds(tmp_path)}
    speech = ["198-209-0000", "5703-47212-0000"]
    alone = {name: [name] for name in ("7 songs", "dance", "whale-2", "45__bird-0013")}
    assert found == alone | {"speech": speech, "all together": sorted([*speech, *alone])}


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
    real, fake = ([[noise(8.0, level, seed)] for seed in range(4)] for level in (0.1, 0.001))
    assert told_apart(real, fake, RATE_HZ) == 1.0
    assert told_apart(real, fake[:3], RATE_HZ) is None and told_apart(real[:3], fake, RATE_HZ) is None


def test_excerpts_of_a_piece_are_one_group():
    """Three of 8 s in 25 s; none in 7 s."""
    long, short, other = noise(25.0, 0.1, 0), noise(7.0, 0.1, 1), noise(8.0, 0.1, 2)
    groups = excerpts_by_piece([long, short, other], RATE_HZ)
    assert [len(group) for group in groups] == [3, 1]
    np.testing.assert_array_equal(np.concatenate(groups[0]), long[: 24 * RATE_HZ])


def test_a_part_is_not_recorded_and_other_minutes_are_refused(tmp_path, monkeypatch):
    recorded = []
    monkeypatch.setattr(music_recordings, "record", lambda *figures: recorded.append(figures))
    monkeypatch.setattr(music_recordings, "measured", lambda name, files, options: {})
    monkeypatch.setattr(music_recordings, "kinds", lambda folder: iter([("dance", []), ("whale", [])]))
    options = music_recordings.Options(tmp_path, folder=tmp_path / "runs")
    monkeypatch.setattr(music_recordings, "parsed", lambda parse: options)
    music_recordings.main()
    assert recorded.pop()[1]["rows"] == {"dance": {}, "whale": {}}
    options = dataclasses.replace(options, only=("whale",))
    music_recordings.main()
    assert not recorded
    corpus = {"path": "c.h5", "sample_rate_hz": 16_000, "mean": 0.0, "std": 0.1}
    settings = {CODES.key: to_dict(CodesConfig(minutes=30.0)), "corpus": corpus}
    stopping = {"best_loss": None, "should_stop": False, "reason": ""}
    stored = {"history": [], "n_updates": 5, "seconds": 1.0, "stopping": stopping, "config": settings}
    run_dir = options.folder / "whale" / "run"
    run_dir.mkdir(parents=True)
    checkpoint.save(checkpoint.path_in(run_dir), checkpoint.Checkpoint({}, stored))
    with pytest.raises(RnnaudioError, match="trained with --minutes 30, and 2 were asked for"):
        music_recordings.main()
