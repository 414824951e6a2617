"""The compiled loops over time of DRAW, called by :mod:`rnnaudio.kernels.draw`, which also describes the arrays."""

import math

import numpy as np

from rnnaudio.kernels.activations import sigmoid_row
from rnnaudio.kernels.arrays import Frames, Matrix, Number, Panels, Vector
from rnnaudio.kernels.attention import place, place_back, read, read_back, write, write_back
from rnnaudio.kernels.compile import njit
from rnnaudio.kernels.lstm import gates_back, gates_of
from rnnaudio.kernels.product import BACKWARDS, add_row, address, at, copy_row, multiply, padded


@njit()
def _glimpse(
    numbers: Vector, image: Vector, error: Vector, n: int, height: int, width: int, room: Frames, reading: Vector
) -> None:
    """Set ``reading`` (2 n^2,) to the patches read from image and error through the grid of ``numbers`` (5,)."""
    fy, fx, rows = room[0, :, :height], room[1, :, :width], room[2, :, :width]
    place(numbers, fy, fx)
    gamma = reading.dtype.type(math.exp(numbers[4]))
    read(image, gamma, fy, fx, rows, reading[: n * n])
    read(error, gamma, fy, fx, rows, reading[n * n :])


@njit()
def _glimpse_back(
    numbers: Vector, image: Vector, error: Vector, height: int, width: int, d_reading: Vector, room: Frames,
    d_numbers: Vector, d_image: Vector, d_error: Vector,
) -> None:  # fmt: skip
    n = room.shape[1]
    fy, fx, rows = room[0, :, :height], room[1, :, :width], room[2, :, :width]
    dfy, dfx, d_rows = room[3, :, :height], room[4, :, :width], room[5, :, :width]
    place(numbers, fy, fx)
    dfy[:] = 0
    dfx[:] = 0
    gamma = d_reading.dtype.type(math.exp(numbers[4]))
    d_numbers[4] = read_back(image, gamma, fy, fx, d_reading[: n * n], rows, d_rows, dfy, dfx, d_image)
    d_numbers[4] += read_back(error, gamma, fy, fx, d_reading[n * n : 2 * n * n], rows, d_rows, dfy, dfx, d_error)
    place_back(numbers, fy, fx, dfy, dfx, d_numbers)


@njit()
def _stroke(stroke: Vector, n: int, height: int, width: int, room: Frames, canvas: Vector) -> None:
    """Write a patch to the canvas through a grid; ``stroke`` (n^2 + 5,) holds the patch, then the grid's numbers."""
    fy, fx = room[0, :, :height], room[1, :, :width]
    numbers = stroke[n * n :]
    place(numbers, fy, fx)
    write(stroke[: n * n], stroke.dtype.type(math.exp(numbers[4])), fy, fx, room[2, :, :width], canvas)


@njit()
def _stroke_back(stroke: Vector, height: int, width: int, d_canvas: Vector, room: Frames, d_stroke: Vector) -> None:
    n = room.shape[1]
    fy, fx, rows = room[0, :, :height], room[1, :, :width], room[2, :, :width]
    dfy, dfx, d_rows = room[3, :, :height], room[4, :, :width], room[5, :, :width]
    numbers, d_numbers = stroke[n * n :], d_stroke[n * n :]
    place(numbers, fy, fx)
    gamma = stroke.dtype.type(math.exp(numbers[4]))
    d_numbers[4] = write_back(stroke[: n * n], gamma, fy, fx, d_canvas, rows, d_rows, dfy, dfx, d_stroke[: n * n])
    place_back(numbers, fy, fx, dfy, dfx, d_numbers)


@njit()
def _sample(codes: Vector, noise: Vector, before: Vector, code: Vector, nats: Vector) -> None:
    """Set code = mean + std noise and nats = before + KL(N(mean, std^2) || N(0, 1)), all (m,).

    ``codes`` (2 m,) holds the means, then the logarithms of the standard deviations.
    """
    m = noise.size
    half, one = noise.dtype.type(0.5), noise.dtype.type(1)
    for j in range(m):
        std = math.exp(codes[m + j])
        code[j] = codes[j] + std * noise[j]
        nats[j] = before[j] + half * (codes[j] * codes[j] + std * std - one) - codes[m + j]


@njit()
def _sample_back(codes: Vector, noise: Vector, d_code: Vector, d_nats: Vector, d_codes: Vector) -> None:
    m = noise.size
    one = noise.dtype.type(1)
    for j in range(m):
        std = math.exp(codes[m + j])
        d_codes[j] = d_code[j] + d_nats[j] * codes[j]
        d_codes[m + j] = d_code[j] * noise[j] * std + d_nats[j] * (std * std - one)


@njit()
def _add(z: Vector, bias: Vector, out: Vector) -> None:
    for j in range(out.size):
        out[j] = z[j] + bias[j]


