"""Results of a run of any recipe: sound, spectrogram, curves, a summary, and a report as one HTML page."""

import json
import platform
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from rnnaudio import engine, plots
from rnnaudio.atomic import write_atomically
from rnnaudio.audio import write_wav
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.levels import level_dbfs, limited
from rnnaudio.laps import Laps
from rnnaudio.lock import check_owned, owned_folder
from rnnaudio.report import Deck, write_report
from rnnaudio.runs.config import flat, to_dict
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.diagnosis.saved import saved_findings
from rnnaudio.runs.explanations import EXPLANATIONS, HOW_IT_IS_JUDGED, OF_BASELINES
from rnnaudio.runs.judging import Sound, continue_test_prime, level_note, peak_note
from rnnaudio.runs.load import load
from rnnaudio.runs.recipe import Page, Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import Record, SavedRun, trouble
from rnnaudio.text import visible
from rnnaudio.training.progress import duration
from rnnaudio.training.run import planned_updates

CHOOSING, PLAYING, PLOTTING, WRITING = "choosing how to play", "playing on, and judging", "pictures", "sounds and page"


def write_outcome(
    run_dir: Path,
    corpus_path: Path | None = None,
    *,
    seconds: float | None = None,
    prime_index: int = 0,
    finish: bool = True,
    laps: Laps | None = None,
) -> Record:
    """Write sound, pictures, ``summary.json`` and ``report.html`` of a trained run to its folder; returns the summary.

    corpus_path
        path of the corpus; None: where it was in training.
    seconds
        length of the generated sound; None: the recipe's default.
    prime_index
        number, from 0, of the prime in the test split; see :meth:`rnnaudio.data.corpus.Split.prime_at`.
    finish
        True: first let the recipe make the choices that follow training (recipe ``codes``: which parameters and which
        sampling temperatures are best on validation music); False: keep the choices saved earlier.
    laps
        timer to which the time of each phase is added; None: the times are not kept.

    RnnaudioError if there is no run, if its corpus is missing or has changed, or if another process writes to the
    run's folder (:mod:`rnnaudio.lock`).
    """
    with owned_folder(run_dir):
        return _outcome_written(run_dir, corpus_path, seconds, prime_index, finish, laps or Laps())


def _outcome_written(
    run_dir: Path, corpus_path: Path | None, seconds: float | None, prime_index: int, finish: bool, laps: Laps
) -> Record:
    """Write the outcome as :func:`write_outcome` does, in a folder that no other process writes to."""
    saved = SavedRun.read(run_dir)
    recipe: Recipe[Any] = recipe_in(saved.settings, saved.path)
    seconds = recipe.seconds if seconds is None else seconds
    with load(run_dir).open_corpus(corpus_path) as corpus:
        if finish:
            with laps.phase(CHOOSING):
                recipe.finish(saved.run_dir, corpus)
        with laps.phase(PLAYING):
            run = load(run_dir)
            prime_seconds = recipe.prime_length(run.config, corpus.test)
            sound = continue_test_prime(run, corpus, prime_seconds=prime_seconds, seconds=seconds, index=prime_index)
        with laps.phase(PLOTTING):
            page = recipe.page(run, corpus, sound, saved.run_dir)
    check_owned(saved.run_dir)  # playing may have taken minutes
    with laps.phase(WRITING):
        return _written(recipe, run, sound, page, saved.run_dir, seconds, laps)


