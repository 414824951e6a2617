"""The symbolic engine: PyTensor, or Theano 1.0.5, behind one set of names.

With :mod:`rnnaudio.engine.jax_mode` the only module that imports ``pytensor`` or ``theano``. Everything above it is
written once, against

* ``tt``: the engine's tensor module, for functions that both name alike (``tt.dot``, ``tt.tanh``, ...);
* the functions of this module, for those that they name differently (:func:`sigmoid`, :func:`scan`, ...);
* the types of :mod:`rnnaudio.engine.symbolic`: :class:`Symbolic`, :class:`SharedVariable`, :class:`Function`.

Environment, read once at import:

``RNNAUDIO_ENGINE``
    ``pytensor`` (default) or ``theano``.
``RNNAUDIO_MODE``
    ``auto`` (default where a C++ compiler is found): ``python`` for graphs with a recurrence that a kernel computes,
    ``c`` for all others. ``c``: compiled C++. ``python``: NumPy, the default without a compiler (quickest to start;
    slow with scan). PyTensor only: ``numba``, or ``jax`` (:mod:`rnnaudio.engine.jax_mode`: on a GPU where JAX finds
    one). docs/results/speed.md records the cost of each.
``RNNAUDIO_KERNEL``
    ``fused`` (default): :mod:`rnnaudio.kernels` computes products and whole recurrences; ``scan``: the engine computes
    everything, the only choice in mode ``jax``.
"""

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rnnaudio.engine.symbolic import Array as Array
from rnnaudio.engine.symbolic import Function as Function
from rnnaudio.engine.symbolic import Gradient as Gradient
from rnnaudio.engine.symbolic import Key as Key
from rnnaudio.engine.symbolic import Node as Node
from rnnaudio.engine.symbolic import Operand as Operand
from rnnaudio.engine.symbolic import Shape as Shape
from rnnaudio.engine.symbolic import SharedVariable as SharedVariable
from rnnaudio.engine.symbolic import Size as Size
from rnnaudio.engine.symbolic import Storage as Storage
from rnnaudio.engine.symbolic import Symbolic as Symbolic
from rnnaudio.engine.symbolic import Updates as Updates
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import noise

ENGINES = ("pytensor", "theano")
MODES = {"pytensor": ("auto", "c", "python", "numba", "jax"), "theano": ("auto", "c", "python")}
KERNELS = ("fused", "scan")


def _choose(variable: str, allowed: Sequence[str], default: str) -> str:
    value = os.environ.get(variable, "").strip().lower() or default
    if value not in allowed:
        raise RnnaudioError(f"{variable} is {value!r}; expected one of {', '.join(allowed)}")
    return value


def _import_pytensor() -> tuple[Any, Any, Any]:
    # `rnnaudio info` reports it once, with its cost and the remedy.
    warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS", category=UserWarning)
    import pytensor
    import pytensor.tensor as tensor
    from pytensor.tensor import random  # noqa: F401  (registers the rewrites of scan that need it)

    return pytensor, tensor, pytensor.scan


