"""Ablation of the training aids of a model of codes: one is removed or added at a time.

    rnnaudio experiment run music-aids [--updates 800] [--smoke]

Each variant of recipe ``codes`` is trained with one seed for the same number of updates, and measured on validation
music:

    train     bits per frame at the end of training, on training windows, with dropout
    valid     bits per frame at the end of training, on validation windows
    valid_1   the same for the first stage only, so that the variant with one stage can be compared
    held      share of first-stage codes that equal the previous one, in continuations of validation primes at
              temperatures 1 and 1.1, and in training and validation music
    frechet   Frechet distance between log-mel frames of generated sound and of the validation music, at temperatures
              1 and 1.1

The same command continues an interrupted run.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np

from experiments.shared.on_corpus import CORPUS, complete, full_or_tiny
from experiments.shared.options import Figures, Named
from experiments.shared.records import record
from rnnaudio.data import AudioCorpus
from rnnaudio.generation.sampling import SamplingSchedule
from rnnaudio.metrics import log_mel
from rnnaudio.runs.codes.choice import SAMPLING_SEED, health
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.model import encoded
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun, loaded
from rnnaudio.runs.fit import fit
from rnnaudio.runs.load import saved_recipe
from rnnaudio.runs.record import SavedRun

AIDS: dict[str, Figures] = {
    "as it is": {},
    "four transpositions": {"transpose": (-5, -2, 2, 5)},
    "no transposition": {"transpose": ()},
    "pieces apart": {"join_pieces": False},
    "gain of 6 dB": {"gain_db": 6.0},
    "input noise .15": {"input_noise": 0.15},
    "no dropout": {"dropout": 0.0},
    "own draws .25": {"own_share": 0.25},
    "two layers": {"n_layers": 2},
    "one stage of codes": {"n_stages": 1},
}
TEMPERATURES = (1.0, 1.1)


@dataclasses.dataclass(frozen=True)
class Options(Named):
    """Options of the ablation."""

    stem: ClassVar[str] = "music-aids"
    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/music-aids
    updates: int = 800
    n_seeds: int = 6
    seconds: float = 30.0  # generated from each
    smoke: bool = False  # two variants, four updates, the piano in the package; nothing is recorded


def main() -> None:
    """Train, generate, judge, record."""
    full_or_tiny(Options, {"updates": 4, "n_seeds": 1, "seconds": 2.0}, run, keep)


def keep(options: Options, figures: Figures) -> None:
    """Record the figures of a full run."""
    record(options.name, figures)


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train and measure each variant; returns the settings, and the changes and the row of each variant."""
    rows = {}
    for name, changes in list(AIDS.items())[: 2 if options.smoke else None]:
        folder = options.folder / name.replace(" ", "-")
        config = CodesConfig(max_updates=options.updates, minutes=60.0, validate_every=200, **changes)
        if options.smoke:
            config = dataclasses.replace(config, n_steps=16, batch_size=4, transpose=config.transpose[:1])
        complete(fit(CODES, config, corpus.path, folder, resume=True))
        rows[name] = judged(last_parameters(folder), corpus, options)
        print(f"{name}: {rows[name]}", flush=True)
    settings = options.settings | {"seed": CodesConfig().seed}
    return {"settings": settings, "variants": {name: AIDS[name] for name in rows}, "rows": rows}


def last_parameters(folder: Path) -> CodesRun:
    """Load the run in a folder with the parameters after its last update, not the best ones."""
    return loaded(saved_recipe(folder)[1], SavedRun.read(folder), "model")


def judged(musician: CodesRun, corpus: AudioCorpus, options: Options) -> Figures:
    """The figures of a variant, see the top of the module."""
    rate, last = corpus.sample_rate_hz, musician.record["history"][-1]
    music = [p for p in corpus.valid.pieces if p.n_samples >= rate]
    real = np.concatenate([log_mel(corpus.restore(p.read(0, p.n_samples)), rate) for p in music])
    seeds = [corpus.valid.prime_at(k, 1.0) for k in range(options.n_seeds)]
    row: Figures = {name: round(last[name], 3) for name in ("train", "valid")}
    row["valid_1"] = round(last.get("valid_bits_1", last["valid"]), 3)
    row["held_by_music"] = {
        split.name: round(float(np.mean(np.concatenate([held(c) for c in encoded(split, musician.codec)]))), 3)
        for split in (corpus.train, corpus.valid)
    }
    for temperature in TEMPERATURES:
        sampling = SamplingSchedule((temperature,))
        blocks = list(musician.coded_blocks(seeds, round(options.seconds * rate), sampling, seed=SAMPLING_SEED))
        codes = np.concatenate([block.codes for block in blocks], axis=1)
        audio = np.concatenate([block.audio for block in blocks], axis=1)
        row[f"held at {temperature}"] = round(float(np.mean([held(one) for one in codes])), 3)
        row[f"frechet at {temperature}"] = health(list(map(corpus.restore, audio)), rate, None, real)["frechet"]
    return row


def held(codes: np.ndarray) -> np.ndarray:
    """Mask (n - 1,) of the frames, from the second on, whose first-stage code equals that of the previous frame.

    codes: (n, n_stages).
    """
    return np.asarray(codes[1:, 0] == codes[:-1, 0])