def _written(
    recipe: Recipe[Any], run: LoadedRun, sound: Sound, page: Page, folder: Path, seconds: float, laps: Laps
) -> Record:
    """Write the sounds, the summary and the report of a run; returns the summary.

    seconds: length of the generated sound that was asked for.
    """
    clips, lowest_gain_db = write_sounds(run, sound, page, folder)
    summary = summarise(recipe, run, sound, page) | {"limited_by_db": abs(lowest_gain_db), "of_seconds": seconds}
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2).encode() + b"\n")
    with laps.phase(PLOTTING):
        pictures = plotted(recipe, run, sound, page, folder)
    write_report(
        folder / "report.html",
        title=f"{visible(folder.resolve().name)}: {page.title}",
        summary="\n\n".join(filter(None, (headline(summary), page.about, HOW_IT_IS_JUDGED))),
        tables={
            **page.tables,
            "Settings": [{"setting": k, "value": str(v)} for k, v in flat(summary["config"]).items()],
        },
        pictures=pictures,
        sounds=Deck(clips, prime_seconds=len(sound.prime) / run.sample_rate_hz),
        findings=saved_findings(folder),
        notes=[
            *([f"started from the parameters of {visible(summary['start'])}"] if "start" in summary else []),
            f"corpus: {visible(Path(run.record['config']['corpus']['path']).name)}",
            *(f"{key}: {value}" for key, value in summary["versions"].items()),
        ],
        explanations={**EXPLANATIONS, **_of_baselines(page), **page.explanations},
    )
    return summary


def _of_baselines(page: Page) -> dict[str, str]:
    """Return the explanation, by caption, of a learning curve with baselines; {} if the page has no baselines."""
    return {"Learning curve": f"{EXPLANATIONS['Learning curve']} {OF_BASELINES}"} if page.baselines else {}


def write_sounds(run: LoadedRun, sound: Sound, page: Page, folder: Path) -> tuple[dict[str, Clip], float]:
    """Write all sounds to ``folder`` as WAV files, with limited peaks; returns the clips by caption, and a gain in dB.

    The gain is the lowest one that limiting the peaks of prime and generated continuation needed: negative, or 0 if no
    limiting was needed.
    """
    rate = run.sample_rate_hz
    sounds = {
        "prime and generated": ("generated", np.concatenate([sound.prime, sound.generated])),
        "prime and original": ("original", np.concatenate([sound.prime, sound.original])),
    } | {caption: (caption.replace(" ", "_"), audio) for caption, audio in page.sounds.items()}
    words = {**EXPLANATIONS, **page.explanations}
    clips, gains_db = {}, {}
    for caption, (name, audio) in sounds.items():
        within, gains_db[caption] = limited(audio, rate)
        write_wav(folder / f"{name}.wav", within, rate)
        clips[caption] = Clip(within, rate, words.get(caption, ""), f"{name}.wav")
    return clips, gains_db["prime and generated"]


def plotted(recipe: Recipe[Any], run: LoadedRun, sound: Sound, page: Page, folder: Path) -> dict[str, Path]:
    """Plot the pictures that all recipes have into ``folder``; returns their paths and those in ``page``, by caption.

    ``spectrogram.png`` is written but not returned, because the report shows a spectrogram with each sound.
    """
    rate, history = run.sample_rate_hz, run.history
    plots.spectrogram(sound.prime, sound.generated, sound.original, rate, folder / "spectrogram.png")
    pictures = {}
    if history:
        draw = partial(
            plots.learning_curve_figure,
            history,
            quantity=recipe.quantity,
            baselines=dict(page.baselines),
            decibel=recipe.decibel,
            kept=None if page.last_loss is None else (n_epochs(run), page.last_loss),
        )
        pictures["Learning curve"] = plots.for_page(draw, folder / "learning_curve.png")
    pictures |= page.pictures
    if history:
        names = history[-1]["update_ratios"]
        ratios = {name: [(row["updates"], row["update_ratios"][name]) for row in history] for name in names}
        draw_ratios = partial(plots.update_ratios_figure, ratios)
        pictures["Update ratios"] = plots.for_page(draw_ratios, folder / "update_ratios.png")
    return pictures


