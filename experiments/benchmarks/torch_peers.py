"""The peers in PyTorch of the models in ``experiments.benchmarks.models``: equal parameters, loss and update rule.

Each peer starts from the parameter values of our model, so that losses can be compared before anything is timed.
PyTorch's LSTM and GRU have two biases, which are added; the second one is fixed at zero.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from experiments.benchmarks.sizes import FACTS, Size, codes_config, samples_config
from experiments.benchmarks.torch_draw import Draw
from experiments.benchmarks.torch_samples import SampleRNN

Setup = Mapping[str, np.ndarray]


class Theirs(NamedTuple):
    """A model in PyTorch, ready to be trained; ``step`` and ``loss`` do what those of ``models.Ours`` do."""

    model: torch.nn.Module
    step: Callable[[], float]
    loss: Callable[[], float]


def values_of(setup: Setup) -> dict[str, torch.Tensor]:
    """The parameter values of our model, by name, from its setup."""
    return {name.removeprefix("model/"): torch.tensor(v) for name, v in setup.items() if name.startswith("model/")}


def linear(values: Mapping[str, torch.Tensor], name: str) -> torch.nn.Linear:
    """A linear layer with the values of our dense layer of this name."""
    n_in, n_out = values[f"{name}.weight"].shape
    layer = torch.nn.Linear(n_in, n_out)
    _set(layer.weight, values[f"{name}.weight"].T)
    _set(layer.bias, values[f"{name}.bias"])
    return layer


def recurrent(values: Mapping[str, torch.Tensor], name: str, kind: str) -> torch.nn.Module:
    """An LSTM or GRU with the values of our layer of this name. kind: ``lstm`` or ``gru``.

        ours:      blocks r, u, k     h <- (1 - u) h + u k
        PyTorch's: blocks r, z, n     h <- z h + (1 - z) n

    So z = 1 - u, and its parameters are those of u with the opposite sign.
    """
    w, r = (values[f"{name}.{part}"].T.clone() for part in ("w_input", "w_hidden"))
    bias = values[f"{name}.bias"].clone()
    cell: Any = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](w.shape[1], r.shape[1])
    if kind == "gru":
        n = r.shape[1]
        for array in (w, r, bias):
            array[n : 2 * n] *= -1
    for own, value in ((cell.weight_ih_l0, w), (cell.weight_hh_l0, r), (cell.bias_ih_l0, bias)):
        _set(own, value)
    _set(cell.bias_hh_l0, torch.zeros_like(bias))
    cell.bias_hh_l0.requires_grad_(False)
    return cell


def _set(own: torch.Tensor, value: torch.Tensor) -> None:
    with torch.no_grad():
        own.copy_(value)


class CodeModel(torch.nn.Module):
    """The equations of :class:`rnnaudio.nn.CodeModel`: codes (T + 1, batch, K), int64 -> mean bits per frame."""

    def __init__(self, values: Mapping[str, torch.Tensor], n_stages: int, dropout: float):
        super().__init__()
        self.dense, self.lstm = linear(values, "body.dense"), recurrent(values, "body.lstm", "lstm")
        self.heads = torch.nn.ModuleList(
            torch.nn.Sequential(
                linear(values, f"head_{k}.dense"), torch.nn.ReLU(), torch.nn.Dropout(dropout),
                linear(values, f"head_{k}.dense_2"),
            )
            for k in range(1, n_stages + 1)
        )  # fmt: skip
        self.dropout = torch.nn.Dropout(dropout)
        for k in range(1, n_stages + 1):
            self.register_buffer(f"centres_{k}", values[f"centres_{k}"])

    def features(self, codes: torch.Tensor, n_stages: int) -> torch.Tensor:
        """Sum of the centres of the first stages: (..., K) -> (..., n_features)."""
        parts = [F.embedding(codes[..., k], getattr(self, f"centres_{k + 1}")) for k in range(n_stages)]
        return torch.stack(parts).sum(0) if n_stages > 1 else parts[0]

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.dense(self.features(codes[:-1], len(self.heads))))
        hidden, target = self.dropout(self.lstm(self.dropout(hidden))[0]), codes[1:]
        nats = torch.zeros(())
        for k, head in enumerate(self.heads):
            x = torch.cat([hidden, self.features(target, k)], dim=2) if k else hidden
            nats = nats + F.cross_entropy(head(x).flatten(0, 1), target[..., k].flatten())
        return nats / float(np.log(2.0))


def codes(setup: Setup, size: Size) -> Theirs:
    """The model over codes, with Adam; ``setup["codes"]``: (T + 1, batch, K)."""
    c, batch = codes_config(size), torch.tensor(setup["codes"])
    model = CodeModel(values_of(setup), c.n_stages, c.dropout)
    return _trained(model, lambda: model(batch), c.learning_rate, 1.0)


def draw(setup: Setup, size: Size, *, attention: bool) -> Theirs:
    """DRAW, with Adam; ``setup["images"]``: (batch, pixels)."""
    images, sides = torch.tensor(setup["images"]), (int(setup["sides"][0]), int(setup["sides"][1]))
    model = Draw(values_of(setup), sides, int(setup["n_steps"]), attention)
    return _trained(model, lambda: model(images), 2e-3, 10.0)


def samples(setup: Setup, size: Size, *, cell: Any) -> Theirs:
    """SampleRNN, with Adam; ``setup["levels"]``: (n_context + n, batch, 1). cell: ``gru`` or ``lstm``."""
    c, values, levels = samples_config(size, cell), values_of(setup), torch.tensor(setup["levels"][..., 0])
    model = SampleRNN(c, SimpleNamespace(**FACTS), len(levels) - c.n_steps)
    for k in range(len(c.frames)):
        tier = f"tier_{k + 1}"
        model.input[k], model.output[k] = linear(values, f"{tier}.input"), linear(values, f"{tier}.output")
        model.cells[k] = recurrent(values, f"{tier}.{cell}.{cell}", cell)
    starts = [name for name in values if ".initial_" in name]
    for own, name in zip(model.start, starts, strict=True):
        _set(own, values[name])
    _set(model.first.weight, values["samples.w_input"].T)
    model.rest[1], model.rest[3] = linear(values, "samples.hidden"), linear(values, "samples.output")
    return _trained(model, lambda: model(levels, None, None)[0], c.learning_rate, 1.0)


def mnist(setup: Setup, size: Size, *, setting: str) -> Theirs:
    """A perceptron; ``setup``: ``images`` (n, 784) and ``labels`` (n,). setting: ``blog`` or ``better``.

    A step is an epoch, whose batches are slices of the data. ``loss`` is that of the first batch.
    """
    values, batch_size = values_of(setup), int(setup["batch_size"])
    model = better(values) if setting == "better" else blog(values)
    images, labels = (torch.tensor(setup[name]).split(batch_size) for name in ("images", "labels"))
    rate = float(setup["rate"])
    kind: Any = partial(torch.optim.Adam, fused=True) if setting == "better" else torch.optim.SGD
    optimizer = kind(model.parameters(), rate)

    def epoch() -> float:
        model.train()
        for x, y in zip(images, labels, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            value = float(loss.detach())
        return value

    return Theirs(model, epoch, lambda: _evaluated(model, lambda: F.cross_entropy(model(images[0]), labels[0])))


def blog(values: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The perceptron of the blog."""
    return torch.nn.Sequential(linear(values, "dense"), torch.nn.ReLU(), linear(values, "dense_2"))


