"""Memory is predicted before a step starts: against closed forms, the kernels' own memory, and whole processes."""

import dataclasses
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.data.code_batches import CodeBatch
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import buffers
from rnnaudio.nn import (
    GRU,
    LSTM,
    BatchNorm,
    Dense,
    DrawnInitialState,
    Dropout,
    GRUEarly2016,
    Layer,
    Layer2016,
    LearntInitialState,
    LinearPredictor,
    MemoryLSTM,
    Noisy,
    Painter,
    Repeated,
    Sequential,
    Sum,
)
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.objectives import NextSamples, predict_next
from rnnaudio.optimizers import SGD, Adam, RMSprop
from rnnaudio.runs.codes import model as codes
from rnnaudio.runs.codes.batches import objective as codes_objective
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.samples import model as samples
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.training import SegmentedTrainStep, TrainStep, available, memory
from rnnaudio.training.memory import check_memory, in_bytes, step_memory

GIGA = 1_000_000_000
GRUS = ModelConfig("gru", n_units=200, n_layers=2)
IN_SEGMENTS = FramesConfig(n_steps=400, batch_size=32, segment_steps=40, model=GRUS)

not_on_theano = pytest.mark.skipif(engine.NAME == "theano", reason="minutes of compiling there, and the same kernels")


def lstm_stack(n_in=200, n_units=300, n_layers=3):
    rng = np.random.default_rng(0)
    widths = [n_in, *[n_units] * (n_layers - 1)]
    return Sequential([*(LSTM(n, n_units, rng=rng) for n in widths), Dense(n_units, n_in, rng=rng)])


# ---------------------------------------------------------------- what layers say


def test_floats_of_layers_in_closed_form():
    """Kept, and working: an LSTM keeps h, c and 4 gates of n, a GRU h, h * r and 3 gates."""
    rng = np.random.default_rng(0)
    for layer, kept, working in (
        (LSTM(5, 7, rng=rng), 6 * 7, 4 * 7 + 7 + 5),
        (LSTM(7, 7, rng=rng, peepholes=True), 6 * 7, 4 * 7 + 7),
        (GRU(5, 7, rng=rng), 5 * 7, 3 * 7 + 7 + 5),
        (LearntInitialState(GRU(5, 7, rng=rng)), 5 * 7, 3 * 7 + 7 + 5),
        (Noisy(GRU(5, 7, rng=rng), std=0.1), 5 * 7 + 5, 3 * 7 + 7 + 5),
        (Dense(5, 7, rng=rng), 7, 7 + 5),
        (Dense(5, 7, rng=rng, activation="tanh"), 7, 2 * 7 + 5),
        (MemoryLSTM(5, 2, rng=rng), 10 * 2 * 5, 10 * 2 * 5 + 6 * 5 + 5),
        (MemoryLSTM(5, 2, rng=rng, bounded=True), 10 * 2 * 5, 10 * 2 * 5 + 6 * 5 + 5),
        (DrawnInitialState(GRU(5, 7, rng=rng)), 5 * 7, 3 * 7 + 7 + 5),
        (Repeated(GRU(7, 7, rng=rng), 3), 3 * 5 * 7, 3 * 7 + 7),
        (LinearPredictor(5, 7, n_frames=3), 3 * 5 + 3 * 5 + 7, 3 * 5 + 7),
        (Dropout(7, 0.5), 2 * 7, 2 * 7),
        (BatchNorm(7), 3 * 7, 3 * 7),
        (Layer2016(5, 7, rng=rng), 2 * 7, 5 + 2 * 7),
        (Layer2016(5, 7, rng=rng, between=[BatchNorm(7, shift=False), Dropout(7, 0.5)]), 7 * 7, 5 + 3 * 7),
        (Noisy(LSTM(5, 7, rng=rng), state_std=0.1), 4 * 7 + 2 * 28 + 3 * 2 * 7, 28 + 2 * 7 + 5),  # by scan
        (Noisy(LSTM(5, 7, rng=rng), std=0.1, state_std=0.1), 4 * 7 + 2 * 28 + 3 * 2 * 7 + 5, 28 + 2 * 7 + 5),
        (Painter(2, (2, 3), 3, rng=rng), 2 * (3 + 3 + 6), 3 + 3 + 6 + 2),
    ):
        assert told(layer) == (kept, working), layer.kind


def told(layer):
    held = layer.activations()
    return sum(held.kept.elements()), sum(held.working.elements())


def test_of_layers_in_a_row_the_most_working_memory_of_each_width_counts():
    held = lstm_stack().activations().beside(predict_next.activations(lstm_stack()))
    assert held.floats == 3 * 6 * 300 + 200 + (4 * 300 + 300 + 200)


