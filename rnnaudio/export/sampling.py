"""Sampling from logits within a symbolic graph.

The equations are those of :class:`rnnaudio.generation.sampling.Sampling` without top-k and nucleus, in float64.
"""

from rnnaudio.engine import Symbolic, tt


def sampled(logits: Symbolic, uniform: Symbolic, temperature: Symbolic) -> Symbolic:
    """Sample a code for each row by inverting the cumulative probabilities: logits (n, n_codes) -> codes (n,), int64.

    ``uniform`` (n,) holds random numbers U(0, 1); ``temperature``, a scalar, divides the logits.
    """
    z = tt.cast(logits, "float64")
    sums = tt.cumsum(tt.exp((z - tt.max(z, axis=1, keepdims=True)) / temperature), axis=1)
    codes = tt.sum(tt.cast(sums <= uniform[:, None] * sums[:, -1:], "int64"), axis=1)
    return tt.minimum(codes, logits.shape[1] - 1)


def chosen(numbers: Symbolic, component: Symbolic) -> Symbolic:
    """Pick one of K numbers in each row: (n, K), indices (n,) -> (n,)."""
    is_chosen = tt.eq(tt.arange(numbers.shape[1])[None, :], component[:, None])
    return tt.sum(tt.switch(is_chosen, numbers, tt.zeros_like(numbers)), axis=1)
