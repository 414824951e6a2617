"""Whether the disk has room for a corpus, asked before hours of decoding."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from rnnaudio.errors import RnnaudioError

LEAST_BYTES_PER_SECOND = 500  # of sound in a file: telephone codecs have 600; a header that states more sound is wrong
SPARE = 1.02  # checksums and index


def n_bytes(path: Path) -> int:
    """Size of a file; 0 if it cannot be examined."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def require_space(
    out: Path,
    to_decode: Iterable[Path],
    kept_seconds: float,
    seconds_of: Callable[[Path], float | None],
    sample_rate_hz: int,
    dtype: str,
) -> None:
    """RnnaudioError, with what is needed and what is free, if a corpus does not fit on the disk of ``out``.

    Files are decoded to a file beside the corpus, so that a build that is broken off can go on, and copied from there:
    their sound needs twice its bytes, s * rate * sample size.

    to_decode: the files still to be decoded. kept_seconds: length of the sound that is copied only. seconds_of: the
    length that a file states, None if it does not; such files count as nothing. It is asked only if the disk might be
    too full: if it has no room for the longest sound that files of these sizes can hold.
    """
    files = list(to_decode)
    bytes_per_second = SPARE * sample_rate_hz * np.dtype(dtype).itemsize
    free = shutil.disk_usage(out.absolute().parent).free
    longest = [n_bytes(path) / LEAST_BYTES_PER_SECOND for path in files]
    if (2.0 * sum(longest) + kept_seconds) * bytes_per_second <= free:
        return
    stated = [min(seconds_of(path) or 0.0, most) for path, most in zip(files, longest, strict=True)]
    needed = (2.0 * sum(stated) + kept_seconds) * bytes_per_second
    if needed > free:
        hours = (sum(stated) + kept_seconds) / 3600.0
        raise RnnaudioError(
            f"{out}: {hours:.1f} hours of sound need {_gigabytes(needed)} on this disk, twice the corpus while it is "
            f"built, and {_gigabytes(free)} are free: make room, choose another disk, a lower --sample-rate-hz, or "
            "build from fewer recordings"
        )


def _gigabytes(n: float) -> str:
    return f"{n / 1e9:.2f} GB" if n >= 1e7 else f"{n / 1e6:.2f} MB"
