"""Independent answers for the tests: the equations in plain NumPy, float64, with loops over time that can be seen.

Nothing here is fast, and nothing here imports rnnaudio or an automatic differentiator. Axes are (time, batch,
feature). Gradients are dictionaries with the names of what they are gradients of. Where an equation has a source it
is named; test_oracles.py checks the gradients against differences of the forward equations, and the forward
equations against PyTorch.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), in the form that cannot overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * a))


# --- LSTM ---------------------------------------------------------------------------------------------------------


class LstmStep(NamedTuple):
    """Gates, candidate and new state of one step, each (batch, n)."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def lstm_step(x: Array, h: Array, c: Array, p: Arrays) -> LstmStep:
    """One step of the LSTM with optional peepholes (Gers, Schraudolph and Schmidhuber 2002).

    i = sigmoid(x Wi + h Ri + pi*c  + bi)      c' = f*c + i*g
    f = sigmoid(x Wf + h Rf + pf*c  + bf)      h' = o*tanh(c')
    g = tanh   (x Wg + h Rg         + bg)
    o = sigmoid(x Wo + h Ro + po*c' + bo)

    x (batch, n_in), h and c (batch, n); p holds w_input (n_in, 4n), w_hidden (n, 4n), bias (4n,), columns in the order
    i, f, g, o, and if wanted peephole_input, peephole_forget and peephole_output (n,).
    """
    ai, af, ag, ao = np.split(x @ p["w_input"] + h @ p["w_hidden"] + p["bias"], 4, axis=1)
    i = sigmoid(ai + p.get("peephole_input", 0.0) * c)
    f = sigmoid(af + p.get("peephole_forget", 0.0) * c)
    g = np.tanh(ag)
    c_new = f * c + i * g
    o = sigmoid(ao + p.get("peephole_output", 0.0) * c_new)
    return LstmStep(i, f, g, o, c_new, o * np.tanh(c_new))


def lstm_forward(x: Array, h0: Array, c0: Array, p: Arrays, mask: Array | None = None) -> tuple[Array, Array]:
    """Hidden outputs and cells of all steps, each (T, B, n), of x (T, B, n_in) from h0, c0 (B, n).

    mask (T, B): where it is 0 the step leaves h and c as they were; the output there is the carried h.
    """
    mask = _ones_unless(mask, x)
    h, c = h0, c0
    hidden, cell = [], []
    for t in range(len(x)):
        m = mask[t][:, None]
        new = lstm_step(x[t], h, c, p)
        h = m * new.h + (1 - m) * h
        c = m * new.c + (1 - m) * c
        hidden.append(h)
        cell.append(c)
    return np.stack(hidden), np.stack(cell)


def lstm_step_backward(x: Array, h: Array, c: Array, p: Arrays, dh_new: Array, dc_new: Array) -> Arrays:
    """Gradients of sum(dh_new * h') + sum(dc_new * c') for one step: x, h, c and every parameter."""
    i, f, g, o, c_new, _ = lstm_step(x, h, c, p)
    tanh_c = np.tanh(c_new)
    ao = dh_new * tanh_c * o * (1 - o)
    dc_new = dc_new + dh_new * o * (1 - tanh_c**2) + ao * p.get("peephole_output", 0.0)
    ai = dc_new * g * i * (1 - i)
    af = dc_new * c * f * (1 - f)
    ag = dc_new * i * (1 - g**2)
    a = np.concatenate([ai, af, ag, ao], axis=1)
    gradients = {
        "x": a @ p["w_input"].T,
        "h": a @ p["w_hidden"].T,
        "c": dc_new * f + ai * p.get("peephole_input", 0.0) + af * p.get("peephole_forget", 0.0),
        "w_input": x.T @ a,
        "w_hidden": h.T @ a,
        "bias": a.sum(axis=0),
        "peephole_input": (ai * c).sum(axis=0),
        "peephole_forget": (af * c).sum(axis=0),
        "peephole_output": (ao * c_new).sum(axis=0),
    }
    return {name: value for name, value in gradients.items() if name in p or name in ("x", "h", "c")}


