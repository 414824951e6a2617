"""Random seeds: one range for every command, refused in one line before any work."""

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from rnnaudio.data.codec import random_state
from rnnaudio.engine import function, normal, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.continuing import SamplingOptions
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.seeds import GREATEST_SEED, check_seed
from rnnaudio.training import EarlyStopping, train

COMMANDS = {
    **{
        f"train {name}": ("train", "no.h5", "run", "--recipe", name, "--seed")
        for name in ("frames", "codes", "samples")
    },
    "preflight": ("preflight", "--seed"),
    "music": ("music", "no.h5", "run", "--seed"),
    "corpus build": ("corpus", "build", "sounds", "out.h5", "--seed"),
    "generate": ("generate", "no-run", "out.wav", "--sampling-seed"),
    "generate, older name": ("generate", "no-run", "out.wav", "--draw-seed"),
    **{name: ("experiment", "run", name, "--smoke", "--seed") for name in ("draw", "draw-piano", "music")},
    "mutants": ("experiment", "run", "mutants", "--table", "--seed"),
    "ablation": ("experiment", "run", "ablation", "--smoke", "--first"),
}


@pytest.mark.parametrize("seed", ["-1", str(2**63), str(-(2**70)), str(10**100)])
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_seeds_out_of_range_are_refused_with_the_range_before_any_work(command, tmp_path, monkeypatch, words, seed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sounds").mkdir()
    status, out, err = command(*words, seed)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1, err
    got = seed if len(seed) < 30 else "a number of many digits"
    assert f" is {got}; expected a whole number from 0 to 9223372036854775807" in err
    assert [path.name for path in tmp_path.iterdir()] == ["sounds"]


@pytest.mark.parametrize("name", ["mnist", "blind-test", "ablation"])
def test_no_seeds_at_all_are_refused(command, name):
    status, out, err = command("experiment", "run", name, "--seeds", 0)
    assert (status, out) == (2, "") and err.splitlines()[-1].endswith("seeds is 0; expected 1 or more")


def test_the_range_is_that_of_the_keys_of_noise():
    assert np.iinfo(np.int64).max == GREATEST_SEED
    key = tt.vector("key", dtype="int64")
    draw = function([key], normal(key, 0, [3]))
    assert np.isfinite(draw(np.asarray([GREATEST_SEED, 0], "int64"))).all()
    with pytest.raises(OverflowError):
        np.asarray([GREATEST_SEED + 1, 0], "int64")


@pytest.mark.parametrize("make", [FramesConfig, CodesConfig, SamplesConfig, SamplingOptions])
def test_settings_from_files_and_programs_have_the_same_range(make):
    assert [make(seed=seed).seed for seed in (0, GREATEST_SEED)] == [0, GREATEST_SEED]
    for seed in (-1, GREATEST_SEED + 1):
        with pytest.raises(RnnaudioError, match="seed is .*; expected a whole number from 0 to"):
            make(seed=seed)


def test_training_refuses_a_seed_before_it_compiles(tmp_path):
    with pytest.raises(RnnaudioError, match="seed is -1; expected"):
        train(None, None, None, [], optimizer=None, stopping=EarlyStopping(1), run_dir=tmp_path, seed=-1)


def test_a_seed_that_is_no_option_is_named():
    with pytest.raises(RnnaudioError, match="^sampling_seed is -1; "):
        check_seed(-1, "sampling_seed")


def test_codes_begin_from_the_state_that_scipy_makes_of_a_small_seed_and_from_others_for_larger_ones():
    frames = np.random.default_rng(0).standard_normal((60, 2))
    ours, of_scipy = (kmeans2(frames, 4, minit="points", seed=seed)[0] for seed in (random_state(2016), 2016))
    np.testing.assert_array_equal(ours, of_scipy)
    seeds = (2016, 2**32 - 1, 2**32, 2**32 + 2016, GREATEST_SEED + 3)
    assert len({random_state(seed).random() for seed in seeds}) == len(seeds)
