"""Measurements of the data: scale, clipping, order of axes, diversity of items, overlap of splits (NumPy only)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Array, Frames
from rnnaudio.audio.sources import Samples
from rnnaudio.diagnostics.excerpt import FrameBatches, HasFrames, rms

SNIPPET = 64  # samples
RUN = 16  # samples; excerpts of this length are hardly ever equal by chance, even in audio with few distinct values
CHUNK = 1 << 22
N_SNIPPETS = 8
N_PLACES = 16
READ_AT_MOST = 1 << 20  # samples of the pieces that are read to measure their scale


class ScaleFigures(NamedTuple):
    """Scale of the training samples; for standardised audio std is 1 and dc is 0.

    std
        standard deviation.
    dc
        mean over standard deviation.
    at_ends
        share of samples that equal the largest or the smallest sample.
    peak
        largest magnitude.
    used
        share of the range from the smallest to the largest sample that the middle 99 % of the samples span.
    """

    std: float
    dc: float
    at_ends: float
    peak: float
    used: float


def scale_figures(pieces: Sequence[Samples]) -> ScaleFigures:
    """Measure the scale of the training pieces on about a million samples at most.

    Every piece contributes samples from 16 positions, in proportion to its length.
    """
    share = min(1.0, READ_AT_MOST / max(1, sum(piece.n_samples for piece in pieces)))
    parts = []
    for piece in pieces:
        bounds = np.linspace(0, piece.n_samples, N_PLACES + 1).astype(int)
        for start, stop in pairwise(bounds):
            end = start + max(1, int(share * (stop - start)))
            parts.append(np.asarray(piece.read(int(start), int(min(stop, end))), np.float64))
    x = np.concatenate(parts)
    low, high, std = x.min(), x.max(), x.std()
    near = 1e-6 * max(high - low, 1e-30)
    at_ends = np.mean((x <= low + near) | (x >= high - near)) if high > low else 0.0
    middle = np.diff(np.percentile(x, [0.5, 99.5]))[0]
    used = middle / (high - low) if high > low else 0.0
    return ScaleFigures(
        float(std), float(x.mean() / max(std, 1e-30)), float(at_ends), float(np.abs(x).max()), float(used)
    )


class Continuity(NamedTuple):
    """Rms of the jump from the last sample of a frame to the first sample of the next, along the time and batch axes.

    Values are relative to the rms of the jumps between random frames: about 1 if frames do not adjoin along the axis,
    far less if they do.
    """

    along_time: float
    along_batch: float


def continuity(frames: Frames, rng: np.random.Generator) -> Continuity:
    """Measure how well neighbouring frames (time, batch, n) connect, along time and batch; see :class:`Continuity`.

    The rms of the jumps between neighbours is divided by the rms of the jumps between frames that are paired at random
    with ``rng``. Both values are NaN for silence or a batch of a single item.
    """
    first, last = frames[..., 0], frames[..., -1]
    random = rms(rng.permutation(first.ravel()) - last.ravel())
    if random == 0.0 or frames.shape[1] < 2:
        return Continuity(float("nan"), float("nan"))
    return Continuity(rms(first[1:] - last[:-1]) / random, rms(first[:, 1:] - last[:, :-1]) / random)


def effective_batch_size(frames: Frames) -> float:
    """Number of unrelated items that a batch of frames (time, B, n) is worth: B if all are unrelated, 1 for copies.

    This is the participation ratio B^2 / sum_ij cos^2(w_i, w_j), where w_i are the samples of item i minus their mean.
    Silent items are ignored, and not counted in B; 0 if all are silent.
    """
    items = np.asarray(frames, np.float64).swapaxes(0, 1).reshape(frames.shape[1], -1)
    items = items - items.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(items, axis=1)
    items = items[norms > 0] / norms[norms > 0, None]
    return float(len(items) ** 2 / np.sum(np.square(items @ items.T))) if len(items) else 0.0


def distinct_size(frames: Frames) -> float:
    """Number B of items in a batch, times the share of distinct ones among its excerpts of 16 adjoining samples.

    This share is the number of different excerpts over the number of all excerpts; excerpts begin at every sample of
    every item. Constant excerpts, such as silence, are ignored; the result is 0 if there are no others.

    frames: (time, B, n). The result is B for items without common excerpts, 1 for copies, and about (W + B - 1) / W
    for a single window of W samples shifted by 0 .. B - 1 samples; :func:`effective_batch_size` does not reveal such
    shifts if the sound has many partials.
    """
    items = np.ascontiguousarray(np.asarray(frames, np.float32).swapaxes(0, 1)).reshape(frames.shape[1], -1)
    runs = np.lib.stride_tricks.sliding_window_view(items, RUN, axis=1).reshape(-1, RUN)
    runs = np.ascontiguousarray(runs[np.ptp(runs, axis=1) > 0])
    return len(items) * len(np.unique(runs.view(f"V{4 * RUN}"))) / len(runs) if len(runs) else 0.0


def share_found(validation: Iterable[HasFrames], pieces: Sequence[Samples]) -> float:
    """Share of snippets of 64 samples from the validation frames that occur bit for bit in the pieces.

    Up to 8 snippets are tried, see :func:`snippets`; NaN if there are none.
    """
    wanted = {snippet.tobytes() for snippet in snippets(validation)}
    n = len(wanted)
    for piece in pieces if n else ():
        for start in range(0, piece.n_samples, CHUNK):
            stop = min(piece.n_samples, start + CHUNK + SNIPPET)
            chunk = np.asarray(piece.read(start, stop), np.float32).tobytes()
            wanted -= {snippet for snippet in wanted if snippet in chunk}
        if not wanted:
            break
    return 1.0 - len(wanted) / n if n else float("nan")


def snippets(validation: Iterable[HasFrames]) -> list[Array]:
    """Up to 8 snippets (64,) of float32 samples, from the middles of different items of the validation batches.

    Snippets with fewer than 16 distinct values are left out.
    """
    found: list[Array] = []
    for batch in validation:
        items = np.asarray(batch.frames, np.float32).swapaxes(0, 1).reshape(batch.frames.shape[1], -1)
        for item in items[:: max(1, len(items) // 4)]:
            snippet = item[len(item) // 2 :][:SNIPPET]
            if len(np.unique(snippet)) >= SNIPPET // 4:
                found.append(snippet)
            if len(found) == N_SNIPPETS:
                return found
    return found


class StateFigures(NamedTuple):
    """Comparison of a batcher's ``resets`` with the items that do not continue the previous batch.

    carried
        True if the state is carried from batch to batch; if not, the other two figures are 0.
    n_starts
        number of items that do not continue the previous batch.
    unmarked
        share of these items whose ``resets`` is False.
    """

    carried: bool
    n_starts: int
    unmarked: float


def state_figures(batches: FrameBatches, *, most_samples: int = 1 << 22) -> StateFigures:
    """Compare ``resets`` with the frames, in the first batches and around the end of the first epoch.

    Item b of batch k + 1 continues item b of batch k if its first frame equals the last frame of item b of batch k.
    most_samples: limit on the samples in the first batches; at least 4 and at most 64 batches are read in any case.
    """
    if not batches.carries_state:
        return StateFigures(False, 0, 0.0)
    frames = batches.batch(0).frames
    n = int(np.clip(most_samples // frames.size, 4, 64))
    end = batches.batches_per_epoch
    places = sorted({*range(n), *range(max(1, end - 2), end + 2)})
    starts = unmarked = 0
    for k in places:
        if k == 0:
            continue
        before, after = batches.batch(k - 1), batches.batch(k)
        continues = np.array([np.array_equal(a, b) for a, b in zip(before.frames[-1], after.frames[0], strict=True)])
        starts += int(np.sum(~continues))
        unmarked += int(np.sum(~continues & ~np.asarray(after.resets, bool)))
    return StateFigures(True, starts, unmarked / starts if starts else 0.0)
