"""Report rows on the beat of continuations, which is measured as in a run with long-term prediction."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnaudio.data.code_past import BeatReader, SequencePast
from rnnaudio.data.codec import Codec

BEAT = "The beat"
ABOUT = (
    "The run predicts from the frames that stood one, two and four periods of the beat before. period_seconds: of "
    "the surest candidate, median over the sound after the prime, as it is known at each time from the ten seconds "
    "before; none: no beat was found. confidence: height of the peak in the autocorrelation of the onset strength, 0 "
    "to 1, the same median; 0 means no beat. with_a_beat: the share of the time in which there is one."
)


def beat_of(codec: Codec, prime: np.ndarray, sound: np.ndarray) -> dict[str, Any]:
    """Measure the beat of a sound that follows a prime, (n,) standardised samples each; return a row of the report.

    Its keys are ``period_seconds``, ``confidence`` and ``with_a_beat``, explained in :data:`ABOUT`; all are None for a
    sound of less than a quarter of a second. Prime and sound together must be at least a window of the codec long.
    """
    reader, hop = BeatReader(codec), codec.stft.hop_samples
    pulse = SequencePast(codec.encode(np.concatenate([prime, sound])), reader).pulse
    first = max(0, (len(prime) - codec.stft.window_samples) // hop + 1) // reader.finder.every
    period, confidence = pulse.period[first:, 0], pulse.confidence[first:, 0]
    found = period[confidence > 0.0]
    return {
        "period_seconds": round(float(np.median(found)) / reader.finder.frames_per_second, 3) if len(found) else None,
        "confidence": round(float(np.median(confidence)), 3) if len(confidence) else None,
        "with_a_beat": round(len(found) / len(confidence), 3) if len(confidence) else None,
    }


def beat_rows(codec: Codec, prime: np.ndarray, sounds: Mapping[str, np.ndarray]) -> Sequence[dict[str, Any]]:
    """Make a row (:func:`beat_of`) for each of the sounds that continue a prime, (n,) standardised samples each."""
    return [{"sound": name, **beat_of(codec, prime, sound)} for name, sound in sounds.items()]
