"""Recurrent cells, defined by their equations, and the symbolic loop that unrolls them over time."""

from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import SharedVariable, Size, Symbolic, sigmoid, tt
from rnnaudio.kernels.dense import LinearStep
from rnnaudio.kernels.gru import GRUStep
from rnnaudio.kernels.lstm import LSTMStep
from rnnaudio.kernels.step import Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.initializers import Initializer, glorot_uniform, orthogonal, side_by_side
from rnnaudio.nn.layer import Context, Gates, Layer, Taps, current, flatten, hide_masked, unflatten
from rnnaudio.nn.state import Leaf, State, StateSizes

Inputs = TypeVar("Inputs")  # of one cell: what `sequences` returns and `recur` takes, variables in nested tuples
CellState = TypeVar("CellState", bound=tuple[Any, ...])  # of one cell: a NamedTuple of variables


class Cell(Layer, Generic[Inputs, CellState]):
    """The base class of recurrent layers. A subclass sets ``state_sizes`` and defines these methods:

    ``sequences(x, context)``
        computes all that depends on the input x (..., n_in) alone, for all time steps at once: one large matrix
        product instead of many small ones. Returns variables with the leading axes of x, in nested tuples.
    ``recur(inputs, state)``
        computes the new state from one step of the result of ``sequences`` and the old state, arrays (batch, n).
    ``output(states)``
        computes the layer's output (..., n_out) from states (..., n); by default the state's first array.
    """

    state_sizes: StateSizes = ()  # a NamedTuple of widths

    def __init_subclass__(cls, **options: object):
        super().__init_subclass__(**options)
        if cls._first_with({"sequences", "recur", "equations"}) < cls._first_with({"fused"}):
            cls.fused = Cell.fused  # type: ignore[method-assign]  # the inherited kernel computes another equation

    @property
    def has_kernel(self) -> bool:
        """True if a compiled kernel computes this cell's equation."""
        return type(self).fused is not Cell.fused

    def can_fuse(self, masked: bool, context: Context) -> bool:
        """Return True if :meth:`fused` can compute a graph in this ``context``, with a mask if ``masked``.

        It is called before the layer samples any noise.
        """
        return self.has_kernel

    def sequences(self, x: Symbolic, context: Context) -> Inputs:
        raise NotImplementedError

    def recur(self, inputs: Inputs, state: CellState) -> CellState:
        raise NotImplementedError

    def output(self, states: CellState) -> Symbolic:
        return states[0]

    def gates(self, inputs: Inputs, state: CellState) -> Gates:
        """Compute the activations of the gates by name, for diagnostics; an empty dict for a cell without gates.

        The arguments are those of :meth:`recur`, for one step or, with a leading time axis, for all steps.
        """
        return {}

    def fused(self, x: Symbolic, state: CellState, mask: Symbolic | None, context: Context) -> CellState:
        """Compute the states after every step with one compiled kernel; only valid if :meth:`can_fuse` returns True.

        x (time, batch, n_in); ``state`` is the initial state; mask (time, batch) or None. Returns the states in the
        same nesting as ``state``, each array with a leading time axis, as :func:`unroll` does.
        """
        raise NotImplementedError

    def activations(self, scanned: bool = False) -> Activations:
        """Count arrays as :meth:`Layer.activations` does; if ``scanned``, for a graph that loops with scan."""
        states = widths(*flatten(self.state_sizes))
        return Activations(states + states, states | widths(self.n_in))  # each state twice, as new and as old state

    def initial_state(self, batch_size: Size) -> State:
        # The width comes from a stored vector, not a constant: Theano would take a constant width of 1 for an axis
        # that broadcasts, and scan would refuse the state.
        rows = [engine.shared(np.zeros(n), "zeros") for n in flatten(self.state_sizes)]
        return unflatten(self.state_sizes, [repeat_rows(row, batch_size) for row in rows])

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        new = self.recur(self.sequences(x, context), cast("CellState", state))
        return self.output(new), new

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        own = cast("CellState", state)
        states = self._states(hide_masked(x, mask), own, context, mask)
        return self.output(states), unflatten(states, [s[-1] for s in flatten(states)])

    def _states(self, x: Symbolic, state: CellState, context: Context, mask: Symbolic | None) -> CellState:
        # Tapped gates are computed a second time, from the states. In training they would get new noise and differ
        # from the kernel's; scan shares its sequences, noise included, with them.
        may_fuse = engine.kernel() == "fused" and context.truncate_gradient < 0
        may_fuse = may_fuse and not (context.training and context.taps is not None)
        if may_fuse and self.can_fuse(mask is not None, context):
            states = self.fused(x, state, mask, context)
            if context.taps is not None:
                self._tap(self.sequences(x, context), state, states, context.taps)
            return states
        inputs = self.sequences(x, context)
        states = unroll(self, inputs, state, mask, context.truncate_gradient)
        if context.taps is not None:
            self._tap(inputs, state, states, context.taps)
        return states

    def _tap(self, inputs: Inputs, state: CellState, states: CellState, taps: Taps) -> None:
        pairs = zip(flatten(state), flatten(states), strict=True)
        before = [tt.concatenate([tt.shape_padleft(first), rest[:-1]]) for first, rest in pairs]
        taps.append((self, self.gates(inputs, unflatten(state, before))))


