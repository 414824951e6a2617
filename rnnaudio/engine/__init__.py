"""The symbolic engine: PyTensor, or Theano 1.0.5, behind one set of names.

This is, with :mod:`rnnaudio.engine.jax_mode`, the only module that imports ``pytensor`` or ``theano``. Everything
above is written once, against

* ``tt``: the engine's tensor module, for what both spell alike (``tt.dot``, ``tt.tanh``, ``tt.concatenate``, ...);
* the functions of this module, for what they spell differently (:func:`sigmoid`, :func:`scan`, :func:`normal`, ...).

Environment, read once at import:

``RNNAUDIO_ENGINE``
    ``pytensor`` (default) or ``theano``.
``RNNAUDIO_MODE``
    ``auto`` (default where a C++ compiler is found): ``python`` for graphs with a recurrence that a kernel computes,
    ``c`` for all others. ``c``: compiled C++. ``python``: NumPy, the default without a compiler (starts soonest; slow
    with scan). PyTensor only: ``numba``, or ``jax`` (:mod:`rnnaudio.engine.jax_mode`: on a GPU where JAX finds one).
    ``rnnaudio/README.md`` records what each costs.
``RNNAUDIO_KERNEL``
    ``fused`` (default): products and whole recurrences by :mod:`rnnaudio.kernels`; ``scan``: all by the engine, the
    only way in mode ``jax``.
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

from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.noise import draw

ENGINES = ("pytensor", "theano")
MODES = {"pytensor": ("auto", "c", "python", "numba", "jax"), "theano": ("auto", "c", "python")}
KERNELS = ("fused", "scan")


def _choose(variable: str, allowed: Sequence[str], default: str) -> str:
    value = os.environ.get(variable, "").strip().lower() or default
    if value not in allowed:
        raise RnnaudioError(f"{variable} is {value!r}; expected one of {', '.join(allowed)}")
    return value


def _import_pytensor() -> tuple[Any, Any, Any]:
    # It is said once, with what it costs and what would help, by `rnnaudio info`.
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
            "itself and cannot call our compiled kernels; take RNNAUDIO_KERNEL=scan, or another RNNAUDIO_MODE"
        )
    return name


_kernel = _checked_kernel(_choose("RNNAUDIO_KERNEL", KERNELS, "scan" if MODE == "jax" else "fused"))
if MODE == "python":
    backend.config.cxx = ""  # else both engines still compile constants and the step inside scan
backend.config.floatX = "float32"
# Each compilation would say again that NumPy's BLAS is used; `rnnaudio info` says it once, with what it costs.
logging.getLogger(f"{NAME}.tensor.blas").setLevel(logging.ERROR)
logging.getLogger(f"{NAME}.tensor.blas_headers").setLevel(logging.ERROR)


# They make products and sums of three and more arrays, which the engines compute in a Python loop over elements where
# there is no compiler; of two arrays NumPy computes them.
_MAKES_MANY_ARGUMENTS = ("local_mul_canonizer", "local_add_canonizer")


def _compile_mode(name: str, graph: Sequence[Any]) -> Any:
    """The engine's mode of this name, for a graph with these results."""
    names = {"c": "FAST_RUN" if NAME == "theano" else "CVM", "numba": "NUMBA", "python": "FAST_COMPILE"}
    mode = jax_mode.compile_mode() if name == "jax" else backend.compile.mode.get_mode(names[name])
    if NAME == "pytensor" and _is_truncated(graph):
        # It multiplies the inputs of all steps by a gradient that has fewer, which do not fit.
        mode = mode.excluding("scan_push_out_add")
    return mode.excluding(*_MAKES_MANY_ARGUMENTS) if name == "python" else mode


def _operations(graph: Sequence[Any]) -> list[Any]:
    """All operations that these variables come from."""
    ancestors = backend.gof.graph.ancestors if NAME == "theano" else backend.graph.traversal.ancestors
    return [v.owner.op for v in ancestors(list(graph)) if v.owner]


def _is_truncated(graph: Sequence[Any]) -> bool:
    """Whether a gradient in it runs back through a part of the time steps only."""
    return any(getattr(op, "truncate_gradient", -1) >= 0 for op in _operations(graph))


def mode_for(graph: Sequence[Any]) -> str:
    """What mode ``auto`` means for a graph with these results; any other mode is itself.

    Where kernels compute all whole sequences, little is left that C++ would make faster, and ten seconds of compiling
    do not pay. In a perceptron's step the many small operations count, and a scan in python mode takes minutes.
    """
    if MODE != "auto":
        return MODE
    operations = _operations(graph)
    has_sequence = any(isinstance(op, Kernel) and op.is_sequence for op in operations)
    return "python" if has_sequence and not any(type(op).__name__ == "Scan" for op in operations) else "c"


