"""Pictures of spectra: what the figures hold, against the numbers given."""

import numpy as np
import pytest

from rnnaudio import plots
from rnnaudio.errors import RnnaudioError
from tests.support.figures import line, texts_overlap


def panels(rng):
    amplitudes = np.abs(rng.standard_normal((6, 4)))
    return {"Amplitude": amplitudes, "Phase": plots.Angles(rng.uniform(-9.0, 9.0, (6, 4)))}


def test_amplitudes_are_in_decibels_of_the_loudest_and_angles_within_a_turn():
    given = panels(np.random.default_rng(1))
    figure = plots.spectral_panels_figure(given, 0.5 + 0.1 * np.arange(6), 100.0 * np.arange(4))
    amplitude, phase = (axes for axes in figure.axes if axes.images and axes.get_ylabel() == "Frequency (Hz)")
    loudest = given["Amplitude"].max()
    levels = 20 * np.log10(given["Amplitude"].T / loudest)
    np.testing.assert_allclose(amplitude.images[0].get_array(), levels, atol=1e-9)
    assert amplitude.images[0].get_clim() == (-80.0, 0.0)
    shown = np.asarray(phase.images[0].get_array())
    assert -np.pi <= shown.min() and shown.max() < np.pi and phase.images[0].get_clim() == (-np.pi, np.pi)
    np.testing.assert_allclose(np.exp(1j * shown), np.exp(1j * given["Phase"].values.T), atol=1e-12)
    np.testing.assert_allclose(phase.images[0].get_extent(), (0.45, 1.05, -50.0, 350.0))
    assert phase.get_xlabel() == "Time (s)" and phase.get_title(loc="left") == "Phase"
    assert {axes.get_ylabel() for axes in figure.axes} >= {"Angle (radian)", "Level (dB of\nthe loudest)"}


def test_silence_is_drawn():
    figure = plots.spectral_panels_figure({"silence": np.zeros((3, 2))}, [0, 1, 2], [0, 1])
    assert (np.asarray(figure.axes[0].images[0].get_array()) <= -80.0).all()


def test_panels_of_another_shape_are_refused():
    with pytest.raises(RnnaudioError, match=r"a: got an array of shape \(2, 3\), expected \(3, 2\): as many frames"):
        plots.spectral_panels_figure({"a": np.ones((2, 3))}, [0, 1, 2], [0, 1])


def test_methods_stand_in_their_order_with_their_means():
    figure = plots.methods_figure({"first": [-4.0, -2.0], "second": [-30.0]}, quantity="convergence (dB)")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]
    assert [text.get_text() for text in axes.texts] == ["−3.0", "−30.0"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [-4.0, -2.0])
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [-3.0, -3.0])
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top
    assert axes.get_xlabel().startswith("convergence (dB)")
    for values in ({}, {"first": []}):
        with pytest.raises(RnnaudioError, match="methods without a value"):
            plots.methods_figure(values, quantity="dB")


def test_errors_are_named_at_their_ends():
    errors = {"model": [0.1, 0.5, 0.8], "last frame again": [0.2, 0.9, 1.4], "mean": [1.0, 1.0, 0.81]}
    figure = plots.error_by_horizon_figure(errors, [0.1, 0.2, 0.3], quantity="share of variance")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), errors["last frame again"])
    assert {text.get_text() for text in axes.texts} == set(errors) and not texts_overlap(axes.texts)
    assert axes.get_xlabel() == "Time ahead (s)" and axes.get_ylabel() == "share of variance"
    assert axes.get_ylim()[0] == 0.0 and axes.get_xlim() == (0.0, 0.3)
    assert len({one.get_color() for one in axes.lines}) == 3 and line(axes, "_child0") is axes.lines[0]
    with pytest.raises(RnnaudioError, match=r"model: got errors of shape \(2,\), expected \(3,\)"):
        plots.error_by_horizon_figure({"model": [1.0, 2.0]}, [1, 2, 3], quantity="")
