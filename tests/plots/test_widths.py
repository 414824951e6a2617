"""Pictures for phones: as wide as a phone, nothing cut off, letters that can be read; pages show them where narrow."""

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from PIL import Image

from rnnaudio import plots
from rnnaudio.diagnostics.subject import Cause, Diagnosis
from rnnaudio.plots.canvas import NARROW_IN, as_png
from rnnaudio.report import write_report
from rnnaudio.report.frame import picture
from tests.support.figures import history_of, measured

PHONE_PIXELS = 360  # of the content of a page on a common phone
NAMES = ("lstm.w_input", "lstm.w_hidden", "sequential.dense.weight", "sequential.dense.bias")


def saturation(**kwargs):
    histogram = np.linspace(0, 1, 11), np.ones(10), 0.1
    return plots.saturation_figure(dict.fromkeys(("lstm.input", "lstm.forget", "lstm.output"), histogram), **kwargs)


def curve(**kwargs):
    baselines = {"predict zero": 1.0, "persistence": 2.0, "linear prediction": 0.7}
    return plots.learning_curve_figure(
        history_of([1.0, 0.8, 0.7]), quantity="normalised MSE", decibel=True, baselines=baselines, **kwargs
    )


def norms(**kwargs):
    per_parameter = dict.fromkeys(NAMES, 1.0)
    return plots.gradient_norms_figure(per_parameter, [1.0, 0.1, 0.01], seconds_per_step=0.0025, **kwargs)


def ratios(**kwargs):
    return plots.update_ratios_figure({name: [(0, 1e-3), (100, 1e-2)] for name in NAMES}, **kwargs)


def compared(**kwargs):
    histories = {name: history_of([2.0, 1.0]) for name in ("small", "below/large")}
    return plots.compared_curves_figure(histories, quantity="bits a frame", **kwargs)


def diagnosis(**kwargs):
    cause = Cause("overfitting", 0.5, "evidence " * 20, "advice " * 20)
    return plots.diagnosis_figure(Diagnosis((cause,), measured()), **kwargs)


def swept(**kwargs):
    states = ("complete", "pruned", "failed")
    trials = [{"number": k, "state": state, "value": 2.0} for k, state in enumerate(states)]
    return plots.objective_history_figure(trials, quantity="validation loss", lowest_is_best=True, **kwargs)


def importances(**kwargs):
    return plots.importances_figure({"learning_rate": 0.8, "model.n_units": 0.2}, quantity="bits a frame", **kwargs)


SLOW = [pytest.param(one, marks=pytest.mark.slow) for one in (saturation, norms, ratios, compared, swept, importances)]


@pytest.mark.parametrize("draw", [curve, diagnosis, *SLOW])
def test_a_narrow_picture_holds_all_its_words_in_letters_that_can_be_read(draw, monkeypatch):
    words, plain = [], RendererAgg.draw_text

    def recording(self, gc, x, y, text, font, angle, ismath=False, mtext=None):
        width, _, _ = self.get_text_width_height_descent(text, font, ismath)
        words.append((text, x, x + (0.0 if angle else width), font.get_size_in_points()))
        return plain(self, gc, x, y, text, font, angle, ismath, mtext)

    monkeypatch.setattr(RendererAgg, "draw_text", recording)
    assert Image.open(io.BytesIO(as_png(draw(narrow=True)))).width == 800
    shrunk = PHONE_PIXELS / (72 * NARROW_IN)  # pixels of a phone for a point
    assert len(words) > 3
    for text, left, right, points in words:
        assert left >= 0 and right <= 800 and points * shrunk >= 8.5, (text, left, right, points)


def test_a_wide_picture_is_as_it_was():
    for draw in (curve, compared, swept):
        assert as_png(draw()) == as_png(draw(narrow=False))
    assert Image.open(io.BytesIO(as_png(curve()))).size == (960, 576)


def test_both_widths_lie_beside_each_other(tmp_path):
    path = plots.for_page(swept, tmp_path / "history.png")
    assert path == tmp_path / "history.png" and plots.narrow_path(path) == tmp_path / "history-narrow.png"
    assert [Image.open(one).width for one in (path, plots.narrow_path(path))] == [960, 800]
    assert plots.drawn(swept) == (path.read_bytes(), plots.narrow_path(path).read_bytes())


def test_a_page_has_the_narrow_form_if_there_is_one(tmp_path):
    path = plots.for_page(swept, tmp_path / "a.png")
    both, wide = picture("A", path), picture("B", plots.Drawn(path.read_bytes()))
    assert '<source media="(max-width: 44rem)" srcset="data:image/png;base64,' in both and "<source" not in wide
    assert both == picture("A", plots.drawn(swept)) and wide.count("<img ") == both.count("<img ") == 1
    plots.narrow_path(path).write_bytes(b"no picture")
    assert "<source" not in picture("A", path)
    page = write_report(tmp_path / "p.html", title="", summary="", tables={}, pictures={"C": plots.Drawn(b"x")})
    assert "Picture missing: C (the picture is not a PNG picture)." in page.read_text()
