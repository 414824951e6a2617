"""A minute of music, as a musician has it: from a file to a corpus, a run, a report, and sound that goes on."""

import json
import re

import numpy as np
import pytest

from rnnaudio.audio import read_audio, write_wav
from rnnaudio.data import AudioCorpus
from rnnaudio.runs.codes.recipe import CodesRecipe
from rnnaudio.runs.load import load
from tests.support.sounds import RATE_HZ, music


@pytest.mark.slow
@pytest.mark.long
def test_a_minute_of_music_becomes_sound(command, monkeypatch, tmp_path):
    """The usual settings, broken off by a limit of some seconds; the recording is cut in time."""
    monkeypatch.setattr(CodesRecipe, "seconds", 5.0)
    monkeypatch.setattr("rnnaudio.runs.codes.choice.TEMPERATURES", (1.0, 1.1))
    monkeypatch.setattr("rnnaudio.runs.codes.choice.N_PRIMES", 3)
    monkeypatch.setattr("rnnaudio.runs.codes.choice.budget_seconds", lambda *_: 60.0)  # a third of 3 s is none
    write_wav(tmp_path / "mine.wav", music(60.0, 0), RATE_HZ)
    corpus, run_dir, out = tmp_path / "my.h5", tmp_path / "run", tmp_path / "out.wav"
    status, said, err = command("corpus", "build", tmp_path / "mine.wav", corpus)
    assert status == 0 and "only 1 piece: cut in time" in said, err
    status, said, err = command("music", corpus, run_dir, "--minutes", 0.05)
    assert status == 0, err
    assert re.search(r"to train for longer: rnnaudio resume \S+ --minutes 2", said)
    run, summary = load(run_dir), json.loads((run_dir / "summary.json").read_text())
    assert run.codec.n_codes == 128 and run.codec.n_stages == 1 and not run.playing.untried
    with AudioCorpus.open(corpus) as opened:
        assert [round(split.seconds) for split in (opened.train, opened.valid, opened.test)] == [48, 6, 6]
    assert summary["generated_seconds"] == 5.0 and np.isfinite(summary["generated_dbfs"])
    status, said, err = command("generate", run_dir, out, "--seconds", 2)
    assert status == 0 and "1.00 s prime + 2.00 s generated" in said, err
    again = tmp_path / "again.wav"
    prime = ("--prime-file", out, "--prime-start", "end")
    status, said, err = command("generate", run_dir, again, *prime, "--seconds", 1)
    assert status == 0, err
    np.testing.assert_array_equal(read_audio(again)[0][:RATE_HZ], read_audio(out)[0][-RATE_HZ:])