def unroll(
    cell: Cell[Inputs, CellState],
    inputs: Inputs,
    state: CellState,
    mask: Symbolic | None = None,
    truncate_gradient: int = -1,
) -> CellState:
    """Compute s_t = cell.recur(inputs_t, s_{t-1}) for t = 1..T with scan, the engine's symbolic loop over time.

    inputs
        nested tuple of variables (time, batch, n), as returned by ``cell.sequences``.
    state
        s_0, the initial state: nested tuple of variables (batch, n).
    mask
        (time, batch) or None; s_t = s_{t-1} where it is 0.
    truncate_gradient
        number of steps, counted back from the last step, through which the gradient flows; -1: all steps.

    Returns the states s_1..s_T in the same nesting as ``state``, each array (time, batch, n).
    """
    given = cast("State", inputs)
    n_masks, n_inputs = (0 if mask is None else 1), len(flatten(given))

    def step(*arguments: Symbolic) -> list[Symbolic]:
        valid = arguments[:n_masks]
        x_t = unflatten(given, arguments[n_masks : n_masks + n_inputs])
        old = unflatten(state, arguments[n_masks + n_inputs :])
        new = flatten(cell.recur(x_t, old))
        if valid:
            new = [tt.switch(valid[0][:, None], n, o) for n, o in zip(new, flatten(old), strict=True)]
        return new

    sequences = ([] if mask is None else [mask]) + flatten(given)
    parameters = list(cell.parameters().values())
    n_used = n_masks + n_inputs + len(flatten(state))
    states = engine.scan(
        lambda *arguments: step(*arguments[:n_used]), sequences, flatten(state), parameters, truncate_gradient
    )
    return unflatten(state, states)


def repeat_rows(row: Symbolic, n: Size) -> Symbolic:
    """Repeat a vector n times, as the rows of a matrix: (width,) -> (n, width)."""
    return tt.zeros((n, 1), dtype=row.dtype) + row


class GatedCell(Cell[Symbolic, CellState]):
    """A cell that computes the contribution of the input to all of its gates as one product, x W + b.

    A subclass sets ``w_input`` (W) and ``bias`` (b) and defines :meth:`equations`.
    """

    w_input: SharedVariable
    bias: SharedVariable

    def equations(self, inputs: Symbolic, state: CellState) -> tuple[Gates, CellState]:
        """Compute the gates by name, and the new state, from ``inputs`` = x W + b and the previous state.

        All arrays are (batch, width) for one step, or (time, batch, width) for all steps at once.
        """
        raise NotImplementedError

    def sequences(self, x: Symbolic, context: Context) -> Symbolic:
        return ops.affine(x, self.w_input, self.bias)

    def activations(self, scanned: bool = False) -> Activations:
        n, gates = self.n_out, int(self.bias.get_value(borrow=True).size)
        if scanned or engine.kernel() == "scan" or not self.has_kernel:  # counts fitted to measurements
            return Activations(widths(n, n, n, n, gates, gates), widths(gates, n, n) | widths(self.n_in))
        # Kept: hidden, cell and gates (LSTM) or hidden, h * r and gates (GRU). Working: gradients of gates, h and x.
        return Activations(widths(n, n, gates), widths(gates, n) | widths(self.n_in))

    def recur(self, inputs: Symbolic, state: CellState) -> CellState:
        return self.equations(inputs, state)[1]

    def gates(self, inputs: Symbolic, state: CellState) -> Gates:
        return self.equations(inputs, state)[0]


