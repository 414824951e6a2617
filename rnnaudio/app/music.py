"""Music over codes: learn a codec and a model of a corpus, choose how to play by ear of the measures, play on.

The settings' defaults are those that a feasibility study found to play on (November 2026).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio.app.code_run import train_on_codes
from rnnaudio.app.config import from_dict
from rnnaudio.data import AudioCorpus, resample
from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows
from rnnaudio.data.codec import Codec
from rnnaudio.data.corpus import Split
from rnnaudio.data.stft import STFT
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.codes import CodePlayer, sound
from rnnaudio.generation.sampling import Sampling
from rnnaudio.metrics import frechet_distance, log_mel
from rnnaudio.nn import LSTM, CodeModel, Dense, Dropout, GaussianNoise, Layer, Sequential, mlp
from rnnaudio.objectives import NextCodes
from rnnaudio.training import Run, checkpoint
from rnnaudio.training.loop import set_model


@dataclass(frozen=True)
class MusicConfig:
    """Everything that decides a run over codes."""

    window_samples: int = 2048
    hop_samples: int = 512
    n_components: int = 128  # principal components of the log-magnitudes
    n_codes: int = 1024
    n_stages: int = 1
    transpose: tuple[int, ...] = (-5, -2, 2, 5)  # semitones: copies of the training music, resampled
    n_dense: int = 512
    n_units: int = 512
    n_layers: int = 1
    head_units: int = 256
    dropout: float = 0.2
    input_noise: float = 0.15  # of each component's deviation
    batch_size: int = 24
    n_steps: int = 64  # frames
    learning_rate: float = 2e-3
    max_updates: int = 1000
    validate_every: int = 100
    minutes: float = 15.0
    seed: int = 2016

    def __post_init__(self) -> None:
        object.__setattr__(self, "transpose", tuple(self.transpose))  # JSON has lists only


class Choice(NamedTuple):
    """Which parameters and temperature to play with, and the score that chose them (Frechet distance, lower)."""

    parameters: str  # best (lowest validation loss) or model (the last ones)
    temperature: float
    scores: dict[str, float]


class Musician(NamedTuple):
    """A trained run over codes."""

    config: MusicConfig
    codec: Codec
    model: CodeModel
    record: dict[str, Any]


def build_model(config: MusicConfig, codec: Codec) -> CodeModel:
    """Noise, Dense, LSTMs, a head per stage; dropout before each."""
    rng = np.random.default_rng((config.seed, 0, 2))
    n, m = codec.n_features, config.n_units
    layers: list[Layer] = [GaussianNoise(n, config.input_noise)] if config.input_noise else []
    layers += [Dense(n, config.n_dense, rng=rng, activation="relu")]
    for number in range(config.n_layers):
        n_in = m if number else config.n_dense
        layers += [Dropout(n_in, config.dropout)] if config.dropout else []
        layers += [LSTM(n_in, m, rng=rng)]
    layers += [Dropout(m, config.dropout)] if config.dropout else []
    heads: list[Layer] = [
        mlp([m + (n if k else 0), config.head_units, codec.n_codes], rng=rng, dropout=config.dropout)
        for k in range(codec.n_stages)
    ]
    return CodeModel(Sequential(layers), heads, centres=codec.stages, deviations=codec.deviations)


def transposed(audio: np.ndarray, semitones: int) -> np.ndarray:
    """Played faster or slower, so that all pitches move by so many semitones and time by 2^(-semitones / 12)."""
    return audio if not semitones else resample(audio, round(1e5 * 2.0 ** (semitones / 12.0)), 100_000)


def encoded(split: Split, codec: Codec, transpose: Sequence[int] = (0,)) -> Iterator[np.ndarray]:
    """Codes of each piece that has a frame, in each transposition."""
    for piece in split.pieces:
        audio = piece.read(0, piece.n_samples)
        for semitones in transpose:
            moved = transposed(audio, semitones)
            if len(moved) >= codec.stft.window_samples:
                yield codec.encode(moved)


def train_music(config: MusicConfig, corpus_path: Path, run_dir: Path, *, resume: bool = False) -> Run:
    """Learn the codec, then the model; both go to ``run_dir``. RnnaudioError as the parts say."""
    path = checkpoint.path_to_write(run_dir, resume)
    with AudioCorpus.open(corpus_path) as corpus:
        stft = STFT(config.window_samples, config.hop_samples, sample_rate_hz=corpus.sample_rate_hz)
        if path.exists():
            codec = load_codec(run_dir)
        else:
            sizes = {"n_codes": config.n_codes, "n_stages": config.n_stages, "n_components": config.n_components}
            codec = Codec.fit(corpus.train, stft, seed=config.seed, **sizes)
            save_codec(codec, run_dir)
        print(f"codec: {config.n_stages} x {config.n_codes} codes leave {100 * codec.lost:.0f} % of the variance")
        every = (0, *config.transpose)
        parts = tqdm(encoded(corpus.train, codec, every), "codes", len(corpus.train.pieces) * len(every), leave=False)
        batches = CodeStreams(tuple(parts), n_steps=config.n_steps, batch_size=config.batch_size, seed=config.seed)
        validation = fixed_code_windows(tuple(encoded(corpus.valid, codec)), config.n_steps, config.batch_size)
        facts = {"mean": corpus.mean, "std": corpus.std, "sample_rate_hz": corpus.sample_rate_hz}
        about = {"music": dataclasses.asdict(config), "corpus": {**facts, "path": str(corpus_path)}}
    return train_on_codes(
        build_model(config, codec),
        NextCodes(),
        batches,
        validation,
        settings=config,
        run_dir=run_dir,
        resume=resume,
        config=about,
        unit="frame",
    )


def codec_path(run_dir: Path) -> Path:
    return Path(run_dir) / "codec.safetensors"


def save_codec(codec: Codec, run_dir: Path) -> None:
    """Beside the run's checkpoint."""
    checkpoint.save(codec_path(run_dir), checkpoint.Checkpoint(codec.as_arrays(), codec.as_record()))


