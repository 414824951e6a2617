"""The part of the report on a run over codes: bits per frame, chosen temperatures, and sound of the codec alone."""

import math

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.generation.codes import decoded_audio
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.judging import Sound
from rnnaudio.runs.recipe import Page

ABOUT = (
    "Every few hundredths of a second a spectrum becomes one of some codes; the model gives the probabilities of the "
    "next code, and one is sampled. 'The codec alone' is the recording through the same codes: no model of them can "
    "sound better."
)


def codes_page(run: CodesRun, corpus: AudioCorpus, sound: Sound) -> Page:
    """Make a run's part of the report: bits per frame, the chosen setting, and the recording through the codec."""
    codec, playing = run.codec, run.playing
    bits, guess = valid_bits(run), round(codec.n_stages * math.log2(codec.n_codes), 2)
    figure = "never validated" if bits is None else f"{bits} bits a frame of validation music"
    stretch = corpus.standardise(np.concatenate([sound.prime, sound.original]))
    return Page(
        title=f"Music over {codec.n_codes} codes",
        figure=f"{figure} (a guess among all codes: {guess})",
        about=ABOUT,
        summary={
            "codes": codec.n_codes,
            "share_of_variance_lost_by_the_codec": round(codec.lost, 3),
            "valid_bits_a_frame": bits,
            "bits_of_a_guess": guess,
            "parameters": playing.parameters,
            "limits_known": playing.limits is not None if playing.scores else None,
            "temperature": playing.temperature,
            "detail_temperature": playing.detail_temperature,
        },
        tables={"Played from validation primes": playing.scores} if playing.scores else {},
        sounds={"codec alone": corpus.restore(decoded_audio(codec, codec.encode(stretch)))},
    )


def valid_bits(run: CodesRun) -> float | None:
    """Validation loss, in bits per frame, of the parameters that generate; None if never validated."""
    rows = [row for row in run.history if row["is_best"] or run.playing.parameters != "best"]
    return round(rows[-1]["valid"], 3) if rows else None
