"""Toy problems: sounds that are easy to learn, and the loss that a model must reach on each of them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.data.demo import embedded_recordings

RATE_HZ = 16_000
PART = (3.0 - math.sqrt(5.0)) / 2.0  # 0.382 periods: far from 0, 1/2 and 1, and irrational; see _near
NOTE_SECONDS = 0.25
SCALE_HZ = (262.0, 294.0, 330.0, 349.0, 392.0, 440.0, 494.0, 523.0)

Sounds = tuple[np.ndarray, np.ndarray]


class ToyProblem(NamedTuple):
    """A sound that is easy to learn, and the loss that a model must reach on it.

    sound
        function (frame_size, n_samples) -> (training audio, validation audio), each (n,) samples at 16 kHz, where n
        grows with ``n_samples``.
    pass_share, max_updates, why
        the problem is passed if, within ``max_updates``, the validation loss falls to ``pass_share`` times the loss of
        a model that has learnt nothing; ``why`` is the reason for this share.
    by_design
        names of causes that a diagnosis finds because of the problem, not because of the settings; they are not
        reported.
    """

    name: str
    sound: Callable[[int, int], tuple[np.ndarray, np.ndarray]]
    pass_share: float
    max_updates: int
    why: str
    by_design: tuple[str, ...] = ()


def _near(frequency_hz: float, frame_size: int, part: float) -> float:
    """Return a frequency near ``frequency_hz``, in cycles per sample: per frame, a whole number of periods + ``part``.

    So neither a frame nor its negative equals the next frame, whatever the frame size. With an irrational ``part`` no
    frame ever recurs, so no validation window equals a training window.
    """
    return (round(frequency_hz * frame_size / RATE_HZ) + part) / frame_size


def _sine(frame_size: int, n_samples: int) -> Sounds:
    return _halves(_tone(440.0, frame_size, PART, n_samples))


def _two_sines(frame_size: int, n_samples: int) -> Sounds:
    return _halves(_tone(440.0, frame_size, PART, n_samples) + _tone(620.0, frame_size, PART**1.5, n_samples))


def _tone(frequency_hz: float, frame_size: int, part: float, n_samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * _near(frequency_hz, frame_size, part) * np.arange(2 * n_samples))


def _chirp(frame_size: int, n_samples: int) -> Sounds:
    """Make a sweep from 220 Hz to 880 Hz and back, once for training and once, with other phases, for validation."""
    frequency_hz = 550.0 - 330.0 * np.cos(2 * np.pi * np.arange(2 * n_samples) / n_samples)
    return _halves(np.sin(2 * np.pi * np.cumsum(frequency_hz) / RATE_HZ))


def _clip(frame_size: int, n_samples: int) -> Sounds:
    """Return two seconds of piano, the same for training and validation, repeated if windows are longer."""
    load: Any = next(recording.load for recording in embedded_recordings() if recording.split == "train")
    audio, rate = load()
    clip = np.resize(audio[rate : 3 * rate], max(n_samples // 2, 2 * rate))
    return clip, clip


def _halves(audio: np.ndarray) -> Sounds:
    first, second = np.split(audio, 2)
    return first, second


TONES = "a linear predictor makes no error here, silence one of 0 dB"
FEW_SOUNDS = ("shifted-batch",)  # all windows of a tone are linear combinations of two, in any batch

PROBLEMS = (
    ToyProblem("sine", _sine, 0.1, 200, TONES, FEW_SOUNDS),
    ToyProblem("two sines", _two_sines, 0.1, 300, TONES, FEW_SOUNDS),
    ToyProblem(
        "chirp", _chirp, 0.4, 600,
        "one linear predictor for all pitches comes to -1.9 dB in frames of 200 samples", FEW_SOUNDS,
    ),
    ToyProblem(
        "one clip", _clip, 0.25, 600,
        "it is judged by what it trains on, two seconds of piano to know by heart",
        (*FEW_SOUNDS, "validation-is-training"),
    ),
)  # fmt: skip


def _notes(pitches_hz: tuple[float, ...], n_samples: int) -> Sounds:
    """Make decaying notes in a fixed order, repeated; the validation audio begins at the second note."""
    n_note = round(NOTE_SECONDS * RATE_HZ)
    t = np.arange(n_note) / RATE_HZ
    notes = [sum(np.sin(2 * np.pi * k * f * t) / k for k in (1, 2, 3)) * np.exp(-6.0 * t) for f in pitches_hz]
    once = np.concatenate(notes)
    again = np.concatenate([*notes[1:], notes[0]])
    return np.resize(once, n_samples), np.resize(again, n_samples)


def _two_notes(frame_size: int, n_samples: int) -> Sounds:
    return _notes((262.0, 440.0), 4 * n_samples)


def _scale(frame_size: int, n_samples: int) -> Sounds:
    return _notes(SCALE_HZ, 4 * n_samples)


NOTES = "which code comes next follows from those before it, but for the moment of the next note"
MELODIES = (
    ToyProblem("two notes", _two_notes, 0.2, 300, NOTES),
    ToyProblem("scale", _scale, 0.15, 600, NOTES),
    ToyProblem(
        "one clip", _clip, 0.3, 600, "it is judged by what it trains on, two seconds of piano to know by heart",
        ("validation-is-training",),
    ),
)  # fmt: skip
SHARES_OF_BITS = (0.5, 0.5, 0.5, 0.9)
WAVES = tuple(p._replace(pass_share=share) for p, share in zip(PROBLEMS, SHARES_OF_BITS, strict=True))
