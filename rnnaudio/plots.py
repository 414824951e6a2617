"""The pictures of a run: plain numbers in, a PNG out.

Every public function writes one PNG whole or not at all and returns its path; the ``*_figure`` function beside it
makes the same picture as a matplotlib ``Figure`` that can be looked at without a file. pyplot is never imported and no
global setting of matplotlib is read on purpose or changed, so a user's own plots in the same process are left alone.

Values that are not finite are drawn as gaps and said so. Colours: Okabe and Ito's set, safe for colour-blind readers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from rnnaudio.atomic import write_atomically
from rnnaudio.errors import RnnaudioError

Floats = NDArray[np.float64]

DOTS_PER_INCH = 120
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", ":", "-.")
GREY = "#666666"
NO_SOUND_COLOUR = "#D9D9D9"

WINDOW_S = 0.064  # 1024 samples at 16 kHz: 16 Hz between lines, enough to part the low notes of a piano
MOST_COLUMNS = 1500  # of a spectrogram: more than the picture has pixels
DYNAMIC_RANGE_DB = 80.0
SILENCE_DBFS = -100.0  # below the rounding noise of 16 bits


# --- learning curve -------------------------------------------------------------------------------------------------
def learning_curve(
    history: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    quantity: str,
    baselines: Mapping[str, float] | None = None,
    decibel: bool = False,
    title: str = "",
) -> Path:
    """Draw training and validation loss against epochs and time; see ``learning_curve_figure``."""
    figure = learning_curve_figure(history, quantity=quantity, baselines=baselines, decibel=decibel, title=title)
    return _save(figure, path)


def learning_curve_figure(
    history: Sequence[Mapping[str, Any]],
    *,
    quantity: str,
    baselines: Mapping[str, float] | None = None,
    decibel: bool = False,
    title: str = "",
) -> Figure:
    """Training and validation loss, the kept epoch ringed, baselines as labelled lines, time on the upper axis.

    history: records in the order written, each with ``epoch`` (also fractions), ``updates`` (count), ``seconds``,
        ``train``, ``valid``, ``is_best``. Where a resumed run goes back to an earlier update, the records it replaces
        are dropped; where its clock starts again at zero, the times are added up.
    quantity: name of the loss with its unit, the label of the y axis.
    baselines: name -> loss, in the unit of the history.
    decibel: the values are mean squared errors over the signal's power, drawn as 10 log10(value) dB (0 dB: predict 0).
        Otherwise the y axis turns logarithmic when positive values span more than a factor of 30.

    The ringed epoch is the last with ``is_best`` set: the one whose parameters were kept.
    Raises RnnaudioError for an empty history.
    """
    records = _drop_superseded(history)
    if not records:
        raise RnnaudioError("learning curve: got an empty history, expected a record; train up to a validation first")
    epochs = _column(records, "epoch")
    curves = {name: _finite_or_gap(_column(records, name), decibel) for name in ("train", "valid")}
    levels = {name: float(_finite_or_gap([value], decibel)[0]) for name, value in (baselines or {}).items()}

    figure = _new_figure(8.0, 4.8)
    axes = figure.add_subplot()
    for name, label, colour in (("train", "training", SKY), ("valid", "validation", BLUE)):
        axes.plot(epochs, curves[name], color=colour, label=label, **_markers(len(epochs)))
    _mark_best(axes, records, curves["valid"], "dB" if decibel else "")
    _mark_gaps(axes, epochs[~np.isfinite(curves["train"]) | ~np.isfinite(curves["valid"])])

    drawn = np.concatenate([*curves.values(), list(levels.values())])
    is_log = not decibel and _spans_decades(drawn)
    axes.set(xlabel="Epoch", ylabel=f"{quantity} (dB)" if decibel else quantity, yscale="log" if is_log else "linear")
    axes.set_xlim(*_padded(epochs))
    if np.all(epochs == np.round(epochs)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _draw_baselines(axes, levels, "dB" if decibel else "")
    _add_time_axis(axes, epochs, _elapsed_seconds(_column(records, "seconds")))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def _drop_superseded(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kept: list[Mapping[str, Any]] = []
    for record in history:
        while kept and kept[-1]["updates"] >= record["updates"]:
            kept.pop()
        kept.append(record)
    return kept


def _column(records: Sequence[Mapping[str, Any]], key: str) -> Floats:
    return np.array([record[key] for record in records], dtype=float)


def _finite_or_gap(values: ArrayLike, decibel: bool) -> Floats:
    """``values``, or 10 log10 of them, with NaN wherever there is no finite number to draw."""
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = 10 * np.log10(np.asarray(values, float)) if decibel else np.asarray(values, float)
    return np.where(np.isfinite(drawn), drawn, np.nan)


def _elapsed_seconds(seconds: Floats) -> Floats:
    steps = np.diff(seconds, prepend=0.0)
    return np.cumsum(np.where(steps < 0, seconds, steps))


def _mark_best(axes: Axes, records: Sequence[Mapping[str, Any]], valid: Floats, unit: str) -> None:
    best = [i for i, record in enumerate(records) if record["is_best"] and np.isfinite(valid[i])]
    if best:
        epoch, value = records[best[-1]]["epoch"], valid[best[-1]]
        label = f"best: epoch {epoch:.4g}, {_number(value, unit)}"
        axes.plot(epoch, value, "o", markersize=11, markerfacecolor="none", color=VERMILION, mew=1.8, label=label)


def _mark_gaps(axes: Axes, positions: Floats) -> None:
    if len(positions):
        height = np.full(len(positions), 0.02)
        transform = axes.get_xaxis_transform()
        axes.plot(positions, height, "x", color=VERMILION, transform=transform, label="not a finite number")


def _draw_baselines(axes: Axes, levels: Mapping[str, float], unit: str) -> None:
    for dashes, level in zip(_cycle(DASHES[1:], len(levels)), levels.values(), strict=True):
        if np.isfinite(level):
            axes.axhline(level, color=GREY, linewidth=1.1, linestyle=dashes)
    _label_at_right(axes, [(f"{name}, {_number(level, unit)}", level, GREY) for name, level in levels.items()])


def _add_time_axis(axes: Axes, epochs: Floats, seconds: Floats) -> None:
    """Elapsed time along the top, at round times; nothing where the clock does not say how long it took."""
    if len(epochs) < 2 or not np.all(np.diff(seconds) > 0) or not np.isfinite(seconds).all():
        return
    unit, length = ("h", 3600) if seconds[-1] >= 7200 else ("min", 60) if seconds[-1] >= 120 else ("s", 1)
    times = np.asarray(MaxNLocator(6).tick_values(0.0, seconds[-1] / length))
    times = times[(times * length >= seconds[0]) & (times * length <= seconds[-1])]
    upper = axes.twiny()
    upper.set_xlim(axes.get_xlim())
    upper.set_xticks(np.interp(times * length, seconds, epochs), [f"{time:g}" for time in times])
    upper.set_xlabel(f"Training time ({unit})")


# --- spectrogram ----------------------------------------------------------------------------------------------------
def spectrogram(
    seed: ArrayLike,
    generated: ArrayLike,
    original: ArrayLike,
    sample_rate_hz: float,
    path: str | Path,
    *,
    title: str = "",
) -> Path:
    """Draw seed + true continuation above seed + generated sound; see ``spectrogram_figure``."""
    return _save(spectrogram_figure(seed, generated, original, sample_rate_hz, title=title), path)


def spectrogram_figure(
    seed: ArrayLike, generated: ArrayLike, original: ArrayLike, sample_rate_hz: float, *, title: str = ""
) -> Figure:
    """Two spectrograms on the same axes and the same scale, the end of the seed marked, the level over time below.

    seed, generated, original: (samples,) each; float with full scale 1.0, or int16 or int32. ``original`` is how the
        recording goes on *after* the seed. Lengths may differ: what is missing of the shorter one is grey, as are
        samples that are not finite.
    sample_rate_hz: of all three.

    Colours span the 80 dB below the loudest point of the recording, in both panels.
    Raises RnnaudioError for arrays of another dtype or not one-dimensional, and where there is no sample at all.
    """
    seed_audio = _as_audio(seed)
    recording = np.concatenate([seed_audio, _as_audio(original)])
    continuation = _as_audio(generated)
    produced = np.concatenate([seed_audio, continuation])
    n_samples = max(len(recording), len(produced))
    if n_samples == 0:
        raise RnnaudioError("spectrogram: got no samples, expected a seed or some sound; check the seed's length")
    hop = _hop(n_samples, sample_rate_hz)
    sounds = {"Recording": recording, "Seed + generated" + _remark(continuation): produced}
    levels = [spectrogram_dbfs(sound, sample_rate_hz, hop) for sound in sounds.values()]
    top_db = _loudest(levels)

    figure = _new_figure(9.0, 7.2)
    grid = figure.add_gridspec(3, 1, height_ratios=[3, 3, 1.3])
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper, sharey=upper)
    strip = figure.add_subplot(grid[2], sharex=upper)
    for axes, name, level in zip((upper, lower), sounds, levels, strict=True):
        image = _draw_spectrogram(axes, level, hop, sample_rate_hz, top_db)
        _mark_seed_end(axes, len(seed_audio) / sample_rate_hz, n_samples / sample_rate_hz, name)
    bar = figure.colorbar(image, ax=[upper, lower], extend="both", pad=0.02)
    bar.set_label("Level (dBFS)")
    _draw_levels(strip, recording, produced, hop, sample_rate_hz)
    strip.axvline(len(seed_audio) / sample_rate_hz, color=BLACK, linestyle="--", linewidth=1)
    upper.set(xlim=(0, n_samples / sample_rate_hz), ylim=(0, sample_rate_hz / 2))
    figure.suptitle(title, fontsize=11)
    return figure


def spectrogram_dbfs(audio: Floats, sample_rate_hz: float, hop: int) -> Floats:
    """Short-time spectrum in dB: 20 log10(sqrt(2) |X| / sum(w)), X the transform of a 64 ms Hann-windowed frame.

    A steady sine reads its own rms level (full scale: -3.01 dBFS), so that colours and the level curve agree.
    Returns (frequency, frame); frame k is centred on sample k * hop; NaN where a frame holds a NaN.
    """
    n_window = _window_length(sample_rate_hz)
    window = np.hanning(n_window + 1)[:-1]  # periodic
    magnitude = np.abs(np.fft.rfft(_frames(audio, n_window, hop) * window)) * math.sqrt(2) / window.sum()
    return 20 * np.log10(np.maximum(magnitude, 1e-10)).T


def level_dbfs(audio: Floats, sample_rate_hz: float, hop: int) -> Floats:
    """Root mean square of the same 64 ms frames, 20 log10(rms), never below -100 dBFS; (frame,)."""
    rms = np.sqrt(np.mean(np.square(_frames(audio, _window_length(sample_rate_hz), hop)), axis=1))
    return np.maximum(20 * np.log10(np.maximum(rms, 1e-10)), SILENCE_DBFS)


def _as_audio(samples: ArrayLike) -> Floats:
    array = np.asarray(samples)
    if array.ndim != 1:
        raise RnnaudioError(f"spectrogram: got samples of shape {array.shape}, expected (samples,); mix down to mono")
    if array.dtype.kind != "f" and array.dtype not in (np.int16, np.int32):
        raise RnnaudioError(f"spectrogram: got {array.dtype} samples, expected float, int16 or int32; convert them")
    audio = array.astype(float) / (1.0 if array.dtype.kind == "f" else np.iinfo(array.dtype).max + 1.0)
    return np.where(np.isfinite(audio), audio, np.nan)


def _window_length(sample_rate_hz: float) -> int:
    return 2 * max(1, round(WINDOW_S * sample_rate_hz / 2))


def _hop(n_samples: int, sample_rate_hz: float) -> int:
    return max(1, _window_length(sample_rate_hz) // 8, math.ceil(n_samples / MOST_COLUMNS))


def _frames(audio: Floats, n_window: int, hop: int) -> Floats:
    """(frame, n_window): reflected at both ends, for a hard edge would show as a click that nobody hears."""
    if len(audio) == 0:
        return np.empty((0, n_window))
    return sliding_window_view(np.pad(audio, n_window // 2, mode="reflect"), n_window)[::hop]


def _remark(continuation: Floats) -> str:
    n_bad = int(np.isnan(continuation).sum())
    if n_bad:
        return f" ({n_bad} samples not finite)"
    return " (silent)" if len(continuation) and np.max(np.abs(continuation)) < 10 ** (SILENCE_DBFS / 20) else ""


def _loudest(levels: Sequence[Floats]) -> float:
    """The recording's highest level; the other's where the recording is silence."""
    peaks = (float(np.max(level, initial=-np.inf, where=np.isfinite(level))) for level in levels)
    return next((math.ceil(peak) for peak in peaks if peak > SILENCE_DBFS), 0.0)


def _draw_spectrogram(axes: Axes, level: Floats, hop: int, sample_rate_hz: float, top_db: float) -> Any:
    n_bins, n_frames = level.shape
    half_bin, half_hop = sample_rate_hz / 2 / (n_bins - 1) / 2, hop / sample_rate_hz / 2
    axes.set_facecolor(NO_SOUND_COLOUR)
    extent = (-half_hop, (2 * n_frames - 1) * half_hop, -half_bin, sample_rate_hz / 2 + half_bin)
    image = axes.imshow(
        np.ma.masked_invalid(level) if n_frames else np.ma.masked_all((n_bins, 1)),
        extent=extent if n_frames else (0.0, half_hop, *extent[2:]),
        origin="lower", aspect="auto", interpolation="nearest",
        cmap="magma", vmin=top_db - DYNAMIC_RANGE_DB, vmax=top_db,
    )  # fmt: skip
    axes.set_ylabel("Frequency (Hz)")
    axes.tick_params(labelbottom=False)
    return image


def _mark_seed_end(axes: Axes, seed_end_s: float, duration_s: float, name: str) -> None:
    """Name the panel on the side where the label of the seed's end leaves room."""
    axes.axvline(seed_end_s, color=BLACK, linewidth=3)  # a dark rim, to be seen on loud noise too
    axes.axvline(seed_end_s, color="white", linestyle="--", linewidth=1.4)
    fraction = seed_end_s / duration_s
    side = "left" if fraction < 0.1 else "right" if fraction > 0.9 else "center"
    label = f"seed ends, {seed_end_s:.3g} s"
    axes.text(fraction, 1.02, label, transform=axes.transAxes, ha=side, va="bottom", fontsize=9)
    axes.set_title(name, loc="right" if fraction < 0.5 else "left", fontsize=10)


