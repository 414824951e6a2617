"""Quality of music that is coded and decoded without a model, the upper limit for any model of the codes."""

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.data.codec import Codec
from rnnaudio.generation.codes import decoded_audio
from rnnaudio.metrics import in_range
from rnnaudio.runs.codes.choice import validation_music
from rnnaudio.runs.judging import limits_of_real_music

MOST_SECONDS, MOST_PIECES = 20.0, 10  # of validation music, evenly spaced, in equal parts


def in_range_through(codec: Codec, corpus: AudioCorpus) -> tuple[float, float]:
    """Measure the share, 0 to 1, of windows of validation music within the limits of real music.

    Returns (share of the recording, share of the same music coded and decoded without a model). Windows are 1 s long.
    About 20 s are measured, the beginnings of at most ten pieces, evenly spaced. The limits are those of
    :func:`limits_of_real_music`. Both shares are NaN if no decoded piece is 1 s long.
    """
    rate, limits, music = corpus.sample_rate_hz, limits_of_real_music(corpus), validation_music(corpus)
    music = music[:: -(-len(music) // MOST_PIECES)]
    n_each = max(rate + codec.stft.window_samples, round(MOST_SECONDS * rate / len(music)))
    shares, seconds = [], []
    for whole in music:
        audio = whole[:n_each]
        coded = corpus.restore(decoded_audio(codec, codec.encode(corpus.standardise(audio))))
        if len(coded) >= rate:
            shares.append([in_range(sound, rate, limits).fraction for sound in (audio, coded)])
            seconds.append(len(audio) / rate)
    if not shares:
        return float("nan"), float("nan")
    recorded, through = np.average(shares, axis=0, weights=seconds)
    return float(recorded), float(through)
