"""Runs over codes with attention: from the parameters of one without, resumed, played, packed, exported, refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.audio.stft import STFT
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.codes import CodePlayer
from rnnaudio.generation.sampling import Sampling
from rnnaudio.nn import PastAttention
from rnnaudio.runs import packs
from rnnaudio.runs.codes.batches import validation_windows
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.model import frames_of_attention
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.config import from_dict, to_dict
from rnnaudio.runs.fit import fit
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.record import SavedRun
from tests.support.onnx_player import Player

OLD = Path(__file__).parents[1] / "support" / "old_runs"
CORPUS = OLD / "corpus.hdf5"
SECONDS = 0.5


def config_with(**changes):
    _, config = saved_recipe(OLD / "codes")
    return dataclasses.replace(config, **{"attention_seconds": SECONDS, "minutes": 5.0, **changes})


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of four updates that starts from one without attention."""
    folder = tmp_path_factory.mktemp("attention")
    fit(CODES, config_with(max_updates=4, validate_every=2), CORPUS, folder / "run", start=OLD / "codes")
    return folder / "run"


def parameters(run_dir):
    return SavedRun.read(run_dir).checkpoint.group("model")


def test_it_is_trained_from_a_run_without_attention_whose_parameters_it_takes_all(run_dir):
    taken = SavedRun.read(run_dir).settings["start"]
    old, run = load(OLD / "codes").model.parameters(), load(run_dir)
    assert taken["taken"] == list(old)
    assert [name.rpartition(".")[2] for name in taken["fresh"]] == ["w_query", "w_key", "w_value", "bias"]
    assert isinstance(run.model.body, PastAttention)
    frames = SECONDS * run.sample_rate_hz / run.config.hop_samples
    assert run.model.body.recall.n_past == round(frames) > 1
    assert all(np.abs(parameters(run_dir)[name]).max() > 0 for name in taken["fresh"])


def test_resumed_it_has_the_bits_of_one_that_was_not_broken_off(run_dir, tmp_path):
    """The carried past is part of the checkpoint."""
    settings = {"max_updates": 4, "validate_every": 2}
    fit(CODES, config_with(**settings, minutes=1e-6), CORPUS, tmp_path / "parts", start=OLD / "codes")
    part = SavedRun.read(tmp_path / "parts")
    assert part.record["n_updates"] == 1
    assert max(np.size(leaf) for leaf in part.checkpoint.group("carried").values()) > 1000
    fit(CODES, config_with(**settings), CORPUS, tmp_path / "parts", resume=True)
    arrays, expected = (SavedRun.read(folder).checkpoint.arrays for folder in (tmp_path / "parts", run_dir))
    assert arrays.keys() == expected.keys()
    assert all(np.array_equal(arrays[key], expected[key]) for key in expected)


def test_other_seconds_are_refused_when_it_is_resumed(run_dir):
    for seconds in (0.0, 1.0):
        with pytest.raises(RnnaudioError, match=f"attention_seconds was 0.5, now it is {seconds}"):
            fit(
                CODES,
                config_with(max_updates=4, validate_every=2, attention_seconds=seconds),
                CORPUS,
                run_dir,
                resume=True,
            )


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 601.0])
def test_seconds_that_make_no_sense_are_refused(seconds):
    with pytest.raises(RnnaudioError, match="attention_seconds is"):
        CodesConfig(attention_seconds=seconds)


def test_seconds_become_frames_one_at_least():
    stft = STFT(512, 128, sample_rate_hz=8000)
    config = CodesConfig(hop_samples=128)
    for seconds, frames in ((0.0, 0), (1e-6, 1), (8.0, 500)):
        assert frames_of_attention(dataclasses.replace(config, attention_seconds=seconds), stft) == frames


def test_runs_of_before_have_none():
    saved = to_dict(CodesConfig())
    del saved["attention_seconds"]
    assert from_dict(CodesConfig, saved).attention_seconds == 0.0


def test_validation_windows_give_the_past_time_to_fill():
    codec, config = load(OLD / "codes").codec, config_with()
    with AudioCorpus.open(CORPUS) as corpus:
        plain, filled, longest = (
            len(validation_windows(dataclasses.replace(config, attention_seconds=s), codec, corpus.valid)[0].codes) - 1
            for s in (0.0, 0.1, 600.0)
        )
        pieces = [codec.encode(piece.read(0, piece.n_samples)) for piece in corpus.valid.pieces]
    assert plain == config.n_steps
    assert filled == config.n_steps + frames_of_attention(
        dataclasses.replace(config, attention_seconds=0.1), codec.stft
    )
    assert longest == max(map(len, pieces)) - 1


def test_it_plays_the_same_alone_and_beside_others(run_dir):
    run = load(run_dir)
    primes = np.random.default_rng(1).integers(0, run.codec.n_codes, (2, 9, run.codec.n_stages))
    both, one = (CodePlayer(run.model, run.codec, p, Sampling(), seed=4).frames(80) for p in (primes, primes[:1]))
    np.testing.assert_array_equal(both[:1], one)


@pytest.mark.skipif(engine.NAME != "pytensor", reason="graphs of PyTensor alone are exported")
def test_exported_it_samples_the_codes_of_the_run(run_dir):
    """For longer than the past, and with it carried as a state."""
    run = load(run_dir)
    n_stages = run.codec.n_stages
    primes = np.random.default_rng(1).integers(0, run.codec.n_codes, (2, 5, n_stages))
    expected = CodePlayer(run.model, run.codec, primes, Sampling(0.9), detail_temperature=1.3, seed=4).frames(60)
    player, temperatures = Player(run.networks()[""], 2), np.array([0.9, *[1.3] * (n_stages - 1)])
    for frame in primes.swapaxes(0, 1)[:-1]:
        player(codes=frame, uniform=np.zeros((2, n_stages)), temperatures=temperatures)
    last, sources = primes[:, -1], [np.random.default_rng((4, k, 9)) for k in range(2)]
    for wanted in expected.swapaxes(0, 1):
        uniform = np.stack([source.random(n_stages) for source in sources])
        last = player(codes=last, uniform=uniform, temperatures=temperatures)["next_codes"]
        np.testing.assert_array_equal(last, wanted)


def test_packed_it_plays_as_the_run(run_dir, tmp_path):
    packs.pack(run_dir, tmp_path / "run.zip", CORPUS)
    with packs.run_folder(tmp_path / "run.zip") as folder:
        packed, run = load(folder), load(run_dir)
        for name, value in run.model.get_values().items():
            np.testing.assert_array_equal(packed.model.get_values()[name], value)
        assert packed.config.attention_seconds == SECONDS