@contextlib.contextmanager
def _without_compiler(name: str) -> Iterator[None]:
    """In mode python: no C++ for constants either."""
    before = backend.config.cxx
    if name == "python":
        backend.config.cxx = ""
    try:
        yield
    finally:
        backend.config.cxx = before


def devices() -> list[str]:
    """What mode ``jax`` computes on, the first being used; empty in other modes."""
    return jax_mode.devices() if MODE == "jax" else []


def links_blas() -> bool:
    """Whether compiled code calls a BLAS library directly instead of NumPy's through NumPy."""
    config = backend.config
    return bool(config.blas.ldflags if NAME == "theano" else config.blas__ldflags)


# ---------------------------------------------------------------- precision, variables, functions


def float_type() -> str:
    """The dtype of new parameters and graphs: ``float32`` unless inside :func:`precision`."""
    return str(backend.config.floatX)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Build and compile in another floating-point type: ``with precision("float64"): ...`` for checks."""
    if dtype not in ("float32", "float64"):
        raise ValueError(f"precision is {dtype!r}; expected 'float32' or 'float64'")
    before = float_type()
    backend.config.floatX = dtype
    try:
        yield
    finally:
        backend.config.floatX = before


def kernel() -> str:
    """What new graphs compute recurrences and products by: ``fused`` kernels, or ``scan`` and the engine's own."""
    return _kernel


@contextlib.contextmanager
def using_kernel(name: str) -> Iterator[None]:
    """Build graphs by another kernel: ``with using_kernel("scan"): ...`` for the readable reference.

    Raises RnnaudioError for ``fused`` in mode ``jax``.
    """
    global _kernel
    if name not in KERNELS:
        raise ValueError(f"kernel is {name!r}; expected one of {', '.join(KERNELS)}")
    before, _kernel = _kernel, _checked_kernel(name)
    try:
        yield
    finally:
        _kernel = before


def shared(value: np.ndarray, name: str) -> Any:
    """A variable that keeps its value between calls; NumPy floats are cast to :func:`float_type`."""
    value = np.array(value, order="C")  # kernels update it in place, in memory order
    if value.dtype.kind == "f":
        value = value.astype(float_type())
    return jax_mode.shared(value, name) if MODE == "jax" else backend.shared(value, name=name)


def tensor(name: str, ndim: int, dtype: str | None = None) -> Any:
    """A symbolic input with ``ndim`` axes."""
    make = (tt.scalar, tt.vector, tt.matrix, tt.tensor3, tt.tensor4)[ndim]
    return make(name, dtype=dtype or float_type())


def function(
    inputs: Sequence[Any], outputs: Any, updates: Any = None, *, mode: str | None = None
) -> Callable[..., Any]:
    """Compile ``inputs -> outputs`` in the chosen mode; ``updates`` is a list of (shared variable, new value).

    Inputs of a narrower type are cast (Python floats to float32 among them), never silently widened in the graph.
    Results are NumPy arrays in every mode. In mode ``jax`` they may be read-only, and a new shape, or a new value of
    an integer scalar among the inputs (a size), is compiled anew.
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
            accept_inplace=True,  # kernels update parameters in place
        )
    return jax_mode.to_numpy(compiled) if MODE == "jax" else compiled


def gradient(loss: Any, variables: Sequence[Any]) -> list[Any]:
    """d loss / d variable for each; exactly zero where the loss does not depend on a variable."""
    return list(backend.gradient.grad(loss, list(variables), disconnected_inputs="ignore"))


def constant_to_gradient(x: Any) -> Any:
    """x itself; to :func:`gradient` it is a constant."""
    return backend.gradient.disconnected_grad(x)


def describe(variable: Any) -> str:
    """The graph that computes ``variable``, as text: one operation a line."""
    return str(backend.printing.debugprint(variable, file="str"))


# ---------------------------------------------------------------- operations the engines spell differently


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return tt.nnet.sigmoid(x) if NAME == "theano" else tt.sigmoid(x)


def relu(x: Any) -> Any:
    """max(x, 0), NaN where x is; the gradient at exactly 0 is 0 on both engines."""
    return tt.switch(x <= 0, tt.zeros_like(x), x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow; its gradient is :func:`sigmoid`."""
    return tt.nnet.softplus(x) if NAME == "theano" else tt.softplus(x)


def batched_dot(a: Any, b: Any) -> Any:
    """a_k b_k for each k: (batch, m, n), (batch, n, p) -> (batch, m, p)."""
    return tt.batched_dot(a, b) if NAME == "theano" else tt.matmul(a, b)


