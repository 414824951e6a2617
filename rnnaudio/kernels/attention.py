"""Reading and writing one image through a grid of N x N Gaussian filters, forward and backward.

The equations are in :mod:`rnnaudio.nn.attention`. A grid is defined by ``numbers`` (5,): g~_X, g~_Y, log variance, log
d~ and log gamma. Each row of fy (N, height) and fx (N, width) is a filter. Images (height * width,) and patches (N N,)
are in row-major order. ``room`` and ``d_room``, with the shape of fx, are scratch arrays that are overwritten.
"""

import math

from rnnaudio.kernels.arrays import Matrix, Number, Vector
from rnnaudio.kernels.compile import njit


@njit()
def _filters(centre: Number, stride: Number, variance: Number, f: Matrix) -> None:
    """Set f to the filters (N, n_pixels) along one side of an image: exp(-(a - m_i)^2 / (2 variance)) / Z_i.

    The pixels a are numbered from 1. The largest exponent of each row is subtracted first.
    """
    n, size = f.shape
    like = f.dtype.type(0)
    for i in range(n):
        mean = centre + (i + 0.5 - 0.5 * n) * stride
        nearest = min(max(math.floor(mean + 0.5), 1.0), float(size))
        largest = (nearest - mean) * (nearest - mean)
        total = like
        for a in range(size):
            distance = a + 1.0 - mean
            f[i, a] = math.exp((largest - distance * distance) / (2.0 * variance))
            total += f[i, a]
        for a in range(size):
            f[i, a] /= total


@njit()
def _filters_back(
    centre: Number, stride: Number, variance: Number, f: Matrix, df: Matrix
) -> tuple[Number, Number, Number]:
    """Backward pass of :func:`_filters`: loss gradients with respect to centre, log stride and log variance.

    df is the loss gradient with respect to the filters f.
    """
    n, size = f.shape
    d_centre, d_stride, d_variance = 0.0, 0.0, 0.0
    for i in range(n):
        offset = i + 0.5 - 0.5 * n
        mean = centre + offset * stride
        common = 0.0
        for a in range(size):
            common += f[i, a] * df[i, a]
        d_mean = 0.0
        for a in range(size):
            d_exponent = f[i, a] * (df[i, a] - common)
            distance = a + 1.0 - mean
            d_mean += d_exponent * distance
            d_variance += d_exponent * distance * distance
        d_centre += d_mean
        d_stride += d_mean * offset
    return d_centre / variance, d_stride / variance * stride, d_variance / (2.0 * variance)


@njit()
def _laid(numbers: Vector, axis: int, n_pixels: int, longest: int, n: int) -> tuple[Number, Number, Number]:
    """Return centre and stride, in pixels, and variance, in pixels^2, of the filters along one side of the image.

    ``axis`` is 0 for the width and 1 for the height, ``n_pixels`` the length of this side, ``longest`` that of the
    longer side.
    """
    side, longer = max(n_pixels - 1.0, 1.0), max(longest - 1.0, 1.0)
    deviation = math.exp(0.5 * numbers[2]) * side / longer
    stride = side / max(n - 1, 1) * math.exp(numbers[3])
    return 0.5 * (n_pixels + 1) * (numbers[axis] + 1), stride, deviation * deviation


@njit()
def place(numbers: Vector, fy: Matrix, fx: Matrix) -> None:
    """Set fy (N, height) and fx (N, width) to the filters of the grid defined by ``numbers`` (5,)."""
    n, height, width = fy.shape[0], fy.shape[1], fx.shape[1]
    longest = max(height, width)
    _filters(*_laid(numbers, 0, width, longest, n), fx)
    _filters(*_laid(numbers, 1, height, longest, n), fy)


@njit()
def place_back(numbers: Vector, fy: Matrix, fx: Matrix, dfy: Matrix, dfx: Matrix, d_numbers: Vector) -> None:
    """Backward pass of :func:`place`: set d_numbers (5,), the loss gradient with respect to ``numbers`` (5,).

    dfy and dfx are the loss gradients with respect to the filters fy and fx. d_numbers[4] is not set, because the
    fifth number, log gamma, does not affect the filters.
    """
    n, height, width = fy.shape[0], fy.shape[1], fx.shape[1]
    longest = max(height, width)
    x, x_stride, x_variance = _filters_back(*_laid(numbers, 0, width, longest, n), fx, dfx)
    y, y_stride, y_variance = _filters_back(*_laid(numbers, 1, height, longest, n), fy, dfy)
    d_numbers[0], d_numbers[1] = 0.5 * (width + 1) * x, 0.5 * (height + 1) * y
    d_numbers[2], d_numbers[3] = x_variance + y_variance, x_stride + y_stride


