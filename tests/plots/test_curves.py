"""The learning curve, against closed forms."""

import numpy as np
import pytest
from matplotlib.text import Text

from rnnaudio import plots
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots import canvas
from tests.support.figures import history_of, line, texts_overlap


def test_decibels_are_ten_log10_of_the_ratio():
    figure = plots.learning_curve_figure(
        history_of([1.0, 0.1, 0.01]), quantity="Normalised MSE", baselines={"persistence": 0.5}, decibel=True
    )
    axes = figure.axes[0]
    np.testing.assert_allclose(line(axes, "validation").get_ydata(), [0.0, -10.0, -20.0], atol=1e-12)
    np.testing.assert_allclose(line(axes, "training").get_ydata(), [-3.0103, -13.0103, -23.0103], atol=1e-4)
    assert any(np.allclose(one.get_ydata(), -3.0103, atol=1e-4) for one in axes.lines if len(one.get_ydata()) == 2)
    assert axes.get_ylabel() == "Normalised MSE (dB)"
    assert axes.get_xlabel() == "Epoch"
    assert "persistence, −3.01 dB" in [text.get_text() for text in axes.texts]


def test_a_change_of_what_is_trained_on_is_marked_at_its_epoch():
    figure = plots.learning_curve_figure(history_of([1.0, 0.5, 0.4]), quantity="Loss (nat)", changes={"new": 2.0})
    (axes, *_) = figure.axes
    assert any(one.get_linestyle() == "--" and list(one.get_xdata()) == [2.0, 2.0] for one in axes.lines)
    assert "new" in [text.get_text() for text in axes.texts]


def test_the_ringed_epoch_is_the_last_marked_best():
    figure = plots.learning_curve_figure(history_of([3.0, 2.0, 1.0, 0.9], best=(0, 1, 2)), quantity="Loss (nat)")
    ring = line(figure.axes[0], "best")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3.0, 1.0)
    assert ring.get_label() == "best: epoch 3, 1"


def test_the_ring_is_around_the_last_parameters_where_these_play():
    history = history_of([3.0, 1.0, 2.0], best=(0, 1))
    figure = plots.learning_curve_figure(history, quantity="Loss (nat)", kept=(3.5, 1.5))
    ring = line(figure.axes[0], "last")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3.5, 1.5) and ring.get_label() == "last: epoch 3.5, 1.5"
    assert not any(str(one.get_label()).startswith("best") for one in figure.axes[0].lines)


def test_values_that_are_not_finite_are_gaps_and_marked():
    figure = plots.learning_curve_figure(history_of([1.0, np.nan, np.inf, 0.5], best=(2,)), quantity="Loss (nat)")
    axes = figure.axes[0]
    np.testing.assert_array_equal(line(axes, "validation").get_ydata(), [1.0, np.nan, np.nan, 0.5])
    np.testing.assert_array_equal(line(axes, "not a finite").get_xdata(), [2.0, 3.0])
    assert not any(one.get_label().startswith("best") for one in axes.lines)


def test_a_diverged_run_of_nothing_finite_is_still_drawn():
    for decibel in (False, True):
        figure = plots.learning_curve_figure(
            history_of([np.nan]), quantity="MSE", decibel=decibel, baselines={"zero": 1.0, "no": np.inf}
        )
        figure.draw_without_rendering()
        assert "no, not finite" in [text.get_text() for text in figure.axes[0].texts]


def test_one_epoch_has_one_whole_tick_and_no_time_axis():
    figure = plots.learning_curve_figure(history_of([0.7], best=(0,)), quantity="Loss (nat)")
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1.0]
    assert len(figure.axes) == 1


def test_less_than_an_epoch_has_ticks_too():
    records = [dict(record, epoch=record["epoch"] / 10) for record in history_of([3.0, 2.0, 1.5])]
    axes = plots.learning_curve_figure(records, quantity="Loss (nat)").axes[0]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 2


@pytest.mark.parametrize(
    ("seconds_per_epoch", "unit", "length"), [(1.0, "s", 1.0), (30.0, "min", 60.0), (3000.0, "h", 3600.0)]
)
def test_the_time_axis_agrees_with_the_clock(seconds_per_epoch, unit, length):
    lower, upper = plots.learning_curve_figure(history_of(np.ones(20), seconds_per_epoch), quantity="MSE").axes
    assert upper.get_xlabel() == f"Training time ({unit})"
    assert upper.get_xlim() == lower.get_xlim()
    ticks, labels = upper.get_xticks(), [float(label.get_text()) for label in upper.get_xticklabels()]
    assert len(ticks) >= 2
    np.testing.assert_allclose(ticks * seconds_per_epoch, np.array(labels) * length)


