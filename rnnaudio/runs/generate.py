"""Continuation of primes by a trained model, written to WAV files or standard output while it is generated."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import numpy as np

from rnnaudio.atomic import replacing
from rnnaudio.audio.levels import Level, Limiter
from rnnaudio.audio.wav import MOST_WAV_SAMPLES, WavWriter, as_pcm, wav_header
from rnnaudio.errors import RnnaudioError, forget_output
from rnnaudio.interrupt import Interrupt
from rnnaudio.runs.continuing import AS_TRAINED, LoadedRun, SamplingOptions, Watch, monitored
from rnnaudio.runs.judging import level_note, peak_note
from rnnaudio.runs.load import load
from rnnaudio.runs.packs import packed_prime, run_folder, shipped
from rnnaudio.runs.primes import Primes, check_seconds
from rnnaudio.text import in_shell, visible

BYTES_PER_SAMPLE = 2
SECONDS, SHIPPED_SECONDS = 10.0, 60.0  # by default; what comes with the package plays for minutes


class Track:
    """Writer of one stream, a prime and its continuation, with peaks limited to full scale.

    run
        converts standardised samples to the scale of the recording.
    prime
        (n,) standardised samples, which the constructor writes.
    send
        function that writes or plays (n,) samples on the scale of the recording, within full scale -1 to 1.
    """

    def __init__(self, run: LoadedRun, prime: np.ndarray, send: Callable[[np.ndarray], object]):
        self._restore, self._send, self._rate = run.scale.restore, send, run.sample_rate_hz
        self._limiter, self._prime, self._added = Limiter(run.sample_rate_hz), Level(), Level()
        self._play(prime, self._prime)

    def add(self, part: np.ndarray) -> None:
        """Write the next part of the continuation, (m,) standardised samples; the limiter holds 100 ms back."""
        self._play(part, self._added)

    def end(self) -> None:
        """Write the samples that the limiter still holds back."""
        self._send(self._limiter.flush())

    def _play(self, part: np.ndarray, level: Level) -> None:
        audio = self._restore(part)
        level.add(audio)
        self._send(self._limiter.push(audio))

    @property
    def n_added(self) -> int:
        return self._added.n_samples

    @property
    def seconds(self) -> tuple[float, float]:
        """Durations, in seconds, of the prime and of the continuation added so far."""
        return self._prime.n_samples / self._rate, self.n_added / self._rate

    @property
    def notes(self) -> list[str]:
        """Remarks for the user on limited peaks and on a change of level; [] if there are none."""
        return [*filter(None, [peak_note(self._limiter.lowest_db), level_note(self._prime.dbfs, self._added.dbfs)])]


def generate(
    run_dir: Path,
    out: Path,
    corpus: Path | None = None,
    *,
    primes: Primes,
    seconds: float | None = None,
    sampling: SamplingOptions = AS_TRAINED,
    overwrite: bool = False,
) -> str:
    """Write each prime and its continuation to a WAV file; returns a sentence on what was written.

    run_dir
        the folder of a run, a pack (:mod:`rnnaudio.runs.packs`), or the name of a model that comes with the package.
    out
        path of the file. For several primes, numbered files: ``out-1.wav``, ``out-2.wav``, ... If ``-``, a single
        prime and its continuation go to standard output, as a WAV file of known length.
    corpus
        path of the run's corpus; None: where it was in training.
    primes
        the sounds to continue; a pack has a prime of its own, which is used if neither a file nor a corpus is named.
    seconds
        length of each continuation; None: 10, or 60 for a model that comes with the package.
    sampling
        options of the sampling.
    overwrite
        True to replace existing files.

    All streams are written while they are generated, in constant memory; files are temporary until they are complete.
    On Ctrl-C, files are completed with the sound generated so far, and KeyboardInterrupt is raised with the sentence
    on what was written.

    RnnaudioError for options out of range; for files that exist (without ``overwrite``), would be too large or cannot
    be written; and the errors of :func:`rnnaudio.runs.load.load` and :meth:`Primes.read`.
    """
    primes.check()
    seconds = _default_seconds(run_dir) if seconds is None else seconds
    check_seconds(seconds, "seconds")
    is_pipe = str(out) == "-"
    if is_pipe and primes.streams > 1:
        raise RnnaudioError(
            f"--streams {primes.streams} cannot all go to standard output: name a file, or ask for one"
        )
    targets = [] if is_pipe else _targets(out, primes.streams, overwrite)
    if primes.file is not None and any(_is_same(target, primes.file) for target in targets):
        raise RnnaudioError(
            f"{out} is the file to continue, and would begin with its last part only: name another file to write"
        )
    with run_folder(run_dir) as folder:
        run = load(folder)
        sounds = primes.read(run, corpus, packed_prime(folder))
    if run.note:
        print(f"note: {visible(run.note)}", file=sys.stderr)
    n_samples = round(seconds * run.sample_rate_hz)
    if n_samples < 1:
        raise RnnaudioError(f"seconds is {seconds:g}: no sample at {run.sample_rate_hz} Hz; ask for more")
    most = MOST_WAV_SAMPLES - len(sounds[0])
    if n_samples > most:
        raise RnnaudioError(
            f"{seconds:g} s are {n_samples:.3g} samples; a WAV file holds {most} at most "
            f"({most / run.sample_rate_hz / 3600:.1f} hours): ask for less, and go on from the end of the file later "
            "(--prime-file OUT.wav --prime-start end)"
        )
    if is_pipe:
        return _stream(run, sounds[0], n_samples, sampling)
    return _write(run, targets, sounds, n_samples, sampling)


def _default_seconds(run_dir: Path) -> float:
    return SECONDS if shipped(run_dir) is None else SHIPPED_SECONDS


def _write(
    run: LoadedRun, targets: list[Path], sounds: list[np.ndarray], n_samples: int, sampling: SamplingOptions
) -> str:
    """Write all primes and continuations to their files, all files or none; returns a sentence on what was written.

    sounds: the primes, (n,) standardised samples each. KeyboardInterrupt after Ctrl-C.
    """
    monitor = run.monitor(sounds)
    with ExitStack() as stack:  # a file that cannot be written raises before generation
        places = [stack.enter_context(replacing(target)) for target in targets]
        _check_space(targets[0], len(targets) * (len(sounds[0]) + n_samples))
        files = [stack.enter_context(place.open("wb")) for place in places]
        writers = [WavWriter(file, run.sample_rate_hz) for file in files]
        tracks = [Track(run, prime, writer.write) for prime, writer in zip(sounds, writers, strict=True)]
        started = time.perf_counter()
        with Interrupt("stopping; what was played is kept") as interrupt:
            for parts in monitored(run.blocks(sounds, n_samples, sampling, at_once=False), n_samples, monitor):
                for track, part in zip(tracks, parts, strict=True):
                    track.add(part)
                if interrupt.reason:
                    break
        wall = time.perf_counter() - started
        for track, writer in zip(tracks, writers, strict=True):
            track.end()
            writer.end()
        is_whole = all(track.n_added == n_samples or k in monitor.ends for k, track in enumerate(tracks))
        if not is_whole and not any(track.n_added for track in tracks):
            raise KeyboardInterrupt("nothing was played yet, and nothing was written")
    text = _described(targets, tracks, monitor.ends, wall)
    if not is_whole:
        raise KeyboardInterrupt(f"{text}; to go on{_going_on(targets)}")
    return text


def _is_same(target: Path, file: Path) -> bool:
    return target.exists() and file.exists() and target.samefile(file)


def _going_on(targets: list[Path]) -> str:
    """Format the options of `generate` that continue the written files, as the end of a sentence."""
    options = [f"--prime-file {in_shell(target)} --prime-start end" for target in targets]
    return f": {options[0]}" if len(options) == 1 else f", one at a time: {' or '.join(options)}"


def _check_space(target: Path, n_samples: int) -> None:
    """Raise RnnaudioError if the disk of ``target`` has no room for ``n_samples`` samples of 16 bits."""
    needed, free = BYTES_PER_SAMPLE * n_samples, shutil.disk_usage(Path(os.path.realpath(target)).parent).free
    if needed > free:
        raise RnnaudioError(
            f"cannot write {target}: {needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; ask for fewer "
            "--seconds or choose another place"
        )


def _stream(run: LoadedRun, prime: np.ndarray, n_samples: int, sampling: SamplingOptions) -> str:
    """Write prime and continuation to standard output while they are generated; returns a sentence on what was played.

    prime: (n,) standardised samples. If the continuation is no longer finite, the rest is silence. If it dies
    (:class:`Watch`), a note is printed and generation goes on. RnnaudioError if standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise RnnaudioError("standard output is a terminal: send it on (| aplay, > out.wav), or name a WAV file")
    parts = watched(finite(run.stream(prime, n_samples, sampling)), run.watch(prime))
    first = next(parts, np.empty(0, np.float32))  # wrong options raise here, before anything is written
    _send(wav_header(len(prime) + n_samples, run.sample_rate_hz))
    track = Track(run, prime, lambda audio: _send(as_pcm(audio)))
    for part in chain((first,), parts):
        track.add(part)
    track.end()
    left = n_samples - track.n_added
    _send(bytes(BYTES_PER_SAMPLE * left))
    seconds = f"{left / run.sample_rate_hz:.2f} s"
    silence = [f"then {seconds} of silence, for it was no longer finite"] if left else []
    before, added = track.seconds
    return ", ".join([f"played {before:.2f} s prime + {added:.2f} s generated", *silence, *track.notes])


