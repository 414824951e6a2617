"""Check that the disk has room for a corpus, made before hours of decoding."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from rnnaudio.errors import RnnaudioError

LEAST_BYTES_PER_SECOND = 500  # of sound in a file: telephone codecs have 600; a header that states more sound is wrong
SPARE = 1.02  # checksums and index


def n_bytes(path: Path) -> int:
    """Return the size of a file in bytes; 0 if the file cannot be examined."""
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
    """Raise RnnaudioError, which states the space needed and the space free, if the disk of ``out`` lacks room.

    A second of audio takes sample_rate_hz times the bytes of a ``dtype`` sample, plus 2 %. Audio that is still to be
    decoded counts twice: it is first written to a file beside the corpus, so that an interrupted build can be
    continued, and then copied from there.

    to_decode: the files still to be decoded. kept_seconds: duration of the audio that is only copied. seconds_of:
    function that returns the duration in seconds that a file states, or None if it states none (counted as 0 s).
    sample_rate_hz, dtype: those of the corpus.

    A first estimate assumes that a file holds a second of audio per 500 bytes, the most that is possible.
    ``seconds_of`` is called only if the disk has no room for that; if a file states a longer duration than the first
    estimate, the first estimate is used.
    """
    files = list(to_decode)
    bytes_per_second = SPARE * sample_rate_hz * np.dtype(dtype).itemsize
    free = shutil.disk_usage(Path(os.path.realpath(out)).parent).free
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
