"""A SampleRNN in plain NumPy, sample by sample from its equations: what rnnaudio.nn.SampleModel is checked against."""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def lstm(x, state, w):
    h, c = state
    i, f, g, o = np.split(x @ w["w_input"] + h @ w["w_hidden"] + w["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, state, w):
    (h,) = state
    n = len(h)
    from_x, r = x @ w["w_input"] + w["bias"], w["w_hidden"]
    reset, update = np.split(sigmoid(from_x[: 2 * n] + h @ r[:, : 2 * n]), 2)
    candidate = np.tanh(from_x[2 * n :] + (h * reset) @ r[:, 2 * n :])
    return ((1.0 - update) * h + update * candidate,)


def below(values, prefix):
    """The parameters whose path begins so, without it."""
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}


def said_of_each(values, levels, n_context, *, frames, window, n_levels, deviation, cell):
    """The input of the read-out for each sample from n_context on, (n, P), of one sequence of levels.

    values: the model's, by full path; frames: samples of a frame of each tier, the longest first. At the beginning of
    a frame the recurrences step; then every sample is computed by itself.
    """
    v = 2.0 * np.asarray(levels, float) / (n_levels - 1) - 1.0
    u = v / deviation
    step = {"lstm": lstm, "gru": gru}[cell]
    weights = [below(values, f"tier_{k}.") for k in range(1, len(frames) + 1)]
    states = [
        [w[f"{cell}.initial_{leaf}"] for leaf in (("hidden", "cell") if cell == "lstm" else ("hidden",))]
        for w in weights
    ]
    told = [None] * len(frames)  # what each tier says of the parts of its present frame
    bottom, all_said = below(values, "samples."), []
    for t in range(n_context, len(levels)):
        now = t - n_context
        for k, (size, w) in enumerate(zip(frames, weights, strict=True)):
            if now % size:
                continue
            z = u[t - size : t] @ w["input.weight"] + w["input.bias"]
            if k:
                z = z + told[k - 1][now % frames[k - 1] // size]
            states[k] = step(z, states[k], below(w, f"{cell}.{cell}."))
            parts = size // (frames[k + 1] if k + 1 < len(frames) else 1)
            told[k] = np.split(states[k][0] @ w["output.weight"] + w["output.bias"], parts)
        c = told[-1][now % frames[-1]]
        a = np.maximum(u[t - window : t][::-1] @ bottom["w_input"] + c, 0.0)
        a = np.maximum(a @ bottom["hidden.weight"] + bottom["hidden.bias"], 0.0)
        all_said.append(a @ bottom["output.weight"] + bottom["output.bias"])
    return np.array(all_said)


def centres(values, levels, n_context, n_levels):
    """The linear path of each sample from n_context on."""
    v, taps = 2.0 * np.asarray(levels, float) / (n_levels - 1) - 1.0, values["taps"]
    n = len(taps) - 1
    return np.array([v[t - n : t][::-1] @ taps[:-1] + taps[-1] for t in range(n_context, len(levels))])


def categorical_bits(said, levels):
    p = np.exp(said - said.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return -np.log2(p[np.arange(len(levels)), levels])


def logistic_bits(said, levels, centre, n_levels, unit, least_scale):
    """least_scale: in the values -1 to 1."""
    logits, m, raw = np.split(said, 3, axis=1)
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    s = unit * np.log1p(np.exp(raw)) + least_scale
    v, d = (2.0 * np.asarray(levels, float) / (n_levels - 1) - 1.0)[:, None], 1.0 / (n_levels - 1)
    place = centre[:, None] + unit * m
    upper, lower = sigmoid((v + d - place) / s), sigmoid((v - d - place) / s)
    upper[np.asarray(levels) == n_levels - 1], lower[np.asarray(levels) == 0] = 1.0, 0.0
    return -np.log2(np.sum(weights * (upper - lower), axis=1))
