"""Compile mode ``jax``: a whole PyTensor graph becomes one function that JAX compiles, for the CPU or a GPU.

Only this module and :mod:`rnnaudio.engine.environment` import PyTensor, and only this module imports JAX. PyTensor
translates each operation; this module adds what PyTensor's own linker lacks:

* sizes are computed by NumPy while JAX traces a function, so a size may be any expression of the inputs' shapes;
* integer scalar inputs are treated as sizes: the function is traced again for each new value, as for each new shape;
* noise comes from the same NumPy generator as in all other modes, on the host (:func:`register_random`);
* parameters stay on the device between calls (:class:`OnDevice`), and an update reuses the memory of the old value.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rnnaudio.engine.symbolic import Function, Storage
from rnnaudio.errors import RnnaudioError

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

Translation = Callable[..., Any]  # an operation's input values -> its output value, or a list of them
JaxValue: TypeAlias = jax.Array | Any  # also NumPy arrays and scalars, and lists of values
StorageMap: TypeAlias = dict[Variable, Storage]

# The graph fixes the dtype of every array; without this JAX would silently narrow float64 and int64 to 32 bits.
jax.config.update("jax_enable_x64", True)
if jax.config.jax_default_matmul_precision is None:
    # By default XLA multiplies float32 matrices with 10 bits of mantissa (TF32) on some GPUs. The environment variable
    # JAX_DEFAULT_MATMUL_PRECISION overrides this setting.
    jax.config.update("jax_default_matmul_precision", "float32")


def devices() -> list[str]:
    """List the names of the devices that JAX finds, such as ``cpu`` or ``NVIDIA H100``, the one in use first."""
    return [str(device.device_kind) for device in jax.devices()]


class OnDevice(TensorSharedVariable):
    """A shared variable whose value stays on the device between calls; :meth:`get_value` copies it to NumPy."""

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        return np.array(super().get_value(borrow=True))


def shared(value: np.ndarray, name: str) -> OnDevice:
    """Make a shared variable with the dtype and the number of axes of ``value``."""
    return OnDevice(type=TensorType(value.dtype, shape=(None,) * value.ndim), value=value, strict=False, name=name)


def compile_mode() -> Mode:
    """Return PyTensor's JAX mode with this module's linker."""
    return Mode(_Linker(), JAX.provided_optimizer)


def to_numpy(function: Function) -> Function:
    """Wrap ``function`` so that it returns its results as NumPy arrays, all copied from the device at once."""
    return lambda *values: jax.device_get(function(*values))


class _Linker(JAXLinker):
    """A linker that jits a whole function: sizes are static arguments, and updates reuse the memory of old values."""

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
    """Tell whether an input is an integer scalar from the caller, not a shared one, which may change at every call."""
    return not isinstance(variable, TensorSharedVariable) and variable.ndim == 0 and _may_be_size(variable.type)


def _may_be_size(kind: TensorType | np.ndarray) -> bool:
    return str(kind.dtype).startswith(("int", "uint", "bool")) and kind.ndim <= 1


# ---------------------------------------------------------------- translations, in place of PyTensor's own


@jax_funcify.register(AbstractFunctionGraph)
def _graph(fgraph: FunctionGraph, **kwargs: object) -> Translation:
    """Translate a whole graph: that of a function, of scan's step, or of a composite operation."""
    return fgraph_to_python(fgraph, _operation, type_conversion_fn=_constant, fgraph_name="rnnaudio_graph")


def _operation(op: Op, node: Apply, **kwargs: object) -> Translation:
    """Translate one operation: sizes are computed during tracing, and floats are cast to their dtype in the graph."""
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
    # PyTensor's translation of a sum, for example, returns the dtype in which other modes accumulate.
    return jnp.asarray(value, kind.dtype) if kind.dtype.startswith("float") else value


def _constant(value: np.ndarray, **kwargs: object) -> JaxValue:
    """Convert a constant array to JAX; sizes and scalars stay NumPy values, which unlike Python's have a dtype."""
    return value if np.ndim(value) == 0 or _may_be_size(value) else jnp.asarray(value)


# PyTensor's own translations of Reshape, ARange and Split work only if sizes are constants or plain shapes, and its
# translation of CheckAndRaise drops the check.


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
    """Translate scan as PyTensor does, then append zeros to outputs that are longer than a truncated gradient."""
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
    """Refuse operations of type ``op_type``, which run on the host.

    From then on, the compilation of a graph with such an operation raises RnnaudioError.
    """

    @jax_funcify.register(op_type)
    def _refuse(op: Op, **kwargs: object) -> Translation:
        raise RnnaudioError(
            f"the graph holds {type(op).__name__}, which computes on the host and cannot be part of a JAX function; "
            "build the graph with the kernel 'scan', or set another RNNAUDIO_MODE"
        )


def register_random(op_type: type) -> None:
    """Register with PyTensor how to translate ``op_type``, an operation (key, *shape) -> random numbers.

    The numbers are sampled by NumPy on the host, so they are bit-identical to those of the other modes.
    """
    jax_funcify.register(op_type, _random)


def _random(op: Op, **kwargs: object) -> Translation:
    def random(key: JaxValue, *shape: JaxValue) -> JaxValue:
        sizes = tuple(int(n) for n in shape)

        def on_host(key: JaxValue) -> np.ndarray:
            sampled: np.ndarray = op.sampled([int(k) for k in np.asarray(key)], sizes)
            return sampled

        return jax.pure_callback(on_host, jax.ShapeDtypeStruct(sizes, op.dtype), key)

    return random
