"""Compile mode ``jax``: a graph of PyTensor as one function that JAX compiles, for the CPU or a GPU.

With :mod:`rnnaudio.engine.environment` the only importer of PyTensor, and the only one of JAX. PyTensor translates
each operation; this module adds what PyTensor's own linker lacks:

* sizes are computed while JAX traces a function, by NumPy, so a size may be any expression of the inputs' shapes;
* integer scalars among the inputs are sizes too: the function is traced anew for each value, as for each new shape;
* noise comes from the same NumPy generator as in all other modes, on the host (:func:`register_random`);
* parameters stay on the device between calls, and their memory is reused (:class:`OnDevice`).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rnnaudio.engine.symbolic import Function, Storage
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import noise

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise RnnaudioError(
        f"RNNAUDIO_MODE=jax, but JAX cannot be imported ({error}); pip install 'rnnaudio[jax]', "
        "for an NVIDIA GPU also 'jax[cuda13]'"
    ) from error

from pytensor.compile.mode import JAX, Mode
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.fg import AbstractFunctionGraph, FunctionGraph
from pytensor.graph.op import Op
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.link.jax.dispatch.scan import jax_funcify_Scan
from pytensor.link.jax.linker import JAXLinker
from pytensor.link.utils import fgraph_to_python
from pytensor.raise_op import CheckAndRaise
from pytensor.scan.op import Scan
from pytensor.tensor.basic import ARange, Split
from pytensor.tensor.shape import Reshape
from pytensor.tensor.sharedvar import TensorSharedVariable
from pytensor.tensor.type import TensorType

Translation = Callable[..., Any]  # values of an operation's inputs -> of its output, or a list of several
JaxValue: TypeAlias = jax.Array | Any  # also NumPy's arrays and scalars, and a list of several values
StorageMap: TypeAlias = dict[Variable, Storage]

# Every array of a graph has a type; without this JAX would silently narrow float64 to float32 and int64 to int32.
jax.config.update("jax_enable_x64", True)
if jax.config.jax_default_matmul_precision is None:
    # XLA's default multiplies float32 with 10 bits of mantissa on some GPUs; JAX_DEFAULT_MATMUL_PRECISION overrides.
    jax.config.update("jax_default_matmul_precision", "float32")


def devices() -> list[str]:
    """List the devices that JAX finds, the one in use first: ``cpu``, ``NVIDIA H100``."""
    return [str(device.device_kind) for device in jax.devices()]


class OnDevice(TensorSharedVariable):
    """A shared variable whose value stays where the last function left it; :meth:`get_value` copies it to NumPy."""

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        return np.array(super().get_value(borrow=True))


def shared(value: np.ndarray, name: str) -> OnDevice:
    """Make a shared variable of the array's dtype and number of axes."""
    return OnDevice(type=TensorType(value.dtype, shape=(None,) * value.ndim), value=value, strict=False, name=name)


def compile_mode() -> Mode:
    """Return PyTensor's JAX mode with this module's linker."""
    return Mode(_Linker(), JAX.provided_optimizer)


def to_numpy(function: Function) -> Function:
    """Wrap a function so that its results are NumPy arrays, all copied at once."""
    return lambda *values: jax.device_get(function(*values))


class _Linker(JAXLinker):
    """One jitted call per function: its sizes are static, and an updated value takes the memory of the old one."""

    def fgraph_convert(
        self, fgraph: FunctionGraph, input_storage: list[Storage], storage_map: StorageMap, **kwargs: object
    ) -> Translation:
        self._static = [k for k, v in enumerate(fgraph.inputs) if _is_size_input(v)]
        self._updated = sorted(set(fgraph.update_mapping.values()))
        return jax_funcify(fgraph)

    def jit_compile(self, fn: Translation) -> Translation:
        jitted = jax.jit(fn, static_argnums=self._static, donate_argnums=self._updated)
        if not self._static:
            return jitted
        static = set(self._static)
        return lambda *arguments: jitted(*(int(a) if k in static else a for k, a in enumerate(arguments)))


def _is_size_input(variable: Variable) -> bool:
    """Tell whether an input is an integer scalar from the caller; shared ones change at every call."""
    return not isinstance(variable, TensorSharedVariable) and variable.ndim == 0 and _may_be_size(variable.type)


def _may_be_size(kind: TensorType | np.ndarray) -> bool:
    return str(kind.dtype).startswith(("int", "uint", "bool")) and kind.ndim <= 1


# ---------------------------------------------------------------- translations, in place of PyTensor's own


@jax_funcify.register(AbstractFunctionGraph)
def _graph(fgraph: FunctionGraph, **kwargs: object) -> Translation:
    """Translate a whole graph: that of a function, of a step of scan, or of a composite operation."""
    return fgraph_to_python(fgraph, _operation, type_conversion_fn=_constant, fgraph_name="rnnaudio_graph")