class Noise(torch.nn.Module):
    """Gaussian noise of a standard deviation in training."""

    def __init__(self, std: float):
        super().__init__()
        self.std = std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.std * torch.randn_like(x) if self.training else x


def better(values: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The better perceptron: noise on the input, batch normalisation and dropout in two hidden layers."""
    layers: list[torch.nn.Module] = [Noise(float(values["gaussian_noise.std"]))]
    for k in ("", "_2"):
        norm = torch.nn.BatchNorm1d(len(values[f"batch_norm{k}.gain"]))
        _set(norm.weight, values[f"batch_norm{k}.gain"])
        _set(norm.bias, values[f"batch_norm{k}.shift"])
        layers += [linear(values, f"dense{k}"), norm, torch.nn.ReLU(), torch.nn.Dropout(0.3)]
    return torch.nn.Sequential(*layers, linear(values, "dense_3"))


def _trained(model: torch.nn.Module, loss: Callable[[], torch.Tensor], rate: float, limit: float) -> Theirs:
    """A model trained by Adam with gradients clipped to the norm ``limit``."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, rate, fused=True)

    def step() -> float:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        optimizer.step()
        return float(value.detach())

    return Theirs(model, step, lambda: _evaluated(model, loss))


def _evaluated(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> float:
    model.eval()
    with torch.no_grad():
        return float(loss())


PEERS: dict[str, Callable[[Setup, Size], Theirs]] = {
    "codes": codes,
    "draw": partial(draw, attention=False),
    "draw-attention": partial(draw, attention=True),
    "mnist": partial(mnist, setting="blog"),
    "mnist-better": partial(mnist, setting="better"),
    "samples": partial(samples, cell="gru"),
    "samples-lstm": partial(samples, cell="lstm"),
}
