"""Construction of the codec, the sequences of codes, and the model from settings and a corpus."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rnnaudio.audio import STFT, resample
from rnnaudio.data import AudioCorpus
from rnnaudio.data.codec import Codec
from rnnaudio.data.corpus import Split
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import MINIMUM_RATE_HZ
from rnnaudio.nn import LSTM, CodeModel, Dense, Dropout, GaussianNoise, Layer, Sequential, mlp
from rnnaudio.progress import bar
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.training import checkpoint

CODEC = "codec.safetensors"


def build_model(config: CodesConfig, codec: Codec, rng: np.random.Generator | None = None) -> CodeModel:
    """Build the model: input noise, a dense layer, LSTMs, an output MLP per stage; dropout before LSTMs and MLPs.

    rng: samples the initial weights; None: one made from the config's seed.
    """
    rng = rng or np.random.default_rng((config.seed, 0, 2))
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
    """Transpose audio (n,) up by ``semitones``, by resampling; the duration is multiplied by 2^(-semitones / 12)."""
    return audio if not semitones else resample(audio, round(1e5 * 2.0 ** (semitones / 12.0)), 100_000)


def encoded(split: Split, codec: Codec, transpose: Sequence[int] = (0,), gain_db: float = 0.0) -> Iterator[np.ndarray]:
    """Encode each piece in each transposition, with a gain of ``gain_db``; yields codes (n_frames, n_stages).

    transpose: the transpositions, in semitones. A transposed piece that is shorter than a window is left out.
    """
    for piece in split.pieces:
        audio = piece.read(0, piece.n_samples) * np.float32(10.0 ** (gain_db / 20.0))
        for semitones in transpose:
            moved = transposed(audio, semitones)
            if len(moved) >= codec.stft.window_samples:
                yield codec.encode(moved)


def training_codes(split: Split, codec: Codec, config: CodesConfig) -> tuple[np.ndarray, ...]:
    """Training sequences of codes, (n_frames, n_stages): one for each piece of a window or more in each transposition.

    With ``join_pieces`` all pieces in one transposition are one sequence. The original music keeps its level; the
    gains of the transpositions are evenly spaced from -gain_db to gain_db, in a random order determined by the seed.
    """
    # 12: a random stream for this purpose alone, since others use the same seed.
    order = np.random.default_rng((config.seed, 12)).permutation(len(config.transpose))
    sequences: list[np.ndarray] = []
    gains_db = (0.0, *np.linspace(-config.gain_db, config.gain_db, max(1, len(order)))[order])
    copies = list(zip((0, *config.transpose), gains_db, strict=True))
    for semitones, gain_db in bar(copies, "codes of each transposition"):
        pieces = list(encoded(split, codec, (semitones,), gain_db))
        sequences += [np.concatenate(pieces)] if config.join_pieces and pieces else pieces
    return tuple(sequences)


def check_corpus(corpus: AudioCorpus) -> None:
    """Check that generated sound can be evaluated on a corpus.

    RnnaudioError if its sample rate is below 4 kHz, if it has less than 1 s of validation music, or if its validation
    or test split has no piece of .2 s or more for a prime.
    """
    if corpus.sample_rate_hz < MINIMUM_RATE_HZ:
        raise RnnaudioError(
            f"{corpus.path} has {corpus.sample_rate_hz} Hz; expected {MINIMUM_RATE_HZ} or more: build it at that rate"
        )
    for split in (corpus.valid, corpus.test):
        split.prime_length(1.0)
    if corpus.valid.seconds < 1.0:
        raise RnnaudioError(
            f"{corpus.path} has {corpus.valid.seconds:.3g} s of validation music; expected 1 s or more to "
            "choose how to play: build it with more"
        )


def fitted_codec(config: CodesConfig, corpus: AudioCorpus) -> Codec:
    """Fit a codec with the sizes and seed of a config to the training split; errors: see :meth:`Codec.fit`."""
    stft = STFT(config.window_samples, config.hop_samples, sample_rate_hz=corpus.sample_rate_hz)
    sizes = {"n_codes": config.n_codes, "n_stages": config.n_stages, "n_components": config.n_components}
    return Codec.fit(corpus.train, stft, seed=config.seed, **sizes)


def saved_codec(codec: Codec) -> checkpoint.Checkpoint:
    """Convert a codec to the content of its file in a run's folder."""
    return checkpoint.Checkpoint(codec.as_arrays(), codec.as_record())


def load_codec(run_dir: Path) -> Codec:
    """Load the codec from a run's folder; RnnaudioError if it is missing or damaged."""
    path = Path(run_dir) / CODEC
    saved = checkpoint.load(path)
    try:
        return Codec.from_arrays(saved.arrays, saved.record)
    except RnnaudioError as error:
        raise RnnaudioError(f"{path}: {error}") from error
