"""Phases from magnitudes: iterations in bulk and in a stream, differences and what their sum gives back."""

import numpy as np
import pytest

from rnnaudio.audio import STFT
from rnnaudio.audio.phase import (
    OnlineGriffinLim,
    PhaseGradient,
    PhaseIntegrator,
    griffin_lim,
    integrated,
    magnitude_differences,
    phase_differences,
    starting_phases,
    streamed,
    with_phases,
    wrapped,
)
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.phases import spread
from rnnaudio.metrics.spectra import (
    best_shift,
    mean_phase_distance,
    phase_distance_up_to_shift,
    spectral_convergence_db,
)
from tests.support.sounds import spoilt

STFT_1024 = STFT(1024, 256, sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def piano():
    audio, _ = embedded_recordings()[0].load()
    return np.asarray(audio[16_000:40_000], np.float64)


@pytest.fixture(scope="module")
def spectra(piano):
    return STFT_1024.forward(piano)


@pytest.fixture(scope="module")
def magnitudes(spectra):
    return np.abs(spectra)


def convergence(spectra, audio, stft=STFT_1024):
    return spectral_convergence_db(spectra, stft.forward(audio))


def naive_griffin_lim(magnitudes, stft, n_iterations, momentum, phases, n):
    """Perraudin et al.'s algorithm 2, with the inverse as a loop over frames."""

    def projected(c):
        total, squares = (np.zeros((len(c) - 1) * stft.hop_samples + stft.window_samples) for _ in range(2))
        for m, row in enumerate(c):
            span = slice(m * stft.hop_samples, m * stft.hop_samples + stft.window_samples)
            total[span] += stft.weights * np.fft.irfft(row, stft.window_samples)
            squares[span] += stft.weights**2
        audio = (total / squares)[stft.offset : stft.offset + n]
        return audio, stft.forward(audio)

    c = magnitudes * np.exp(1j * phases)
    _, before = projected(c)
    c = before
    for _ in range(n_iterations - 1):
        _, t = projected(magnitudes * c / np.abs(c))
        c, before = t + momentum * (t - before), t
    return projected(magnitudes * c / np.abs(c))[0]


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_the_iterations_are_the_algorithm_s(momentum):
    stft = STFT(32, 10, "hamming")
    audio = np.random.default_rng(1).standard_normal(200)
    magnitudes = np.abs(stft.forward(audio))
    start = starting_phases(magnitudes.shape, stft, "random", seed=4)
    expected = naive_griffin_lim(magnitudes, stft, 6, momentum, start, 200)
    options = {"n_iterations": 6, "momentum": momentum, "n_samples": 200}
    np.testing.assert_allclose(griffin_lim(magnitudes, stft, start=start, **options), expected, atol=1e-9)
    named = griffin_lim(magnitudes, stft, start="random", seed=4, **options)
    np.testing.assert_array_equal(named, griffin_lim(magnitudes, stft, start=start, **options))


def test_the_true_phases_are_left_as_they_are(piano, spectra, magnitudes):
    options = {"start": np.angle(spectra), "n_samples": len(piano)}
    for n_iterations in (0, 5):
        audio = griffin_lim(magnitudes, STFT_1024, n_iterations=n_iterations, **options)
        np.testing.assert_allclose(audio, piano, atol=1e-9)


def test_plain_iterations_never_make_it_worse(spectra, magnitudes):
    errors = [
        convergence(spectra, griffin_lim(magnitudes, STFT_1024, n_iterations=k, momentum=0.0)[:24_000])
        for k in (0, 1, 2, 4, 8, 16)
    ]
    assert (np.diff(errors) < 0.0).all() and errors[-1] < errors[0] - 8.0


def test_better_ways_are_better(piano, spectra, magnitudes):
    """The order that the literature has: zero and random phase, in a stream, plain, fast, fast from a good start."""
    gradient = integrated(magnitudes, magnitude_differences(magnitudes, STFT_1024), STFT_1024)
    n = len(piano)

    def run(n_iterations, momentum, start):
        options = {"n_iterations": n_iterations, "momentum": momentum, "start": start, "n_samples": n}
        return convergence(spectra, griffin_lim(magnitudes, STFT_1024, **options))

    zero, random, plain = run(0, 0.0, "zero"), run(0, 0.0, "random"), run(40, 0.0, "random")
    fast, integral, both = run(40, 0.99, "random"), run(0, 0.0, gradient), run(40, 0.99, gradient)
    online = convergence(spectra, streamed(magnitudes, STFT_1024)[:n])
    assert max(zero, random) > -6.0
    assert online < min(zero, random) - 5.0
    assert plain < online - 1.0 and fast < plain - 4.0 and integral < online - 2.0 and both < fast - 1.0


def test_differences_of_a_tone_and_of_a_click():
    stft = STFT(256, 64)
    tone = np.cos(2 * np.pi * 20.3 / 256 * np.arange(4000) + 1.0)
    phases = np.angle(stft.forward(tone))[10:-10]
    differences = phase_differences(phases, stft)
    # 0.3 bins above the centre of bin 20, 0.7 below that of 21; the same tone in all bins that it reaches
    for k in (19, 20, 21):
        np.testing.assert_allclose(differences.time[1:, k], 2 * np.pi * (20.3 - k) * 64 / 256, atol=1e-3)
    click = np.zeros(1000)
    click[500 - 3] = 1.0
    bare = STFT(256, 64, padding="none")
    spectra = bare.forward(click)
    for m in range(4, 8):
        late = 500 - 3 - (m * 64 + 128)  # samples after the frame's centre
        expected = wrapped(np.full(128, -2 * np.pi * late / 256))
        np.testing.assert_allclose(phase_differences(np.angle(spectra), bare).frequency[m, 1:], expected, atol=1e-9)


def test_differences_ignore_a_common_shift_and_whole_turns(spectra):
    phases = np.angle(spectra)
    turns = 2 * np.pi * np.random.default_rng(0).integers(-3, 4, phases.shape)
    for kind, moved in zip(
        phase_differences(phases, STFT_1024), phase_differences(phases + 1.3 + turns, STFT_1024), strict=True
    ):
        assert np.abs(np.sin((kind - moved) / 2)).max() < 1e-9


def test_the_sum_of_the_true_differences_is_the_phase_up_to_a_shift(piano, spectra, magnitudes):
    phases = integrated(magnitudes, phase_differences(np.angle(spectra), STFT_1024), STFT_1024, faintest=1e-9)
    assert phase_distance_up_to_shift(np.angle(spectra), phases, magnitudes) < 1e-6
    phases = phases + best_shift(np.angle(spectra), phases, magnitudes)  # shifted, its ends would be other edges
    audio = griffin_lim(magnitudes, STFT_1024, n_iterations=0, start=phases, n_samples=len(piano))
    assert convergence(spectra, audio) < -60.0


def test_differences_from_magnitudes_are_those_of_a_tone():
    """Near the peak of a tone, where the log-magnitude of a Hann window is close to a Gaussian's."""
    stft = STFT(512, 128)
    tone = np.cos(2 * np.pi * 40.2 / 512 * np.arange(8000))
    spectra = stft.forward(tone)[10:-10]
    guess = magnitude_differences(np.abs(spectra), stft).time[5:-5, 39:42]
    true = phase_differences(np.angle(spectra), stft).time[5:-5, 39:42]
    assert np.abs(guess - true).max() < 0.25


def test_differences_from_magnitudes_are_those_of_a_click():
    """In a frame whose centre it is near, where the window's logarithm is close to a Gaussian's."""
    stft = STFT(512, 64, padding="none")
    click = np.zeros(2000)
    click[1000] = 1.0
    spectra = stft.forward(click)
    late = 1000 - (np.arange(len(spectra)) * 64 + 256)  # samples after each frame's centre
    near = np.flatnonzero(np.abs(late) <= 100)
    guess = magnitude_differences(np.abs(spectra), stft).frequency[near, 1:]
    np.testing.assert_allclose(guess, np.tile(-2 * np.pi * late[near, None] / 512, 256), atol=0.3)
    assert len(near) >= 3 and (np.sign(guess[:, 0]) == -np.sign(late[near])).all()


def test_the_integrator_is_causal_and_seeded(magnitudes):
    differences = magnitude_differences(magnitudes, STFT_1024)
    whole = integrated(magnitudes, differences, STFT_1024, seed=3)
    integrator = PhaseIntegrator(STFT_1024, seed=3)
    rows = zip(magnitudes[:20], differences.time, differences.frequency, strict=False)
    np.testing.assert_array_equal(np.stack([integrator.step(*row) for row in rows]), whole[:20])
    silent = np.zeros((3, 513))
    zeros = phase_differences(silent, STFT_1024)
    first, again, other = (integrated(silent, zeros, STFT_1024, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert mean_phase_distance(first, other) == pytest.approx(0.5, abs=0.05)


def plain_integration(before, magnitudes, ahead, frequency, limit):
    """Centred phases of one frame by the definition: of all that leads somewhere new the loudest goes first."""
    n = len(magnitudes)
    known = {}
    reach = {(0, k): before[k] for k in range(n) if before[k] > limit}  # loudness of what may lead on
    missing = {k for k in range(n) if magnitudes[k] > limit}
    while missing:
        leads = {
            (kind, k): loud for (kind, k), loud in reach.items() if missing & ({k} if kind == 0 else {k - 1, k + 1})
        }
        if not leads:
            found = {max(missing, key=magnitudes.__getitem__): 0.0}
        else:
            kind, k = max(leads, key=leads.get)
            found = {k: ahead[k]} if kind == 0 else {}
            if kind == 1 and k - 1 in missing:
                found[k - 1] = known[k] - frequency[k]
            if kind == 1 and k + 1 in missing:
                found[k + 1] = known[k] + frequency[k + 1]
        for k, phase in found.items():
            known[k] = phase
            missing.discard(k)
            reach[1, k] = magnitudes[k]
    return known


@pytest.mark.parametrize("limit", [0.0, 0.4, 2.0])
def test_the_heap_takes_the_loudest_path(limit):
    """Also where magnitudes are at the limit: those of a bin that is as quiet as the limit lead nowhere."""
    rng = np.random.default_rng(5)
    for n in (1, 2, 17, 60):
        before, magnitudes, ahead, frequency = rng.random((4, n))
        before[1::5], magnitudes[::7] = limit, limit
        before[: n // 2] *= 0.5
        phases = np.full(n, 7.0)
        spread(before, magnitudes, ahead, frequency, limit, phases)
        known = plain_integration(before, magnitudes, ahead, frequency, limit)
        np.testing.assert_allclose(phases, [known.get(k, 7.0) for k in range(n)], atol=1e-12)


def test_the_gradient_in_a_stream_is_that_of_all_frames_at_once(magnitudes):
    rows = magnitudes[:30]
    for n in (1, 2, 3, 30):
        stream = PhaseGradient(STFT_1024, seed=4)
        settled = [frame for row in rows[:n] for frame in stream.push(row)] + stream.flush()
        whole = integrated(rows[:n], magnitude_differences(rows[:n], STFT_1024), STFT_1024, seed=4)
        np.testing.assert_array_equal(np.stack([frame.phases for frame in settled]), whole)
        np.testing.assert_array_equal(np.stack([frame.magnitudes for frame in settled]), rows[:n])
    assert not stream.flush()
    with pytest.raises(RnnaudioError, match="flushed"):
        stream.push(rows[0])


def test_the_gradient_goes_on_from_phases_that_are_known(spectra, magnitudes):
    """A turn of all phases that were given turns all that follow (but the faintest, which are drawn)."""
    phases = np.angle(spectra)

    def following(turn):
        stream = PhaseGradient(STFT_1024)
        given = [stream.push(row, phases[k] + turn if k < 4 else None) for k, row in enumerate(magnitudes[:12])]
        return np.stack([frame.phases for frames in given for frame in frames])

    straight, turned = following(0.0), following(1.1)
    np.testing.assert_array_equal(straight[:4], phases[:4])
    loud = magnitudes[4:11] > 1e-3 * magnitudes[:12].max()
    assert np.abs(np.sin((turned - straight - 1.1)[4:] / 2))[loud].max() < 1e-9


@pytest.mark.parametrize("padding", ["full", "none"])
def test_a_stream_of_known_phases_is_the_inverse(piano, padding):
    stft = STFT(512, 200, padding=padding)
    spectra = stft.forward(piano[:5000])
    stream = OnlineGriffinLim(stft, look_ahead=0, n_iterations=0)
    parts = [stream.push(np.abs(row), np.angle(row)) for row in spectra]
    assert len(parts[5]) == 200
    audio = np.concatenate([*parts, stream.flush()])
    assert len(audio) == stft.n_samples(len(spectra))
    np.testing.assert_allclose(audio[1:], stft.inverse(spectra)[1:], atol=1e-9)


@pytest.mark.parametrize("padding", ["full", "none"])
def test_a_second_flush_gives_nothing(magnitudes, padding):
    stream = OnlineGriffinLim(STFT(1024, 256, padding=padding))
    for row in magnitudes[:6]:
        stream.push(row)
    assert len(stream.flush()) and not len(stream.flush())


def test_a_caller_may_fill_one_array_with_each_frame(magnitudes):
    for kind in (PhaseGradient, OnlineGriffinLim):
        one, other, buffer = kind(STFT_1024), kind(STFT_1024), np.empty(513)
        for row in magnitudes[:8]:
            buffer[:] = row
            for a, b in zip(np.atleast_1d(one.push(row)), np.atleast_1d(other.push(buffer)), strict=True):
                np.testing.assert_array_equal(getattr(a, "phases", a), getattr(b, "phases", b))


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_what_a_stream_gave_out_does_not_depend_on_what_comes(magnitudes, look_ahead):
    other = magnitudes.copy()
    other[20:] = 1.0
    streams = [OnlineGriffinLim(STFT_1024, look_ahead=look_ahead, n_iterations=2) for _ in range(2)]
    pairs = zip(streams, (magnitudes, other), strict=True)
    given = [np.concatenate([stream.push(row) for row in rows[:20]]) for stream, rows in pairs]
    np.testing.assert_array_equal(*given)
    assert len(given[0]) == (20 - look_ahead) * 256 - STFT_1024.offset


def test_more_look_ahead_is_better(spectra, magnitudes):
    found = [convergence(spectra, streamed(magnitudes, STFT_1024, look_ahead=k)[:24_000]) for k in (0, 1, 3)]
    assert found[2] < found[1] - 1.0 < found[0] - 2.0


def test_silence_stays_silence():
    silent = np.zeros((8, 513))
    assert not griffin_lim(silent, STFT_1024, n_iterations=3, start="random").any()
    assert not streamed(silent, STFT_1024).any()
    assert np.isfinite(integrated(silent, magnitude_differences(silent, STFT_1024), STFT_1024)).all()


def test_what_is_refused(magnitudes):
    stft = STFT_1024
    negative = -magnitudes
    broken = magnitudes.copy()
    broken[3, 4] = np.nan
    for call, message in [
        (lambda: griffin_lim(magnitudes[:, :100], stft), r"expected \(..., frames, 513\) for a window of 1024"),
        (lambda: griffin_lim(negative, stft), "negative values"),
        (lambda: griffin_lim(broken, stft), "hold NaN"),
        (lambda: griffin_lim(magnitudes, stft, momentum=1.2), "momentum 1.2: expected 0 or more, and 0 to 1"),
        (lambda: griffin_lim(magnitudes, stft, start="cosine"), "got 'cosine', expected zero, random or an array"),
        (lambda: griffin_lim(magnitudes, stft, start=np.zeros((2, 3))), r"shape \(2, 3\), expected"),
        (lambda: OnlineGriffinLim(stft, look_ahead=-1), "look_ahead is -1"),
        (lambda: OnlineGriffinLim(stft).push(np.zeros(5)), "expected"),
        (lambda: OnlineGriffinLim(stft).push(magnitudes[0], spoilt(513)), r"phases of shape \(513,\)"),
        (lambda: PhaseGradient(stft).push(np.zeros(5)), "expected"),
        (lambda: PhaseGradient(stft).push(magnitudes), r"expected one frame, \(513,\)"),
        (lambda: griffin_lim(magnitudes + 1j, stft), "complex spectra, expected their magnitudes"),
        (lambda: PhaseGradient(stft).push(broken[3]), "hold NaN"),
        (lambda: PhaseGradient(stft).push(magnitudes[0], np.zeros(3)), r"\(3,\); expected .* of shape \(513,\)"),
        (lambda: PhaseGradient(STFT(16, 16, "rectangular")), "no Gaussian approximates"),
        (lambda: magnitude_differences(np.ones((3, 9)), STFT(16, 16, "rectangular")), "no Gaussian approximates"),
    ]:
        with pytest.raises(RnnaudioError, match=message):
            call()
    over = OnlineGriffinLim(stft)
    assert len(over.flush()) == 0
    with pytest.raises(RnnaudioError, match="was flushed"):
        over.push(magnitudes[0])


def test_with_phases():
    np.testing.assert_allclose(with_phases(np.array([2.0]), np.array([np.pi / 2])), [2j], atol=1e-15)