@njit()
def through_steps(
    prepared: Frames, noise: Frames, packed: tuple[Panels, ...], biases: tuple[Vector, ...], start: tuple[Matrix, ...],
    states: tuple[Frames, ...], kept: tuple[Frames, ...], grids: tuple[int, ...], first: int, last: int,
) -> None:  # fmt: skip
    """Compute all steps of the images first to last - 1, and write the results to ``states`` and ``kept``.

    The arguments are those of :func:`rnnaudio.kernels.draw.forward`, with tuples in place of NamedTuples; the weights
    are divided into ``packed``, the packed matrices, and ``biases``.
    """
    p_encoder, p_codes, p_decoder, p_write, p_place = packed
    b_encoder, b_codes, b_decoder, b_write, b_place = biases
    k, ck, h, ch, canvas, nats = states
    reading, gates, codes, joined, decoder_gates, places, strokes = kept
    height, width, n_read, n_write = grids
    n, m, n_pixels, rows, size = h.shape[2], noise.shape[2], canvas.shape[2], last - first, h.itemsize
    n_reading = reading.shape[2] - 2 * n
    like = p_codes[0]
    z = np.empty((rows, padded(max(4 * n, 2 * m, b_write.size), size)), h.dtype)
    room = np.empty((3, max(n_read, n_write), max(height, width)), h.dtype)
    no_peepholes, none = np.zeros((3, 0), h.dtype), np.zeros(n_pixels, h.dtype)
    error = np.empty(n_pixels, h.dtype)
    for t in range(noise.shape[0]):
        t_image, back = (t if prepared.shape[0] > 1 else 0), BACKWARDS * (t % 2)
        k_0, ck_0, h_0, ch_0, canvas_0, nats_0 = start
        if t > 0:
            k_0, ck_0, h_0, ch_0 = k[t - 1], ck[t - 1], h[t - 1], ch[t - 1]
            canvas_0, nats_0 = canvas[t - 1], nats[t - 1]
        if n_read:
            multiply(at(h_0[first:last]), rows, n, address(p_place), 5, at(z), back, like)
            for b in range(first, last):
                _add(z[b - first], b_place, places[t, b])
                sigmoid_row(canvas_0[b], none, error)
                image = prepared[t_image, b]
                for j in range(n_pixels):
                    error[j] = image[j] - error[j]
                _glimpse(
                    places[t, b], image, error, n_read, height, width, room[:, :n_read], reading[t, b, :n_reading]
                )
                for j in range(4 * n):
                    gates[t, b, j] = none[0]
        else:
            for b in range(first, last):
                sigmoid_row(canvas_0[b], none, reading[t, b, :n_reading])
                copy_row(prepared[t_image, b], gates[t, b])
        for b in range(first, last):
            copy_row(h_0[b], reading[t, b, n_reading : n_reading + n])
            copy_row(k_0[b], reading[t, b, n_reading + n :])
        multiply(at(reading[t, first:last]), rows, n_reading + 2 * n, address(p_encoder), 4 * n, at(z), back, like)
        for b in range(first, last):
            gates_of(z[b - first], b_encoder, no_peepholes, ck_0[b], gates[t, b], ck[t, b], k[t, b])
        multiply(at(k[t, first:last]), rows, n, address(p_codes), 2 * m, at(z), back, like)
        for b in range(first, last):
            _add(z[b - first], b_codes, codes[t, b])
            _sample(codes[t, b], noise[t, b], nats_0[b], joined[t, b, :m], nats[t, b])
            copy_row(h_0[b], joined[t, b, m:])
            for j in range(4 * n):
                decoder_gates[t, b, j] = none[0]
        multiply(at(joined[t, first:last]), rows, m + n, address(p_decoder), 4 * n, at(z), back, like)
        for b in range(first, last):
            gates_of(z[b - first], b_decoder, no_peepholes, ch_0[b], decoder_gates[t, b], ch[t, b], h[t, b])
        multiply(at(h[t, first:last]), rows, n, address(p_write), b_write.size, at(z), back, like)
        for b in range(first, last):
            copy_row(canvas_0[b], canvas[t, b])
            if n_write:
                _add(z[b - first], b_write, strokes[t, b])
                _stroke(strokes[t, b], n_write, height, width, room[:, :n_write], canvas[t, b])
            else:
                add_row(b_write, canvas[t, b])
                add_row(z[b - first, :n_pixels], canvas[t, b])


@njit()
def _through_sigmoid(canvas: Vector, sign: Number, d: Vector, out: Vector, room: Vector, none: Vector) -> None:
    """Add sign * d * sigmoid'(canvas) to out. ``room`` is overwritten, ``none`` holds zeros; arrays are (pixels,)."""
    sigmoid_row(canvas, none, room)
    one = canvas.dtype.type(1)
    for j in range(out.size):
        out[j] += sign * d[j] * (room[j] * (one - room[j]))