def test_what_layers_keep_adds_up_and_what_they_work_with_is_shared():
    one, other = Activations(widths(3, 5), widths(7, 7)), Activations(widths(3), widths(7, 2))
    both = one.beside(other)
    assert both.kept == widths(3, 3, 5) and both.working == widths(7, 7, 2)
    assert both.floats == 3 + 3 + 5 + 7 + 7 + 2


def test_paths_side_by_side_and_joined_inputs_are_counted():
    rng = np.random.default_rng(0)
    plain = Sequential([GRU(4, 3, rng=rng), GRU(3, 3, rng=rng), Dense(3, 4, rng=rng)])
    joined = Sequential([GRU(4, 3, rng=rng), GRU(3 + 4, 3, rng=rng), Dense(3 + 3, 4, rng=rng)], skip=True)
    assert sum(joined.activations().kept.elements()) == sum(plain.activations().kept.elements()) + 7 + 6
    tower = Sequential([GRU(4, 3, rng=rng), GRU(3, 3, rng=rng), Dense(3 + 3, 4, rng=rng)], read_all=True)
    assert sum(tower.activations().kept.elements()) == sum(plain.activations().kept.elements()) + 6
    beside = Sum(stack=plain, linear=LinearPredictor(4, 4))
    assert sum(beside.activations().kept.elements()) == sum(plain.activations().kept.elements()) + 2 * 8 + 4 + 4


def test_a_cell_that_scan_computes_says_more():
    rng = np.random.default_rng(0)
    fused = LSTM(5, 7, rng=rng).activations().floats
    with engine.using_kernel("scan"):
        assert LSTM(5, 7, rng=rng).activations().floats > 1.5 * fused
        assert told(LSTM(5, 7, rng=rng)) == (4 * 7 + 2 * 28, 28 + 2 * 7 + 5)
        assert told(GRU(5, 7, rng=rng)) == (4 * 7 + 2 * 21, 21 + 2 * 7 + 5)
        assert told(Dense(5, 7, rng=rng, activation="tanh")) == (2 * 7, 2 * 7 + 5)
        assert told(MemoryLSTM(5, 2, rng=rng)) == (2 * 10 * 2 * 5, 10 * 2 * 5 + 5)
    noisy = Noisy(LSTM(5, 7, rng=rng), state_std=0.1)  # the kernels take no noise on the state
    assert noisy.activations().floats > 1.5 * fused
    early = GRUEarly2016(5, 7, rng=rng)  # no kernel computes it
    assert early.activations().floats > 1.5 * GRU(5, 7, rng=rng).activations().floats


def test_a_layer_of_the_users_own_has_an_answer():
    class Own(Layer):
        n_in, n_out = 5, 7

    assert Own().activations().floats == 7 + 5 + 7


# ---------------------------------------------------------------- prediction


def test_prediction_in_closed_form():
    n_parameters = 4 * (200 + 1) * 300 + 4 * 300 * 300 + 2 * (4 * 601 * 300) + 301 * 200
    for optimizer, copies in ((SGD(), 2), (RMSprop(), 3), (Adam(), 4)):
        told = step_memory(lstm_stack(), predict_next, optimizer, n_steps=80, batch_size=16)
        assert told.parameters == 4 * (copies * n_parameters + 2 * 300 * 1200)
        assert told.batches == 2 * 4 * 81 * 16 * 200
        assert told.activations == 4 * 80 * 16 * 7300
        assert told.states == 5 * 4 * 16 * 6 * 300
        assert told.total == sum(told)


def test_segments_need_the_memory_of_one_and_of_the_states_between():
    sizes = {"n_steps": 1000, "batch_size": 16}
    whole = step_memory(lstm_stack(), predict_next, SGD(), **sizes)
    cut = step_memory(lstm_stack(), predict_next, SGD(), segment_steps=30, **sizes)
    for_final_states = memory.FINAL_ARRAYS * 6 * 300
    assert cut.activations == 4 * (30 + 10) * 16 * (7300 + for_final_states)  # 10: the last of 34 segments
    assert cut.states == 4 * 16 * (5 + 34) * 6 * 300
    assert cut.batches == whole.batches
    assert cut.total < whole.total / 4


def test_longer_segments_than_the_sequence_are_the_sequence():
    sizes = {"n_steps": 50, "batch_size": 4}
    one, other = (step_memory(lstm_stack(), predict_next, SGD(), segment_steps=k, **sizes) for k in (50, 900))
    assert one == other


