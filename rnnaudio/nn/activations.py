"""Counts of the arrays that a training update holds for each layer, to estimate its memory use before training."""

from collections import Counter
from typing import NamedTuple


class Activations(NamedTuple):
    """The number of arrays (time, batch, width) that a training update holds for a layer, by width.

    kept
        arrays held from the layer's forward pass until its backward pass.
    working
        arrays held only while the layer itself is computed. The kernels reuse the memory of such arrays for later
        arrays of equal size (:mod:`rnnaudio.kernels.buffers`), so layers computed one after the other need, at each
        width, only as many as the layer that needs most.
    """

    kept: Counter[int]
    working: Counter[int]

    def beside(self, other: "Activations") -> "Activations":
        """Return the counts for two layers computed one after the other.

        ``kept`` is the sum of both counts, ``working`` the greater count at each width.
        """
        return Activations(self.kept + other.kept, self.working | other.working)

    @property
    def floats(self) -> int:
        """The number of floats in all arrays, kept and working, per time step and sequence of the batch."""
        return sum((self.kept + self.working).elements())


def widths(*each: int) -> Counter[int]:
    """Count arrays by width, given the width of each array: ``widths(8, 8)`` is {8: 2}."""
    return Counter(each)


def per_frame(held: Activations, n_samples: int) -> Activations:
    """Convert counts per frame into counts per sample, for frames of ``n_samples``: widths are divided, rounded up."""
    kept, working = (widths(*(-(-width // n_samples) for width in count.elements())) for count in held)
    return Activations(kept, working)
