"""The model of samples: against its equations in NumPy, against differences, against its own free run."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import ArrayPiece, AudioCorpus, Split
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.data.sample_batches import fitted_quantizer, levels_of, stretches
from rnnaudio.diagnostics import check_gradients
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.samples import SamplePlayer
from rnnaudio.generation.sampling import Sampling
from rnnaudio.nn import Context, sample_model
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import NextSamples
from rnnaudio.readouts import Categorical, LogisticMixture
from rnnaudio.readouts.logistic import LEAST_SCALE
from rnnaudio.runs.continuing import AS_TRAINED, SamplingOptions
from rnnaudio.runs.fit import fit
from rnnaudio.runs.load import load
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.model import Facts, build_model, linear_path, measured_facts
from rnnaudio.runs.samples.recipe import SAMPLES
from rnnaudio.training import Evaluation
from tests.support.gradient_cases import randomise
from tests.support.oracle_samples import categorical_bits, centres, logistic_bits, said_of_each

N_LEVELS, WINDOW, DEVIATION = 11, 3, 0.4
LOGISTIC, CATEGORICAL = LogisticMixture(2, N_LEVELS, 0.2), Categorical(N_LEVELS)
TAPS = np.array([1.2, -0.5, 0.1, -0.2, 0.05, 0.01])


TINY = SamplesConfig(
    frames=(16, 4), window=4, n_units=8, n_components=2, n_taps=4, batch_size=4, n_steps=64, learning_rate=1e-2,
    max_updates=12, validate_every=6, n_valid=256, valid_stretches=3,
)  # fmt: skip


class Case(NamedTuple):
    frames: tuple[int, ...]
    readout: object
    taps: np.ndarray | None
    cell: str


THREE_TIERS = "three tiers, logistic about a linear prediction"
CASES = {
    "two tiers, categorical": Case((4,), CATEGORICAL, None, "lstm"),
    THREE_TIERS: Case((4, 2), LOGISTIC, TAPS, "gru"),
    "three tiers, logistic": Case((6, 2), LOGISTIC, None, "lstm"),
}


def built(case, seed=0, n_units=3):
    rng = np.random.default_rng(seed)
    model = sample_model(
        case.frames, WINDOW, n_units, case.readout, rng=rng, cell=case.cell, deviation=DEVIATION, taps=case.taps
    )
    values = model.get_values()
    randomise(model, rng)
    if case.taps is not None:
        model.taps.set_value(values["taps"])
    return model


class Levels:
    def __init__(self, codes, resets=None):
        self.codes = np.asarray(codes, np.int64)
        self.resets = np.ones(codes.shape[1], bool) if resets is None else resets


def some_levels(model, n=12, batch=3, seed=1):
    return np.random.default_rng(seed).integers(0, N_LEVELS, (model.n_context + n, batch, 1))


def oracle_bits(model, case, levels):
    """(n,) bits of one sequence."""
    values, begin = model.get_values(), model.n_context
    said = said_of_each(
        values, levels, begin, frames=case.frames, window=WINDOW, n_levels=N_LEVELS, deviation=DEVIATION,
        cell=case.cell,
    )  # fmt: skip
    if case.readout is CATEGORICAL:
        return categorical_bits(said, levels[begin:])
    centre = np.zeros(len(said)) if case.taps is None else centres(values, levels, begin, N_LEVELS)
    return logistic_bits(said, levels[begin:], centre, N_LEVELS, 0.2, LEAST_SCALE * 2 / (N_LEVELS - 1))


@pytest.mark.jax
@pytest.mark.parametrize("name", ["two tiers, categorical", pytest.param(THREE_TIERS, marks=pytest.mark.modes)])
def test_bits_are_those_of_the_equations(name, kernel):
    case = CASES[name]
    with engine.precision("float64"):
        model = built(case)
        levels = some_levels(model)
        bits = Evaluation(model, NextSamples(model.n_context))([Levels(levels)])["bits"]
    expected = np.mean([oracle_bits(model, case, levels[:, k, 0]) for k in range(3)])
    assert bits == pytest.approx(expected, rel=1e-9)


@pytest.mark.modes
def test_gradients_through_all_tiers():
    """Of the read-outs alone, by kernel and graph: tests/readouts/test_readouts.py."""
    case, rng = CASES[THREE_TIERS], np.random.default_rng(0)
    with engine.precision("float64"):
        model = built(case)
        report = check_gradients(
            model, NextSamples(model.n_context), Levels(some_levels(model, 8, 1)), rng=rng, n_entries=1
        )
    assert report.largest < 1e-6, str(report)
    assert {array.name for array in report.arrays if not array.largest_gradient} == set(), str(report)


def test_a_segment_goes_on_where_the_one_before_ended():
    """Cut in time, a recording is as likely as the whole: the state and the context are handed on."""
    case = CASES[THREE_TIERS]
    with engine.precision("float64"):
        model = built(case)
        objective, batch = NextSamples(model.n_context), Levels(some_levels(model, 16))
        evaluate = Evaluation(model, objective)
        whole = evaluate([batch])
        cut = Evaluation(model, objective, segment_steps=4)([batch])
        anew = evaluate([Levels(batch.codes[k : k + model.n_context + 4]) for k in (0, 4, 8, 12)])
    assert cut["bits"] == pytest.approx(whole["bits"], rel=1e-12)
    assert abs(anew["bits"] - whole["bits"]) > 1e-6


def test_a_sample_depends_on_those_before_it_only_and_on_all_of_them():
    model = built(CASES["three tiers, logistic"])
    codes = engine.tensor("codes", 3, "int64")
    said, state = model.unroll(codes, model.initial_state(codes.shape[1]), Context.evaluation())
    f = engine.function([codes], [said, *flatten(state)])
    levels = some_levels(model, 12, 1)
    before = f(levels)[0]
    for at in range(model.n_context, len(levels)):
        other = levels.copy()
        other[at] = (other[at] + 5) % N_LEVELS
        after, first = f(other)[0], at - model.n_context
        np.testing.assert_array_equal(after[: first + 1], before[: first + 1])
        assert first + 1 == len(after) or (np.abs(after[first + 1 :] - before[first + 1 :]).max(axis=(1, 2)) > 0).any()


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no location"):
        sample_model((4,), WINDOW, 3, CATEGORICAL, rng=rng, taps=TAPS)
    with pytest.raises(ValueError, match="takes 3 for each 4"):
        sample_model((6, 4), WINDOW, 3, CATEGORICAL, rng=rng)
    with pytest.raises(ValueError, match="equal parts"):
        sample_model((4,), WINDOW, 3, CATEGORICAL, rng=rng, cell="elman")


@pytest.mark.parametrize("frames", [(4, 8), (), (4, 0), (-4, 2)])
def test_tiers_in_the_wrong_order_or_of_no_length_are_refused(frames):
    with pytest.raises(ValueError, match=r"frames are .*; expected lengths that are multiples of the next"):
        sample_model(frames, WINDOW, 3, CATEGORICAL, rng=np.random.default_rng(0))


def test_a_mask_is_refused_rather_than_ignored():
    model = sample_model((4,), WINDOW, 3, CATEGORICAL, rng=np.random.default_rng(0))
    levels, mask = engine.tensor("levels", 3, "int64"), engine.tensor("mask", 2, "int8")
    with pytest.raises(ValueError, match="a SampleModel got a mask"):
        model.unroll(levels, model.initial_state(2), Context.evaluation(), mask)


# ---------------------------------------------------------------- the free run


def seeds_for(model, n_streams, n_more=0, seed=3):
    return np.random.default_rng(seed).integers(0, N_LEVELS, (n_streams, model.n_context + n_more))


def nats_of(case, said, levels):
    """(n,) nats of levels, from what the player says of each."""
    bits = (
        categorical_bits(said, levels)
        if case.readout is CATEGORICAL
        else logistic_bits(said, levels, np.zeros(len(said)), N_LEVELS, 0.2, LEAST_SCALE * 2 / (N_LEVELS - 1))
    )
    return bits * np.log(2.0)


@pytest.mark.parametrize("name", list(CASES)[:2])
def test_what_is_played_has_the_likelihood_that_training_gives_it(name):
    """The product of the player's probabilities of what it drew is the teacher-forced likelihood of the same samples,
    the seed before it; with the state that the seed left."""
    case, n_frames = CASES[name], 9
    with engine.precision("float64"):
        model = built(case)
        longest = case.frames[0]
        seeds = seeds_for(model, 3, 2 * longest)
        player = SamplePlayer(model, seeds, Sampling(), seed=5)
        played, nats = [], []
        for _ in range(n_frames * longest // case.frames[-1]):
            played.append(next(player))
            nats += [[nats_of(case, player.outputs[:, b], played[-1][b]) for b in range(3)]]
        levels = np.concatenate([seeds, *played], axis=1)
        objective = NextSamples(model.n_context)
        evaluate = Evaluation(model, objective)
        n_seed, n_all = 2 * longest, levels.shape[1] - model.n_context
        whole = evaluate([Levels(levels.T[..., None])])["bits"] * n_all * 3
        heard = evaluate([Levels(seeds.T[..., None])])["bits"] * n_seed * 3
    assert np.sum(nats) / np.log(2.0) == pytest.approx(whole - heard, rel=1e-9)


@pytest.mark.parametrize("name", list(CASES)[:2])
def test_the_compiled_draws_are_those_of_the_readout(name):
    """Sample by sample with the read-out's own sampler: the same numbers, so the same levels."""
    model = built(CASES[name])
    seeds = seeds_for(model, 4, 8)
    fast = SamplePlayer(model, seeds, Sampling(0.8), seed=2)
    slow = SamplePlayer(model, seeds, Sampling(0.8), seed=2)
    slow._kind = -1
    np.testing.assert_array_equal(fast.levels(200), slow.levels(200))


