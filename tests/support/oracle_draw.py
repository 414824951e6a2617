"""DRAW in plain NumPy loops, from the equations of Gregor et al. (2015); nothing is shared with the package.

Images are (height, width), one at a time; numbers are float64. ``p`` holds the model's parameters by their paths.
"""

from typing import Any, NamedTuple

import numpy as np


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def filter_bank(centre: float, stride: float, variance: float, n: int, size: int) -> np.ndarray:
    """Equations 19, 20, 25 and 26, filter by filter and pixel by pixel, both counted from 1."""
    bank = np.empty((n, size))
    for i in range(1, n + 1):
        mean = centre + (i - n / 2 - 0.5) * stride
        for a in range(1, size + 1):
            bank[i - 1, a - 1] = np.exp(-((a - mean) ** 2) / (2 * variance))
        bank[i - 1] /= bank[i - 1].sum()
    return bank


def banks(numbers: np.ndarray, n: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray, float]:
    """F_Y, F_X and gamma of five numbers: equations 21 to 24, and of oblong images the shorter side seen as if it were
    stretched to the longer one."""
    g_x, g_y, log_variance, log_stride, log_gamma = (float(x) for x in numbers)
    stride = (max(height, width) - 1) / max(n - 1, 1) * np.exp(log_stride)
    stretch_x, stretch_y = ((max(height, width) - 1) / (size - 1) for size in (width, height))
    f_x = filter_bank((width + 1) / 2 * (g_x + 1), stride / stretch_x, np.exp(log_variance) / stretch_x**2, n, width)
    f_y = filter_bank((height + 1) / 2 * (g_y + 1), stride / stretch_y, np.exp(log_variance) / stretch_y**2, n, height)
    return f_y, f_x, float(np.exp(log_gamma))


def read(image: np.ndarray, numbers: np.ndarray, n: int) -> np.ndarray:
    """gamma F_Y x F_X^T."""
    f_y, f_x, gamma = banks(numbers, n, *image.shape)
    return gamma * f_y @ image @ f_x.T


def write(patch: np.ndarray, numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """F_Y^T w F_X / gamma."""
    f_y, f_x, gamma = banks(numbers, len(patch), *size)
    return f_y.T @ patch @ f_x / gamma


def lstm(x: np.ndarray, h: np.ndarray, c: np.ndarray, p: dict[str, np.ndarray], path: str) -> list[np.ndarray]:
    """Hidden and cell state after a step."""
    z = x @ p[f"{path}.w_input"] + h @ p[f"{path}.w_hidden"] + p[f"{path}.bias"]
    i, f, g, o = np.split(z, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


class Result(NamedTuple):
    canvases: np.ndarray  # (steps, height width)
    kl: np.ndarray  # (steps, codes)
    bound: float


def paint(image: np.ndarray, noise: np.ndarray, p: dict[str, np.ndarray], n_read: int, n_write: int) -> Result:
    """The canvas after each step, the KL of each step's codes, and the negative bound with Bernoulli pixels."""
    x = image.reshape(-1)
    enc = [p["encoder.initial_hidden"], p["encoder.initial_cell"]]
    dec = [p["painter.decoder.initial_hidden"], p["painter.decoder.initial_cell"]]
    canvas, canvases, divergences = p["painter.canvas"], [], []
    m = noise.shape[1]
    for e in noise:
        error = x - sigmoid(canvas)
        if n_read:
            numbers = dec[0] @ p["reader.place.weight"] + p["reader.place.bias"]
            seen = [read(part.reshape(image.shape), numbers, n_read).reshape(-1) for part in (x, error)]
            # The kernel of the encoder's LSTM holds the rows of h^dec; those of what is read are the reader's.
            z = np.concatenate(seen) @ p["reader.weight"]
        else:
            z = x @ p["reader.w_image"] + error @ p["reader.w_error"]
        with_seen = p | {"encoder.lstm.bias": p["encoder.lstm.bias"] + z}
        enc = lstm(dec[0], *enc, with_seen, "encoder.lstm")
        codes = enc[0] @ p["codes.weight"] + p["codes.bias"]
        mean, std = codes[:m], np.exp(codes[m:])
        # KL(N(m, s) || N(0, 1)) = log(1 / s) + (s^2 + m^2) / 2 - 1 / 2
        divergences.append(np.log(1 / std) + (std**2 + mean**2) / 2 - 0.5)
        dec = lstm(mean + std * e, *dec, p, "painter.decoder.lstm")
        if n_write:
            stroke = dec[0] @ p["painter.write.dense.weight"] + p["painter.write.dense.bias"]
            patch = stroke[: n_write**2].reshape(n_write, n_write)
            canvas = canvas + write(patch, stroke[n_write**2 :], image.shape).reshape(-1)
        else:
            canvas = canvas + dec[0] @ p["painter.write.weight"] + p["painter.write.bias"]
        canvases.append(canvas)
    q = sigmoid(canvas)
    likelihood = np.sum(x * np.log(q) + (1 - x) * np.log(1 - q))
    return Result(np.array(canvases), np.array(divergences), float(np.sum(divergences) - likelihood))
