"""Music over codes: learn a codec and a model of a corpus, play on."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio.runs.codes.code_run import train_on_codes
from rnnaudio.runs.frames.config import from_dict
from rnnaudio.runs.codes.config import MusicConfig, fitted
from rnnaudio.runs.record import check_same, description, scale_of
from rnnaudio.atomic import write_atomically
from rnnaudio.data import AudioCorpus
from rnnaudio.audio import resample
from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows
from rnnaudio.data.codec import Codec
from rnnaudio.data.corpus import Scale, Split
from rnnaudio.audio.stft import STFT
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.codes import Block, played_on
from rnnaudio.generation.sampling import Course
from rnnaudio.metrics import MINIMUM_RATE_HZ, AliveLimits
from rnnaudio.nn import LSTM, CodeModel, Dense, Dropout, GaussianNoise, Layer, Sequential, mlp
from rnnaudio.objectives import NextCodes
from rnnaudio.training import Run, checkpoint
from rnnaudio.training.loop import set_model


class Playing(NamedTuple):
    """How a run plays, chosen on validation seeds: parameters ``best`` (lowest validation loss) or ``model`` (the last
    ones), temperatures, of the first stage and of those that add detail to it, and what each choice of them scored;
    limits of real music, by which it notices its own death."""

    parameters: str
    temperature: float
    detail_temperature: float
    scores: list[dict[str, Any]]
    limits: AliveLimits | None


class Musician(NamedTuple):
    """A trained run over codes; playing: as chosen for it, or the last parameters as learnt if nothing was chosen."""

    config: MusicConfig
    codec: Codec
    model: CodeModel
    record: dict[str, Any]
    playing: Playing

    @property
    def sample_rate_hz(self) -> int:
        return self.codec.stft.rate()

    @property
    def scale(self) -> Scale:
        return scale_of(self.record)

    @property
    def temperature(self) -> float:
        """As chosen."""
        return self.playing.temperature

    @property
    def limits(self) -> AliveLimits | None:
        return self.playing.limits

    @property
    def course(self) -> Course:
        """As chosen."""
        return Course((self.temperature,))

    def sound(
        self, seeds: Sequence[np.ndarray], n_samples: int, course: Course, *, seed: int | None, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Of :meth:`play` the sound alone; ``at_once``: frame by frame."""
        return (b.audio for b in self.play(seeds, n_samples, course, seed=seed, n_at_once=1 if at_once else 32))

    def play(
        self,
        seeds: Sequence[np.ndarray],
        n_samples: int,
        course: Course | None = None,
        *,
        seed: int | None = None,
        n_at_once: int = 32,
    ) -> Iterator[Block]:
        """Each seed (standardised samples, equally long) continued, in blocks; see :func:`played_on`.

        course: other than as chosen (detail stays as chosen). seed: of what is drawn; the run's own if None.
        """
        drawn = self.config.seed if seed is None else seed
        at = (course or self.course).at
        return played_on(
            self.model,
            self.codec,
            np.stack(seeds),
            n_samples,
            at,
            detail_temperature=self.playing.detail_temperature,
            seed=drawn,
            n_at_once=n_at_once,
        )


def build_model(config: MusicConfig, codec: Codec) -> CodeModel:
    """Noise, Dense, LSTMs, a head per stage; dropout before each."""
    rng = np.random.default_rng((config.seed, 0, 2))
    n, m = codec.n_features, config.n_units
    layers: list[Layer] = [GaussianNoise(n, config.input_noise)] if config.input_noise else []
    layers += [Dense(n, m, rng=rng, activation="relu")]
    for _ in range(config.n_layers):
        layers += [Dropout(m, config.dropout)] if config.dropout else []
        layers += [LSTM(m, m, rng=rng)]
    layers += [Dropout(m, config.dropout)] if config.dropout else []
    heads: list[Layer] = [
        mlp([m + (n if k else 0), config.head_units, codec.n_codes], rng=rng, dropout=config.dropout)
        for k in range(codec.n_stages)
    ]
    return CodeModel(Sequential(layers), heads, centres=codec.stages, deviations=codec.deviations)


def transposed(audio: np.ndarray, semitones: int) -> np.ndarray:
    """Played faster or slower, so that all pitches move by so many semitones and time by 2^(-semitones / 12)."""
    return audio if not semitones else resample(audio, round(1e5 * 2.0 ** (semitones / 12.0)), 100_000)


def encoded(split: Split, codec: Codec, transpose: Sequence[int] = (0,), gain_db: float = 0.0) -> Iterator[np.ndarray]:
    """Codes of each piece that has a frame, in each transposition, louder by so many decibels."""
    for piece in split.pieces:
        audio = piece.read(0, piece.n_samples) * np.float32(10.0 ** (gain_db / 20.0))
        for semitones in transpose:
            moved = transposed(audio, semitones)
            if len(moved) >= codec.stft.window_samples:
                yield codec.encode(moved)


def train_music(config: MusicConfig, corpus_path: Path, run_dir: Path, *, resume: bool = False) -> Run:
    """Learn the codec, then the model; both go to ``run_dir``. RnnaudioError as the parts say."""
    path = checkpoint.path_to_write(run_dir, resume)
    with AudioCorpus.open(corpus_path) as corpus:
        check_corpus(corpus)
        config = fitted(config, corpus.train.seconds, corpus.sample_rate_hz)
        about = {"music": dataclasses.asdict(config), "corpus": description(corpus)}
        codec = _codec_of(run_dir, about) if path.exists() else _fitted_codec(config, corpus)
        print(f"codec: {config.n_stages} x {config.n_codes} codes leave {100 * codec.lost:.0f} % of the variance")
        sequences = training_codes(corpus.train, codec, config)
        batches = CodeStreams(sequences, n_steps=config.n_steps, batch_size=config.batch_size, seed=config.seed)
        validation = fixed_code_windows(tuple(encoded(corpus.valid, codec)), config.n_steps, config.batch_size)
    save_codec(codec, run_dir)
    return train_on_codes(
        build_model(config, codec),
        NextCodes(own_share=config.own_share, own_rise=config.max_updates),
        batches,
        validation,
        settings=config,
        run_dir=run_dir,
        resume=resume,
        config=about,
        unit="frame",
    )


