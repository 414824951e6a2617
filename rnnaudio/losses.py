"""Losses: symbolic scalars to be minimised. ``mask`` (the leading axes) is 1 where an element counts, 0 elsewhere."""

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Array, Symbolic, tt

LEAST_VARIANCE = 1e-4  # of data of the order of 1


def masked_mean(values: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Mean of the values where the mask is 1; the plain mean without a mask. Both have the same axes."""
    if mask is None:
        return tt.mean(values)
    # A switch, not a product, because 0 x inf of a masked infinite value is NaN. A cast, because float32 divided by a
    # sum of integers is float64.
    return tt.sum(tt.switch(mask, values, tt.zeros_like(values))) / tt.sum(tt.cast(mask, values.dtype))


def mean_squared_error(prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Mean of (prediction - target)^2 over unmasked elements; both (..., n), mask (...)."""
    if mask is None:
        return ops.squared_errors(prediction, target)[0] / tt.cast(prediction.size, prediction.dtype)
    return masked_mean(tt.mean(tt.sqr(prediction - target), axis=-1), mask)


def normalised_mean_squared_error(prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """sum (prediction - target)^2 / sum target^2 over unmasked elements: 1.0 is the score of predicting zero."""
    return mean_squared_error(prediction, target, mask) / masked_mean(tt.mean(tt.sqr(target), axis=-1), mask)


def phase_distance(
    prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None, weight: Symbolic | None = None
) -> Symbolic:
    """sum a sin^2((target - prediction) / 2) / sum a over unmasked elements; angles in radians (..., n), mask (...).

    ``weight``: a, (..., n), amplitudes, so that phases count where there is sound; None: 1 for all. Whole turns cost
    nothing; the gradient, sin(prediction - target) / 2 per element, also vanishes at opposite angles. The metric of
    the same name explains the distance: :func:`rnnaudio.metrics.spectra.phase_distance`.
    """
    # The equal (1 - cos) / 2 would round the distance of near angles to zero in float32.
    distances = tt.sqr(tt.sin((target - prediction) / np.asarray(2.0, prediction.dtype)))
    if weight is None:
        return masked_mean(tt.mean(distances, axis=-1), mask)
    return masked_mean(tt.mean(weight * distances, axis=-1), mask) / masked_mean(tt.mean(weight, axis=-1), mask)


def gaussian_likelihood(prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """-log N(target; m, v) in nats, mean over unmasked values: (log(2 pi v) + (target - m)^2 / v) / 2.

    prediction (..., 2 n): m, then the exponent in v = exp(.) + LEAST_VARIANCE; without that minimum, silence predicted
    exactly would cost minus infinity. target (..., n), mask (...). Bishop (1994).
    """
    nats = ops.gaussian_nats(prediction, target, LEAST_VARIANCE)
    return masked_mean(tt.mean(nats, axis=-1), mask) + np.asarray(np.log(2 * np.pi) / 2, prediction.dtype)


def gaussian_parts(prediction: Array) -> tuple[Array, Array]:
    """Split (..., 2 n) into m and the exponent of v, (..., n) each; NumPy arrays or symbolic variables."""
    n = prediction.shape[prediction.ndim - 1] // 2
    return prediction[..., :n], prediction[..., n:]


def cross_entropy(logits: Symbolic, labels: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """-log softmax(logits)[label] in nats, mean over unmasked elements; logits (..., classes), labels (...) integers.

    Computed from logits, so no probability can underflow to log 0.
    """
    rows, flat = logits.reshape((-1, logits.shape[logits.ndim - 1])), labels.reshape((-1,))
    # The label's logit is picked before the logarithm of the sum: a gradient of one number per row instead of one per
    # class takes a sixth of the time with 256 classes. The largest logit is a constant to the gradient, because adding
    # a constant to a row changes nothing.
    shifted = rows - engine.constant_to_gradient(tt.max(rows, axis=1, keepdims=True))
    picked = shifted[tt.arange(flat.shape[0]), flat] - tt.log(tt.sum(tt.exp(shifted), axis=1))
    return masked_mean(-picked, None if mask is None else mask.reshape((-1,)))


def cross_entropy_2016(logits: Symbolic, labels: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """-log max_k(y_k p_k), p = softmax(logits), as in 2016: nats, mean over unmasked elements; logits (..., classes).

    labels: (...) integers, or y itself, (..., classes). With one y_k = 1 it equals :func:`cross_entropy` until p_k
    underflows: then it is infinite, and its gradient NaN. With soft labels it is another function.
    """
    last = logits.ndim - 1
    y = labels
    if labels.ndim == last:
        y = tt.cast(tt.eq(labels[..., None], tt.arange(logits.shape[last])), logits.dtype)
    p = tt.exp(engine.log_softmax(logits))
    return masked_mean(-tt.log(tt.max(y * p, axis=last)), mask)


def bernoulli_nats(logits: Symbolic, target: Symbolic) -> Symbolic:
    """-log p(target), each value 1 with probability sigmoid(logit): (..., n) -> (...), summed over the last axis.

    Computed as log(1 + e^l) - x l, it is finite for every finite logit. Targets may have any value from 0 to 1.
    """
    return ops.bernoulli_nats(logits, target)


def pixel_nats(logits: Symbolic, log_std: Symbolic | float, target: Symbolic) -> Symbolic:
    """-log N(target; sigmoid(logit), e^log_std): (..., n), (), (..., n) -> (...), summed over the last axis.

    It is negative where the density exceeds one.
    """
    return ops.pixel_nats(logits, log_std, target)


CROSS_ENTROPIES = {"cross_entropy": cross_entropy, "cross_entropy_2016": cross_entropy_2016}
