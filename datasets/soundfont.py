"""Another instrument for the scores: the notes of a General MIDI soundfont, one a key.

TimGM6mb (Tim Brechbill, GPL 2) comes in the wheel pretty_midi 0.2.11.post0, downloaded once with pip and never
installed; tinysoundfont plays its notes. It is no extra of the package, for pip would build pyaudio with it, which it
needs for loudspeakers only and which few machines can build. A corpus of these notes stays with the user: it is not
redistributed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from steinway import LONGEST_NOTE_S, SAMPLE_RATE_HZ, Key, Wheel

from rnnaudio.errors import RnnaudioError

WHEEL = Wheel(
    "pretty_midi==0.2.11.post0",
    "pretty_midi-0.2.11.post0-py3-none-any.whl",
    "a3e2321736245a9c92259716d85a4762f16b7bde2f591fb0dba95bdb6e793d8a",
)
MEMBER = "pretty_midi/TimGM6mb.sf2"
LICENCE = "rendered from the soundfont TimGM6mb by Tim Brechbill, GPL 2; composition: public domain; score: {score}"
PROGRAMS = {"harpsichord": 6, "organ": 19, "guitar": 24, "strings": 48}  # of General MIDI, from 0
LOUD, SOFT = 127, 60  # velocities
PEAK = 0.35  # of the loudest key: as the recorded piano's


def load_keys(
    wheel: Path, instrument: str, pitches: Iterable[int], sample_rate_hz: int = SAMPLE_RATE_HZ
) -> dict[int, Key]:
    """The keys ``pitches`` (MIDI numbers) held for 12 s, struck hard, and struck gently at the same level.

    All are scaled alike, so that the loudest peaks at .35. RnnaudioError without tinysoundfont.
    """
    try:
        import tinysoundfont
    except ImportError as error:
        raise RnnaudioError(f"{instrument} needs tinysoundfont: pip install --no-deps tinysoundfont==0.3.7") from error
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)

    def struck(pitch: int, velocity: int) -> np.ndarray:
        synth = tinysoundfont.Synth(samplerate=sample_rate_hz)
        synth.program_select(0, synth.sfload(content), 0, PROGRAMS[instrument])
        synth.noteon(0, pitch, velocity)
        n = round(LONGEST_NOTE_S * sample_rate_hz)
        return np.frombuffer(synth.generate(n), np.float32).reshape(n, 2).mean(axis=1)

    notes = {pitch: (struck(pitch, LOUD), struck(pitch, SOFT)) for pitch in sorted(set(pitches))}
    loudest = max(float(np.abs(loud).max()) for loud, _ in notes.values())
    if not loudest > 0.0:
        raise RnnaudioError(f"{instrument}: the soundfont has no sound for these keys")
    keys = {}
    for pitch, (loud, soft) in notes.items():
        level = float(np.abs(loud).max()) / max(float(np.abs(soft).max()), 1e-9)
        keys[pitch] = Key(np.float32(PEAK / loudest) * loud, np.float32(PEAK / loudest * level) * soft)
    return keys
