"""Compile mode ``jax``: a graph of PyTensor as one function that JAX compiles, for the CPU or a GPU.

Beside :mod:`rnnaudio.engine`, the only importer of PyTensor, and the only one of JAX. PyTensor translates each
operation; this module adds what its own linker lacks for us:

* sizes are computed while JAX traces a function, by NumPy, so a size may be any expression of the inputs' shapes;
* integer scalars among the inputs are sizes too: the function is traced anew for each value, as for each new shape;
* noise is drawn by the same NumPy generator as in all other modes, on the host (:func:`register_draws`);
* what is trained stays on the device between calls, and its memory is used again (:class:`OnDevice`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.noise import draw

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise RnnaudioError(
        f"RNNAUDIO_MODE=jax, but JAX cannot be imported ({error}); pip install 'rnnaudio[jax]', "
        "for an NVIDIA GPU also 'jax[cuda13]'"
    ) from error

from pytensor.compile.mode import JAX, Mode
from pytensor.graph.fg import AbstractFunctionGraph
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

# The engine gives every array its type; without this JAX would make float32 of float64 and int32 of int64, unasked.
jax.config.update("jax_enable_x64", True)
if jax.config.jax_default_matmul_precision is None:
    # XLA's own default multiplies float32 with 10 bits of mantissa on some GPUs; JAX_DEFAULT_MATMUL_PRECISION decides.
    jax.config.update("jax_default_matmul_precision", "float32")


def devices() -> list[str]:
    """What JAX computes on, the first being used: ``cpu``, ``NVIDIA H100``."""
    return [str(device.device_kind) for device in jax.devices()]


class OnDevice(TensorSharedVariable):
    """A shared variable whose value stays where the last function left it; :meth:`get_value` copies it to NumPy."""

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        return np.array(super().get_value(borrow=True))


def shared(value: np.ndarray, name: str) -> OnDevice:
    """A shared variable of the array's type and number of axes."""
    return OnDevice(type=TensorType(value.dtype, shape=(None,) * value.ndim), value=value, strict=False, name=name)


def compile_mode() -> Any:
    """PyTensor's JAX mode with this module's linker."""
    return Mode(_Linker(), JAX.provided_optimizer)


def to_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with results as NumPy arrays, all copied at once."""
    return lambda *arguments: jax.device_get(function(*arguments))


class _Linker(JAXLinker):
    """One jitted call per function, its sizes static, the memory of what an update replaces given to its successor."""

    def fgraph_convert(self, fgraph: Any, input_storage: Any, storage_map: Any, **kwargs: Any) -> Callable[..., Any]:
        self._static = [k for k, v in enumerate(fgraph.inputs) if _is_size_input(v)]
        self._updated = sorted(set(fgraph.update_mapping.values()))
        return jax_funcify(fgraph)

    def jit_compile(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        jitted = jax.jit(fn, static_argnums=self._static, donate_argnums=self._updated)
        if not self._static:
            return jitted
        static = set(self._static)
        return lambda *arguments: jitted(*(int(a) if k in static else a for k, a in enumerate(arguments)))


def _is_size_input(variable: Any) -> bool:
    """Whether an input is an integer scalar that the caller gives; shared ones change at every call."""
    return not isinstance(variable, TensorSharedVariable) and variable.ndim == 0 and _may_be_size(variable.type)


def _may_be_size(kind: Any) -> bool:
    return str(kind.dtype).startswith(("int", "uint", "bool")) and kind.ndim <= 1


# ---------------------------------------------------------------- translations, in place of PyTensor's own


@jax_funcify.register(AbstractFunctionGraph)
def _graph(fgraph: Any, **kwargs: Any) -> Callable[..., Any]:
    """A whole graph: that of a function, of a step of scan, or of a composite operation."""
    return fgraph_to_python(fgraph, _operation, type_conversion_fn=_constant, fgraph_name="rnnaudio_graph")


def _operation(op: Any, node: Any, **kwargs: Any) -> Callable[..., Any]:
    """One operation: sizes are evaluated at once, and floats have the type that the graph says."""
    translated = jax_funcify(op, node=node, **kwargs)
    kinds = [v.type for v in node.outputs]

    def at_once(*inputs: Any) -> Any:
        if _is_traced(inputs):
            return translated(*inputs)
        with jax.ensure_compile_time_eval():
            return jax.device_get(translated(*inputs))

    def typed(*inputs: Any) -> Any:
        result = translated(*inputs)
        if len(kinds) == 1:
            return _of_type(result, kinds[0])
        return [_of_type(r, kind) for r, kind in zip(result, kinds, strict=True)]

    return at_once if all(map(_may_be_size, kinds)) else typed


def _is_traced(values: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


def _of_type(value: Any, kind: Any) -> Any:
    # PyTensor's translation of a sum, for one, gives the type that other modes add up in.
    return jnp.asarray(value, kind.dtype) if kind.dtype.startswith("float") else value


def _constant(value: Any, **kwargs: Any) -> Any:
    """Arrays as JAX's own; sizes and scalars stay NumPy's, which, unlike Python's, have a type."""
    return value if np.ndim(value) == 0 or _may_be_size(value) else jnp.asarray(value)


