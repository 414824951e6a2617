"""Construction of the codec, the code sequences and the model of a run, from its settings and a corpus."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rnnaudio.audio import STFT, resample
from rnnaudio.audio.beat import N_CANDIDATES, PERIODS_BACK
from rnnaudio.data import AudioCorpus
from rnnaudio.data.codec import Codec
from rnnaudio.data.corpus import Split
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import MINIMUM_RATE_HZ
from rnnaudio.nn import (
    LSTM,
    CodeModel,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LongTermPrediction,
    PastAttention,
    Sequential,
    mlp,
)
from rnnaudio.progress import bar
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.training import checkpoint

CODEC = "codec.safetensors"


def build_model(config: CodesConfig, codec: Codec, rng: np.random.Generator | None = None) -> CodeModel:
    """Build the model: input noise, a dense layer, LSTMs, an output MLP per stage; dropout before LSTMs and MLPs.

    With ``long_term``, frames 1, 2 and 4 beats earlier are further inputs of the dense layer (``body``), of the
    first stage's MLP (``head``), or of both. With ``attention_seconds``, the output MLPs read the LSTM's output with
    attention over its past; all other parameters have the same names and initial values as without. rng: samples the
    initial weights; None: a generator made from the config's seed.
    """
    rng = rng or np.random.default_rng((config.seed, 0, 2))
    n, m, lags_to = codec.n_features, config.n_units, config.long_term
    sizes = {"n_candidates": N_CANDIDATES, "n_back": len(PERIODS_BACK)}
    long_term = None if lags_to == "no" else LongTermPrediction(n, **sizes, dropout=config.lag_dropout)
    n_lagged = long_term.n_out if long_term else 0
    n_input, n_head = n + n_lagged * (lags_to != "head"), m + n_lagged * (lags_to != "body")
    layers: list[Layer] = [GaussianNoise(n_input, config.input_noise)] if config.input_noise else []
    layers += [Dense(n_input, m, rng=rng, activation="relu")]
    for _ in range(config.n_layers):
        layers += [Dropout(m, config.dropout)] if config.dropout else []
        layers += [LSTM(m, m, rng=rng)]
    layers += [Dropout(m, config.dropout)] if config.dropout else []
    heads: list[Layer] = [
        mlp([m + n if k else n_head, config.head_units, codec.n_codes], rng=rng, dropout=config.dropout)
        for k in range(codec.n_stages)
    ]
    body: Layer = Sequential(layers)
    if config.attention_seconds:
        body = PastAttention(body, frames_of_attention(config, codec.stft), rng=rng)
    return CodeModel(
        body,
        heads,
        centres=codec.stages,
        deviations=codec.deviations,
        long_term=long_term,
        lags_to=lags_to if long_term else "body",
    )


def frames_of_attention(config: CodesConfig, stft: STFT) -> int:
    """Return the number of past frames that attention covers, at least 1; 0 without attention."""
    if not config.attention_seconds:
        return 0
    return max(1, round(config.attention_seconds * stft.rate() / stft.hop_samples))


def transposed(audio: np.ndarray, semitones: int) -> np.ndarray:
    """Transpose audio (n,) up by ``semitones``, by resampling; the duration is multiplied by 2^(-semitones / 12)."""
    return audio if not semitones else resample(audio, round(1e5 * 2.0 ** (semitones / 12.0)), 100_000)


def encoded(split: Split, codec: Codec, transpose: Sequence[int] = (0,), gain_db: float = 0.0) -> Iterator[np.ndarray]:
    """Encode each piece in each transposition, with a gain of ``gain_db``; yield codes (n_frames, n_stages).

    transpose: the transpositions, in semitones. A transposed piece that is shorter than a window is left out.
    """
    for piece in split.pieces:
        audio = piece.read(0, piece.n_samples) * np.float32(10.0 ** (gain_db / 20.0))
        for semitones in transpose:
            moved = transposed(audio, semitones)
            if len(moved) >= codec.stft.window_samples:
                yield codec.encode(moved)


def training_codes(split: Split, codec: Codec, config: CodesConfig) -> tuple[np.ndarray, ...]:
    """Encode the training music in each transposition; return sequences of codes, (n_frames, n_stages) each.

    There is a sequence for each piece of a window or more or, with ``join_pieces``, one for all pieces. The original
    music keeps its level; the gains of the transpositions are evenly spaced from -gain_db to gain_db, in a random
    order determined by the seed.
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
