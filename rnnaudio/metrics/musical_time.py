"""All measures of musical time (tempo, metre, bars, intervals, key, chords), and their ranges in real music.

A range is computed from stretches of several works. To judge whether a work of real music is in range, compute the
ranges from other works only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.bars import LEAST_SECONDS, recurrence
from rnnaudio.metrics.harmony import chord_changes, key_kept
from rnnaudio.metrics.intervals import counted, interval_distance
from rnnaudio.metrics.music import CHROMA_HOP, chroma, onset_strength, onsets_of
from rnnaudio.metrics.spectrum import HOP_SAMPLES
from rnnaudio.metrics.tempo import follow

OUTSIDE_PERCENT = 5.0  # so many of the stretches from which a range is computed are outside it


class Measure(NamedTuple):
    """Description of a measure: its name in texts, its unit, and whether low values can be out of range, too."""

    title: str
    unit: str
    has_low_limit: bool


# No tempo is too steady, and no intervals are too close to those of the music.
MEASURES: Mapping[str, Measure] = {
    "tempo_deviation": Measure("deviation of the tempo", " %", False),
    "metre_share": Measure("share of the metre", "", True),
    "bar_recurrence": Measure("recurrence of bars", "", True),
    "interval_distance": Measure("distance of the intervals between onsets", "", False),
    "key_kept": Measure("key kept over 10 s", "", True),
    "chord_changes": Measure("changes of chord", " a second", True),
}


class MusicalTime(NamedTuple):
    """Measurements of musical time on a stretch of audio; none of them needs a reference.

    tempo_deviation
        per cent, :func:`rnnaudio.metrics.tempo.tempo_deviation`.
    metre_share, bar_recurrence, bar_seconds
        :class:`rnnaudio.metrics.bars.Recurrence`: share of the metre, recurrence, and the duration of a bar.
    intervals
        histogram (24,), :func:`rnnaudio.metrics.intervals.interval_histogram`.
    key_kept, chord_changes
        :mod:`rnnaudio.metrics.harmony`.
    """

    tempo_deviation: float
    metre_share: float
    bar_recurrence: float
    bar_seconds: float
    intervals: NDArray[np.int64]
    key_kept: float
    chord_changes: float


def musical_time(audio: ArrayLike, sample_rate_hz: int) -> MusicalTime:
    """Measure a stretch of audio, (n_samples,), of 40 s or more; RnnaudioError if it is shorter.

    Also raises the errors of `log_mel` and `chroma`. Compare stretches of equal length only: the measures of shorter
    stretches vary more.
    """
    if len(np.asarray(audio)) < LEAST_SECONDS * sample_rate_hz:
        seconds = len(np.asarray(audio)) / sample_rate_hz
        raise RnnaudioError(
            f"musical time needs {LEAST_SECONDS:.0f} s of audio or more, got {seconds:.1f} s: give more"
        )
    strength, classes = onset_strength(audio, sample_rate_hz), chroma(audio, sample_rate_hz)
    tempo = follow(strength, sample_rate_hz / HOP_SAMPLES)
    bars = recurrence(strength, classes, tempo, sample_rate_hz)
    intervals, per_second = counted(onsets_of(strength, sample_rate_hz)), sample_rate_hz / CHROMA_HOP
    return MusicalTime(
        tempo.deviation_percent, bars.metre_share, bars.value, bars.bar_seconds, intervals,
        key_kept(classes, per_second), chord_changes(classes, per_second),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class MusicRanges:
    """Ranges of the measures of musical time in music, made by :meth:`of`.

    ranges
        by name of the measure, the lowest and the highest value in range; infinite where there is no limit.
    intervals
        histogram of the intervals between onsets in all the music, (24,).
    recurrence_of_shuffled, recurrence_of_music
        medians of ``bar_recurrence`` in shuffled and in real music, which :meth:`recurrence_share` maps to 0 and 1.
    """

    ranges: Mapping[str, tuple[float, float]]
    intervals: NDArray[np.int64]
    recurrence_of_shuffled: float
    recurrence_of_music: float

    @classmethod
    def of(cls, works: Sequence[Sequence[MusicalTime]], shuffled: Sequence[MusicalTime]) -> MusicRanges:
        """Make the ranges from the stretches of works of music, and from the same music with its seconds shuffled.

        works: for each work, the measurements of its stretches. shuffled: the measurements of shuffled stretches.

        A range spans the middle 95 % of a measure's values in all stretches; for a measure without a low limit, it
        spans the lowest 95 %. The intervals of a stretch are compared with those of the other works, not of its own.
        RnnaudioError if fewer than two works have stretches, if there is no shuffled stretch, or if only one work has
        intervals.
        """
        works = [work for work in works if work]
        if len(works) < 2 or not shuffled:
            raise RnnaudioError(
                f"got stretches of {len(works)} works of music and {len(shuffled)} shuffled ones; expected 2 works or "
                "more, and 1 shuffled: give more music, or shorter stretches"
            )
        by_work = [np.sum([one.intervals for one in work], axis=0) for work in works]
        every = np.sum(by_work, axis=0)
        values = [_values(one, every - own) for own, work in zip(by_work, works, strict=True) for one in work]
        ranges = {name: _range([row[name] for row in values], measure) for name, measure in MEASURES.items()}
        recurrence = [row["bar_recurrence"] for row in values]
        of_shuffled = float(np.median([one.bar_recurrence for one in shuffled]))
        return cls(ranges, every, of_shuffled, float(np.median(recurrence)))

    def values(self, stretch: MusicalTime) -> dict[str, float]:
        """Return the values of all MEASURES of a stretch by name.

        ``interval_distance`` is the distance of the stretch's histogram from :attr:`intervals`.
        """
        return _values(stretch, self.intervals)

    def outside(self, stretch: MusicalTime) -> dict[str, bool]:
        """Return, by name of the measure, True if its value for the stretch is outside its range, else False.

        Values above a range are outside just as values below it: more recurrence than in real music means a loop, not
        better music.
        """
        return {name: not low <= value <= high for name, value, (low, high) in self._rows(stretch)}

    def recurrence_share(self, stretch: MusicalTime) -> float:
        """Recurrence of bars in a stretch, on a linear scale on which shuffled music has 0 and real music 1 (medians).

        Values above 1 may still be in the range of real music, see :meth:`outside`. NaN if the recurrence of real
        music is not above that of shuffled music.
        """
        span = self.recurrence_of_music - self.recurrence_of_shuffled
        return (stretch.bar_recurrence - self.recurrence_of_shuffled) / span if span > 0.0 else math.nan

    def sentence(self, name: str, value: float) -> str:
        """Return a text that compares a value of a measure with its range: ``music 9.8 % or less, this 31 %``."""
        return f"music {self.range_in_words(name)}, this {value:.2g}{MEASURES[name].unit}"

    def range_in_words(self, name: str) -> str:
        """Return the range of a measure as text, with its unit: ``9.8 % or less``, ``0.03 to 0.2``."""
        (low, high), unit = self.ranges[name], MEASURES[name].unit
        return f"{high:.2g}{unit} or less" if math.isinf(low) else f"{low:.2g} to {high:.2g}{unit}"

    def _rows(self, stretch: MusicalTime) -> list[tuple[str, float, tuple[float, float]]]:
        return [(name, value, self.ranges[name]) for name, value in self.values(stretch).items()]


def _values(stretch: MusicalTime, reference: NDArray[np.int64]) -> dict[str, float]:
    distance = interval_distance(stretch.intervals, reference)
    return {name: distance if name == "interval_distance" else float(getattr(stretch, name)) for name in MEASURES}


def _range(values: Sequence[float], measure: Measure) -> tuple[float, float]:
    """Return the limits of the middle 95 % of the values or, for a measure without a low limit, of the lowest 95 %."""
    if not measure.has_low_limit:
        return -math.inf, float(np.percentile(values, 100.0 - OUTSIDE_PERCENT))
    low, high = np.percentile(values, [OUTSIDE_PERCENT / 2.0, 100.0 - OUTSIDE_PERCENT / 2.0])
    return float(low), float(high)