@njit()
def _rows_of(image: Vector, fy: Matrix, width: int, out: Matrix) -> None:
    """Set out (N, width) to the matrix product fy image."""
    for i in range(fy.shape[0]):
        row = out[i]
        row[:] = 0
        for h in range(fy.shape[1]):
            weight, line = fy[i, h], image[h * width : (h + 1) * width]
            for w in range(width):
                row[w] += weight * line[w]


@njit()
def _dot(a: Vector, b: Vector) -> Number:
    total = a.dtype.type(0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@njit()
def read(image: Vector, gamma: Number, fy: Matrix, fx: Matrix, room: Matrix, reading: Vector) -> None:
    """Set reading (N N,) to gamma fy image fx^T, the patch read from image (height * width,).

    fy (N, height) and fx (N, width) are the filters. ``room``, with the shape of fx, is overwritten.
    """
    n, width = fx.shape
    _rows_of(image, fy, width, room)
    for i in range(n):
        for j in range(n):
            reading[i * n + j] = gamma * _dot(room[i], fx[j])


@njit()
def read_back(
    image: Vector, gamma: Number, fy: Matrix, fx: Matrix, d_reading: Vector, room: Matrix, d_room: Matrix, dfy: Matrix,
    dfx: Matrix, d_image: Vector,
) -> Number:  # fmt: skip
    """Backward pass of :func:`read`: return the loss gradient with respect to log gamma.

    The gradients with respect to fy, fx and image are added to dfy, dfx and d_image. ``d_reading`` (N N,) is the
    gradient with respect to the reading. ``room`` and ``d_room``, with the shape of fx, are overwritten.
    """
    n, width = fx.shape
    _rows_of(image, fy, width, room)
    d_log_gamma = 0.0
    for i in range(n):
        d_row = d_room[i]
        d_row[:] = 0
        for j in range(n):
            d = gamma * d_reading[i * n + j]
            d_log_gamma += d * _dot(room[i], fx[j])
            for w in range(width):
                d_row[w] += d * fx[j, w]
            for w in range(width):
                dfx[j, w] += d * room[i, w]
        for h in range(fy.shape[1]):
            line, d_line = image[h * width : (h + 1) * width], d_image[h * width : (h + 1) * width]
            dfy[i, h] += _dot(d_row, line)
            weight = fy[i, h]
            for w in range(width):
                d_line[w] += weight * d_row[w]
    return d_log_gamma


@njit()
def _columns_of(patch: Vector, fx: Matrix, out: Matrix) -> None:
    """Set out (N, width) to the matrix product patch fx."""
    n, width = fx.shape
    for i in range(n):
        row = out[i]
        row[:] = 0
        for j in range(n):
            weight = patch[i * n + j]
            for w in range(width):
                row[w] += weight * fx[j, w]


@njit()
def write(patch: Vector, gamma: Number, fy: Matrix, fx: Matrix, room: Matrix, canvas: Vector) -> None:
    """Add fy^T patch fx / gamma, the image written from patch (N N,), to canvas (height * width,).

    fy (N, height) and fx (N, width) are the filters. ``room``, with the shape of fx, is overwritten.
    """
    n, width = fx.shape
    _columns_of(patch, fx, room)
    for i in range(n):
        row = room[i]
        for h in range(fy.shape[1]):
            weight, line = fy[i, h] / gamma, canvas[h * width : (h + 1) * width]
            for w in range(width):
                line[w] += weight * row[w]


@njit()
def write_back(
    patch: Vector, gamma: Number, fy: Matrix, fx: Matrix, d_canvas: Vector, room: Matrix, d_room: Matrix, dfy: Matrix,
    dfx: Matrix, d_patch: Vector,
) -> Number:  # fmt: skip
    """Backward pass of :func:`write`: return the loss gradient with respect to log gamma.

    dfy, dfx and d_patch are set to the gradients with respect to fy, fx and patch. ``d_canvas`` (height * width,) is
    the gradient with respect to the canvas. ``room`` and ``d_room``, with the shape of fx, are overwritten.
    """
    n, width = fx.shape
    _columns_of(patch, fx, room)
    dfx[:] = 0
    d_log_gamma = 0.0
    for i in range(n):
        row, d_row = room[i], d_room[i]
        d_row[:] = 0
        for h in range(fy.shape[1]):
            weight, d_line = fy[i, h] / gamma, d_canvas[h * width : (h + 1) * width]
            dfy[i, h] = _dot(d_line, row) / gamma
            for w in range(width):
                d_row[w] += weight * d_line[w]
        d_log_gamma -= _dot(row, d_row)
        for j in range(n):
            d_patch[i * n + j] = _dot(d_row, fx[j])
            weight = patch[i * n + j]
            for w in range(width):
                dfx[j, w] += weight * d_row[w]
    return d_log_gamma
