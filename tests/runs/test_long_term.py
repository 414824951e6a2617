"""Runs over codes with long-term prediction: trained, resumed, played, reported, packed; what is refused."""

import dataclasses
import json

import numpy as np
import pytest

from rnnaudio.audio import read_audio
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import LSTM
from rnnaudio.runs import packs
from rnnaudio.runs.codes.batches import objective, validation_windows
from rnnaudio.runs.codes.beat import BEAT, beat_of
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.fit import fit
from rnnaudio.runs.generate import generate
from rnnaudio.runs.load import load
from rnnaudio.runs.outcome import write_outcome
from rnnaudio.runs.primes import Primes
from rnnaudio.training import Evaluation, checkpoint

TINY = CodesConfig(
    window_samples=1024, n_components=8, n_codes=12, n_stages=2, transpose=(3,), n_units=8, n_steps=16, batch_size=4,
    max_updates=4, validate_every=2, dropout=0.3, input_noise=0.1, own_share=0.2, long_term="both", lag_dropout=0.2,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's corpus and a run of four updates on it."""
    folder = tmp_path_factory.mktemp("beat")
    build_demo_corpus(folder / "corpus.h5")
    fit(CODES, TINY, folder / "corpus.h5", folder / "run")
    return folder


def test_all_of_it_is_trained(folder):
    run = load(folder / "run")
    fresh = CODES.prepare(run.config, run.open_corpus(), folder / "run").model.get_values()
    changed = {name for name, value in run.model.get_values().items() if not np.array_equal(value, fresh[name])}
    names = {"w_gate", "b_gate", "w_candidate", "b_candidate"}
    assert {f"long_term.{name}" for name in names} <= changed
    (lstm,) = (layer for _, layer in run.model.layers() if isinstance(layer, LSTM))
    first, *_ = (layer for _, layer in run.model.body.layers() if hasattr(layer, "weight"))
    n_lagged = 3 * 8 + 9  # one, two and four periods back; three numbers of each candidate
    assert first.n_in == 8 + n_lagged and run.model.n_out == lstm.n_out + n_lagged


class Stopped(Exception):
    pass


@pytest.mark.slow
def test_a_resumed_run_has_the_same_bits(folder, tmp_path):
    def stop(row):
        raise Stopped

    with pytest.raises(Stopped):
        fit(CODES, TINY, folder / "corpus.h5", tmp_path / "run", observers=[stop])
    assert checkpoint.newest(tmp_path / "run").record["n_updates"] == 2
    fit(CODES, TINY, folder / "corpus.h5", tmp_path / "run", resume=True)
    resumed, whole = checkpoint.newest(tmp_path / "run"), checkpoint.newest(folder / "run")
    assert resumed.record["n_updates"] == whole.record["n_updates"] == 4
    for name, array in whole.arrays.items():
        assert array.tobytes() == resumed.arrays[name].tobytes(), name


@pytest.mark.slow
def test_it_starts_from_a_run_without_a_past(folder, tmp_path, capsys):
    """What has another shape or is new starts fresh, the rest is that of the other run."""
    short, path = dataclasses.replace(TINY, max_updates=2), folder / "corpus.h5"
    fit(CODES, dataclasses.replace(short, long_term="no", lag_dropout=0.0), path, tmp_path / "plain")
    fit(CODES, short, path, tmp_path / "new", start=tmp_path / "plain")
    (fresh,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("fresh: "))
    names = {entry.split(" (")[0].strip() for entry in fresh.removeprefix("fresh: ").split("),")}
    gates = {f"long_term.{name}" for name in ("w_gate", "b_gate", "w_candidate", "b_candidate")}
    assert gates < names and len(names) == len(gates) + 2  # the first layers of the body and of the first head


def test_what_cannot_change_is_refused(folder):
    for change in ({"long_term": "body"}, {"lag_dropout": 0.5}):
        with pytest.raises(RnnaudioError, match=next(iter(change))):
            fit(CODES, dataclasses.replace(TINY, **change), folder / "corpus.h5", folder / "run", resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lag_dropout": 1.0}, "lag_dropout is 1.0; expected 0 or more, and less than 1"),
        ({"lag_dropout": 0.2}, "lag_dropout leaves out frames of long-term prediction: set long_term, too"),
    ],
)
def test_settings_that_are_refused(change, message):
    with pytest.raises(RnnaudioError, match=message):
        CodesConfig(**change)


