"""Variables, gradients, and functions compiled in the chosen mode."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnaudio.engine.environment import MODE, NAME, backend, float_type, jax_mode, tt
from rnnaudio.engine.symbolic import Function, SharedVariable, Symbolic, Updates

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
    has_sequence = any(getattr(op, "is_sequence", False) for op in operations)  # of a Kernel
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
