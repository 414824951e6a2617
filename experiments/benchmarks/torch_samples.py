"""The PyTorch peer of ``experiments.studies.samples``: the same tiers, made of torch.nn's layers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from rnnaudio.runs.samples.config import SamplesConfig

LEAST_SCALE = 0.05  # that of rnnaudio.readouts.logistic, which loads our engine


class Facts(Protocol):
    """The part of :class:`rnnaudio.runs.samples.model.Facts` that the model uses."""

    @property
    def deviation(self) -> float: ...

    @property
    def unit(self) -> float: ...

    @property
    def taps(self) -> Sequence[float]: ...


class SampleRNN(torch.nn.Module):
    """The equations of :class:`rnnaudio.nn.SampleModel`, on the layers of torch.nn.

    levels (n_context + n, batch) int64, states, resets (batch,) bool -> mean bits per sample, final states

    n is a multiple of the longest frame. The states are a list of arrays (1, batch, n_units): h of each tier, for an
    LSTM h and c. None: the trained initial states, which also replace the states of sequences with a reset.
    """

    def __init__(self, config: SamplesConfig, facts: Facts, n_context: int):
        super().__init__()
        n, self.config, self.facts, self.n_context = config.n_units, config, facts, n_context
        sizes = list(pairwise([*config.frames, 1]))
        cell = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[config.cell]
        self.input = torch.nn.ModuleList(torch.nn.Linear(size, n) for size, _ in sizes)
        self.cells = torch.nn.ModuleList(cell(n, n) for _ in sizes)
        self.output = torch.nn.ModuleList(torch.nn.Linear(n, size // below * n) for size, below in sizes)
        n_leaves = 2 if config.cell == "lstm" else 1
        self.start = torch.nn.ParameterList(torch.zeros(n) for _ in sizes for _ in range(n_leaves))
        self.first = torch.nn.Linear(config.window, n, bias=False)
        n_outputs = config.n_levels if config.readout == "categorical" else 3 * config.n_components
        self.rest = torch.nn.Sequential(
            torch.nn.ReLU(), torch.nn.Linear(n, n), torch.nn.ReLU(), torch.nn.Linear(n, n_outputs)
        )
        self.register_buffer("taps", torch.tensor(facts.taps, dtype=torch.float32))

    def forward(self, levels: Any, states: Any, resets: Any) -> tuple[Any, Any]:
        c, begin = self.config, self.n_context
        v = 2.0 * levels.float() / (c.n_levels - 1) - 1.0
        u, n, batch = v / self.facts.deviation, len(levels) - begin, levels.shape[1]
        fresh = [row.expand(1, batch, -1) for row in self.start]
        if states is not None and resets is not None:
            states = [torch.where(resets[None, :, None], new, old) for new, old in zip(fresh, states, strict=True)]
        states, final, from_above = states or fresh, [], None
        n_leaves = len(fresh) // len(c.frames)
        for k, size in enumerate(c.frames):
            z = self.input[k](u[begin - size : begin - size + n].reshape(n // size, size, batch).transpose(1, 2))
            old = [leaf.contiguous() for leaf in states[k * n_leaves : (k + 1) * n_leaves]]
            z = z if from_above is None else z + from_above
            h, new = self.cells[k](z, old[0] if n_leaves == 1 else tuple(old))
            final += [new] if n_leaves == 1 else list(new)
            parts = self.output[k](h).reshape(len(h), batch, -1, c.n_units).transpose(1, 2)
            from_above = parts.reshape(-1, batch, c.n_units)
        outputs = self.rest(self.first(lags(u, begin, c.window)) + from_above)
        target = levels[begin:]
        if c.readout == "categorical":
            nats = F.cross_entropy(outputs.reshape(-1, c.n_levels), target.reshape(-1))
        else:
            centre = lags(v, begin, len(self.taps) - 1) @ self.taps[:-1] + self.taps[-1] if len(self.taps) else 0.0
            nats = self.logistic_nats(outputs, target, v[begin:], centre)
        return nats / torch.log(torch.tensor(2.0)), final

    def logistic_nats(self, outputs: Any, target: Any, v: Any, centre: Any) -> Any:
        """Mean nats per value under :class:`rnnaudio.readouts.LogisticMixture`.

        outputs (n, batch, 3 K); target (n, batch) levels, and the same as values v in -1 to 1; centre (n, batch) or 0:
        the value that is added to the means m
        """
        half = 1.0 / (self.config.n_levels - 1) / self.facts.unit
        logits, m, raw = outputs.chunk(3, dim=-1)
        s = F.softplus(raw) + 2.0 * LEAST_SCALE * half
        error = ((v - centre) / self.facts.unit)[..., None] - m
        above, below = F.softplus(-(error + half) / s), F.softplus((error - half) / s)
        target = target[..., None]
        narrow = torch.log(-torch.expm1(-2.0 * half / s))
        zero = torch.zeros_like(s)
        log_p = -torch.where(target < self.config.n_levels - 1, above, zero) - torch.where(target > 0, below, zero)
        log_p = log_p + torch.where((target > 0) & (target < self.config.n_levels - 1), narrow, zero)
        return -torch.logsumexp(torch.log_softmax(logits, -1) + log_p, -1).mean()


def lags(x: Any, begin: int, n_lags: int) -> Any:
    """The n_lags values before each time from ``begin`` on: (time, batch) -> (time - begin, batch, n_lags).

    The latest value comes first.
    """
    n = len(x) - begin
    return torch.stack([x[begin - lag : begin - lag + n] for lag in range(1, n_lags + 1)], dim=2)
