"""The cells that a run over frames can be made of, each with options of its own.

A new cell is a class of :mod:`rnnaudio.nn` with the constructor ``(n_in, n_units, *, rng, **options)`` and one line
here: its options are then options of the command line and of configuration files.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import Registry


@dataclass(frozen=True)
class CellOptions:
    """Options of a cell; the base class has none."""

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the cell's constructor."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class LSTMOptions(CellOptions):
    """Options of the LSTM."""

    peepholes: bool = False
    forget_bias: float = 1.0


@dataclass(frozen=True)
class MemoryLSTMOptions(CellOptions):
    """Options of the memory-only LSTM of 2016."""

    layer_noise: float = 0.0  # standard deviation, in each layer of the gates, in training; the blog's was 0.005
    bounded_memory: bool = False  # input gate = 1 - forget gate
    forget_bias_hidden: float = 2.0  # on the hidden layer of the forget gate's MLP too

    def __post_init__(self) -> None:
        if not self.layer_noise >= 0:
            raise RnnaudioError(f"layer_noise is {self.layer_noise}; expected 0 or more")

    def arguments(self) -> dict[str, Any]:
        bias = (self.forget_bias_hidden, 2.0)
        return {"noise_std": self.layer_noise, "bounded": self.bounded_memory, "forget_bias": bias}


@dataclass(frozen=True)
class CellKind:
    """A cell: its class, or where to import it from, and the class of its options.

    has_gates
        its weights are those of gates, ``w_input``, ``w_hidden`` and ``bias``, which the weights of 2016 are for.
    wide_as_frame
        the cell has as many units as a frame has samples, and takes a depth where others take a number of units.
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

# Earlier versions had these as settings of every model.
ONCE_OF_ALL = ("peepholes", "forget_bias", "layer_noise", "bounded_memory", "forget_bias_hidden")