def check_corpus(corpus: AudioCorpus) -> None:
    """RnnaudioError if what is played from it could not be judged: a low rate, no second to validate or test on."""
    if corpus.sample_rate_hz < MINIMUM_RATE_HZ:
        raise RnnaudioError(
            f"{corpus.path} has {corpus.sample_rate_hz} Hz; expected {MINIMUM_RATE_HZ} or more: build it at that rate"
        )
    for split in (corpus.valid, corpus.test):
        split.seed_at(0, 1.0)


def _fitted_codec(config: MusicConfig, corpus: AudioCorpus) -> Codec:
    stft = STFT(config.window_samples, config.hop_samples, sample_rate_hz=corpus.sample_rate_hz)
    sizes = {"n_codes": config.n_codes, "n_stages": config.n_stages, "n_components": config.n_components}
    return Codec.fit(corpus.train, stft, seed=config.seed, **sizes)


def _codec_of(run_dir: Path, about: dict[str, Any]) -> Codec:
    """That of a run which goes on; RnnaudioError if it has other settings."""
    path = checkpoint.path_in(run_dir)
    record = checkpoint.load(path).record
    saved = record["config"] | {"music": dataclasses.asdict(_config_of(record, path))}
    check_same(saved, about, {"music": {"minutes"}, "corpus": {"path"}}, path)
    return load_codec(run_dir)


def training_codes(split: Split, codec: Codec, config: MusicConfig) -> tuple[np.ndarray, ...]:
    """What a run is trained on: each piece in each transposition or, joined, each transposition of all pieces.

    The music itself is as loud as it is; its transpositions are louder and softer by decibels evenly spread over
    -gain_db to gain_db, in an order that the seed draws.
    """
    order = np.random.default_rng((config.seed, 12)).permutation(len(config.transpose))  # 12: the purpose
    sequences: list[np.ndarray] = []
    gains_db = (0.0, *np.linspace(-config.gain_db, config.gain_db, max(1, len(order)))[order])
    copies = list(zip((0, *config.transpose), gains_db, strict=True))
    for semitones, gain_db in tqdm(copies, "codes of each transposition", leave=False):
        pieces = list(encoded(split, codec, (semitones,), gain_db))
        sequences += [np.concatenate(pieces)] if config.join_pieces and pieces else pieces
    return tuple(sequences)


def codec_path(run_dir: Path) -> Path:
    return Path(run_dir) / "codec.safetensors"


def save_codec(codec: Codec, run_dir: Path) -> None:
    """Beside the run's checkpoint."""
    checkpoint.save(codec_path(run_dir), checkpoint.Checkpoint(codec.as_arrays(), codec.as_record()))


def load_codec(run_dir: Path) -> Codec:
    """The codec of a run."""
    saved = checkpoint.load(codec_path(run_dir))
    return Codec.from_arrays(saved.arrays, saved.record)


def playing_path(run_dir: Path) -> Path:
    return Path(run_dir) / "playing.json"


def save_playing(playing: Playing, run_dir: Path, n_updates: int) -> None:
    """Beside the run's checkpoint; it was chosen after so many updates."""
    record = playing._asdict() | {"limits": playing.limits and dataclasses.asdict(playing.limits)}
    record["n_updates"] = n_updates
    write_atomically(playing_path(run_dir), json.dumps(record, indent=2).encode() + b"\n")


def load_playing(run_dir: Path, n_updates: int) -> Playing:
    """As chosen after so many updates, else the last parameters at temperature 1. RnnaudioError if the file is no such
    record."""
    path = playing_path(run_dir)
    if not path.exists():
        return Playing("model", 1.0, 1.0, [], None)
    try:
        record = json.loads(path.read_text())
        limits = record["limits"] and AliveLimits(**{k: _pair(v) for k, v in record["limits"].items()})
        if record["parameters"] not in ("best", "model"):
            raise ValueError(f"parameters are {record['parameters']!r}, expected best or model")
        if record.get("n_updates", n_updates) != n_updates:
            return Playing("model", 1.0, 1.0, [], None)
        temperature = float(record["temperature"])
        detail = float(record.get("detail_temperature", temperature))  # runs of before had one for all
        return Playing(record["parameters"], temperature, detail, record["scores"], limits)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RnnaudioError(f"{path} does not say how the run plays ({error}): delete it to choose again") from error


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _config_of(record: dict[str, Any], path: Path) -> MusicConfig:
    """With the settings that came later; RnnaudioError if it is no run over codes."""
    try:
        config: MusicConfig = from_dict(MusicConfig, record["config"]["music"])
    except (KeyError, TypeError) as error:
        raise RnnaudioError(f"{path} holds no run over codes ({error}); name a run of `rnnaudio music`") from error
    return config


def load_music(run_dir: Path, parameters: str | None = None) -> Musician:
    """A run with the parameters chosen for it, or with its ``best`` ones, or the last ones (``model``)."""
    path = checkpoint.path_in(run_dir)
    saved = checkpoint.load(path)
    config = _config_of(saved.record, path)
    codec, playing = load_codec(run_dir), load_playing(run_dir, saved.record["n_updates"])
    model = build_model(config, codec)
    set_model(model, saved.group(parameters or playing.parameters) or saved.group("model"), path)
    return Musician(config, codec, model, saved.record, playing)