def log_softmax(x: Any) -> Any:
    """x - log sum exp x over the last axis, without overflow for any finite x."""
    shifted = x - tt.max(x, axis=-1, keepdims=True)
    return shifted - tt.log(tt.sum(tt.exp(shifted), axis=-1, keepdims=True))


def log_sum_exp(x: Any, axis: int) -> Any:
    """log sum exp x over an axis, which goes, without overflow for any finite x."""
    largest = constant_to_gradient(tt.max(x, axis=axis, keepdims=True))
    total = tt.log(tt.sum(tt.exp(x - largest), axis=axis))
    return total + tt.sum(largest, axis=axis)  # of one


def scan(
    step: Callable[..., list[Any]],
    sequences: Sequence[Any],
    initial: Sequence[Any],
    non_sequences: Sequence[Any],
    truncate_gradient: int = -1,
) -> list[Any]:
    """Raw scan, strict: each of ``initial`` is carried, each result has a leading time axis."""
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

    A subclass sets ``ndims``, the axes of each output, and defines ``compute(*arrays)``, the outputs' values, and, to
    be differentiable, :meth:`gradients`. All float inputs, and the first in any case, are
    cast to their common type, which the outputs have too. No gradient flows to integer inputs (masks), nor to the
    inputs whose places are in ``data``.
    """

    __props__: tuple[str, ...] = ()
    ndims: tuple[int, ...]
    data: tuple[int, ...] = ()
    is_sequence = False  # computes a recurrence over all time steps: a step's time is its

    compute: Callable[..., Sequence[np.ndarray]]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        """One symbolic gradient per input, None for none; ``output_gradients`` are None where nothing depends."""
        raise NotImplementedError(f"{self} has no gradient")

    def make_node(self, *inputs: Any) -> Any:
        variables = [tt.as_tensor_variable(v) for v in inputs]
        dtype = backend.scalar.upcast(*(v.dtype for v in variables if v.dtype.startswith("float")))
        if dtype not in ("float32", "float64"):
            raise TypeError(f"{self} takes float32 or float64, got {[v.dtype for v in variables]}")
        first, *others = variables
        floats = [tt.cast(v, dtype) if v.dtype.startswith("float") else v for v in others]
        variables = [tt.cast(first, dtype), *floats]
        return _graph.Apply(self, variables, [tensor("", n, dtype).type() for n in self.ndims])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        for storage, value in zip(outputs, self.compute(*inputs), strict=True):
            storage[0] = value

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        connected = [v.dtype.startswith("float") and k not in self.data for k, v in enumerate(node.inputs)]
        return [[is_connected] * len(node.outputs) for is_connected in connected]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        known = [None if isinstance(g.type, _Disconnected) else g for g in cotangents]
        return [_Disconnected()() if g is None else g for g in self.gradients(list(inputs), list(outputs), known)]

    if NAME == "theano":
        L_op = pullback


# ---------------------------------------------------------------- random numbers as a pure function


class _Random(_graph.Op):
    """Draws that depend on nothing but (key, stream, shape): no hidden generator, so any step can be replayed.

    ``key`` is an int64 vector: seed, number of the update and, where a sequence is cut in time, of the segment. Both
    engines and all modes give the same numbers, a checkpoint needs only the first two, and a resumed run draws what
    the uninterrupted one would have drawn.
    """

    __props__ = ("distribution", "stream", "ndim", "dtype")

    def __init__(self, distribution: str, stream: int, ndim: int, dtype: str):
        self.distribution, self.stream, self.ndim, self.dtype = distribution, stream, ndim, dtype

    def make_node(self, key: Any, *shape: Any) -> Any:
        inputs = [tt.as_tensor_variable(v) for v in (key, *shape)]
        return _graph.Apply(self, inputs, [tensor("", self.ndim, self.dtype).type()])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        key, *shape = inputs
        outputs[0][0] = draw(self.distribution, [int(k) for k in key], self.stream, list(map(int, shape)), self.dtype)

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        return [[False] for _ in node.inputs]

    def infer_shape(self, *arguments: Any) -> Any:
        node = arguments[-2]
        return [node.inputs[1:]]


if MODE == "jax":
    jax_mode.register_draws(_Random)
    jax_mode.refuse(Kernel)


def normal(key: Any, stream: int, shape: Sequence[Any]) -> Any:
    """N(0, 1) draws of ``shape``, a pure function of ``key`` (seed, update[, segment]) and ``stream``."""
    return _Random("normal", stream, len(shape), float_type())(key, *shape)


def uniform(key: Any, stream: int, shape: Sequence[Any]) -> Any:
    """U(0, 1) draws of ``shape``, a pure function of ``key`` (seed, update[, segment]) and ``stream``."""
    return _Random("uniform", stream, len(shape), float_type())(key, *shape)