def load_codec(run_dir: Path) -> Codec:
    """The codec of a run."""
    saved = checkpoint.load(codec_path(run_dir))
    return Codec.from_arrays(saved.arrays, saved.record)


def load_music(run_dir: Path, parameters: str = "best") -> Musician:
    """A run with its ``best`` parameters, those of the lowest validation loss, or the last ones (``model``)."""
    path = checkpoint.path_in(run_dir)
    saved = checkpoint.load(path)
    try:
        config = from_dict(MusicConfig, saved.record["config"]["music"])
    except (KeyError, TypeError) as error:
        raise RnnaudioError(f"{path} holds no run over codes ({error}); name a run of `make music`") from error
    codec = load_codec(run_dir)
    model = build_model(config, codec)
    set_model(model, saved.group(parameters) or saved.group("model"), path)
    return Musician(config, codec, model, saved.record)


def play(musician: Musician, seeds: Sequence[np.ndarray], seconds: float, sampling: Sampling) -> list[np.ndarray]:
    """Each seed (standardised samples, equally long) continued: standardised samples, without the seed."""
    codec = musician.codec
    codes = np.stack([codec.encode(seed) for seed in seeds])
    player = CodePlayer(musician.model, codec, codes, sampling, seed=musician.config.seed)
    n_frames = -(-round(seconds * codec.stft.rate()) // codec.stft.hop_samples)
    played = player.frames(n_frames + codec.stft.window_samples // codec.stft.hop_samples)
    return [sound(codec, one)[: round(seconds * codec.stft.rate())] for one in played]


def choose(
    run_dir: Path,
    corpus: AudioCorpus,
    *,
    temperatures: Sequence[float] = (0.9, 1.0, 1.1),
    n_seeds: int = 6,
    seconds: float = 20.0,
) -> Choice:
    """Both sets of parameters and each temperature played on from validation seeds: whose frames are nearest to music.

    The score is the Frechet distance of log-mel frames to the validation music; no test seed is heard.
    """
    rate = corpus.sample_rate_hz
    real = np.concatenate([log_mel(corpus.restore(p.read(0, p.n_samples)), rate) for p in corpus.valid.pieces])
    seeds = [corpus.valid.seed_at(k, 1.0) for k in range(n_seeds)]
    scores = {}
    for parameters in ("best", "model"):
        musician = load_music(run_dir, parameters)
        for temperature in temperatures:
            played = play(musician, seeds, seconds, Sampling(temperature))
            frames = np.concatenate([log_mel(corpus.restore(sound), rate) for sound in played])
            scores[f"{parameters} {temperature}"] = round(frechet_distance(frames, real), 2)
    best = min(scores, key=lambda name: scores[name]).split()
    return Choice(best[0], float(best[1]), scores)
