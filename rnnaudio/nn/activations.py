"""Counts of the arrays that a training step holds for each layer, so that its memory is known before it starts."""

from collections import Counter
from typing import NamedTuple


class Activations(NamedTuple):
    """The number of arrays (time, batch, width), by width.

    kept
        held from the forward pass until the gradient has passed.
    working
        held only while the layer is computed. The kernels reuse the memory of an array for another of equal size
        (:mod:`rnnaudio.kernels.buffers`), so for layers computed one after the other the maximum of each width counts.
    """

    kept: Counter[int]
    working: Counter[int]

    def beside(self, other: "Activations") -> "Activations":
        """Combine the counts of two layers."""
        return Activations(self.kept + other.kept, self.working | other.working)

    @property
    def floats(self) -> int:
        """Floating-point numbers held per time step and sequence."""
        return sum((self.kept + self.working).elements())


def widths(*each: int) -> Counter[int]:
    """Count one array of each of these widths."""
    return Counter(each)
