"""Endless sound of a run on the sound card, with keys that change the temperature, pause and end."""

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
from rnnaudio.runs.packs import packed_prime, run_folder
from rnnaudio.runs.primes import Primes, check_seconds
from rnnaudio.text import visible

ENDLESS = 10**15  # samples: thousands of years
CHUNK_SECONDS = 0.05  # of sound, between two looks for keys
STEP, LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.05, 0.05, 5.0
HELP = "space pauses, q ends"


class Keys(Protocol):
    """Protocol of a reader of the keys pressed while sound plays; a context manager.

    ``are_read``: False if no keys can be read, since standard input is not a terminal.
    """

    are_read: bool

    def __enter__(self) -> "Keys": ...
    def __exit__(self, *exception: object) -> None: ...

    def pressed(self, wait_seconds: float = 0.0) -> Sequence[str]:
        """Return the keys pressed since the last call; if there are none, wait for one for up to ``wait_seconds``."""
        ...


@dataclass
class Dial:
    """A sampling temperature that can be changed while sound is generated; None for a run that does not sample."""

    temperature: float | None

    def turn(self, steps: int) -> str:
        """Raise the temperature by .05 times ``steps``, which may be negative; returns a phrase with the new value.

        The temperature stays between .05 and 5.
        """
        if self.temperature is None:
            return "this run samples nothing: it has no temperature"
        wanted = round(self.temperature + STEP * steps, 2)
        self.temperature = min(max(wanted, LEAST_TEMPERATURE), MOST_TEMPERATURE)
        return f"temperature {self.temperature:.2f}"


@dataclass(frozen=True)
class DialledSchedule(SamplingSchedule):
    """A sampling schedule whose temperature is always that of a dial."""

    dial: Dial = field(default_factory=lambda: Dial(1.0))

    def at(self, share: float) -> Sampling:
        """Return the sampling settings with the current temperature of the dial; ``share`` has no effect."""
        return Sampling(self.dial.temperature or 1.0, self.top_k, self.nucleus)


@dataclass(frozen=True)
class DialledSampling(SamplingOptions):
    """Options of sampling whose temperature is always that of a dial."""

    dial: Dial = field(default_factory=lambda: Dial(1.0))

    def schedule(self, own: float) -> SamplingSchedule:
        """Make the sampling schedule that follows the dial; ``own``, the run's temperature, has no effect on it."""
        return DialledSchedule((own,), self.top_k, self.nucleus, self.dial)


