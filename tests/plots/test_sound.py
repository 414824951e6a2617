"""Spectrograms: levels, frequencies, times, silence."""

import numpy as np
import pytest

from rnnaudio import plots
from rnnaudio.errors import RnnaudioError
from rnnaudio.plots.sound import MOST_COLUMNS
from tests.support.figures import RATE, line, sine, texts_overlap


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
