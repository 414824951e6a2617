"""All metrics of similarity to music together, relative to the training and the held-out music of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.alive import AliveLimits, alive_seconds, calibrate, in_range
from rnnaudio.metrics.likeness import Vocabulary, frechet_distance, jensen_shannon_distance, loop_score
from rnnaudio.metrics.music import onsets_per_second, pitch_class_entropy, structure
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.spectrum import log_mel
from rnnaudio.metrics.two_sample import classifier_auc, least_samples
from rnnaudio.records import Record

MOST_SECONDS = 1200.0
STRUCTURE_SECONDS = 20.0
LOOP_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Reference for all metrics, made from training music (limits, vocabulary) and unseen music (frames, excerpts).

    unseen
        log-mel frames of the unseen music, (n, 64) in dB.
    distance
        Frechet distance between the frames of the training and the unseen music. Frechet distances of sounds are
        divided by this distance, so that the training music scores 1.
    real
        excerpts of the unseen music, all equally long: one tuple per piece, empty for a piece shorter than an excerpt.
    """

    sample_rate_hz: int
    limits: AliveLimits
    vocabulary: Vocabulary
    unseen: FloatArray
    distance: float
    real: tuple[tuple[FloatArray, ...], ...]

    @classmethod
    def of(
        cls,
        training: Sequence[ArrayLike],
        unseen: Sequence[ArrayLike],
        sample_rate_hz: int,
        stretch_seconds: float,
        limits: AliveLimits | None = None,
    ) -> Yardstick:
        """Make a yardstick from training and unseen pieces of audio, (n_samples,) each, on the scale -1 to 1.

        At most 20 minutes of ``training`` are used, taken in equal parts from the middle of each piece.
        stretch_seconds: duration of the excerpts of unseen music. limits: limits of real music; None: calibrate them
        on this training music. RnnaudioError if no unseen piece is as long as an excerpt, if there are fewer training
        frames than centres of the vocabulary, and for the reasons of `log_mel`.
        """
        most = round(MOST_SECONDS * sample_rate_hz / max(1, len(training)))
        middles = [middle(np.asarray(piece, np.float64), most) for piece in training]
        trained = np.concatenate([log_mel(piece, sample_rate_hz) for piece in middles])
        new = np.concatenate([log_mel(np.asarray(piece, np.float64), sample_rate_hz) for piece in unseen])
        n = round(stretch_seconds * sample_rate_hz)
        groups = tuple(cut(np.asarray(piece, np.float64), n) for piece in unseen)
        if not any(groups):
            raise RnnaudioError(f"no unseen piece is as long as {stretch_seconds:g} s: ask for shorter excerpts")
        limits = limits or calibrate(middles, sample_rate_hz)
        distance = frechet_distance(trained, new)
        return cls(sample_rate_hz, limits, Vocabulary.learn(trained), new, distance, groups)

    def is_clean(self, audio: ArrayLike, seconds: float) -> bool:
        """True if :func:`alive_seconds` finds no death in the first ``seconds`` of the audio; raises its errors."""
        n = round(seconds * self.sample_rate_hz)
        return not alive_seconds(np.asarray(audio, np.float64)[:n], self.sample_rate_hz, self.limits).reason

    def measure(self, sounds: Sequence[ArrayLike], pieces: Sequence[int] | None = None) -> Record:
        """Compute all metrics of the sounds, (n_samples,) each; returns them by name.

        in_range and onsets are means over the sounds; pitch classes and structure are medians; alive_seconds and
        loop_score are sorted lists with one value per sound; the distances are computed over the frames of all sounds
        together. Structure is left out if any sound is shorter than 20 s.

        told_from_real is the area under the ROC curve of a classifier of these sounds against the pieces of the unseen
        music. It is left out if fewer than two sounds (or, with ``pieces``, groups of sounds), or fewer than two
        pieces, are at least 4 s long; see :meth:`auc_against_real`.

        pieces: for each sound, the number of the unseen piece it was made from, if the sounds are the unseen music
        itself (through a codec, say), so that the classifier is never tested on a piece that it was trained on.
        The sounds of one piece form a group.
        """
        rate = self.sample_rate_hz
        audio = [np.asarray(sound, np.float64) for sound in sounds]
        frames = np.concatenate([log_mel(sound, rate) for sound in audio])
        alive = [alive_seconds(sound, rate, self.limits) for sound in audio]
        within = [in_range(sound, rate, self.limits) for sound in audio]
        words = self.vocabulary.histogram
        row: Record = {
            "sounds": len(audio),
            "seconds_each": round(min(len(sound) for sound in audio) / rate, 1),
            "alive_seconds": sorted(round(a.seconds, 2) for a in alive),
            "deaths": sorted({a.reason.split(" (")[0] for a in alive if a.reason}),
            "dead_for_good": sum(w.dead_from_s is not None for w in within),
            "in_range": round(float(np.mean([w.fraction for w in within])), 4),
            "frechet_ratio": round(frechet_distance(frames, self.unseen) / self.distance, 4),
            "jensen_shannon": round(jensen_shannon_distance(words(frames), words(self.unseen)), 4),
            "onsets_per_second": round(float(np.mean([onsets_per_second(s, rate) for s in audio])), 3),
            "pitch_class_entropy": round(float(np.median([pitch_class_entropy(s, rate) for s in audio])), 3),
            "loop_score": sorted(round(most_looped(s, rate), 3) for s in audio),
        }
        if min(map(len, audio)) >= STRUCTURE_SECONDS * rate:
            rows = np.array([structure(s, rate) for s in audio])
            row |= {name: round(float(v), 3) for name, v in zip(FIELDS, np.median(rows, axis=0), strict=True)}
        area = self.auc_against_real(audio, pieces)
        return row if area is None else row | {"told_from_real": round(area, 3)}

    def auc_against_real(self, sounds: Sequence[FloatArray], pieces: Sequence[int] | None = None) -> float | None:
        """Area under the ROC curve of a classifier of these sounds against the unseen music; see `classifier_auc`.

        Sounds and excerpts shorter than a window of the classifier, about 4.1 s, are left out. Each sound is a group
        of its own or, with ``pieces`` (see :meth:`measure`), the sounds of one piece are one group, and only pieces
        with sounds are used; excerpts are grouped by piece. None if there are fewer than two groups of sounds or of
        excerpts.
        """
        long = least_samples(self.sample_rate_hz)
        if pieces is None:
            real = [stretches for stretches in self.real if stretches and len(stretches[0]) >= long]
            groups = [[sound] for sound in sounds if len(sound) >= long]
        else:  # the same pieces on both sides
            pairs = list(zip(pieces, sounds, strict=True))
            parts = {n: [sound for piece, sound in pairs if piece == n and len(sound) >= long] for n in sorted(pieces)}
            both = [n for n in parts if parts[n] and self.real[n] and len(self.real[n][0]) >= long]
            real, groups = [self.real[n] for n in both], [parts[n] for n in both]
        return classifier_auc(real, groups, self.sample_rate_hz) if min(len(real), len(groups)) >= 2 else None


def middle(audio: FloatArray, most: int) -> FloatArray:
    """The middle ``most`` samples of the audio, as a view; all samples if there are fewer."""
    start = max(0, (len(audio) - most) // 2)
    return audio[start : start + most]


def most_looped(audio: FloatArray, sample_rate_hz: int) -> float:
    """Highest :func:`loop_score` of the excerpts of 30 s into which audio (n_samples,) is cut, and of its last 30 s.

    A loop that begins late is thus detected, too. Audio of less than 30 s is scored as a whole.
    """
    n = round(LOOP_SECONDS * sample_rate_hz)
    return max(loop_score(part, sample_rate_hz) for part in (*cut(audio, n), audio[-n:]))


def cut(audio: FloatArray, n: int) -> tuple[FloatArray, ...]:
    """Cut audio (n_samples,) into adjoining excerpts (views) of n samples each; the remainder is dropped."""
    return tuple(audio[k : k + n] for k in range(0, len(audio) - n + 1, n))


FIELDS = ("beat", "beat_seconds", "chord_seconds", "key_stability", "key_clarity")
