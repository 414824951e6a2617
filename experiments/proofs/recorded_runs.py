"""Small runs on real recordings, trained as a user would train them: corpora of parts of a recording, and `fit`."""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.audio.cleaning import AS_IT_IS, Cleaning, cleaned
from rnnaudio.audio.files import read_audio, resample
from rnnaudio.data import build_corpus
from rnnaudio.data.corpus_build import Recording
from rnnaudio.errors import RnnaudioError

RATE_HZ = 8000
MOST_SECONDS = 40.0
N_PARTS, SHORT_SECONDS = 10, 10.0
HELD_OUT_OF_SHORT = 1.05, 0.3  # seconds for validation and for the test


class Parts(NamedTuple):
    """The pieces of a corpus, (n,) samples each on the scale -1 to 1, by split."""

    train: list[np.ndarray]
    valid: list[np.ndarray]
    test: list[np.ndarray]


def recorded(folder: Path, words: Sequence[str]) -> Parts:
    """Cut the .ogg files whose names contain one of the words into parts, at 8 kHz; RnnaudioError if there are none.

    Silence at either end of a recording is cut, as `corpus build` does. At most 40 s are used in total, an equal share
    from the beginning of each recording. Each recording gives ten parts: two near its middle, for validation and for
    the test, so that they resemble the other eight, which are for training. A recording of 10 s or less gives four
    parts: two for training and, between them, 1.05 s for validation and .3 s for the test.
    """
    found = [path for path in sorted(Path(folder).glob("*.ogg")) if any(word in path.name for word in words)]
    if not found:
        raise RnnaudioError(f"{folder} has no recording with {' or '.join(words)} in its name: give --recordings")
    parts = Parts([], [], [])
    for path in found:
        audio, rate = read_audio(path)
        audio = resample(cleaned(audio, rate, Cleaning())[0], rate, RATE_HZ)
        audio = audio[: round(MOST_SECONDS / len(found) * RATE_HZ)]
        if len(audio) > SHORT_SECONDS * RATE_HZ:
            cut = np.array_split(audio, N_PARTS)
            parts.test.append(cut.pop(N_PARTS // 2 + 1))
            parts.valid.append(cut.pop(N_PARTS // 2 - 1))
        else:
            n_valid, n_test = (round(seconds * RATE_HZ) for seconds in HELD_OUT_OF_SHORT)
            n_first = (len(audio) - n_valid - n_test) // 2
            first, valid, test, last = np.split(audio, np.cumsum([n_first, n_valid, n_test]))
            cut = [first, last]
            parts.valid.append(valid)
            parts.test.append(test)
        parts.train.extend(cut)
    return parts


def write(parts: Parts, path: Path) -> Path:
    """Write the parts as a corpus, without cleaning; returns its path."""
    recordings = [
        Recording(f"{split} {number}", "", "", split, _returning(audio))
        for split, pieces in parts._asdict().items()
        for number, audio in enumerate(pieces, 1)
    ]
    build_corpus(recordings, path, sample_rate_hz=RATE_HZ, dtype="float32", cleaning=AS_IT_IS, progress=False)
    return path


def _returning(audio: np.ndarray) -> Callable[[], tuple[np.ndarray, int]]:
    return lambda: (audio, RATE_HZ)


def quietly(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call ``work``, discard what it prints, and return its result."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work(*arguments, **options)
