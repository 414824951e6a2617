"""Models of codes with and without long-term prediction: with a beat in the music it helps, else it costs nothing.

Codes of one stage, windows of 12 steps, and a beat every 40 frames: too far for the gradient, not for the past.
"""

import numpy as np
import pytest
from scipy.special import expit

from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows
from rnnaudio.data.code_past import BeatReader, PastStreams, SequencePast, fixed_past_windows
from rnnaudio.nn import LSTM, CodeModel, Dense, LongTermPrediction, Sequential
from rnnaudio.objectives import NextCodes, NextCodesByBeat
from rnnaudio.optimizers import Adam
from rnnaudio.training import EarlyStopping, Limits, train
from tests.support.codes import beating, tiny_codec

pytestmark = pytest.mark.slow
CODEC = tiny_codec(n_stages=1)
READER = BeatReader(CODEC)
N_STEPS, BATCH, N_UPDATES, N_FRAMES = 12, 16, 250, 4000
NOISE_BITS = 0.03  # of a mean of two; seen from seed to seed: -.014 to .023


def chain(n, seed):
    """Codes of a Markov chain: most frames go on by one, some jump anywhere."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((n, 1), int)
    for t in range(1, n):
        codes[t] = rng.integers(12) if rng.random() < 0.3 else (codes[t - 1] + 1) % 12
    return codes


def trained(folder, sequence, valid, seed, lags_to):
    """(bits a frame of validation, the model) after training from this seed."""
    rng, n = np.random.default_rng(seed), CODEC.n_features
    long_term = None if lags_to == "no" else LongTermPrediction(n)
    n_lagged = long_term.n_out if long_term else 0
    body = Sequential(
        [Dense(n + n_lagged * (lags_to == "body"), 16, rng=rng, activation="relu"), LSTM(16, 16, rng=rng)]
    )
    head = Dense(16 + n_lagged * (lags_to == "head"), CODEC.n_codes, rng=rng)
    places = {"centres": CODEC.stages, "deviations": CODEC.deviations}
    places |= {"long_term": long_term, "lags_to": lags_to} if long_term else {}
    model = CodeModel(body, [head], **places)
    streams = CodeStreams((sequence,), N_STEPS, BATCH, seed)
    by_beat = PastStreams(streams, [SequencePast(sequence, READER)])
    run = train(
        model,
        NextCodesByBeat() if long_term else NextCodes(),
        by_beat if long_term else streams,
        fixed_past_windows((valid,), 48, 8, READER) if long_term else fixed_code_windows((valid,), 48, 8),
        optimizer=Adam(1e-2, max_gradient_norm=1.0),
        stopping=EarlyStopping(50),
        run_dir=folder / f"{lags_to}-{seed}",
        limits=Limits(N_UPDATES, validate_every=50),
        on_validation=lambda row: None,
    )
    return min(row["valid"] for row in run.history), model


@pytest.mark.parametrize("lags_to", ["body", "head"])
@pytest.mark.long
def test_without_a_beat_it_costs_nothing(tmp_path, lags_to):
    """Over two seeds of model and music; and the gates let hardly anything in at the confidences that there are."""
    costs = []
    for seed in (0, 1):
        music = chain(N_FRAMES, seed), chain(1200, 10 + seed)
        (without, _), (with_lags, model) = (trained(tmp_path, *music, seed, place) for place in ("no", lags_to))
        costs.append(with_lags - without)
        pulse = SequencePast(music[0], READER).pulse
        assert np.median(pulse.confidence[:, 0]) < 0.25
        values = model.long_term.get_values()
        opened = expit(values["w_gate"][:, 0] * np.median(pulse.confidence[:, 0]) + values["b_gate"])
        assert opened.max() < 0.4, opened
    print(costs)
    assert np.mean(costs) < NOISE_BITS


@pytest.mark.parametrize("lags_to", ["body", "head"])
def test_a_beat_beyond_the_gradient_is_predicted(tmp_path, lags_to):
    """When a beat comes is a bit of H(1/40) = .17 bits a frame; a model that does not know it pays all of them."""
    music = beating(CODEC, N_FRAMES, 40, 1), beating(CODEC, 1200, 40, 2)
    (without, _), (with_lags, _) = (trained(tmp_path, *music, 0, place) for place in ("no", lags_to))
    floor = np.log2(3) * 39 / 40  # the soft codes between the beats are three, at random
    print(without - floor, with_lags - floor)
    assert without > floor + 0.13
    assert with_lags < floor + 0.08
