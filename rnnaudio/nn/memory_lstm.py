"""The memory-LSTM of the blog of 2016, an LSTM without an output gate: its output is its memory cells."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Array, SharedVariable, Symbolic, relu, sigmoid, tt
from rnnaudio.kernels.memory_lstm import MemoryStep
from rnnaudio.kernels.step import Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.initializers import Initializer, iso_2016, side_by_side
from rnnaudio.nn.layer import Context, Gates, current, known_std
from rnnaudio.nn.recurrent import Cell, split
from rnnaudio.nn.state import Leaf

Noise = Symbolic | tuple[()]  # () for none


class MemoryState(NamedTuple, Generic[Leaf]):
    memory: Leaf  # M(i, 1), ..., M(i, k) side by side


class MemoryInputs(NamedTuple):
    x: Symbolic
    noise_hidden: Noise  # k 6 n wide
    noise_gates: Noise  # k 3 n wide


class MemoryLSTM(Cell[MemoryInputs, MemoryState[Symbolic]]):
    """The memory-LSTM of the blog of 2016: its gates are MLPs, it has no output gate, and its memory is its output.

    There are k = ``depth`` memory cells. M(i, d) (batch, n), n = ``n_units``, is cell d = 1..k at step i, and M(i, 0)
    is the input. With z = [M(i-1, d), M(i, d-1)], and in training Gaussian noise e of standard deviation
    ``noise_std``, sampled anew wherever e appears:

        f = sigmoid(relu(z W_f + e + b_f) V_f + e + a_f)
        g = sigmoid(relu(z W_g + e + b_g) V_g + e + a_g)
        c = tanh   (tanh(z W_c + e + b_c) V_c + e + a_c)
        M(i, d) = f * M(i-1, d) + g * c

    All cells share the same weights. The output is [M(i, 1), ..., M(i, k)] (batch, k n); in the blog it was the input
    of an MLP with one hidden layer. ``w_hidden`` (2 n, 6 n), ``bias_hidden`` (6 n,), ``w_gates`` (2 n, 3 n) and
    ``bias_gates`` (3 n,) hold W, b, V and a, each as the blocks f, g, c in this order. ``forget_bias`` holds the
    initial values of b_f and a_f; all other biases start at 0. ``weights`` is the initializer of W and V, which
    samples with ``rng``. ``noise_std`` is saved with the model but not trained; :meth:`set_std` changes it. ValueError
    if it is negative or not finite.

    M(i, d) is not bounded, and with the initial values of the blog it grows from step to step with any input. With
    ``bounded=True``, g = 1 - f apart from the noise: W_g = W_f, b_g = b_f, V_g = -V_f and a_g = -a_f, and the
    parameters hold only the blocks f and c. Then M(i, d) is a weighted mean of M(i-1, d) and c, between -1 and 1.
    """

    def __init__(
        self,
        n_units: int,
        depth: int,
        *,
        rng: np.random.Generator,
        noise_std: float = 0.0,
        forget_bias: tuple[float, float] = (2.0, 2.0),
        weights: Initializer = iso_2016,
        bounded: bool = False,
    ):
        super().__init__()
        n, blocks = n_units, 2 if bounded else 3
        self.n_in, self.n_out, self.depth = n, depth * n, depth
        self._bounded = bounded
        self.state_sizes = MemoryState(depth * n)
        bias_hidden, bias_gates = np.zeros(2 * blocks * n), np.zeros(blocks * n)
        bias_hidden[: 2 * n], bias_gates[:n] = forget_bias
        self.w_hidden = self._parameter("w_hidden", side_by_side(weights, blocks)(rng, (2 * n, 2 * blocks * n)))
        self.bias_hidden = self._parameter("bias_hidden", bias_hidden)
        self.w_gates = self._parameter("w_gates", side_by_side(weights, blocks)(rng, (2 * n, blocks * n)))
        self.bias_gates = self._parameter("bias_gates", bias_gates)
        self.noise_std = self._statistic("noise_std", known_std(noise_std))
        self._is_noisy = noise_std > 0

    def _weights(self, get: Callable[[SharedVariable], Array], join: Callable[..., Array]) -> list[Array]:
        """Return [W, b, V, a], each with the blocks f, g, c.

        ``get`` turns a parameter into an array; ``join(arrays, axis=...)`` concatenates such arrays.
        """
        n = self.n_in
        w, b, v, a = map(get, (self.w_hidden, self.bias_hidden, self.w_gates, self.bias_gates))
        if not self._bounded:
            return [w, b, v, a]
        w, b = (join([x[..., : 2 * n], x], axis=x.ndim - 1) for x in (w, b))
        v, a = (join([x[..., :n], -x[..., :n], x[..., n:]], axis=x.ndim - 1) for x in (v, a))  # sigmoid(-z) = 1 - f
        return [w, b, v, a]

    def activations(self, scanned: bool = False) -> Activations:
        hidden, gates = 6 * self.n_out, 3 * self.n_out
        if scanned or engine.kernel() == "scan" or not self.has_kernel:  # each twice: alone and in a product or sum
            each = widths(self.n_out, hidden, gates)
            return Activations(each + each, each | widths(self.n_in))
        # Noise is freed before gradients of its size are allocated; 6 n_in: a copy of dz, for the gradient of x.
        working = widths(self.n_out, hidden, gates, 6 * self.n_in) | widths(self.n_in)
        return Activations(widths(self.n_out, hidden, gates), working)

    def set_std(self, std: float) -> None:
        """Set the standard deviation of the noise, for example to anneal it.

        ValueError if it is negative or not finite, and if a layer built with 0 gets a value above 0, because its graph
        has no noise.
        """
        if std > 0 and not self._is_noisy:
            raise ValueError(f"got noise of std {std} for a layer built with 0; build it with the largest std")
        self.noise_std.set_value(known_std(std).astype(self.noise_std.dtype))

    def sequences(self, x: Symbolic, context: Context) -> MemoryInputs:
        noises = [e if isinstance(e, tuple) else self.noise_std * e for e in self._noises(x, context)]
        return MemoryInputs(x, *noises)

    def _noises(self, x: Symbolic, context: Context) -> list[Noise]:
        """Sample N(0, 1) for the hidden layers (..., 6 n k) and the gates (..., 3 n k); [(), ()] without noise."""
        if not (context.training and self._is_noisy):
            return [(), ()]
        leading = [x.shape[axis] for axis in range(x.ndim - 1)]
        return [context.normal([*leading, blocks * self.n_out]) for blocks in (6, 3)]

    def recur(self, inputs: MemoryInputs, state: MemoryState[Symbolic]) -> MemoryState[Symbolic]:
        return self.equations(inputs, state)[1]

    def gates(self, inputs: MemoryInputs, state: MemoryState[Symbolic]) -> Gates:
        return self.equations(inputs, state)[0]

    def equations(self, inputs: MemoryInputs, state: MemoryState[Symbolic]) -> tuple[Gates, MemoryState[Symbolic]]:
        """Compute the gates by name, and the new memory cells, from the result of ``sequences`` and the old cells.

        All arrays are (batch, width) for one step, or (time, batch, width) for all steps at once.
        """
        n, axis, below = self.n_in, inputs.x.ndim - 1, inputs.x
        sign = -1.0 if self._bounded else 1.0
        e_hidden, e_gates = self._by_depth(inputs.noise_hidden, 6 * n), self._by_depth(inputs.noise_gates, 3 * n)
        v_f, v_g, v_c = self._three(self.w_gates, n)
        b_f, b_g, b_c = self._three(self.bias_hidden, 2 * n)
        a_f, a_g, a_c = self._three(self.bias_gates, n)
        activations: Gates = {}
        memories = []
        for d, memory in enumerate(split(state.memory, self.depth, n)):
            z = tt.concatenate([memory, below], axis=axis)
            h_f, h_g, h_c = self._three(tt.dot(z, self.w_hidden), 2 * n)
            e_f, e_g, e_c = e_hidden[d]
            h_f, h_g, h_c = relu(h_f + e_f + b_f), relu(h_g + e_g + b_g), tt.tanh(h_c + e_c + b_c)
            e_f, e_g, e_c = e_gates[d]
            f = sigmoid(tt.dot(h_f, v_f) + e_f + a_f)
            g = sigmoid(sign * (tt.dot(h_g, v_g) + a_g) + e_g)
            c = tt.tanh(tt.dot(h_c, v_c) + e_c + a_c)
            below = f * memory + g * c
            memories.append(below)
            activations |= {f"forget_{d + 1}": f, f"input_{d + 1}": g, f"candidate_{d + 1}": c}
        return activations, MemoryState(tt.concatenate(memories, axis=axis))

    def _three(self, x: Symbolic, width: int) -> list[Symbolic]:
        """Split the last axis into the blocks f, g, c of this width; if ``bounded``, g is the same block as f."""
        blocks = split(x, 2 if self._bounded else 3, width)
        return [blocks[0], *blocks] if self._bounded else blocks

    def _by_depth(self, noise: Noise, width: int) -> Sequence[Sequence[Symbolic | float]]:
        """Split noise into ``width`` numbers per memory cell, then into parts for f, g, c; zeros without noise."""
        if isinstance(noise, tuple):
            return [(0.0, 0.0, 0.0)] * self.depth
        return [split(part, 3, width // 3) for part in split(noise, self.depth, width)]

    def fused(
        self, x: Symbolic, state: MemoryState[Symbolic], mask: Symbolic | None, context: Context
    ) -> MemoryState[Symbolic]:
        weights: list[Symbolic] = self._weights(lambda parameter: parameter, tt.concatenate)
        noises = self._noises(x, context)
        return MemoryState(ops.memory_lstm(x, weights, state.memory, mask, noises, self.noise_std))

    def compiled_step(self, n_streams: int) -> Step:
        w, b, v, a = self._weights(lambda parameter: current(parameter)[0], np.concatenate)
        return MemoryStep(w, b, v, a, self.depth, n_streams)
