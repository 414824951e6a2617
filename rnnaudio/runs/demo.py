"""The demo: a model of 2016 and one over codes, trained on piano music, and a page on why only the second plays on."""

import dataclasses
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rnnaudio import plots
from rnnaudio.atomic import write_atomically
from rnnaudio.audio import read_audio
from rnnaudio.audio.clip import Clip
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.diagnostics.subject import Diagnosis
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_folder
from rnnaudio.records import parsed
from rnnaudio.report import Deck, write_report
from rnnaudio.runs.diagnosis.diagnose import diagnose_run
from rnnaudio.runs.diagnosis.saved import saved_findings, write_diagnosis
from rnnaudio.runs.explanations import HOW_IT_IS_JUDGED
from rnnaudio.runs.fit import fit
from rnnaudio.runs.outcome import headline, write_outcome
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import Record
from rnnaudio.runs.settings import Chosen, chosen
from rnnaudio.training import checkpoint
from rnnaudio.training.progress import duration

# Folders of the two runs, their presets, and their shares of the training time.
OF_2016, LASTING = "2016", "codes"
PRESETS = {OF_2016: "gru-2016", LASTING: "music"}
SHARES = {OF_2016: 0.25, LASTING: 0.75}
MARK = "demo.json"  # file that marks the folder of a demo, which a later demo may replace
SECONDS = 30.0  # of each continuation
MOST_MINUTES = 600.0
HIGHEST_HZ = 4000.0  # of the spectrograms: a piano has little above
TITLE = "Why a model of 2016 does not play, and one that plays on"
IN_PLAIN_WORDS = {
    "min-max-scaling": "its input is far smaller than what such a network is made for",
    "last-step-cost": "it is corrected at one step in forty only",
    "unscaled-rmsprop": "each correction is thousands of times too small to change anything",
    "judged-by-training-cost": "it was chosen by music that it was trained on",
    "two-functions": "it generates by another rule than it was trained by",
    "worse-than-baseline": "a weighted sum of the last two frames predicts better",
}
CAPTIONS = {
    "the recording": "Piano music that neither model was trained on.",
    "the model of 2016": (
        "After a second of that recording, three GRU layers with the settings of the blog's last week go on by "
        "themselves."
    ),
    "the model that plays on": (
        "After the same second, a model over codes: an LSTM gives probabilities of the next spectrum out of a "
        "vocabulary, and one is sampled."
    ),
}


