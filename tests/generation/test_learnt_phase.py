"""Input and target of a model of phases from magnitudes, and the stream that makes phases of its output."""

import numpy as np
import pytest

from rnnaudio.audio import STFT
from rnnaudio.audio.phase import integrated, magnitude_differences, phase_differences
from rnnaudio.data import AudioCorpus, PhaseBatches, PhaseContext, RandomWindows, phase_batch, steps_for
from rnnaudio.data.demo import build_demo_corpus, embedded_recordings
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import LearntPhase, Stepper, learnt_phases
from rnnaudio.nn import LSTM, Dense, Sequential
from rnnaudio.nn.initializers import constant
from rnnaudio.objectives import PhaseDifferences
from rnnaudio.optimizers import Adam
from rnnaudio.training import Evaluation, TrainStep
from tests.support.pieces import SIZES, ramps, split_of

STFT_256 = STFT(256, 64, sample_rate_hz=16_000)
CONTEXT = PhaseContext(STFT_256, radius=2)


@pytest.fixture(scope="module")
def piano():
    audio, _ = embedded_recordings()[0].load()
    return np.asarray(audio[16_000:24_000], np.float64) / np.std(audio)


@pytest.fixture(scope="module")
def magnitudes(piano):
    return np.abs(STFT_256.forward(piano))


def gradient_model(context):
    """The phase gradient as a model."""
    return Dense(
        context.n_inputs, 2, rng=np.random.default_rng(0), weights=lambda rng, shape: context.gradient_weights()
    )


def test_inputs_by_hand(magnitudes):
    context = PhaseContext(STFT_256, radius=1, before=1, look_ahead=0)
    inputs = context.inputs(magnitudes)
    assert inputs.shape == (len(magnitudes) - 1, 129, 6) and inputs.dtype == np.float32
    logs = np.log(magnitudes)
    largest = logs[8, 40:43].max()
    expected = np.concatenate([logs[7, 40:43], logs[8, 40:43]]) - largest
    np.testing.assert_allclose(inputs[7, 41], np.clip(expected, -12, 12) / 4, atol=1e-6)
    mirrored = logs[8, [1, 0, 1]] - logs[8, :2].max()  # below 0 Hz
    np.testing.assert_allclose(inputs[7, 0, 3:], np.clip(mirrored, -12, 12) / 4, atol=1e-6)


def test_inputs_do_not_depend_on_level_or_place(magnitudes):
    np.testing.assert_allclose(CONTEXT.inputs(1e-3 * magnitudes), CONTEXT.inputs(magnitudes), atol=1e-5)
    moved = np.roll(magnitudes, 7, axis=1)
    np.testing.assert_array_equal(CONTEXT.inputs(moved)[:, 20:90], CONTEXT.inputs(magnitudes)[:, 13:83])
    assert not CONTEXT.inputs(np.zeros((5, 129))).any()
    both = np.stack([magnitudes, moved], axis=1)
    items, bins = np.array([0, 1, 1]), np.array([5, 0, 128])
    np.testing.assert_array_equal(CONTEXT.inputs_of(both, items, bins), CONTEXT.inputs(both)[:, items, bins])


def test_the_linear_start_is_the_phase_gradient(magnitudes):
    said = CONTEXT.inputs(magnitudes).astype(np.float64) @ CONTEXT.gradient_weights()
    inner = np.s_[1:-1, 3:-3]
    for k, kind in enumerate(magnitude_differences(magnitudes, STFT_256)):
        off = np.abs(np.sin((said[..., k] - kind[1:-1]) / 2))[inner]
        assert np.quantile(off, 0.95) < 1e-4  # where no input was clipped


def test_batches_hold_the_true_differences_of_what_is_heard(piano):
    split = split_of(piano)
    windows = RandomWindows(split, frame_size=64, n_steps=steps_for(6, STFT_256), batch_size=3, seed=4)
    batches = PhaseBatches(windows, CONTEXT, 5, 9)
    batch, again = batches.batch(2), batches.batch(2)
    for one, other in zip(batch, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [a.shape for a in batch] == [(5, 15, 15), (5, 15, 2), (5, 15, 2), (15,)]
    assert {a.dtype for a in batch[:3]} == {np.dtype("float32")} and batch.weights.mean() == pytest.approx(
        1.0, rel=1e-5
    )
    bare = STFT(256, 64, padding="none")
    for item in range(3):
        spectra = bare.forward(windows.batch(2).frames[:, item].reshape(-1))
        heard = CONTEXT.inputs(np.abs(spectra))
        time, frequency = phase_differences(np.angle(spectra), STFT_256)
        for row in range(5 * item, 5 * item + 5):
            (bin_,) = {k for k in range(129) if np.allclose(heard[:, k], batch.inputs[:, row], atol=1e-5)}
            np.testing.assert_allclose(batch.differences[:, row, 0], time[1:6, bin_], atol=1e-4)
            np.testing.assert_allclose(batch.differences[:, row, 1], frequency[1:6, bin_], atol=1e-4)
            a = np.abs(spectra[:, bin_])
            ratio = batch.weights[:, row, 0] / np.sqrt(a[1:6] * a[:5])
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_windows_too_short_to_be_heard_are_refused():
    batches = RandomWindows(ramps(), seed=3, **SIZES)
    stft = STFT(16, 8)
    with pytest.raises(RnnaudioError, match="4 frames, but the context spans 9: raise n_steps"):
        PhaseBatches(batches, PhaseContext(stft, radius=1, before=4, look_ahead=4), 2, 0).batch(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"radius": 129}, "radius is 129"), ({"before": -1}, "before -1"), ({"look_ahead": -1}, "look_ahead -1")],
)
def test_context_that_is_refused(options, message):
    with pytest.raises(RnnaudioError, match=message):
        PhaseContext(STFT_256, **options)
    with pytest.raises(RnnaudioError, match="the phase gradient needs radius"):
        PhaseContext(STFT_256, look_ahead=0).gradient_weights()