class LSTMState(NamedTuple, Generic[Leaf]):
    hidden: Leaf
    cell: Leaf


class LSTM(GatedCell[LSTMState[Symbolic]]):
    """Long short-term memory (LSTM) with a forget gate, optionally with peepholes p. Gers et al. (2000, 2002).

        i  = sigmoid(x W_i + h R_i + p_i * c + b_i)
        f  = sigmoid(x W_f + h R_f + p_f * c + b_f)
        g  = tanh   (x W_g + h R_g           + b_g)
        c' = f * c + i * g
        o  = sigmoid(x W_o + h R_o + p_o * c' + b_o)
        h' = o * tanh(c')

    c is the cell state, h the hidden state and output, (batch, n) each, n = ``n_units``; c' and h' are their values
    after the step. ``w_input`` (n_in, 4 n), ``w_hidden`` (n, 4 n) and ``bias`` (4 n,) hold the blocks i, f, g, o in
    this order; peepholes are (n,). ``weights`` are the initializers of ``w_input`` and ``w_hidden``, which sample with
    ``rng``. The initial value of b_f is ``forget_bias``; the other biases and the peepholes start at 0.
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
        self.state_sizes: LSTMState[int] = LSTMState(n_units, n_units)
        bias = np.zeros(4 * n_units)
        bias[n_units : 2 * n_units] = forget_bias
        self.w_input = self._parameter("w_input", side_by_side(weights[0], 4)(rng, (n_in, 4 * n_units)))
        self.w_hidden = self._parameter("w_hidden", side_by_side(weights[1], 4)(rng, (n_units, 4 * n_units)))
        self.bias = self._parameter("bias", bias)
        gates = ("input", "forget", "output") if peepholes else ()
        self._peepholes = [self._parameter(f"peephole_{gate}", np.zeros(n_units)) for gate in gates]

    def equations(self, inputs: Symbolic, state: LSTMState[Symbolic]) -> tuple[Gates, LSTMState[Symbolic]]:
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

    def fused(
        self, x: Symbolic, state: LSTMState[Symbolic], mask: Symbolic | None, context: Context
    ) -> LSTMState[Symbolic]:
        h, c = state
        return LSTMState(*ops.lstm(x, self.w_input, self.w_hidden, self.bias, self._peepholes, h, c, mask))

    def compiled_step(self, n_streams: int) -> Step:
        w, r, bias, *peepholes = current(self.w_input, self.w_hidden, self.bias, *self._peepholes)
        return LSTMStep(w, r, bias, np.array(peepholes, bias.dtype).reshape(-1, self.n_out), n_streams)


class GRUState(NamedTuple, Generic[Leaf]):
    hidden: Leaf


class GRU(GatedCell[GRUState[Symbolic]]):
    """Gated recurrent unit, with the reset applied before the recurrent product. Cho et al. (2014).

        r  = sigmoid(x W_r + h R_r + b_r)
        u  = sigmoid(x W_u + h R_u + b_u)
        k  = tanh   (x W_k + (h * r) R_k + b_k)
        h' = (1 - u) * h + u * k

    h is the state and output, (batch, n), n = ``n_units``, and h' its value after the step. ``w_input`` (n_in, 3 n),
    ``w_hidden`` (n, 3 n) and ``bias`` (3 n,) hold the blocks r, u, k in this order. ``weights`` are the initializers
    of ``w_input`` and ``w_hidden``, which sample with ``rng``; the biases start at 0.
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

    def equations(self, inputs: Symbolic, state: GRUState[Symbolic]) -> tuple[Gates, GRUState[Symbolic]]:
        (h,) = state
        n = self.n_out
        x_r, x_u, x_k = split(inputs, 3, n)
        h_r, h_u = split(tt.dot(h, self.w_hidden[:, : 2 * n]), 2, n)
        r = sigmoid(x_r + h_r)
        u = sigmoid(x_u + h_u)
        k = tt.tanh(x_k + tt.dot(h * r, self.w_hidden[:, 2 * n :]))
        return {"reset": r, "update": u, "candidate": k}, GRUState((1 - u) * h + u * k)

    def fused(
        self, x: Symbolic, state: GRUState[Symbolic], mask: Symbolic | None, context: Context
    ) -> GRUState[Symbolic]:
        (h,) = state
        return GRUState(ops.gru(x, self.w_input, self.w_hidden, self.bias, h, mask))

    def compiled_step(self, n_streams: int) -> Step:
        w, r, bias = current(self.w_input, self.w_hidden, self.bias)
        return GRUStep(w, r, bias, n_streams)


