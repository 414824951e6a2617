"""The symbolic engine: one set of names for PyTensor and Theano 1.0.5.

Only two modules of this package, :mod:`~rnnaudio.engine.environment` and :mod:`~rnnaudio.engine.jax_mode`, import
``pytensor``, ``theano`` or ``jax``. All code outside this package is written once for both engines, and uses

* ``tt``, the tensor module of the engine, for functions with the same name in both (``tt.dot``, ``tt.tanh``, ...);
* the functions of this package, where the two engines differ (:func:`sigmoid`, :func:`scan`, ...);
* the types of :mod:`rnnaudio.engine.symbolic`: :class:`Symbolic`, :class:`SharedVariable`, :class:`Function`.

These environment variables are read once, at import:

``RNNAUDIO_ENGINE``
    ``pytensor`` (default) or ``theano``.
``RNNAUDIO_MODE``
    the compile mode. ``auto`` (default if a C++ compiler is found): ``python`` for graphs with recurrences that are
    all computed by kernels, ``c`` for all other graphs. ``c``: compiled C++. ``python``: NumPy, the default without a
    compiler; it starts fastest but is slow with scan. PyTensor also has ``numba`` and ``jax``
    (:mod:`rnnaudio.engine.jax_mode`), which uses a GPU if JAX finds one. The speed of each mode is in
    docs/results/speed.md.
``RNNAUDIO_KERNEL``
    ``fused`` (default): the kernels of :mod:`rnnaudio.kernels` compute products and whole recurrences. ``scan``: the
    engine's own operations compute everything; this is the only choice in mode ``jax``.
"""

from rnnaudio.engine.compiling import (
    constant_to_gradient,
    describe,
    function,
    gradient,
    mark_batch_axis,
    mode_for,
    shared,
    tensor,
)
from rnnaudio.engine.environment import (
    ENGINES,
    HAS_COMPILER,
    KERNELS,
    MODE,
    MODES,
    NAME,
    VERSION,
    backend,
    devices,
    float_type,
    jax_mode,
    kernel,
    links_blas,
    precision,
    tt,
    using_kernel,
)
from rnnaudio.engine.kernel_op import Kernel
from rnnaudio.engine.operations import batched_dot, log_softmax, log_sum_exp, relu, scan, sigmoid, softplus
from rnnaudio.engine.random import Random, normal, part_of_batches, uniform
from rnnaudio.engine.symbolic import (
    Array,
    Function,
    Gradient,
    Key,
    Node,
    Operand,
    Shape,
    SharedVariable,
    Size,
    Storage,
    Symbolic,
    Updates,
)

if MODE == "jax":
    jax_mode.register_random(Random)
    jax_mode.refuse(Kernel)

__all__ = [
    "ENGINES",
    "HAS_COMPILER",
    "KERNELS",
    "MODE",
    "MODES",
    "NAME",
    "VERSION",
    "Array",
    "Function",
    "Gradient",
    "Kernel",
    "Key",
    "Node",
    "Operand",
    "Shape",
    "SharedVariable",
    "Size",
    "Storage",
    "Symbolic",
    "Updates",
    "backend",
    "batched_dot",
    "constant_to_gradient",
    "describe",
    "devices",
    "float_type",
    "function",
    "gradient",
    "kernel",
    "links_blas",
    "log_softmax",
    "log_sum_exp",
    "mark_batch_axis",
    "mode_for",
    "normal",
    "part_of_batches",
    "precision",
    "relu",
    "scan",
    "shared",
    "sigmoid",
    "softplus",
    "tensor",
    "tt",
    "uniform",
    "using_kernel",
]
