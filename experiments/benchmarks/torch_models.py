"""The PyTorch peers of ``experiments.benchmarks.bench``: torch.nn's LSTM and GRU, and the memory-only LSTM of 2016."""

from typing import Any

import torch

Memories = list[torch.Tensor]


class Recurrent(torch.nn.Module):
    """torch.nn.LSTM or GRU with a linear read-out: x (T, B, n_in) -> (T, B, n_in)."""

    def __init__(self, cell: str, n_in: int, n_units: int, n_layers: int):
        super().__init__()
        self.recurrent = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](n_in, n_units, n_layers)
        self.readout = torch.nn.Linear(n_units, n_in)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.recurrent(x)[0])


class MemoryLSTM(torch.nn.Module):
    """The equations of :class:`rnnaudio.nn.MemoryLSTM` with the blog's read-out: x (T, B, n) -> (T, B, n).

    The code is what a careful user would write: the hidden layers of the three gates share one product, and its part
    that depends only on the input is computed as one large product before the loop. depth: number of memories. std: of
    the noise. compiled: whether torch.compile compiles the timestep; the loop over timesteps is not compiled.
    """

    def __init__(self, n: int, depth: int, std: float, compiled: bool):
        super().__init__()
        self.n, self.depth, self.std = n, depth, std
        blocks = [torch.linalg.qr(torch.randn(2 * n, 2 * n))[0] for _ in range(3)]
        self.w_hidden = torch.nn.Parameter(torch.cat(blocks, dim=1))
        self.w_gates = torch.nn.Parameter(torch.stack([block[:, :n] for block in blocks]))
        self.bias_hidden = torch.nn.Parameter(torch.zeros(6 * n))
        self.bias_gates = torch.nn.Parameter(torch.zeros(3, 1, n))
        hidden = torch.nn.Linear(depth * n, 2 * n)
        self.readout = torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Linear(2 * n, n))
        self.step: Any = torch.compile(self._step) if compiled else self._step

    def _step(self, from_input: torch.Tensor, memories: Memories, e_1: torch.Tensor, e_2: torch.Tensor) -> Memories:
        """A timestep; from_input (B, 6 n) = x W_below, k memories (B, n), noise e_1 (k, B, 6 n), e_2 (k, 3, B, n)."""
        n, new = self.n, list[torch.Tensor]()
        for d in range(self.depth):
            below = from_input if d == 0 else new[-1] @ self.w_hidden[n:]
            z = torch.addmm(below + self.std * e_1[d] + self.bias_hidden, memories[d], self.w_hidden[:n])
            hidden = torch.cat([torch.relu(z[:, : 4 * n]), torch.tanh(z[:, 4 * n :])], dim=1)
            products = torch.bmm(hidden.view(-1, 3, 2 * n).transpose(0, 1), self.w_gates)
            gates = products + self.std * e_2[d] + self.bias_gates
            new.append(torch.sigmoid(gates[0]) * memories[d] + torch.sigmoid(gates[1]) * torch.tanh(gates[2]))
        return new

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n_steps, batch, n = x.shape
        from_input = x @ self.w_hidden[n:]
        e_1 = torch.randn(n_steps, self.depth, batch, 6 * n)
        e_2 = torch.randn(n_steps, self.depth, 3, batch, n)
        memories, outputs = [x.new_zeros(batch, n) for _ in range(self.depth)], []
        for t in range(n_steps):
            memories = self.step(from_input[t], memories, e_1[t], e_2[t])
            outputs.append(torch.cat(memories, dim=1))
        return self.readout(torch.stack(outputs))
