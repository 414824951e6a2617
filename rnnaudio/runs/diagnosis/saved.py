"""The diagnosis of a run as saved in its folder: figures, picture, and a part of the run's report."""

import dataclasses
import json
import math
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from rnnaudio import plots
from rnnaudio.atomic import replacing
from rnnaudio.diagnostics.subject import Diagnosis, Measurements
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import check_owned, owned_folder
from rnnaudio.metrics import Alive
from rnnaudio.records import parsed, read_text
from rnnaudio.report import Findings, replace_findings
from rnnaudio.runs.diagnosis.actions import actions
from rnnaudio.runs.diagnosis.diagnose import NOTHING_FOUND, nothing_found
from rnnaudio.runs.explanations import OF_A_DIAGNOSIS
from rnnaudio.runs.load import saved_config
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import SavedRun
from rnnaudio.schema import Finite, Plain, checked

FIGURES, PICTURE, PAGE = "diagnosis.json", "diagnosis.png", "report.html"
HEADING = "Why it sounds as it does"
ORDER = "The first is furthest upstream: later ones may follow from it, so mend it first."


class CauseEntry(TypedDict):
    """A cause in ``diagnosis.json``. actions: options or commands that repair it, a line each."""

    name: str
    severity: Finite
    evidence: str
    advice: str
    actions: NotRequired[list[str]]


def write_diagnosis(run_dir: Path, diagnosis: Diagnosis) -> tuple[Path, Path]:
    """Write ``diagnosis.json`` and ``diagnosis.png`` to the run's folder, both or neither; returns their paths.

    Causes and picture are also added to the run's report, if there is one. RnnaudioError if another process writes to
    the folder (:mod:`rnnaudio.lock`).
    """
    with owned_folder(run_dir):
        return _written(Path(run_dir), diagnosis)


def _written(run_dir: Path, diagnosis: Diagnosis) -> tuple[Path, Path]:
    check_owned(run_dir)
    targets = run_dir / FIGURES, run_dir / PICTURE
    content = json.dumps(_with_actions(run_dir, diagnosis), indent=2, allow_nan=False) + "\n"
    with ExitStack() as stack:
        narrow = plots.narrow_path(run_dir / PICTURE)
        text, picture, small = (stack.enter_context(replacing(target)) for target in (*targets, narrow))
        text.write_text(content, encoding="utf-8")
        both = plots.drawn(partial(plots.diagnosis_figure, diagnosis))
        picture.write_bytes(both.wide)
        small.write_bytes(both.narrow)
    found = saved_findings(run_dir)
    if found and (run_dir / PAGE).exists():
        replace_findings(run_dir / PAGE, found)
    return targets


def _with_actions(run_dir: Path, diagnosis: Diagnosis) -> Plain:
    saved = SavedRun.read(run_dir)
    recipe = recipe_in(saved.settings, saved.path)
    config = saved_config(recipe, saved)
    causes = [cause._asdict() | {"actions": actions(cause, recipe, config, saved)} for cause in diagnosis.causes]
    return {
        "causes": plain(causes),
        "nothing_found": "" if causes else nothing_found(recipe, config),
        "measured": plain(measurements(diagnosis)),
    }


def measurements(diagnosis: Diagnosis) -> dict[str, object]:
    """Return all measurements of a diagnosis, by name."""
    return {field.name: getattr(diagnosis.measured, field.name) for field in dataclasses.fields(Measurements)}


def plain(value: object) -> Plain:
    """Convert measurements to values that JSON can store; numbers that are not finite become None (null)."""
    if isinstance(value, Alive):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def saved_findings(run_dir: Path) -> Findings | None:
    """Make the part of a report from the diagnosis in a run's folder; None if there is no readable diagnosis.

    Training deletes an earlier diagnosis, so a diagnosis in the folder is of the present state of the run.
    """
    causes = saved_causes(run_dir)
    if causes is None:
        return None
    items = [(f"{cause['name']} (severity {cause['severity']:.2f})", _lines(cause)) for cause in causes]
    lead = ORDER if len(causes) > 1 else ""
    return Findings(
        HEADING,
        lead if causes else f"The diagnosis: {saved_nothing_found(run_dir)}.",
        items,
        {"Diagnosis": Path(run_dir) / PICTURE},
        OF_A_DIAGNOSIS,
    )


def _lines(cause: CauseEntry) -> list[str]:
    """Return evidence and advice of a cause as sentences, then the options or commands to type."""
    what = (f"Measured: {cause['evidence']}.", f"What to do: {cause['advice']}.")
    return [line.replace("..", ".") for line in what] + [*cause.get("actions", [])]


def saved_causes(run_dir: Path) -> list[CauseEntry] | None:
    """Read the causes from the diagnosis in a run's folder, most severe first; None without a readable diagnosis."""
    try:
        entries = _read(run_dir)["causes"]
        known = CauseEntry.__annotations__
        kept = [{name: value for name, value in entry.items() if name in known} for entry in entries]
        causes: list[CauseEntry] = checked(kept, list[CauseEntry], "causes")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RnnaudioError):
        return None
    return causes


def saved_nothing_found(run_dir: Path) -> str:
    """Read, from a run's folder, the conclusion of a diagnosis that found no cause; returns it as one line."""
    text = _read(run_dir).get("nothing_found")
    return " ".join(text.split()) if isinstance(text, str) and text else NOTHING_FOUND


def _read(run_dir: Path) -> dict[str, Plain]:
    content: dict[str, Plain] = parsed(read_text(Path(run_dir) / FIGURES))
    return content
