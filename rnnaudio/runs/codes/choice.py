"""Choice of parameters and temperatures for a run of recipe ``codes``, by the quality of its continuations.

The continuations start from primes in the validation music. A setting is a triple of parameters (``best`` or
``model``) and two sampling temperatures.
"""

import math
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
from rnnaudio.runs.codes import budget
from rnnaudio.runs.codes.budget import Budget, Plan, affordable, budget_seconds, spread
from rnnaudio.runs.codes.config import CodesConfig, prime_seconds
from rnnaudio.runs.codes.playing import AS_LEARNT, Playing, save_playing
from rnnaudio.runs.codes.run import CodesRun, loaded
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.judging import limits_of_real_music
from rnnaudio.runs.record import SavedRun

TEMPERATURES, DETAIL_TEMPERATURES = (1.0, 1.05, 1.1, 1.15, 1.2), (0.9, 1.0)
N_PRIMES = 12
TRAINING_SECONDS, REFERENCE_SECONDS = 600.0, 60.0
SAMPLING_SEED = 1  # not the runs' own, which is kept for measuring them afterwards
FRECHET_IS_EQUAL = 1.2  # distances up to this multiple of the lowest are equal: another sampling may differ as much
REAL_IS_WITHIN = 0.9  # limits that exclude more than a tenth of the validation music do not suit this corpus
NO_GUIDE = (
    "note: more than a tenth of the validation music itself is outside the limits of real music, and it is too short "
    "for its spectra to be compared: nothing tells settings apart, and the run plays as it has learnt; listen, and "
    "choose by ear: rnnaudio generate --temperature"
)
SETTING = ("parameters", "temperature", "detail_temperature")
Setting: TypeAlias = tuple[str, float, float]  # the values of these entries of a row of scores


