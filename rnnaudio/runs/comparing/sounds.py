"""Sounds of a comparison: the same prime, continued by each run, at one loudness."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnaudio.audio import resample
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.levels import limited
from rnnaudio.audio.loudness import gain_to, loudness_lufs
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive, alive_seconds
from rnnaudio.report import Pressed, pressed
from rnnaudio.runs.comparing.entries import RECORDING, Entry
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.judging import judge, prime_and_continuation
from rnnaudio.runs.primes import Primes
from rnnaudio.text import visible

SET_IN_SECONDS = 0.05


class Asked(NamedTuple):
    """Options of a comparison.

    prime: a file, or the number of an excerpt of the test split of the first run whose corpus is found. prime_seconds:
    length of the prime; None: the longest that a recipe of the runs uses. seconds: length of each continuation. seed:
    random seed of the sampling; None: each run's own. blind: True to hide the names.
    """

    prime: Primes
    prime_seconds: float | None = None
    seconds: float = 20.0
    seed: int | None = None
    blind: bool = False


class Stretch(NamedTuple):
    """A prime and its continuation in the recording, empty if unknown: (n,) samples on the scale of the recording."""

    prime: Audio
    original: Audio
    sample_rate_hz: int

    @property
    def seconds(self) -> float:
        """Length of the prime in seconds."""
        return len(self.prime) / self.sample_rate_hz


def stretch_of(entries: Sequence[Entry], asked: Asked) -> Stretch:
    """Read the prime, and its continuation in the recording if the prime comes from a corpus.

    RnnaudioError if no corpus of the runs is found and no file is named, or for a prime without a sample.
    """
    seconds = asked.prime_seconds or longest_prime(entries)
    if round(seconds * entries[0].run.sample_rate_hz) < 1:
        raise RnnaudioError(f"prime_seconds is {seconds:g}: no sample at that rate; ask for more")
    first = entries[0].run
    if asked.prime.file is not None:
        (prime,) = asked.prime._replace(seconds=seconds).read(first, None)
        return Stretch(first.scale.restore(prime), np.empty(0, np.float32), first.sample_rate_hz)
    for entry in entries:
        try:
            with entry.run.open_corpus() as corpus:
                stretch = stretch_in(corpus, asked.prime.place, seconds, asked.seconds)
        except (RnnaudioError, OSError):
            continue
        print(f"prime: {stretch.seconds:.3g} s of the test split of {visible(corpus.path)}", flush=True)
        for note in notes_on(stretch, asked):
            print(f"note: {note}", flush=True)
        return stretch
    gone = entries[0].run.record["config"]["corpus"]["path"]
    raise RnnaudioError(f"no prime: no corpus of these runs is where it was ({gone}); name one with --prime-file")


def notes_on(stretch: Stretch, asked: Asked) -> list[str]:
    """Return notes on a stretch of a corpus in which the prime, or its continuation, is shorter than was asked."""
    notes = []
    if asked.prime_seconds is not None and stretch.seconds < asked.prime_seconds - 0.01:
        notes.append(f"no test piece has {asked.prime_seconds:g} s: the prime has {stretch.seconds:.3g} s")
    going_on = len(stretch.original) / stretch.sample_rate_hz
    if not going_on:
        notes.append("its piece ends with the prime: the recording is left out; a shorter --prime-seconds keeps it")
    elif going_on < asked.seconds - 0.01:
        notes.append(f"its piece goes on for {going_on:.3g} s only: so long is the recording")
    return notes


def longest_prime(entries: Sequence[Entry]) -> float:
    """Return the length in seconds of the longest prime that a recipe of the runs uses."""
    return max(entry.recipe.prime_seconds(entry.run.config, entry.run.sample_rate_hz) for entry in entries)


def stretch_in(corpus: AudioCorpus, index: int, prime_seconds: float, seconds: float) -> Stretch:
    """Read prime ``index`` of the test split, and its continuation in the recording, at most ``seconds`` long."""
    rate = corpus.sample_rate_hz
    prime_seconds = corpus.test.prime_length(prime_seconds)
    whole = corpus.restore(prime_and_continuation(corpus.test, index, prime_seconds, seconds))
    prime, original = np.split(whole, [round(prime_seconds * rate)])
    return Stretch(prime, original, rate)


def clips_of(
    entries: Sequence[Entry], stretch: Stretch, asked: Asked, left_out: list[str]
) -> tuple[dict[str, Pressed], dict[str, Alive | None]]:
    """Continue the prime by each run; return (clips, lives) by name.

    A clip is the prime followed by its continuation. The clip of the recording, if its continuation is known, comes
    first. A life is how long the continuation by a run stays alive; None if the limits of real music are unknown.
    Runs that fail are added to ``left_out``, with the reason. The samples of only one run at a time are in memory.
    """
    clips: dict[str, Pressed] = {}
    lives: dict[str, Alive | None] = {}
    target = target_of(stretch)
    if len(stretch.original):
        clips[RECORDING] = _clip(stretch.prime, stretch.original, stretch.sample_rate_hz, target)
    for k, entry in enumerate(entries, 1):
        print(f"{k} of {len(entries)}: {visible(entry.name)}", flush=True)
        try:
            prime, generated, stopped = continued(entry.run, stretch, asked)
        except (RnnaudioError, MemoryError) as error:
            left_out.append(f"{entry.run_dir}: {error or 'too little memory'}")
            continue
        clips[entry.name] = _clip(prime, generated, entry.run.sample_rate_hz, target)
        lives[entry.name] = _life(entry.run, generated, stopped, prime)
    return clips, lives


def target_of(stretch: Stretch) -> float:
    """Return the loudness in LUFS of the recording after the prime, or of the prime if that cannot be measured."""
    loudness = loudness_lufs(stretch.original, stretch.sample_rate_hz)
    return loudness if np.isfinite(loudness) else loudness_lufs(stretch.prime, stretch.sample_rate_hz)


def continued(run: LoadedRun, stretch: Stretch, asked: Asked) -> tuple[Audio, Audio, str]:
    """Continue the prime of a stretch by a run.

    Returns (prime at the run's sample rate, continuation, reason why it ended early or ""). In a blind comparison a
    continuation that ended early is padded with silence.
    """
    rate, prime = run.sample_rate_hz, stretch.prime
    if stretch.sample_rate_hz != rate:
        prime = resample(prime, stretch.sample_rate_hz, rate)
    sampling = SamplingOptions(seed=asked.seed) if run.temperature is not None else SamplingOptions()
    (result,) = run.continue_primes([run.scale.standardise(prime)], round(asked.seconds * rate), sampling)
    generated = run.scale.restore(result.audio[result.n_prime :])
    if asked.blind:  # what has ended early is silent to the end
        generated = np.pad(generated, (0, max(0, round(asked.seconds * rate) - len(generated))))
    return prime, generated, result.stopped


def _life(run: LoadedRun, generated: Audio, stopped: str, prime: Audio) -> Alive | None:
    """Measure how long the sound stays alive; None if the run's corpus and its limits of real music are missing."""
    try:
        with run.open_corpus() as corpus:
            return judge(generated, corpus, stopped, prime)
    except (RnnaudioError, OSError):
        limits = run.limits
        return None if limits is None else alive_seconds(generated, run.sample_rate_hz, limits, prime)


def _clip(prime: Audio, following: Audio, rate: int, target_lufs: float) -> Pressed:
    """Make a clip of the prime and what follows it, with the gain of the latter in words.

    The prime keeps its level, so that it is the same in all clips. What follows is brought to the loudness
    ``target_lufs`` by a gain of 12 dB at most, so that silence stays silent. The gain sets in over 50 ms, so that it
    makes no click. Peaks beyond full scale are limited.
    """
    following = np.nan_to_num(following, posinf=1.0, neginf=-1.0)
    gain_db = gain_to(target_lufs, following, rate)
    rise = np.minimum(np.arange(1, len(following) + 1) / (SET_IN_SECONDS * rate), 1.0)
    louder = 10.0 ** (gain_db / 20.0 * rise) * following
    within, _ = limited(np.concatenate([prime, louder]).astype(np.float32), rate)
    return pressed(Clip(within, rate, f"Gain {gain_db:+.1f} dB."))
