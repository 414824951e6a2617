"""Recurrent cells as their equations, and the one loop that unrolls them."""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import sigmoid, tt
from rnnaudio.kernels.dense import LinearStep
from rnnaudio.kernels.gru import GRUStep
from rnnaudio.kernels.lstm import LSTMStep
from rnnaudio.kernels.step import Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.initializers import Initializer, glorot_uniform, orthogonal, side_by_side
from rnnaudio.nn.layer import Context, Layer, current, flatten, unflatten


class Cell(Layer):
    """A recurrence. A subclass sets ``state_sizes`` and defines

    ``sequences(x, context)``
        what depends on the input alone, for all time steps at once (one large product instead of many small ones);
        x (..., n_in), any leading axes.
    ``recur(inputs, state)``
        the equation: one step's sequences and the old state (batch, n) -> the new state.
    ``output(states)``
        what the layer shows of its states; any leading axes.
    """

    state_sizes: Any = ()  # a NamedTuple of widths

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if cls._first_with({"sequences", "recur", "equations"}) < cls._first_with({"fused"}):
            cls.fused = Cell.fused  # type: ignore[method-assign]  # an inherited kernel computes another equation

    @property
    def has_kernel(self) -> bool:
        """Whether a compiled kernel computes this cell's equation."""
        return type(self).fused is not Cell.fused

    def can_fuse(self, masked: bool, context: Context) -> bool:
        """Whether :meth:`fused` computes this graph; asked first, for noise must be drawn once only."""
        return self.has_kernel

    def sequences(self, x: Any, context: Context) -> Any:
        raise NotImplementedError

    def recur(self, inputs: Any, state: Any) -> Any:
        raise NotImplementedError

    def output(self, states: Any) -> Any:
        return states[0]

    def gates(self, inputs: Any, state: Any) -> dict[str, Any]:
        """Activations by name, for diagnostics; computed by :meth:`recur` itself where there are gates."""
        return {}

    def fused(self, x: Any, state: Any, mask: Any, context: Context) -> Any:
        """All states by one compiled kernel, as :func:`unroll` returns them, where :meth:`can_fuse`."""
        raise NotImplementedError

    def activations(self, scanned: bool = False) -> Activations:
        """As every layer's; ``scanned``: by scan, whatever kernel is in use, and then a rough figure."""
        states = widths(*flatten(self.state_sizes))
        return Activations(states + states, states | widths(self.n_in))  # each state, and as the one before it

    def initial_state(self, batch_size: Any) -> Any:
        # The width comes from a stored vector, not a constant: Theano would take a constant width of 1 for an axis
        # that broadcasts, and scan would refuse the state.
        rows = [engine.shared(np.zeros(n), "zeros") for n in flatten(self.state_sizes)]
        return unflatten(self.state_sizes, [repeat_rows(row, batch_size) for row in rows])

    def step(self, x: Any, state: Any, context: Context) -> tuple[Any, Any]:
        new = self.recur(self.sequences(x, context), state)
        return self.output(new), new

    def unroll(self, x: Any, state: Any, context: Context, mask: Any = None) -> tuple[Any, Any]:
        # What is tapped is computed from the states again, which noise must not be: it is drawn once only.
        may_fuse = engine.kernel() == "fused" and context.truncate_gradient < 0
        may_fuse = may_fuse and not (context.training and context.taps is not None)
        if may_fuse and self.can_fuse(mask is not None, context):
            states = self.fused(x, state, mask, context)
            inputs = None if context.taps is None else self.sequences(x, context)
        else:
            inputs = self.sequences(x, context)
            states = unroll(self, inputs, state, mask, context.truncate_gradient)
        if context.taps is not None:
            pairs = zip(flatten(state), flatten(states), strict=True)
            before = [tt.concatenate([tt.shape_padleft(first), rest[:-1]]) for first, rest in pairs]
            context.taps.append((self, self.gates(inputs, unflatten(state, before))))
        return self.output(states), unflatten(states, [s[-1] for s in flatten(states)])


