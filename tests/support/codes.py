"""A codec that is not fitted, models of its codes, and codes with a beat."""

import numpy as np

from rnnaudio.audio.scaling import LogScale
from rnnaudio.audio.stft import STFT
from rnnaudio.data.codec import Codec
from rnnaudio.nn import LSTM, CodeModel, Dense, LongTermPrediction, Sequential, mlp

RATE_HZ, HOP = 8000, 256  # 31.25 frames a second, as at 16 kHz with a hop of 512


def tiny_codec(n_codes=12, n_stages=2, n_features=5, seed=0, rate_hz=RATE_HZ):
    """A codec of random centres; the louder a code of the first stage, the higher its number."""
    rng = np.random.default_rng(seed)
    stft = STFT(4 * HOP, HOP, padding="none", sample_rate_hz=rate_hz)
    basis = np.linalg.qr(rng.normal(size=(stft.n_bins, n_features)))[0]
    basis *= np.sign(basis.sum(axis=0))
    scale = LogScale(stft, 30.0, np.full(stft.n_bins, 0.5), 1.0, basis)
    stages = rng.normal(size=(n_stages, n_codes, n_features)).astype(np.float32)
    stages[0] += np.linspace(0.0, 8.0, n_codes, dtype=np.float32)[:, None]
    n = n_features
    return Codec(scale, stages, np.zeros((3 * n + 1, n), np.float32), 0.5)


def beating(codec, n, period=16, seed=0):
    """Codes (n, n_stages): every ``period`` frames a loud code, in between soft ones that are random."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, max(1, codec.n_codes // 4), size=(n, codec.n_stages))
    codes[::period, 0] = codec.n_codes - 1
    return codes


def long_term_model(codec, lags_to="body", n_units=6, seed=0, dropout=0.0):
    """A code model with long-term prediction, its gates at random so that all of them matter."""
    rng = np.random.default_rng(seed)
    n, long_term = codec.n_features, LongTermPrediction(codec.n_features, dropout=dropout)
    n_input = n + (long_term.n_out if lags_to != "head" else 0)
    n_head = n_units + (long_term.n_out if lags_to != "body" else 0)
    body = Sequential([Dense(n_input, 7, rng=rng, activation="tanh"), LSTM(7, n_units, rng=rng)])
    heads = [mlp([n_units + n if k else n_head, 5, codec.n_codes], rng=rng) for k in range(codec.n_stages)]
    places = {"centres": codec.stages, "deviations": codec.deviations}
    model = CodeModel(body, heads, **places, long_term=long_term, lags_to=lags_to)
    values = {name: rng.normal(size=v.shape) for name, v in long_term.get_values().items()}
    long_term.set_values(values)
    return model