def frames_of(n_steps, batch_size, width):
    frames = np.random.default_rng(0).standard_normal((n_steps + 1, batch_size, width), np.float32)
    return Batch(frames, np.ones(batch_size, bool))


@pytest.mark.parametrize("cell", [LSTM, GRU])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_the_kernels_take_the_memory_that_was_predicted(cell, n_layers):
    """Arrays below 256 KiB are not the kernels', so that weights are left out."""
    rng = np.random.default_rng(0)
    n_steps, batch_size, n_in, n_units = 40, 32, 60, 64
    widths = [n_in, n_units][:n_layers]
    model = Sequential([*(cell(n, n_units, rng=rng) for n in widths), Dense(n_units, n_in, rng=rng)])
    step = TrainStep(model, predict_next, SGD(), seed=0)
    buffers.clear()
    for update in range(2):
        step(frames_of(n_steps, batch_size, n_in), None, learning_rate=0.1, update=update)
    taken = sum(buffer.size for buffer in buffers._buffers)
    told = step_memory(model, predict_next, SGD(), n_steps=n_steps, batch_size=batch_size).activations
    assert taken == told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a stretch of time")
@pytest.mark.parametrize(
    "config",
    [
        FramesConfig(n_steps=40, batch_size=64, frame_size=200, model=ModelConfig(n_units=300)),
        pytest.param(IN_SEGMENTS, marks=not_on_theano),
    ],
    ids=["whole", "segments"],
)
def test_a_process_takes_the_memory_that_was_predicted(config):
    """What a larger batch adds: whatever the size, the first steps of a process take 20 MB more on Theano."""
    from experiments.benchmarks.memory import measure, predicted

    larger = dataclasses.replace(config, batch_size=4 * config.batch_size)
    told = predicted(larger) - predicted(config)
    assert 0.9 <= told / (measure(larger)["measured"] - measure(config)["measured"]) <= 1.4


