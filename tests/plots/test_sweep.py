"""Plots of a sweep: points and lines where trials are, axes with their ends, names that do not overlap."""

import numpy as np
import pytest
from matplotlib.text import Text

from rnnaudio import plots
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots import Coordinate
from tests.support.figures import line, texts_overlap

TRIALS = [
    {"number": 0, "state": "complete", "value": 4.0, "settings": {"rate": 1e-3, "cell": "gru", "n": 3}},
    {"number": 1, "state": "failed", "value": None, "settings": {}},
    {"number": 2, "state": "pruned", "value": 5.0, "settings": {}},
    {"number": 3, "state": "complete", "value": 3.0, "settings": {"rate": 1e-2, "cell": "lstm", "n": 5}},
    {"number": 4, "state": "complete", "value": 3.5, "settings": {"rate": 1e-4, "cell": "gru", "n": 1}},
    {"number": 5, "state": "begun", "value": None, "settings": {}},
]
COMPLETE = [row for row in TRIALS if row["state"] == "complete"]
COORDINATES = {
    "rate": Coordinate(1e-4, 1e-2, is_log=True), "cell": Coordinate(choices=("gru", "lstm")),
    "n": Coordinate(1, 5, marks=(1, 3, 5)),
}  # fmt: skip


@pytest.mark.parametrize(("lowest_is_best", "best"), [(True, [4.0, 3.0, 3.0]), (False, [4.0, 4.0, 4.0])])
def test_the_history_has_each_trial_and_the_best_so_far(lowest_is_best, best):
    figure = plots.objective_history_figure(TRIALS, quantity="loss (bits)", lowest_is_best=lowest_is_best)
    (axes,) = figure.axes
    shown = {label: line(axes, label).get_xydata().tolist() for label in ("best", "complete", "pruned", "failed")}
    assert shown["complete"] == [[0, 4.0], [3, 3.0], [4, 3.5]] and shown["pruned"] == [[2, 5.0]]
    assert [y for _, y in shown["best"]] == best and [x for x, _ in shown["failed"]] == [1]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("trial", "loss (bits)", "linear")
    wide = [*TRIALS[:1], {**TRIALS[3], "value": 4000.0}]
    (axes,) = plots.objective_history_figure(wide, quantity="x", lowest_is_best=True).axes
    assert axes.get_yscale() == "log"


def test_importances_are_bars_with_their_shares():
    figure = plots.importances_figure({"rate": 0.75, "n": 0.25}, quantity="loss (bits)")
    (axes,) = figure.axes
    widths = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in axes.patches}
    names = dict(zip(axes.get_yticks(), [text.get_text() for text in axes.get_yticklabels()], strict=True))
    assert {names[place]: width for place, width in widths.items()} == {"rate": 0.75, "n": 0.25}
    assert max(names) == next(place for place, name in names.items() if name == "rate")  # the greatest on top
    assert "loss (bits)" in axes.get_xlabel()


def test_each_trial_is_a_line_through_its_settings():
    figure = plots.parallel_coordinates_figure(
        COMPLETE, coordinates=COORDINATES, quantity="loss (bits)", lowest_is_best=True
    )
    (axes,) = figure.axes
    lines = [one for one in axes.lines if len(one.get_xdata()) == 4]
    heights = [one.get_ydata().tolist() for one in lines]
    expected = {0: [0.5, 0.25, 0.5, 1.0], 3: [1.0, 0.75, 1.0, 0.0], 4: [0.0, 0.25, 0.0, 0.5]}
    np.testing.assert_allclose(sorted(heights), sorted(expected.values()), atol=1e-12)
    np.testing.assert_allclose(heights[-1], expected[3], atol=1e-12)  # the best, on top
    assert [one.get_linewidth() for one in lines] == [1.2, 1.2, 3.0]
    assert [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()] == [*COORDINATES, "loss (bits)"]
    assert len({one.get_color() for one in lines}) == 3


def test_ticks_are_ends_and_round_numbers_between_them():
    labels = [label for _, label in Coordinate(1e-4, 3e-2, is_log=True).ticks()]
    assert labels == ["0.0001", "0.001", "0.01", "0.03"]
    first, *between, last = [label for _, label in Coordinate(0, 5.2).ticks()]
    assert (first, last) == ("0", "5.2") and len(between) > 1 and all(float(label) % 0.5 == 0.0 for label in between)
    assert Coordinate(8, 16, marks=(8.0, 12.0, 16.0)).ticks() == [(0.0, "8"), (0.5, "12"), (1.0, "16")]
    assert [label for _, label in Coordinate(1.0161, 1.0162).ticks()][::5] == ["1.0161", "1.0162"]
    assert Coordinate(choices=("a", "a name that is long")).ticks() == [(0.25, "a"), (0.75, "a name that i…")]
    assert Coordinate(2.0, 2.0).ticks() == [(0.5, "2")]


def test_labels_of_many_axes_do_not_overlap():
    many = {f"model.a_long_name_{k}": Coordinate(0, 10**k) for k in range(7)}
    rows = [{"value": v, "settings": dict.fromkeys(many, v)} for v in (0.5, 0.25)]
    figure = plots.parallel_coordinates_figure(
        rows, coordinates=many, quantity="time that the sound stays alive (s)", lowest_is_best=False
    )
    figure.draw_without_rendering()
    axes = figure.axes[0]
    ticks = [text for text in axes.texts if isinstance(text, Text)]
    assert not texts_overlap([*axes.get_xticklabels(), *ticks])


def test_without_a_complete_trial_there_is_no_plot():
    for plot in (
        lambda: plots.objective_history_figure(TRIALS[1:3], quantity="x", lowest_is_best=True),
        lambda: plots.parallel_coordinates_figure([], coordinates={}, quantity="x", lowest_is_best=True),
    ):
        with pytest.raises(RnnaudioError, match="sweep: got no complete trial, expected one or more"):
            plot()
    with pytest.raises(RnnaudioError, match="sweep: got no settings, expected one or more"):
        plots.importances_figure({}, quantity="x")
