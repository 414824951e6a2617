"""Which parameters and temperature a run over codes plays with: its health on validation seeds decides."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnaudio.app.music import Musician, Playing, load_music, save_playing
from rnnaudio.app.outcome import limits_of_real_music
from rnnaudio.data import AudioCorpus
from rnnaudio.generation.sampling import Course
from rnnaudio.metrics import MINIMUM_RATE_HZ, AliveLimits, frechet_distance, in_range, log_mel

TEMPERATURES = (0.9, 1.0, 1.1)
N_SEEDS, SECONDS = 6, 60.0
FRECHET_IS_EQUAL = 1.1  # within a tenth of the lowest: then what is within the limits of music for longest


def played(musician: Musician, seeds: Sequence[np.ndarray], n_samples: int, course: Course) -> list[np.ndarray]:
    """Each seed continued, on the scale of the recording, without the seed."""
    blocks = [block.audio for block in musician.play(seeds, n_samples, course)]
    return [musician.scale.restore(audio) for audio in np.concatenate(blocks, axis=1)]


def choose(
    run_dir: Path,
    corpus: AudioCorpus,
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    n_seeds: int = N_SEEDS,
    seconds: float = SECONDS,
) -> Playing:
    """Play both sets of parameters at each temperature from validation seeds, keep the healthiest with the run.

    Healthiest: the fewest that die for good; of these, a Frechet distance of log-mel frames to the validation music
    within a tenth of the lowest; of these, the most windows within the limits of real music. No test seed is heard.
    """
    rate = corpus.sample_rate_hz
    limits = limits_of_real_music(corpus) if rate >= MINIMUM_RATE_HZ else None
    real = np.concatenate([log_mel(corpus.restore(p.read(0, p.n_samples)), rate) for p in corpus.valid.pieces])
    seeds = [corpus.valid.seed_at(k, 1.0) for k in range(n_seeds)]
    scores = {}
    for parameters in ("best", "model"):
        musician = load_music(run_dir, parameters)
        for temperature in temperatures:
            sounds = played(musician, seeds, round(seconds * rate), Course((temperature,)))
            scores[f"{parameters} {temperature}"] = health(sounds, rate, limits, real)
    parameters, temperature_text = healthiest(scores).split()
    playing = Playing(parameters, float(temperature_text), scores, limits)
    save_playing(playing, run_dir)
    return playing


def health(
    sounds: Sequence[np.ndarray], rate: int, limits: AliveLimits | None, real: np.ndarray
) -> dict[str, float]:
    """Of what one setting played: see :func:`choose`. Without limits (a low rate) nothing dies."""
    within = [in_range(sound, rate, limits) for sound in sounds] if limits else []
    frames = np.concatenate([log_mel(sound, rate) for sound in sounds])
    return {
        "dead_for_good": sum(w.dead_from_s is not None for w in within),
        "frechet": round(float(frechet_distance(frames, real)), 2),
        "in_range": round(float(np.mean([w.fraction for w in within])), 4) if within else 1.0,
    }


def healthiest(scores: dict[str, dict[str, float]]) -> str:
    """The name of the best row."""
    fewest = min(row["dead_for_good"] for row in scores.values())
    alive = {name: row for name, row in scores.items() if row["dead_for_good"] == fewest}
    nearest = min(row["frechet"] for row in alive.values())
    near = {name: row for name, row in alive.items() if row["frechet"] <= FRECHET_IS_EQUAL * nearest}
    return max(near, key=lambda name: (near[name]["in_range"], -near[name]["frechet"]))
