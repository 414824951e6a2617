"""Attention by grids of Gaussian filters that read or write a part of an image. Gregor et al. (2015), section 3.2."""

from typing import NamedTuple, TypeAlias

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Symbolic, tt
from rnnaudio.nn.feedforward import Dense, FeedForward
from rnnaudio.nn.layer import Context

N_NUMBERS = 5  # numbers that a layer outputs for a window: centre (2), variance, stride and intensity

ImageSize: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""


class Window(NamedTuple):
    """Position and scale of a grid of N x N Gaussian filters; each field is (batch,).

    x, y
        centre of the grid in pixels, which are numbered from 1: (A + 1) / 2 is the middle of A columns.
    stride
        distance of neighbouring filters along the longer side of the image, in pixels.
    variance
        variance of each filter along the longer side of the image, in pixels^2. Along the shorter side, stride and
        standard deviation are smaller by the ratio of the sides (:func:`shares`). All images of the paper are square.
    intensity
        the factor gamma by which :func:`read` multiplies and :func:`write` divides.
    """

    x: Symbolic
    y: Symbolic
    stride: Symbolic
    variance: Symbolic
    intensity: Symbolic


class Banks(NamedTuple):
    """The Gaussian filters along both sides of an image, N along each side."""

    rows: Symbolic  # F_Y (batch, N, height)
    columns: Symbolic  # F_X (batch, N, width)


def window(numbers: Symbolic, size: ImageSize, n: int) -> Window:
    """Compute the window of n x n filters on an image of this ``size`` from a layer's outputs ``numbers`` (batch, 5).

    The numbers are g~_X, g~_Y, log variance, log d~ and log gamma. The centre (g_X, g_Y) and the stride d are:

        g_X = (A + 1) / 2 (g~_X + 1)      g_Y = (B + 1) / 2 (g~_Y + 1)      d = (max(A, B) - 1) / (N - 1) d~

    with A the width, B the height and N = n, so that five zeros give a grid over the whole image. If N = 1, the
    divisor N - 1 is replaced by 1.
    """
    height, width = size
    widest = (max(size) - 1) / max(n - 1, 1)
    return Window(
        0.5 * (width + 1) * (numbers[:, 0] + 1),
        0.5 * (height + 1) * (numbers[:, 1] + 1),
        widest * tt.exp(numbers[:, 3]),
        tt.exp(numbers[:, 2]),
        tt.exp(numbers[:, 4]),
    )


def covering(size: ImageSize, n: int) -> tuple[float, float]:
    """Compute (log variance, log gamma) for a grid of n x n filters that covers the whole image without gaps.

    ``size`` is (B, A), height and width in pixels. The standard deviation is half the stride of such a grid, so that
    neighbouring filters overlap. With gamma = n^2 / (A B), an image written from a patch (n x n) has the patch's mean.
    If both logarithms are zero, as in the paper, the standard deviation is one pixel, and the mean of the written
    image is n^2 / (A B) times the mean of the patch.
    """
    stride = max(max(size) - 1, 1) / max(n - 1, 1)  # 1 for an image of one pixel
    return 2.0 * float(np.log(stride / 2)), float(np.log(n * n / (size[0] * size[1])))


def filters(centre: Symbolic, stride: Symbolic, variance: Symbolic, n: int, n_pixels: int) -> Symbolic:
    """Compute Gaussian filters along one side of an image: (batch,) arguments -> (batch, n, n_pixels).

        F[b, i, a] = exp(-(a - m_i)^2 / 2 s^2) / Z_i,   m_i = g + (i - n/2 - 1/2) d,   i = 1..n, a = 1..n_pixels

    with g = ``centre`` and d = ``stride`` in pixels, s^2 = ``variance`` in pixels^2, and Z_i such that each row sums
    to one. The largest exponent of each row is subtracted first, so that a filter far outside the image selects the
    nearest pixel rather than giving 0 / 0.
    """
    dtype = engine.float_type()
    offsets = np.asarray(np.arange(1, n + 1) - n / 2 - 0.5, dtype)
    pixels = np.asarray(np.arange(1, n_pixels + 1), dtype)
    means = centre[:, None] + offsets[None, :] * stride[:, None]
    exponents = -tt.sqr(pixels[None, None, :] - means[:, :, None]) / (2 * variance[:, None, None])
    # The largest exponent is a constant to the gradient: the normalised row does not depend on what is subtracted.
    weights = tt.exp(exponents - engine.constant_to_gradient(tt.max(exponents, axis=2, keepdims=True)))
    return weights / tt.sum(weights, axis=2, keepdims=True)


