"""What a run leaves to see and hear: sound, spectrogram, curves, diagnostics, one page."""

import dataclasses
import json
import platform
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

from rnnaudio import engine, plots
from rnnaudio.runs.frames.recipe import LoadedRun, duration, in_decibel, load_run, seed_seconds
from rnnaudio.runs.frames.config import TrainConfig
from rnnaudio.runs.frames.explanations import EXPLANATIONS, HOW_IT_IS_JUDGED, LOSSES
from rnnaudio.atomic import write_atomically
from rnnaudio.data import AudioCorpus, fixed_windows
from rnnaudio.audio import write_wav
from rnnaudio.data.corpus import Split
from rnnaudio.diagnostics import Probe, probe
from rnnaudio.metrics import MINIMUM_RATE_HZ, STEINWAY_16_KHZ, Alive, AliveLimits, alive_seconds, calibrate, decibel
from rnnaudio.report.page import write_report

LEAST_CALIBRATION_SECONDS = 300.0
MOST_CALIBRATION_SECONDS = 3600.0


class Sound(NamedTuple):
    """Seed, generated and true continuation on the scale of the recording, -1 to 1."""

    seed: np.ndarray
    generated: np.ndarray
    original: np.ndarray
    alive: Alive
    stopped: str


def continue_test_seed(run: LoadedRun, corpus: AudioCorpus, *, seconds: float, seed_index: int) -> Sound:
    """Continue a stretch of the test split, and measure for how long the result stays within real music's limits."""
    rate = corpus.sample_rate_hz
    seed_s = seed_seconds(run.config, rate)
    stretch = _seed_and_continuation(corpus.test, seed_index, seed_s, seconds)
    heard, ahead = np.split(stretch, [round(seed_s * rate)])
    (result,) = run.continue_seeds([heard], round(seconds * rate))
    seed, generated, original = map(corpus.restore, (heard, result.audio[result.n_seed :], ahead))
    return Sound(seed, generated, original, judge(generated, corpus, result.stopped), result.stopped)


def judge(generated: np.ndarray, corpus: AudioCorpus, stopped: str) -> Alive:
    """How long the sound lived; what is shorter than a second, or of a very low rate, cannot be measured."""
    rate = corpus.sample_rate_hz
    if len(generated) < rate or rate < MINIMUM_RATE_HZ:
        return Alive(len(generated) / rate, stopped or "too short or too low a rate to be measured")
    return alive_seconds(generated, rate, limits_of_real_music(corpus))