def test_streams_play_what_each_plays_alone_and_go_on():
    model = built(CASES["three tiers, logistic"])
    seeds = seeds_for(model, 3, 5)
    together = SamplePlayer(model, seeds, Sampling(), seed=7).levels(60)
    np.testing.assert_array_equal(together, SamplePlayer(model, seeds, Sampling(), seed=7).levels(60))
    np.testing.assert_array_equal(together[:1], SamplePlayer(model, seeds[:1], Sampling(), seed=7).levels(60))
    assert (SamplePlayer(model, seeds, Sampling(), seed=8).levels(60) != together).any()
    player = SamplePlayer(model, seeds, Sampling(), seed=7)
    np.testing.assert_array_equal(np.concatenate([player.levels(36), player.levels(24)], axis=1), together)


def test_the_likeliest_level_alone_is_drawn():
    model = built(CASES["two tiers, categorical"])
    player = SamplePlayer(model, seeds_for(model, 2), Sampling(top_k=1))
    for _ in range(5):
        levels = next(player)
        np.testing.assert_array_equal(levels.T, player.outputs.argmax(axis=2))


def test_seeds_that_are_refused():
    model = built(CASES["two tiers, categorical"])
    for seeds, message in [
        (np.zeros((2, 3), int), "expected integers .streams, 4 or more"),
        (np.zeros((1, 9)), "float64 primes"),
        (np.full((1, 9), N_LEVELS), "expected 0 to 10"),
    ]:
        with pytest.raises(RnnaudioError, match=message):
            SamplePlayer(model, seeds, Sampling())
    with pytest.raises(RnnaudioError, match="1 or more"):
        SamplePlayer(model, np.zeros((1, 9), int), Sampling()).levels(0)


