"""What a training step holds in memory for each layer, so that it can be known before it starts."""

from collections import Counter
from typing import NamedTuple


class Activations(NamedTuple):
    """How many arrays (time, batch, width) there are of which width.

    kept
        from the forward pass until the gradient has passed.
    working
        only while the layer is computed. The kernels use the memory of an array again for one of equal size
        (:mod:`rnnaudio.kernels.buffers`), so of layers computed one after the other the most of each width counts.
    """

    kept: Counter[int]
    working: Counter[int]

    def beside(self, other: "Activations") -> "Activations":
        """Those of two layers together."""
        return Activations(self.kept + other.kept, self.working | other.working)

    @property
    def floats(self) -> int:
        """Numbers per time step and sequence."""
        return sum((self.kept + self.working).elements())


def widths(*each: int) -> Counter[int]:
    """One array of each of these widths."""
    return Counter(each)