def _draw_levels(axes: Axes, recording: Floats, produced: Floats, hop: int, sample_rate_hz: float) -> None:
    highest = 0.0
    for sound, label, colour, width in ((recording, "recording", SKY, 3.0), (produced, "generated", VERMILION, 1.2)):
        level = level_dbfs(sound, sample_rate_hz, hop)
        axes.plot(np.arange(len(level)) * hop / sample_rate_hz, level, color=colour, linewidth=width, label=label)
        highest = max(highest, float(np.max(level, initial=0.0, where=np.isfinite(level))))
    axes.set(xlabel="Time (s)", ylabel="RMS level\n(dBFS)", ylim=(SILENCE_DBFS - 3, highest + 3))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=9, borderaxespad=0)


# --- diagnostics ----------------------------------------------------------------------------------------------------
def saturation(histograms: Mapping[str, tuple[ArrayLike, ArrayLike, float]], path: str | Path) -> Path:
    """Draw one histogram of activations per gate or layer; see ``saturation_figure``."""
    return _save(saturation_figure(histograms), path)


def saturation_figure(histograms: Mapping[str, tuple[ArrayLike, ArrayLike, float]]) -> Figure:
    """Small multiples: share of the activations per bin, and above each panel how many percent are saturated.

    histograms: name -> (edges (bins + 1,), counts (bins,), saturated fraction 0..1).
    Raises RnnaudioError where there is none.
    """
    if not histograms:
        raise RnnaudioError("saturation: got no histogram, expected one per gate or layer; record activations first")
    n_columns = min(4, len(histograms))
    n_rows = math.ceil(len(histograms) / n_columns)
    figure = _new_figure(max(4.0, 2.5 * n_columns), 0.8 + 2.1 * n_rows)
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(histograms) :]:
        axes.set_axis_off()
    for axes, (name, (edges, counts, fraction)) in zip(grid.flat, histograms.items(), strict=False):
        total = float(np.sum(counts))
        share = 100 * np.asarray(counts, float) / max(total, 1.0)
        axes.stairs(share, edges, fill=True, color=BLUE)
        axes.set_title(f"{name}\n{100 * fraction:.1f} % saturated" if total else f"{name}\nno values", fontsize=9)
        axes.tick_params(labelsize=8)
    figure.supxlabel("Activation (no unit)", fontsize=10)
    figure.supylabel("Share of values per bin (%)", fontsize=10)
    return figure


