"""Choice of parameters and temperatures for a run of recipe ``codes``, by the quality of its continuations.

The continuations start from primes in the validation music. A setting is a choice of parameters (``best`` or
``model``) and two sampling temperatures.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, product, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from tqdm import tqdm

from rnnaudio.data import AudioCorpus
from rnnaudio.metrics import AliveLimits, frechet_distance, in_range, log_mel
from rnnaudio.progress import bar
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.playing import Playing, save_playing
from rnnaudio.runs.codes.run import CodesRun, loaded
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.judging import limits_of_real_music
from rnnaudio.runs.record import SavedRun

TEMPERATURES, DETAIL_TEMPERATURES = (1.0, 1.05, 1.1, 1.15, 1.2), (0.9, 1.0)
N_PRIMES, SECONDS = 12, 60.0
TRAINING_SECONDS, REFERENCE_SECONDS = 600.0, 60.0
LEAST_SECONDS, TRIAL_SECONDS = 8.0, 2.0
SHARE_OF_TRAINING, MOST_BUDGET_SECONDS, LEAST_BUDGET_SECONDS = 1 / 3, 300.0, 20.0
SAMPLING_SEED = 1  # not the runs' own, which is kept for measuring them afterwards
FRECHET_IS_EQUAL = 1.2  # distances up to this multiple of the lowest are equal: another sampling may differ as much
REAL_IS_WITHIN = 0.9  # limits that exclude more than a tenth of the validation music do not suit this corpus
SETTING = ("parameters", "temperature", "detail_temperature")
Setting: TypeAlias = tuple[str, float, float]  # the values of these entries of a row of scores


def played(run: CodesRun, primes: Sequence[np.ndarray], n_samples: int, seed: int | None = None) -> list[np.ndarray]:
    """Continue each prime; returns the continuations, (n_samples,) each, on the scale of the recording.

    primes: (n,) standardised samples each, of equal length. seed: random seed of the sampling; None: the run's own.
    """
    blocks = [block.audio for block in run.coded_blocks(primes, n_samples, seed=seed)]
    return [run.scale.restore(audio) for audio in np.concatenate(blocks, axis=1)]


def choose(
    run_dir: Path,
    corpus: AudioCorpus,
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    details: Sequence[float] = DETAIL_TEMPERATURES,
    n_primes: int | None = None,
    seconds: float | None = None,
) -> Playing:
    """Continue validation primes with best and last parameters at all temperatures; returns the healthiest setting.

    See :func:`healthiest` for the criteria. Neither the test split nor training music decides. If the last validation
    was the best, only the last parameters are tried; for a codec of one stage, only the last of ``details``. After
    each setting, the choice among the settings tried so far is written to ``playing.json`` in the run's folder. A
    choice that was broken off is continued from this file if number and length of the continuations are the same.

    temperatures, details
        sampling temperatures to try, of the codec's first stage and of its later stages.
    n_primes
        number of primes; None: 12.
    seconds
        length of each continuation in seconds; None: the length in a choice that was broken off or, if there is none,
        the result of :func:`affordable_seconds`.
    """
    n_primes = n_primes or N_PRIMES
    saved = SavedRun.read(run_dir)
    music = validation_music(corpus)
    limits, real = usable_limits(corpus, music), reference(music, corpus.sample_rate_hz)
    prime_seconds = corpus.valid.prime_length(1.0)
    primes = [corpus.valid.prime_at(k, prime_seconds) for k in range(n_primes)]
    runs = _candidates(saved)
    last = runs["model"]
    settings = list(product(runs, temperatures, details if last.codec.n_stages > 1 else details[-1:]))
    before = [row for row in _tried_before(last.playing, n_primes, real is not None) if _setting(row) in settings]
    if seconds is None:
        seconds = before[0]["seconds"] if before else None
    if seconds is None:
        seconds = affordable_seconds(last, primes, limits, real, last.record["seconds"], len(settings))
    scores = [row for row in before if row["seconds"] == seconds]
    scale = training_frechet(corpus, real)
    print(_announced(len(settings), len(scores), n_primes, seconds, scale, real is not None), flush=True)
    tried = {_setting(row) for row in scores}
    trial = Trial(primes, seconds, limits, real)
    rows = trial.rows(runs, [setting for setting in settings if setting not in tried])
    for so_far in filter(None, accumulate(([row] for row in rows), initial=scores)):  # first what was tried before
        playing = Playing(*_setting(healthiest(so_far)), so_far, limits, scale, len(settings) - len(so_far))
        save_playing(playing, run_dir, saved.record["n_updates"])
    print(f"chosen: {_in_words(playing, last.codec.n_stages > 1)}", flush=True)
    return playing


def _in_words(playing: Playing, has_details: bool) -> str:
    which = {"best": "of the lowest validation loss", "model": "of the last update"}[playing.parameters]
    detail = f", {playing.detail_temperature:g} for the later stages" if has_details else ""
    return f"the parameters {which} at temperature {playing.temperature:g}{detail}"


def _candidates(saved: SavedRun) -> dict[str, CodesRun]:
    """A run with its best and its last parameters, by their names; with the last alone if they are the best."""
    config = from_dict(CodesConfig, saved.settings["music"])
    last = loaded(config, saved, "model")
    if last.history and not last.history[-1]["is_best"]:
        return {"best": loaded(config, saved, "best"), "model": last}
    return {"model": last}


class Trial(NamedTuple):
    """Primes and references with which settings are tried.

    primes
        validation primes, (n,) standardised samples each.
    seconds
        length of each continuation in seconds.
    limits, real
        limits of real music and log-mel frames with which the continuations are compared; see :func:`health`.
    """

    primes: Sequence[np.ndarray]
    seconds: float
    limits: AliveLimits | None
    real: np.ndarray | None

    def rows(self, runs: Mapping[str, CodesRun], settings: Sequence[Setting]) -> Iterator[dict[str, Any]]:
        """Try the settings in turn; yields and prints a row for each: the setting and its scores (:func:`health`).

        runs: the run with each of the parameters, under the names ``best`` and ``model``.
        """
        for parameters, temperature, detail in bar(settings, "choosing how to play"):
            run = runs[parameters].playing_as(Playing(parameters, temperature, detail, [], self.limits))
            row = self._row(run)
            tqdm.write(_described(row))
            yield row

    def _row(self, run: CodesRun) -> dict[str, Any]:
        """The scores of a run with the setting with which it plays."""
        rate = run.sample_rate_hz
        sounds = played(run, self.primes, round(self.seconds * rate), SAMPLING_SEED)
        before = [run.scale.restore(prime) for prime in self.primes]
        setting = {name: getattr(run.playing, name) for name in SETTING}
        tried_by = {"primes": len(self.primes), "seconds": self.seconds}
        return setting | tried_by | health(sounds, rate, self.limits, self.real, before)


def _announced(
    n_settings: int, n_before: int, n_primes: int, seconds: float, scale: float | None, is_compared: bool
) -> str:
    """Lines on what is about to be tried, and by what; scale: as :func:`training_frechet` returns it."""
    before = f", {n_before} of them before" if n_before else ""
    text = f"choosing how to play: {n_settings} settings, each by {n_primes} continuations of {seconds:.0f} s{before}"
    if not is_compared:
        text += (
            f"\nless than {REFERENCE_SECONDS:.0f} s of validation music: what is alive is chosen by the share in "
            "range, not by Frechet distance"
        )
    elif scale is not None:
        text += f"\nfor comparison, the Frechet distance of training music is {scale:g}"
    return text


def _setting(row: Mapping[str, Any]) -> Setting:
    """The setting that a row of scores is of."""
    return row["parameters"], row["temperature"], row["detail_temperature"]


def _tried_before(playing: Playing, n_primes: int, is_compared: bool) -> list[dict[str, Any]]:
    """The scores of a choice by ``n_primes`` that was broken off; empty if there is none.

    is_compared: whether they are to have a Frechet distance.
    """
    rows = playing.scores if playing.untried else []
    whole = [row for row in rows if row.keys() >= {*SETTING, "seconds", "dead_for_good", "in_range"}]
    return [row for row in whole if row.get("primes") == n_primes and ("frechet" in row) == is_compared]


def validation_music(corpus: AudioCorpus) -> list[np.ndarray]:
    """Read the validation pieces that are 1 s or longer, (n,) samples each on the scale of the recording.

    If all pieces are shorter, they are joined to one; together they have at least 1 s, as ``check_corpus`` requires.
    """
    rate = corpus.sample_rate_hz
    pieces = [p for p in corpus.valid.pieces if p.n_samples >= rate] or corpus.valid.pieces
    music = [corpus.restore(p.read(0, p.n_samples)) for p in pieces]
    return music if max(map(len, music)) >= rate else [np.concatenate(music)]


def reference(music: Sequence[np.ndarray], rate: int) -> np.ndarray | None:
    """Compute the log-mel frames (time, bands) of the validation ``music``, with which continuations are compared.

    music: (n,) samples each, 1 s or longer. rate: sample rate in Hz. None if the music is shorter than a minute in
    all: a few seconds of a recording differ from the rest of it by more than the settings differ from each other.
    """
    if sum(map(len, music)) < REFERENCE_SECONDS * rate:
        return None
    return np.concatenate([log_mel(audio, rate) for audio in music])


def training_frechet(corpus: AudioCorpus, real: np.ndarray | None) -> float | None:
    """Frechet distance between log-mel frames of training music and ``real``, the frames of validation music.

    It uses the beginning of each training piece, about ten minutes in all. real: the result of :func:`reference`.
    None if ``real`` is None, or all training pieces are shorter than 1 s.
    """
    rate, pieces = corpus.sample_rate_hz, corpus.train.pieces
    n_each = max(rate, round(TRAINING_SECONDS * rate / len(pieces)))
    long = [p for p in pieces if p.n_samples >= rate]
    if real is None or not long:
        return None
    frames = [log_mel(corpus.restore(p.read(0, min(p.n_samples, n_each))), rate) for p in long]
    return round(float(frechet_distance(np.concatenate(frames), real)), 2)


def affordable_seconds(
    run: CodesRun,
    primes: Sequence[np.ndarray],
    limits: AliveLimits | None,
    real: np.ndarray | None,
    training_seconds: float,
    n_settings: int,
) -> float:
    """Length in seconds, 8 to 60, of the continuations for which trying ``n_settings`` settings takes a given time.

    This time is a third of ``training_seconds``, but at least 20 s and at most 5 minutes. It is estimated by timing
    continuations of ``primes`` by 2 s with ``run``. limits, real: see :func:`health`.
    """
    rate = run.sample_rate_hz
    started = time.monotonic()
    health(played(run, primes, round(TRIAL_SECONDS * rate), SAMPLING_SEED), rate, limits, real)
    cost = (time.monotonic() - started) / TRIAL_SECONDS
    budget = min(max(SHARE_OF_TRAINING * training_seconds, LEAST_BUDGET_SECONDS), MOST_BUDGET_SECONDS)
    return round(float(min(max(budget / (cost * n_settings), LEAST_SECONDS), SECONDS)), 1)


def _described(row: Mapping[str, Any]) -> str:
    """Format the scores of one setting as a line of progress."""
    likeness = (
        f"Frechet distance {row['frechet']:g}" if "frechet" in row else f"{100 * row['in_range']:.1f} % in range"
    )
    return (
        f"{row['parameters']} at temperature {row['temperature']:g}, detail {row['detail_temperature']:g}: "
        f"{row['dead_for_good']} of {row['primes']} die, {likeness}"
    )


def usable_limits(corpus: AudioCorpus, music: Sequence[np.ndarray]) -> AliveLimits | None:
    """Compute the limits of real music; None if they do not suit the validation ``music`` of the corpus.

    They suit if, on average over the pieces, at least 90 % of the windows are within them. music: (n,) samples of each
    piece, on the scale of the recording.
    """
    limits = limits_of_real_music(corpus)
    within = np.mean([in_range(audio, corpus.sample_rate_hz, limits).fraction for audio in music])
    return limits if within >= REAL_IS_WITHIN else None


def health(
    sounds: Sequence[np.ndarray],
    rate: int,
    limits: AliveLimits | None,
    real: np.ndarray | None,
    primes: Sequence[np.ndarray] = (),
) -> dict[str, Any]:
    """Compute the scores of the continuations of one setting, by name.

    dead_for_good
        number of continuations that die and do not recover.
    frechet
        Frechet distance of the log-mel frames of all continuations to ``real``.
    in_range
        share of windows within ``limits``, mean over the continuations.

    sounds: the continuations, (n,) samples each, on the scale of the recording. rate: sample rate in Hz. limits:
    limits of real music; None: no continuation counts as dead, and in_range is 1. real: the result of
    :func:`reference`; None: frechet is left out. primes: the prime of each continuation, on the same scale; silence is
    judged relative to its level, as in a report; empty: relative to the median level in ``limits``.
    """
    pairs = zip_longest(sounds, primes)
    within = [in_range(sound, rate, limits, prime) for sound, prime in pairs] if limits else []
    scores: dict[str, Any] = {"dead_for_good": sum(w.dead_from_s is not None for w in within)}
    if real is not None:
        frames = np.concatenate([log_mel(sound, rate) for sound in sounds])
        scores["frechet"] = round(float(frechet_distance(frames, real)), 2)
    return scores | {"in_range": round(float(np.mean([w.fraction for w in within])), 4) if within else 1.0}


def healthiest(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of scores (see :func:`health`) of the healthiest setting.

    Candidates are the rows with the fewest continuations that die for good. If all of these have a Frechet distance,
    only those with at most 1.2 times the lowest distance are kept. Of the rest, the row with the largest share of
    windows in range wins; among equals, the one with the lowest Frechet distance, then the first one.
    """
    fewest = min(row["dead_for_good"] for row in scores)
    alive = [row for row in scores if row["dead_for_good"] == fewest]
    if not all("frechet" in row for row in alive):
        return max(alive, key=lambda row: float(row["in_range"]))
    nearest = min(row["frechet"] for row in alive)
    near = [row for row in alive if row["frechet"] <= FRECHET_IS_EQUAL * nearest]
    return max(near, key=lambda row: (row["in_range"], -row["frechet"]))
