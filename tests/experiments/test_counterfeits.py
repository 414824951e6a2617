"""The bench of the measure of survival: its sounds are what they are called, and their labels need no detector."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.studies import counterfeit_models
from experiments.studies.counterfeit_corpora import Notes, corpora
from experiments.studies.counterfeit_models import Model, Played, confusion, label
from experiments.studies.counterfeit_sounds import FAULTS, RATE_HZ, counterfeits
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive
from rnnaudio.metrics.alive import FAULTS as ALL_FAULTS
from rnnaudio.runs.judging import limits_of_pieces
from rnnaudio.training import checkpoint

SECONDS = np.arange(5 * RATE_HZ) / RATE_HZ


def notes(seed=0, seconds=12.0):
    return Notes(seed, seconds).read(0, round(seconds * RATE_HZ)).astype(np.float64)


@pytest.mark.slow
def test_music_made_by_rule_is_the_same_wherever_it_is_read():
    piece = Notes(3, 60.0)
    whole = piece.read(0, piece.n_samples)
    assert len(whole) == piece.n_samples == 60 * RATE_HZ and np.abs(whole).max() < 1.0
    for start, stop in ((0, 100), (159_990, 160_020), (400_000, 960_000)):
        np.testing.assert_array_equal(piece.read(start, stop), whole[start:stop])
    assert not np.array_equal(Notes(4, 60.0).read(0, 999), whole[:999])


def test_counterfeits_have_the_level_and_the_faults_they_are_called_after():
    real = notes()
    fakes = counterfeits(real, notes(1), np.random.default_rng(0))
    assert fakes.keys() == FAULTS.keys() and {fault for right in FAULTS.values() for fault in right} <= set(ALL_FAULTS)
    rms = {name: np.sqrt(np.mean(sound**2)) for name, sound in fakes.items()}
    for name in ("white noise", "pink noise", "coloured noise", "buzz with tremolo", "held chord", "another corpus"):
        assert rms[name] == pytest.approx(np.sqrt(np.mean(real**2)), rel=1e-6)
    n = round(0.65 * RATE_HZ)
    np.testing.assert_allclose(fakes["loop of .65 s"][n : 2 * n], fakes["loop of .65 s"][2 * n : 3 * n], atol=1e-12)
    np.testing.assert_array_equal(fakes["silence"], 0.0)
    shuffled = np.sort(fakes["shuffled half seconds"].reshape(-1, RATE_HZ // 2).sum(axis=1))
    np.testing.assert_allclose(shuffled, np.sort(real[: 8 * RATE_HZ].reshape(-1, RATE_HZ // 2).sum(axis=1)))


PRIME = notes()[:RATE_HZ]
KNOWN = {
    "silent": 1e-4 * notes()[: 5 * RATE_HZ],
    "loud": 30.0 * notes()[: 5 * RATE_HZ],
    "noise": 0.05 * np.random.default_rng(0).standard_normal(5 * RATE_HZ),
    "steady": 0.05 * (np.sin(2 * np.pi * 441 * SECONDS) + np.sin(2 * np.pi * 1200 * SECONDS)),
    "loop": np.tile(notes(5)[: round(0.9 * RATE_HZ)], 6)[: 5 * RATE_HZ],
    "none of these": notes(6)[: 5 * RATE_HZ],
}


@pytest.mark.parametrize(("name", "sound"), KNOWN.items(), ids=KNOWN)
def test_sounds_are_labelled_as_they_were_made(name, sound):
    assert label(sound, PRIME) == name


def test_pink_noise_is_noise_too():
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(5 * RATE_HZ))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 100.0)))
    assert label(0.05 * pink / pink.std(), PRIME) == "noise"


def test_the_table_counts_what_was_found_and_why():
    played = [
        Played("lstm", "piano", "noise", Alive(0.0, "turned into noise", 1.0, "noise")),
        Played("lstm", "piano", "noise", Alive(0.5, "froze", 1.0, "standstill")),
        Played("lstm", "piano", "noise", Alive(4.0, "turned into noise", 1.0, "noise")),
        Played("codes", "piano", "none of these", Alive(5.0, "")),
    ]
    found = confusion(iter(played))
    assert found["by_label"]["noise"] == {
        "sounds": 3, "dead_within_3_s": 2, "right_reason": 1, "faults": {"noise": 2, "standstill": 1},
    }  # fmt: skip
    assert found["by_label"]["none of these"]["faults"] == {"alive": 1}
    assert found["by_model"]["codes on piano"] == {"labels": ["none of these"], "deaths": ["alive"]}


def test_a_training_that_was_broken_off_is_resumed_before_it_is_judged(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(counterfeit_models, "fit", lambda *args, resume: calls.append(resume))
    monkeypatch.setattr(counterfeit_models, "load", lambda run_dir: SimpleNamespace(config=None))
    model, run_dir = Model("lstm", 150), tmp_path / "run"
    run_dir.mkdir()  # the first time it was broken off before anything was saved
    for n_updates, expected in ((None, [False]), (100, [True]), (150, [])):
        calls.clear()
        if n_updates is not None:
            stopping = {"best_loss": None, "should_stop": False, "reason": ""}
            stored = {"history": [], "n_updates": n_updates, "seconds": 1.0, "stopping": stopping}
            checkpoint.save(checkpoint.path_in(run_dir), checkpoint.Checkpoint({}, stored))
        counterfeit_models.trained(model, tmp_path, run_dir, None)
        assert calls == expected
    with pytest.raises(RnnaudioError, match="has had 150 updates, expected 20"):
        counterfeit_models.trained(model, tmp_path, run_dir, 20)


def test_without_recordings_there_are_the_piano_and_what_is_made_by_rule():
    found = {corpus.name: corpus for corpus in corpora(None, None)}
    assert {"piano", "one piece of piano alone", "strings, made by rule", "eight hours"} <= found.keys()
    ((training, held_out),) = found["eight hours"].folds
    assert sum(piece.n_samples for piece in training) == 8 * 3600 * RATE_HZ
    assert not {piece.seed for piece in training} & {piece.seed for piece in held_out}


def test_calibration_reads_an_hour_at_most(monkeypatch):
    """Here a minute at most: 3 s of each of twenty pieces of an hour, one after the other."""
    lengths = []

    class Piece:
        n_samples = 3600 * 8000

        def read(self, start, stop):
            lengths.append(stop - start)
            return np.random.default_rng(0).standard_normal(stop - start)

    monkeypatch.setattr("rnnaudio.runs.judging.MOST_CALIBRATION_SECONDS", 60.0)
    limits_of_pieces([Piece()] * 20, 8000)
    assert lengths == [3 * 8000] * 20