def test_validation_of_the_history_is_that_of_its_windows(folder):
    run = load(folder / "run")
    with run.open_corpus() as corpus:
        windows = validation_windows(run.config, run.codec, corpus.valid)
    assert any((batch.past >= 0).any() for batch in windows)
    bits = Evaluation(run.model, objective(run.config))(windows)["bits"]
    assert bits == pytest.approx(run.best_validation_loss, rel=1e-6)


def test_it_plays_the_same_in_blocks_and_frame_by_frame_and_from_a_pack(folder, tmp_path):
    run = load(folder / "run")
    with run.open_corpus() as corpus:
        primes = [corpus.test.prime_at(k, 4.0) for k in range(2)]
    blocks = ([block.audio for block in run.coded_blocks(primes, 9_000, n_at_once=n)] for n in (1, 50))
    one, many = (np.concatenate(audio, axis=1) for audio in blocks)
    np.testing.assert_array_equal(one, many)
    packs.pack(folder / "run", tmp_path / "run.zip", folder / "corpus.h5")
    for source, name in ((tmp_path / "run.zip", "a.wav"), (folder / "run", "b.wav")):
        generate(source, tmp_path / name, folder / "corpus.h5", primes=Primes(seconds=1.0), seconds=0.5)
    packed, unpacked = (read_audio(tmp_path / name)[0] for name in ("a.wav", "b.wav"))
    np.testing.assert_array_equal(packed, unpacked)


@pytest.mark.slow
def test_a_report_states_the_beat(folder):
    write_outcome(folder / "run", folder / "corpus.h5", seconds=2.0, finish=False)
    summary = json.loads((folder / "run/summary.json").read_text())
    assert [row["sound"] for row in summary["beat"]] == ["generated", "original"]
    assert all(0.0 <= row["confidence"] <= 1.0 for row in summary["beat"])
    assert BEAT in (folder / "run/report.html").read_text()


def test_primes_for_reports_are_long_enough_for_a_beat(folder):
    run = load(folder / "run")
    assert CODES.prime_seconds(run.config, 16_000) == 8.0
    assert CODES.prime_seconds(dataclasses.replace(run.config, long_term="no", lag_dropout=0.0), 16_000) == 1.0


def test_the_beat_of_a_sound_with_a_known_one(folder):
    """Clicks of noise at 120 bpm, through the codec; silence has none; a moment has no look."""
    codec, rng = load(folder / "run").codec, np.random.default_rng(0)
    rate = codec.stft.rate()
    t = np.arange(20 * rate) / rate
    clicks = (rng.normal(size=len(t)) * np.exp(-30.0 * (t % 0.5))).astype(np.float32)
    found = beat_of(codec, clicks[: 8 * rate], clicks[8 * rate :])
    assert found["period_seconds"] == pytest.approx(0.5, rel=0.02)
    assert found["confidence"] > 0.5 and found["with_a_beat"] == 1.0
    silence = np.zeros(12 * rate, np.float32)
    assert beat_of(codec, silence[:rate], silence) == {"period_seconds": None, "confidence": 0.0, "with_a_beat": 0.0}
    assert beat_of(codec, silence[:rate], silence[:1])["confidence"] is None


def test_export_is_refused_and_says_why(folder):
    with pytest.raises(RnnaudioError, match=r"long_term 'both': .* beat is found outside its network"):
        load(folder / "run").networks()