class GRUEarly2016(GRU):
    """The GRU of an early script of the blog of 2016. Its candidate k uses r, by mistake, in place of h * r.

        k  = tanh(x W_k + r R_k + b_k)

    All else is as in :class:`GRU`. No kernel computes this cell.
    """

    def equations(self, inputs: Symbolic, state: GRUState[Symbolic]) -> tuple[Gates, GRUState[Symbolic]]:
        (h,) = state
        n = self.n_out
        x_r, x_u, x_k = split(inputs, 3, n)
        h_r, h_u = split(tt.dot(h, self.w_hidden[:, : 2 * n]), 2, n)
        r, u = sigmoid(x_r + h_r), sigmoid(x_u + h_u)
        k = tt.tanh(x_k + tt.dot(r, self.w_hidden[:, 2 * n :]))
        return {"reset": r, "update": u, "candidate": k}, GRUState((1 - u) * h + u * k)


class LinearState(NamedTuple, Generic[Leaf]):
    frames: tuple[Leaf, ...]


class LinearPredictor(Cell[Symbolic, LinearState[Symbolic]]):
    """Linear prediction from the last ``n_frames`` frames: y_t = sum_k x_{t-k} A_k + b, k = 0..n_frames-1.

    A layer :class:`rnnaudio.nn.model.Sum` of this cell and a stack has a linear skip path: the stack has to learn only
    what a linear predictor cannot predict. The state holds the last n_frames inputs, the latest first; ``weight``
    (n_frames * n_in, n_out) holds the A_k in the same order. Weight and bias b are zero before training;
    :func:`rnnaudio.diagnostics.baselines.linear_prediction` computes the least-squares solution.
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

    def sequences(self, x: Symbolic, context: Context) -> Symbolic:
        return x

    def recur(self, inputs: Symbolic, state: LinearState[Symbolic]) -> LinearState[Symbolic]:
        return LinearState((inputs, *state.frames[:-1]))

    def output(self, states: LinearState[Symbolic]) -> Symbolic:
        latest = states.frames[0]
        return ops.affine(tt.concatenate(list(states.frames), axis=latest.ndim - 1), self.weight, self.bias)

    def can_fuse(self, masked: bool, context: Context) -> bool:
        return not masked  # after a masked step the state is not the last frames of x

    def fused(
        self, x: Symbolic, state: LinearState[Symbolic], mask: Symbolic | None, context: Context
    ) -> LinearState[Symbolic]:
        before = tt.stack([*reversed(state.frames), state.frames[0]])[:-1]  # two or more: Theano cannot stack one
        history = tt.concatenate([before, x])
        starts = range(self.n_frames, 0, -1)  # the latest frame of each step, the one before it, ...
        return LinearState(tuple(history[start : start + x.shape[0]] for start in starts))

    def compiled_step(self, n_streams: int) -> Step:
        weight, bias = current(self.weight, self.bias)
        return LinearStep(weight, bias, self.n_frames, n_streams)


def split(x: Symbolic, n_blocks: int, width: int) -> list[Symbolic]:
    """Split the last axis into equal blocks: (..., n_blocks * width) -> a list of n_blocks variables (..., width)."""
    return [x[..., k * width : (k + 1) * width] for k in range(n_blocks)]
