"""Metrics that need only NumPy and SciPy: prediction error, survival of a free run, similarity to real music."""

from rnnaudio.metrics.alive import (
    Alive,
    AliveLimits,
    InRange,
    alive_seconds,
    calibrate,
    in_range,
    limits_of_all_music,
)
from rnnaudio.metrics.bars import Recurrence, bar_recurrence
from rnnaudio.metrics.intervals import interval_distance, interval_histogram
from rnnaudio.metrics.likeness import Corpus, Vocabulary, frechet_distance, jensen_shannon_distance, loop_score
from rnnaudio.metrics.music import Structure, chroma, onsets_per_second, onsets_seconds, pitch_class_entropy, structure
from rnnaudio.metrics.musical_time import MusicalTime, MusicRanges
from rnnaudio.metrics.prediction import decibel, in_decibel, normalised_mse, scores_in_decibel
from rnnaudio.metrics.spectrum import MINIMUM_RATE_HZ, N_MEL_BANDS, log_mel
from rnnaudio.metrics.tempo import Tempo, tempo_deviation
from rnnaudio.metrics.two_sample import area_under_curve, classifier_auc

__all__ = [
    "MINIMUM_RATE_HZ",
    "N_MEL_BANDS",
    "Alive",
    "AliveLimits",
    "Corpus",
    "InRange",
    "MusicRanges",
    "MusicalTime",
    "Recurrence",
    "Structure",
    "Tempo",
    "Vocabulary",
    "alive_seconds",
    "area_under_curve",
    "bar_recurrence",
    "calibrate",
    "chroma",
    "classifier_auc",
    "decibel",
    "frechet_distance",
    "in_decibel",
    "in_range",
    "interval_distance",
    "interval_histogram",
    "jensen_shannon_distance",
    "limits_of_all_music",
    "log_mel",
    "loop_score",
    "normalised_mse",
    "onsets_per_second",
    "onsets_seconds",
    "pitch_class_entropy",
    "scores_in_decibel",
    "structure",
    "tempo_deviation",
]