def gradient_norms(
    per_parameter: Mapping[str, float],
    through_time: ArrayLike,
    path: str | Path,
    *,
    seconds_per_step: float | None = None,
) -> Path:
    """Draw gradient norms per parameter and through time; see ``gradient_norms_figure``."""
    return _save(gradient_norms_figure(per_parameter, through_time, seconds_per_step=seconds_per_step), path)


def gradient_norms_figure(
    per_parameter: Mapping[str, float], through_time: ArrayLike, *, seconds_per_step: float | None = None
) -> Figure:
    """Left the gradient's norm per parameter, right the norm of d loss_T / d x_t against the lag T - t; log scales.

    per_parameter: name -> norm, drawn in the order given, first on top.
    through_time: (lags,), the norm at lag 0, 1, 2, ... steps.
    seconds_per_step: adds the lag in seconds along the top.

    A norm that a log scale cannot show (zero, not finite) is written out. Raises RnnaudioError where either is empty.
    """
    norms = _positive_or_gap(through_time)
    if not per_parameter or not len(norms):
        got = f"{len(per_parameter)} parameters and {len(norms)} lags"
        raise RnnaudioError(f"gradient norms: got {got}, expected at least one of each; measure a longer sequence")
    figure = _new_figure(10.0, max(4.0, 1.4 + 0.24 * len(per_parameter)))
    left, right = figure.subplots(1, 2)
    _draw_norm_bars(left, per_parameter)
    lags = np.arange(float(len(norms)))
    right.set_yscale("log")
    right.plot(lags, norms, color=BLUE, **_markers(len(lags)))
    right.set(xlabel="Lag T − t (steps)", ylabel="Norm of ∂loss$_T$/∂x$_t$ (loss unit per input unit)")
    right.set(xlim=_padded(lags), ylim=_log_limits(norms))
    right.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    right.grid(color="#E5E5E5", linewidth=0.8)
    n_gaps = int(np.isnan(norms).sum())
    if n_gaps:
        right.set_title(f"{n_gaps} of {len(norms)} lags are zero or not finite", fontsize=9, color=VERMILION)
    if seconds_per_step:
        seconds = (lambda lag: lag * seconds_per_step, lambda lag_s: lag_s / seconds_per_step)
        upper = right.secondary_xaxis("top", functions=seconds)
        upper.set_xlabel("Lag (s)")
    return figure


