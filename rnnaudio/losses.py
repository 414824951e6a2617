"""Losses to be minimised: symbolic scalars, unless a shape is given after ``->``.

``mask`` has the shape of the prediction without its last axis: 1 where an element counts, 0 where it does not. Where
the mask is 0, prediction and target may hold any value, even NaN, and the gradient is zero. If no element counts, the
loss is 0. Without a mask all elements count.
"""

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Array, Symbolic, tt

LEAST_VARIANCE = 1e-4  # the smallest predicted variance, for data of order 1


def masked_mean(values: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Compute the mean of ``values`` where ``mask`` is 1; without a mask, the mean of all values.

    mask: array of the shape of ``values``, 1 or 0. The result is a scalar; it is 0 if the mask is all 0.
    """
    if mask is None:
        return tt.mean(values)
    # A switch, not a product, because a masked infinite value would give 0 x inf = NaN. The cast keeps float32, which
    # divided by a sum of integers would become float64.
    return tt.sum(tt.switch(mask, values, tt.zeros_like(values))) / _or_one(tt.sum(tt.cast(mask, values.dtype)))


def _or_one(denominator: Symbolic) -> Symbolic:
    """Replace a denominator of 0, whose numerator is 0 as well, by 1."""
    return tt.switch(tt.eq(denominator, 0), tt.ones_like(denominator), denominator)


def _hidden(mask: Symbolic | None, *arrays: Symbolic) -> list[Symbolic]:
    """Return arrays (..., n) with zeros where ``mask`` (...) is 0; without a mask, the arrays unchanged.

    Without this, :func:`masked_mean` gives a gradient of NaN for a masked NaN or infinity, because the derivative, of
    a square for example, is computed everywhere and then multiplied by 0.
    """
    if mask is None:
        return list(arrays)
    return [tt.switch(mask[..., None], array, tt.zeros_like(array)) for array in arrays]


def mean_squared_error(prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Compute the mean of (prediction - target)^2 over all elements, or over those where ``mask`` is 1.

    prediction, target: (..., n). mask: (...).
    """
    if mask is None:
        return ops.squared_errors(prediction, target)[0] / tt.cast(prediction.size, prediction.dtype)
    prediction, target = _hidden(mask, prediction, target)
    return masked_mean(tt.mean(tt.sqr(prediction - target), axis=-1), mask)


def normalised_mean_squared_error(prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Compute sum (prediction - target)^2 / sum target^2 over all elements, or over those where ``mask`` is 1.

    prediction, target: (..., n). mask: (...). A prediction of zeros has a loss of 1.
    """
    (shown,) = _hidden(mask, target)
    power = masked_mean(tt.mean(tt.sqr(shown), axis=-1), mask)
    if mask is not None:
        power = tt.switch(tt.any(tt.neq(mask, 0)), power, tt.ones_like(power))
    return mean_squared_error(prediction, target, mask) / power


def phase_distance(
    prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None, weight: Symbolic | None = None
) -> Symbolic:
    """Compute sum a sin^2((target - prediction) / 2) / sum a, from 0 to 1, for angles (..., n) in radians.

    The weights a are ``weight`` (..., n), usually amplitudes, so that phases of silent bins do not count; None: 1
    everywhere. The sums are over the elements where ``mask`` (...) is 1; without a mask, over all. Multiples of 2 pi
    do not matter. The gradient of the distance of two angles, sin(prediction - target) / 2, vanishes at equal and at
    opposite angles. For properties of the distance see :func:`rnnaudio.metrics.spectra.phase_distance`.
    """
    prediction, target = _hidden(mask, prediction, target)
    # The equivalent (1 - cos) / 2 would round the distance of nearby angles to zero in float32.
    distances = tt.sqr(tt.sin((target - prediction) / np.asarray(2.0, prediction.dtype)))
    if weight is None:
        return masked_mean(tt.mean(distances, axis=-1), mask)
    (weight,) = _hidden(mask, weight)
    total = masked_mean(tt.mean(weight, axis=-1), mask)
    total = total if mask is None else _or_one(total)
    return masked_mean(tt.mean(weight * distances, axis=-1), mask) / total


def gaussian_likelihood(prediction: Symbolic, target: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Compute the mean of -log N(target; m, v) = (log(2 pi v) + (target - m)^2 / v) / 2, in nats. Bishop (1994).

    prediction (..., 2 n): n means m, then n numbers s that give the variances v = exp(s) + LEAST_VARIANCE; without
    this minimum, the loss of exactly predicted silence would be minus infinity. target: (..., n). The mean is over all
    values, or over those where ``mask`` (...) is 1.
    """
    prediction, target = _hidden(mask, prediction, target)
    nats = ops.gaussian_nats(prediction, target, LEAST_VARIANCE)
    constant = np.asarray(np.log(2 * np.pi) / 2, prediction.dtype)
    if mask is not None:
        constant = constant * tt.cast(tt.any(tt.neq(mask, 0)), prediction.dtype)
    return masked_mean(tt.mean(nats, axis=-1), mask) + constant


def gaussian_parts(prediction: Array) -> tuple[Array, Array]:
    """Split a prediction (..., 2 n), NumPy or symbolic, into means m and exponents s, (..., n) each.

    The variances are exp(s) + LEAST_VARIANCE; see :func:`gaussian_likelihood`.
    """
    n = prediction.shape[prediction.ndim - 1] // 2
    return prediction[..., :n], prediction[..., n:]


def cross_entropy(logits: Symbolic, labels: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Compute -log softmax(logits)[label] in nats, mean over elements; logits (..., classes), labels (...) integers.

    mask (...): 1 where elements count, 0 elsewhere; None: all elements count. The loss is computed from the logits, so
    that no probability underflows to 0, whose logarithm is infinite.
    """
    (logits,) = _hidden(mask, logits)
    if mask is not None:
        labels = tt.switch(mask, labels, tt.zeros_like(labels))
    rows, flat = logits.reshape((-1, logits.shape[logits.ndim - 1])), labels.reshape((-1,))
    # The label's logit is picked before the logarithm of the sum is subtracted: that gradient has one number per row
    # instead of one per class, which takes a sixth of the time with 256 classes. The gradient treats the largest logit
    # as a constant, because adding a constant to a row does not change the loss.
    shifted = rows - engine.constant_to_gradient(tt.max(rows, axis=1, keepdims=True))
    picked = shifted[tt.arange(flat.shape[0]), flat] - tt.log(tt.sum(tt.exp(shifted), axis=1))
    return masked_mean(-picked, None if mask is None else mask.reshape((-1,)))


def cross_entropy_2016(logits: Symbolic, labels: Symbolic, mask: Symbolic | None = None) -> Symbolic:
    """Compute -log max_k(y_k p_k), p = softmax(logits), as in 2016: in nats, mean over elements.

    logits: (..., classes). labels: the one-hot y, (..., classes), or integers (...), which are converted to it. mask
    (...): 1 where elements count, 0 elsewhere; None: all elements count. For one-hot y the loss equals
    :func:`cross_entropy`, unless the label's p_k underflows to 0: then the loss is infinite, and its gradient NaN. For
    other y the two losses differ.
    """
    (logits,) = _hidden(mask, logits)
    last = logits.ndim - 1
    y = labels
    if labels.ndim == last:
        y = tt.cast(tt.eq(labels[..., None], tt.arange(logits.shape[last])), logits.dtype)
    if mask is not None:  # ones, because the logarithm of 0 is infinite
        y = tt.switch(mask[..., None], y, tt.ones_like(y))
    p = tt.exp(engine.log_softmax(logits))
    return masked_mean(-tt.log(tt.max(y * p, axis=last)), mask)


def bernoulli_nats(logits: Symbolic, target: Symbolic) -> Symbolic:
    """Compute -log p(target) in nats, summed over the last axis, (..., n) -> (...), for p(1) = sigmoid(logit).

    Computed as log(1 + e^l) - x l for the logit l and a target x from 0 to 1: finite for every finite logit.
    """
    return ops.bernoulli_nats(logits, target)


def pixel_nats(logits: Symbolic, log_std: Symbolic | float, target: Symbolic) -> Symbolic:
    """Compute -log N(target; sigmoid(logit), e^log_std) in nats, summed over the last axis: (..., n) -> (...).

    e^log_std is the standard deviation; log_std is a scalar, shared by all pixels. The result is negative where the
    density exceeds 1.
    """
    return ops.pixel_nats(logits, log_std, target)


CROSS_ENTROPIES = {"cross_entropy": cross_entropy, "cross_entropy_2016": cross_entropy_2016}
