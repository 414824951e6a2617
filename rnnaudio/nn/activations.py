"""Counts of the arrays that a training update holds for each layer, to estimate its memory before training."""

from collections import Counter
from typing import NamedTuple


class Activations(NamedTuple):
    """The number of arrays (time, batch, width) that a training update holds for a layer, by width.

    kept
        held from the layer's forward pass until its backward pass.
    working
        held only during the computation of the layer itself. The kernels reuse the memory of an array for another
        array of equal size (:mod:`rnnaudio.kernels.buffers`), so for layers computed one after the other the greatest
        count at each width matters, not the sum.
    """

    kept: Counter[int]
    working: Counter[int]

    def beside(self, other: "Activations") -> "Activations":
        """Combine the counts of two layers computed one after the other.

        ``kept`` is added up; of ``working``, the greater count at each width is taken.
        """
        return Activations(self.kept + other.kept, self.working | other.working)

    @property
    def floats(self) -> int:
        """The number of floating-point numbers, kept and working, held per time step and sequence of the batch."""
        return sum((self.kept + self.working).elements())


def widths(*each: int) -> Counter[int]:
    """Count arrays by width, one per argument, for a field of :class:`Activations`: ``widths(8, 8)`` is {8: 2}."""
    return Counter(each)