def unroll(cell: Cell, inputs: Any, state: Any, mask: Any = None, truncate_gradient: int = -1) -> Any:
    """s_t = recur(inputs_t, s_{t-1}) for t = 1..T, by raw scan: the only loop over time in the package.

    inputs
        nested tuple of arrays (time, batch, n): ``cell.sequences(x)``.
    state
        s_0, nested tuple of arrays (batch, n): carried from before, learnt, or zero.
    mask
        (time, batch) or None; where it is 0, s_t = s_{t-1}.
    truncate_gradient
        the gradient runs back through that many steps from the end; -1: through all.

    Returns the states s_1..s_T, shaped as ``state`` with a leading time axis.
    """
    n_masks, n_inputs = (0 if mask is None else 1), len(flatten(inputs))

    def step(*arguments: Any) -> list[Any]:
        valid = arguments[:n_masks]
        x_t = unflatten(inputs, arguments[n_masks : n_masks + n_inputs])
        old = unflatten(state, arguments[n_masks + n_inputs :])
        new = flatten(cell.recur(x_t, old))
        if valid:
            new = [tt.switch(valid[0][:, None], n, o) for n, o in zip(new, flatten(old), strict=True)]
        return new

    sequences = ([] if mask is None else [mask]) + flatten(inputs)
    parameters = list(cell.parameters().values())
    n_used = n_masks + n_inputs + len(flatten(state))
    states = engine.scan(
        lambda *arguments: step(*arguments[:n_used]), sequences, flatten(state), parameters, truncate_gradient
    )
    return unflatten(state, states)


def repeat_rows(row: Any, n: Any) -> Any:
    """(width,) -> (n, width)."""
    return tt.zeros((n, 1), dtype=row.dtype) + row


class GatedCell(Cell):
    """A cell of gates, each of x W + b and more: a subclass has ``w_input``, ``bias``, and its equations."""

    w_input: Any
    bias: Any

    def equations(self, inputs: Any, state: Any) -> tuple[dict[str, Any], Any]:
        """One step, or all steps at once given all states: gate activations by name, and the new state."""
        raise NotImplementedError

    def sequences(self, x: Any, context: Context) -> Any:
        return ops.affine(x, self.w_input, self.bias)

    def activations(self, scanned: bool = False) -> Activations:
        n, gates = self.n_out, int(self.bias.get_value(borrow=True).size)
        if scanned or engine.kernel() == "scan" or not self.has_kernel:  # fitted to what was measured
            return Activations(widths(n, n, n, n, gates, gates), widths(gates, n, n) | widths(self.n_in))
        # LSTM: hidden, cell and gates; GRU: hidden, h * r and gates. Then the gates' gradient and those of x and h.
        return Activations(widths(n, n, gates), widths(gates, n) | widths(self.n_in))

    def recur(self, inputs: Any, state: Any) -> Any:
        return self.equations(inputs, state)[1]

    def gates(self, inputs: Any, state: Any) -> dict[str, Any]:
        return self.equations(inputs, state)[0]


class LSTMState(NamedTuple):
    hidden: Any
    cell: Any


