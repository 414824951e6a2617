"""The codes recipe's part of a report: bits per frame, chosen temperatures, and the recording through the codec."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.diagnostics.rules_music import CODED_LESS, in_words_coded
from rnnaudio.generation.codes import decoded_audio
from rnnaudio.runs.codes.batches import objective, validation_windows
from rnnaudio.runs.codes.beat import ABOUT as ABOUT_BEAT
from rnnaudio.runs.codes.beat import BEAT, beat_rows
from rnnaudio.runs.codes.ceiling import in_range_through
from rnnaudio.runs.codes.choice import FRECHET_IS_EQUAL, REFERENCE_SECONDS
from rnnaudio.runs.codes.playing import Playing
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.judging import Sound
from rnnaudio.runs.recipe import Page
from rnnaudio.training.step import Evaluation

ABOUT = (
    "Every few hundredths of a second a spectrum becomes one of some codes; the model gives the probabilities of the "
    "next code, and one is sampled. 'The codec alone' is the recording through the same codes: no model of them can "
    "sound better."
)
CHOICE = "Played from validation primes"
RULE = (
    "What was tried, each setting by continuations of the same validation primes, and how one was chosen: the fewest "
    "that die for good; among equals, a Frechet distance of at most "
    f"{FRECHET_IS_EQUAL:g} times the lowest, since another sampling may differ as much; among these, the highest "
    "share in range. Parameters: best, those of the lowest validation loss, or model, the last ones. dead_for_good: "
    "how many continuations end in two seconds or more of silence, noise, a held sound or a loop. frechet: the "
    "distance of their log-mel spectra from those of validation music, lower is more alike{scale}; it is left out if "
    f"there are less than {REFERENCE_SECONDS:g} s of that. in_range: the share of all windows of a second without "
    "such a fault."
)


def codes_page(run: CodesRun, corpus: AudioCorpus, sound: Sound) -> Page:
    """Make a run's part of the report: bits per frame, the chosen setting, and the recording through the codec."""
    codec, playing = run.codec, run.playing
    bits, guess = valid_bits(run, corpus), round(codec.n_stages * math.log2(codec.n_codes), 2)
    figure = "never validated" if bits is None else f"{bits} bits a frame of validation music"
    recorded, coded = in_range_through(codec, corpus)
    spoilt = f" Here that is not much: {in_words_coded(recorded, coded)}." if recorded - coded > CODED_LESS else ""
    beat = _beat(run, corpus, sound)
    stretch = corpus.standardise(np.concatenate([sound.prime, sound.original]))
    return Page(
        title=f"Music over {codec.n_codes} codes",
        figure=f"{figure} ({_lowest(run, bits)}a guess among all codes: {guess})",
        about=ABOUT + spoilt,
        summary={
            "codes": codec.n_codes,
            "share_of_variance_lost_by_the_codec": round(codec.lost, 3),
            "validation_music_in_range": _rounded(recorded),
            "validation_music_in_range_coded": _rounded(coded),
            "valid_bits_a_frame": bits,
            "bits_of_a_guess": guess,
            "parameters": playing.parameters,
            "limits_known": playing.limits is not None if playing.scores else None,
            "temperature": playing.temperature,
            "detail_temperature": playing.detail_temperature,
            **({"beat": beat} if beat else {}),
        },
        tables={**({BEAT: beat} if beat else {}), **({CHOICE: score_rows(playing)} if playing.scores else {})},
        sounds={"codec alone": corpus.restore(decoded_audio(codec, codec.encode(stretch)))},
        explanations={CHOICE: RULE.format(scale=_scale(playing)), **({BEAT: ABOUT_BEAT} if beat else {})},
        last_loss=None if playing.parameters == "best" else bits,
    )


def _lowest(run: CodesRun, bits: float | None) -> str:
    """Return a remark on the lowest validation loss, if it is below that of the parameters played; else empty."""
    lowest = run.best_validation_loss
    if bits is None or lowest is None or not round(lowest, 3) < bits:
        return ""
    return f"the last parameters, which it plays with; the lowest was {lowest:.3f}; "


def _rounded(share: float) -> float | None:
    """Round a share to .001; None if it is not finite (it could not be measured), as JSON has no NaN."""
    return round(share, 3) if math.isfinite(share) else None


def _beat(run: CodesRun, corpus: AudioCorpus, sound: Sound) -> Sequence[dict[str, Any]]:
    """Make rows on the beat of the continuation and of the recording; empty without long-term prediction."""
    if run.model.long_term is None:
        return []
    sounds = {"generated": sound.generated, "original": sound.original}
    prime = corpus.standardise(sound.prime)
    return beat_rows(run.codec, prime, {name: corpus.standardise(audio) for name, audio in sounds.items()})


def score_rows(playing: Playing) -> list[dict[str, Any]]:
    """Make the table rows with the scores of all settings tried; the column ``chosen`` marks the chosen one."""
    chosen = {name: getattr(playing, name) for name in ("parameters", "temperature", "detail_temperature")}
    return [
        {**row, "chosen": "yes" if all(row.get(name) == value for name, value in chosen.items()) else ""}
        for row in playing.scores
    ]


def _scale(playing: Playing) -> str:
    """Return a remark with the Frechet distance of training music, for comparison; empty if not measured."""
    distance = playing.training_frechet
    return "" if distance is None else f" (for comparison: that of training music is {distance:g})"


def valid_bits(run: CodesRun, corpus: AudioCorpus) -> float | None:
    """Return the validation loss, in bits per frame, of the parameters that the run generates with.

    It is taken from the run's history. If the run generates with its latest parameters, and these have not been
    validated, it is measured. None if the run was never validated.
    """
    plays_last = run.playing.parameters != "best"
    if run.history and plays_last and run.history[-1]["updates"] != run.record["n_updates"]:
        windows = validation_windows(run.config, run.codec, corpus.valid)
        (bits, *_) = Evaluation(run.model, objective(run.config))(windows).values()
        return round(bits, 3)
    rows = [row for row in run.history if row["is_best"] or plays_last]
    return round(rows[-1]["valid"], 3) if rows else None
