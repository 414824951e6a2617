"""Operations whose names, or results in limiting cases, differ between the engines."""

from collections.abc import Callable, Sequence
from typing import Any

from rnnaudio.engine.compiling import constant_to_gradient
from rnnaudio.engine.environment import NAME, raw_scan, tt
from rnnaudio.engine.symbolic import Symbolic


def sigmoid(x: Symbolic) -> Symbolic:
    """1 / (1 + exp(-x))."""
    return tt.nnet.sigmoid(x) if NAME == "theano" else tt.sigmoid(x)


def relu(x: Symbolic) -> Symbolic:
    """max(x, 0), NaN where x is NaN; the gradient at exactly 0 is 0 on both engines."""
    return tt.switch(x <= 0, tt.zeros_like(x), x)


def softplus(x: Symbolic) -> Symbolic:
    """log(1 + exp(x)) without overflow; its derivative is :func:`sigmoid`."""
    return tt.nnet.softplus(x) if NAME == "theano" else tt.softplus(x)


def batched_dot(a: Symbolic, b: Symbolic) -> Symbolic:
    """Compute the matrix product a_k b_k for each k of the batch: (batch, m, n), (batch, n, p) -> (batch, m, p)."""
    return tt.batched_dot(a, b) if NAME == "theano" else tt.matmul(a, b)


def log_softmax(x: Symbolic) -> Symbolic:
    """x - log sum exp x over the last axis, without overflow for any finite x."""
    shifted = x - tt.max(x, axis=-1, keepdims=True)
    return shifted - tt.log(tt.sum(tt.exp(shifted), axis=-1, keepdims=True))


def log_sum_exp(x: Symbolic, axis: int) -> Symbolic:
    """log sum exp x over one axis, which is dropped, without overflow for any finite x."""
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
    """Loop over time with the engine's scan, which carries values, initially ``initial``, from step to step.

    ``step`` takes the current slice of each of ``sequences`` (time, ...), the carried values, and the
    ``non_sequences``, which are the same at every step, and returns the new carried values. It may use no other
    variables (strict=True). The gradient runs back through the last ``truncate_gradient`` steps; -1: through all.

    Returns, for each carried value, its values after every step, (time, ...).
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