class LSTM(GatedCell):
    """Long short-term memory with a forget gate, optionally with peepholes p. Gers et al. (2000, 2002).

        i  = sigmoid(x W_i + h R_i + p_i * c + b_i)
        f  = sigmoid(x W_f + h R_f + p_f * c + b_f)
        g  = tanh   (x W_g + h R_g           + b_g)
        c' = f * c + i * g
        o  = sigmoid(x W_o + h R_o + p_o * c' + b_o)
        h' = o * tanh(c')

    ``w_input`` (n_in, 4 n), ``w_hidden`` (n, 4 n) and ``bias`` (4 n,) hold the blocks i, f, g, o in this order.
    ``weights`` initialises (input, hidden) matrices; b_f starts at ``forget_bias``, the other biases at 0.
    """

    def __init__(
        self,
        n_in: int,
        n_units: int,
        *,
        rng: np.random.Generator,
        peepholes: bool = False,
        forget_bias: float = 1.0,
        weights: tuple[Initializer, Initializer] = (glorot_uniform, orthogonal),
    ):
        super().__init__()
        self.n_in, self.n_out = n_in, n_units
        self.state_sizes = LSTMState(n_units, n_units)
        bias = np.zeros(4 * n_units)
        bias[n_units : 2 * n_units] = forget_bias
        self.w_input = self._parameter("w_input", side_by_side(weights[0], 4)(rng, (n_in, 4 * n_units)))
        self.w_hidden = self._parameter("w_hidden", side_by_side(weights[1], 4)(rng, (n_units, 4 * n_units)))
        self.bias = self._parameter("bias", bias)
        seen_by = ("input", "forget", "output") if peepholes else ()
        self._peepholes = [self._parameter(f"peephole_{gate}", np.zeros(n_units)) for gate in seen_by]

    def equations(self, inputs: Any, state: Any) -> tuple[dict[str, Any], LSTMState]:
        h, c = state
        z_i, z_f, z_g, z_o = split(inputs + tt.dot(h, self.w_hidden), 4, self.n_out)
        if self._peepholes:
            p_i, p_f, p_o = self._peepholes
            z_i, z_f = z_i + p_i * c, z_f + p_f * c
        i, f, g = sigmoid(z_i), sigmoid(z_f), tt.tanh(z_g)
        c = f * c + i * g
        if self._peepholes:
            z_o = z_o + p_o * c
        o = sigmoid(z_o)
        h = o * tt.tanh(c)
        return {"input": i, "forget": f, "candidate": g, "output": o}, LSTMState(h, c)

    def fused(self, x: Any, state: Any, mask: Any, context: Context) -> LSTMState:
        h, c = state
        return LSTMState(*ops.lstm(x, self.w_input, self.w_hidden, self.bias, self._peepholes, h, c, mask))

    def compiled_step(self, n_streams: int) -> Step:
        w, r, bias, *peepholes = current(self.w_input, self.w_hidden, self.bias, *self._peepholes)
        return LSTMStep(w, r, bias, np.array(peepholes, bias.dtype).reshape(-1, self.n_out), n_streams)


class GRUState(NamedTuple):
    hidden: Any


class GRU(GatedCell):
    """Gated recurrent unit, reset before the product. Cho et al. (2014).

        r  = sigmoid(x W_r + h R_r + b_r)
        u  = sigmoid(x W_u + h R_u + b_u)
        k  = tanh   (x W_k + (h * r) R_k + b_k)
        h' = (1 - u) * h + u * k

    ``w_input`` (n_in, 3 n), ``w_hidden`` (n, 3 n) and ``bias`` (3 n,) hold the blocks r, u, k in this order.
    ``weights`` initialises (input, hidden) matrices; the biases start at 0.
    """

    def __init__(
        self,
        n_in: int,
        n_units: int,
        *,
        rng: np.random.Generator,
        weights: tuple[Initializer, Initializer] = (glorot_uniform, orthogonal),
    ):
        super().__init__()
        self.n_in, self.n_out = n_in, n_units
        self.state_sizes = GRUState(n_units)
        self.w_input = self._parameter("w_input", side_by_side(weights[0], 3)(rng, (n_in, 3 * n_units)))
        self.w_hidden = self._parameter("w_hidden", side_by_side(weights[1], 3)(rng, (n_units, 3 * n_units)))
        self.bias = self._parameter("bias", np.zeros(3 * n_units))

    def equations(self, inputs: Any, state: Any) -> tuple[dict[str, Any], GRUState]:
        (h,) = state
        n = self.n_out
        x_r, x_u, x_k = split(inputs, 3, n)
        h_r, h_u = split(tt.dot(h, self.w_hidden[:, : 2 * n]), 2, n)
        r = sigmoid(x_r + h_r)
        u = sigmoid(x_u + h_u)
        k = tt.tanh(x_k + tt.dot(h * r, self.w_hidden[:, 2 * n :]))
        return {"reset": r, "update": u, "candidate": k}, GRUState((1 - u) * h + u * k)

    def fused(self, x: Any, state: Any, mask: Any, context: Context) -> GRUState:
        (h,) = state
        return GRUState(ops.gru(x, self.w_input, self.w_hidden, self.bias, h, mask))

    def compiled_step(self, n_streams: int) -> Step:
        w, r, bias = current(self.w_input, self.w_hidden, self.bias)
        return GRUStep(w, r, bias, n_streams)