def _send(content: bytes) -> None:
    """Write bytes to standard output and flush; BrokenPipeError for a closed pipe, RnnaudioError for other errors."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        forget_output()
        raise RnnaudioError(
            f"cannot write to standard output: {error.strerror}; the sound is cut off there: mend this and play again"
        ) from error


def finite(parts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the parts, (m,) samples, up to the first sample that is not finite."""
    for part in parts:
        is_finite = np.isfinite(part)
        if not is_finite.all():
            yield part[: int(np.argmin(is_finite))]
            return
        yield part


def watched(parts: Iterator[np.ndarray], watch: Watch) -> Iterator[np.ndarray]:
    """Yield the parts, (m,) standardised samples, unchanged; print once to stderr when and why the stream dies."""
    is_dead = False
    for part in parts:
        if not is_dead and (death := watch.push(part)):
            print(f"note: {death}", file=sys.stderr)
            is_dead = True
        yield part


def _targets(out: Path, streams: int, overwrite: bool) -> list[Path]:
    """Return the paths of the files to write.

    RnnaudioError if ``out`` does not end in .wav, or if a file exists and ``overwrite`` is False.
    """
    if out.suffix.lower() != ".wav":
        raise RnnaudioError(f"{out}: expected a name that ends in .wav; convert the sound afterwards")
    numbered = [out.with_name(f"{out.stem}-{k + 1}{out.suffix}") for k in range(streams)]
    targets = numbered if streams > 1 else [out]
    for target in targets:
        if target.exists() and not overwrite:
            raise RnnaudioError(f"{target} exists: choose another name, or replace it with --overwrite")
    return targets


def _described(targets: list[Path], tracks: list[Track], ends: dict[int, str], wall_seconds: float) -> str:
    """Make a sentence on the written files: lengths, speed and remarks.

    ends: for each stream that ended early, the reason by the number of the stream. wall_seconds: duration of the
    generation.
    """
    added = [track.seconds[1] for track in tracks]
    several = len(tracks) > 1
    names = f"{visible(targets[0])} to {visible(targets[-1].name)}" if several else visible(targets[0])
    text = f"wrote {names}: {tracks[0].seconds[0]:.2f} s prime + {max(added):.2f} s generated"
    text += " each" if several else ""
    if sum(added):
        speed = sum(added) / wall_seconds
        text += f", {speed:.{0 if speed >= 10 else 1}f} times faster than real time"
        text += " in all" if several else ""
    for k, (target, track) in enumerate(zip(targets, tracks, strict=True)):
        stopped = [f"stopped early: {ends[k]}"] if k in ends else []
        name = f"{visible(target.name)} " if several else ""
        text += "".join(f"; {name}{note}" for note in [*stopped, *track.notes])
    return text