def _operation(op: Op, node: Apply, **kwargs: object) -> Translation:
    """Translate one operation: sizes are evaluated at once, and floats get the type that they have in the graph."""
    translated = jax_funcify(op, node=node, **kwargs)
    kinds = [v.type for v in node.outputs]

    def at_once(*inputs: JaxValue) -> JaxValue:
        if _is_traced(inputs):
            return translated(*inputs)
        with jax.ensure_compile_time_eval():
            return jax.device_get(translated(*inputs))

    def typed(*inputs: JaxValue) -> JaxValue:
        result = translated(*inputs)
        if len(kinds) == 1:
            return _cast(result, kinds[0])
        return [_cast(r, kind) for r, kind in zip(result, kinds, strict=True)]

    return at_once if all(map(_may_be_size, kinds)) else typed


def _is_traced(values: JaxValue) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def _cast(value: JaxValue, kind: TensorType) -> JaxValue:
    # PyTensor's translation of a sum, for one, returns the type in which other modes accumulate.
    return jnp.asarray(value, kind.dtype) if kind.dtype.startswith("float") else value


def _constant(value: np.ndarray, **kwargs: object) -> JaxValue:
    """Make arrays JAX's own; sizes and scalars stay NumPy's, which, unlike Python's, have a type."""
    return value if np.ndim(value) == 0 or _may_be_size(value) else jnp.asarray(value)


# PyTensor translates the next three only where their sizes are constants or plain shapes, and drops checks.


@jax_funcify.register(Reshape)
def _reshape(op: Reshape, **kwargs: object) -> Translation:
    return lambda x, shape: jnp.reshape(x, [int(n) for n in shape])


@jax_funcify.register(ARange)
def _arange(op: ARange, **kwargs: object) -> Translation:
    return lambda start, stop, step: jnp.arange(int(start), int(stop), int(step), dtype=op.dtype)


@jax_funcify.register(Split)
def _split(op: Split, **kwargs: object) -> Translation:
    return lambda x, axis, sizes: jnp.split(x, np.cumsum(sizes)[:-1], axis=int(axis))


@jax_funcify.register(CheckAndRaise)
def _check(op: CheckAndRaise, **kwargs: object) -> Translation:
    def check(x: JaxValue, *conditions: JaxValue) -> JaxValue:
        if not all(_is_traced(condition) or condition for condition in conditions):
            raise op.exc_type(op.msg)
        return x

    return check


@jax_funcify.register(Scan)
def _scan(op: Scan, node: Apply, **kwargs: object) -> Translation:
    """Translate as PyTensor does, then pad with zeros where a truncated gradient has fewer steps than its output."""
    translated = jax_funcify_Scan(op, node=node, **kwargs)
    lengths = op.outer_nitsot(range(len(node.inputs)))
    outputs = op.outer_nitsot_outs(range(len(node.outputs)))

    def scan(*inputs: JaxValue) -> JaxValue:
        n_steps = int(inputs[0])
        shortened = [min(int(x), n_steps) if k in lengths else x for k, x in enumerate(inputs)]
        results = translated(*shortened)
        results = results if len(node.outputs) > 1 else [results]
        for k, length in zip(outputs, lengths, strict=True):
            missing = int(inputs[length]) - shortened[length]
            results[k] = jnp.pad(results[k], [(0, missing)] + [(0, 0)] * (results[k].ndim - 1))
        return results if len(node.outputs) > 1 else results[0]

    return scan


def refuse(op_type: type) -> None:
    """Raise RnnaudioError for graphs with operations of this type, which compute on the host."""

    @jax_funcify.register(op_type)
    def _refuse(op: Op, **kwargs: object) -> Translation:
        raise RnnaudioError(
            f"the graph holds {type(op).__name__}, which computes on the host and cannot be part of a JAX function; "
            "build the graph with the kernel 'scan', or set another RNNAUDIO_MODE"
        )


def register_random(op_type: type) -> None:
    """Translate the engine's noise, (key, *shape) -> array: by NumPy on the host, the same bits as in other modes."""
    jax_funcify.register(op_type, _random)


def _random(op: Op, **kwargs: object) -> Translation:
    def random(key: JaxValue, *shape: JaxValue) -> JaxValue:
        sizes = tuple(int(n) for n in shape)

        def on_host(key: JaxValue) -> np.ndarray:
            return noise.sample(op.distribution, [int(k) for k in np.asarray(key)], op.stream, sizes, op.dtype)

        return jax.pure_callback(on_host, jax.ShapeDtypeStruct(sizes, op.dtype), key)

    return random
