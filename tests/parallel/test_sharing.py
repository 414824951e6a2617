"""Training shared by several ranks, here threads: updates are those of whole batches, and disagreement is refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

from rnnaudio import engine, losses
from rnnaudio.data import ArrayPiece, Batch, RandomWindows, ShiftedWindows
from rnnaudio.data.batches import ConsecutiveWindows, FrameOffsets, RandomRuns
from rnnaudio.data.code_batches import CodeStreams
from rnnaudio.data.code_past import BeatReader, PastStreams, SequencePast
from rnnaudio.data.minibatches import Minibatches
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import LSTM, BatchNorm, Dense, Sequential
from rnnaudio.objectives import (
    Classification,
    NextFrameDistribution,
    Outcome,
    PhaseDifferences,
    Strategy,
    predict_next,
    reconstruct_current,
)
from rnnaudio.optimizers import SGD, Adam
from rnnaudio.parallel import ALONE
from rnnaudio.runs import back_off
from rnnaudio.runs.sharing import check_same
from rnnaudio.training import EarlyStopping, Evaluation, Limits, TrainStep, checkpoint, train
from rnnaudio.training.gradients import WholeGradients
from rnnaudio.training.run import Run
from rnnaudio.training.shared import (
    SharedBatches,
    SharedTrainStep,
    check_same_parameters,
    rows_of,
    start_together,
    whole_state,
)
from rnnaudio.training.stopping import StoppingState
from tests.support.codes import tiny_codec
from tests.support.thread_ranks import thread_ranks, together

N, BATCH, STEPS = 5, 6, 7


class Frames(NamedTuple):
    frames: np.ndarray
    resets: np.ndarray
    mask: np.ndarray


class Masked(Strategy):
    """Squared error of the steps where the mask (time, batch) is 1."""

    def variables(self):
        return [engine.tensor("frames", 3), engine.tensor("mask", 2)]

    def batch_size(self, frames, mask):
        return frames.shape[1]

    def outcome(self, model, variables, state, context):
        frames, mask = variables
        x, target = self.split(frames)
        prediction, state = model.unroll(x, state, context)
        _, terms, _, _ = super().outcome(model, [frames], state, context)
        loss = losses.mean_squared_error(prediction, target, mask)
        return Outcome(loss, terms, state, tt.sum(mask))


class Unweighted(Strategy):
    def outcome(self, *arguments):
        return super().outcome(*arguments)._replace(weight=None)


MASKED, UNWEIGHTED = Masked("masked", 1, ("frames", "mask")), Unweighted("unweighted", 1)


def stack(seed=1, n=N):
    rng = np.random.default_rng(seed)
    return Sequential([LSTM(n, 4, rng=rng), Dense(4, n, rng=rng)])


def a_batch(seed, rows=slice(None)):
    """Frames of different loudness; of sequence k, k steps count, but none of the first two."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(STEPS + 1, BATCH, N)) * (1.0 + np.arange(BATCH)[:, None])
    mask = (np.arange(STEPS)[:, None] < np.array([0, 0, 2, 3, 4, 5])).astype(float)
    resets = np.array([seed % 2, 0, 1, 0, 0, 1], bool)
    return Frames(frames[:, rows], resets[rows], mask[:, rows])


def updates(step, rows=slice(None), n=4):
    """The results of some updates that carry the state on."""
    state, results = None, []
    for update in range(n):
        results.append(step(a_batch(update, rows), state, learning_rate=0.01, update=update))
        state = results[-1].state
    return results


def same(got, expected, tolerance):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("objective", [predict_next, MASKED], ids=lambda objective: objective.name)
def test_the_shared_update_is_that_of_the_whole_batch(objective, size):
    """Against one process, also where the shares have unequal weights and one of them counts for nothing."""
    rule = Adam(0.01, max_gradient_norm=0.1)
    with engine.precision("float64"):
        one = stack()
        expected = updates(TrainStep(one, objective, rule, seed=3))
        ranks, models = thread_ranks(size), [stack() for _ in range(size)]
        steps = [
            SharedTrainStep(model, objective, rule, seed=3, segment_steps=0, ranks=rank)
            for model, rank in zip(models, ranks, strict=True)
        ]
        got = together(size, lambda rank: updates(_on(steps, rank), rank.share.rows(BATCH)))
    for name, value in one.get_values().items():
        for model in models:
            same(model.get_values()[name], value, 1e-10)
            np.testing.assert_array_equal(model.get_values()[name], models[0].get_values()[name])
    for update, whole in enumerate(expected):
        parts = [results[update] for results in got]
        for leaf, value in enumerate(whole.state):
            same(np.concatenate([part.state[leaf] for part in parts]), value, 1e-10)
        for part in parts:
            same(part.loss, whole.loss, 1e-10)
            same(list(part.gradient_norms.values()), list(whole.gradient_norms.values()), 1e-10)
            same(list(part.values["normalised_mse"]), list(whole.values["normalised_mse"]), 1e-10)


