"""Pictures of a diagnosis."""

import numpy as np
import pytest
from matplotlib.text import Text

from rnnaudio import plots
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements
from rnnaudio.errors import RnnaudioError
from tests.support.figures import line, measured, texts_overlap

CAUSES = (
    Cause("unscaled-rmsprop", 0.9, "An update is 1e-4 of what $the rule$ promises. " * 6, "Divide by sqrt(r)."),
    Cause("last-step-cost", 0.4, "31 of 32 steps have no gradient.", "Count all steps."),
)


def panels_of(figure):
    """title -> axes, of all but the words."""
    return {axes.get_title(loc="left").split("\n")[0]: axes for axes in figure.axes[1:]}


def test_a_diagnosis_has_its_causes_in_words_and_a_labelled_panel_for_each_measurement():
    figure = plots.diagnosis_figure(Diagnosis(CAUSES, measured()))
    figure.canvas.draw()
    words, *panels = figure.axes
    written = [text.get_text() for text in words.texts]
    assert written[0] == "1. unscaled rmsprop   (severity 0.90)" and "2. last step cost   (severity 0.40)" in written
    assert all(len(one) <= 140 for one in written) and r"\$the rule\$" in written[1]
    assert not texts_overlap(words.texts)
    assert max(Text.get_window_extent(text).x1 for text in words.texts) <= figure.bbox.x1
    assert len(panels) == 8 and all(axes.get_xlabel() and axes.get_title(loc="left") for axes in panels)
    assert all(Text.get_window_extent(axes._left_title).x1 <= figure.bbox.x1 for axes in panels)


def test_what_is_drawn_is_what_was_measured():
    m = measured()
    panels = panels_of(plots.diagnosis_figure(Diagnosis((), m)))
    gradient = panels["How far back the gradient reaches"]
    assert gradient.get_yscale() == "log"
    np.testing.assert_array_equal(gradient.lines[0].get_xydata(), np.column_stack([np.arange(32), m.gradient_by_lag]))
    sizes = panels["Size of an update relative to that expected of the rule"]
    assert [one.get_text() for one in sizes.get_yticklabels()] == list(m.step_sizes)
    assert any(one.get_linestyle() == "--" and set(one.get_xdata()) == {1.0} for one in sizes.lines)
    levels = panels["Level of prime and free run"]
    np.testing.assert_array_equal(line(levels, "free run").get_xdata(), np.arange(20, 100))
    assert set(line(levels, "end of the prime").get_xdata()) == {19.5}
    coverage = panels["Steps that contribute to the cost"]
    assert coverage.get_title(loc="left").endswith("\nNone at 31 of 32 steps")
    assert [bar.get_height() for bar in coverage.patches][-2:] == [0.0, 0.01]
    errors = panels["Error on validation windows (lower is better)"]
    np.testing.assert_allclose([bar.get_width() for bar in errors.patches], [-3.0103, 0.0, 3.0103], atol=1e-4)


def test_what_was_not_measured_is_left_out():
    assert len(plots.diagnosis_figure(Diagnosis((), Measurements())).axes) == 1
    nothing = Measurements(
        gradient_by_lag=np.zeros(4), echo=np.full(4, np.nan), level_db=np.full(4, -np.inf), errors={"model": np.nan}
    )
    assert len(plots.diagnosis_figure(Diagnosis(CAUSES, nothing)).axes) == 1
    figure = plots.diagnosis_figure(Diagnosis((), Measurements(echo=np.array([1.0, np.inf, 0.0]))))
    axes = figure.axes[1]  # in the title: within the axes it could lie on the curve
    assert "2 of 3 values are zero or not finite" in axes.get_title("left") and not axes.texts
    figure.canvas.draw()


def test_many_parameters_and_a_step_of_no_size():
    sizes = {f"w{k}": (0.0, 1.0) for k in range(40)} | {"silent": (0.0, 0.0), "wild": (1.0, 1e6)}
    (axes,) = plots.diagnosis_figure(Diagnosis((), Measurements(step_sizes=sizes))).axes[1:]
    names = [one.get_text() for one in axes.get_yticklabels()]
    assert len(names) == 16 and names[-2:] == ["silent", "wild"]
    assert " 0" in [text.get_text() for text in axes.texts]


def test_confusion_counts_and_frames_the_true_cause():
    rows = [
        *({"planted": "sgd", "cause": "step", "ranked": [first, "x"]} for first in ("step", "step", "other")),
        {"planted": "healthy", "cause": "", "ranked": []},
        {"planted": "noise", "cause": "floor", "ranked": ["step"]},
    ]
    axes = plots.confusion_figure(rows).axes[0]
    assert [one.get_text() for one in axes.get_xticklabels()] == ["step", "(nothing)", "floor", "other"]
    assert [one.get_text() for one in axes.get_yticklabels()] == ["sgd", "healthy", "noise"]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "2"), ((3, 0), "1"), ((1, 1), "1"), ((0, 2), "1"),
    }  # fmt: skip
    assert [patch.get_xy() for patch in axes.patches] == [(-0.5, -0.5), (0.5, 0.5), (1.5, 1.5)]
    with pytest.raises(RnnaudioError, match="expected at least one"):
        plots.confusion_figure([])


def test_runs_stand_beside_what_was_recorded():
    figure = plots.against_record_figure([{1: 5.0, 2: 3.0}, {1: 6.0}], {1: 4.0, 10: 1.0}, quantity="Error (%)")
    (axes,) = figure.axes
    first, second, recorded = axes.lines
    assert first.get_xydata().tolist() == [[1, 5], [2, 3]] and second.get_xydata().tolist() == [[1, 6]]
    assert recorded.get_xydata().tolist() == [[1, 4], [10, 1]] and recorded.get_label() == "2016, as recorded"
    assert first.get_label() == "rnnaudio, 2 seeds" and axes.get_ylabel() == "Error (%)"
    assert axes.get_xscale() == axes.get_yscale() == "log"
    for none in ([], [{}]):
        with pytest.raises(RnnaudioError, match="got none"):
            plots.against_record_figure(none, {}, quantity="%")