def shares(size: ImageSize) -> tuple[float, float]:
    """Return the ratios (height - 1) / (longer - 1) and (width - 1) / (longer - 1), ``longer`` the longer side.

    ``size`` is (height, width) in pixels. A side of one pixel counts as two pixels. The strides along the two sides
    are scaled by these ratios. With the same stride along both sides, as in the paper, a grid over the full height of
    a tall, narrow image would have most of its columns outside the image.
    """
    longest = max(max(size) - 1, 1)
    return max(size[0] - 1, 1) / longest, max(size[1] - 1, 1) / longest


def banks(at: Window, size: ImageSize, n: int) -> Banks:
    """Compute the filters of the n x n grid with the window ``at``: F_Y (batch, n, height), F_X (batch, n, width).

    ``size`` is (height, width) of the image in pixels.
    """
    f_y, f_x = (
        filters(centre, share * at.stride, share**2 * at.variance, n, n_pixels)
        for centre, share, n_pixels in zip((at.y, at.x), shares(size), size, strict=True)
    )
    return Banks(f_y, f_x)


def read(image: Symbolic, at: Window, bank: Banks) -> Symbolic:
    """Compute gamma F_Y x F_X^T, the patch read from an image x: (batch, height, width) -> (batch, N N), row by row.

    gamma is the intensity of the window ``at``; ``bank`` holds the filters F_Y and F_X of the same window, as computed
    by :func:`banks`.
    """
    columns = engine.batched_dot(image, bank.columns.dimshuffle(0, 2, 1))
    reading = engine.batched_dot(bank.rows, columns)
    n = reading.shape[1]
    return at.intensity[:, None] * reading.reshape((reading.shape[0], n * n))


def write(patch: Symbolic, at: Window, bank: Banks) -> Symbolic:
    """Compute F_Y^T w F_X / gamma, the image written from a patch w: (batch, N, N) -> (batch, height width).

    The pixels of the image are in row-major order. gamma is the intensity of the window ``at``; ``bank`` holds the
    filters F_Y and F_X of the same window, as computed by :func:`banks`.
    """
    writing = engine.batched_dot(engine.batched_dot(bank.rows.dimshuffle(0, 2, 1), patch), bank.columns)
    flat = writing.reshape((writing.shape[0], writing.shape[1] * writing.shape[2]))
    return flat / at.intensity[:, None]


def in_loop(dense: Dense, x: Symbolic) -> Symbolic:
    """Compute x W + b with the weights of ``dense``, for use inside a scan: (batch, n_in) -> (batch, n_out).

    It uses the engine's matrix product, not a kernel, so that scan can move the gradient of W out of its loop.
    """
    return tt.dot(x, dense.weight) + dense.bias


class AttentiveWrite(FeedForward):
    """A layer that writes an image through a grid of n x n filters: y = F_Y^T w F_X / gamma, see :func:`write`.

    The child layer ``dense``, n_in -> n n + 5, computes the patch w (n x n) in row-major order, then the five numbers
    of :func:`window`; ``rng`` samples its initial weights. ``size`` is (height, width) of the image in pixels. The
    output is y (..., height width), the pixels of the image in row-major order.
    """

    def __init__(self, n_in: int, size: ImageSize, n: int, *, rng: np.random.Generator):
        super().__init__()
        self.n_in, self.n_out = n_in, size[0] * size[1]
        self.size, self.n = size, n
        self.dense = Dense(n_in, n * n + N_NUMBERS, rng=rng)
        self._child("dense", self.dense)

    def cover_image(self) -> None:
        """Set the initial bias so that the grid covers the whole image and the image has the mean of the patch."""
        bias = self.dense.bias.get_value()
        bias[-3], bias[-1] = covering(self.size, self.n)
        self.dense.bias.set_value(bias)

    def window(self, x: Symbolic) -> Window:
        """Compute the window through which the layer writes, given its input x (batch, n_in)."""
        return window(in_loop(self.dense, x)[:, self.n * self.n :], self.size, self.n)

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        leading = [x.shape[axis] for axis in range(x.ndim - 1)]
        numbers = in_loop(self.dense, x.reshape((-1, self.n_in)) if x.ndim > 2 else x)
        at = window(numbers[:, self.n * self.n :], self.size, self.n)
        patch = numbers[:, : self.n * self.n].reshape((numbers.shape[0], self.n, self.n))
        y = write(patch, at, banks(at, self.size, self.n))
        return y.reshape((*leading, self.n_out)) if x.ndim > 2 else y