# ---------------------------------------------------------------- recordings as levels, and a run from end to end


def recordings(*lengths, seed=4):
    """A split of noise that a linear prediction of two taps nearly foretells."""
    rng, pieces = np.random.default_rng(seed), []
    for length in lengths:
        x = rng.standard_normal(length)
        for t in range(2, length):
            x[t] = 1.8 * x[t - 1] - 0.9 * x[t - 2] + 0.1 * x[t]
        pieces.append(ArrayPiece(x.astype(np.float32)))
    return Split("train", tuple(pieces), 16000)


def test_a_split_becomes_levels_and_their_counts():
    split = recordings(500, 300)
    quantizer = fitted_quantizer(split, 64, "linear")
    assert quantizer.peak == max(np.abs(piece.audio).max() for piece in split.pieces)
    levels = levels_of(split, quantizer)
    assert [s.shape for s in levels.sequences] == [(500, 1), (300, 1)] and levels.sequences[0].dtype == np.uint8
    np.testing.assert_array_equal(levels.sequences[1][:, 0], quantizer.levels(split.pieces[1].audio))
    assert levels.counts.tolist() == np.bincount(np.concatenate(levels.sequences)[:, 0], minlength=64).tolist()


def test_stretches_are_spread_over_all():
    sequences = [np.arange(10), np.arange(100, 125)]
    assert [s[0] for s in stretches(sequences, 5, 3)] == [0, 105, 120]
    assert len(stretches(sequences, 5, 99)) == 7
    with pytest.raises(RnnaudioError, match="longest piece, 25"):
        stretches(sequences, 26, 3)


def test_the_linear_path_is_least_squares():
    split = recordings(4000)
    quantizer = fitted_quantizer(split, 65536, "linear")
    facts = measured_facts(levels_of(split, quantizer), quantizer, 2)
    np.testing.assert_allclose(facts.taps, [1.8, -0.9, 0.0], atol=0.02)
    assert facts.unit * quantizer.peak == pytest.approx(0.1, rel=0.05)
    v = quantizer.values(quantizer.levels(split.pieces[0].audio))
    assert facts.deviation == pytest.approx(v.std(), rel=1e-6)
    foretold = facts.taps[0] * v[1:-1] + facts.taps[1] * v[:-2] + facts.taps[2]
    np.testing.assert_allclose(linear_path(v, np.array(facts.taps)), foretold)