def _draw_norm_bars(axes: Axes, per_parameter: Mapping[str, float]) -> None:
    norms = _positive_or_gap(list(per_parameter.values()))
    rows = np.arange(len(norms))
    shown = norms[np.isfinite(norms)]
    left = 10 ** math.floor(math.log10(shown.min()) - 0.3) if len(shown) else 0.1
    right = 10 ** math.ceil(math.log10(shown.max()) + 0.1) if len(shown) else 1.0
    axes.set_xscale("log")
    axes.barh(rows, np.where(np.isfinite(norms), norms - left, 0.0), left=left, height=0.65, color=BLUE)
    for row, value in enumerate(per_parameter.values()):
        if not np.isfinite(norms[row]):
            axes.text(left, row, f" {value:g}", va="center", color=VERMILION, fontsize=9)
    axes.set(xlim=(left, right), xlabel="Gradient norm (loss unit per parameter unit)")
    axes.xaxis.set_minor_formatter(NullFormatter())  # the ends are powers of ten
    axes.set_yticks(rows, list(per_parameter), fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)


def update_ratios(history: Mapping[str, Sequence[tuple[float, float]]], path: str | Path) -> Path:
    """Draw the size of the updates relative to the weights; see ``update_ratios_figure``."""
    return _save(update_ratios_figure(history), path)