def _import_theano() -> tuple[Any, Any, Any]:
    if sys.version_info >= (3, 12):
        raise RnnaudioError(
            f"RNNAUDIO_ENGINE=theano needs Python 3.11, got {sys.version.split()[0]}: Theano 1.0.5 imports distutils, "
            "which Python 3.12 removed. Use Python 3.11 or the default engine, PyTensor"
        )
    if np.lib.NumpyVersion(np.__version__) >= "1.24.0":
        raise RnnaudioError(
            f"RNNAUDIO_ENGINE=theano needs NumPy below 1.24, got {np.__version__}; `make test-theano` and "
            "`make theano` set up an environment with it"
        )
    # Theano's default asks NumPy for a BLAS description that NumPy dropped in 1.22; an explicit value avoids the call.
    flags = os.environ.get("THEANO_FLAGS", "")
    if "blas.ldflags" not in flags:
        os.environ["THEANO_FLAGS"] = ",".join(filter(None, [flags, "blas.ldflags="]))
    # scan's C extension includes longintrepr.h, which moved in Python 3.11; None sends Theano to its Python loop.
    sys.modules["theano.scan_module.scan_perform_ext"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import theano
            import theano.tensor as tensor
    except ImportError as error:
        raise RnnaudioError(
            f"RNNAUDIO_ENGINE=theano, but Theano cannot be imported ({error}); `make theano` sets it up"
        ) from error
    return theano, tensor, theano.scan


NAME = _choose("RNNAUDIO_ENGINE", ENGINES, "pytensor")
backend, tt, _scan = _import_theano() if NAME == "theano" else _import_pytensor()
VERSION: str = backend.__version__
HAS_COMPILER = bool(backend.config.cxx)
MODE = _choose("RNNAUDIO_MODE", MODES[NAME], "auto" if HAS_COMPILER else "python")
if MODE in ("auto", "c") and not HAS_COMPILER:
    raise RnnaudioError(
        f"RNNAUDIO_MODE={MODE} needs a C++ compiler and none was found; install g++ or clang, or unset it"
    )
jax_mode: Any = importlib.import_module("rnnaudio.engine.jax_mode") if MODE == "jax" else None


def _checked_kernel(name: str) -> str:
    if name == "fused" and MODE == "jax":
        raise RnnaudioError(
            "the kernel is 'fused' and the mode 'jax', which cannot go together: JAX compiles the loop over time "
            "itself and cannot call compiled kernels; set RNNAUDIO_KERNEL=scan, or another RNNAUDIO_MODE"
        )
    return name


_kernel = _checked_kernel(_choose("RNNAUDIO_KERNEL", KERNELS, "scan" if MODE == "jax" else "fused"))
if MODE == "python":
    backend.config.cxx = ""  # else both engines still compile constants and the step inside scan
backend.config.floatX = "float32"
# Each compilation would warn again that NumPy's BLAS is used; `rnnaudio info` reports it once, with its cost.
logging.getLogger(f"{NAME}.tensor.blas").setLevel(logging.ERROR)
logging.getLogger(f"{NAME}.tensor.blas_headers").setLevel(logging.ERROR)


# These rewrites make products and sums of three or more arrays, which the engines compute in a Python loop over
# elements where there is no compiler; those of two arrays NumPy computes.
_MAKES_MANY_ARGUMENTS = ("local_mul_canonizer", "local_add_canonizer")


def _compile_mode(name: str, graph: Sequence[Symbolic]) -> Any:
    """Return the engine's mode object for a graph with these results."""
    names = {"c": "FAST_RUN" if NAME == "theano" else "CVM", "numba": "NUMBA", "python": "FAST_COMPILE"}
    mode = jax_mode.compile_mode() if name == "jax" else backend.compile.mode.get_mode(names[name])
    if NAME == "pytensor" and _is_truncated(graph):
        # It would multiply the inputs of all steps by a gradient that has fewer.
        mode = mode.excluding("scan_push_out_add")
    return mode.excluding(*_MAKES_MANY_ARGUMENTS) if name == "python" else mode


def _operations(graph: Sequence[Symbolic]) -> list[Any]:
    """List all operations that these variables are computed by."""
    ancestors = backend.gof.graph.ancestors if NAME == "theano" else backend.graph.traversal.ancestors
    return [v.owner.op for v in ancestors(list(graph)) if v.owner]


def _is_truncated(graph: Sequence[Symbolic]) -> bool:
    """Tell whether a gradient in the graph runs back through a part of the time steps only."""
    return any(getattr(op, "truncate_gradient", -1) >= 0 for op in _operations(graph))


def mode_for(graph: Sequence[Symbolic]) -> str:
    """Choose ``c`` or ``python`` for a graph with these results in mode ``auto``; any other mode stands for itself.

    Where kernels compute all whole sequences, C++ would speed up little of the rest, and ten seconds of compiling do
    not pay. In a perceptron's step the many small operations count, and a scan in python mode takes minutes.
    """
    if MODE != "auto":
        return MODE
    operations = _operations(graph)
    has_sequence = any(isinstance(op, Kernel) and op.is_sequence for op in operations)
    return "python" if has_sequence and not any(type(op).__name__ == "Scan" for op in operations) else "c"


@contextlib.contextmanager
def _without_compiler(name: str) -> Iterator[None]:
    """Compile without C++, constants included, if the mode is ``python``."""
    before = backend.config.cxx
    if name == "python":
        backend.config.cxx = ""
    try:
        yield
    finally:
        backend.config.cxx = before


def devices() -> list[str]:
    """List the devices that mode ``jax`` finds, the one in use first; empty in other modes."""
    return jax_mode.devices() if MODE == "jax" else []


def links_blas() -> bool:
    """Tell whether compiled code calls a BLAS library directly rather than through NumPy."""
    config = backend.config
    return bool(config.blas.ldflags if NAME == "theano" else config.blas__ldflags)


# ---------------------------------------------------------------- precision, variables, functions


def float_type() -> str:
    """Return the dtype of new parameters and graphs: ``float32`` unless inside :func:`precision`."""
    return str(backend.config.floatX)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Build and compile in another floating-point type: ``with precision("float64"): ...`` for checks.

    ValueError for a dtype other than ``float32`` and ``float64``.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"precision is {dtype!r}; expected 'float32' or 'float64'")
    before = float_type()
    backend.config.floatX = dtype
    try:
        yield
    finally:
        backend.config.floatX = before