@njit()
def back_through_steps(
    prepared: Frames, noise: Frames, packed: tuple[Panels, ...], start: tuple[Matrix, ...], states: tuple[Frames, ...],
    kept: tuple[Frames, ...], d_states: tuple[Frames, ...], grids: tuple[int, ...], d_gates: Frames, d_codes: Frames,
    d_decoder_gates: Frames, d_strokes: Frames, d_places: Frames, d_image: Frames, d_start: tuple[Matrix, ...],
    first: int, last: int,
) -> None:  # fmt: skip
    """Compute the loss gradients of the images first to last - 1, from the last step to the first.

    The arguments up to ``grids`` are those of :func:`rnnaudio.kernels.draw.backward`, with tuples in place of
    NamedTuples; ``packed`` are the packed transposes of the weight matrices. d_gates, d_codes, d_decoder_gates,
    d_strokes and d_places are set to the gradients with respect to the pre-activations of the encoder's gates, the
    codes, the pre-activations of the decoder's gates, the strokes and the places. With attention in reading, the
    gradients with respect to the images are added to ``d_image``. ``d_start`` must be zero on entry; on return
    it holds the gradients with respect to the initial states.
    """
    p_encoder, p_codes, p_decoder, p_write, p_place = packed
    _, ck, h, ch, canvas, _ = states
    _, ck_first, _, ch_first, canvas_first, _ = start
    reading, gates, codes, _, decoder_gates, places, strokes = kept
    dk, dck, dh, dch, d_canvas, d_nats = d_start
    height, width, n_read, n_write = grids
    n, m, n_pixels, rows, size = h.shape[2], noise.shape[2], canvas.shape[2], last - first, h.itemsize
    n_reading = reading.shape[2] - 2 * n
    like = p_codes[0]
    z = np.empty((rows, padded(max(n_reading + 2 * n, m + n), size)), h.dtype)
    room = np.empty((6, max(n_read, n_write), max(height, width)), h.dtype)
    no_peepholes, none, row = np.zeros((3, 0), h.dtype), np.zeros(n_pixels, h.dtype), np.empty(n, h.dtype)
    error, d_error = np.empty(n_pixels, h.dtype), np.empty(n_pixels, h.dtype)
    one = none[0] + 1
    for t in range(noise.shape[0] - 1, -1, -1):
        t_image, back = (t if prepared.shape[0] > 1 else 0), BACKWARDS * (t % 2)
        ck_0, ch_0 = (ck_first, ch_first) if t == 0 else (ck[t - 1], ch[t - 1])
        canvas_0 = canvas_first if t == 0 else canvas[t - 1]
        for b in range(first, last):
            for d, out in ((d_states[0], dk), (d_states[1], dck), (d_states[2], dh), (d_states[3], dch)):
                if d.size:
                    add_row(d[t, b], out[b])
            if d_states[4].size:
                add_row(d_states[4][t, b], d_canvas[b])
            if d_states[5].size:
                add_row(d_states[5][t, b], d_nats[b])
            if n_write:
                _stroke_back(strokes[t, b], height, width, d_canvas[b], room[:, :n_write], d_strokes[t, b])
            else:
                copy_row(d_canvas[b], d_strokes[t, b])
        multiply(at(d_strokes[t, first:last]), rows, d_strokes.shape[2], address(p_write), n, at(z), back, like)
        for b in range(first, last):
            add_row(z[b - first, :n], dh[b])
            gates_back(decoder_gates[t, b], no_peepholes, ch_0[b], ch[t, b], dh[b], dch[b], d_decoder_gates[t, b], row)
        multiply(at(d_decoder_gates[t, first:last]), rows, 4 * n, address(p_decoder), m + n, at(z), back, like)
        for b in range(first, last):
            _sample_back(codes[t, b], noise[t, b], z[b - first, :m], d_nats[b], d_codes[t, b])
            copy_row(z[b - first, m : m + n], dh[b])
        multiply(at(d_codes[t, first:last]), rows, 2 * m, address(p_codes), n, at(z), back, like)
        for b in range(first, last):
            add_row(z[b - first, :n], dk[b])
            gates_back(gates[t, b], no_peepholes, ck_0[b], ck[t, b], dk[b], dck[b], d_gates[t, b], row)
        multiply(at(d_gates[t, first:last]), rows, 4 * n, address(p_encoder), n_reading + 2 * n, at(z), back, like)
        for b in range(first, last):
            d_reading = z[b - first]
            add_row(d_reading[n_reading : n_reading + n], dh[b])
            copy_row(d_reading[n_reading + n : n_reading + 2 * n], dk[b])
            if not n_read:
                _through_sigmoid(canvas_0[b], one, d_reading[:n_pixels], d_canvas[b], error, none)
                continue
            image = prepared[t_image, b]
            sigmoid_row(canvas_0[b], none, error)
            for j in range(n_pixels):
                error[j] = image[j] - error[j]
                d_error[j] = none[0]
            _glimpse_back(
                places[t, b], image, error, height, width, d_reading, room[:, :n_read], d_places[t, b],
                d_image[t_image, b], d_error,
            )  # fmt: skip
            add_row(d_error, d_image[t_image, b])
            _through_sigmoid(canvas_0[b], -one, d_error, d_canvas[b], error, none)
        if n_read:
            multiply(at(d_places[t, first:last]), rows, 5, address(p_place), n, at(z), back, like)
            for b in range(first, last):
                add_row(z[b - first, :n], dh[b])
