"""The kernels of LSTM and GRU with clocks between their phases, generated from their own source.

The kernels themselves have no clocks and no flag for them: here their source is read, calls of a clock are put around
each product, and the result is compiled in addition, with the same options. Its results are the same to the bit.

The clock is the system's CLOCK_MONOTONIC, one for all cores, in nanoseconds. On Linux a call takes about 25 ns. There
are two calls per product, so two a time step in an LSTM and four in a GRU.
"""

import ast
import ctypes
import inspect
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.arrays import Compiled

SECONDS, NANOSECONDS, PRODUCTS, WHOLE = range(4)  # entries of the array of a timed kernel; the first two are scratch

_gettime: Any = getattr(ctypes.CDLL(None), "clock_gettime", None)
if _gettime is not None:
    _gettime.argtypes, _gettime.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_int
_CLOCK = getattr(time, "CLOCK_MONOTONIC", 0)


@numba.njit(nogil=True)
def now(times: np.ndarray) -> int:
    """Read the clock, in nanoseconds; the first two entries of ``times``, int64, are overwritten."""
    _gettime(_CLOCK, times.ctypes)
    return times[0] * 1_000_000_000 + times[1]


class _WithClocks(ast.NodeTransformer):
    """Put the clock around each statement that is a call of ``multiply``."""

    n_products = 0

    def visit_Expr(self, node: ast.Expr) -> Any:
        call = node.value
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "multiply"):
            return node
        self.n_products += 1
        before = ast.parse("_before = _now(_times)").body
        after = ast.parse(f"_times[{PRODUCTS}] += _now(_times) - _before").body
        return [*before, node, *after]


def source_of(kernel: Compiled) -> tuple[str, int]:
    """Return the source of a kernel with clocks, and how many products it has.

    The kernel with clocks has a last parameter ``_times``, (4,) int64: nanoseconds in products are added to entry 2,
    and nanoseconds in the whole kernel to entry 3. RnnaudioError if the kernel has a ``return`` statement or no
    product.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(kernel.py_func)))  # type: ignore[attr-defined]
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    clocks = _WithClocks()
    clocks.visit(function)
    if not clocks.n_products or any(isinstance(node, ast.Return) for node in ast.walk(function)):
        raise RnnaudioError(f"{function.name} has no product, or returns early: no clocks can be put into it")
    function.decorator_list, function.returns = [], None
    function.args.args.append(ast.arg("_times"))
    function.body = [
        *ast.parse("_began = _now(_times)").body,
        *function.body,
        *ast.parse(f"_times[{WHOLE}] += _now(_times) - _began").body,
    ]
    return ast.unparse(ast.fix_missing_locations(tree)), clocks.n_products


def compiled_with_clocks(kernel: Compiled) -> Compiled:
    """Compile a kernel with clocks, see :func:`source_of`, with the kernel's own options."""
    source, _ = source_of(kernel)
    function: Callable[..., Any] = kernel.py_func  # type: ignore[attr-defined]
    names = {**function.__globals__, "_now": now}
    exec(compile(source, f"{function.__name__} with clocks", "exec"), names)
    options = {k: v for k, v in kernel.targetoptions.items() if k != "nopython"}  # type: ignore[attr-defined]
    return numba.njit(**options)(names[function.__name__])


class TimedKernel:
    """A kernel with clocks that is called like the kernel itself; several threads may call it at once.

    :meth:`spent` returns the time of the calls since it was last called.
    """

    def __init__(self, kernel: Compiled):
        self._compiled = compiled_with_clocks(kernel)
        self._times: list[np.ndarray] = []
        self._lock = threading.Lock()

    def __call__(self, *share: Any) -> None:
        times = np.zeros(4, np.int64)
        self._compiled(*share, times)
        with self._lock:
            self._times.append(times)

    def spent(self) -> tuple[float, float]:
        """Seconds in products, and in all else, as means over the parallel calls since this method was last called."""
        times, self._times = self._times, []
        return mean_seconds(times)


def mean_seconds(times: Sequence[np.ndarray]) -> tuple[float, float]:
    """Seconds in products, and in all else, as means over parallel calls; times: an array (4,) int64 for each call."""
    products, whole = (float(np.mean([one[entry] for one in times])) / 1e9 for entry in (PRODUCTS, WHOLE))
    return products, whole - products
