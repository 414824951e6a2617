"""Endless sound of a run on the sound card, with keys for temperature, pause and end."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.card import Card
from rnnaudio.generation.sampling import Sampling, SamplingSchedule
from rnnaudio.interrupt import Interrupt
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.generate import Track, finite, watched
from rnnaudio.runs.load import load
from rnnaudio.runs.primes import Primes, check_seconds

ENDLESS = 10**15  # samples: thousands of years
CHUNK_SECONDS = 0.05  # of sound, between two looks for keys
STEP, LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.05, 0.05, 5.0
HELP = "space pauses, q ends"


class Keys(Protocol):
    """Reader of what is typed while sound plays; a context manager. ``are_read``: whether keys can come at all."""

    are_read: bool

    def __enter__(self) -> "Keys": ...
    def __exit__(self, *exception: object) -> None: ...

    def pressed(self, wait_seconds: float = 0.0) -> Sequence[str]:
        """Return the keys typed since the last call; waits for one, ``wait_seconds`` at most."""
        ...


@dataclass
class Dial:
    """A sampling temperature that can be turned while sound is generated; None for a run that samples nothing."""

    temperature: float | None

    def turn(self, steps: int) -> str:
        """Raise the temperature by ``steps`` of .05, within .05 and 5; returns what it is now, in words."""
        if self.temperature is None:
            return "this run samples nothing: it has no temperature"
        wanted = round(self.temperature + STEP * steps, 2)
        self.temperature = min(max(wanted, LEAST_TEMPERATURE), MOST_TEMPERATURE)
        return f"temperature {self.temperature:.2f}"


@dataclass(frozen=True)
class DialledSchedule(SamplingSchedule):
    """A schedule whose temperature is at all times that of a dial."""

    dial: Dial = field(default_factory=lambda: Dial(1.0))

    def at(self, share: float) -> Sampling:
        """Return the settings of now, whatever the share."""
        return Sampling(self.dial.temperature or 1.0, self.top_k, self.nucleus)


@dataclass(frozen=True)
class DialledSampling(SamplingOptions):
    """Options of sampling whose temperature is that of a dial."""

    dial: Dial = field(default_factory=lambda: Dial(1.0))

    def schedule(self, own: float) -> SamplingSchedule:
        """Make the schedule that follows the dial."""
        return DialledSchedule((own,), self.top_k, self.nucleus, self.dial)


class Pace:
    """Speed at which sound is made: ``sound_seconds`` of it in ``work_seconds``."""

    def __init__(self, sample_rate_hz: int):
        self._rate = sample_rate_hz
        self.sound_seconds = self.work_seconds = 0.0

    def timed(self, parts: Iterator[Audio]) -> Iterator[Audio]:
        """Yield the parts, (m,) samples each, and count the time that each of them takes."""
        while True:
            started = time.perf_counter()
            part = next(parts, None)
            if part is None:
                return
            self.work_seconds += time.perf_counter() - started
            self.sound_seconds += len(part) / self._rate
            yield part

    def why_gaps(self) -> str:
        """A sentence on a gap in the sound: whether the model is too slow, or something else."""
        if not self.sound_seconds:
            return "the sound had a gap in the prime: the machine is busy with something else"
        speed = self.sound_seconds / max(self.work_seconds, 1e-9)
        if speed < 1.0:
            return (
                f"the sound has gaps: the model is slower than real time, it makes {speed:.2f} s of sound a second; "
                "rnnaudio generate writes the same to a file without gaps"
            )
        return (
            f"the sound had a gap, though the model makes {speed:.1f} s of sound a second: the machine is busy with "
            "something else, or the model makes its sound in long parts"
        )


class Desk:
    """Outlet through which sound goes to the card, a little at a time; keys are obeyed in between.

    The attributes: ``is_over``, True once q was typed or ``interrupted`` is true; ``n_gaps``, the gaps so far.
    """

    def __init__(self, card: Card, keys: Keys, dial: Dial, pace: Pace, rate: int, interrupted: Callable[[], bool]):
        self._card, self._keys, self._dial, self._pace = card, keys, dial, pace
        self._n_chunk, self._interrupted = max(1, round(CHUNK_SECONDS * rate)), interrupted
        self._has_quit, self.n_gaps, self.n_played = False, 0, 0

    @property
    def is_over(self) -> bool:
        return self._has_quit or self._interrupted()

    def send(self, audio: Audio) -> None:
        """Play (n,) samples on the scale of the recording, within full scale; returns early once it is over."""
        for start in range(0, len(audio), self._n_chunk):
            self._obey(self._keys.pressed())
            if self.is_over:
                return
            chunk = audio[start : start + self._n_chunk]
            self._count(self._card.write(chunk))
            self.n_played += len(chunk)

    def _count(self, gap: bool) -> None:
        if gap and not self.n_gaps:
            _say(f"note: {self._pace.why_gaps()}")
        self.n_gaps += gap

    def _obey(self, keys: Sequence[str]) -> None:
        for key in keys:
            if key == "q":
                self._has_quit = True
            elif key in "+-":
                _say(self._dial.turn(1 if key == "+" else -1))
            elif key == " ":
                self._pause()

    def _pause(self) -> None:
        """Be silent until the space bar is hit again; the other keys are obeyed."""
        self._card.pause()
        _say("paused; space goes on")
        while not self.is_over:
            keys = list(self._keys.pressed(wait_seconds=0.1))
            if " " in keys:
                keys.remove(" ")
                self._obey(keys)
                _say("playing")
                return
            self._obey(keys)


def play(
    run_dir: Path,
    corpus: Path | None = None,
    *,
    primes: Primes,
    open_card: Callable[[int], Card],
    keys: Keys,
    sampling: SamplingOptions,
    seconds: float | None = None,
) -> str:
    """Play a prime and its continuation by the model; returns a sentence on what was played.

    It ends with the key q, after ``seconds`` of the continuation (None: never), or once the sound is no longer finite;
    on Ctrl-C KeyboardInterrupt is raised with that sentence. open_card: makes the card, given the sample rate in Hz.
    corpus: path of the run's corpus; None: where it was in training.

    RnnaudioError for options out of range, for the reasons of :func:`rnnaudio.runs.load.load` and
    :meth:`Primes.read`, and those of the card.
    """
    primes.check()
    if seconds is not None:
        check_seconds(seconds, "seconds")
    run = load(run_dir)
    rate = run.sample_rate_hz
    card = open_card(rate)
    (prime,) = primes.read(run, corpus)
    dial, pace = Dial(run.temperature), Pace(rate)
    n_samples = ENDLESS if seconds is None else max(1, round(seconds * rate))
    made = pace.timed(finite(run.stream(prime, n_samples, _dialled(run, sampling, dial))))
    parts = joined(made, round(CHUNK_SECONDS * rate))
    first = next(parts, np.empty(0, np.float32))  # wrong options raise here, and what is compiled is, before any sound
    pace.sound_seconds = pace.work_seconds = 0.0
    with card, keys, Interrupt("stopping") as interrupt:
        desk = Desk(card, keys, dial, pace, rate, lambda: bool(interrupt.reason))
        _say("\n".join(filter(None, [run.note and f"note: {run.note}", _head(run_dir, dial, keys)])))
        track = Track(run, prime, desk.send)
        for part in watched(chain((first,), parts), run.watch(prime)):
            if desk.is_over:
                break
            track.add(part)
        if not desk.is_over:
            track.end()
    text = _described(track, desk, n_samples, rate)
    if interrupt.reason:
        raise KeyboardInterrupt(text)
    return text


def joined(parts: Iterator[Audio], n_least: int) -> Iterator[Audio]:
    """Join parts, (m,) samples each, to parts of at least ``n_least`` samples; the last may be shorter."""
    waiting: list[Audio] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= n_least:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _dialled(run: LoadedRun, sampling: SamplingOptions, dial: Dial) -> SamplingOptions:
    """The options with the temperature of the dial, which is set to theirs; unchanged for a run that samples nothing.

    RnnaudioError for options out of range.
    """
    if run.temperature is None:
        return sampling
    dial.temperature = sampling.schedule(run.temperature).at(0.0).temperature
    return DialledSampling(sampling.temperatures, sampling.top_k, sampling.nucleus, sampling.seed, dial)


def _head(run_dir: Path, dial: Dial, keys: Keys) -> str:
    if not keys.are_read:
        return f"playing {run_dir}; standard input is no terminal, so there are no keys: Ctrl-C ends it"
    turns = "" if dial.temperature is None else f"+ and - turn the temperature, now {dial.temperature:.2f}; "
    return f"playing {run_dir}: {turns}{HELP}"


def _described(track: Track, desk: Desk, n_samples: int, rate: int) -> str:
    """A sentence on what was played."""
    before, _ = track.seconds
    generated = max(0.0, desk.n_played / rate - before)
    text = f"played {min(before, desk.n_played / rate):.2f} s prime + {generated:.2f} s generated"
    gaps = [f"{desk.n_gaps} {'gap' if desk.n_gaps == 1 else 'gaps'}"] if desk.n_gaps else []
    ended = [] if desk.is_over or track.n_added == n_samples else ["then the sound was no longer finite"]
    return ", ".join([text, *gaps, *ended, *track.notes])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
