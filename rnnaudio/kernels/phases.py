"""Phase integration along the loudest path, for :class:`rnnaudio.audio.phase.PhaseIntegrator`."""

import heapq

import numpy as np

from rnnaudio.kernels.compile import njit


@njit()
def spread(
    before: np.ndarray,
    magnitudes: np.ndarray,
    ahead: np.ndarray,
    frequency: np.ndarray,
    limit: float,
    phases: np.ndarray,
) -> None:
    """Set ``phases`` of one frame where its magnitudes exceed the limit; all (n_bins,) float64, phases at its centre.

    The loudest bin whose phase is known comes first: a bin of the frame before gives the same bin the phase ``ahead``,
    a bin of this frame gives its two neighbours its own phase, one bin's ``frequency`` less or more. The loudest bin
    that neither reaches gets phase 0. ``before`` has the magnitudes of the frame before.
    """
    n = len(magnitudes)
    waiting = magnitudes > limit
    heap = [(-before[k], 0, k) for k in range(n) if before[k] > limit]  # (-magnitude, is in this frame, bin)
    heapq.heapify(heap)
    for start in np.argsort(-magnitudes):
        while len(heap):
            _, in_this_frame, k = heapq.heappop(heap)
            if not in_this_frame:
                if waiting[k]:
                    phases[k], waiting[k] = ahead[k], False
                    heapq.heappush(heap, (-magnitudes[k], 1, k))
                continue
            if k and waiting[k - 1]:
                phases[k - 1], waiting[k - 1] = phases[k] - frequency[k], False
                heapq.heappush(heap, (-magnitudes[k - 1], 1, k - 1))
            if k + 1 < n and waiting[k + 1]:
                phases[k + 1], waiting[k + 1] = phases[k] + frequency[k + 1], False
                heapq.heappush(heap, (-magnitudes[k + 1], 1, k + 1))
        if magnitudes[start] <= limit:
            break
        if waiting[start]:
            phases[start], waiting[start] = 0.0, False
            heapq.heappush(heap, (-magnitudes[start], 1, start))
