"""Symbolic variables, their gradients, and functions compiled in the mode set by ``RNNAUDIO_MODE``."""

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
    """Return a list of all operations on which these output variables depend."""
    ancestors = backend.gof.graph.ancestors if NAME == "theano" else backend.graph.traversal.ancestors
    return [v.owner.op for v in ancestors(list(graph)) if v.owner]


def _is_truncated(graph: Sequence[Symbolic]) -> bool:
    """Return True if the graph contains a scan whose gradient is truncated to the last time steps."""
    return any(getattr(op, "truncate_gradient", -1) >= 0 for op in _operations(graph))


def mode_for(graph: Sequence[Symbolic]) -> str:
    """Return the compile mode for a graph with these outputs: ``c`` or ``python`` if MODE is ``auto``, else MODE.

    In mode ``auto``, the mode is ``python`` for a graph with recurrences that are all computed by kernels, because C++
    would speed up only the small remainder, after ten seconds of compiling. It is ``c`` for all other graphs: C++
    speeds up the many small operations of a perceptron, and a scan in mode ``python`` takes minutes.
    """
    if MODE != "auto":
        return MODE
    operations = _operations(graph)
    has_sequence = any(getattr(op, "is_sequence", False) for op in operations)  # set by Kernel
    return "python" if has_sequence and not any(type(op).__name__ == "Scan" for op in operations) else "c"


@contextlib.contextmanager
def _without_compiler(name: str) -> Iterator[None]:
    """Return a context manager in which the engine does not call the C++ compiler if the mode ``name`` is python."""
    before = backend.config.cxx
    if name == "python":
        backend.config.cxx = ""
    try:
        yield
    finally:
        backend.config.cxx = before


def shared(value: np.ndarray, name: str) -> SharedVariable:
    """Make a shared variable with a copy of ``value``; a float value is cast to the dtype :func:`float_type`."""
    value = np.array(value, order="C")  # kernels update it in place, in memory order
    if value.dtype.kind == "f":
        value = value.astype(float_type())
    return jax_mode.shared(value, name) if MODE == "jax" else backend.shared(value, name=name)


def tensor(name: str, ndim: int, dtype: str | None = None) -> Symbolic:
    """Make a symbolic input with 0 to 4 axes and this dtype; None: the dtype :func:`float_type`."""
    make = (tt.scalar, tt.vector, tt.matrix, tt.tensor3, tt.tensor4)[ndim]
    return make(name, dtype=dtype or float_type())


def mark_batch_axis(variable: Symbolic, axis: int) -> Symbolic:
    """Mark ``axis`` as the batch axis of an input, and return the input.

    Mode ``jax`` may divide the input along this axis among several devices.
    """
    variable.tag.batch_axis = axis
    return variable


def function(
    inputs: Sequence[Symbolic],
    outputs: Symbolic | Sequence[Symbolic],
    updates: Updates | None = None,
    *,
    mode: str | None = None,
) -> Function:
    """Compile a function ``inputs -> outputs``. Each call also assigns the new values of ``updates``.

    ``updates`` are pairs (shared variable, its new value). ``mode`` is the compile mode; None: the result of
    :func:`mode_for`. An argument of a wider dtype than its input, such as a Python float for a float32 input, is cast
    to the dtype of the input. The compiled function returns a NumPy array in every mode, or a list of arrays if
    ``outputs`` is a list or tuple. In mode ``jax`` the arrays may be read-only, and the function is compiled again for
    each new shape of an input and for each new value of an integer scalar input, which is treated as a size.
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
    """Return the gradients of a scalar loss with respect to each of ``variables``, in their order.

    The gradient is zero for a variable on which the loss does not depend.
    """
    return list(backend.gradient.grad(loss, list(variables), disconnected_inputs="ignore"))


def constant_to_gradient(x: Symbolic) -> Symbolic:
    """Return a variable equal to x that :func:`gradient` treats as a constant, so that no gradient flows to x."""
    return backend.gradient.disconnected_grad(x)


def describe(variable: Symbolic) -> str:
    """Return the graph that computes ``variable`` as text, one operation per line."""
    return str(backend.printing.debugprint(variable, file="str"))