def run_demo(run_dir: Path, minutes: float) -> Path:
    """Train two models on the piano music in the package and diagnose the first; returns the path of a page on both.

    The first is a model of 2016, the second a model over codes. The page is ``report.html`` in ``run_dir``; the corpus
    and the folders of the runs, :data:`OF_2016` and :data:`LASTING`, are beside it. An earlier demo in ``run_dir`` is
    replaced.

    minutes: limit on the training time of both models together, above 0 and at most 600.

    RnnaudioError for minutes out of range, if the folder cannot be made, if it holds runs that are not a demo's or
    were trained further, or if another process writes to it (:mod:`rnnaudio.lock`).
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise RnnaudioError(f"minutes is {minutes:g}; expected more than 0, and {MOST_MINUTES:g} at most")
    settings = {name: _within(chosen(preset=preset), minutes * SHARES[name]) for name, preset in PRESETS.items()}
    with ExitStack() as owned:
        for folder in (run_dir, *(run_dir / name for name in settings)):
            owned.enter_context(owned_folder(folder, make=True))
        return _demo(settings, run_dir)


def _demo(settings: Mapping[str, Chosen], run_dir: Path) -> Path:
    """Run the demo in folders that no other process writes to; returns the path of the page.

    settings: recipe and config of each run, by the name of its folder.
    """
    replace_earlier(run_dir, {name: each.config.minutes for name, each in settings.items()})
    corpus = build_demo_corpus(run_dir / "corpus.h5", more=True)
    print("1 of 3: a model of 2016", flush=True)
    failed = trained(settings[OF_2016], corpus, run_dir / OF_2016)
    print("2 of 3: why it does not play", flush=True)
    diagnosis = diagnose_run(run_dir / OF_2016, corpus)
    write_diagnosis(run_dir / OF_2016, diagnosis)
    for cause in diagnosis.causes:
        print(f"  {cause.name}: {cause.evidence}")
    print("3 of 3: a model that plays on", flush=True)
    lasting = trained(settings[LASTING], corpus, run_dir / LASTING)
    return write_page(run_dir, diagnosis, failed, lasting)


def _within(settings: Chosen, minutes: float) -> Chosen:
    return settings._replace(config=dataclasses.replace(settings.config, minutes=minutes))


def replace_earlier(run_dir: Path, minutes: Mapping[str, float]) -> None:
    """Make ``run_dir``, or delete the checkpoints of an earlier demo in it, and write a file that marks a demo.

    minutes: limits on the training time of the runs, in minutes, by the name of their folder; saved in the file.

    RnnaudioError, before anything is deleted, if the folder holds runs or a corpus but no such file, or if a run of
    the earlier demo was trained further; also if the folder cannot be written to.
    """
    mark = run_dir / MARK
    paths = {name: checkpoint.path_in(run_dir / name) for name in minutes}
    found = [path for path in (checkpoint.path_in(run_dir), run_dir / "corpus.h5", *paths.values()) if path.exists()]
    if found and not mark.exists():
        raise RnnaudioError(
            f"{found[0]} is not a demo's, or that of an earlier version: name another --run-dir, or delete it if you "
            "can spare it"
        )
    earlier = _read_mark(mark)
    for name, path in paths.items():
        if path.exists() and name in earlier and _minutes_of(path) not in (None, earlier[name]):
            raise RnnaudioError(f"{path} was trained further after the demo: name another --run-dir to keep it")
    for name in minutes:
        checkpoint.remove(run_dir / name)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RnnaudioError(f"cannot make {run_dir}: {error.strerror}; name another --run-dir") from error
    write_atomically(mark, json.dumps({"minutes": minutes}).encode() + b"\n")


def _read_mark(path: Path) -> dict[str, float]:
    """Read the limits of an earlier demo, in minutes by name of the run; {} without a file that can be read."""
    try:
        return dict(parsed(path.read_text(encoding="utf-8"))["minutes"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _minutes_of(path: Path) -> float | None:
    """Read the limit on training time, in minutes, from a checkpoint; None if it is damaged or has no such limit."""
    try:
        saved = checkpoint.load(path).record["config"]
        return next((float(values["minutes"]) for values in saved.values() if "minutes" in values), None)
    except (RnnaudioError, KeyError, TypeError, AttributeError):
        return None


def trained(settings: Chosen, corpus: Path, run_dir: Path) -> Record:
    """Train a run on the corpus and write its report; returns the summary, as :func:`write_outcome` does.

    KeyboardInterrupt if training was interrupted, because the page needs two complete runs.
    """
    run = fit(recipe_named(settings.recipe), settings.config, corpus, run_dir)
    if run.is_interrupted:
        raise KeyboardInterrupt
    print(f"training ended: {run.reason}; playing on ...", flush=True)
    summary = write_outcome(run_dir, corpus, seconds=SECONDS)
    print(headline(summary))
    return summary


def write_page(run_dir: Path, diagnosis: Diagnosis, failed: Record, lasting: Record) -> Path:
    """Write ``report.html`` on both runs, and a picture of spectrograms, to ``run_dir``; returns the page's path.

    diagnosis: that of the model of 2016. failed, lasting: summaries of the model of 2016 and of the model over codes.
    """
    files = {
        "the recording": run_dir / LASTING / "original.wav",
        "the model of 2016": run_dir / OF_2016 / "generated.wav",
        "the model that plays on": run_dir / LASTING / "generated.wav",
    }
    sounds = {name: read_audio(file) for name, file in files.items()}
    (rate,) = {rate for _, rate in sounds.values()}
    plots.spectrogram_sheet(
        {name: audio for name, (audio, _) in sounds.items()},
        rate,
        run_dir / "spectrograms.png",
        highest_hz=HIGHEST_HZ,
        prime_seconds=1.0,
    )
    clips = {
        name: Clip(audio, rate, CAPTIONS[name], str(files[name].relative_to(run_dir)))
        for name, (audio, rate) in sounds.items()
    }
    found = saved_findings(run_dir / OF_2016)
    return write_report(
        run_dir / "report.html",
        title=TITLE,
        summary="\n\n".join((_of_2016(failed), *_why(diagnosis), _of_lasting(lasting), HOW_IT_IS_JUDGED)),
        sounds=Deck(clips, prime_seconds=1.0, highest_hz=HIGHEST_HZ),
        findings=None if found is None else found._replace(heading="Why the model of 2016 does not play"),
        pictures={},
        tables={"Both runs": [_row(failed), _row(lasting)]},
    )


def _of_2016(summary: Record) -> str:
    return (
        "In 2016 a student trained recurrent networks to go on with a piece of music, sample by sample. Everything he "
        f"checked seemed fine. This page repeats one of his models. {headline(summary)}"
    )


def _why(diagnosis: Diagnosis) -> list[str]:
    """Make a paragraph on the causes in plain words, as a list of one text; [] if no cause has a plain wording.

    If there are no causes, the paragraph states that.
    """
    if not diagnosis.causes:
        return ["The diagnosis found no mistake in how it was trained."]
    plain = "; ".join(IN_PLAIN_WORDS[cause.name] for cause in diagnosis.causes if cause.name in IN_PLAIN_WORDS)
    return [f"Why? In plain words: {plain}."] if plain else []


def _of_lasting(summary: Record) -> str:
    return (
        "A model that is trained by squared error, even without a mistake, predicts the mean of all continuations, "
        "and a mean fades. So the second model learns probabilities of the next spectrum, and samples. "
        f"{headline(summary)}"
    )


def _row(summary: Record) -> dict[str, Any]:
    return {
        "recipe": summary["recipe"],
        "training": duration(60 * summary["training_minutes"]),
        "updates": summary["updates"],
        "validation": summary["validation"],
        "parameters": summary["n_parameters"],
        "sounded like music for": f"{summary['alive_seconds']:.1f} of {summary['of_seconds']:g} s",
        "then": summary["death"] or "played on",
    }
