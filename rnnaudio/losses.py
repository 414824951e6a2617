"""Losses: symbolic scalars to be minimised. ``mask`` (the leading axes) is 1 where an element counts, 0 elsewhere."""

import math
from typing import Any

from rnnaudio import engine, fused
from rnnaudio.engine import tt


def masked_mean(values: Any, mask: Any = None) -> Any:
    """Mean of the values where the mask is 1; the plain mean without a mask. Both have the same axes."""
    if mask is None:
        return tt.mean(values)
    # A switch, not a product: an infinite value that is left out would make NaN of 0 x inf. The cast: float32 divided
    # by a sum of integers would be float64.
    return tt.sum(tt.switch(mask, values, tt.zeros_like(values))) / tt.sum(tt.cast(mask, values.dtype))


def mean_squared_error(prediction: Any, target: Any, mask: Any = None) -> Any:
    """mean over unmasked elements of (prediction - target)^2; both (..., n), mask (...)."""
    if mask is None:
        return fused.squared_errors(prediction, target)[0] / tt.cast(prediction.size, prediction.dtype)
    return masked_mean(tt.mean(tt.sqr(prediction - target), axis=-1), mask)


def normalised_mean_squared_error(prediction: Any, target: Any, mask: Any = None) -> Any:
    """sum (prediction - target)^2 / sum target^2 over unmasked elements: 1.0 is what predicting zero scores."""
    return mean_squared_error(prediction, target, mask) / masked_mean(tt.mean(tt.sqr(target), axis=-1), mask)


def cross_entropy(logits: Any, labels: Any, mask: Any = None) -> Any:
    """-log softmax(logits)[label] in nats, mean over unmasked elements; logits (..., classes), labels (...) integers.

    Computed from logits through log-softmax, so no probability can underflow to log 0.
    """
    n_classes = logits.shape[logits.ndim - 1]
    log_probability = engine.log_softmax(logits).reshape((-1, n_classes))
    flat = labels.reshape((-1,))
    picked = log_probability[tt.arange(flat.shape[0]), flat]
    return masked_mean(-picked, None if mask is None else mask.reshape((-1,)))


def cross_entropy_2016(logits: Any, labels: Any, mask: Any = None) -> Any:
    """-log max_k(y_k p_k), p = softmax(logits), as in 2016: nats, mean over unmasked elements; logits (..., classes).

    labels: (...) integers, or the y_k themselves, (..., classes). With one y_k = 1 it is :func:`cross_entropy` until
    p_k underflows: then it is infinite, and its gradient NaN. With soft labels it is another function.
    """
    last = logits.ndim - 1
    y = labels
    if labels.ndim == last:
        y = tt.cast(tt.eq(labels[..., None], tt.arange(logits.shape[last])), logits.dtype)
    p = tt.exp(engine.log_softmax(logits))
    return masked_mean(-tt.log(tt.max(y * p, axis=last)), mask)


def bernoulli_nats(logits: Any, target: Any) -> Any:
    """-log p(target), each value 1 with probability sigmoid(logit): (..., n) -> (...), summed over the last axis.

    As log(1 + e^l) - x l it is finite for every finite logit. The target may be anything within 0 and 1.
    """
    return fused.bernoulli_nats(logits, target)


def gaussian_nats(mean: Any, log_std: Any, target: Any) -> Any:
    """-log N(target; mean, e^log_std): (..., n) -> (...), summed over the last axis; below zero where it is dense."""
    scaled = (target - mean) * tt.exp(-log_std)
    return tt.sum(0.5 * tt.sqr(scaled) + log_std + 0.5 * math.log(2 * math.pi), axis=-1)


CROSS_ENTROPIES = {"cross_entropy": cross_entropy, "cross_entropy_2016": cross_entropy_2016}