def update_ratios_figure(history: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """|update| / |parameter| of each parameter against the number of updates, log y, a dashed line at 1e-3.

    history: parameter name -> [(update index, ratio), ...]; ``lstm.w_hidden`` goes to the panel ``lstm``, so that no
    panel holds more lines than can be told apart. About 1e-3 is the usual rule of thumb (A. Karpathy, CS231n notes,
    "Ratio of weights:updates"): far above it training is unstable, far below nothing moves. Ratios of zero and ratios
    that are not finite are gaps. Raises RnnaudioError where there is no parameter.
    """
    if not history:
        raise RnnaudioError("update ratios: got no parameter, expected at least one; train for one update first")
    layers: dict[str, dict[str, Sequence[tuple[float, float]]]] = {}
    for path, points in history.items():
        layer, _, name = path.rpartition(".")
        layers.setdefault(layer, {})[name] = points
    n_columns = min(2, len(layers))
    n_rows = math.ceil(len(layers) / n_columns)
    figure = _new_figure(2.0 + 4.5 * n_columns, 1.0 + 2.8 * n_rows)
    scale = {"yscale": "log"}  # before anything is drawn: it is shared
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False, subplot_kw=scale)
    for axes in grid.flat[len(layers) :]:
        axes.set_axis_off()
    grid[0, 0].set_ylim(_log_limits(np.array([1e-3, *(ratio for points in history.values() for _, ratio in points)])))
    panels = list(zip(grid.flat, layers.items(), strict=False))
    labels = [_draw_ratios(axes, layer, parameters) for axes, (layer, parameters) in panels]
    for (axes, _), panel_labels in zip(panels, labels, strict=True):  # once the shared limits are known
        _label_at_right(axes, panel_labels)
    for axes, _ in panels[-n_columns:]:  # the lowest of each column, also where an empty place is below
        axes.tick_params(labelbottom=True)
    figure.supxlabel("Update (count)", fontsize=10)
    figure.supylabel("|update| / |parameter| (ratio, no unit)", fontsize=10)
    return figure


