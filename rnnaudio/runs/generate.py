"""Continue primes with a trained model, into WAV files or, during generation, to standard output."""

import io
import sys
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.atomic import replacing
from rnnaudio.audio import read_audio, resample, write_wav
from rnnaudio.audio.files import to_int16
from rnnaudio.errors import RnnaudioError, forget_output
from rnnaudio.generation import Generated
from rnnaudio.runs.continuing import AS_TRAINED, LoadedRun, SamplingOptions, Watch
from rnnaudio.runs.load import load

MOST_SAMPLES = 2**29  # 2 GiB of float32, of which writing takes several copies; a WAV file holds at most 4 GiB


class Primes(NamedTuple):
    """The sounds to continue, each ``seconds`` long.

    One prime is the beginning of ``file``; without a file, ``streams`` primes come from the test split, at positions
    ``place``, ``place`` + 1, ... of :meth:`rnnaudio.data.corpus.Split.prime_at`.
    """

    file: Path | None
    seconds: float
    place: int
    streams: int


def generate(
    run_dir: Path,
    out: Path,
    corpus: Path | None = None,
    *,
    primes: Primes,
    seconds: float,
    sampling: SamplingOptions = AS_TRAINED,
    overwrite: bool = False,
) -> str:
    """Write each prime and its continuation of ``seconds`` to a WAV file; return a sentence on what was written.

    One stream goes to ``out``, several to numbered files: ``out-1.wav``, ``out-2.wav``, ... If ``out`` is ``-``, one
    stream goes to standard output as a WAV of known length, part by part as it is generated. corpus: path of the run's
    corpus; None: where it was in training.

    RnnaudioError for options out of range, files that exist (without ``overwrite``) or cannot be written, and the
    reasons of :func:`rnnaudio.runs.load.load`.
    """
    _check(primes, seconds)
    is_pipe = str(out) == "-"
    if is_pipe and primes.streams > 1:
        raise RnnaudioError(
            f"--streams {primes.streams} cannot all go to standard output: name a file, or ask for one"
        )
    targets = [] if is_pipe else _targets(out, primes.streams, overwrite)
    run = load(run_dir)
    if run.note:
        print(f"note: {run.note}", file=sys.stderr)
    sounds = _standardised(run, primes, corpus)
    n_samples = round(seconds * run.sample_rate_hz)
    if n_samples * len(sounds) > MOST_SAMPLES:
        raise RnnaudioError(
            f"{len(sounds)} x {seconds:g} s are {n_samples * len(sounds):.2g} samples; expected {MOST_SAMPLES} at "
            f"most ({MOST_SAMPLES / run.sample_rate_hz / 3600:.0f} hours) at a time: ask for less"
        )
    if is_pipe:
        return _stream(run, sounds[0], n_samples, sampling)
    rate = run.sample_rate_hz
    with ExitStack() as stack:  # all files or none; a file that cannot be written raises before generation
        places = [stack.enter_context(replacing(target)) for target in targets]
        results = run.continue_primes(sounds, n_samples, sampling)
        audio = [run.scale.restore(result.audio) for result in results]
        n_clipped = sum(write_wav(place, sound, rate) for place, sound in zip(places, audio, strict=True))
    return _described(targets, results, rate) + (f"; {n_clipped} samples clipped" if n_clipped else "")


def _stream(run: LoadedRun, prime: np.ndarray, n_samples: int, sampling: SamplingOptions) -> str:
    """Write prime and continuation to standard output, each part once it is generated; return a sentence on them.

    A stream that ends early is padded with silence.
    """
    if sys.stdout.isatty():
        raise RnnaudioError("standard output is a terminal: send it on (| aplay, > out.wav), or name a WAV file")
    rate, n_played = run.sample_rate_hz, 0
    parts = watched(run.stream(prime, n_samples, sampling), n_samples, run.watch())
    first = next(parts)  # wrong options raise here, before anything is written
    _send(wav_header(len(prime) + n_samples, rate))
    for part in chain((prime, first), parts):
        n_played += len(part)
        _send(to_int16(run.scale.restore(part)).astype("<i2").tobytes())
    left = len(prime) + n_samples - n_played
    _send(bytes(2 * left))
    silence = f", then {left / rate:.2f} s of silence, for it was no longer finite" if left else ""
    return f"played {len(prime) / rate:.2f} s prime + {(n_samples - left) / rate:.2f} s generated{silence}"


def _send(content: bytes) -> None:
    """Write to standard output at once. RnnaudioError if that fails, but BrokenPipeError if the pipe is closed."""
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


