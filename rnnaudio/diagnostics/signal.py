"""What is in the batches: scale, clipping, order of the axes, how different the items are, what is shared (NumPy)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.diagnostics.excerpt import rms

SNIPPET = 64  # samples
RUN = 16  # samples: hardly ever equal by accident, even where the sound has a few values only
CHUNK = 1 << 22
N_SNIPPETS = 8
N_PLACES = 16
READ_AT_MOST = 1 << 20  # samples of the pieces, for their scale


class ScaleFigures(NamedTuple):
    """std; dc, the mean over the std; at_ends, the share of samples that equal the largest or the smallest one; peak,
    the largest magnitude; used, the share of the range from smallest to largest that the middle 99 % of samples take.
    Of standardised sound, silence lies at 0, so that its mean is 0."""

    std: float
    dc: float
    at_ends: float
    peak: float
    used: float


def scale_figures(pieces: Sequence[Any]) -> ScaleFigures:
    """Of up to a million samples of the pieces, from 16 places spread over each in proportion to its length."""
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
    """rms of the jump from the last sample of a frame to the first of the next, the next in time, and the next in the
    batch, both relative to that of frames drawn anyhow: 1 where frames do not adjoin, far less where they do."""

    along_time: float
    along_batch: float


def continuity(frames: np.ndarray, rng: np.random.Generator) -> Continuity:
    """Of frames (time, batch, n)."""
    first, last = frames[..., 0], frames[..., -1]
    anyhow = rms(rng.permutation(first.ravel()) - last.ravel())
    if anyhow == 0.0 or frames.shape[1] < 2:
        return Continuity(float("nan"), float("nan"))
    return Continuity(rms(first[1:] - last[:-1]) / anyhow, rms(first[:, 1:] - last[:, :-1]) / anyhow)


def effective_batch_size(frames: np.ndarray) -> float:
    """B^2 / sum_ij cos^2(w_i, w_j), the participation ratio of the items w of frames (time, batch, n), each as one
    vector of mean 0 and length 1: B for items that have nothing to do with each other, 1 for copies. Silent items are
    left out."""
    items = np.asarray(frames, np.float64).swapaxes(0, 1).reshape(frames.shape[1], -1)
    items = items - items.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(items, axis=1)
    items = items[norms > 0] / norms[norms > 0, None]
    return float(len(items) ** 2 / np.sum(np.square(items @ items.T))) if len(items) else 0.0


def distinct_size(frames: np.ndarray) -> float:
    """B times the share of all runs of 16 samples in the items of frames (time, batch, n) that differ from all
    others: B for items without a common stretch, 1 for copies, (W + B - 1) / W for one stretch of W samples moved by
    0 .. B - 1 samples. Silence does not count. The participation ratio misses those if the sound has many partials."""
    items = np.ascontiguousarray(np.asarray(frames, np.float32).swapaxes(0, 1)).reshape(frames.shape[1], -1)
    runs = np.lib.stride_tricks.sliding_window_view(items, RUN, axis=1).reshape(-1, RUN)
    runs = np.ascontiguousarray(runs[np.ptp(runs, axis=1) > 0])
    return len(items) * len(np.unique(runs.view(f"V{4 * RUN}"))) / len(runs) if len(runs) else 0.0


def share_found(validation: Iterable[Any], pieces: Sequence[Any]) -> float:
    """The share of a few snippets of 64 samples of the validation frames that the pieces hold to the last bit; NaN if
    all are (nearly) constant."""
    wanted = {snippet.tobytes() for snippet in snippets(validation)}
    n = len(wanted)
    for piece in pieces if n else ():
        for start in range(0, piece.n_samples, CHUNK):
            stop = min(piece.n_samples, start + CHUNK + SNIPPET)
            there = np.asarray(piece.read(start, stop), np.float32).tobytes()
            wanted -= {snippet for snippet in wanted if snippet in there}
        if not wanted:
            break
    return 1.0 - len(wanted) / n if n else float("nan")


def snippets(validation: Iterable[Any]) -> list[np.ndarray]:
    """Some that hold at least 16 different values, from adjoining frames of different items."""
    found: list[np.ndarray] = []
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
    """Of items that begin in a batch, do not continue the batch before and are not silent: their number, and the share
    of those that are not marked to be reset. carried: whether the batcher asks for the state to be carried."""

    carried: bool
    n_starts: int
    unmarked: float


def state_figures(batches: Any, *, most_samples: int = 1 << 22) -> StateFigures:
    """Look at where items continue: in the first batches, and around the end of the first epoch.

    Item b of batch k + 1 continues that of batch k if it begins with the frame that the other ends with.
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
