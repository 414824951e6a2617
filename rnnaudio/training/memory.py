"""Estimates of the memory (RAM) that a training step needs."""

import math
from typing import NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Layer
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import Counted
from rnnaudio.optimizers import Optimizer
from rnnaudio.training.available import available_bytes

RESERVE = 256 << 20  # bytes for compiling and for the validation batches
N_BATCHES = 2  # one in use, one prefetched
# The state carried in, the initial state, the choice of the two, the final state, and the copy carried out.
STATE_COPIES = 5
# The gradient of a final state is written into an array of zeros that spans all steps of the segment. This is the
# measured number of such arrays; without compilation to C the write is not done in place, and takes several.
FINAL_ARRAYS = {"pytensor": 3, "theano": 8}[engine.NAME] if engine.MODE in ("auto", "python") else 1


class StepMemory(NamedTuple):
    """Upper estimate of the memory that a training step needs, in bytes.

    For T time steps, B sequences, n_in inputs and f bytes per number:

    parameters
        parameters, gradients and optimizer state, plus twice the largest parameter for the kernels' packed copies; for
        training in segments, also the sums of the gradients.
    batches
        2 f (T + 1) B n_in, for one batch in use and one prefetched.
    activations
        f R B times the number of floats per time step and sequence that the layers hold
        (:mod:`rnnaudio.nn.activations`). R is T. For training in segments, R is the length of a segment, plus the
        length of the last segment if it is shorter, because it needs arrays of another size.
    states
        5 f B times the total width of the states, for five copies: the state carried in, the initial state, the choice
        of the two, the final state, and the state carried out. For training in segments, one more copy per segment.

    The estimate agrees with measurements of the fused kernels; it is rough for scan.
    """

    parameters: int
    batches: int
    activations: int
    states: int

    @property
    def total(self) -> int:
        return sum(self)


def step_memory(
    model: Layer, objective: Counted, optimizer: Optimizer, *, n_steps: int, batch_size: int, segment_steps: int = 0
) -> StepMemory:
    """Estimate the memory of a training step on a batch of ``batch_size`` sequences of ``n_steps`` frames.

    ``segment_steps`` is the length of the segments in frames; 0: no segments.
    """
    size = np.dtype(engine.float_type()).itemsize
    segment = min(segment_steps or n_steps, n_steps)
    held = model.activations().beside(objective.activations(model))
    copies = 2 + len(optimizer.slots)  # parameter and gradient
    largest = max((p.get_value(borrow=True).size for p in model.parameters().values()), default=0)
    states = flatten(model.state_sizes)
    if segment_steps:
        copies += 1
        held = held.beside(Activations(widths(*states * FINAL_ARRAYS), widths()))
    steps = segment + n_steps % segment
    n_segments = math.ceil(n_steps / segment) if segment_steps else 0
    return StepMemory(
        parameters=size * (copies * model.n_parameters + 2 * largest),
        batches=N_BATCHES * size * (n_steps + 1) * batch_size * model.n_in,
        activations=size * steps * batch_size * held.floats,
        states=size * batch_size * sum(states) * (STATE_COPIES + n_segments),
    )


def check_memory(
    model: Layer,
    objective: Counted,
    optimizer: Optimizer,
    *,
    n_steps: int,
    batch_size: int,
    segment_steps: int | None = 0,
) -> StepMemory:
    """Return the result of :func:`step_memory` for these arguments, if so much memory is available.

    ``segment_steps`` is None if the training cannot be cut into segments. RnnaudioError, with advice, if less than the
    estimate plus 256 MiB for other needs is available. There is no check if the available memory is unknown.
    """

    def memory(segment: int) -> StepMemory:
        sizes = {"n_steps": n_steps, "batch_size": batch_size, "segment_steps": segment}
        return step_memory(model, objective, optimizer, **sizes)

    needed, available = memory(segment_steps or 0), available_bytes()
    if available is None or needed.total + RESERVE <= available:
        return needed
    advice = ""
    if segment_steps is not None:
        segment = math.isqrt(n_steps - 1) + 1
        less = memory(segment)
        in_segments = f"--segment-steps {segment} needs about {in_bytes(less.total)}"
        fits = less.total + RESERVE <= available
        advice = f", or train in segments: {in_segments}" if fits else f"; segments alone do not do ({in_segments})"
    raise RnnaudioError(
        f"a training step needs about {in_bytes(needed.total)} of memory and {in_bytes(RESERVE)} for the rest, but "
        f"{in_bytes(available)} are available: lower --batch-size ({batch_size}) or --n-steps ({n_steps})"
        f"{advice}"
    )


def in_bytes(n_bytes: float) -> str:
    """Format a number of bytes in MB (10^6 bytes), such as ``340 MB``, or from 10^9 bytes in GB, ``1.2 GB``."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
