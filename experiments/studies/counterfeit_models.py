"""What models of this package really play when they are hardly trained, and what it is by simple independent measures.

The label of a sound is never made by the detectors that are tried on it: silence by its rms against the prime's, noise
by its spectral flatness, loops and steady tones by the autocorrelation of its energy in octave bands.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal

from experiments.studies.counterfeit_corpora import Corpus
from experiments.studies.counterfeit_sounds import RATE_HZ
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.sources import Samples
from rnnaudio.data import AudioCorpus, build_corpus
from rnnaudio.data.corpus_build import Recording
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive, alive_seconds
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.records import Record
from rnnaudio.runs.continuing import AS_TRAINED, LoadedRun, SamplingOptions
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import limits_of_pieces
from rnnaudio.runs.load import load
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.settings import chosen
from rnnaudio.training import checkpoint

TRAINED_ON = ("piano", "speech")  # beginnings of names of corpora
N_PRIMES, PRIME_SECONDS = 4, 1.0
SETTLED_SECONDS, LABELLED_SECONDS = 3.0, 5.0  # of a continuation: not looked at, and labelled and judged
DEAD_WITHIN_SECONDS = 3.0
SILENT_DB, LOUD_DB = -35.0, 12.0  # rms against that of the prime
NOISY_FLATNESS = 0.3  # white noise .56, coloured noise within an octave likewise; notes below .1
PERIODIC = 0.98  # autocorrelation of the energies in octave bands, in dB
EVEN_DB, STEADY_DB = 3.0, 1.0  # standard deviation over time: noise .8, speech, as flat at times, 12; tones less
LAGS_SECONDS = 0.16, 2.0
OCTAVES_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 7900.0)
RIGHT = {
    "silent": ("silence",), "loud": ("loudness", "clipping"), "noise": ("noise",), "steady": ("standstill", "loop"),
    "loop": ("loop", "standstill"),
}  # fmt: skip


class Model(NamedTuple):
    """A preset, for how many updates it is trained, and what differs when it plays."""

    preset: str
    max_updates: int
    generation_noise: bool = False
    sampling: SamplingOptions = AS_TRAINED


MODELS = {
    "gru of 2016": Model("gru-2016", 100),
    "lstm": Model("lstm", 150),
    "lstm, noise fed back": Model("lstm", 150, generation_noise=True),
    "codes, the most likely": Model("music", 100, sampling=SamplingOptions(top_k=1)),
    "codes, sampled": Model("music", 100),
}


class Played(NamedTuple):
    """A stretch of a continuation: who played it after which corpus, what it is, and the verdict on it."""

    model: str
    corpus: str
    label: str
    alive: Alive


def played_by_models(corpora: Sequence[Corpus], folder: Path, max_updates: int | None) -> Iterator[Played]:
    """Train the models on some of the corpora, and judge what they play. max_updates: None: those of each model."""
    folder.mkdir(parents=True, exist_ok=True)
    for corpus in corpora:
        if corpus.name.startswith(TRAINED_ON):
            path = _built(corpus, folder / f"{corpus.name}.h5")
            for name, model in MODELS.items():
                run = trained(model, path, folder / f"{corpus.name} {model.preset}", max_updates)
                yield from (Played(name, corpus.name, *found) for found in _judged(run, model, path))


def _built(corpus: Corpus, path: Path) -> Path:
    """A corpus file of all pieces, each once."""
    pieces = {id(piece): piece for fold in corpus.folds for part in fold for piece in part}
    recordings = [Recording(f"{k}", "", "", None, _loader(piece)) for k, piece in enumerate(pieces.values())]
    return path if path.exists() else build_corpus(recordings, path, progress=False).path


def _loader(piece: Samples) -> Callable[[], tuple[Audio, int]]:
    return lambda: (piece.read(0, piece.n_samples), RATE_HZ)


def trained(model: Model, path: Path, run_dir: Path, max_updates: int | None) -> LoadedRun:
    """Train a model on a corpus, or go on where that was broken off; RnnaudioError for a run of more updates."""
    recipe, config = chosen(preset=model.preset)
    config = dataclasses.replace(config, max_updates=max_updates or model.max_updates, validate_every=50)
    done = updates_done(run_dir)
    if done > config.max_updates:
        raise RnnaudioError(
            f"{run_dir} has had {done} updates, expected {config.max_updates}: delete it, or name another --run-dir"
        )
    if done < config.max_updates:  # none yet, or broken off
        fit(recipe_named(recipe), config, path, run_dir, resume=checkpoint.path_in(run_dir).exists())
    run = load(run_dir)
    if hasattr(run.config, "generation_noise"):
        run = dataclasses.replace(run, config=dataclasses.replace(run.config, generation_noise=model.generation_noise))
    return run


def updates_done(run_dir: Path) -> int:
    """How many updates the run in a folder has had; 0 if there is none, even if its training was begun."""
    return SavedRun.read(run_dir).record["n_updates"] if checkpoint.path_in(run_dir).exists() else 0


def _judged(run: LoadedRun, model: Model, path: Path) -> Iterator[tuple[str, Alive]]:
    """Label and verdict of each continuation."""
    with AudioCorpus.open(path) as corpus:
        limits = limits_of_pieces(corpus.train.pieces, RATE_HZ, corpus.restore)
        primes = [corpus.test.prime_at(k, corpus.test.prime_length(PRIME_SECONDS)) for k in range(N_PRIMES)]
        n = round((SETTLED_SECONDS + LABELLED_SECONDS) * RATE_HZ)
        blocks = np.concatenate(list(run.blocks(primes, n, model.sampling, at_once=False)), axis=1)[:, :n]
        for prime, generated in zip(map(corpus.restore, primes), map(corpus.restore, blocks), strict=True):
            stretch = np.nan_to_num(generated[round(SETTLED_SECONDS * RATE_HZ) :].astype(np.float64))
            yield label(stretch, prime), alive_seconds(stretch, RATE_HZ, limits, prime)


def label(sound: FloatArray, prime: Audio) -> str:
    """What a sound is: silent, loud, noise, steady, loop, or none of these."""
    against_prime = 10.0 * np.log10(max(float(np.mean(sound**2)), 1e-20) / max(float(np.mean(prime**2)), 1e-20))
    if against_prime < SILENT_DB:
        return "silent"
    if against_prime > LOUD_DB:
        return "loud"
    frequencies, times, power = scipy.signal.spectrogram(sound, RATE_HZ, nperseg=1024, noverlap=768, scaling="density")
    bands = [power[(frequencies >= low) & (frequencies < high)] for low, high in pairwise(OCTAVES_HZ)]
    energies = np.stack([band.sum(axis=0) for band in bands])
    flatness = np.stack([np.exp(np.log(band + 1e-20).mean(axis=0)) / (band + 1e-20).mean(axis=0) for band in bands])
    level = 10.0 * np.log10(energies + 1e-5 * energies.max())
    unrest = level.std(axis=1).mean()
    if unrest < EVEN_DB and np.average(flatness, weights=np.sqrt(energies)) > NOISY_FLATNESS:
        return "noise"
    if unrest < STEADY_DB:
        return "steady"
    hop = float(times[1] - times[0])
    lags = range(round(LAGS_SECONDS[0] / hop), round(LAGS_SECONDS[1] / hop))
    likest = max(np.corrcoef(level[:, lag:].ravel(), level[:, :-lag].ravel())[0, 1] for lag in lags)
    return "loop" if likest > PERIODIC else "none of these"


def confusion(played: Iterator[Played]) -> Record:
    """For each label and model: how many sounds, how many of them found dead within 3 s, and of which fault."""
    sounds = list(played)
    by_label: Record = {}
    for kind in [*RIGHT, "none of these"]:
        own = [one for one in sounds if one.label == kind]
        dead = [one for one in own if one.alive.reason and one.alive.seconds < DEAD_WITHIN_SECONDS]
        right = [one for one in dead if one.alive.fault in RIGHT.get(kind, ())]
        by_label[kind] = {
            "sounds": len(own),
            "dead_within_3_s": len(dead),
            "right_reason": len(right),
            "faults": dict(Counter(one.alive.fault or "alive" for one in own)),
        }
    by_model: Record = {}
    for one in sounds:
        key = f"{one.model} on {one.corpus}"
        row = by_model.setdefault(key, {"labels": [], "deaths": []})
        row["labels"].append(one.label)
        row["deaths"].append(f"{one.alive.seconds:g} s: {one.alive.reason}" if one.alive.reason else "alive")
    return {"by_label": by_label, "by_model": by_model}
