"""Pictures: what the figures hold, against closed forms; and the files."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.text import Text

from rnnaudio import plots
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots import canvas
from rnnaudio.plots.sound import MOST_COLUMNS
from tests.support.figures import line, texts_overlap

RATE = 16000


def history_of(valid, seconds_per_epoch=30.0, best=()):
    return [
        {
            "epoch": i + 1.0, "updates": 10.0 * (i + 1), "seconds": seconds_per_epoch * (i + 1),
            "train": value / 2, "valid": value, "is_best": float(i in best),
        }
        for i, value in enumerate(valid)
    ]  # fmt: skip


def sine(frequency_hz, seconds, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE)) / RATE)


def assert_png(path, width, height):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (width, height)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no temporary file beside it


def measured(n_steps=32):
    """Measurements of all kinds."""
    steps = np.arange(n_steps)
    return Measurements(
        gradient_by_lag=0.5 ** (steps + 1.0), growth_with_input=2.0 ** (steps / 4), growth_without=1.9 ** (steps / 4),
        echo=0.9 ** (steps + 1.0), flip=1.3141, coverage=(steps == n_steps - 1) * 0.01,
        step_sizes={f"layer_{k}.w": (1e-8, 10.0**-k) for k in range(5)}, saturation={"gate": 0.9, "candidate": 0.1},
        level_db=np.linspace(-20, -60, 100), n_seed_frames=20, frame_size=200,
        errors={"this model": 0.5, "predict zero": 1.0, "persistence": 2.0},
    )  # fmt: skip


CAUSES = (
    Cause("unscaled-rmsprop", 0.9, "An update is 1e-4 of what $the rule$ promises. " * 6, "Divide by sqrt(r)."),
    Cause("last-step-cost", 0.4, "31 of 32 steps have no gradient.", "Count all steps."),
)


# --- files ----------------------------------------------------------------------------------------------------------
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


# --- learning curve -------------------------------------------------------------------------------------------------
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


# --- spectrogram ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_sine_reads_its_rms_level_at_its_frequency(rate):
    bin_hz = rate / (2 * round(0.064 * rate / 2))
    frequency_hz = 40 * bin_hz
    audio = 0.1 * np.sin(2 * np.pi * frequency_hz * np.arange(rate) / rate)
    levels = plots.spectrogram_dbfs(audio, rate, hop=rate // 100)
    middle = levels[:, 10:-10]
    assert np.all(np.argmax(middle, axis=0) == 40)
    np.testing.assert_allclose(middle.max(axis=0), 20 * np.log10(0.1 / np.sqrt(2)), atol=0.01)


def test_the_level_is_the_rms_in_dbfs_down_to_silence():
    levels = [plots.level_dbfs(one, RATE, 128) for one in (np.full(RATE, 0.1), sine(1000, 1), np.zeros(RATE))]
    np.testing.assert_allclose(levels[0], -20.0, atol=1e-9)
    np.testing.assert_allclose(levels[1][8:-8], -3.0103, atol=0.01)
    np.testing.assert_array_equal(levels[2], -100.0)


def test_the_seed_boundary_is_marked_in_every_panel_at_its_time():
    figure = plots.spectrogram_figure(sine(440, 0.5), sine(440, 1.5), sine(440, 1.5), RATE, title="Test")
    upper, lower, strip = figure.axes[:3]
    for axes in (upper, lower, strip):
        boundary = [one for one in axes.lines if len(one.get_xdata()) == 2]
        assert boundary and all(np.all(np.asarray(one.get_xdata()) == 0.5) for one in boundary)
    for axes in (upper, lower):
        assert [text.get_text() for text in axes.texts] == ["prime ends, 0.5 s"]
    assert upper.get_xlim() == lower.get_xlim() == strip.get_xlim() == (0.0, 2.0)
    assert upper.get_ylim() == lower.get_ylim() == (0.0, 8000.0)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "Frequency (Hz)", "Frequency (Hz)", "RMS level\n(dBFS)", "Level (dBFS)"
    ]  # fmt: skip
    assert strip.get_xlabel() == "Time (s)"


@pytest.mark.parametrize("seed_s", [0.0, 0.45, 0.55, 1.0])
def test_the_seed_label_never_covers_the_panels_name(seed_s):
    figure = plots.spectrogram_figure(sine(440, seed_s), np.full(round((1 - seed_s) * RATE), np.nan), [], RATE)
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        names = [one for one in (axes.title, axes._left_title, axes._right_title) if one.get_text()]
        assert len(names) == 1
        assert not texts_overlap([*axes.texts, *names])


def test_frequencies_and_times_are_drawn_where_they_are():
    """A tone of 2000 Hz from 1 s on: the bright cell's row and first column, through the picture's own extent."""
    silence, tone = np.zeros(RATE), sine(2000, 1, 0.5)
    image = plots.spectrogram_figure(silence, tone, tone, RATE).axes[0].images[0]
    level, (x0, x1, y0, y1) = np.asarray(image.get_array()), image.get_extent()
    row = int(np.argmax(level[:, -20]))
    assert y0 + (row + 0.5) * (y1 - y0) / level.shape[0] == pytest.approx(2000, abs=1e-6)
    column = int(np.argmax(level[row] > -9.03 - 6.03))  # half of the window filled: 6 dB below the tone's -9.03 dBFS
    assert x0 + (column + 0.5) * (x1 - x0) / level.shape[1] == pytest.approx(1.0, abs=0.009)


def test_both_panels_share_a_scale_set_by_the_recording():
    figure = plots.spectrogram_figure(sine(1000, 0.5, 0.1), sine(1000, 0.5, 50.0), sine(1000, 0.5, 0.1), RATE)
    limits = [axes.images[0].get_clim() for axes in figure.axes[:2]]
    assert limits == [(-103.0, -23.0)] * 2  # 20 log10(0.1 / sqrt 2) = -23.01


def test_a_silent_continuation_is_said_and_drawn_at_the_floor():
    figure = plots.spectrogram_figure(sine(440, 0.5), np.zeros(RATE), sine(440, 1.0), RATE)
    figure.draw_without_rendering()
    assert figure.axes[1].get_title(loc="right") == "Prime + generated (silent)"
    assert line(figure.axes[2], "generated").get_ydata()[-1] == -100.0


def test_samples_that_are_not_finite_are_counted_and_left_out():
    generated = np.concatenate([np.full(RATE // 2, 0.1), [np.nan, np.inf], np.full(RATE // 2, 0.1)])
    figure = plots.spectrogram_figure(np.full(RATE, 0.1), generated, [], RATE)
    assert "2 samples not finite" in figure.axes[1].get_title(loc="right")
    masked_times = np.flatnonzero(np.ma.getmaskarray(figure.axes[1].images[0].get_array())[0]) * 128 / RATE
    assert masked_times.min() == pytest.approx(1.5 - 0.032, abs=0.009)
    assert masked_times.max() == pytest.approx(1.5 + 0.032, abs=0.009)


def test_unequal_lengths_end_where_they_end():
    figure = plots.spectrogram_figure(sine(440, 1.0), sine(440, 2.0), sine(440, 0.5), RATE)
    ends = [axes.images[0].get_extent()[1] for axes in figure.axes[:2]]
    np.testing.assert_allclose(ends, [1.5, 3.0], atol=0.009)
    assert figure.axes[0].get_xlim() == (0.0, 3.0)


@pytest.mark.parametrize("lengths", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 2, 1), (200, 0, 5), (0, 700, 0)])
def test_very_short_and_missing_sounds_are_drawn(lengths):
    seed, generated, original = (np.full(n, 0.1) for n in lengths)
    figure = plots.spectrogram_figure(seed, generated, original, RATE)
    figure.draw_without_rendering()
    longest_s = (lengths[0] + max(lengths[1:])) / RATE
    assert figure.axes[0].get_xlim()[1] >= longest_s


def test_everything_silent_is_drawn():
    figure = plots.spectrogram_figure(np.zeros(RATE), np.zeros(RATE), np.zeros(RATE), RATE)
    figure.draw_without_rendering()
    assert figure.axes[0].get_xlim()[1] >= 2.0  # a second of seed and one after it


def test_int16_is_read_on_its_own_full_scale():
    sound = sine(1000, 0.5, 0.5)
    exact = plots.spectrogram_figure(sound, sound, sound, RATE)
    quantised = plots.spectrogram_figure(*[np.round(32768 * sound).astype(np.int16)] * 3, RATE)
    levels = [line(figure.axes[2], "recording").get_ydata() for figure in (exact, quantised)]
    np.testing.assert_allclose(levels[0], levels[1], atol=0.01)


def test_a_long_sound_has_no_more_columns_than_a_picture_shows():
    figure = plots.spectrogram_figure(np.zeros(RATE), sine(440, 60), [], RATE)
    assert np.shape(figure.axes[1].images[0].get_array())[1] <= MOST_COLUMNS + 1


@pytest.mark.parametrize(
    ("sound", "message"),
    [(np.zeros((100, 2)), r"shape \(100, 2\)"), (np.zeros(100, np.uint8), "uint8"), (np.zeros(0), "no samples")],
)
def test_what_is_no_mono_sound_is_refused(sound, message):
    with pytest.raises(RnnaudioError, match=message):
        plots.spectrogram_figure(sound, np.zeros(0), np.zeros(0), RATE)


# --- diagnostics ----------------------------------------------------------------------------------------------------
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


# --- diagnosis ------------------------------------------------------------------------------------------------------
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
    coverage = panels["Steps that contribute to the cost: none at 31 of 32 steps"]
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
    assert "2 of 3 values are zero or not finite" in [text.get_text() for text in figure.axes[1].texts]
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


def test_a_sheet_has_a_panel_a_sound_on_one_scale(tmp_path):
    sounds = {"loud": sine(1000.0, 2.0, 0.5), "soft": sine(3000.0, 1.0, 0.005), "none": np.zeros(RATE)}
    figure = plots.spectrogram_sheet_figure(sounds, RATE, title="three")
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == ["loud", "soft", "none (silent)"]
    assert len({axes.images[0].get_clim() for axes in panels}) == 1 and panels[0].get_xlim() == (0.0, 2.0)
    for axes, frequency, level_db in zip(panels, (1000.0, 3000.0), (-9.03, -49.03), strict=False):
        drawn = axes.images[0].get_array()
        row, column = np.unravel_index(np.argmax(drawn[:, 20]), drawn[:, 20:21].shape)
        assert row * RATE / 2 / (drawn.shape[0] - 1) == pytest.approx(frequency, abs=10.0) and column == 0
        assert drawn[row, 20] == pytest.approx(level_db, abs=0.1)
    assert panels[-1].get_xlabel() == "Time (s)" and not panels[0].lines
    marked = plots.spectrogram_sheet_figure(sounds, RATE, prime_seconds=0.5)
    assert all(line.get_xdata() == [0.5, 0.5] for axes in marked.axes if axes.images for line in axes.lines)
    assert all(axes.lines for axes in marked.axes if axes.images)
    assert plots.spectrogram_sheet(sounds, RATE, tmp_path / "sheet.png").stat().st_size > 0
    with pytest.raises(RnnaudioError, match="no samples"):
        plots.spectrogram_sheet({}, RATE, tmp_path / "none.png")
