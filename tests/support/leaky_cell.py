"""A cell of one's own in one file: a leaky integrator, h' = (1 - a) h + a tanh(x W + b), trained from anywhere."""

from dataclasses import dataclass

from rnnaudio.engine import tt
from rnnaudio.nn import Cell
from rnnaudio.nn.initializers import glorot_uniform
from rnnaudio.runs.frames.cells import CELLS, CellKind, CellOptions


class Leaky(Cell):
    def __init__(self, n_in, n_units, *, rng, leak=0.1):
        super().__init__()
        self.n_in, self.n_out, self.state_sizes, self._leak = n_in, n_units, (n_units,), leak
        self.weight = self._parameter("weight", glorot_uniform(rng, (n_in, n_units)))

    def sequences(self, x, context):
        return (tt.tanh(tt.dot(x, self.weight)),)

    def recur(self, inputs, state):
        return ((1.0 - self._leak) * state[0] + self._leak * inputs[0],)


@dataclass(frozen=True)
class LeakyOptions(CellOptions):
    leak: float = 0.1


CELLS.add("leaky", CellKind(Leaky, LeakyOptions))