def kernel() -> str:
    """Return how new graphs compute recurrences and products: by ``fused`` kernels, or by the engine with ``scan``."""
    return _kernel


@contextlib.contextmanager
def using_kernel(name: str) -> Iterator[None]:
    """Build graphs with another kernel: ``with using_kernel("scan"): ...`` for the readable reference.

    ValueError for an unknown kernel, RnnaudioError for ``fused`` in mode ``jax``.
    """
    global _kernel
    if name not in KERNELS:
        raise ValueError(f"kernel is {name!r}; expected one of {', '.join(KERNELS)}")
    before, _kernel = _kernel, _checked_kernel(name)
    try:
        yield
    finally:
        _kernel = before


def shared(value: np.ndarray, name: str) -> SharedVariable:
    """Make a variable that keeps its value between calls; NumPy floats are cast to :func:`float_type`."""
    value = np.array(value, order="C")  # kernels update it in place, in memory order
    if value.dtype.kind == "f":
        value = value.astype(float_type())
    return jax_mode.shared(value, name) if MODE == "jax" else backend.shared(value, name=name)


def tensor(name: str, ndim: int, dtype: str | None = None) -> Symbolic:
    """Make a symbolic input with ``ndim`` axes, 0 to 4, of type :func:`float_type` by default."""
    make = (tt.scalar, tt.vector, tt.matrix, tt.tensor3, tt.tensor4)[ndim]
    return make(name, dtype=dtype or float_type())


def function(
    inputs: Sequence[Symbolic],
    outputs: Symbolic | Sequence[Symbolic],
    updates: Updates | None = None,
    *,
    mode: str | None = None,
) -> Function:
    """Compile ``inputs -> outputs`` in the chosen mode; each call assigns the new values of ``updates``.

    Values of a wider type than their input are cast (Python floats to float32 among them), never silently widening the
    graph. Results are NumPy arrays in every mode. Mode ``jax`` may return read-only arrays, and compiles anew for each
    new shape and each new value of an integer scalar among the inputs (a size).
    """
    updates = updates or []
    results = [*(outputs if isinstance(outputs, list | tuple) else [outputs]), *(new for _, new in updates)]
    mode = mode or mode_for([v for v in results if hasattr(v, "owner")])
    with _without_compiler(mode):
        compiled = backend.function(
            list(inputs),
            outputs,
            updates=updates,
            mode=_compile_mode(mode, results),
            on_unused_input="ignore",
            allow_input_downcast=True,
            accept_inplace=True,  # for kernels that update parameters in place
        )
    return jax_mode.to_numpy(compiled) if MODE == "jax" else compiled


