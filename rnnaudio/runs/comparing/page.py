"""The page of a comparison, open or blind: with or without the names of the runs."""

import json
import random
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rnnaudio import plots
from rnnaudio.atomic import replacing
from rnnaudio.metrics import Alive
from rnnaudio.report import Deck, Pressed, write_report
from rnnaudio.runs.comparing.entries import RECORDING, Entry
from rnnaudio.runs.comparing.sounds import Stretch
from rnnaudio.runs.diagnosis.saved import saved_causes, saved_nothing_found
from rnnaudio.text import in_shell

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ABOUT = (
    "All continue the same prime. After it all are equally loud by ITU-R BS.1770, as far as 12 dB of gain allow. "
    "How long one sounds like music is measured, by the music of its own corpus, and nobody listened. Listen yourself."
)
COMPARABLE = (
    "Validation is the loss on music kept aside, lower is better. It can be compared between runs of one recipe on "
    "the same music, with the same target and scale; otherwise it is another quantity. Seconds alive can be compared."
)
ABOUT_BLIND = (
    "All continue the same prime, and are about equally loud after it. Which is which is in the key, a file that "
    "stays with whoever made this page; one may be the recording itself. Vote for each, save the votes and send the "
    "file back."
)


def write_open(
    out: Path,
    entries: Sequence[Entry],
    clips: dict[str, Pressed],
    lives: dict[str, Alive | None],
    stretch: Stretch,
) -> None:
    """Write the page of an open comparison, with the names of all runs.

    clips: sounds by name. lives: how long the sound of each run stays alive, by name; None: not measured. A
    description of each run is put before the words of its clip in ``clips``.
    """
    for entry in entries:
        clip = clips[entry.name]
        clips[entry.name] = clip._replace(words=f"{_in_words(entry, lives[entry.name])} {clip.words}")
    recipes = list(dict.fromkeys(entry.recipe.name for entry in entries))
    write_report(
        out,
        title=f"{len(entries)} runs compared",
        summary=ABOUT,
        sounds=Deck(clips, prime_seconds=stretch.seconds),
        pictures=dict(curve for recipe in recipes for curve in _curves(entries, recipe)),
        tables={
            "Runs": [_as_row(entry, lives[entry.name]) for entry in entries],
            **{f"Settings that differ: {recipe}": _settings(entries, recipe, differing=True) for recipe in recipes},
            **{f"Settings in common: {recipe}": _settings(entries, recipe, differing=False) for recipe in recipes},
        },
        explanations={"Runs": COMPARABLE},
    )


def _curves(entries: Sequence[Entry], recipe: str) -> list[tuple[str, plots.Drawn]]:
    """Plot the learning curves of the runs of a recipe, whose losses have one unit; return [(caption, picture)]."""
    of_recipe = [entry for entry in entries if entry.recipe.name == recipe and entry.run.history]
    if not of_recipe:
        return []
    histories = {entry.name: entry.run.history for entry in of_recipe}
    one = of_recipe[0].recipe
    draw = partial(plots.compared_curves_figure, histories, quantity=one.quantity, decibel=one.decibel)
    return [(f"Learning curves: {recipe}", plots.drawn(draw))]


def _in_words(entry: Entry, life: Alive | None) -> str:
    """Describe a run for a listener: how long its sound stays alive, its loss, and the first cause of a diagnosis."""
    causes = saved_causes(entry.run_dir)
    if causes is None:
        found = f"none that can be read (rnnaudio diagnose {in_shell(entry.run_dir)})"
    else:
        found = f"{causes[0]['name']}: {causes[0]['evidence']}" if causes else saved_nothing_found(entry.run_dir)
    validation = f"Validation: {entry.row.validation}. " if entry.row.validation else ""
    return f"Recipe {entry.recipe.name}. Alive: {_alive(life)}. {validation}Diagnosis: {found}."


def _alive(life: Alive | None) -> str:
    if life is None:
        return "not measured, for its corpus is not there"
    return f"{life.seconds:.1f} s, then it {life.reason}" if life.fault else f"all {life.seconds:.1f} s"


def _as_row(entry: Entry, life: Alive | None) -> dict[str, object]:
    row = entry.row
    return {
        "run": entry.name,
        "recipe": row.recipe,
        "state": row.state,
        "updates": row.updates,
        "minutes": row.minutes,
        "validation": row.validation,
        "alive": _alive(life),
        "note": row.note,
    }


def _settings(entries: Sequence[Entry], recipe: str, *, differing: bool) -> list[dict[str, object]]:
    """Make rows of settings: those that differ, with the value of each run, or those in common, with one value."""
    rows = [entry.row for entry in entries if entry.recipe.name == recipe]
    all_names = dict.fromkeys(name for row in rows for name in row.settings)  # a cell has options of its own
    names = [name for name in all_names if any(name in row.differing for row in rows) == differing]
    if differing:
        return [{"setting": name, **{row.name: str(row.settings.get(name, "")) for row in rows}} for name in names]
    return [{"setting": name, "value": str(rows[0].settings[name])} for name in names]


def write_blind(out: Path, key: Path, entries: Sequence[Entry], clips: dict[str, Pressed], stretch: Stretch) -> None:
    """Write the page without names, with the sounds in random order, and the key to it, both or neither."""
    page = secrets.token_hex(8)
    folders = {RECORDING: RECORDING} | {entry.name: str(entry.run_dir) for entry in entries}
    names = list(clips)
    random.Random(page).shuffle(names)
    letters = {letter(k): name for k, name in enumerate(names)}
    content = {"page": page, "clips": {label: folders[name] for label, name in letters.items()}}
    with replacing(key) as place:
        place.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        write_report(
            out,
            title="Which sounds best?",
            summary=ABOUT_BLIND,
            sounds=Deck(
                {label: clips[name]._replace(words="") for label, name in letters.items()},
                prime_seconds=stretch.seconds,
                ballot=page,
            ),
            pictures={},
            tables={},
        )


def letter(number: int) -> str:
    """Return the label of a sound: A to Z, then AA, AB, ... for numbers from 0."""
    before, k = divmod(number, len(LETTERS))
    return (letter(before - 1) if before else "") + LETTERS[k]