def _on(steps, rank):
    """The step of a rank, which exchanges with the ranks of this call."""
    steps[rank.share.rank]._ranks = rank
    return steps[rank.share.rank]


def test_the_step_in_segments_is_shared_as_well():
    with engine.precision("float64"):
        one = stack()
        updates(TrainStep(one, predict_next, SGD(0.01), seed=3))
        ranks, models = thread_ranks(2), [stack() for _ in range(2)]
        steps = [
            SharedTrainStep(model, predict_next, SGD(0.01), seed=3, segment_steps=3, ranks=rank)
            for model, rank in zip(models, ranks, strict=True)
        ]
        together(2, lambda rank: updates(_on(steps, rank), rank.share.rows(BATCH)))
    for name, value in one.get_values().items():
        same(models[1].get_values()[name], value, 1e-10)


def rows_frames(arrays, rows):
    return [array[:, rows] for array in arrays]


def rows_images(arrays, rows):
    return [array[rows] for array in arrays]


def objectives():
    rng = np.random.default_rng(8)
    frames, weights = rng.normal(size=(STEPS + 1, BATCH, N)), rng.uniform(size=(STEPS, BATCH, 2))
    weights[:, 0] = 0.0
    phases = [rng.normal(size=(STEPS, BATCH, N)), rng.normal(size=(STEPS, BATCH, 2)), weights]
    images = [rng.uniform(size=(BATCH, N)), rng.integers(0, 3, BATCH)]

    def dense(n):
        return Dense(N, n, rng=np.random.default_rng(0))

    return {
        "predict": (predict_next, dense(N), [frames], rows_frames),
        "reconstruct": (reconstruct_current, dense(N), [frames], rows_frames),
        "last step": (Strategy("last", 1, first_scored=-1), dense(N), [frames], rows_frames),
        "distribution": (NextFrameDistribution(), dense(2 * N), [frames], rows_frames),
        "phases": (PhaseDifferences(), dense(2), phases, rows_frames),
        "images": (Classification(), dense(3), images, rows_images),
    }


@pytest.mark.parametrize("name", ["predict", "reconstruct", "last step", "distribution", "phases", "images"])
def test_the_weights_of_losses(name):
    """The loss of a batch is the mean of those of its parts, two rows and four, with the weights that they tell."""
    with engine.precision("float64"):
        objective, model, arrays, rows_of_arrays = objectives()[name]
        gradients = WholeGradients(model, objective, seed=0)

        def computed(rows):
            parts = dict(zip(objective.fields, rows_of_arrays(arrays, rows), strict=True))
            batch = type("Arrays", (), {**parts, "resets": None})
            return gradients(batch, None, update=0)

        whole, *parts = [computed(rows) for rows in (slice(None), slice(0, 2), slice(2, None))]
    assert gradients.has_weight and whole.weight == pytest.approx(sum(part.weight for part in parts))
    assert whole.loss == pytest.approx(sum(part.weight * part.loss for part in parts) / whole.weight, rel=1e-12)


@pytest.mark.parametrize(("sample", "shape", "axis"), [("normal", (3, 4, 2), -2), ("uniform", (3, 4), 1)])
def test_noise_of_a_part_is_that_of_the_whole_batch(sample, shape, axis):
    def sampled(shape):
        return engine.function([], getattr(engine, sample)(np.array([5, 6]), 1, shape, batch_axis=axis))()

    whole, half = sampled(shape), list(shape)
    half[axis] //= 2
    parts = []
    for part in range(2):
        with engine.part_of_batches(part, 2):
            parts.append(sampled(half))
    np.testing.assert_array_equal(np.concatenate(parts, axis=axis), whole)


def pieces(*lengths):
    rng = np.random.default_rng(2)
    made = [ArrayPiece(rng.normal(size=n).astype(np.float32)) for n in lengths]
    return type("Pieces", (), {"pieces": tuple(made)})()


def codes_by_the_beat():
    reader = BeatReader(tiny_codec(n_codes=80))
    streams = CodeStreams((np.arange(80).reshape(40, 2), np.arange(60).reshape(30, 2)), 4, 6, 9)
    return PastStreams(streams, [SequencePast(sequence, reader) for sequence in streams.usable])