# PyTensor translates the next three only where their sizes are constants or plain shapes, and drops checks.


@jax_funcify.register(Reshape)
def _reshape(op: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda x, shape: jnp.reshape(x, [int(n) for n in shape])


@jax_funcify.register(ARange)
def _arange(op: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda start, stop, step: jnp.arange(int(start), int(stop), int(step), dtype=op.dtype)


@jax_funcify.register(Split)
def _split(op: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda x, axis, sizes: jnp.split(x, np.cumsum(sizes)[:-1], axis=int(axis))


@jax_funcify.register(CheckAndRaise)
def _check(op: Any, **kwargs: Any) -> Callable[..., Any]:
    def check(x: Any, *conditions: Any) -> Any:
        if not all(_is_traced(condition) or condition for condition in conditions):
            raise op.exc_type(op.msg)
        return x

    return check


@jax_funcify.register(Scan)
def _scan(op: Any, node: Any, **kwargs: Any) -> Callable[..., Any]:
    """PyTensor's, and zeros after the last step where fewer are made than kept: a truncated gradient."""
    translated = jax_funcify_Scan(op, node=node, **kwargs)
    lengths = op.outer_nitsot(range(len(node.inputs)))
    outputs = op.outer_nitsot_outs(range(len(node.outputs)))

    def scan(*inputs: Any) -> Any:
        n_steps = int(inputs[0])
        given = [min(int(x), n_steps) if k in lengths else x for k, x in enumerate(inputs)]
        results = translated(*given)
        results = results if len(node.outputs) > 1 else [results]
        for k, length in zip(outputs, lengths, strict=True):
            missing = int(inputs[length]) - given[length]
            results[k] = jnp.pad(results[k], [(0, missing)] + [(0, 0)] * (results[k].ndim - 1))
        return results if len(node.outputs) > 1 else results[0]

    return scan


def refuse(op_type: type) -> None:
    """Operations of this type are an error: they compute on the host."""

    @jax_funcify.register(op_type)
    def _refuse(op: Any, **kwargs: Any) -> Callable[..., Any]:
        raise RnnaudioError(
            f"the graph holds {type(op).__name__}, which computes on the host and cannot be part of a function of "
            "JAX; build the graph with the kernel 'scan', or take another RNNAUDIO_MODE"
        )


def register_draws(op_type: type) -> None:
    """Translate the engine's draws (key, *shape) -> array: by NumPy on the host, the same bits as in other modes."""
    jax_funcify.register(op_type, _draws)


def _draws(op: Any, **kwargs: Any) -> Callable[..., Any]:
    def draws(key: Any, *shape: Any) -> Any:
        sizes = tuple(int(n) for n in shape)

        def on_host(key: Any) -> np.ndarray:
            return draw(op.distribution, [int(k) for k in np.asarray(key)], op.stream, sizes, op.dtype)

        return jax.pure_callback(on_host, jax.ShapeDtypeStruct(sizes, op.dtype), key)

    return draws
