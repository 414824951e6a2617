"""Loaded runs of any recipe, which continue sound, and detection of continuations that no longer sound like music."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.levels import limited
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Network, layer_network
from rnnaudio.generation import Generated
from rnnaudio.generation.sampling import SamplingSchedule
from rnnaudio.markup import table
from rnnaudio.metrics import AliveLimits, alive_seconds, in_range
from rnnaudio.metrics.windows import STEP_SECONDS
from rnnaudio.nn import Layer
from rnnaudio.progress import bar
from rnnaudio.runs.record import Record, open_known, rate_of, scale_of
from rnnaudio.seeds import check_seed
from rnnaudio.training.history import Row

DEAD_SECONDS = 10.0  # a stream outside the limits of real music for this long is ended
LOOK_SECONDS = 2.0  # between two checks
PRIME_SECONDS = 1.0  # of a continuation without a prime of its own
KEPT_SECONDS = 30.0  # of a stream, to find when a death began: some twelve seconds before it is noticed


@dataclass(frozen=True)
class SamplingOptions:
    """Options of sampling from predicted distributions; RnnaudioError for a seed out of range.

    temperatures
        sampling temperatures at evenly spaced times of the continuation, interpolated linearly between them; empty:
        the run's default temperature throughout.
    top_k, nucleus
        restrict sampling to the most probable values, see :class:`rnnaudio.generation.sampling.Sampling`; top_k 0
        and nucleus 1: no restriction.
    seed
        random seed of the sampling; None: the run's own seed.
    """

    temperatures: tuple[float, ...] = ()
    top_k: int = 0
    nucleus: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.seed is not None:
            check_seed(self.seed, "sampling_seed")

    def schedule(self, own: float) -> SamplingSchedule:
        """Make the sampling schedule of a continuation.

        own: the run's default temperature, used if ``temperatures`` is empty. RnnaudioError for options out of range.
        """
        return SamplingSchedule(self.temperatures or (own,), self.top_k, self.nucleus)


AS_TRAINED = SamplingOptions()


@dataclass(frozen=True)
class LoadedRun(ABC):
    """A trained model with its settings and its record, ready to continue sound; each recipe has a subclass.

    config: the settings, an instance of the recipe's config class. model: the model with its trained parameters.
    record: the record in the checkpoint, see :class:`rnnaudio.runs.record.SavedRun`.

    A subclass defines :meth:`blocks`, which generates the sound, and overrides what differs from the defaults here.
    """

    config: Any
    model: Layer
    record: Record

    @property
    def sample_rate_hz(self) -> int:
        return rate_of(self.record)

    @property
    def scale(self) -> Scale:
        """Mean and standard deviation of the corpus: standardised samples are (audio - mean) / std."""
        return scale_of(self.record)

    @property
    def history(self) -> list[Row]:
        """Rows of the training history, one per validation, oldest first; see :class:`rnnaudio.training.Run`."""
        rows: list[Row] = self.record["history"]
        return rows

    @property
    def best_validation_loss(self) -> float | None:
        """Validation loss of the best parameters; None if the run was never validated.

        The best parameters are those at the last row of the history that is marked as best, even if the training loss
        selected them.
        """
        return next((row["valid"] for row in reversed(self.history) if row["is_best"]), None)

    @property
    def temperature(self) -> float | None:
        """Default sampling temperature; None if the run does not sample."""
        return None

    @property
    def limits(self) -> AliveLimits | None:
        """Limits of real music, outside which generated sound counts as dead (see :class:`Watch`); None if unknown."""
        return None

    @property
    def note(self) -> str:
        """A remark to print when generating from this run; empty if there is none."""
        return ""

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        """Open the run's corpus at ``path``; None: at the path in the record.

        RnnaudioError if the file is missing or is not the corpus of the run.
        """
        return open_known(self.record["config"]["corpus"], path)

    def networks(self) -> dict[str, Network]:
        """Make the networks to export, by the suffix to add to the name of each file.

        By default there is one network, with the suffix "": one step of the model, from x (streams, n_in) and the
        state to y (streams, n_out) and the new state. RnnaudioError if the model has no step, or its step cannot be
        exported.
        """
        try:
            return {"": layer_network(self.model, "x", "y")}
        except NotImplementedError as error:
            raise RnnaudioError(
                f"a {type(self.model).__name__} has no step, and {type(self).__name__} does not say what to export: "
                "give it a method networks"
            ) from error

    @abstractmethod
    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue each prime; yields blocks (n_primes, m) of standardised samples, without the primes.

        primes
            (n,) standardised samples each, all of equal length.
        n_samples
            number of new samples per prime, the sum of the lengths m; fewer may be made if no stream stays finite.
        sampling
            options of the sampling.
        at_once
            True to yield the shortest possible blocks, for playback during generation.
        """

    def continue_primes(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions = AS_TRAINED
    ) -> list[Generated]:
        """Continue all primes in parallel by ``n_samples`` samples; returns one result per prime, held in memory.

        Arguments and errors are those of :meth:`blocks`. A stream that dies or is no longer finite ends early, see
        :class:`Monitor`.
        """
        blocks = self.blocks(primes, n_samples, sampling, at_once=False)
        return gathered(primes, blocks, n_samples, self.monitor(primes))

    def stream(
        self, prime: np.ndarray, n_samples: int, sampling: SamplingOptions = AS_TRAINED
    ) -> Iterator[np.ndarray]:
        """Continue one prime, (n,) standardised samples; yields parts (m,), standardised, as soon as they exist.

        The parts do not contain the prime; their lengths add up to ``n_samples``, or less if the stream is no longer
        finite.
        """
        return (block[0] for block in self.blocks([prime], n_samples, sampling, at_once=True))

    def play(
        self,
        seconds: float = 10.0,
        prime: Audio | None = None,
        *,
        index: int = 0,
        sampling: SamplingOptions = AS_TRAINED,
    ) -> Clip:
        """Continue a prime; returns prime and continuation as a clip, which a notebook shows as a player.

        seconds
            length of the continuation.
        prime
            (n,) samples, full scale -1 to 1, at the run's sample rate; None: an excerpt of one second from the test
            split of the run's corpus.
        index
            number, from 0, of the excerpt; see :meth:`rnnaudio.data.corpus.Split.prime_at`. Unused with a ``prime``.
        sampling
            options of the sampling.

        RnnaudioError for a prime that is too short, for options that the run does not have, or, without a ``prime``,
        if the corpus is missing or is not that of the run.
        """
        if prime is None:
            with self.open_corpus() as corpus:
                prime = corpus.restore(corpus.test.prime_at(index, corpus.test.prime_length(PRIME_SECONDS)))
        n_samples = round(seconds * self.sample_rate_hz)
        (result,) = self.continue_primes([self.scale.standardise(prime)], n_samples, sampling)
        audio, _ = limited(self.scale.restore(result.audio), self.sample_rate_hz)
        lengths = f"{len(prime) / self.sample_rate_hz:.2f} s prime, then generated"
        return Clip(audio, self.sample_rate_hz, "; ".join(filter(None, [lengths, result.stopped])))

    def _repr_html_(self) -> str:
        """Return an HTML table for notebooks: class, sample rate, parameters, updates, training time, best loss."""
        rows = {
            "run": type(self).__name__,
            "sample rate (Hz)": self.sample_rate_hz,
            "parameters": self.model.n_parameters,
            "updates": self.record["n_updates"],
            "minutes of training": round(self.record["seconds"] / 60.0, 2),
            "best validation loss": self.best_validation_loss,
        }
        return table(rows)

    def watch(self, prime: np.ndarray) -> "Watch":
        """Make a new :class:`Watch`, which detects the death of one stream.

        prime: the sound that the stream continues, (n,) standardised samples.
        """
        return Watch(self.limits, self.scale, prime)

    def monitor(self, primes: Sequence[np.ndarray]) -> "Monitor":
        """Make a new :class:`Monitor` of the continuations of ``primes``, (n,) standardised samples each."""
        return Monitor([self.watch(prime) for prime in primes], self.sample_rate_hz)