SIZES = {"frame_size": 4, "n_steps": 3, "batch_size": 6, "seed": 9}
SOURCES = {
    "random": lambda: RandomWindows(pieces(100, 57), **SIZES),
    "shifted": lambda: ShiftedWindows(pieces(100, 57), **SIZES),
    "offsets": lambda: FrameOffsets(pieces(100, 57), **SIZES),
    "consecutive": lambda: ConsecutiveWindows(pieces(100, 57), **SIZES),
    "runs": lambda: RandomRuns(pieces(200, 157), **SIZES, n_segments=3),
    "codes": lambda: CodeStreams((np.arange(80).reshape(40, 2), np.arange(60).reshape(30, 2)), 4, 6, 9),
    "codes by the beat": codes_by_the_beat,
    "images": lambda: Minibatches(np.random.default_rng(0).uniform(size=(20, 3)), np.arange(20), 6, 9),
    "images in order": lambda: Minibatches(np.eye(20), np.arange(20), 6, 9, shuffle=False),
}


@pytest.mark.parametrize("name", SOURCES)
def test_parts_of_batches_are_rows_of_the_whole(name):
    source = SOURCES[name]()
    for index in (0, 1, 5):
        whole = source.batch(index)
        for rows in (slice(0, 2), slice(2, 6)):
            for field, part, array in zip(whole._fields, source.part(index, rows), whole, strict=True):
                along = 1 if field in ("frames", "codes", "past", "beat") else 0
                np.testing.assert_array_equal(part, np.take(array, range(6)[rows], axis=along))


def test_validation_has_the_same_bits_for_any_number_of_ranks():
    batches = [a_batch(seed) for seed in range(5)]
    expected = Evaluation(stack(), predict_next)(batches)
    evaluations = [Evaluation(stack(), predict_next) for _ in range(3)]
    found = together(3, lambda rank: evaluations[rank.share.rank](batches, rank))
    assert found == [expected] * 3


def test_state_and_progress_of_the_first_rank_go_to_all():
    """The carried state comes apart by rows, and together again; parameters and slots are those of rank 0."""
    models = [stack(seed) for seed in range(2)]
    steps = [TrainStep(model, predict_next, Adam(0.01), seed=0) for model in models]
    updates(steps[0], n=2)
    whole = [np.arange(24.0).reshape(6, 4), np.arange(24.0, 48.0).reshape(6, 4)]

    def begin(rank):
        run = Run(StoppingState(), n_updates=7 if rank.is_first else 0, carried=whole if rank.is_first else None)
        run = start_together(models[rank.share.rank], steps[rank.share.rank], run, rank)
        check_same_parameters(models[rank.share.rank], rank)
        return run, whole_state(run.carried, rank)

    for number, (run, joined) in enumerate(together(2, begin)):
        assert run.n_updates == 7
        np.testing.assert_array_equal(run.carried[1], whole[1][3 * number : 3 * number + 3])
        np.testing.assert_array_equal(joined, whole)
    for name, variable in steps[0].optimizer_state.variables().items():
        np.testing.assert_array_equal(steps[1].optimizer_state.variables()[name].get_value(), variable.get_value())


def test_ranks_back_off_together_and_the_first_alone_touches_files(tmp_path):
    """The run breaks down once: all return to the validation of the first rank's folder, at half the rate."""
    models, calls = [stack(), stack()], [[], []]

    def on(rank):
        model, seen = models[rank.share.rank], calls[rank.share.rank]
        folder = tmp_path / f"{rank.share.rank}"
        folder.mkdir()
        path = folder / checkpoint.NAME

        def attempt(halvings, resume, on_update):
            seen.append((halvings, resume))
            if rank.is_first and not path.exists():
                path.write_text("validated")
            on_update(10)
            if rank.is_first:
                path.write_text("later")
            return Run(StoppingState(), broke_down="" if halvings else "not finite")

        options = {"most": 3, "halvings": 0, "validate_every": 10, "resume": False, "on_update": None}
        back_off.trained(attempt, model, folder, **options, ranks=rank)
        return sorted(entry.name for entry in folder.iterdir())

    files = together(2, on)
    assert calls == [[(0, False), (1, True)]] * 2
    assert files == [[checkpoint.NAME, checkpoint.VALIDATED], []]