def lstm_backward(
    x: Array,
    h0: Array,
    c0: Array,
    p: Arrays,
    d_hidden: Array,
    d_final_cell: Array | None = None,
    mask: Array | None = None,
    truncate: int | None = None,
) -> Arrays:
    """Back-propagation through time of the cost sum(d_hidden * hidden) + sum(d_final_cell * cell[-1]).

    Returns the gradients "x" (T, B, n_in), "h0", "c0" (B, n) and those of every parameter in p.
    truncate=n visits the last n steps only: x before them, and h0 and c0, then have gradient zero, and what the cost
    depends on in the hidden outputs before them is left out.
    """
    mask = _ones_unless(mask, x)
    hidden, cell = lstm_forward(x, h0, c0, p, mask)
    gradients = {"x": np.zeros_like(x), **{name: np.zeros_like(value) for name, value in p.items()}}
    dh = np.zeros_like(h0)
    dc = np.zeros_like(c0) if d_final_cell is None else d_final_cell
    first = _first_step(len(x), truncate)
    for t in reversed(range(first, len(x))):
        m = mask[t][:, None]
        h, c = (hidden[t - 1], cell[t - 1]) if t > 0 else (h0, c0)
        dh = dh + d_hidden[t]
        step = lstm_step_backward(x[t], h, c, p, m * dh, m * dc)
        dh = step["h"] + (1 - m) * dh
        dc = step["c"] + (1 - m) * dc
        gradients["x"][t] = step["x"]
        for name in p:
            gradients[name] += step[name]
    reached = first == 0
    return {**gradients, "h0": dh * reached, "c0": dc * reached}


# --- GRU ----------------------------------------------------------------------------------------------------------


class GruStep(NamedTuple):
    """Gates, candidate and new state of one step, each (batch, n)."""

    r: Array
    u: Array
    k: Array
    h: Array


def gru_step(x: Array, h: Array, p: Arrays) -> GruStep:
    """One step of the GRU with the reset before the product (Cho et al. 2014; the 2016 models).

    r = sigmoid(x Wr + h Rr + br)      k  = tanh(x Wk + (h*r) Rk + bk)
    u = sigmoid(x Wu + h Ru + bu)      h' = h*(1-u) + k*u

    x (batch, n_in), h (batch, n); p holds w_input (n_in, 3n), w_hidden (n, 3n), bias (3n,), columns in the order
    r, u, k.
    """
    xr, xu, xk = np.split(x @ p["w_input"] + p["bias"], 3, axis=1)
    w_reset, w_update, w_candidate = np.split(p["w_hidden"], 3, axis=1)
    r = sigmoid(xr + h @ w_reset)
    u = sigmoid(xu + h @ w_update)
    k = np.tanh(xk + (h * r) @ w_candidate)
    return GruStep(r, u, k, h * (1 - u) + k * u)


def gru_forward(x: Array, h0: Array, p: Arrays, mask: Array | None = None) -> Array:
    """Hidden outputs of all steps (T, B, n) of x (T, B, n_in) from h0 (B, n); mask (T, B) as in lstm_forward."""
    mask = _ones_unless(mask, x)
    h = h0
    hidden = []
    for t in range(len(x)):
        m = mask[t][:, None]
        h = m * gru_step(x[t], h, p).h + (1 - m) * h
        hidden.append(h)
    return np.stack(hidden)


def gru_step_backward(x: Array, h: Array, p: Arrays, dh_new: Array) -> Arrays:
    """Gradients of sum(dh_new * h') for one step: x, h and every parameter."""
    r, u, k, _ = gru_step(x, h, p)
    w_reset, w_update, w_candidate = np.split(p["w_hidden"], 3, axis=1)
    ak = dh_new * u * (1 - k**2)
    d_reset_hidden = ak @ w_candidate.T
    ar = d_reset_hidden * h * r * (1 - r)
    au = dh_new * (k - h) * u * (1 - u)
    a = np.concatenate([ar, au, ak], axis=1)
    return {
        "x": a @ p["w_input"].T,
        "h": dh_new * (1 - u) + d_reset_hidden * r + ar @ w_reset.T + au @ w_update.T,
        "w_input": x.T @ a,
        "w_hidden": np.concatenate([h.T @ ar, h.T @ au, (h * r).T @ ak], axis=1),
        "bias": a.sum(axis=0),
    }


