"""The benchmark counts what a step computes, and its peers answer."""

from typing import ClassVar

import numpy as np
import pytest

from experiments.benchmarks import generation_speed
from experiments.benchmarks.bench import Peer, check_peers, compare, gflop
from experiments.benchmarks.bench_peers import Point
from rnnaudio import engine
from rnnaudio.data import Batch
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import threads
from rnnaudio.nn import GRU, LSTM, Context, Dense, MemoryLSTM, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import RMSprop
from rnnaudio.training import TrainStep


@pytest.mark.parametrize(("cell", "n_blocks"), [("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_products_are_counted(cell, n_blocks, n_layers):
    point = Point(n_in=5, n_units=7, n_steps=3, n_batch=2, n_layers=n_layers)
    rows, n = 3 * 2, 7
    total = 0
    for layer in range(n_layers):
        width = 5 if layer == 0 else n
        by_input, by_state = 2 * rows * width * n_blocks * n, 2 * rows * n * n_blocks * n
        total += by_input + by_state  # forward
        total += by_input + by_state  # weight gradients
        total += by_state + (by_input if layer else 0)  # gradients of the state and, but for the data, of the input
    total += 3 * 2 * rows * n * 5  # the read-out: forward, weight, input
    assert gflop(point, cell) == pytest.approx(total / 1e9)


def test_products_of_a_memory_lstm_are_counted():
    n, depth, rows = 7, 2, 3 * 2
    total = 0
    for d in range(depth):
        hidden, gates = 2 * rows * 2 * n * 6 * n, 3 * 2 * rows * 2 * n * n
        total += 3 * (hidden + gates)  # forward, weights, inputs
        total -= 2 * rows * 6 * n * n if d == 0 else 0  # but the gradient of the data
    total += 3 * 2 * rows * (depth * n * 2 * n + 2 * n * n)  # the read-out
    assert gflop(Point(n, n, 3, 2, depth), "memory-lstm") == pytest.approx(total / 1e9)


def test_the_memory_lstm_in_torch_has_the_same_loss_and_gradients():
    torch = pytest.importorskip("torch")
    from experiments.benchmarks.torch_models import MemoryLSTM as TorchMemoryLSTM

    n, depth, rng = 4, 2, np.random.default_rng(0)
    with engine.precision("float64"):
        layers = [MemoryLSTM(n, depth, rng=rng), Dense(depth * n, 2 * n, rng=rng, activation="relu")]
        model = Sequential([*layers, Dense(2 * n, n, rng=rng)])
        frames = engine.tensor("frames", 3)
        loss = predict_next.outcome(model, [frames], model.initial_state(3), Context.evaluation()).loss
        names = list(model.parameters())
        gradients = engine.gradient(loss, list(model.parameters().values()))
        values = rng.standard_normal((6, 3, n))
        ours = dict(zip(["loss", *names], engine.function([frames], [loss, *gradients])(values), strict=True))
    peer = TorchMemoryLSTM(n, depth, std=0.0, compiled=False).double()
    p = {name: torch.tensor(value.get_value()) for name, value in model.parameters().items()}
    same = {
        "memory_lstm.w_hidden": (peer.w_hidden, lambda a: a),
        "memory_lstm.bias_hidden": (peer.bias_hidden, lambda a: a),
        "memory_lstm.w_gates": (peer.w_gates, lambda a: a.reshape(2 * n, 3, n).transpose(0, 1)),
        "memory_lstm.bias_gates": (peer.bias_gates, lambda a: a.reshape(3, 1, n)),
        "dense.weight": (peer.readout[0].weight, lambda a: a.T),
        "dense.bias": (peer.readout[0].bias, lambda a: a),
        "dense_2.weight": (peer.readout[2].weight, lambda a: a.T),
        "dense_2.bias": (peer.readout[2].bias, lambda a: a),
    }
    with torch.no_grad():
        for name, (theirs, arranged) in same.items():
            theirs.copy_(arranged(p[name]))
    sequence = torch.tensor(values)
    their_loss = torch.nn.functional.mse_loss(peer(sequence[:-1]), sequence[1:])
    their_loss.backward()
    np.testing.assert_allclose(ours["loss"], their_loss.item(), rtol=1e-12)
    for name, (theirs, arranged) in same.items():
        np.testing.assert_allclose(arranged(torch.tensor(ours[name])), theirs.grad, rtol=1e-9, atol=1e-12)


class Scripted:
    """A peer whose steps take known times, one for each turn."""

    times: ClassVar[dict[str, list[float]]] = {"rnnaudio": [9.0, 1.0, 2.0, 4.0], "torch": [9.0, 3.0, 4.0, 4.0]}
    closed: ClassVar[list[str]] = []

    def __init__(self, name, cell, point):
        if name == "broken":
            raise RnnaudioError("did not start")
        self.name, self._left = name, iter(self.times[name])

    def seconds(self, n_steps):
        return next(self._left)

    def close(self):
        self.closed.append(self.name)


POINT = Point(4, 3, 2, 2, 1)


def test_the_ratio_is_the_median_of_theirs_over_ours_in_the_same_turn():
    row = compare(POINT, "gru", ["torch"], turns=3, turn_seconds=1.0, make_peer=Scripted)
    assert row["rnnaudio"] == {"seconds": 2.0, "lowest": 1.0, "highest": 4.0, "ratio": 1.0}
    assert row["torch"] == {"seconds": 4.0, "lowest": 3.0, "highest": 4.0, "ratio": 2.0}


def test_peers_that_started_are_closed_if_another_does_not():
    Scripted.closed.clear()
    with pytest.raises(RnnaudioError):
        compare(POINT, "gru", ["broken"], turns=1, turn_seconds=1.0, make_peer=Scripted)
    assert Scripted.closed == ["rnnaudio"]


@pytest.mark.parametrize("cell", [pytest.param("lstm", marks=pytest.mark.slow), "gru"])
def test_the_peer_in_jax_is_the_same_model_and_update(cell):
    pytest.importorskip("jax")
    from experiments.benchmarks.bench_jax import ReadOut, Recurrent, update

    point = Point(4, 3, 5, 2, 2)
    rng = np.random.default_rng(0)
    make = {"lstm": LSTM, "gru": GRU}[cell]
    model = Sequential([make(4, 3, rng=rng), make(3, 3, rng=rng), Dense(3, 4, rng=rng)])
    values = [value.copy() for value in model.get_values().values()]
    parameters = [Recurrent(*values[:3]), Recurrent(*values[3:6]), ReadOut(*values[6:])]
    mean_squares = [type(p)(*map(np.zeros_like, p)) for p in parameters]
    step = TrainStep(model, predict_next, RMSprop(1e-3, max_gradient_norm=1.0), seed=0)
    batch = Batch(point.frames(), np.ones(2, bool))
    for n in range(3):
        parameters, mean_squares, loss = update(parameters, mean_squares, point.frames(), cell)
        assert float(loss) == pytest.approx(step(batch, None, learning_rate=1e-3, update=n).loss, rel=1e-5)
    for value, expected in zip([a for p in parameters for a in p], model.get_values().values(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"), [("jaxx", "expected some of torch, torch-compiled, jax"), ("jax", r"rnnaudio\[jax\]")]
)
def test_a_peer_that_is_not_there_is_refused(monkeypatch, name, message):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RnnaudioError, match=message):
        check_peers((name,))


@pytest.mark.slow
@pytest.mark.skipif(engine.NAME == "theano", reason="these are PyTensor's peers; Theano is one itself")
@pytest.mark.parametrize("name", [pytest.param("scan", marks=pytest.mark.long), "jax"])
def test_a_real_peer_answers(name):
    if name == "jax":
        pytest.importorskip("jax")
    peer = Peer(name, "gru", POINT)
    assert 0 < peer.seconds(2) < 60
    peer.close()


@pytest.mark.parametrize("n_streams", [1, 3])
def test_everyone_who_can_generate_is_timed_on_the_threads_asked_for(n_streams, monkeypatch):
    monkeypatch.setattr(generation_speed, "SIZES", (200, 3, 3))
    before = threads.n_threads()
    row = generation_speed.measure("gru", n_streams, 1, turns=2, turn_seconds=1e-4)
    assert {"rnnaudio", "graph", "scan"} <= row.keys() and row["threads"] == 1 and threads.n_threads() == before
    for name in row.keys() & {"rnnaudio", "graph", "scan", "torch"}:
        figures = row[name]
        assert 0 < figures["lowest"] <= figures["step_seconds"] <= figures["highest"]
        assert figures["times_real_time"] == pytest.approx(n_streams / figures["step_seconds"] / 80)
