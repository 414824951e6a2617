"""The loop of phase integration along the loudest path, for :class:`rnnaudio.audio.phase.PhaseIntegrator`."""

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
    """Set ``phases`` of one frame in the bins whose ``magnitudes`` exceed ``limit``; all arrays (n_bins,) float64.

    Phases are in radians at the centre of the frame. They spread from bins with a known phase, the loudest first. A
    bin of the previous frame whose magnitude, in ``before``, exceeds ``limit`` gives the same bin of this frame the
    phase ``ahead``, which was predicted from the previous frame. A bin k of this frame sets the phases of its two
    neighbours, where ``frequency`` is the phase difference between a bin and the bin below it:

        phases[k - 1] = phases[k] - frequency[k],   phases[k + 1] = phases[k] + frequency[k + 1]

    If there are bins that cannot be reached in this way, the loudest of them gets phase 0, and phases spread from it.
    A phase that was set is not set again; all others are left as they are.
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