def gru_backward(
    x: Array, h0: Array, p: Arrays, d_hidden: Array, mask: Array | None = None, truncate: int | None = None
) -> Arrays:
    """Back-propagation through time of the cost sum(d_hidden * hidden): "x", "h0" and every parameter in p.

    truncate as in lstm_backward.
    """
    mask = _ones_unless(mask, x)
    hidden = gru_forward(x, h0, p, mask)
    gradients = {"x": np.zeros_like(x), **{name: np.zeros_like(value) for name, value in p.items()}}
    dh = np.zeros_like(h0)
    first = _first_step(len(x), truncate)
    for t in reversed(range(first, len(x))):
        m = mask[t][:, None]
        dh = dh + d_hidden[t]
        step = gru_step_backward(x[t], hidden[t - 1] if t > 0 else h0, p, m * dh)
        dh = step["h"] + (1 - m) * dh
        gradients["x"][t] = step["x"]
        for name in p:
            gradients[name] += step[name]
    return {**gradients, "h0": dh * (first == 0)}


# --- The memory-only LSTM of 2016 ---------------------------------------------------------------------------------


class MemoryStep(NamedTuple):
    """Of one depth at one step: z = [M(i-1, d), M(i, d-1)], hidden layers, gates and new memory."""

    z: Array
    h_f: Array
    h_g: Array
    h_c: Array
    f: Array
    g: Array
    c: Array
    memory: Array


def memory_step(before: Array, below: Array, p: Arrays, e_hidden: Array, e_gates: Array) -> MemoryStep:
    """M(i, d) from M(i-1, d) and M(i, d-1), each (batch, n), with the noise of both layers already scaled.

    p holds w_hidden (2n, 6n), bias_hidden (6n,), w_gates (2n, 3n), bias_gates (3n,), columns in the order f, g, c.
    """
    z = np.concatenate([before, below], axis=1)
    a_f, a_g, a_c = np.split(z @ p["w_hidden"] + e_hidden + p["bias_hidden"], 3, axis=1)
    h_f, h_g, h_c = np.maximum(a_f, 0), np.maximum(a_g, 0), np.tanh(a_c)
    v_f, v_g, v_c = np.split(p["w_gates"], 3, axis=1)
    e_f, e_g, e_c = np.split(e_gates + p["bias_gates"], 3, axis=-1)
    f, g, c = sigmoid(h_f @ v_f + e_f), sigmoid(h_g @ v_g + e_g), np.tanh(h_c @ v_c + e_c)
    return MemoryStep(z, h_f, h_g, h_c, f, g, c, f * before + g * c)


def memory_forward(
    x: Array, m0: Array, p: Arrays, mask: Array | None = None, noise: tuple[Array, Array] | None = None
) -> tuple[Array, list[list[MemoryStep]]]:
    """All memories (T, B, k n) of x (T, B, n) from m0 (B, k n), and the steps by time and depth.

    noise: (T, B, k 6n) and (T, B, k 3n), as it is added.
    """
    mask, n = _ones_unless(mask, x), x.shape[2]
    depth = m0.shape[1] // n
    memories, all_steps = [], []
    before = m0
    for t in range(len(x)):
        below, steps, new = x[t], [], []
        for d in range(depth):
            here = slice(d * n, (d + 1) * n)
            e_hidden, e_gates = (0.0, 0.0) if noise is None else (
                noise[0][t, :, 6 * n * d : 6 * n * (d + 1)], noise[1][t, :, 3 * n * d : 3 * n * (d + 1)]
            )  # fmt: skip
            steps.append(memory_step(before[:, here], below, p, e_hidden, e_gates))
            below = steps[-1].memory
            new.append(mask[t][:, None] * below + (1 - mask[t][:, None]) * before[:, here])
        before = np.concatenate(new, axis=1)
        memories.append(before)
        all_steps.append(steps)
    return np.stack(memories), all_steps


