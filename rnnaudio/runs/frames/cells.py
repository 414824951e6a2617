"""Registry of the recurrent cells for runs over frames, with the options of each.

To add a cell, write a class in :mod:`rnnaudio.nn` with the constructor ``(n_in, n_units, *, rng, **options)`` and
register it by one line here; its options then become options of the command line and of configuration files.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import Registry


@dataclass(frozen=True)
class CellOptions:
    """Options of a cell; this base class has none."""

    def arguments(self) -> dict[str, Any]:
        """Return the options as keyword arguments of the cell's constructor."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class LSTMOptions(CellOptions):
    """Options of the LSTM."""

    peepholes: bool = False  # gates also depend on the cell state
    forget_bias: float = 1.0  # initial bias of the forget gate


@dataclass(frozen=True)
class MemoryLSTMOptions(CellOptions):
    """Options of the memory-only LSTM of 2016."""

    layer_noise: float = 0.0  # standard deviation of training noise in each layer of the gates; 0.005 in 2016
    bounded_memory: bool = False  # input gate = 1 - forget gate, which bounds the memory cell
    forget_bias_hidden: float = 2.0  # initial bias of the hidden layer of the forget gate's MLP

    def __post_init__(self) -> None:
        if not self.layer_noise >= 0:
            raise RnnaudioError(f"layer_noise is {self.layer_noise}; expected 0 or more")

    def arguments(self) -> dict[str, Any]:
        bias = (self.forget_bias_hidden, 2.0)
        return {"noise_std": self.layer_noise, "bounded": self.bounded_memory, "forget_bias": bias}


@dataclass(frozen=True)
class CellKind:
    """A cell: its class, or ``"module:name"`` to import it from, and the class of its options.

    has_gates
        True if its parameters include ``w_input``, ``w_hidden`` and ``bias``, each with all gates side by side, as the
        initial weights of 2016 (setting ``weights``) require.
    wide_as_frame
        True if the cell has as many units as a frame has samples: its constructor takes (frame_size, depth) instead of
        (n_in, n_units).
    """

    cell: Any
    Options: type[CellOptions] = CellOptions
    has_gates: bool = False
    wide_as_frame: bool = False


CELLS: Registry[CellKind] = Registry("cell", "; one of your own: name its file with --import")
CELLS.add("lstm", CellKind("rnnaudio.nn:LSTM", LSTMOptions, has_gates=True))
CELLS.add("gru", CellKind("rnnaudio.nn:GRU", has_gates=True))
CELLS.add("gru-early-2016", CellKind("rnnaudio.nn:GRUEarly2016", has_gates=True))
CELLS.add("memory-lstm", CellKind("rnnaudio.nn:MemoryLSTM", MemoryLSTMOptions, wide_as_frame=True))

# Options of cells that earlier versions saved as settings of every model.
ONCE_OF_ALL = ("peepholes", "forget_bias", "layer_noise", "bounded_memory", "forget_bias_hidden")
