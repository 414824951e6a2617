"""Music that keeps playing: codes learnt from an hour of piano, and five minutes played on from unseen seconds.

    python -m experiments.music [--smoke]

Trains a model of codes for at most 15 minutes, chooses parameters and temperature on validation seeds, and continues
16 seconds of unseen works for five minutes each. In one table with it: the codec alone (real music through it), which
is its ceiling; the training music; and a bigram chain over the same codes, which passes most acoustic measures and
knows nothing of music. What the chain passes proves nothing. The proofs of learning are bits a frame below tuned
chains, and a classifier that tells it from real music less easily.
"""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro

from experiments.markov import Markov
from experiments.on_corpus import CORPUS
from experiments.results import FOLDER, record
from rnnaudio import plots
from rnnaudio.app.arguments import REGISTRY, parsed
from rnnaudio.app.music import (
    Choice,
    MusicConfig,
    Musician,
    choose,
    encoded,
    load_music,
    play,
    train_music,
)
from rnnaudio.data import AudioCorpus, write_wav
from rnnaudio.data.code_batches import fixed_code_windows
from rnnaudio.data.codec import Codec
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import run_command
from rnnaudio.generation.codes import CodePlayer, SoundStream, sound
from rnnaudio.generation.sampling import Sampling
from rnnaudio.metrics import Corpus
from rnnaudio.metrics.yardstick import Yardstick
from rnnaudio.objectives import NextCodes
from rnnaudio.training import Evaluation