class Watch:
    """Detector of dead streams: a stream is dead if its latest ten seconds all lie outside the limits of real music.

    The stream is passed in parts to :meth:`push`. It is examined every two seconds, and only its latest half minute is
    kept in memory.

    limits
        limits of real music; None (unknown) disables the detector.
    scale
        converts standardised samples back to the scale of the recording.
    prime
        the sound that the stream continues, (n,) standardised samples. A stream is silent if it is too soft relative
        to its prime, as in a report; None: relative to the median level in ``limits``.
    """

    def __init__(self, limits: AliveLimits | None, scale: Scale, prime: np.ndarray | None = None):
        self._limits, self._scale = limits, scale
        self._prime = None if prime is None else scale.restore(prime)
        self._kept: list[np.ndarray] = []
        self._first = self._n_samples = self._looked = 0  # samples: before the kept ones, in all, at the latest look

    def push(self, part: np.ndarray) -> str:
        """Add the next part, (m,) standardised samples; returns reason and time of death as text, "" if alive.

        The time is in seconds from the beginning of the stream, without the prime. Between two examinations the result
        is "".
        """
        if self._limits is None:
            return ""
        rate = self._limits.sample_rate_hz
        self._kept.append(part)
        self._n_samples += len(part)
        if self._n_samples - self._looked < LOOK_SECONDS * rate:
            return ""
        self._looked = self._n_samples
        audio = np.concatenate(self._kept)
        # Windows begin at multiples of their step from the beginning of the stream, whatever was forgotten.
        step = STEP_SECONDS * rate
        forgotten = round(max(0, len(audio) - round(KEPT_SECONDS * rate)) // step * step)
        self._kept = [audio[forgotten:]]
        self._first += forgotten
        return "" if self._n_samples < DEAD_SECONDS * rate else self._death(self._kept[0], self._limits)

    def _death(self, audio: np.ndarray, limits: AliveLimits) -> str:
        """Describe why and since when a stream is dead; "" if alive. audio: its latest samples, standardised."""
        rate, n = limits.sample_rate_hz, round(DEAD_SECONDS * limits.sample_rate_hz)
        latest = self._scale.restore(audio[-n:])
        if in_range(latest, rate, limits, self._prime).fraction:
            return ""
        kept = in_range(self._scale.restore(audio), rate, limits, self._prime).dead_from_s
        # Windows of all that is kept begin at other samples than windows of its end: they may still count as alive.
        since = (len(audio) - n) / rate if kept is None else kept
        return f"{alive_seconds(latest, rate, limits, self._prime).reason}, from {self._first / rate + since:.1f} s on"


class Monitor:
    """Monitor of several streams that are generated in parallel; it ends streams that are dead or no longer finite.

    watches: one detector for each stream. Attribute: ``ends``, the reasons why streams were ended, by the number of
    the stream, from 0.
    """

    def __init__(self, watches: Sequence[Watch], sample_rate_hz: int):
        self._watches, self._rate = watches, sample_rate_hz
        self._n_samples = [0] * len(watches)
        self.ends: dict[int, str] = {}

    @property
    def all_ended(self) -> bool:
        return len(self.ends) == len(self._watches)

    def push(self, block: np.ndarray) -> list[np.ndarray]:
        """Add the next block (n_streams, m) of standardised samples; returns the samples to keep, (k,) per stream.

        All m samples are kept; in a stream with a sample that is not finite, only those before the first such sample;
        in a stream that ended in an earlier block, none.
        """
        return [self._kept_of(k, part) for k, part in enumerate(block)]

    def _kept_of(self, k: int, part: np.ndarray) -> np.ndarray:
        if k in self.ends:
            return part[:0]
        is_finite = np.isfinite(part)
        kept = part if is_finite.all() else part[: int(np.argmin(is_finite))]
        self._n_samples[k] += len(kept)
        reason = self._watches[k].push(kept)
        if len(kept) < len(part):
            reason = f"not finite after {self._n_samples[k] / self._rate:.2f} s"
        if reason:
            self.ends[k] = reason
        return kept


def gathered(
    primes: Sequence[np.ndarray], blocks: Iterator[np.ndarray], n_samples: int, monitor: Monitor
) -> list[Generated]:
    """Join blocks (n_streams, m) of standardised samples into one result per prime: prime and continuation.

    primes: (n,) standardised samples each, one per stream. n_samples: number of new samples expected per stream, for
    the progress bar. monitor: ends streams early; once all streams have ended, no more blocks are read.
    """
    parts: list[list[np.ndarray]] = [[prime] for prime in primes]
    started = time.perf_counter()
    for kept in monitored(blocks, n_samples, monitor):
        for own, part in zip(parts, kept, strict=True):
            own.append(part)
    seconds = time.perf_counter() - started
    return [
        Generated(np.concatenate(own).astype(np.float32), len(prime), monitor.ends.get(k, ""), seconds)
        for k, (own, prime) in enumerate(zip(parts, primes, strict=True))
    ]


def monitored(blocks: Iterator[np.ndarray], n_samples: int, monitor: Monitor) -> Iterator[list[np.ndarray]]:
    """Pass blocks (n_streams, m) of standardised samples to a monitor; yields the samples to keep of each block.

    For each block, these are (k,) samples per stream, see :meth:`Monitor.push`. The iterator ends after the last
    block, or once all streams have ended. It shows the progress (:mod:`rnnaudio.progress`). n_samples: number of
    samples expected per stream, for the progress bar.
    """
    with bar(total=n_samples, desc="generating", unit="sample", unit_scale=True) as shown:
        for block in blocks:
            yield monitor.push(block)
            shown.update(block.shape[1])
            if monitor.all_ended:
                return
