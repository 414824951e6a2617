"""Saturation, gradients, update ratios, speed and growth."""

import numpy as np
import pytest

from rnnaudio import plots
from rnnaudio.errors import RnnaudioError
from tests.support.figures import texts_overlap


def test_saturation_panels_show_shares_and_name_the_percentage():
    edges = np.linspace(0, 1, 5)
    figure = plots.saturation_figure(
        {"lstm.gate_input": (edges, [1, 2, 3, 4], 0.123), "empty": (edges, [0, 0, 0, 0], 0.0)}
    )
    first, second = figure.axes
    assert first.get_title() == "lstm.gate_input\n12.3 % saturated"
    assert second.get_title() == "empty\nno values"
    np.testing.assert_allclose(first.patches[0].get_data().values, [10, 20, 30, 40])
    assert figure.get_supylabel() == "Share of values per bin (%)"
    assert figure.get_supxlabel() == "Activation (no unit)"


def test_six_saturation_panels_fill_two_rows_and_hide_the_rest():
    figure = plots.saturation_figure({str(i): ([0, 1], [1], 0.0) for i in range(6)})
    assert [axes.axison for axes in figure.axes] == [True] * 6 + [False] * 2


def test_gradient_bars_end_at_the_norms_and_the_lag_has_seconds():
    figure = plots.gradient_norms_figure({"a": 1e-3, "b": 0.2}, [1.0, 0.1, 0.01], seconds_per_step=0.0125)
    left, right = figure.axes[:2]
    np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in left.patches], [1e-3, 0.2])
    assert left.get_xscale() == right.get_yscale() == "log"
    assert left.yaxis_inverted()  # the first parameter on top
    assert right.get_xlabel() == "Lag T − t (steps)"
    assert "(loss unit per input unit)" in right.get_ylabel()
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1.0, 0.1, 0.01])
    figure.draw_without_rendering()
    seconds = right.child_axes[0]
    assert seconds.get_xlabel() == "Lag (s)"
    np.testing.assert_allclose(seconds.get_xlim(), 0.0125 * np.array(right.get_xlim()))


def test_gradients_that_a_log_scale_cannot_show_are_written_out():
    figure = plots.gradient_norms_figure({"dead": 0.0, "good": 1.0, "bad": np.nan}, [1.0, 0.0, np.inf, 0.1])
    left, right = figure.axes
    assert [(text.get_text(), text.get_position()[1]) for text in left.texts] == [(" 0", 0), (" nan", 2)]
    assert right.get_title() == "2 of 4 lags are zero or not finite"
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [1.0, np.nan, np.nan, 0.1])
    plots.gradient_norms_figure({"dead": 0.0}, [0.0]).draw_without_rendering()
    plots.gradient_norms_figure({"w": 1.0}, [1.0]).draw_without_rendering()


def test_update_ratios_have_a_panel_a_layer_and_the_rule_of_thumb():
    history = {
        "lstm.w": [(0, 1e-2), (10, 1e-3)], "lstm.b": [(0, 0.0), (10, np.nan)], "dense.w": [(0, 1e-4), (10, 1e-5)]
    }  # fmt: skip
    figure = plots.update_ratios_figure(history)
    lstm, dense = figure.axes
    assert (lstm.get_title(), dense.get_title()) == ("lstm", "dense")
    for axes in (lstm, dense):
        assert np.all(np.asarray(axes.lines[0].get_ydata()) == 1e-3)
        assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(lstm.lines[1].get_xdata(), [0, 10])
    np.testing.assert_array_equal(lstm.lines[1].get_ydata(), [1e-2, 1e-3])
    assert "b: never above 0" in [text.get_text() for text in lstm.texts]
    assert figure.get_supxlabel() == "Update (count)"


def test_update_ratio_labels_point_at_the_last_value_without_overlap():
    layers = {f"lstm_{i}.p{j}": [(0, 1e-3), (9, 1e-3 * (1 + j / 50))] for i in range(3) for j in range(8)}
    figure = plots.update_ratios_figure({**layers, "dense.w": [(0, 1.0), (9, 1e-5)]})
    figure.draw_without_rendering()
    for axes in figure.axes[:4]:
        assert not texts_overlap(axes.texts)
    label = next(text for text in figure.axes[3].texts if text.get_text() == "w")
    in_data = axes_fraction_to_data(figure.axes[3], label.xy)
    assert in_data[1] == pytest.approx(1e-5, rel=1e-6)


def axes_fraction_to_data(axes, point):
    return axes.transData.inverted().transform(axes.transAxes.transform(point))


def test_pictures_of_nothing_are_refused():
    for call in (
        lambda: plots.saturation_figure({}),
        lambda: plots.gradient_norms_figure({}, [1.0]),
        lambda: plots.gradient_norms_figure({"w": 1.0}, []),
        lambda: plots.update_ratios_figure({}),
    ):
        with pytest.raises(RnnaudioError, match="expected (at least )?one"):
            call()


def test_speed_ratios_stand_where_they_belong():
    rows = [
        {"cell": cell, "point": {"n_in": 2, "n_units": n}, "rnnaudio": {"seconds": 1.0, "ratio": 1.0}, "gflop": 3.0}
        | {"torch": {"seconds": ratio, "ratio": ratio}}
        for cell, n, ratio in (("lstm", 5, 1.5), ("lstm", 6, 3.0), ("gru", 5, 0.75))
    ]
    panels = plots.speed_ratios_figure(rows).axes
    assert [panel.get_title(loc="left").split(":")[0] for panel in panels] == ["lstm", "gru"]
    drawn = [[tuple(map(float, dot)) for c in panel.collections for dot in c.get_offsets()] for panel in panels]
    assert drawn == [[(1.5, 1.0), (3.0, 0.0)], [(0.75, 0.0)]]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["2, 5", "2, 6"]
    with pytest.raises(RnnaudioError, match="got no rows"):
        plots.speed_ratios_figure([])


def test_growth_draws_the_measured_times_and_says_both_exponents():
    series = {"units": {"values": [1, 2, 4], "seconds": [0.001, 0.004, 0.016], "exponent": 2.0, "predicted": 1.9}}
    (panel,) = plots.growth_figure(series).axes
    fit, measured = panel.lines
    np.testing.assert_allclose(measured.get_ydata(), [1.0, 4.0, 16.0])
    np.testing.assert_allclose(fit.get_ydata(), [1.0, 4.0, 16.0])
    assert "2.00" in panel.get_title() and "1.90" in panel.get_title() and panel.get_xlabel() == "units"
    with pytest.raises(RnnaudioError, match="got no series"):
        plots.growth_figure({})
