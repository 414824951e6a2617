"""Operations whose names, or whose results in limiting cases, differ between the engines."""

from collections.abc import Callable, Sequence
from typing import Any

from rnnaudio.engine.compiling import constant_to_gradient
from rnnaudio.engine.environment import NAME, raw_scan, tt
from rnnaudio.engine.symbolic import Symbolic


def sigmoid(x: Symbolic) -> Symbolic:
    """Compute 1 / (1 + exp(-x)) for each element."""
    return tt.nnet.sigmoid(x) if NAME == "theano" else tt.sigmoid(x)


def relu(x: Symbolic) -> Symbolic:
    """Compute max(x, 0) for each element, NaN for NaN. The gradient at 0 is 0 with both engines."""
    return tt.switch(x <= 0, tt.zeros_like(x), x)


def softplus(x: Symbolic) -> Symbolic:
    """Compute log(1 + exp(x)) for each element, without overflow. Its derivative is :func:`sigmoid`."""
    return tt.nnet.softplus(x) if NAME == "theano" else tt.softplus(x)


def batched_dot(a: Symbolic, b: Symbolic) -> Symbolic:
    """Compute the matrix products a_k b_k for each k in the batch: (batch, m, n), (batch, n, p) -> (batch, m, p)."""
    return tt.batched_dot(a, b) if NAME == "theano" else tt.matmul(a, b)


def log_softmax(x: Symbolic) -> Symbolic:
    """Compute x - log(sum(exp(x))), the sum over the last axis, without overflow for any finite x."""
    shifted = x - tt.max(x, axis=-1, keepdims=True)
    return shifted - tt.log(tt.sum(tt.exp(shifted), axis=-1, keepdims=True))


def log_sum_exp(x: Symbolic, axis: int) -> Symbolic:
    """Compute log(sum(exp(x))), the sum over ``axis``, which is removed, without overflow for any finite x."""
    largest = constant_to_gradient(tt.max(x, axis=axis, keepdims=True))
    total = tt.log(tt.sum(tt.exp(x - largest), axis=axis))
    return total + tt.sum(largest, axis=axis)  # drops the axis, of length 1


def scan(
    step: Callable[..., list[Symbolic]],
    sequences: Sequence[Symbolic],
    initial: Sequence[Symbolic],
    non_sequences: Sequence[Symbolic],
    truncate_gradient: int = -1,
) -> list[Symbolic]:
    """Loop over time with the engine's scan. The loop passes a state, a list of variables, from step to step.

    step
        function (slices, state, non_sequences) -> new state. Its arguments are passed one by one: the current slice of
        each of ``sequences``, each variable of the state, and the ``non_sequences``. It must not use other variables.
    sequences
        variables (time, ...).
    initial
        the state before the first step.
    non_sequences
        variables that are the same at every step.
    truncate_gradient
        number of steps, counted back from the last step, through which the gradient flows; -1: all steps.

    Returns, for each variable of the state, its values after every step, (time, ...).
    """
    options: dict[str, Any] = {} if NAME == "theano" else {"return_updates": False}
    result = raw_scan(
        step,
        sequences=list(sequences),
        outputs_info=list(initial),
        non_sequences=list(non_sequences),
        truncate_gradient=truncate_gradient,
        strict=True,
        **options,
    )
    outputs = result[0] if NAME == "theano" else result
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