def played(run, seeds, n_samples, sampling=AS_TRAINED, *, at_once):
    return np.concatenate(list(run.blocks(seeds, n_samples, sampling, at_once=at_once)), axis=1)


def test_a_run_learns_is_loaded_and_plays(tmp_path):
    path = build_demo_corpus(tmp_path / "corpus.h5")
    fit(SAMPLES, TINY, path, tmp_path / "run")
    with pytest.raises(RnnaudioError, match="exists: continue it"):
        fit(SAMPLES, TINY, path, tmp_path / "run")
    sampler = load(tmp_path / "run")
    history = sampler.record["history"]
    assert history[-1]["valid"] < history[0]["valid"] < 8.0
    with AudioCorpus.open(path) as corpus:
        seeds = [corpus.test.prime_at(k, 0.05) for k in range(2)]
    first, again = (played(load(tmp_path / "run"), seeds, 800, at_once=False) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2, 800) and np.isfinite(first).all() and np.abs(first).max() <= sampler.quantizer.peak
    warmer = SamplingOptions(temperatures=(0.5, 2.0))
    whole, piped = (played(sampler, seeds, 1500, warmer, at_once=at_once) for at_once in (False, True))
    np.testing.assert_array_equal(whole, piped)  # the temperature goes by the sample, not by the block
    assert whole.shape == (2, 1500) and not (whole[:, :800] == first).all()
    with pytest.raises(RnnaudioError, match="no checkpoint"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": (6, 4)}, "whole number of the next"),
        ({"frames": ()}, "whole number of the next"),
        ({"n_steps": 100}, "n_steps is 100: expected a whole number of frames of 128"),
        ({"n_valid": 0}, "n_valid is 0"),
        ({"batch_size": 0}, "batch_size is 0; expected more than 0"),
        ({"minutes": float("nan")}, "minutes is nan"),
    ],
)
def test_settings_that_are_refused(options, message):
    with pytest.raises(RnnaudioError, match=message):
        SamplesConfig(**options)


def test_the_same_model_in_pytorch_says_the_same():
    """What `rnnaudio experiment run bench-samples` compares with, where PyTorch is: an LSTM (its GRU differs)."""
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.torch_samples import SampleRNN

    config = dataclasses.replace(TINY, cell="lstm", n_levels=N_LEVELS)
    facts = Facts(1.0, DEVIATION, 0.2, tuple(TAPS))
    ours = build_model(config, facts)
    randomise(ours, np.random.default_rng(0), 0.3)
    ours.taps.set_value(TAPS.astype("float32"))
    theirs, values = SampleRNN(config, facts, ours.n_context), ours.get_values()
    their_values = {"taps": values["taps"], "first.weight": values["samples.w_input"].T}
    for k in range(2):
        for part in ("input", "output"):
            their_values[f"{part}.{k}.weight"] = values[f"tier_{k + 1}.{part}.weight"].T
            their_values[f"{part}.{k}.bias"] = values[f"tier_{k + 1}.{part}.bias"]
        lstm = f"tier_{k + 1}.lstm."
        their_values[f"cells.{k}.weight_ih_l0"] = values[lstm + "lstm.w_input"].T
        their_values[f"cells.{k}.weight_hh_l0"] = values[lstm + "lstm.w_hidden"].T
        their_values[f"cells.{k}.bias_ih_l0"] = values[lstm + "lstm.bias"]
        their_values[f"cells.{k}.bias_hh_l0"] = 0 * values[lstm + "lstm.bias"]
        for leaf, name in enumerate(("hidden", "cell")):
            their_values[f"start.{2 * k + leaf}"] = values[lstm + f"initial_{name}"]
    for number, name in ((1, "hidden"), (3, "output")):
        their_values[f"rest.{number}.weight"] = values[f"samples.{name}.weight"].T
        their_values[f"rest.{number}.bias"] = values[f"samples.{name}.bias"]
    theirs.load_state_dict({name: torch.tensor(np.array(value)) for name, value in their_values.items()})
    levels = some_levels(ours, 32, 2)
    bits = Evaluation(ours, NextSamples(ours.n_context))([Levels(levels)])["bits"]
    assert theirs(torch.tensor(levels[..., 0]), None, None)[0].item() == pytest.approx(bits, rel=1e-5)