COPIES_SECONDS = (0.5, 1.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is played and measured."""

    n_seeds: int = 16
    seconds: float = 300.0
    n_choosing: int = 6
    choosing_seconds: float = 20.0


@dataclasses.dataclass(frozen=True)
class Options:
    """Where from and where to."""

    corpus: Path = CORPUS
    run_dir: Path = Path("runs/music")
    seed: int = 2016
    minutes: float = 15.0  # of training, at most
    smoke: bool = False  # a small model of the piano in the package, a few updates; nothing is recorded


SMOKE = MusicConfig(
    n_components=16, n_codes=24, transpose=(), n_dense=16, n_units=16, head_units=16, n_steps=16, batch_size=4,
    max_updates=4, validate_every=2,
)  # fmt: skip


def main() -> None:
    """Train, choose, play, measure, record."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            path = build_demo_corpus(Path(folder) / "corpus.h5")
            train_music(SMOKE, path, Path(folder) / "run")
            print(experiment(path, Path(folder) / "run", Sizes(2, 3.0, 1, 2.0)))
        return
    config = MusicConfig(seed=options.seed, minutes=options.minutes)
    run = train_music(config, options.corpus, options.run_dir, resume=True)
    if not run.is_complete:
        raise KeyboardInterrupt  # it is saved; called again, it goes on
    figures = experiment(options.corpus, options.run_dir, Sizes())
    figures |= {"updates": run.n_updates, "training_minutes": round(run.seconds / 60.0, 1)}
    if options.corpus == CORPUS:
        name = "music" if options.seed == MusicConfig().seed else f"music-{options.seed}"
        shutil.copy(options.run_dir / "spectrogram.png", FOLDER / "pictures" / f"{name}-spectrogram.png")
        record(name, figures)


def experiment(path: Path, run_dir: Path, sizes: Sizes) -> dict[str, Any]:
    """All but the training; the figures."""
    with AudioCorpus.open(path) as corpus:
        chosen = choose(run_dir, corpus, n_seeds=sizes.n_choosing, seconds=sizes.choosing_seconds)
        print(f"chosen on validation seeds: {chosen}")
        musician = load_music(run_dir, chosen.parameters)
        rate = corpus.sample_rate_hz
        seeds = [corpus.test.seed_at(k, 1.0) for k in range(sizes.n_seeds)]
        sounds = perform(musician, corpus, seeds, sizes.seconds, chosen)
        pieces = {
            split.name: [corpus.restore(p.read(0, p.n_samples)) for p in split.pieces]
            for split in (corpus.train, corpus.test)
        }
        stretch = min(sizes.seconds, 30.0)
        yardstick = Yardstick.of(pieces["train"], pieces["test"], rate, stretch)
        sounds["training music"] = parts(pieces["train"], rate, sizes.seconds, sizes.n_seeds)
        sounds["codec alone"] = [
            corpus.restore(sound(musician.codec, codes)) for codes in encoded(corpus.test, musician.codec)
        ]
        table = {}
        for name, of_it in sounds.items():
            table[name] = yardstick.measure(of_it)
            print(f"{name}: {table[name]}", flush=True)
        figures = {"table": table, "choice": chosen._asdict(), **bits(musician, corpus), **speed(musician, seeds[0])}
        figures["copies"] = copies(musician, corpus, seeds, sizes, chosen)
        leave(run_dir, corpus, seeds[0], sounds["codes"][0])
    print({name: value for name, value in figures.items() if name != "table"})
    return figures


def perform(
    musician: Musician, corpus: AudioCorpus, seeds: Sequence[np.ndarray], seconds: float, chosen: Choice
) -> dict[str, list[np.ndarray]]:
    """What the model plays, and what the bigram chain plays over the same codes, on the scale of the recording."""
    ours = play(musician, seeds, seconds, Sampling(chosen.temperature))
    codec = musician.codec
    chain = Markov([codes[:, 0] for codes in encoded(corpus.train, codec)], codec.n_codes, 1)
    n = round(seconds * corpus.sample_rate_hz)
    n_frames = n // codec.stft.hop_samples + codec.stft.window_samples // codec.stft.hop_samples
    control = []
    if codec.n_stages == 1:
        for k, seed in enumerate(seeds):
            codes = chain.play(n_frames, codec.encode(seed)[:, 0], np.random.default_rng((k, 10)))
            control.append(sound(codec, codes[:, None])[:n])
    return {
        name: [corpus.restore(s) for s in them] for name, them in (("codes", ours), ("bigram chain", control)) if them
    }


def parts(pieces: Sequence[np.ndarray], rate: int, seconds: float, most: int) -> list[np.ndarray]:
    """Stretches of so many seconds, at most so many; of shorter pieces all."""
    n = round(seconds * rate)
    found = [piece[k : k + n] for piece in pieces for k in range(0, max(1, len(piece) - n + 1), n)]
    return found[:: max(1, len(found) // most)][:most]


def bits(musician: Musician, corpus: AudioCorpus) -> dict[str, Any]:
    """Bits a frame on the test split: the model's, and those of tuned chains of the first stage's codes."""
    codec, c = musician.codec, musician.config
    test = tuple(encoded(corpus.test, codec))
    ours = Evaluation(musician.model, NextCodes())(fixed_code_windows(test, c.n_steps, c.batch_size))
    figures: dict[str, Any] = {"bits": {"codes": round(ours.get("bits_1", ours["bits"]), 3)}}
    train = [codes[:, 0] for codes in encoded(corpus.train, codec, (0, *c.transpose))]
    valid = [codes[:, 0] for codes in encoded(corpus.valid, codec)]
    for name, order in (("unigram", 0), ("bigram", 1), ("trigram", 2)):
        chain = Markov(train, codec.n_codes, order).tune(valid)
        figures["bits"][name] = round(chain.bits([codes[:, 0] for codes in test]), 3)
    return figures


def speed(musician: Musician, seed: np.ndarray, seconds: float = 20.0) -> dict[str, float]:
    """One stream on one machine: times real time, phases included, and seconds to the first sound."""
    codec = musician.codec
    codes = codec.encode(seed)[None]
    started = time.perf_counter()
    player, stream = CodePlayer(musician.model, codec, codes, Sampling()), SoundStream(codec)
    n, first = 0, 0.0
    while n < seconds * codec.stft.rate():
        n += len(stream.push(next(player)[0]))
        first = first or (time.perf_counter() - started if n else 0.0)
    took = time.perf_counter() - started
    return {"times_real_time": round(seconds / took, 2), "first_sound_seconds": round(first, 3)}


def copies(
    musician: Musician, corpus: AudioCorpus, seeds: Sequence[np.ndarray], sizes: Sizes, chosen: Choice
) -> dict[str, float]:
    """Share of played frames in runs that stand in the training music (and its transpositions), by length."""
    codec: Codec = musician.codec
    known = Corpus.of(codes[:, 0] for codes in encoded(corpus.train, codec, (0, *musician.config.transpose)))
    per_second = corpus.sample_rate_hz / codec.stft.hop_samples
    start = np.stack([codec.encode(seed) for seed in seeds])
    player = CodePlayer(musician.model, codec, start, Sampling(chosen.temperature), seed=musician.config.seed)
    played = player.frames(round(sizes.seconds * per_second))[:, :, 0]
    return {
        f"{s:g} s": round(float(np.mean([known.copied_share(codes, round(s * per_second)) for codes in played])), 4)
        for s in COPIES_SECONDS
    }


def leave(run_dir: Path, corpus: AudioCorpus, seed: np.ndarray, played: np.ndarray) -> None:
    """Sound and picture of the first test seed."""
    rate, heard = corpus.sample_rate_hz, corpus.restore(seed)
    write_wav(run_dir / "music.wav", np.concatenate([heard, played]), rate)
    shown = played[: 29 * rate]
    plots.spectrogram(heard, shown, corpus.restore(corpus.test.first(1.0)), rate, run_dir / "spectrogram.png")


if __name__ == "__main__":
    run_command(main, "music")