def memory_backward(
    x: Array, m0: Array, p: Arrays, d_memory: Array, mask: Array | None = None, noise: Any = None,
    truncate: int | None = None,
) -> Arrays:  # fmt: skip
    """Gradients of sum(d_memory * memories), back through ``truncate`` steps: x, m0 and every parameter."""
    all_steps, mask, n = memory_forward(x, m0, p, mask, noise)[1], _ones_unless(mask, x), x.shape[2]
    out = {name: np.zeros_like(value) for name, value in {"x": x, "m0": m0, **p}.items()}
    v_f, v_g, v_c = np.split(p["w_gates"], 3, axis=1)
    depth = len(all_steps[0])
    d_next = np.zeros_like(m0)
    first = _first_step(len(x), truncate)
    for t in reversed(range(first, len(x))):
        d_now, m = d_next + d_memory[t], mask[t][:, None]
        d_next = (1 - m) * d_now  # what passes a masked step unchanged
        d_from_above = np.zeros((x.shape[1], n))
        for d in reversed(range(depth)):
            s, here = all_steps[t][d], slice(d * n, (d + 1) * n)
            before = s.z[:, :n]
            dm = m * d_now[:, here] + d_from_above
            b_f, b_g, b_c = dm * before * s.f * (1 - s.f), dm * s.c * s.g * (1 - s.g), dm * s.g * (1 - s.c**2)
            a_f, a_g, a_c = b_f @ v_f.T * (s.h_f > 0), b_g @ v_g.T * (s.h_g > 0), b_c @ v_c.T * (1 - s.h_c**2)
            a = np.concatenate([a_f, a_g, a_c], axis=1)
            out["w_gates"] += np.concatenate([s.h_f.T @ b_f, s.h_g.T @ b_g, s.h_c.T @ b_c], axis=1)
            out["bias_gates"] += np.concatenate([b_f, b_g, b_c], axis=1).sum(axis=0)
            out["w_hidden"] += s.z.T @ a
            out["bias_hidden"] += a.sum(axis=0)
            d_before, d_from_above = np.split(a @ p["w_hidden"].T, 2, axis=1)
            d_next[:, here] += dm * s.f + d_before
        out["x"][t] = d_from_above
    if first == 0:
        out["m0"] = d_next
    return out


def _ones_unless(mask: Array | None, x: Array) -> Array:
    return np.ones(x.shape[:2]) if mask is None else mask


def _first_step(n_steps: int, truncate: int | None) -> int:
    return 0 if truncate is None else max(0, n_steps - truncate)


# --- Layers without memory ----------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda a: a,
    "relu": lambda a: np.maximum(a, 0.0),
    "tanh": np.tanh,
}


def dense(x: Array, w: Array, bias: Array) -> Array:
    """x W + b over the last axis: x (..., n_in), w (n_in, n_out), bias (n_out,)."""
    return x @ w + bias


def mlp_forward(x: Array, layers: Sequence[tuple[Array, Array, str]]) -> Array:
    """Dense layers in turn; each is (w, bias, activation) with activation "linear", "relu" or "tanh"."""
    for w, bias, activation in layers:
        x = ACTIVATIONS[activation](dense(x, w, bias))
    return x


class BatchNorm(NamedTuple):
    """What a batch normalisation gives: the output like x, and the running statistics (features,) after it."""

    output: Array
    running_mean: Array
    running_variance: Array


def batch_norm_forward(
    x: Array,
    gain: Array,
    shift: Array,
    running_mean: Array,
    running_variance: Array,
    *,
    training: bool = True,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
) -> BatchNorm:
    """y = gain * (x - mean) / sqrt(variance + epsilon) + shift, per feature (Ioffe and Szegedy 2015).

    Training takes mean and (biased) variance of x over all leading axes and moves the running statistics
    r <- (1 - momentum) r + momentum * batch; evaluation takes the running statistics and leaves them.
    """
    mean, variance = running_mean, running_variance
    if training:
        rows = x.reshape(-1, x.shape[-1])
        mean = rows.sum(axis=0) / len(rows)
        variance = ((rows - mean) ** 2).sum(axis=0) / len(rows)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_variance = (1 - momentum) * running_variance + momentum * variance
    output = gain * (x - mean) / np.sqrt(variance + epsilon) + shift
    return BatchNorm(output, running_mean, running_variance)


def layer_2016(
    x: Array,
    w: Array,
    bias: Array,
    *,
    gain: Array | None = None,
    statistics: tuple[Array, Array] | None = None,
    noise: Array | float = 0.0,
    keep: Array | None = None,
    activation: str = "relu",
) -> Array:
    """One layer as in 2016: x w -> [normalised, gain only] -> [+ noise] -> [dropout .5, times 2] -> + bias -> f.

    x (rows, n_in). gain (n,): normalise with the batch's mean and (biased) variance, or with the (mean, variance)
    given as ``statistics``. noise (rows, n): what is added. keep (rows, n): 1 where a unit is kept.
    """
    a = x @ w
    if gain is not None:
        mean = a.sum(axis=0) / len(a)
        mean, variance = statistics or (mean, ((a - mean) ** 2).sum(axis=0) / len(a))
        a = gain * (a - mean) / np.sqrt(variance + 1e-5)
    a = a + noise
    if keep is not None:
        a = 2.0 * keep * a
    return ACTIVATIONS[activation](a + bias)


