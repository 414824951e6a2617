"""A trained run of any kind as something that plays on: over frames, codes or samples."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from rnnaudio.runs.frames.recipe import LoadedRun, load_run
from rnnaudio.runs.codes.recipe import load_music
from rnnaudio.runs.record import open_known
from rnnaudio.runs.samples.recipe import load_samples
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Generated
from rnnaudio.generation.sampling import Course
from rnnaudio.metrics import AliveLimits, alive_seconds, in_range
from rnnaudio.training import checkpoint

DEAD_SECONDS = 10.0  # out of the limits of real music for so long: what comes after is not waited for
LOOK_SECONDS = 2.0


class How(NamedTuple):
    """What is drawn: temperatures in the course of the piece (none: the run's own) and :class:`Course`'s others;
    seed: of the draws, the run's own if None."""

    temperatures: tuple[float, ...] = ()
    top_k: int = 0
    nucleus: float = 1.0
    seed: int | None = None

    def course(self, own: float) -> Course:
        """RnnaudioError for a temperature of 0 or below, and the like."""
        if self.seed is not None and self.seed < 0:
            raise RnnaudioError(f"draw_seed is {self.seed}; expected 0 or more")
        return Course(self.temperatures or (own,), self.top_k, self.nucleus)


class Player(Protocol):
    """A run that continues standardised sound."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def scale(self) -> Scale: ...

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        """Of the run; RnnaudioError if it is not where it was, or another."""

    def continue_seeds(self, seeds: Sequence[np.ndarray], n_samples: int, how: How) -> list[Generated]:
        """All seeds, equally long, side by side."""

    def stream(self, seed: np.ndarray, n_samples: int, how: How) -> Iterator[np.ndarray]:
        """One seed, without it, as it comes: parts of n_samples in all."""

    def watch(self) -> "Watch":
        """For one piece."""


def load_player(run_dir: Path) -> Player:
    """Whatever was trained there. RnnaudioError if nothing was."""
    kinds = checkpoint.load(checkpoint.path_in(run_dir)).record.get("config") or {}
    if "music" in kinds:
        musician = load_music(run_dir)
        if not musician.playing.scores:
            print("note: how this run plays was not chosen yet (`rnnaudio music` does at its end)", file=sys.stderr)
        return DrawingPlayer(musician)
    return DrawingPlayer(load_samples(run_dir)) if "samples" in kinds else FramesPlayer(load_run(run_dir))


class FramesPlayer:
    """A run over frames: it says the next one, and nothing is drawn."""

    def __init__(self, run: LoadedRun):
        self._run = run
        self.sample_rate_hz, self.scale, self.open_corpus = run.sample_rate_hz, run.scale, run.open_corpus

    def continue_seeds(self, seeds: Sequence[np.ndarray], n_samples: int, how: How) -> list[Generated]:
        """RnnaudioError if something is to be drawn."""
        if how != How():
            raise RnnaudioError(
                "this run says the next frame and draws nothing: leave --temperature, --top-k, --nucleus and "
                "--draw-seed out (runs of `rnnaudio music` and `rnnaudio experiment run samples` draw)"
            )
        return self._run.continue_seeds(seeds, n_samples)

    def watch(self) -> "Watch":
        return Watch(None, self.scale)

    def stream(self, seed: np.ndarray, n_samples: int, how: How) -> Iterator[np.ndarray]:
        """In one part: frames are hundreds of times faster than real time."""
        (result,) = self.continue_seeds([seed], n_samples, how)
        yield result.audio[result.n_seed :]


class Drawing(Protocol):
    """A run that draws what comes next."""

    @property
    def record(self) -> dict[str, Any]: ...

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def scale(self) -> Scale: ...

    @property
    def temperature(self) -> float:
        """Its own."""

    @property
    def limits(self) -> AliveLimits | None:
        """Of real music; None: not known."""

    def sound(
        self, seeds: Sequence[np.ndarray], n_samples: int, course: Course, *, seed: int | None, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Blocks (n_seeds, n) standardised; ``at_once``: as short ones as there are."""


class DrawingPlayer:
    """A run over codes or samples."""

    def __init__(self, run: Drawing):
        self._run = run
        self.sample_rate_hz, self.scale = run.sample_rate_hz, run.scale

    def open_corpus(self, path: Path | None = None) -> AudioCorpus:
        return open_known(self._run.record["config"]["corpus"], path)

    def continue_seeds(self, seeds: Sequence[np.ndarray], n_samples: int, how: How) -> list[Generated]:
        """A stream ends where it has been dead for ten seconds, where that is known."""
        return gathered(seeds, self._blocks(seeds, n_samples, how, at_once=False), n_samples, self.watch())

    def stream(self, seed: np.ndarray, n_samples: int, how: How) -> Iterator[np.ndarray]:
        return (block[0] for block in self._blocks([seed], n_samples, how, at_once=True))

    def watch(self) -> "Watch":
        return Watch(self._run.limits, self.scale)

    def _blocks(self, seeds: Sequence[np.ndarray], n_samples: int, how: How, *, at_once: bool) -> Iterator[np.ndarray]:
        course = how.course(self._run.temperature)
        return self._run.sound(seeds, n_samples, course, seed=how.seed, at_once=at_once)


class Watch:
    """Whether streams have died: the latest ten seconds lie outside the limits of real music, all of them."""

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
        """(n,) standardised, all that was played -> when and why it died; empty if it lives."""
        assert self._limits is not None
        rate, n = self._limits.sample_rate_hz, round(DEAD_SECONDS * self._limits.sample_rate_hz)
        latest = self._scale.restore(audio[-n:])
        if in_range(latest, rate, self._limits).fraction:
            return ""
        whole = in_range(self._scale.restore(audio), rate, self._limits).dead_from_s
        since = (len(audio) - n) / rate if whole is None else whole  # windows of the whole lie elsewhere
        return f"{alive_seconds(latest, rate, self._limits).reason}, from {since:.1f} s on"


def gathered(
    seeds: Sequence[np.ndarray], blocks: Iterator[np.ndarray], n_samples: int, watch: Watch
) -> list[Generated]:
    """Blocks (n_streams, n) put together, with progress; a stream that died is cut where that was noticed."""
    audio = np.zeros((len(seeds), n_samples), np.float32)
    ends: dict[int, tuple[int, str]] = {}
    started, n_done = time.perf_counter(), 0
    with tqdm(total=n_samples, desc="generating", unit="sample", unit_scale=True, disable=None, leave=False) as bar:
        for block in blocks:
            audio[:, n_done : n_done + block.shape[1]] = block
            n_done += block.shape[1]
            bar.update(block.shape[1])
            if watch.is_due(n_done):
                for k in set(range(len(seeds))) - set(ends):
                    reason = watch.death(audio[k, :n_done])
                    ends |= {k: (n_done, reason)} if reason else {}
            if len(ends) == len(seeds):
                break
    seconds = time.perf_counter() - started
    results = []
    for k, seed in enumerate(seeds):
        n, reason = ends.get(k, (n_samples, ""))
        results.append(Generated(np.append(seed, audio[k, :n]).astype(np.float32), len(seed), reason, seconds))
    return results