def _draw_ratios(
    axes: Axes, layer: str, parameters: Mapping[str, Sequence[tuple[float, float]]]
) -> list[tuple[str, float, str]]:
    """Draw one layer's parameters; returns a label for each line: text, height, colour."""
    axes.axhline(1e-3, color=GREY, linestyle="--", linewidth=1.2)
    labels = [("rule of thumb", 1e-3, GREY)]
    for index, (name, points) in enumerate(parameters.items()):
        updates, ratios = np.array(points, dtype=float).reshape(-1, 2).T
        drawn = _positive_or_gap(ratios)
        colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
        axes.plot(updates, drawn, color=colour, linestyle=dashes, **_markers(len(updates)))
        finite = drawn[np.isfinite(drawn)]
        labels.append((name, finite[-1], colour) if len(finite) else (f"{name}: never above 0", math.nan, colour))
    axes.set_title(layer, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    return labels


# --- shared ---------------------------------------------------------------------------------------------------------
def _new_figure(width_in: float, height_in: float) -> Figure:
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | Path) -> Path:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # not savefig, which obeys the user's savefig.* settings
    return write_atomically(path, buffer.getvalue())


def _label_at_right(axes: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Write (text, y in data units, colour) right of the axes, moved apart, each joined to its y by a thin line.

    A y that is not finite has no line: its label stands at the bottom.
    """
    if not labels:
        return
    x_left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    to_fraction = axes.transScale + axes.transLimits
    heights = [bottom if math.isnan(y) else y for _, y, _ in labels]
    anchors = np.array([to_fraction.transform((x_left, y))[1] for y in heights])
    height_pt = 0.85 * axes.bbox.height / DOTS_PER_INCH * 72  # the layout will take some of the height for legends
    line_height = 12 / height_pt  # of 9 point text
    style = {"arrowstyle": "-", "linewidth": 1, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
    for (text, y, colour), anchor, place in zip(labels, anchors, _moved_apart(anchors, line_height), strict=True):
        axes.annotate(
            text, xy=(1.0, anchor), xytext=(1.03, place), xycoords="axes fraction", textcoords="axes fraction",
            va="center", fontsize=9, arrowprops=None if math.isnan(y) else {**style, "color": colour},
        )  # fmt: skip


def _moved_apart(positions: Floats, gap: float) -> Floats:
    """The places nearest to ``positions`` (least squares) in the same order, ``gap`` apart, within 0 and 1.

    With u_i = y_i - i gap the places are those with u not decreasing: isotonic regression, here by pooling blocks.
    Where all do not fit between 0 and 1, the lowest start below 0.
    """
    order = np.argsort(positions, kind="stable")
    blocks: list[list[float]] = []
    for i, position in enumerate(positions[order]):
        blocks.append([position - i * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    pooled = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    highest = 1.0 - (len(positions) - 1) * gap
    places = np.clip(pooled, min(0.0, highest), highest) + gap * np.arange(len(positions))
    return places[np.argsort(order)]


def _positive_or_gap(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)


def _log_limits(values: Floats) -> tuple[float, float]:
    """A factor of two beyond the positive values; matplotlib's own limits fall together where all are equal."""
    shown = _positive_or_gap(values)
    shown = shown[np.isfinite(shown)]
    return (shown.min() / 2, shown.max() * 2) if len(shown) else (0.1, 10.0)


def _spans_decades(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 30 * finite.min())


def _padded(positions: Floats) -> tuple[float, float]:
    margin = 0.03 * (positions[-1] - positions[0]) or 0.5
    return positions[0] - margin, positions[-1] + margin


def _markers(n_points: int) -> dict[str, Any]:
    """Visible points on short curves; on long ones a dot as wide as the line, for a point alone between two gaps."""
    return {"marker": "o", "markersize": 3.5 if n_points <= 30 else 1.0, "linewidth": 1.5}


def _cycle(items: Sequence[str], n: int) -> list[str]:
    return [items[i % len(items)] for i in range(n)]


def _number(value: float, unit: str) -> str:
    if not np.isfinite(value):
        return "not finite"
    return (f"{value:.2f} {unit}" if unit else f"{value:.4g}").replace("-", "−")