def test_a_resumed_run_replaces_the_epochs_it_repeats_and_adds_up_its_clock():
    first = history_of([5.0, 4.0, 3.0, 2.0])
    again = [dict(record, seconds=record["seconds"] - 60.0) for record in history_of([5.0, 4.0, 30.0, 20.0])[2:]]
    lower, upper = plots.learning_curve_figure([*first, *again], quantity="MSE").axes
    valid = line(lower, "validation")
    np.testing.assert_array_equal(valid.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(valid.get_ydata(), [5, 4, 30, 20])
    minutes = [float(label.get_text()) for label in upper.get_xticklabels()]
    assert max(minutes) > 1  # 60 s lie before the checkpoint
    np.testing.assert_allclose(60 * np.array(minutes), 30 * upper.get_xticks())


def test_a_wide_range_of_positive_losses_is_logarithmic():
    scales = [
        plots.learning_curve_figure(history_of(values), quantity="NLL (nat)").axes[0].get_yscale()
        for values in ([100.0, 1.0], [2.0, 1.0], [100.0, -1.0])
    ]
    assert scales == ["log", "linear", "linear"]


def test_baseline_labels_do_not_overlap_and_keep_their_order():
    baselines = {f"baseline {i}": 0.5 + 0.001 * i for i in range(8)}
    figure = plots.learning_curve_figure(history_of([1.0, 0.1]), quantity="MSE", baselines=baselines, title="Eight")
    texts = figure.axes[0].texts
    figure.draw_without_rendering()
    assert not texts_overlap(texts)
    assert np.all(np.diff([text.xyann[1] for text in texts]) > 0)
    assert min(Text.get_window_extent(text).x0 for text in texts) > figure.axes[0].bbox.x1  # none over the data


def test_labels_move_as_little_as_possible():
    np.testing.assert_allclose(canvas._moved_apart(np.array([0.9, 0.5, 0.5]), 0.1), [0.9, 0.45, 0.55])
    np.testing.assert_allclose(
        canvas._moved_apart(np.array([0.5, 0.51, 0.53]), 0.1), [0.41333, 0.51333, 0.61333], 1e-4
    )
    np.testing.assert_allclose(canvas._moved_apart(np.array([1.0, 1.0]), 0.1), [0.9, 1.0])
    np.testing.assert_allclose(canvas._moved_apart(np.array([0.0, 0.0]), 0.1), [0.0, 0.1])
    np.testing.assert_allclose(canvas._moved_apart(np.array([0.2]), 0.1), [0.2])


def test_an_empty_history_is_refused():
    with pytest.raises(RnnaudioError, match="empty history"):
        plots.learning_curve_figure([], quantity="MSE")


def test_runs_are_compared_on_one_axis_of_loss():
    first, second = history_of([4.0, 2.0, 1.0]), history_of([3.0, float("nan"), 2.5])
    figure = plots.compared_curves_figure({"a": first, "b": second, "none": []}, quantity="Loss (nat)")
    by_updates, by_time = figure.axes
    for axes in figure.axes:
        for drawn, history in zip(axes.lines, (first, second, []), strict=True):
            np.testing.assert_array_equal(drawn.get_ydata(), [row["valid"] for row in history])
    np.testing.assert_array_equal(by_updates.lines[0].get_xdata(), [row["updates"] for row in first])
    np.testing.assert_allclose(by_time.lines[0].get_xdata(), [row["seconds"] / 60 for row in first])
    assert by_updates.get_ylabel() == "Validation: Loss (nat)" and by_time.get_xlabel() == "Training time (min)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "none"]
    assert plots.rendered(figure).startswith(b"\x89PNG")
    with pytest.raises(RnnaudioError, match="no run has a validation"):
        plots.compared_curves_figure({"a": []}, quantity="Loss")


def test_errors_over_the_power_of_the_signal_are_compared_in_decibels():
    figure = plots.compared_curves_figure({"a": history_of([1.0, 0.5])}, quantity="MSE", decibel=True)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.0, -3.0103], atol=1e-4)
    assert figure.axes[0].get_ylabel() == "Validation: MSE (dB)"


def test_many_runs_are_told_apart():
    figure = plots.compared_curves_figure({str(k): history_of([1.0, 0.5]) for k in range(28)}, quantity="Loss")
    looks = {(drawn.get_color(), drawn.get_linestyle()) for drawn in figure.axes[0].lines}
    assert len(looks) == 28
