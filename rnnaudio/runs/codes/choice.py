"""Choice of parameters and temperatures for a run over codes, by the quality of continued validation primes."""

import time
from collections.abc import Mapping, Sequence
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rnnaudio.data import AudioCorpus
from rnnaudio.metrics import AliveLimits, frechet_distance, in_range, log_mel
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


def played(run: CodesRun, primes: Sequence[np.ndarray], n_samples: int, seed: int | None = None) -> list[np.ndarray]:
    """Continue each prime; returns the continuations, (n_samples,) each, on the scale of the recording.

    primes: (n,) standardised samples each, of equal length. seed: random seed of the sampling; None: the run's own.
    """
    blocks = [block.audio for block in run.play(primes, n_samples, seed=seed)]
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

    The healthiest has the fewest continuations that die for good; among equals, a Frechet distance of log-mel frames
    to the music of :func:`reference` of at most 1.2 times the lowest; among these, the most windows within the limits
    of real music. The test split is not used. If the last validation was the best, only the last parameters are tried;
    for a codec of one stage, only the last of ``details``. The choice among what was tried so far is written to
    ``playing.json`` in the folder of the run after each setting; one that was broken off goes on from there.

    temperatures, details
        sampling temperatures to try, of the first stage and of the later stages.
    n_primes, seconds
        number of primes, and length of each continuation; None: 12, and as many seconds, from 8 to 60, as take a third
        of the training time in all, 5 minutes at most.
    """
    rate, n_primes = corpus.sample_rate_hz, n_primes or N_PRIMES
    saved = SavedRun.read(run_dir)
    config = from_dict(CodesConfig, saved.settings["music"])
    music = validation_music(corpus)
    limits, real = usable_limits(corpus, music), reference(corpus, music)
    prime_seconds = corpus.valid.prime_length(1.0)
    primes = [corpus.valid.prime_at(k, prime_seconds) for k in range(n_primes)]
    last = loaded(config, saved, "model")
    runs = {"model": last}
    if last.history and not last.history[-1]["is_best"]:
        runs = {"best": loaded(config, saved, "best"), "model": last}
    settings = list(product(runs, temperatures, details if last.codec.n_stages > 1 else details[-1:]))
    scores = [row for row in _tried_before(last.playing, n_primes) if _setting(row) in settings]
    if scores:
        seconds = scores[0]["seconds"]
    elif seconds is None:
        seconds = affordable_seconds(last, primes, limits, real, last.record["seconds"], len(settings))
    before = f", {len(scores)} of them before" if scores else ""
    print(
        f"choosing how to play: {len(settings)} settings, each by {n_primes} continuations of {seconds:.0f} s{before}",
        flush=True,
    )
    scale = training_frechet(corpus, real)
    if scale is not None:
        print(f"for comparison, the Frechet distance of training music is {scale:g}", flush=True)
    tried, playing = set(map(_setting, scores)), last.playing
    for parameters, temperature, detail in tqdm(settings, "choosing how to play", leave=False, disable=None):
        if (parameters, temperature, detail) in tried:
            continue
        run = runs[parameters].playing_as(Playing(parameters, temperature, detail, [], limits))
        sounds = played(run, primes, round(seconds * rate), SAMPLING_SEED)
        row = {"parameters": parameters, "temperature": temperature, "detail_temperature": detail}
        row |= {"primes": n_primes, "seconds": seconds}
        scores.append(row | health(sounds, rate, limits, real, [corpus.restore(prime) for prime in primes]))
        tqdm.write(_described(scores[-1], n_primes))
        untried = len(settings) - len(scores)
        playing = Playing(*_setting(healthiest(scores)), list(scores), limits, scale, untried)
        save_playing(playing, run_dir, saved.record["n_updates"])
    return playing


def _setting(row: Mapping[str, Any]) -> tuple[str, float, float]:
    """The setting that a row of scores is of."""
    return row["parameters"], row["temperature"], row["detail_temperature"]


def _tried_before(playing: Playing, n_primes: int) -> list[dict[str, Any]]:
    """The scores of a choice by ``n_primes`` that was broken off; empty if there is none."""
    return list(playing.scores) if playing.untried and playing.scores[0].get("primes") == n_primes else []


def validation_music(corpus: AudioCorpus) -> list[np.ndarray]:
    """Validation pieces, (n,) samples each on the scale of the recording, that can be measured: 1 s or longer.

    If each alone is shorter, they are joined to one: all together have 1 s, by :func:`check_corpus`.
    """
    rate = corpus.sample_rate_hz
    pieces = [p for p in corpus.valid.pieces if p.n_samples >= rate] or corpus.valid.pieces
    music = [corpus.restore(p.read(0, p.n_samples)) for p in pieces]
    return music if max(map(len, music)) >= rate else [np.concatenate(music)]


def reference(corpus: AudioCorpus, music: Sequence[np.ndarray]) -> np.ndarray:
    """Log-mel frames (time, bands) of the music that continuations are to be like.

    That is the validation ``music`` if it has a minute. A few seconds of it say little about the rest of a recording:
    then training music is added.
    """
    rate = corpus.sample_rate_hz
    frames = [log_mel(audio, rate) for audio in music]
    if sum(map(len, music)) < REFERENCE_SECONDS * rate:
        frames += _training_frames(corpus)
    return np.concatenate(frames)


def _training_frames(corpus: AudioCorpus) -> list[np.ndarray]:
    """Log-mel frames (time, bands) of the beginning of each training piece, ten minutes in all."""
    rate, pieces = corpus.sample_rate_hz, corpus.train.pieces
    n_each = max(rate, round(TRAINING_SECONDS * rate / len(pieces)))
    music = [corpus.restore(p.read(0, min(p.n_samples, n_each))) for p in pieces]
    return [log_mel(audio, rate) for audio in music if len(audio) >= rate]


def training_frechet(corpus: AudioCorpus, real: np.ndarray) -> float | None:
    """Frechet distance of training music to the frames ``real``, what other real music has; None if it is too short.

    It takes the beginning of each training piece, ten minutes in all. real: as in :func:`health`.
    """
    frames = _training_frames(corpus)
    return round(float(frechet_distance(np.concatenate(frames), real)), 2) if frames else None


def affordable_seconds(
    run: CodesRun,
    primes: Sequence[np.ndarray],
    limits: AliveLimits | None,
    real: np.ndarray,
    training_seconds: float,
    n_settings: int,
) -> float:
    """Length of the continuations, 8 to 60 s, with which all settings take a third of the training, 5 minutes at most.

    Measured on continuations of 2 s by ``run``, see :func:`health` for ``limits`` and ``real``.
    """
    rate = run.sample_rate_hz
    started = time.monotonic()
    health(played(run, primes, round(TRIAL_SECONDS * rate), SAMPLING_SEED), rate, limits, real)
    cost = (time.monotonic() - started) / TRIAL_SECONDS
    budget = min(max(SHARE_OF_TRAINING * training_seconds, LEAST_BUDGET_SECONDS), MOST_BUDGET_SECONDS)
    return round(float(min(max(budget / (cost * n_settings), LEAST_SECONDS), SECONDS)), 1)


def _described(row: Mapping[str, Any], n_primes: int) -> str:
    """Format the scores of one setting as a line of progress."""
    return (
        f"{row['parameters']} at temperature {row['temperature']:g}, detail {row['detail_temperature']:g}: "
        f"{row['dead_for_good']} of {n_primes} die, Frechet distance {row['frechet']:g}"
    )


def usable_limits(corpus: AudioCorpus, music: Sequence[np.ndarray]) -> AliveLimits | None:
    """The limits of real music; None if less than 90 % of the windows of the validation ``music`` are within them.

    music: (n,) samples of each piece, on the scale of the recording.
    """
    limits = limits_of_real_music(corpus)
    within = np.mean([in_range(audio, corpus.sample_rate_hz, limits).fraction for audio in music])
    return limits if within >= REAL_IS_WITHIN else None


def health(
    sounds: Sequence[np.ndarray],
    rate: int,
    limits: AliveLimits | None,
    real: np.ndarray,
    primes: Sequence[np.ndarray] = (),
) -> dict[str, Any]:
    """Scores of the continuations of one setting, by name: how many die, Frechet distance, share of windows in range.

    sounds: the continuations, (n,) samples each, on the scale of the recording. rate: sample rate in Hz. limits:
    limits of real music; None: no continuation counts as dead. real: log-mel frames (time, bands) as of
    :func:`reference`. primes: what each was continued from, by whose level silence is judged, as in a report; empty:
    by the music's.
    """
    pairs = zip_longest(sounds, primes)
    within = [in_range(sound, rate, limits, prime) for sound, prime in pairs] if limits else []
    frames = np.concatenate([log_mel(sound, rate) for sound in sounds])
    return {
        "dead_for_good": sum(w.dead_from_s is not None for w in within),
        "frechet": round(float(frechet_distance(frames, real)), 2),
        "in_range": round(float(np.mean([w.fraction for w in within])), 4) if within else 1.0,
    }


def healthiest(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of scores (see :func:`health`) of the healthiest setting, by the criteria of :func:`choose`."""
    fewest = min(row["dead_for_good"] for row in scores)
    alive = [row for row in scores if row["dead_for_good"] == fewest]
    nearest = min(row["frechet"] for row in alive)
    near = [row for row in alive if row["frechet"] <= FRECHET_IS_EQUAL * nearest]
    return max(near, key=lambda row: (row["in_range"], -row["frechet"]))