def limits_of_real_music(corpus: AudioCorpus) -> AliveLimits:
    """From the training pieces; from rendered Mozart where they are few, for those would set too narrow limits."""
    rate = corpus.sample_rate_hz
    if corpus.train.seconds < LEAST_CALIBRATION_SECONDS and rate == STEINWAY_16_KHZ.sample_rate_hz:
        return STEINWAY_16_KHZ
    return _measured_limits(corpus.path, corpus.path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _measured_limits(path: Path, changed_ns: int) -> AliveLimits:
    """Kept, for it goes through an hour of music; by the time of change, for a corpus may be built anew."""
    with AudioCorpus.open(path) as corpus:
        rate, pieces = corpus.sample_rate_hz, corpus.train.pieces
        n_each = round(MOST_CALIBRATION_SECONDS * rate / len(pieces))
        audio = (piece.read(0, min(piece.n_samples, max(n_each, rate))) for piece in pieces)
        return calibrate(map(corpus.restore, audio), rate)


def _seed_and_continuation(split: Split, index: int, seed_seconds: float, seconds: float) -> np.ndarray:
    """A stretch with the true continuation after it, as far as the pieces of the split allow."""
    longest = max((piece.n_samples for piece in split.pieces), default=0) / split.sample_rate_hz
    return split.seed_at(index, max(seed_seconds, min(seed_seconds + seconds, longest)))


def look_inside(run: LoadedRun, corpus: AudioCorpus) -> Probe:
    """The probe on a batch of the validation split; of a run in segments, as long as one of them."""
    c = run.config
    n_items, n_steps = min(16, c.batch_size), min(c.segment_steps or c.n_steps, c.n_steps)
    windows = fixed_windows(corpus.valid, frame_size=c.frame_size, n_steps=n_steps, batch_size=n_items)
    return probe(run.model, *run.strategy.split(windows[0].frames))


def write_outcome(run_dir: Path, corpus_path: Path, *, seconds: float = 10.0, seed_index: int = 0) -> dict[str, Any]:
    """Write sound, pictures, ``summary.json`` and ``report.html`` of a trained run into its folder; the summary."""
    run_dir = Path(run_dir)
    run = load_run(run_dir)
    with run.open_corpus(corpus_path) as corpus:
        sound = continue_test_seed(run, corpus, seconds=seconds, seed_index=seed_index)
        inside = look_inside(run, corpus)
    n_clipped = write_wav(run_dir / "generated.wav", np.concatenate([sound.seed, sound.generated]), run.sample_rate_hz)
    write_wav(run_dir / "original.wav", np.concatenate([sound.seed, sound.original]), run.sample_rate_hz)
    summary = summarise(run, sound, n_clipped)
    write_atomically(run_dir / "summary.json", json.dumps(summary, indent=2).encode() + b"\n")
    pictures = draw(run, sound, inside, run_dir)
    write_report(
        run_dir / "report.html",
        title=_title(run.config),
        summary=f"{headline(summary)}\n\n{HOW_IT_IS_JUDGED}",
        tables={
            LOSSES: _loss_rows(run),
            "Diagnostics": _diagnostic_rows(run, inside),
            "Settings": [{"setting": k, "value": str(v)} for k, v in _flat(dataclasses.asdict(run.config)).items()],
        },
        pictures=pictures,
        sounds={"seed and generated": run_dir / "generated.wav", "seed and original": run_dir / "original.wav"},
        notes=[f"{key}: {value}" for key, value in summary["versions"].items()],
        explanations=EXPLANATIONS,
    )
    return summary


def _title(config: TrainConfig) -> str:
    """``predict_next: 3 x 200 lstm``, or ``200-100-100 lstm``."""
    m = config.model
    n_units = config.frame_size if m.cell == "memory-lstm" else m.n_units
    return f"{config.strategy}: {'-'.join(map(str, m.units)) or f'{m.n_layers} x {n_units}'} {m.cell}"


def draw(run: LoadedRun, sound: Sound, inside: Probe, folder: Path) -> dict[str, Path]:
    """All pictures of a run, by caption."""
    history = run.record["history"]
    last = history[-1] if history else {"gradient_norms": {}, "update_ratios": {}}
    ratios = {
        name: [(row["updates"], row["update_ratios"][name]) for row in history] for name in last["update_ratios"]
    }
    pictures = {
        "Spectrogram": plots.spectrogram(
            sound.seed, sound.generated, sound.original, run.sample_rate_hz, folder / "spectrogram.png"
        ),
        "Saturation": plots.saturation(inside.saturation, folder / "saturation.png"),
    }
    if history:
        pictures["Learning curve"] = plots.learning_curve(
            history,
            folder / "learning_curve.png",
            quantity="normalised MSE",
            baselines=_finite_baselines(run),
            decibel=True,
        )
        pictures["Gradient norms"] = plots.gradient_norms(
            last["gradient_norms"],
            inside.gradient_through_time,
            folder / "gradients.png",
            seconds_per_step=run.config.frame_size / run.sample_rate_hz,
        )
        pictures["Update ratios"] = plots.update_ratios(ratios, folder / "update_ratios.png")
    return pictures


def summarise(run: LoadedRun, sound: Sound, n_clipped: int) -> dict[str, Any]:
    """The figures of a run, as they go into ``summary.json``."""
    history = run.record["history"]
    return {
        "strategy": run.config.strategy,
        "best_validation_normalised_mse": run.best_validation_loss,
        "best_validation_decibel": _rounded_decibel(run.best_validation_loss),
        "baselines_decibel": {name: _rounded_decibel(v) for name, v in run.record["config"]["baselines"].items()},
        "updates": run.record["n_updates"],
        "epochs": history[-1]["epoch"] if history else 0.0,
        "training_minutes": round(run.record["seconds"] / 60, 2),
        "n_parameters": run.model.n_parameters,
        "generated_seconds": len(sound.generated) / run.sample_rate_hz,
        "alive_seconds": sound.alive.seconds,
        "death": sound.alive.reason or sound.stopped,
        "clipped_samples": n_clipped,
        "defects": run.record["config"].get("defects", []),
        "versions": {
            "engine": f"{engine.NAME} {engine.VERSION}, mode {engine.MODE}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas_threads": max((p["num_threads"] for p in threadpoolctl.threadpool_info()), default=1),
        },
        "config": dataclasses.asdict(run.config),
    }


def _rounded_decibel(value: float | None) -> float | None:
    """None for what is no number in JSON: not measured, silence, no error at all."""
    value_db = float(decibel(np.nan if value is None else value))
    return round(value_db, 2) if np.isfinite(value_db) else None


def headline(summary: dict[str, Any]) -> str:
    """Two sentences on a summary."""
    best = summary["best_validation_decibel"]
    figure = "never validated" if best is None else f"validation normalised MSE {best} dB"
    trained = f"{duration(60 * summary['training_minutes'])} of training: {figure}."
    why = f" ({summary['death']})" if summary["death"] else ""
    return f"{trained} It kept sounding like music for {summary['alive_seconds']:.1f} s after the seed{why}."


def _finite_baselines(run: LoadedRun) -> dict[str, float]:
    return {name: value for name, value in run.record["config"]["baselines"].items() if value > 0}


def _loss_rows(run: LoadedRun) -> list[dict[str, str]]:
    best = run.best_validation_loss
    rows = [{"predictor": "this model", "dB": "not measured" if best is None else in_decibel(best)}]
    return rows + [{"predictor": k, "dB": in_decibel(v)} for k, v in run.record["config"]["baselines"].items()]


def _diagnostic_rows(run: LoadedRun, inside: Probe) -> list[dict[str, str]]:
    rows = [
        {"what": f"saturated: {name}", "value": f"{100 * histogram.saturated:.1f} %"}
        for name, histogram in inside.saturation.items()
    ]
    history = run.record["history"]
    last = history[-1]["update_ratios"] if history else {}
    rows += [{"what": f"|update| / |parameter|: {name}", "value": f"{ratio:.1e}"} for name, ratio in last.items()]
    norms = inside.gradient_through_time
    rows += [
        {"what": f"|d loss_T / d x| at a lag of {lag} steps", "value": f"{norm:.2e}"}
        for lag, norm in islice(enumerate(norms), 0, None, max(1, len(norms) // 4))
    ]
    return rows


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