def played(run: CodesRun, primes: Sequence[np.ndarray], n_samples: int, seed: int | None = None) -> list[np.ndarray]:
    """Continue each prime; return the continuations, (n_samples,) each, on the scale of the recording.

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
    """Continue validation primes with best and last parameters at all temperatures; return the healthiest setting.

    See :func:`healthiest` for the criteria. Test and training music have no influence. If the last validation was the
    best, only the last parameters are tried; for a codec of one stage, only the last of ``details``. After each
    setting, the choice among the settings tried so far is written to ``playing.json`` in the run's folder. An
    interrupted choice is continued from this file if the number and length of the continuations are the same.

    Unless ``seconds`` is given, the choice takes no longer than :func:`rnnaudio.runs.codes.budget.budget_seconds`: it
    follows the plan of :func:`~rnnaudio.runs.codes.budget.affordable`, and ends when the time is up. If there is no
    time for two settings, there is no choice: the run plays with its last parameters at temperature 1. If the
    validation music is unfit for comparisons (:func:`usable_limits` and :func:`reference` both return None), only the
    first setting is tried.

    temperatures, details
        sampling temperatures to try, of the codec's first stage and of its later stages.
    n_primes
        number of primes; None: 12, or fewer if time is short.
    seconds
        length of each continuation in seconds; None: the length in an interrupted choice or, if there is none, the
        longest for which there is time.
    """
    saved = SavedRun.read(run_dir)
    runs = _candidates(saved)
    last = runs["model"]
    asked = last.config.minutes, last.record["seconds"], last.config.choice_minutes
    time_left = Budget(math.inf if seconds else budget_seconds(*asked))
    music = validation_music(corpus)
    limits, real = usable_limits(corpus, music), reference(music, corpus.sample_rate_hz)
    length = corpus.valid.prime_length(prime_seconds(last.config))
    primes = [corpus.valid.prime_at(k, length) for k in range(n_primes or N_PRIMES)]
    settings = list(product(runs, temperatures, details if last.codec.n_stages > 1 else details[-1:]))
    if limits is None and real is None:
        print(NO_GUIDE, flush=True)
        settings = [AS_LEARNT]
    before = [row for row in _tried_before(last.playing, n_primes, real is not None) if _setting(row) in settings]
    scale = training_frechet(corpus, real)
    plan = _planned(before, seconds, len(primes), len(settings)) or _affordable(
        last, Trial(primes, budget.TRIAL_SECONDS, limits, real), time_left, len(settings)
    )
    scores = [row for row in before if (row["primes"], row["seconds"]) == plan[1:]]
    print(_announced(len(settings), len(scores), plan, scale, real is not None), flush=True)
    tried = {_setting(row) for row in scores}
    trial = Trial(primes[: plan.n_primes], plan.seconds, limits, real)
    left = [setting for setting in settings if setting not in tried]
    rows = trial.rows(runs, spread(left, plan.n_settings - len(scores)), time_left)
    playing = Playing(*AS_LEARNT, [], limits, scale, len(settings))
    for so_far in filter(None, accumulate(([row] for row in rows), initial=scores)):  # first what was tried before
        playing = Playing(*_setting(healthiest(so_far)), so_far, limits, scale, len(settings) - len(so_far))
        save_playing(playing, run_dir, saved.record["n_updates"])
    if playing.scores:
        print(f"chosen: {_in_words(playing, last.codec.n_stages > 1)}", flush=True)
    else:
        save_playing(playing, run_dir, saved.record["n_updates"])
    return playing


def _planned(before: Sequence[Mapping[str, Any]], seconds: float | None, n_primes: int, n: int) -> Plan | None:
    """Plan to try ``n`` settings, by continuations of ``seconds`` or as in an interrupted choice.

    before: the rows of scores of the interrupted choice; number and length of its continuations are kept. None if
    neither ``seconds`` nor rows are given.
    """
    if seconds:
        return Plan(n, n_primes, seconds)
    return Plan(n, before[0]["primes"], before[0]["seconds"]) if before else None


def _affordable(run: CodesRun, trial: "Trial", time_left: Budget, n_settings: int) -> Plan:
    """Plan the trials for which there is time, after measuring the time that continuations of 2 s take.

    For this measurement, the primes of ``trial`` are continued, only 3 of them if time is short. If no time is left,
    no setting is tried.
    """
    primes, rate = trial.primes, run.sample_rate_hz
    if time_left.left < budget.AMPLE_SECONDS:
        primes = primes[: budget.LEAST_PRIMES]
    began = time.monotonic()
    if time_left.left > 0.0:
        sounds = played(run, primes, round(trial.seconds * rate), SAMPLING_SEED)
        health(sounds, rate, trial.limits, trial.real)
    cost = max(time.monotonic() - began, 1e-9) / (trial.seconds * len(primes))
    return affordable(budget.PLANNED_SHARE * time_left.left, cost, n_settings, len(trial.primes))


def _in_words(playing: Playing, has_details: bool) -> str:
    which = {"best": "of the lowest validation loss", "model": "of the last update"}[playing.parameters]
    detail = f", {playing.detail_temperature:g} for the later stages" if has_details else ""
    return f"the parameters {which} at temperature {playing.temperature:g}{detail}"


def _candidates(saved: SavedRun) -> dict[str, CodesRun]:
    """Load a run with its ``best`` and its last (``model``) parameters; only the last if they are the best."""
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

    def rows(
        self, runs: Mapping[str, CodesRun], settings: Sequence[Setting], time_left: Budget
    ) -> Iterator[dict[str, Any]]:
        """Try the settings in turn, while there is time; yield and print a row for each.

        A row is the setting and its scores (:func:`health`). runs: the run loaded with its best parameters
        (``best``) and with its last ones (``model``); ``best`` may be missing if no setting names it.
        """
        in_time = time_left.while_it_lasts(settings)
        for parameters, temperature, detail in bar(in_time, "choosing how to play", total=len(settings)):
            run = runs[parameters].playing_as(Playing(parameters, temperature, detail, [], self.limits))
            row = self._row(run)
            tqdm.write(_described(row))
            yield row

    def _row(self, run: CodesRun) -> dict[str, Any]:
        """Return a setting and its scores as one row; ``run`` plays with this setting."""
        rate = run.sample_rate_hz
        sounds = played(run, self.primes, round(self.seconds * rate), SAMPLING_SEED)
        before = [run.scale.restore(prime) for prime in self.primes]
        setting = {name: getattr(run.playing, name) for name in SETTING}
        tried_by = {"primes": len(self.primes), "seconds": self.seconds}
        return setting | tried_by | health(sounds, rate, self.limits, self.real, before)


def _announced(n_settings: int, n_before: int, plan: Plan, scale: float | None, is_compared: bool) -> str:
    """Describe, for the user, which settings are to be tried, and how.

    n_settings: number of all settings. n_before: number of those already tried. scale: the result of
    :func:`training_frechet`. is_compared: True if Frechet distances are measured.
    """
    if not plan.n_settings:
        return (
            "there is no time to choose how to play, which takes a third of the training time at most: the run plays "
            "as it has learnt, at temperature 1"
        )
    n = f"{n_settings} settings" if plan.n_settings == n_settings else f"{plan.n_settings} of {n_settings} settings"
    before = f", {n_before} of them before" if n_before else ""
    text = f"choosing how to play: {n}, each by {plan.n_primes} continuations of {plan.seconds:.0f} s{before}"
    if not is_compared:
        text += (
            f"\nless than {REFERENCE_SECONDS:.0f} s of validation music: what is alive is chosen by the share in "
            "range, not by Frechet distance"
        )
    elif scale is not None:
        text += f"\nfor comparison, the Frechet distance of training music is {scale:g}"
    return text


def _setting(row: Mapping[str, Any]) -> Setting:
    """Return the setting to which a row of scores belongs."""
    return row["parameters"], row["temperature"], row["detail_temperature"]


def _tried_before(playing: Playing, n_primes: int | None, is_compared: bool) -> list[dict[str, Any]]:
    """Return the rows of scores of an interrupted choice; empty if there is none that can be continued.

    n_primes: number of continuations that each row must have; None: any. is_compared: True if the rows must have a
    Frechet distance, False if they must have none.
    """
    rows = playing.scores if playing.untried else []
    whole = [row for row in rows if row.keys() >= {*SETTING, "seconds", "dead_for_good", "in_range"}]
    like = [row for row in whole if "primes" in row and ("frechet" in row) == is_compared]
    return [row for row in like if n_primes in (None, row["primes"])]


def validation_music(corpus: AudioCorpus) -> list[np.ndarray]:
    """Read the validation pieces that are 1 s or longer, (n,) samples each on the scale of the recording.

    If all pieces are shorter, they are joined into one; its length is at least 1 s, as
    :func:`~rnnaudio.runs.codes.model.check_corpus` requires.
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
    """Measure the Frechet distance between log-mel frames of training music and ``real``, those of validation music.

    It uses the beginning of each training piece, about ten minutes in all. real: the result of :func:`reference`. None
    if ``real`` is None, or all training pieces are shorter than 1 s.
    """
    rate, pieces = corpus.sample_rate_hz, corpus.train.pieces
    n_each = max(rate, round(TRAINING_SECONDS * rate / len(pieces)))
    long = [p for p in pieces if p.n_samples >= rate]
    if real is None or not long:
        return None
    frames = [log_mel(corpus.restore(p.read(0, min(p.n_samples, n_each))), rate) for p in long]
    return round(float(frechet_distance(np.concatenate(frames), real)), 2)


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

    They suit if, on average over the pieces, at least 90 % of the windows of a piece are within them. music: (n,)
    samples of each piece, on the scale of the recording.
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

    Candidates are the rows with the fewest continuations that die for good. If all candidates have a Frechet distance,
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
