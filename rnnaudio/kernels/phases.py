"""The inner loop of :class:`rnnaudio.audio.phase.PhaseIntegrator`: phase integration from loud to quiet bins."""

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
    """Set ``phases`` of one frame in the bins whose ``magnitudes`` exceed ``limit``; all arrays are (n_bins,) float64.

    Phases are in radians, at the centre of the frame. They are propagated from bins of known phase, the loudest first.
    ``before`` are the magnitudes of the previous frame. A bin of the previous frame whose magnitude exceeds ``limit``
    sets the phase of the same bin of this frame to ``ahead``, the phase predicted from the previous frame. A bin k of
    this frame sets the phases of its two neighbours, where ``frequency`` is the phase difference between a bin and the
    bin below it:

        phases[k - 1] = phases[k] - frequency[k],   phases[k + 1] = phases[k] + frequency[k + 1]

    If some bins cannot be reached in this way, the phase of the loudest of them is set to 0 and propagated. Each phase
    is set at most once. The phases of bins whose magnitudes do not exceed ``limit`` are not changed.
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