def watched(parts: Iterator[np.ndarray], n_samples: int, watch: Watch) -> Iterator[np.ndarray]:
    """Yield the parts, (m,) standardised samples, unchanged; once the sound has died, print when and why to stderr.

    n_samples: number of samples of all parts together.
    """
    played, n_played, is_dead = np.zeros(n_samples, np.float32), 0, False
    for part in parts:
        played[n_played : n_played + len(part)] = part
        n_played += len(part)
        if not is_dead and watch.is_due(n_played) and (death := watch.death(played[:n_played])):
            print(f"note: {death}", file=sys.stderr)
            is_dead = True
        yield part


def wav_header(n_samples: int, rate: int) -> bytes:
    """The header of a WAV file with ``n_samples`` samples of 16-bit mono PCM at ``rate`` Hz."""
    header = io.BytesIO()
    with wave.open(header, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.setnframes(n_samples)
        file.writeframesraw(b"")
        return header.getvalue()


def _check(primes: Primes, seconds: float) -> None:
    for name, value in (("seconds", seconds), ("prime_seconds", primes.seconds)):
        if not 0 < value < float("inf"):
            raise RnnaudioError(f"{name} is {value}; expected more than 0 and less than infinity")
    if primes.place < 0:
        raise RnnaudioError(f"prime_index is {primes.place}; expected 0 or more")
    if primes.streams < 1:
        raise RnnaudioError(f"streams is {primes.streams}; expected 1 or more")
    if primes.file is not None and primes.streams > 1:
        raise RnnaudioError(
            f"--streams {primes.streams} from one --prime-file would all sound the same: leave one of the two out "
            "(without a file each stream has its own place in the corpus' test split)"
        )


def _targets(out: Path, streams: int, overwrite: bool) -> list[Path]:
    """Paths of the files to write; RnnaudioError if a name is not .wav, or a file exists and ``overwrite`` is off."""
    if out.suffix.lower() != ".wav":
        raise RnnaudioError(f"{out}: expected a name that ends in .wav; convert the sound afterwards")
    numbered = [out.with_name(f"{out.stem}-{k + 1}{out.suffix}") for k in range(streams)]
    targets = numbered if streams > 1 else [out]
    for target in targets:
        if target.exists() and not overwrite:
            raise RnnaudioError(f"{target} exists: choose another name, or replace it with --overwrite")
    return targets


def _standardised(run: LoadedRun, primes: Primes, corpus: Path | None) -> list[np.ndarray]:
    """Read the primes, (n,) standardised samples each, from their file or the test split."""
    if primes.file is not None:
        return [_beginning(run, primes.file, primes.seconds)]
    with run.open_corpus(corpus) as opened:
        seconds = opened.test.prime_length(primes.seconds)
        if seconds < primes.seconds:
            print(f"note: no test piece has {primes.seconds:g} s: the prime has {seconds:.3g} s", file=sys.stderr)
        return [opened.test.prime_at(primes.place + k, seconds) for k in range(primes.streams)]


def _beginning(run: LoadedRun, path: Path, seconds: float) -> np.ndarray:
    """The first ``seconds`` of an audio file at the rate and on the scale of the run's corpus.

    RnnaudioError if the file is shorter or cannot be read.
    """
    audio, rate = read_audio(path)
    if rate != run.sample_rate_hz:
        print(f"note: {path} has {rate} Hz, the run {run.sample_rate_hz} Hz: it is resampled", file=sys.stderr)
        audio, rate = resample(audio, rate, run.sample_rate_hz), run.sample_rate_hz
    n_prime = round(seconds * rate)
    if len(audio) < n_prime:
        raise RnnaudioError(
            f"{path} has {len(audio) / rate:.3g} s of sound ({len(audio)} samples at {rate} Hz), the prime is to have "
            f"{seconds:g} s: take a longer file or a lower --prime-seconds"
        )
    if not np.any(audio[:n_prime]):
        print(f"note: {path} begins with silence: what follows is the model alone", file=sys.stderr)
    return run.scale.standardise(audio[:n_prime])


def _described(targets: list[Path], results: list[Generated], rate: int) -> str:
    n_new = [len(result.audio) - result.n_prime for result in results]
    several = len(results) > 1
    names = f"{targets[0]} to {targets[-1].name}" if several else f"{targets[0]}"
    text = f"wrote {names}: {results[0].n_prime / rate:.2f} s prime + {max(n_new) / rate:.2f} s generated"
    text += " each" if several else ""
    if sum(n_new):
        speed = sum(n_new) / rate / results[0].seconds
        text += f", {speed:.{0 if speed >= 10 else 1}f} times faster than real time"
        text += " in all" if several else ""
    for target, result in zip(targets, results, strict=True):
        name = f"{target.name} " if several else ""
        text += f"; {name}stopped early: {result.stopped}" if result.stopped else ""
    return text