def test_a_training_that_breaks_down_names_the_sample_that_another_rank_has_read(tmp_path):
    """Rank 1 reads the NaN; all end at that update, and the first writes the cause into its checkpoint."""
    source = RandomWindows(pieces(100, 57), **SIZES)
    spoilt = 3

    class Spoilt:
        batches_per_epoch, carries_state = 5, False

        def batch(self, index):
            return self.part(index, slice(None))

        def part(self, index, rows):
            frames, resets = source.batch(index)
            if index == spoilt:
                frames[1, 4, 2] = np.nan
            return Batch(frames[:, rows], resets[rows])

    def on(rank):
        rng, folder = np.random.default_rng(0), tmp_path / f"{rank.share.rank}"
        model = Sequential([LSTM(4, 3, rng=rng), Dense(3, 4, rng=rng)])
        limits, stopping = Limits(max_updates=60, validate_every=2), EarlyStopping()
        options = {"optimizer": SGD(0.01), "stopping": stopping, "limits": limits, "run_dir": folder, "ranks": rank}
        validation = [source.batch(0)]
        return train(model, predict_next, Spoilt(), validation, on_validation=lambda row: None, **options)

    runs = together(2, on)
    for run in runs:
        assert run.n_updates == spoilt and not run.is_complete and not run.is_interrupted
        assert run.reason == run.broke_down and run.broke_down.endswith(": its batch has nan in frames[1, 1, 2]")
    assert checkpoint.newest(tmp_path / "0").record["broke_down"] == runs[0].broke_down
    assert not (tmp_path / "1").exists()


# ---------------------------------------------------------------- what is refused


def test_batches_that_cannot_be_shared():
    source = SOURCES["random"]()
    with pytest.raises(RnnaudioError, match="a batch of 6 cannot be shared evenly by 4 ranks: give a multiple of 4"):
        rows_of(source, predict_next, thread_ranks(4)[0])
    whole_only = type("Whole", (), {"batch": source.batch, "batches_per_epoch": 1, "carries_state": False})()
    with pytest.raises(RnnaudioError, match=r"Whole has no method part\(index, rows\).*train on one process"):
        rows_of(whole_only, predict_next, thread_ranks(2)[0])


def test_losses_of_unknown_weight_and_statistics_of_batches():
    first = thread_ranks(2)[0]
    with pytest.raises(RnnaudioError, match=r"'unweighted' does not tell the weight of its loss.*weight=\.\.\."):
        SharedTrainStep(stack(), UNWEIGHTED, SGD(), seed=0, segment_steps=0, ranks=first)
    rng = np.random.default_rng(0)
    normalised = Sequential([Dense(N, N, rng=rng), BatchNorm(N)])
    with pytest.raises(RnnaudioError, match="running_mean.*statistics of whole batches cannot be computed from parts"):
        SharedTrainStep(normalised, predict_next, SGD(), seed=0, segment_steps=0, ranks=first)


def test_ranks_that_read_different_batches_or_drifted_apart():
    sources = [RandomWindows(pieces(100, 57), **SIZES | {"seed": seed}) for seed in (1, 1, 2)]
    with pytest.raises(RnnaudioError, match="ranks 0 and 2 read different batches from the same corpus"):
        together(3, lambda rank: SharedBatches(sources[rank.share.rank], predict_next, rank))
    models = [stack(), stack(2)]
    with pytest.raises(RnnaudioError, match="ranks 0 and 1 have different parameters after the same updates"):
        together(2, lambda rank: check_same_parameters(models[rank.share.rank], rank))
    check_same_parameters(models[0], ALONE)


def test_ranks_of_different_settings_or_corpora():
    def record(rank, **changes):
        corpus = {"path": f"/{rank.share.rank}", "sum": "a"}
        settings = {"train": {"model": {"n_units": 5}, "seed": 1}, "corpus": corpus}
        return settings | (changes if rank.share.rank == 1 else {})

    together(2, lambda rank: check_same(rank, record(rank)))  # the paths may differ
    wrong = {"train": {"model": {"n_units": 6}, "seed": 1}}
    with pytest.raises(RnnaudioError, match=r"rank 1 has train\.model\.n_units 6, rank 0 5: start all ranks with the"):
        together(2, lambda rank: check_same(rank, record(rank, **wrong)))
    with pytest.raises(RnnaudioError, match="rank 1 has corpus.sum 'b', rank 0 'a'"):
        together(2, lambda rank: check_same(rank, record(rank, corpus={"path": "/", "sum": "b"})))


def test_parts_of_one_thread_are_not_those_of_another():
    """Two that enter and leave in turn, as ranks in threads do, leave no part behind."""
    first, second = engine.part_of_batches(0, 2), engine.part_of_batches(1, 2)
    with ThreadPoolExecutor(1) as other:
        first.__enter__()
        other.submit(second.__enter__).result()
        first.__exit__(None, None, None)
        other.submit(second.__exit__, None, None, None).result()
    key = np.array([5, 6])
    ours = engine.function([], engine.normal(key, 1, (4, 3)))()
    with engine.part_of_batches(1, 2):
        np.testing.assert_array_equal(engine.function([], engine.normal(key, 1, (2, 3)))(), ours[2:])
