"""Trained runs of any recipe, which continue sound, and detection of continuations that are no longer alive."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.generation import Generated
from rnnaudio.generation.sampling import SamplingSchedule
from rnnaudio.metrics import AliveLimits, alive_seconds, in_range
from rnnaudio.nn import Layer
from rnnaudio.runs.record import Record, open_known, rate_of, scale_of
from rnnaudio.seeds import check_seed
from rnnaudio.training.history import Row

DEAD_SECONDS = 10.0  # a stream outside the limits of real music for this long is ended
LOOK_SECONDS = 2.0  # between two checks


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
        """The sampling over the course of a continuation; ``own``: the temperature to use if none is set.

        RnnaudioError for options out of range.
        """
        return SamplingSchedule(self.temperatures or (own,), self.top_k, self.nucleus)


AS_TRAINED = SamplingOptions()


@dataclass(frozen=True)
class LoadedRun(ABC):
    """A trained model with its settings and its record; each recipe has a subclass that generates in its own way.

    config: the settings, an instance of the recipe's config class. record: the record in the checkpoint, see
    :class:`rnnaudio.runs.record.SavedRun`.
    """

    config: Any
    model: Layer
    record: Record

    @property
    def sample_rate_hz(self) -> int:
        return rate_of(self.record)

    @property
    def scale(self) -> Scale:
        """Mean and standard deviation of the corpus, which convert sound to standardised samples and back."""
        return scale_of(self.record)

    @property
    def history(self) -> list[Row]:
        """One row per validation; see :class:`rnnaudio.training.Run`."""
        rows: list[Row] = self.record["history"]
        return rows

    @property
    def best_validation_loss(self) -> float | None:
        """Validation loss of the best parameters, even if training loss selected them; None if never validated."""
        return next((row["valid"] for row in reversed(self.history) if row["is_best"]), None)

    @property
    def temperature(self) -> float | None:
        """Default sampling temperature; None if the run does not sample."""
        return None

    @property
    def limits(self) -> AliveLimits | None:
        """Limits of real music, outside which generated sound counts as dead; None if unknown."""
        return None

    @property
    def note(self) -> str:
        """A remark to print when generating from this run; empty if there is none."""
        return ""

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        """Open the run's corpus, at ``path`` or by default its recorded path.

        RnnaudioError if it is missing or not the corpus of the run.
        """
        return open_known(self.record["config"]["corpus"], path)

    @abstractmethod
    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue each prime; yields blocks (n_primes, m) of standardised samples, ``n_samples`` per stream in all.

        primes: (n,) standardised samples each, all of equal length. at_once: yield the shortest possible blocks, for
        playback during generation.
        """

    def continue_primes(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions = AS_TRAINED
    ) -> list[Generated]:
        """Continue all primes (see :meth:`blocks`) in parallel; one result per prime.

        If the run has :attr:`limits`, a stream is cut once it has been dead for ten seconds.
        """
        blocks = self.blocks(primes, n_samples, sampling, at_once=False)
        return gathered(primes, blocks, n_samples, self.watch())

    def stream(
        self, prime: np.ndarray, n_samples: int, sampling: SamplingOptions = AS_TRAINED
    ) -> Iterator[np.ndarray]:
        """Continue one prime, (n,) standardised samples; yields parts (m,) as soon as they are generated."""
        return (block[0] for block in self.blocks([prime], n_samples, sampling, at_once=True))

    def watch(self) -> "Watch":
        """Make a new detector of dead streams, for one continuation."""
        return Watch(self.limits, self.scale)


class Watch:
    """Detector of dead streams: those whose latest ten seconds lie entirely outside the limits of real music.

    limits: None (unknown) disables the detector. scale: restores the standardised samples of the streams.
    """

    def __init__(self, limits: AliveLimits | None, scale: Scale):
        self._limits, self._scale = limits, scale
        self._looked = 0

    def is_due(self, n_samples: int) -> bool:
        """Return True if a check is due after ``n_samples``: every two seconds, from ten on; never without limits.

        The time of the latest check is remembered, so a second call with the same ``n_samples`` returns False.
        """
        if self._limits is None or n_samples - self._looked < LOOK_SECONDS * self._limits.sample_rate_hz:
            return False
        self._looked = n_samples
        return n_samples >= DEAD_SECONDS * self._limits.sample_rate_hz

    def death(self, audio: np.ndarray) -> str:
        """Reason and time of death of a stream, (n,) standardised samples from its beginning; empty if it is alive."""
        assert self._limits is not None
        rate, n = self._limits.sample_rate_hz, round(DEAD_SECONDS * self._limits.sample_rate_hz)
        latest = self._scale.restore(audio[-n:])
        if in_range(latest, rate, self._limits).fraction:
            return ""
        whole = in_range(self._scale.restore(audio), rate, self._limits).dead_from_s
        # Windows of the whole stream begin at other samples than windows of its end, so they may still count as alive.
        since = (len(audio) - n) / rate if whole is None else whole
        return f"{alive_seconds(latest, rate, self._limits).reason}, from {since:.1f} s on"


def gathered(
    primes: Sequence[np.ndarray], blocks: Iterator[np.ndarray], n_samples: int, watch: Watch
) -> list[Generated]:
    """Join blocks (n_streams, m) to one result per prime, of up to ``n_samples`` new samples.

    A stream is cut where ``watch`` found it dead; reading ends when all streams are dead.
    """
    audio = np.zeros((len(primes), n_samples), np.float32)
    ends: dict[int, tuple[int, str]] = {}
    started, n_done = time.perf_counter(), 0
    with tqdm(total=n_samples, desc="generating", unit="sample", unit_scale=True, disable=None, leave=False) as bar:
        for block in blocks:
            audio[:, n_done : n_done + block.shape[1]] = block
            n_done += block.shape[1]
            bar.update(block.shape[1])
            if watch.is_due(n_done):
                for k in set(range(len(primes))) - set(ends):
                    reason = watch.death(audio[k, :n_done])
                    ends |= {k: (n_done, reason)} if reason else {}
            if len(ends) == len(primes):
                break
    seconds = time.perf_counter() - started
    results = []
    for k, prime in enumerate(primes):
        n, reason = ends.get(k, (n_samples, ""))
        results.append(Generated(np.append(prime, audio[k, :n]).astype(np.float32), len(prime), reason, seconds))
    return results
