"""Compile mode ``jax``: JAX compiles a whole PyTensor graph as one function, for the CPU or a GPU.

Only this module and :mod:`rnnaudio.engine.environment` import PyTensor, and only this module imports JAX. PyTensor
translates each operation. This module differs from PyTensor's own linker for JAX in these points:

* sizes are computed by NumPy while JAX traces a function, so a size may be any expression of the inputs' shapes;
* integer scalar inputs are treated as sizes: the function is traced again for each new value, as for each new shape;
* random numbers are sampled on the host by the same NumPy generator as in all other modes (:func:`register_random`);
* parameters stay on the device between calls (:class:`OnDevice`), and an update reuses the memory of the old value.
"""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rnnaudio.engine.symbolic import Function, Storage
from rnnaudio.errors import RnnaudioError

try:
    import jax
    import jax.numpy as jnp
    from jax._src import distributed  # the service in which processes exchange values has no public name
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

HEARTBEAT_SECONDS = 20
LONGEST_WAIT_SECONDS = 7 * 86_400  # for the first process, which may prepare, or write a report, for long

Translation = Callable[..., Any]  # an operation's input values -> its output value, or a list of them
JaxValue: TypeAlias = jax.Array | Any  # also NumPy arrays and scalars, and lists of values
StorageMap: TypeAlias = dict[Variable, Storage]

# The graph fixes the dtype of every array; without this JAX would silently narrow float64 and int64 to 32 bits.
jax.config.update("jax_enable_x64", True)
if jax.config.jax_default_matmul_precision is None:
    # By default XLA multiplies float32 matrices with 10 bits of mantissa (TF32) on some GPUs. The environment variable
    # JAX_DEFAULT_MATMUL_PRECISION overrides this setting.
    jax.config.update("jax_default_matmul_precision", "float32")


def start_processes() -> None:
    """Connect this process with the others that were started by Slurm, Open MPI, or the MPI that mpi4py uses.

    Call it before any computation. :func:`devices` then returns the devices of all processes. If a process dies, the
    others end within HEARTBEAT_SECONDS. RnnaudioError if the processes cannot be found.
    """
    by_mpi = "PMI_SIZE" in os.environ and "SLURM_STEP_NODELIST" not in os.environ
    try:
        jax.distributed.initialize(
            cluster_detection_method="mpi4py" if by_mpi else None,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=LONGEST_WAIT_SECONDS,
        )
    except (ValueError, RuntimeError, ImportError) as error:
        raise RnnaudioError(
            f"the processes of --data-parallel jax cannot find each other ({error}); start them with srun, or with "
            "the mpiexec of the MPI that mpi4py loads (pip install 'rnnaudio[mpi]')"
        ) from error


def processes() -> tuple[int, int]:
    """Return the index of this process, from 0, and the number of all processes."""
    return jax.process_index(), jax.process_count()


def exchanged(number: int, value: bytes) -> list[bytes]:
    """Exchange bytes between all processes: return the values passed by each of them, in the order of the processes.

    ``number`` is the number of the exchange, from 1. Every process must take part in every exchange; the call waits
    for all of them.
    """
    client, (process, n) = distributed.global_state.client, processes()
    client.key_value_set_bytes(f"rnnaudio/{number}/{process}", value)
    longest_ms = 1000 * LONGEST_WAIT_SECONDS
    found = [client.blocking_key_value_get_bytes(f"rnnaudio/{number}/{k}", longest_ms) for k in range(n)]
    if number > 1:  # all have taken part in this exchange, so all have read what was passed in the one before
        client.key_value_delete(f"rnnaudio/{number - 1}/{process}")
    return found


def is_broken_connection(error: BaseException) -> bool:
    """Return True if the error means that another process could not be reached."""
    words = ("Connection reset", "Connection closed", "Connection refused", "Broken pipe", "UNAVAILABLE", "timed out")
    return isinstance(error, jax.errors.JaxRuntimeError) and any(word in str(error) for word in words)


def devices() -> list[str]:
    """Return the names of the devices that JAX finds, such as ``cpu`` or ``NVIDIA H100``, the one in use first."""
    return [str(device.device_kind) for device in jax.devices()]


_mesh: jax.sharding.Mesh | None = None  # the devices that share batches


def share_batches() -> int:
    """Make all functions compiled from now on divide batches among all devices; return the number of devices.

    Every device holds all parameters. Results do not change, except for rounding, because XLA extends sums over a
    batch to all devices. An input is divided if its batch axis is marked
    (:func:`rnnaudio.engine.compiling.mark_batch_axis`) and has a length that is a multiple of the number of devices.
    """
    global _mesh
    _mesh = jax.sharding.Mesh(np.array(jax.devices()), ("batch",))
    return int(_mesh.size)


def share_no_more() -> None:
    """End :func:`share_batches`: functions compiled from now on use one device of this process."""
    global _mesh
    _mesh = None