def gradient(loss: Symbolic, variables: Sequence[Symbolic]) -> list[Symbolic]:
    """Differentiate: d loss / d variable for each, exactly zero where the loss does not depend on a variable."""
    return list(backend.gradient.grad(loss, list(variables), disconnected_inputs="ignore"))


def constant_to_gradient(x: Symbolic) -> Symbolic:
    """Return x itself, which :func:`gradient` takes for a constant."""
    return backend.gradient.disconnected_grad(x)


def describe(variable: Symbolic) -> str:
    """Print the graph that computes ``variable`` to a string, one operation a line."""
    return str(backend.printing.debugprint(variable, file="str"))


# ---------------------------------------------------------------- operations that the engines name differently


def sigmoid(x: Symbolic) -> Symbolic:
    """1 / (1 + exp(-x))."""
    return tt.nnet.sigmoid(x) if NAME == "theano" else tt.sigmoid(x)


def relu(x: Symbolic) -> Symbolic:
    """max(x, 0), NaN where x is NaN; the gradient at exactly 0 is 0 on both engines."""
    return tt.switch(x <= 0, tt.zeros_like(x), x)


def softplus(x: Symbolic) -> Symbolic:
    """log(1 + exp(x)) without overflow; its derivative is :func:`sigmoid`."""
    return tt.nnet.softplus(x) if NAME == "theano" else tt.softplus(x)


def batched_dot(a: Symbolic, b: Symbolic) -> Symbolic:
    """a_k b_k for each k of the batch: (batch, m, n), (batch, n, p) -> (batch, m, p)."""
    return tt.batched_dot(a, b) if NAME == "theano" else tt.matmul(a, b)


def log_softmax(x: Symbolic) -> Symbolic:
    """x - log sum exp x over the last axis, without overflow for any finite x."""
    shifted = x - tt.max(x, axis=-1, keepdims=True)
    return shifted - tt.log(tt.sum(tt.exp(shifted), axis=-1, keepdims=True))


def log_sum_exp(x: Symbolic, axis: int) -> Symbolic:
    """log sum exp x over one axis, which is dropped, without overflow for any finite x."""
    largest = constant_to_gradient(tt.max(x, axis=axis, keepdims=True))
    total = tt.log(tt.sum(tt.exp(x - largest), axis=axis))
    return total + tt.sum(largest, axis=axis)  # drops the axis, of length 1


def scan(
    step: Callable[..., list[Symbolic]],
    sequences: Sequence[Symbolic],
    initial: Sequence[Symbolic],
    non_sequences: Sequence[Symbolic],
    truncate_gradient: int = -1,
) -> list[Symbolic]:
    """Scan with strict=True: carry each of ``initial`` through all steps; each result has a leading time axis.

    ``step`` takes a slice of each sequence, the carried values and the non-sequences, which must be all it uses.
    The gradient runs back through ``truncate_gradient`` steps from the end; -1: through all.
    """
    options: dict[str, Any] = {} if NAME == "theano" else {"return_updates": False}
    result = _scan(
        step,
        sequences=list(sequences),
        outputs_info=list(initial),
        non_sequences=list(non_sequences),
        truncate_gradient=truncate_gradient,
        strict=True,
        **options,
    )
    outputs = result[0] if NAME == "theano" else result
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


# ---------------------------------------------------------------- operations computed by compiled kernels

_graph: Any = backend if NAME == "theano" else backend.graph
_Disconnected: Any = backend.gradient.DisconnectedType


