"""The part of the report on a run over frames: losses against baselines, and statistics of the network's units."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rnnaudio import plots
from rnnaudio.data import AudioCorpus, fixed_windows
from rnnaudio.diagnostics import Probe, probe
from rnnaudio.metrics import decibel, in_decibel
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.explanations import LOSSES, OF_FRAMES
from rnnaudio.runs.frames.build import build_strategy
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.recipe import Page

ABOUT = (
    "The figure in dB measures how well music kept aside is predicted (or reconstructed, in reconstruct_current); "
    "lower is better."
)


def frames_page(run: LoadedRun, corpus: AudioCorpus, folder: Path) -> Page:
    """Make the part of the report on a run over frames, and plot its pictures into ``folder``.

    That part shows the losses of model and baselines, the saturation of units, and norms of gradients.
    """
    config: FramesConfig = run.config
    inside = look_inside(run, corpus)
    best = rounded_decibel(run.best_validation_loss)
    scores: dict[str, float] = run.record["config"]["baselines"]
    return Page(
        title=title(config),
        figure="never validated" if best is None else f"validation normalised MSE {best} dB",
        about=ABOUT,
        summary={
            "strategy": config.strategy,
            "best_validation_normalised_mse": run.best_validation_loss,
            "best_validation_decibel": best,
            "baselines_decibel": {name: rounded_decibel(score) for name, score in scores.items()},
            "defects": run.record["config"].get("defects", []),
        },
        tables={LOSSES: loss_rows(run, scores), "Diagnostics": diagnostic_rows(run, inside)},
        pictures=pictures(run, inside, folder),
        explanations=OF_FRAMES,
        baselines={name: score for name, score in scores.items() if score > 0},
    )


def title(config: FramesConfig) -> str:
    """Make the title of the page: ``predict_next: 3 x 200 lstm``, or ``predict_next: 200-100-100 lstm``."""
    m = config.model
    n_units = config.frame_size if m.kind.wide_as_frame else m.n_units
    return f"{config.strategy}: {'-'.join(map(str, m.units)) or f'{m.n_layers} x {n_units}'} {m.cell}"


def look_inside(run: LoadedRun, corpus: AudioCorpus) -> Probe:
    """Probe the run's model on validation windows, see :func:`rnnaudio.diagnostics.probe`.

    If training was in segments, a window is one segment long.
    """
    c: FramesConfig = run.config
    n_items, n_steps = min(16, c.batch_size), min(c.segment_steps or c.n_steps, c.n_steps)
    windows = fixed_windows(corpus.valid, frame_size=c.frame_size, n_steps=n_steps, batch_size=n_items)
    return probe(run.model, *build_strategy(c).split(windows[0].frames))


def pictures(run: LoadedRun, inside: Probe, folder: Path) -> dict[str, Path]:
    """Plot the saturation, if any activation is bounded, and the gradient norms, if the run was ever validated.

    Returns the paths of the pictures by caption.
    """
    plotted = {}
    if inside.saturation:
        draw = partial(plots.saturation_figure, inside.saturation)
        plotted["Saturation"] = plots.for_page(draw, folder / "saturation.png")
    if run.history:
        norms, seconds = run.history[-1]["gradient_norms"], run.config.frame_size / run.sample_rate_hz
        draw = partial(plots.gradient_norms_figure, norms, inside.gradient_through_time, seconds_per_step=seconds)
        plotted["Gradient norms"] = plots.for_page(draw, folder / "gradients.png")
    return plotted


def loss_rows(run: LoadedRun, scores: dict[str, float]) -> list[dict[str, str]]:
    """Make table rows with the validation losses of the model and of the baselines in dB.

    scores: normalised mean squared errors of the baselines, by name.
    """
    best = run.best_validation_loss
    rows = [{"predictor": "this model", "dB": "not measured" if best is None else in_decibel(best)}]
    return rows + [{"predictor": name, "dB": in_decibel(score)} for name, score in scores.items()]


def diagnostic_rows(run: LoadedRun, inside: Probe) -> list[dict[str, Any]]:
    """Make table rows on saturation, relative sizes of the last update, and the norm of the gradient at a few lags."""
    rows = [
        {"what": f"saturated: {name}", "value": f"{100 * histogram.saturated:.1f} %"}
        for name, histogram in inside.saturation.items()
    ]
    last = run.history[-1]["update_ratios"] if run.history else {}
    rows += [{"what": f"|update| / |parameter|: {name}", "value": f"{ratio:.1e}"} for name, ratio in last.items()]
    norms = inside.gradient_through_time
    rows += [
        {"what": f"|d loss_T / d x| at a lag of {lag} steps", "value": f"{norm:.2e}"}
        for lag, norm in islice(enumerate(norms), 0, None, max(1, len(norms) // 4))
    ]
    return rows


def rounded_decibel(value: float | None) -> float | None:
    """Convert a loss to dB, rounded to two decimals; None if the result is not finite (no loss, NaN or 0)."""
    value_db = float(decibel(np.nan if value is None else value))
    return round(value_db, 2) + 0.0 if np.isfinite(value_db) else None  # -0.0 + 0.0 is 0.0