def _everywhere(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Return the sharding of an array of which every device holds a complete copy."""
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def _divided(value: JaxValue, axis: int | None, mesh: jax.sharding.Mesh) -> JaxValue:
    """Divide ``value`` along ``axis`` and place each part on its device.

    Returns ``value`` itself if ``axis`` is None, or if its length along ``axis`` is not a multiple of the number of
    devices.
    """
    if axis is None or np.shape(value)[axis] % mesh.size:
        return value
    array, axes = np.asarray(value), [None] * axis + ["batch"]
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


class OnDevice(TensorSharedVariable):
    """A shared variable whose value stays on the device between calls; :meth:`get_value` copies it to NumPy."""

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        return np.array(super().get_value(borrow=True))


def shared(value: np.ndarray, name: str) -> OnDevice:
    """Make a shared variable with this value, of the same dtype and number of axes."""
    return OnDevice(type=TensorType(value.dtype, shape=(None,) * value.ndim), value=value, strict=False, name=name)


def compile_mode() -> Mode:
    """Return PyTensor's JAX mode with this module's linker."""
    return Mode(_Linker(), JAX.provided_optimizer)


def to_numpy(function: Function) -> Function:
    """Return ``function`` with results converted to NumPy arrays, all copied from the device at once."""
    return lambda *values: jax.device_get(function(*values))


class _Linker(JAXLinker):
    """A linker that compiles a whole function with ``jax.jit``.

    Sizes are static arguments, and updated values reuse the memory of the old values.
    """

    def fgraph_convert(
        self, fgraph: FunctionGraph, input_storage: list[Storage], storage_map: StorageMap, **kwargs: object
    ) -> Translation:
        self._static = [k for k, v in enumerate(fgraph.inputs) if _is_size_input(v)]
        self._updated = sorted(set(fgraph.update_mapping.values()))
        self._batch_axes = [getattr(v.tag, "batch_axis", None) for v in fgraph.inputs]
        return jax_funcify(fgraph)

    def jit_compile(self, fn: Translation) -> Translation:
        if _mesh is not None:
            return self._jit_on(_mesh, fn)
        jitted = jax.jit(fn, static_argnums=self._static, donate_argnums=self._updated)
        if not self._static:
            return jitted
        static = set(self._static)
        return lambda *arguments: jitted(*(int(a) if k in static else a for k, a in enumerate(arguments)))

    def _jit_on(self, mesh: jax.sharding.Mesh, fn: Translation) -> Translation:
        """Compile for all devices of ``mesh``: batches are divided among them, every device holds all results."""
        jitted = jax.jit(
            fn, static_argnums=self._static, donate_argnums=self._updated, out_shardings=_everywhere(mesh)
        )
        static, axes = set(self._static), self._batch_axes

        def call(*arguments: JaxValue) -> JaxValue:
            divided = [_divided(a, axis, mesh) for a, axis in zip(arguments, axes, strict=True)]
            return jitted(*(int(a) if k in static else a for k, a in enumerate(divided)))

        return call


def _is_size_input(variable: Variable) -> bool:
    """Return True for an integer scalar input that is an argument of the function, not a shared variable."""
    return not isinstance(variable, TensorSharedVariable) and variable.ndim == 0 and _may_be_size(variable.type)


def _may_be_size(kind: TensorType | np.ndarray) -> bool:
    return str(kind.dtype).startswith(("int", "uint", "bool")) and kind.ndim <= 1


# ---------------------------------------------------------------- translations, in place of PyTensor's own


@jax_funcify.register(AbstractFunctionGraph)
def _graph(fgraph: FunctionGraph, **kwargs: object) -> Translation:
    """Translate the whole graph of a function, of the step of a scan, or of a composite operation."""
    return fgraph_to_python(fgraph, _operation, type_conversion_fn=_constant, fgraph_name="rnnaudio_graph")


def _operation(op: Op, node: Apply, **kwargs: object) -> Translation:
    """Translate one operation: sizes are computed while tracing, float results are cast to the graph's dtype."""
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
    """Convert a constant array to a JAX array; sizes and scalars remain NumPy values, which have a dtype."""
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
    """Translate scan as PyTensor does, then append zeros to each output that has fewer steps than required.

    This concerns truncated gradients, which have values for the last steps only.
    """
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
    """Make the compilation of any graph with an operation of type ``op_type`` raise RnnaudioError.

    Such operations run on the host and cannot be part of a JAX function.
    """

    @jax_funcify.register(op_type)
    def _refuse(op: Op, **kwargs: object) -> Translation:
        raise RnnaudioError(
            f"the graph holds {type(op).__name__}, which computes on the host and cannot be part of a JAX function; "
            "build the graph with the kernel 'scan', or set another RNNAUDIO_MODE"
        )


def register_random(op_type: type) -> None:
    """Register a translation to JAX of ``op_type``, an operation (key, *shape) -> random numbers.

    JAX calls NumPy on the host to sample the numbers, so they are bit-identical to those of the other modes.
    """
    jax_funcify.register(op_type, _random)


def _random(op: Op, **kwargs: object) -> Translation:
    def random(key: JaxValue, *shape: JaxValue) -> JaxValue:
        sizes = tuple(int(n) for n in shape)

        def on_host(key: JaxValue) -> np.ndarray:
            sampled: np.ndarray = op.sampled([int(k) for k in np.asarray(key)], sizes)
            return sampled

        result = jax.pure_callback(on_host, jax.ShapeDtypeStruct(sizes, op.dtype), key)
        if _mesh is None:
            return result
        # The host fills one device; XLA copies the array to all others before it divides the rows. If this is not
        # stated here, XLA warns of it.
        return jax.lax.with_sharding_constraint(result, _everywhere(_mesh))

    return random
