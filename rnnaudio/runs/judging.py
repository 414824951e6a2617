"""Measurement of how long generated sound stays within the limits of real music."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Split
from rnnaudio.metrics import MINIMUM_RATE_HZ, STEINWAY_16_KHZ, Alive, AliveLimits, alive_seconds, calibrate
from rnnaudio.runs.continuing import LoadedRun

LEAST_CALIBRATION_SECONDS = 300.0
MOST_CALIBRATION_SECONDS = 3600.0


class Sound(NamedTuple):
    """Prime, generated and true continuation, on the scale of the recording; stopped: why generation ended early."""

    prime: np.ndarray
    generated: np.ndarray
    original: np.ndarray
    alive: Alive
    stopped: str


def continue_test_prime(
    run: LoadedRun, corpus: AudioCorpus, *, prime_seconds: float, seconds: float, index: int = 0
) -> Sound:
    """Continue a stretch of the test split, and measure for how long the result stays within real music's limits."""
    rate = corpus.sample_rate_hz
    stretch = _prime_and_continuation(corpus.test, index, prime_seconds, seconds)
    context, ahead = np.split(stretch, [round(prime_seconds * rate)])
    (result,) = run.continue_primes([context], round(seconds * rate))
    prime, generated, original = map(corpus.restore, (context, result.audio[result.n_prime :], ahead))
    return Sound(prime, generated, original, judge(generated, corpus, result.stopped), result.stopped)


def judge(generated: np.ndarray, corpus: AudioCorpus, stopped: str) -> Alive:
    """Measure how long the sound stays alive; below a second, or at a very low rate, it cannot be measured."""
    rate = corpus.sample_rate_hz
    if len(generated) < rate or rate < MINIMUM_RATE_HZ:
        return Alive(len(generated) / rate, stopped or "too short or too low a rate to be measured")
    return alive_seconds(generated, rate, limits_of_real_music(corpus))


def limits_of_real_music(corpus: AudioCorpus) -> AliveLimits:
    """Limits from the training pieces; if they are short, from rendered Mozart, for theirs would be too narrow."""
    rate = corpus.sample_rate_hz
    if corpus.train.seconds < LEAST_CALIBRATION_SECONDS and rate == STEINWAY_16_KHZ.sample_rate_hz:
        return STEINWAY_16_KHZ
    return _measured_limits(corpus.path, corpus.path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _measured_limits(path: Path, changed_ns: int) -> AliveLimits:
    """Measure and cache, since it reads up to an hour of music; by time of change, since a corpus may be rebuilt."""
    with AudioCorpus.open(path) as corpus:
        rate, pieces = corpus.sample_rate_hz, corpus.train.pieces
        n_each = round(MOST_CALIBRATION_SECONDS * rate / len(pieces))
        audio = (piece.read(0, min(piece.n_samples, max(n_each, rate))) for piece in pieces)
        return calibrate(map(corpus.restore, audio), rate)


def _prime_and_continuation(split: Split, index: int, prime_seconds: float, seconds: float) -> np.ndarray:
    """A stretch with the true continuation after it, as far as the pieces of the split allow."""
    longest = max((piece.n_samples for piece in split.pieces), default=0) / split.sample_rate_hz
    return split.prime_at(index, max(prime_seconds, min(prime_seconds + seconds, longest)))