class GRUEarly2016(GRU):
    """The GRU with the candidate of an early script of 2016, which saw r where h * r was meant:

    k  = tanh(x W_k + r R_k + b_k)
    """

    def equations(self, inputs: Any, state: Any) -> tuple[dict[str, Any], GRUState]:
        (h,) = state
        n = self.n_out
        x_r, x_u, x_k = split(inputs, 3, n)
        h_r, h_u = split(tt.dot(h, self.w_hidden[:, : 2 * n]), 2, n)
        r, u = sigmoid(x_r + h_r), sigmoid(x_u + h_u)
        k = tt.tanh(x_k + tt.dot(r, self.w_hidden[:, 2 * n :]))
        return {"reset": r, "update": u, "candidate": k}, GRUState((1 - u) * h + u * k)


class LinearState(NamedTuple):
    frames: tuple[Any, ...]


class LinearPredictor(Cell):
    """y_t = sum_k x_{t-k} A_k + b, k = 0..n_frames-1: linear prediction from the last frames.

    Beside a stack (:class:`rnnaudio.nn.model.Sum`) it is the linear skip path: the stack has to learn only what a
    linear predictor cannot. ``weight`` (n_frames * n_in, n_out), the latest frame first. The state is those frames.
    It starts at zero; :func:`rnnaudio.diagnostics.baselines.linear_prediction` gives the least-squares solution.
    """

    def __init__(self, n_in: int, n_out: int, *, n_frames: int = 2):
        super().__init__()
        self.n_in, self.n_out, self.n_frames = n_in, n_out, n_frames
        self.state_sizes = LinearState((n_in,) * n_frames)
        self.weight = self._parameter("weight", np.zeros((n_frames * n_in, n_out)))
        self.bias = self._parameter("bias", np.zeros(n_out))

    def activations(self, scanned: bool = False) -> Activations:
        joined, y = widths(self.n_frames * self.n_in), widths(self.n_out)
        frames = widths(*flatten(self.state_sizes))
        return Activations(frames + joined + y, joined + y)

    def sequences(self, x: Any, context: Context) -> Any:
        return x

    def recur(self, inputs: Any, state: Any) -> LinearState:
        return LinearState((inputs, *state.frames[:-1]))

    def output(self, states: Any) -> Any:
        latest = states.frames[0]
        return ops.affine(tt.concatenate(list(states.frames), axis=latest.ndim - 1), self.weight, self.bias)

    def can_fuse(self, masked: bool, context: Context) -> bool:
        return not masked  # a masked step repeats frames

    def fused(self, x: Any, state: LinearState, mask: Any, context: Context) -> LinearState:
        before = tt.stack([*reversed(state.frames), state.frames[0]])[:-1]  # two at least: Theano trips over one
        history = tt.concatenate([before, x])
        starts = range(self.n_frames, 0, -1)  # the latest frame of each step, the one before it, ...
        return LinearState(tuple(history[start : start + x.shape[0]] for start in starts))

    def compiled_step(self, n_streams: int) -> Step:
        weight, bias = current(self.weight, self.bias)
        return LinearStep(weight, bias, self.n_frames, n_streams)


def split(x: Any, n_blocks: int, width: int) -> list[Any]:
    """Equal blocks of the last axis."""
    return [x[..., k * width : (k + 1) * width] for k in range(n_blocks)]