def test_the_objective_is_the_weighted_distance_and_falls_in_training(piano):
    rng = np.random.default_rng(5)
    model = Sequential([LSTM(CONTEXT.n_inputs, 6, rng=rng), Dense(6, 2, rng=rng)])
    windows = RandomWindows(split_of(piano), frame_size=64, n_steps=steps_for(6, STFT_256), batch_size=4, seed=4)
    batch = phase_batch(windows.batch(0).frames, CONTEXT, 8, rng)
    silent = Dense(CONTEXT.n_inputs, 2, rng=rng, weights=constant(0.0))
    value = Evaluation(silent, PhaseDifferences())([batch])["phase_distance"]
    expected = np.average(np.sin(batch.differences.astype(float) / 2) ** 2, weights=batch.weights)
    assert value == pytest.approx(expected, rel=1e-4)
    step = TrainStep(model, PhaseDifferences(), Adam(1e-2), seed=0)
    losses = [step(batch, None, learning_rate=1e-2, update=k).loss for k in range(30)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_stream_integrates_what_the_model_says(magnitudes):
    phases, said = learnt_phases(Stepper(gradient_model(CONTEXT)), CONTEXT, magnitudes, seed=3)
    padded = np.concatenate([magnitudes[:1], magnitudes, magnitudes[-1:]])
    expected = CONTEXT.inputs(padded).astype(np.float64) @ CONTEXT.gradient_weights()
    np.testing.assert_allclose(np.stack(said, axis=-1), expected, atol=1e-4)
    np.testing.assert_array_equal(phases, integrated(magnitudes, said, STFT_256, seed=3))


@pytest.mark.parametrize(("look_ahead", "n_frames"), [(0, 4), (1, 1), (1, 4), (3, 1), (3, 2), (3, 6)])
def test_each_frame_comes_out_once_and_in_time(magnitudes, look_ahead, n_frames):
    context = PhaseContext(STFT_256, radius=1, look_ahead=look_ahead)
    rng = np.random.default_rng(2)
    model = Sequential([LSTM(context.n_inputs, 3, rng=rng), Dense(3, 2, rng=rng)])
    stream = LearntPhase(Stepper(model), context)
    rows = magnitudes[10 : 10 + n_frames]
    counts, settled = [], []
    for row in rows:
        settled += stream.push(row)
        counts.append(len(settled))
    assert counts == [max(0, k - look_ahead) for k in range(1, n_frames + 1)]
    settled += stream.flush()
    np.testing.assert_array_equal(np.stack([frame.magnitudes for frame in settled]), rows)
    assert stream.flush() == []
    with pytest.raises(RnnaudioError, match="was flushed"):
        stream.push(rows[0])


@pytest.mark.slow
def test_a_run_s_model_is_loaded_for_its_own_transform_alone(tmp_path):
    from experiments.studies import phase as experiment

    corpus_path = build_demo_corpus(tmp_path / "corpus.h5")
    options = experiment.Options(
        corpus=corpus_path, run_dir=tmp_path / "run", n_units=3, radius=2, max_updates=2, n_places=1, seconds=0.3
    )
    with AudioCorpus.open(corpus_path) as corpus:
        experiment.run(options, corpus)
        stft = STFT.in_seconds(corpus.sample_rate_hz, window_s=experiment.WINDOW_S, hop_s=experiment.HOP_S)
        audio = corpus.test.prime_at(0, 0.3)
    stepper, context = experiment.load_learnt(tmp_path / "run", stft)
    assert context == PhaseContext(stft, 2)
    phases, _ = learnt_phases(stepper, context, np.abs(stft.forward(audio)))
    assert np.isfinite(phases).all()
    other = STFT(stft.window_samples // 2, stft.hop_samples // 2, sample_rate_hz=stft.sample_rate_hz)
    with pytest.raises(RnnaudioError, match=r"window_samples is \d+, expected \d+; hop_samples is"):
        experiment.load_learnt(tmp_path / "run", other)
    with pytest.raises(RnnaudioError, match="no checkpoint"):
        experiment.load_learnt(tmp_path / "none", stft)


def test_models_of_other_widths_are_refused():
    model = Dense(4, 2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="4 inputs and 2 outputs; expected 15 inputs"):
        LearntPhase(Stepper(model), CONTEXT)
