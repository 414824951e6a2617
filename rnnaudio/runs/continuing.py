"""A trained run of any recipe as something that continues sound, and the watch over what it plays."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Generated
from rnnaudio.generation.sampling import SamplingSchedule
from rnnaudio.metrics import AliveLimits, alive_seconds, in_range
from rnnaudio.nn import Layer
from rnnaudio.runs.record import Record, open_known, rate_of, scale_of
from rnnaudio.training.loop import Row

DEAD_SECONDS = 10.0  # outside the limits of real music for so long: what comes after is not waited for
LOOK_SECONDS = 2.0


class SamplingOptions(NamedTuple):
    """How values are sampled: temperatures over the course of the piece (none: the run's own), the likeliest values
    that are kept, and the random seed (None: the run's own)."""

    temperatures: tuple[float, ...] = ()
    top_k: int = 0
    nucleus: float = 1.0
    seed: int | None = None

    def course(self, own: float) -> SamplingSchedule:
        """The course of the piece, ``own`` being the run's temperature; RnnaudioError for settings out of range."""
        if self.seed is not None and self.seed < 0:
            raise RnnaudioError(f"sampling_seed is {self.seed}; expected 0 or more")
        return SamplingSchedule(self.temperatures or (own,), self.top_k, self.nucleus)


AS_TRAINED = SamplingOptions()


@dataclass(frozen=True)
class LoadedRun(ABC):
    """A trained model with what is needed to use it; a recipe's own subclass says how it continues sound.

    config: the settings, of the class that the recipe names. record: what the checkpoint keeps.
    """

    config: Any
    model: Layer
    record: Record

    @property
    def sample_rate_hz(self) -> int:
        return rate_of(self.record)

    @property
    def scale(self) -> Scale:
        """Mean and deviation of the corpus, between which and the model's own scale sound goes back and forth."""
        return scale_of(self.record)

    @property
    def history(self) -> list[Row]:
        """One row a validation."""
        rows: list[Row] = self.record["history"]
        return rows

    @property
    def best_validation_loss(self) -> float | None:
        """The validation loss at the best parameters, whatever they were chosen by; None if never validated."""
        return next((row["valid"] for row in reversed(self.history) if row["is_best"]), None)

    @property
    def temperature(self) -> float | None:
        """The temperature that the run samples at by itself; None if it samples nothing."""
        return None

    @property
    def limits(self) -> AliveLimits | None:
        """Limits of real music, outside which what is played counts as dead; None if not known."""
        return None

    @property
    def note(self) -> str:
        """A remark for whoever plays this run; empty for none."""
        return ""

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        """The corpus of the run, at ``path`` or where it was when last trained on; RnnaudioError if it is another."""
        return open_known(self.record["config"]["corpus"], path)

    @abstractmethod
    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue each prime ((n,) standardised samples, all of one length): blocks (n_primes, m), n_samples in all.

        at_once: blocks as short as there are, for listening while it plays.
        """

    def continue_primes(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions = AS_TRAINED
    ) -> list[Generated]:
        """Continue all primes side by side; a stream ends where it has been dead for ten seconds, if that is known."""
        blocks = self.blocks(primes, n_samples, sampling, at_once=False)
        return gathered(primes, blocks, n_samples, self.watch())

    def stream(
        self, prime: np.ndarray, n_samples: int, sampling: SamplingOptions = AS_TRAINED
    ) -> Iterator[np.ndarray]:
        """Continue one prime, in parts as soon as they are there."""
        return (block[0] for block in self.blocks([prime], n_samples, sampling, at_once=True))

    def watch(self) -> "Watch":
        """A watch over one piece."""
        return Watch(self.limits, self.scale)


class Watch:
    """Notices streams that died: the latest ten seconds lie outside the limits of real music, all of them."""

    def __init__(self, limits: AliveLimits | None, scale: Scale):
        self._limits, self._scale = limits, scale
        self._looked = 0

    def is_due(self, n_samples: int) -> bool:
        """Whether enough was played since the last look for another; never without limits."""
        if self._limits is None or n_samples - self._looked < LOOK_SECONDS * self._limits.sample_rate_hz:
            return False
        self._looked = n_samples
        return n_samples >= DEAD_SECONDS * self._limits.sample_rate_hz

    def death(self, audio: np.ndarray) -> str:
        """When and why (n,) standardised samples, all that was played, died; empty if they are alive."""
        assert self._limits is not None
        rate, n = self._limits.sample_rate_hz, round(DEAD_SECONDS * self._limits.sample_rate_hz)
        latest = self._scale.restore(audio[-n:])
        if in_range(latest, rate, self._limits).fraction:
            return ""
        whole = in_range(self._scale.restore(audio), rate, self._limits).dead_from_s
        since = (len(audio) - n) / rate if whole is None else whole  # windows of the whole lie elsewhere
        return f"{alive_seconds(latest, rate, self._limits).reason}, from {since:.1f} s on"


def gathered(
    primes: Sequence[np.ndarray], blocks: Iterator[np.ndarray], n_samples: int, watch: Watch
) -> list[Generated]:
    """Blocks (n_streams, n) put together, with progress; a stream that died is cut where that was noticed."""
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
