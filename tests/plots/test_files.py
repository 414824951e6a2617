"""Files of pictures: PNG of the size of the figure, or one clear line."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg

from rnnaudio import plots
from rnnaudio.diagnostics.subject import Diagnosis
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.canvas import new_figure, save
from tests.support.figures import RATE, history_of, measured, sine


def assert_png(path, width, height):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (width, height)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no temporary file beside it


@pytest.mark.slow
def test_each_function_writes_a_png_of_its_figures_size_and_returns_the_path(tmp_path):
    edges, counts = np.linspace(0, 1, 11), np.ones(10)
    calls = {
        "curve": (960, 576, lambda path: plots.learning_curve(history_of([1.0, 0.5]), path, quantity="Loss (nat)")),
        "spectrum": (1080, 864, lambda path: plots.spectrogram(sine(440, 0.1), sine(1, 0.1), [], RATE, path)),
        "saturation": (480, 348, lambda path: plots.saturation({"gate": (edges, counts, 0.1)}, path)),
        "record": (960, 576, lambda path: plots.against_record([{1: 2.0, 2: 1.0}], {2: 1.5}, path, quantity="%")),
        "norms": (1200, 480, lambda path: plots.gradient_norms({"w": 1.0}, [1.0, 0.1], path)),
        "ratios": (780, 456, lambda path: plots.update_ratios({"w": [(0, 1e-3), (1, 1e-2)]}, path)),
        "diagnosis": (1320, 1258, lambda path: plots.diagnosis(Diagnosis((), measured()), path)),
        "panels": (1080, 372, lambda path: plots.spectral_panels({"a": np.ones((3, 2))}, [0, 1, 2], [0, 1], path)),
        "methods": (960, 196, lambda path: plots.methods({"a": [1.0]}, path, quantity="dB")),
        "horizons": (1020, 576, lambda path: plots.error_by_horizon({"a": [1.0, 2.0]}, [1, 2], path, quantity="MSE")),
        "sweep": (960, 504, lambda path: plots.objective_history(
            [{"number": 0, "state": "complete", "value": 1.0}], path, quantity="s", lowest_is_best=True)),
        "importances": (960, 158, lambda path: plots.importances({"a": 1.0}, path, quantity="s")),
        "parallel": (720, 528, lambda path: plots.parallel_coordinates(
            [{"value": 1.0, "settings": {"a": 1}}], path, coordinates={"a": plots.Coordinate(0, 1)}, quantity="s",
            lowest_is_best=True)),
        "confusion": (403, 344, lambda path: plots.confusion([{"planted": "a", "cause": "b", "ranked": ["b"]}], path)),
    }
    for name, (width, height, call) in calls.items():
        path = tmp_path / name / "picture.png"
        assert call(path) == path
        assert_png(path, width, height)


def test_a_picture_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RnnaudioError, match=r"^cannot .*file.*choose another place$"):
        plots.update_ratios({"w": [(0, 1e-3)]}, tmp_path / "file" / "picture.png")


def test_an_earlier_picture_survives_a_write_that_fails(tmp_path, monkeypatch):
    path = plots.update_ratios({"w": [(0, 1e-3)]}, tmp_path / "picture.png")
    before = path.read_bytes()

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(RnnaudioError, match="No space left"):
        plots.update_ratios({"other": [(0, 1e-2)]}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_matplotlibs_global_state_is_left_alone_and_pyplot_not_imported():
    code = """
import matplotlib, sys
before = matplotlib.rcParams.copy()  # dict(...) would look for a backend, and import pyplot
from rnnaudio import plots
plots.update_ratios_figure({"w": [(0, 1e-3)]}).draw_without_rendering()
plots.spectrogram_figure([0.1] * 99, [0.0] * 99, [], 16000).draw_without_rendering()
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_drawn_has_no_control_characters(tmp_path, monkeypatch):
    """Of titles, labels of axes and of ticks, legends, annotations: foreign names can be in any of them."""
    evil, drawn = "a\x1b[2J\nb\x07", []
    figure = new_figure(4, 3)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=evil)
    axes.set(title=evil, xlabel=evil, ylabel=evil)
    axes.set_yticks([0, 1], [evil, evil])
    axes.set_xticks([0.5], [evil], minor=True)
    axes.secondary_xaxis("top").set_xticks([0.2], [evil])
    figure.add_axes((0.1, 0.1, 0.1, 0.1)).bar([evil], [1])  # a category
    axes.annotate(evil, (0.5, 0.5))
    axes.legend()
    figure.suptitle(evil)
    monkeypatch.setattr(RendererAgg, "draw_text", lambda self, gc, x, y, s, *others, **options: drawn.append(s))
    save(figure, tmp_path / "a.png")
    foreign = [text for text in drawn if "[2J" in text or text.startswith("b")]
    assert len([text for text in foreign if "[2J" in text]) == 11
    assert [text for text in drawn if not text.isprintable()] == [] and len(foreign) == 22  # each in two lines