def summarise(recipe: Recipe[Any], run: LoadedRun, sound: Sound, page: Page) -> Record:
    """Make the entries of ``summary.json``, by name: results, versions and settings of a run.

    :func:`write_outcome` adds ``limited_by_db`` and ``of_seconds``.
    """
    return {
        "recipe": recipe.name,
        "trouble": trouble(run.record),
        "validation": page.figure,
        "validation_loss": run.best_validation_loss if page.last_loss is None else page.last_loss,
        "best_validation_loss": run.best_validation_loss,
        **page.summary,
        "updates": run.record["n_updates"],
        "cut_off": cut_off(run),
        "epochs": n_epochs(run),
        "training_minutes": round(run.record["seconds"] / 60, 2),
        "n_parameters": run.model.n_parameters,
        "generated_seconds": len(sound.generated) / run.sample_rate_hz,
        "alive_seconds": round(sound.alive.seconds, 4),
        "death": sound.alive.reason or sound.stopped,
        "original_seconds": len(sound.original) / run.sample_rate_hz,
        "original_alive_seconds": round(sound.original_alive.seconds, 4),
        "original_death": sound.original_alive.reason if sound.original_alive.fault else "",
        "prime_dbfs": _rounded(level_dbfs(sound.prime)),
        "generated_dbfs": _rounded(level_dbfs(sound.generated)),
        "versions": {
            "engine": f"{engine.NAME} {engine.VERSION}, mode {engine.MODE}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas_threads": max((p["num_threads"] for p in threadpoolctl.threadpool_info()), default=1),
        },
        **_start(run),
        "config": to_dict(run.config),
    }


def _start(run: LoadedRun) -> Record:
    """Return the entry ``start`` of a summary: name and updates of the run from which this one started, or {}."""
    start = run.record["config"].get("start")
    return {"start": f"{Path(start['run']).name} at update {start['n_updates']}"} if start else {}


def _rounded(dbfs: float) -> float | None:
    """Round a level in dB to two decimals; None for silence, since JSON has no infinity."""
    return round(dbfs, 2) if np.isfinite(dbfs) else None


def n_epochs(run: LoadedRun) -> float:
    """Return the number of passes over the training data up to the last update; 0 if the run was never validated."""
    if not run.history:
        return 0.0
    last = run.history[-1]
    return float(last["epoch"] * run.record["n_updates"] / last["updates"])


def cut_off(run: LoadedRun) -> str:
    """Make a clause that says that the limit on time ended the training; empty if something else ended it."""
    n_updates, config = run.record["n_updates"], run.config
    if run.record["stopping"]["should_stop"] or run.record["seconds"] < 60.0 * config.minutes:
        return ""
    planned = planned_updates(config.max_updates)
    of = f" of {planned}" if n_updates < planned else ""
    return f"ended by its limit of time after {n_updates}{of} updates"


def headline(summary: Mapping[str, Any]) -> str:
    """Make sentences on a run: trouble in training, validation result, time for which the sound stayed alive, level.

    summary: as :func:`write_outcome` returns it.
    """
    broken = summary.get("trouble", "")
    trained = f"{broken[:1].upper()}{broken[1:]}. " if broken else ""
    cut = f", {summary['cut_off']}" if summary.get("cut_off") else ""
    trained += f"{duration(60 * summary['training_minutes'])} of training{cut}: {summary['validation']}."
    why = f" ({summary['death']})" if summary["death"] else ""
    if summary.get("limits_known") is False:
        why += (
            "; but this corpus' own validation music lies outside the limits of real music, which are no measure of it"
        )
    return (
        f"{trained} It kept sounding like music for {summary['alive_seconds']:.1f} of {summary['of_seconds']:g} s "
        f"after the prime{why}.{_on_the_original(summary)}{_levels(summary)}"
    )


def _on_the_original(summary: Mapping[str, Any]) -> str:
    """Make a sentence on the recording itself, if the same measure finds that it dies; else empty."""
    why = summary.get("original_death", "")
    if not why:
        return ""
    alive, length = summary["original_alive_seconds"], summary["original_seconds"]
    return f" By the same measure, the recording itself does so for {alive:.1f} of {length:.1f} s ({why})."


def _levels(summary: Mapping[str, Any]) -> str:
    """Make a sentence on limited peaks and on a level that differs from the prime's; empty if there is neither."""
    before, after = summary.get("prime_dbfs"), summary.get("generated_dbfs")
    notes = [peak_note(-summary.get("limited_by_db", 0.0))]
    if before is not None and after is not None:
        notes.append(level_note(before, after))
    said = "; ".join(filter(None, notes))
    return f" Its level: {said}." if said else ""