class Kernel(_graph.Op):
    """An operation that a NumPy function computes, in every mode but ``jax``; the base of the fused layers.

    A subclass sets ``ndims``, the number of axes of each output, and defines ``compute(*arrays)``, which returns the
    outputs' values, and, to be differentiable, :meth:`gradients`. The first input and all other float inputs are cast
    to their common type, which is the outputs' type too. No gradient flows to integer inputs (masks), nor to the
    inputs whose positions are in ``data``.

    TypeError if that common type is neither float32 nor float64.
    """

    __props__: tuple[str, ...] = ()
    ndims: tuple[int, ...]
    data: tuple[int, ...] = ()
    is_sequence = False  # True: computes a recurrence over all time steps, which is most of a step's time

    compute: Callable[..., Sequence[np.ndarray]]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        """Return one symbolic gradient per input, None for none.

        ``output_gradients`` holds None for an output that the loss does not depend on.
        """
        raise NotImplementedError(f"{self} has no gradient")

    def make_node(self, *inputs: Symbolic) -> Node:
        variables = [tt.as_tensor_variable(v) for v in inputs]
        dtype = backend.scalar.upcast(*(v.dtype for v in variables if v.dtype.startswith("float")))
        if dtype not in ("float32", "float64"):
            raise TypeError(f"{self} takes float32 or float64, got {[v.dtype for v in variables]}")
        first, *others = variables
        floats = [tt.cast(v, dtype) if v.dtype.startswith("float") else v for v in others]
        variables = [tt.cast(first, dtype), *floats]
        return _graph.Apply(self, variables, [tensor("", n, dtype).type() for n in self.ndims])

    def perform(self, node: Node, inputs: list[np.ndarray], outputs: list[Storage]) -> None:
        for storage, value in zip(outputs, self.compute(*inputs), strict=True):
            storage[0] = value

    def connection_pattern(self, node: Node) -> list[list[bool]]:
        connected = [v.dtype.startswith("float") and k not in self.data for k, v in enumerate(node.inputs)]
        return [[is_connected] * len(node.outputs) for is_connected in connected]

    def pullback(
        self, inputs: Sequence[Symbolic], outputs: Sequence[Symbolic], cotangents: Sequence[Symbolic]
    ) -> list[Symbolic]:
        known = [None if isinstance(g.type, _Disconnected) else g for g in cotangents]
        return [_Disconnected()() if g is None else g for g in self.gradients(list(inputs), list(outputs), known)]

    if NAME == "theano":
        L_op = pullback


# ---------------------------------------------------------------- random numbers as a pure function


class _Random(_graph.Op):
    """Random numbers that depend on (key, stream, shape) alone: no hidden generator, so any step can be replayed.

    ``key`` is an int64 vector: seed, number of the update and, where a sequence is cut in time, of the segment. Both
    engines and all modes give the same numbers, a checkpoint needs only the first two, and a resumed run gets the
    numbers that the uninterrupted one would have had.
    """

    __props__ = ("distribution", "stream", "ndim", "dtype")

    def __init__(self, distribution: str, stream: int, ndim: int, dtype: str):
        self.distribution, self.stream, self.ndim, self.dtype = distribution, stream, ndim, dtype

    def make_node(self, key: Key, *shape: Size) -> Node:
        inputs = [tt.as_tensor_variable(v) for v in (key, *shape)]
        return _graph.Apply(self, inputs, [tensor("", self.ndim, self.dtype).type()])

    def perform(self, node: Node, inputs: list[np.ndarray], outputs: list[Storage]) -> None:
        key, shape = [int(k) for k in inputs[0]], [int(n) for n in inputs[1:]]
        outputs[0][0] = noise.sample(self.distribution, key, self.stream, shape, self.dtype)

    def connection_pattern(self, node: Node) -> list[list[bool]]:
        return [[False] for _ in node.inputs]

    def infer_shape(self, *arguments: Any) -> list[list[Symbolic]]:
        node = arguments[-2]  # PyTensor passes graph, node and shapes, Theano the last two
        return [node.inputs[1:]]


if MODE == "jax":
    jax_mode.register_random(_Random)
    jax_mode.refuse(Kernel)


def normal(key: Key, stream: int, shape: Sequence[Size]) -> Symbolic:
    """Sample N(0, 1) of ``shape``, a pure function of ``key`` (seed, update[, segment]) and ``stream``."""
    return _Random("normal", stream, len(shape), float_type())(key, *shape)


def uniform(key: Key, stream: int, shape: Sequence[Size]) -> Symbolic:
    """Sample U(0, 1) of ``shape``, a pure function of ``key`` (seed, update[, segment]) and ``stream``."""
    return _Random("uniform", stream, len(shape), float_type())(key, *shape)