# --- Losses -------------------------------------------------------------------------------------------------------


def softmax_cross_entropy(logits: Array, labels: Array, mask: Array | None = None) -> float:
    """Mean over the unmasked positions of -log softmax(logits)[label].

    logits (..., n_classes), labels (...) integers, mask (...) of 0 and 1.
    """
    largest = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(axis=-1)) + largest[..., 0]
    cost = log_sum - np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    weight = np.ones(cost.shape) if mask is None else mask
    return float((weight * cost).sum() / weight.sum())


def cross_entropy_2016(logits: Array, y: Array) -> float:
    """Mean over the rows of -log max_k(y_k p_k), p = softmax(logits): as in 2016. logits and y (..., n_classes)."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return float(np.mean(-np.log((y * e / e.sum(axis=-1, keepdims=True)).max(axis=-1))))


def squared_error(prediction: Array, target: Array, mask: Array | None = None) -> float:
    """Mean of (prediction - target)^2 over the unmasked elements; mask lacks the last axis of prediction."""
    weight = _element_weight(target, mask)
    return float((weight * (prediction - target) ** 2).sum() / weight.sum())


def normalised_squared_error(prediction: Array, target: Array, mask: Array | None = None) -> float:
    """sum (prediction - target)^2 / sum target^2 over the unmasked elements: 1.0 is what predicting zero gives."""
    weight = _element_weight(target, mask)
    return float((weight * (prediction - target) ** 2).sum() / (weight * target**2).sum())


def _element_weight(target: Array, mask: Array | None) -> Array:
    return np.ones(target.shape) if mask is None else mask[..., None] * np.ones(target.shape)


# --- Optimisers: one update of one array, (parameter, gradient, state) -> (parameter, state); state None at first ----


def sgd(p: Array, g: Array, state: None = None, *, learning_rate: float) -> tuple[Array, None]:
    """p <- p - eta g."""
    return p - learning_rate * g, state


def momentum(
    p: Array, g: Array, state: Array | None = None, *, learning_rate: float, momentum: float
) -> tuple[Array, Array]:
    """v <- mu v - eta g;  p <- p + v.

    PyTorch's v <- mu v + g; p <- p - eta v is the same path while eta is constant (its v is -1/eta times this one).
    When eta changes they part: here the steps already taken into v keep the eta they were taken with.
    """
    velocity = -learning_rate * g if state is None else momentum * state - learning_rate * g
    return p + velocity, velocity


def rmsprop(
    p: Array, g: Array, state: Array | None = None, *, learning_rate: float, decay: float, epsilon: float
) -> tuple[Array, Array]:
    """r <- rho r + (1 - rho) g^2;  p <- p - eta g / sqrt(r + epsilon), r from zero; epsilon INSIDE the root (2016).

    PyTorch divides by sqrt(r) + epsilon. An epsilon e inside is at most as large as sqrt(e) outside, so no one value
    makes the two equal; they agree where epsilon is negligible in both: e << r inside and e << sqrt(r) outside.
    """
    r = (1 - decay) * g**2 + (0.0 if state is None else decay * state)
    return p - learning_rate * g / np.sqrt(r + epsilon), r


class AdamState(NamedTuple):
    """Running mean of the gradient, of its square, and the number of updates made."""

    m: Array
    v: Array
    t: int


def adam(
    p: Array,
    g: Array,
    state: AdamState | None = None,
    *,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> tuple[Array, AdamState]:
    """Kingma and Ba 2015, algorithm 1, with the bias corrections.

    m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  p <- p - eta (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + epsilon)
    """
    m, v, t = state or AdamState(np.zeros_like(p), np.zeros_like(p), 0)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    t = t + 1
    step = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return p - learning_rate * step, AdamState(m, v, t)


def clip_global_norm(gradients: Sequence[Array], max_norm: float) -> list[Array]:
    """g <- g * min(1, max_norm / ||g||), ||g|| over all arrays together (Pascanu et al. 2013)."""
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [g * scale for g in gradients]


def descend(
    step: Callable[..., tuple[Array, Any]],
    gradient: Callable[..., Sequence[Array]],
    parameters: Sequence[Array],
    n_updates: int,
    max_gradient_norm: float | None = None,
    **settings: float,
) -> list[Array]:
    """Parameters after n_updates of step (sgd, momentum, rmsprop or adam); gradient(*parameters) -> arrays."""
    parameters = list(parameters)
    states: list[Any] = [None] * len(parameters)
    for _ in range(n_updates):
        gradients = gradient(*parameters)
        if max_gradient_norm is not None:
            gradients = clip_global_norm(gradients, max_gradient_norm)
        for j, g in enumerate(gradients):
            parameters[j], states[j] = step(parameters[j], g, states[j], **settings)
    return parameters


# --- Differences --------------------------------------------------------------------------------------------------


def central_difference(function: Callable[..., float], arrays: Sequence[Array], epsilon: float = 1e-3) -> list[Array]:
    """Gradient of function(*arrays) for each array, from central differences of fourth order.

    df/da = (8 (f(a+e) - f(a-e)) - (f(a+2e) - f(a-2e))) / 12e, with error e^4 f'''''/30 and rounding of 1e-16 f/e:
    about 1e-12 at e = 1e-3, where the two-point formula does not get below 1e-10 at any e. Keep kinks (relu) further
    than 2e away. float64 only; the arrays are not changed.
    """
    arrays = [np.array(a, dtype=np.float64) for a in arrays]
    gradients = [np.zeros_like(a) for a in arrays]
    for a, gradient in zip(arrays, gradients, strict=True):
        for index in np.ndindex(a.shape):
            centre = a[index]
            f = {}
            for k in (-2, -1, 1, 2):
                a[index] = centre + k * epsilon
                f[k] = float(function(*arrays))
            a[index] = centre
            gradient[index] = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * epsilon)
    return gradients


def max_relative_error(a: Array, b: Array, floor: float = 1e-3) -> float:
    """Largest |a - b| / max(|a|, |b|, floor * largest magnitude) over the elements; NaN if either holds NaN.

    The floor keeps elements that are zero but for rounding from deciding the result.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    size = np.maximum(np.abs(a), np.abs(b))
    scale = np.maximum(size, floor * size.max())
    return float(np.max(np.abs(a - b) / np.where(scale == 0.0, 1.0, scale)))


# --- attention over the past --------------------------------------------------------------------------------------


def past_attention(x: Array, h: Array, p: Arrays, entries: Sequence[Sequence[Array]] = ()) -> Array:
    """Outputs (T, B, n) of attention over the states h (T, B, n) of the steps before each, and what followed them.

    For state t the entries are [x_{s+1}, h_s] of the steps s before it, the last P of them, and:

    score_s = (h_t W_q) . (h_s W_k) / sqrt(n_keys) + b_{t-s}      a = exp(score) / sum exp(score)
    y_t = h_t + sum_s a_s [x_{s+1}, h_s] W_v

    x (T, B, n_x); p holds w_query, w_key (n, n_keys), w_value (n_x + n, n), and bias (P,), that of distance P first.
    entries: of each sequence, those [x_{s+1}, h_s] from before, the oldest first, and last the h_s that waits for x_1.
    """
    n, y = h.shape[2], h.copy()
    for b in range(h.shape[1]):
        known = [entry for entry in entries[b][:-1]] if entries else []
        waiting = entries[b][-1] if entries else None
        for t in range(len(h)):
            if waiting is not None:
                known.append(np.concatenate([x[t, b], waiting]))
            waiting = h[t, b]
            near = known[-len(p["bias"]) :]
            if near:
                y[t, b] += _attended(h[t, b], np.array(near), n, p)
    return y


def _attended(h: Array, near: Array, n: int, p: Arrays) -> Array:
    scores = (near[:, -n:] @ p["w_key"]) @ (h @ p["w_query"]) / np.sqrt(p["w_key"].shape[1]) + p["bias"][-len(near) :]
    powers = np.exp(scores - scores.max())
    return (powers / powers.sum()) @ near @ p["w_value"]
