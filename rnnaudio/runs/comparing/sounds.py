"""The sounds of a comparison: the same prime, continued by each run, at one loudness."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnaudio.audio import resample
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.levels import limited, loudness_lufs
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive, alive_seconds
from rnnaudio.runs.comparing.entries import RECORDING, Entry
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.judging import judge, prime_and_continuation
from rnnaudio.runs.primes import Primes
from rnnaudio.text import visible

MOST_GAIN_DB = 12.0


class Asked(NamedTuple):
    """Request for a comparison.

    prime: file, or place in the test split of the first run whose corpus is there. prime_seconds: None for the longest
    prime that a recipe of the runs asks for. seconds: length of each continuation. seed: random seed of the sampling;
    None: each run's own. blind: True to hide the names.
    """

    prime: Primes
    prime_seconds: float | None = None
    seconds: float = 20.0
    seed: int | None = None
    blind: bool = False


class Stretch(NamedTuple):
    """The prime and how the recording goes on, empty if unknown: (n,) samples on the scale of the recording."""

    prime: Audio
    original: Audio
    sample_rate_hz: int

    @property
    def seconds(self) -> float:
        """Length of the prime in seconds."""
        return len(self.prime) / self.sample_rate_hz


def stretch_of(entries: Sequence[Entry], asked: Asked) -> Stretch:
    """Read the prime, and its true continuation if it comes from a corpus.

    RnnaudioError if no corpus of the runs is there and no file is named, or for a prime without a sample.
    """
    longest = max(entry.recipe.prime_seconds(entry.run.config, entry.run.sample_rate_hz) for entry in entries)
    seconds = asked.prime_seconds or longest
    if round(seconds * entries[0].run.sample_rate_hz) < 1:
        raise RnnaudioError(f"prime_seconds is {seconds:g}: no sample at that rate; ask for more")
    first = entries[0].run
    if asked.prime.file is not None:
        (prime,) = asked.prime._replace(seconds=seconds).read(first, None)
        return Stretch(first.scale.restore(prime), np.empty(0, np.float32), first.sample_rate_hz)
    for entry in entries:
        try:
            with entry.run.open_corpus() as corpus:
                stretch = _of_corpus(corpus, asked.prime.place, seconds, asked.seconds)
        except (RnnaudioError, OSError):
            continue
        print(f"prime: {stretch.seconds:.3g} s of the test split of {visible(corpus.path)}", flush=True)
        return stretch
    gone = entries[0].run.record["config"]["corpus"]["path"]
    raise RnnaudioError(f"no prime: no corpus of these runs is where it was ({gone}); name one with --prime-file")


def _of_corpus(corpus: AudioCorpus, index: int, prime_seconds: float, seconds: float) -> Stretch:
    rate = corpus.sample_rate_hz
    prime_seconds = corpus.test.prime_length(prime_seconds)
    whole = corpus.restore(prime_and_continuation(corpus.test, index, prime_seconds, seconds))
    prime, original = np.split(whole, [round(prime_seconds * rate)])
    return Stretch(prime, original, rate)


def clips_of(
    entries: Sequence[Entry], stretch: Stretch, asked: Asked, left_out: list[str]
) -> tuple[dict[str, Clip], dict[str, Alive | None]]:
    """Let each run continue the prime; returns clips and lives by name, the recording, if any, first among the clips.

    Runs that cannot are added to ``left_out``, with the reason.
    """
    clips: dict[str, Clip] = {}
    lives: dict[str, Alive | None] = {}
    target = loudness_lufs(np.concatenate([stretch.prime, stretch.original]), stretch.sample_rate_hz)
    if len(stretch.original):
        clips[RECORDING] = _clip(np.concatenate(stretch[:2]), stretch.sample_rate_hz, target)
    for k, entry in enumerate(entries, 1):
        print(f"{k} of {len(entries)}: {visible(entry.name)}", flush=True)
        try:
            prime, generated, stopped = _continued(entry.run, stretch, asked)
        except (RnnaudioError, MemoryError) as error:
            left_out.append(f"{entry.run_dir}: {error or 'too little memory'}")
            continue
        clips[entry.name] = _clip(np.concatenate([prime, generated]), entry.run.sample_rate_hz, target)
        lives[entry.name] = _life(entry.run, generated, stopped, prime)
    return clips, lives


def _continued(run: LoadedRun, stretch: Stretch, asked: Asked) -> tuple[Audio, Audio, str]:
    """The prime at the run's rate, what the run generates after it, and why it ended early."""
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
    """Measure how long the sound stays alive; None if the music of the run's corpus is not known."""
    try:
        with run.open_corpus() as corpus:
            return judge(generated, corpus, stopped, prime)
    except (RnnaudioError, OSError):
        limits = run.limits
        return None if limits is None else alive_seconds(generated, run.sample_rate_hz, limits, prime)


def _clip(audio: Audio, rate: int, target_lufs: float) -> Clip:
    """The sound at the target's loudness, with its gain in words; by 12 dB at most, so that silence stays silent."""
    audio = np.nan_to_num(audio, posinf=1.0, neginf=-1.0)
    difference = target_lufs - loudness_lufs(audio, rate)
    gain_db = float(np.clip(difference, -MOST_GAIN_DB, MOST_GAIN_DB)) if np.isfinite(difference) else 0.0
    within, _ = limited((10.0 ** (gain_db / 20.0) * audio).astype(np.float32), rate)
    return Clip(within, rate, f"Gain {gain_db:+.1f} dB.")