def peak_of(step, n_steps):
    """Bytes of NumPy's arrays in an update, without the batch."""
    batch = frames_of(n_steps, 4, 20)
    buffers.clear()
    tracemalloc.start()
    step(batch, None, learning_rate=1e-3, update=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def code_model(**settings):
    rng = np.random.default_rng(0)
    config = CodesConfig(n_units=64, head_units=32, n_codes=100, n_components=20, max_updates=9, **settings)
    codec = SimpleNamespace(
        n_features=20, n_codes=100, n_stages=config.n_stages, stages=rng.standard_normal((config.n_stages, 100, 20)),
        deviations=np.ones(20), stft=SimpleNamespace(rate=lambda: 16_000, hop_samples=512),
    )  # fmt: skip
    levels = rng.integers(0, 100, (65, 64, config.n_stages))
    return codes.build_model(config, codec), codes_objective(config), levels


def levels_model(**settings):
    config = SamplesConfig(n_units=128, n_taps=0, **settings)
    model = samples.build_model(config, samples.Facts(peak=1.0, deviation=1.0, unit=1.0))
    levels = np.random.default_rng(0).integers(0, 256, (model.n_context + 512, 16, 1))
    return model, NextSamples(model.n_context), levels


@pytest.mark.slow
@not_on_theano
@pytest.mark.parametrize(
    "made",
    [
        lambda: code_model(n_stages=1),
        lambda: code_model(n_stages=2, n_layers=3),
        lambda: code_model(n_stages=1, own_share=0.3),
        lambda: code_model(n_stages=1, attention_seconds=2.0),
        lambda: levels_model(),
        lambda: levels_model(readout="categorical", cell="lstm"),
    ],
    ids=["codes", "two stages, three layers", "sampled inputs", "attention", "samples", "categorical, LSTM"],
)
def test_models_of_codes_and_samples_take_the_memory_that_was_predicted(made):
    model, objective, levels = made()
    n_context = getattr(model, "n_context", 1)
    step = TrainStep(model, objective, Adam(), seed=0)
    batch = CodeBatch(levels, np.ones(levels.shape[1], bool))
    step(batch, None, learning_rate=1e-3, update=0)
    buffers.clear()
    tracemalloc.start()
    step(batch, None, learning_rate=1e-3, update=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sizes = {"n_steps": len(levels) - n_context, "batch_size": levels.shape[1]}
    told = step_memory(model, objective, Adam(), **sizes)
    assert 0.9 <= (told.activations + told.states) / peak <= 1.5


@pytest.mark.slow
@not_on_theano
def test_memory_in_segments_grows_with_the_root_of_the_steps():
    """Sixteen times the steps, four times the memory; the whole sequence at once takes sixteen times."""
    whole = TrainStep(lstm_stack(20, 20, 2), predict_next, SGD(), seed=0)
    short, long = 256, 4096
    cut_short, cut_long = (
        SegmentedTrainStep(lstm_stack(20, 20, 2), predict_next, SGD(), seed=0, segment_steps=k) for k in (16, 64)
    )
    for step in (whole, cut_short, cut_long):
        step(frames_of(4, 4, 20), None, learning_rate=1e-3, update=0)  # kernels are compiled at the first call
    assert peak_of(whole, long) > 12 * peak_of(whole, short)
    assert peak_of(cut_long, long) < 6 * peak_of(cut_short, short)
    assert peak_of(cut_long, long) < peak_of(whole, long) / 10


# ---------------------------------------------------------------- refusing


def check(monkeypatch, n_bytes, **sizes):
    monkeypatch.setattr(memory, "available_bytes", lambda: n_bytes)
    return check_memory(lstm_stack(), predict_next, SGD(), **({"n_steps": 32_000, "batch_size": 64} | sizes))


def test_what_is_needed_what_is_there_and_what_to_do(monkeypatch):
    with pytest.raises(RnnaudioError) as caught:
        check(monkeypatch, 24 * GIGA)
    message = str(caught.value)
    assert "needs about 63.1 GB" in message and "24.0 GB are available" in message
    assert "lower --batch-size (64) or --n-steps (32000)" in message
    cut = check(monkeypatch, 24 * GIGA, segment_steps=179)
    assert f"--segment-steps 179 needs about {in_bytes(cut.total)}" in message
    assert cut.total < 6 * GIGA


def test_too_little_for_segments_too(monkeypatch):
    with pytest.raises(RnnaudioError, match=r"n-steps \(32000\); segments alone do not do"):
        check(monkeypatch, 1 * GIGA, segment_steps=179)


def test_no_segments_are_advised_where_there_are_none(monkeypatch):
    with pytest.raises(RnnaudioError, match=r"--n-steps \(32000\)$"):
        check(monkeypatch, 1 * GIGA, segment_steps=None)


@pytest.mark.parametrize("n_bytes", [None, 100 * GIGA])
def test_enough_or_unknown_memory_is_no_obstacle(monkeypatch, n_bytes):
    assert check(monkeypatch, n_bytes).total > 60 * GIGA


def test_in_bytes():
    assert [in_bytes(n) for n in (3_400_000, 999e6, 1e9, 31_240_000_000)] == ["3 MB", "999 MB", "1.0 GB", "31.2 GB"]


# ---------------------------------------------------------------- what there is


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A made-up /proc and /sys: write(path, text)."""
    monkeypatch.setattr(available, "MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(available, "CONTROL_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(available, "CONTROL_GROUPS", tmp_path / "groups")

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("meminfo", "MemTotal:       9000 kB\nMemFree:         100 kB\nMemAvailable:   5000 kB\n")
    return write


def test_linux_says_what_is_available(machine):
    assert available.available_bytes() == 5000 * 1024


@pytest.mark.parametrize(("limit", "expected"), [("max", 5000 * 1024), ("3000000", 1_200_000), ("1000", 0)])
def test_the_limit_of_a_control_group_holds(machine, limit, expected):
    machine("cgroup", "0::/jobs/mine\n")
    machine("groups/jobs/mine/memory.max", "max\n")
    machine("groups/jobs/memory.max", limit + "\n")
    machine("groups/jobs/memory.current", "2000000\n")
    machine("groups/jobs/memory.stat", "anon 1800000\ninactive_file 200000\n")
    assert available.available_bytes() == expected


def test_a_container_sees_its_own_group_as_the_root(machine):
    machine("cgroup", "0::/unknown/here\n")
    machine("groups/memory.max", "2000000\n")
    assert available.available_bytes() == 2_000_000


def test_the_first_version_of_control_groups(machine):
    machine("cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/y\n")
    machine("groups/memory/docker/abc/memory.limit_in_bytes", "4000000\n")
    machine("groups/memory/docker/abc/memory.usage_in_bytes", "1500000\n")
    assert available.available_bytes() == 2_500_000


def test_without_linux_the_size_of_the_memory_or_nothing(machine, monkeypatch, tmp_path):
    (tmp_path / "meminfo").unlink()
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(available.os, "sysconf", sizes.__getitem__)
    assert available.available_bytes() == 4_096_000

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(available.os, "sysconf", unknown)
    assert available.available_bytes() is None


def test_this_machine_has_some():
    n_bytes = available.available_bytes()
    assert n_bytes is None or 0 < n_bytes < 1 << 50
