"""Measurement of how long generated sound stays within the limits of real music."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.sources import Samples
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Split
from rnnaudio.metrics import MINIMUM_RATE_HZ, Alive, AliveLimits, alive_seconds, calibrate, limits_of_all_music
from rnnaudio.metrics.windows import WINDOW_SECONDS
from rnnaudio.runs.continuing import LoadedRun

MOST_CALIBRATION_SECONDS = 3600.0
LEVELS_APART_DB = 6.0  # a difference that is worth a note


class Sound(NamedTuple):
    """A prime, its generated and its true continuation, each (n,) samples on the scale of the recording.

    alive: how long the generated continuation stays alive. stopped: why generation ended early; empty if it did not.
    original_alive: how long the true continuation stays alive by the same measure, for comparison.
    """

    prime: np.ndarray
    generated: np.ndarray
    original: np.ndarray
    alive: Alive
    stopped: str
    original_alive: Alive


def level_note(prime_dbfs: float, generated_dbfs: float) -> str:
    """Make a remark on a continuation that is more than 6 dB louder or softer than its prime; empty if it is not.

    Levels are root mean squares in dB of full scale. The remark is also empty if prime or continuation is silent.
    """
    difference = generated_dbfs - prime_dbfs
    if not np.isfinite(difference) or abs(difference) <= LEVELS_APART_DB:
        return ""
    how = "louder" if difference > 0.0 else "softer"
    return f"{abs(difference):.1f} dB {how} than the prime (rms {generated_dbfs:.1f} dBFS after {prime_dbfs:.1f} dBFS)"


def peak_note(lowest_gain_db: float) -> str:
    """Make a remark on limited peaks; empty if ``lowest_gain_db``, the lowest gain of the limiter in dB, is 0."""
    return f"peaks beyond full scale limited, by {-lowest_gain_db:.1f} dB at most" if lowest_gain_db < 0.0 else ""


def continue_test_prime(
    run: LoadedRun, corpus: AudioCorpus, *, prime_seconds: float, seconds: float, index: int = 0
) -> Sound:
    """Continue a prime of the test split, and measure how long the result stays within the limits of real music.

    prime_seconds, seconds: lengths of the prime and of its continuation. index: number of the prime, see
    :meth:`rnnaudio.data.corpus.Split.prime_at`. RnnaudioError if no test piece is as long as the prime.
    """
    rate = corpus.sample_rate_hz
    stretch = prime_and_continuation(corpus.test, index, prime_seconds, seconds)
    context, ahead = np.split(stretch, [round(prime_seconds * rate)])
    (result,) = run.continue_primes([context], round(seconds * rate))
    prime, generated, original = map(corpus.restore, (context, result.audio[result.n_prime :], ahead))
    alive, original_alive = judge(generated, corpus, result.stopped, prime), judge(original, corpus, "", prime)
    return Sound(prime, generated, original, alive, result.stopped, original_alive)


def judge(generated: np.ndarray, corpus: AudioCorpus, stopped: str, prime: np.ndarray) -> Alive:
    """Measure how long generated sound stays alive after its prime.

    generated, prime: (n,) samples on the scale of the recording; ``generated`` begins after the prime. Silence is
    judged relative to the level of the prime; whether the prime is noise decides which limit for noise applies.
    corpus: the corpus whose training pieces set the limits. stopped: why generation ended early, or an empty text.

    Sound shorter than 1 s, or with a sample rate below 4 kHz, cannot be measured: ``seconds`` of the result is then
    the length of the sound, and ``reason`` is ``stopped`` or, if that is empty, a remark that the sound is too short
    or its rate too low.

    Reports, diagnoses and experiments on saved runs all call this function, so that they agree. (Some other
    experiments call :func:`alive_seconds` directly; :mod:`rnnaudio.metrics.yardstick` does so without a prime.)
    """
    rate = corpus.sample_rate_hz
    if len(generated) < rate or rate < MINIMUM_RATE_HZ:
        return Alive(len(generated) / rate, stopped or "too short or too low a rate to be measured")
    return alive_seconds(generated, rate, limits_of_real_music(corpus), prime)


def limits_of_real_music(corpus: AudioCorpus) -> AliveLimits:
    """Measure the limits of real music on the training pieces of a corpus; results are cached by file.

    If no piece lasts 1 s, the result is the limits for all music (:func:`rnnaudio.metrics.limits_of_all_music`).
    """
    rate = corpus.sample_rate_hz
    if max(piece.n_samples for piece in corpus.train.pieces) < WINDOW_SECONDS * rate:
        return limits_of_all_music(rate)
    if not corpus.path.exists():  # the sound of a toy problem
        return limits_of_pieces(corpus.train.pieces, rate, corpus.restore)
    return _measured_limits(corpus.path, corpus.path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _measured_limits(path: Path, changed_ns: int) -> AliveLimits:
    """Measure the limits on the training pieces of the corpus at ``path``; cached by path and time of change in ns."""
    with AudioCorpus.open(path) as corpus:
        return limits_of_pieces(corpus.train.pieces, corpus.sample_rate_hz, corpus.restore)


def limits_of_pieces(
    pieces: Sequence[Samples], sample_rate_hz: int, restore: Callable[[Audio], Audio] = np.asarray
) -> AliveLimits:
    """Calibrate the limits of real music on the beginnings of all pieces, about an hour of music in all.

    The beginnings are equally long, a second or more; shorter pieces are used whole. Pieces are read one at a time.
    restore: converts the samples of the pieces to the scale of the recording. RnnaudioError if no piece lasts 1 s.
    """
    n_each = max(sample_rate_hz, round(MOST_CALIBRATION_SECONDS * sample_rate_hz / len(pieces)))
    audio = (piece.read(0, min(piece.n_samples, n_each)) for piece in pieces)
    return calibrate(map(restore, audio), sample_rate_hz)


def prime_and_continuation(split: Split, index: int, prime_seconds: float, seconds: float) -> np.ndarray:
    """Read a prime and the recording that follows it, as one array of (n,) standardised samples.

    Its length is ``prime_seconds`` + ``seconds``, or that of the longest piece of the split if that is shorter. index:
    number of the prime, see :meth:`rnnaudio.data.corpus.Split.prime_at`. RnnaudioError if no piece is as long as the
    prime.
    """
    longest = max((piece.n_samples for piece in split.pieces), default=0) / split.sample_rate_hz
    return split.prime_at(index, max(prime_seconds, min(prime_seconds + seconds, longest)))