class Pace:
    """Timer of the generation of sound.

    Attributes: ``sound_seconds``, the length of the sound so far; ``work_seconds``, the time that its generation took.
    """

    def __init__(self, sample_rate_hz: int):
        self._rate = sample_rate_hz
        self.sound_seconds = self.work_seconds = 0.0

    def timed(self, parts: Iterator[Audio]) -> Iterator[Audio]:
        """Yield the parts, (m,) samples each, and add up their lengths and the time that their generation takes."""
        while True:
            started = time.perf_counter()
            part = next(parts, None)
            if part is None:
                return
            self.work_seconds += time.perf_counter() - started
            self.sound_seconds += len(part) / self._rate
            yield part

    def why_gaps(self) -> str:
        """Make a sentence on the cause of a gap in the sound: the model is too slow, or the machine was busy."""
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
    """Player that sends sound to the card in chunks of 50 ms and reads the keys before each chunk.

    card, keys, dial, pace
        the sound card; the reader of keys; the temperature that keys change; the speed of generation, to explain gaps.
    rate
        sample rate in Hz.
    interrupted
        function that returns True once the program was asked to end, as by Ctrl-C.

    Attributes: ``is_over``, True once q was pressed or the program was asked to end; ``n_gaps``, the number of gaps in
    the sound so far; ``n_played``, the number of samples played.
    """

    def __init__(self, card: Card, keys: Keys, dial: Dial, pace: Pace, rate: int, interrupted: Callable[[], bool]):
        self._card, self._keys, self._dial, self._pace = card, keys, dial, pace
        self._n_chunk, self._interrupted = max(1, round(CHUNK_SECONDS * rate)), interrupted
        self._has_quit, self.n_gaps, self.n_played = False, 0, 0

    @property
    def is_over(self) -> bool:
        return self._has_quit or self._interrupted()

    def send(self, audio: Audio) -> None:
        """Play (n,) samples on the scale of the recording, within full scale; returns early if ``is_over``."""
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
        """Keep silent until the space bar is pressed again or ``is_over``; the other keys keep their effect."""
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
    """Play a prime and its continuation on the sound card; returns a sentence on what was played.

    run_dir
        the folder of a run, a pack, or the name of a model that comes with the package.
    corpus
        path of the run's corpus; None: where it was in training.
    primes
        the prime to continue, a single one; a pack has a prime of its own.
    open_card
        function (sample rate in Hz) -> sound card.
    keys
        reader of the keys that pause, end, or change the temperature.
    sampling
        options of the sampling. Only the first of its temperatures is used, until keys change it.
    seconds
        length of the continuation; None: endless.

    Playing ends when q is pressed, after ``seconds``, or once the sound is no longer finite. On Ctrl-C,
    KeyboardInterrupt is raised with the sentence on what was played.

    RnnaudioError for options out of range, if the sound card fails, and the errors of :func:`rnnaudio.runs.load.load`
    and :meth:`Primes.read`.
    """
    primes.check()
    if seconds is not None:
        check_seconds(seconds, "seconds")
    with run_folder(run_dir) as folder:
        run = load(folder)
        card = open_card(run.sample_rate_hz)
        (prime,) = primes.read(run, corpus, packed_prime(folder))
    rate = run.sample_rate_hz
    dial, pace = Dial(run.temperature), Pace(rate)
    n_samples = ENDLESS if seconds is None else max(1, round(seconds * rate))
    made = pace.timed(finite(run.stream(prime, n_samples, _dialled(run, sampling, dial))))
    parts = joined(made, round(CHUNK_SECONDS * rate))
    first = next(parts, np.empty(0, np.float32))  # errors are raised and code is compiled here, before any sound
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
    """Join successive parts, (m,) samples each, to parts of at least ``n_least`` samples; the last may be shorter."""
    waiting: list[Audio] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= n_least:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _dialled(run: LoadedRun, sampling: SamplingOptions, dial: Dial) -> SamplingOptions:
    """Set the dial to the first temperature of the options; returns options that follow the dial.

    For a run that does not sample, the options are returned unchanged. RnnaudioError for options out of range.
    """
    if run.temperature is None:
        return sampling
    dial.temperature = sampling.schedule(run.temperature).at(0.0).temperature
    return DialledSampling(sampling.temperatures, sampling.top_k, sampling.nucleus, sampling.seed, dial)


def _head(run_dir: Path, dial: Dial, keys: Keys) -> str:
    if not keys.are_read:
        return f"playing {visible(run_dir)}; standard input is no terminal, so there are no keys: Ctrl-C ends it"
    turns = "" if dial.temperature is None else f"+ and - turn the temperature, now {dial.temperature:.2f}; "
    return f"playing {visible(run_dir)}: {turns}{HELP}"


def _described(track: Track, desk: Desk, n_samples: int, rate: int) -> str:
    """Make a sentence on what was played: lengths of prime and continuation, gaps, and remarks."""
    before, _ = track.seconds
    generated = max(0.0, desk.n_played / rate - before)
    text = f"played {min(before, desk.n_played / rate):.2f} s prime + {generated:.2f} s generated"
    gaps = [f"{desk.n_gaps} {'gap' if desk.n_gaps == 1 else 'gaps'}"] if desk.n_gaps else []
    ended = [] if desk.is_over or track.n_added == n_samples else ["then the sound was no longer finite"]
    return ", ".join([text, *gaps, *ended, *track.notes])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
