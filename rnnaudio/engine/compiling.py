"""Symbolic variables, their gradients, and functions compiled in the mode of ``RNNAUDIO_MODE``."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnaudio.engine.environment import MODE, NAME, backend, float_type, jax_mode, tt
from rnnaudio.engine.symbolic import Function, SharedVariable, Symbolic, Updates

# These rewrites merge products and sums into operations on three or more arrays. Without a compiler, the engines
# compute those in a Python loop over elements, but products and sums of two arrays by NumPy.
_MAKES_MANY_ARGUMENTS = ("local_mul_canonizer", "local_add_canonizer")


def _compile_mode(name: str, graph: Sequence[Symbolic]) -> Any:
    """Return the engine's mode object for the mode ``name`` and a graph with these outputs."""
    names = {"c": "FAST_RUN" if NAME == "theano" else "CVM", "numba": "NUMBA", "python": "FAST_COMPILE"}
    mode = jax_mode.compile_mode() if name == "jax" else backend.compile.mode.get_mode(names[name])
    if NAME == "pytensor" and _is_truncated(graph):
        # This rewrite would multiply the inputs of all steps by a gradient that covers only the last of them.
        mode = mode.excluding("scan_push_out_add")
    return mode.excluding(*_MAKES_MANY_ARGUMENTS) if name == "python" else mode


def _operations(graph: Sequence[Symbolic]) -> list[Any]:
    """List all operations that these output variables depend on."""
    ancestors = backend.gof.graph.ancestors if NAME == "theano" else backend.graph.traversal.ancestors
    return [v.owner.op for v in ancestors(list(graph)) if v.owner]


def _is_truncated(graph: Sequence[Symbolic]) -> bool:
    """Tell whether the graph holds the gradient of a scan, truncated to the last time steps."""
    return any(getattr(op, "truncate_gradient", -1) >= 0 for op in _operations(graph))


def mode_for(graph: Sequence[Symbolic]) -> str:
    """Return the compile mode for a graph with these outputs: ``c`` or ``python`` if MODE is ``auto``, else MODE.

    In mode ``auto``, a graph with recurrences that are all computed by kernels gets ``python``: C++ would speed up too
    little of the rest to repay ten seconds of compiling. Any other graph gets ``c``: a perceptron consists of many
    small operations, which C++ speeds up, and a scan in mode ``python`` takes minutes.
    """
    if MODE != "auto":
        return MODE
    operations = _operations(graph)
    has_sequence = any(getattr(op, "is_sequence", False) for op in operations)  # set by Kernel
    return "python" if has_sequence and not any(type(op).__name__ == "Scan" for op in operations) else "c"


@contextlib.contextmanager
def _without_compiler(name: str) -> Iterator[None]:
    """Context manager: compile without C++ if the mode is ``python``, also where the engine folds constants."""
    before = backend.config.cxx
    if name == "python":
        backend.config.cxx = ""
    try:
        yield
    finally:
        backend.config.cxx = before


def shared(value: np.ndarray, name: str) -> SharedVariable:
    """Make a shared variable, which keeps its value between calls; a float ``value`` is cast to :func:`float_type`."""
    value = np.array(value, order="C")  # kernels update it in place, in memory order
    if value.dtype.kind == "f":
        value = value.astype(float_type())
    return jax_mode.shared(value, name) if MODE == "jax" else backend.shared(value, name=name)


def tensor(name: str, ndim: int, dtype: str | None = None) -> Symbolic:
    """Make a symbolic input with ``ndim`` axes, 0 to 4, and ``dtype``, by default :func:`float_type`."""
    make = (tt.scalar, tt.vector, tt.matrix, tt.tensor3, tt.tensor4)[ndim]
    return make(name, dtype=dtype or float_type())


def mark_batch_axis(variable: Symbolic, axis: int) -> Symbolic:
    """Mark the axis of the batch of an input, along which mode ``jax`` may divide it among devices; returns it."""
    variable.tag.batch_axis = axis
    return variable


def function(
    inputs: Sequence[Symbolic],
    outputs: Symbolic | Sequence[Symbolic],
    updates: Updates | None = None,
    *,
    mode: str | None = None,
) -> Function:
    """Compile a function ``inputs -> outputs``; each call also assigns the new values of ``updates``.

    ``updates`` are pairs (shared variable, its new value). ``mode`` is the compile mode, by default the result of
    :func:`mode_for`. Arguments of a wider dtype than the input's are cast to the input's dtype, Python floats to
    float32 for example, so they never widen the graph. Results are NumPy arrays in every mode: one array, or a list of
    arrays if ``outputs`` is a list or tuple. In mode ``jax`` they may be read-only, and the function is compiled again
    for each new shape of an input and for each new value of an integer scalar input, which counts as a size.
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
    """Return d loss / d variable for each variable, given a scalar loss.

    The gradient is exactly zero for a variable on which the loss does not depend.
    """
    return list(backend.gradient.grad(loss, list(variables), disconnected_inputs="ignore"))


def constant_to_gradient(x: Symbolic) -> Symbolic:
    """Stop the gradient: return a variable equal to x that :func:`gradient` treats as a constant."""
    return backend.gradient.disconnected_grad(x)


def describe(variable: Symbolic) -> str:
    """Return a printout of the graph that computes ``variable``, one operation per line."""
    return str(backend.printing.debugprint(variable, file="str"))
