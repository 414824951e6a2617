"""Several runs on one page: the same prime continued by each, at one loudness, with their curves and settings.

In a blind comparison the page names no run: a key file beside it does, and :mod:`rnnaudio.runs.voting` counts the
votes that the page saves.
"""

import dataclasses
import json
import os
import random
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio import plots
from rnnaudio.atomic import replacing
from rnnaudio.audio import resample
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.levels import limited, loudness_lufs
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive, alive_seconds
from rnnaudio.report import Deck, write_report
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.diagnosis.saved import saved_causes
from rnnaudio.runs.judging import judge, prime_and_continuation
from rnnaudio.runs.listing import Row, mark_differing, row_of, run_folders
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.primes import Primes, check_seconds
from rnnaudio.runs.recipe import Recipe
from rnnaudio.text import visible
from rnnaudio.training import checkpoint

RECORDING = "the recording"
MOST_GAIN_DB = 12.0
MOST_SECONDS = 600.0  # of each sound: a page of hours would fit into no browser
RESERVED = {RECORDING, "setting"}  # names of a sound and of a column that are no runs
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ABOUT = (
    "All go on from the same prime, and all are equally loud by ITU-R BS.1770, as far as 12 dB of gain can make them. "
    "How long one sounds like music is measured, by the music of its own corpus, and nobody listened. Listen yourself."
)
ABOUT_BLIND = (
    "All go on from the same prime, and are about equally loud. Which is which is in the key, a file that belongs to "
    "whoever made this page; one may be the recording itself. Vote for each, save the votes and send the file back."
)


class Asked(NamedTuple):
    """What is to be compared.

    prime: file, or place in the test split of the first run whose corpus is there. prime_seconds: None for the longest
    prime that a recipe of the runs asks for. seconds: length of each continuation. seed: random seed of the sampling;
    None: each run's own. blind: True to hide the names.
    """

    prime: Primes
    prime_seconds: float | None = None
    seconds: float = 20.0
    seed: int | None = None
    blind: bool = False


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run that takes part, by the name it has on the page."""

    name: str
    run_dir: Path
    recipe: Recipe[Any]
    run: LoadedRun
    row: Row


class Stretch(NamedTuple):
    """The prime and how the recording goes on, empty if unknown: (n,) samples on the scale of the recording."""

    prime: Audio
    original: Audio
    sample_rate_hz: int

    @property
    def seconds(self) -> float:
        """Length of the prime in seconds."""
        return len(self.prime) / self.sample_rate_hz


def compare(places: Sequence[Path], out: Path, asked: Asked, *, overwrite: bool = False) -> str:
    """Write the page ``out`` on the runs in ``places``; returns sentences on what was written and what was left out.

    places: folders of runs, or folders with runs in or below them; a run that is named twice appears once. Runs that
    cannot be loaded or played are left out and named.

    RnnaudioError if fewer than two runs are left, if no corpus of theirs is there to take a prime from and none is
    given, for lengths out of range, if ``out`` does not end in .html, or exists and ``overwrite`` is off, or cannot be
    written. In a blind comparison the same holds for the key.
    """
    _check(asked)
    if out.suffix.lower() != ".html":
        raise RnnaudioError(f"{out}: expected a name that ends in .html")
    key = out.with_suffix(".key.json")
    for target in (out, key) if asked.blind else (out,):
        _check_target(target, overwrite)
    entries, left_out = entries_in(places)
    _require_two(entries, left_out)
    stretch = _stretch(entries, asked)
    if asked.blind and len(stretch.original):  # a length of its own would tell the recording from the rest
        asked = asked._replace(seconds=min(asked.seconds, len(stretch.original) / stretch.sample_rate_hz))
    clips, lives = _clips(entries, stretch, asked, left_out)
    entries = [entry for entry in entries if entry.name in clips]
    _require_two(entries, left_out)
    if asked.blind:
        _write_blind(out, key, entries, clips, stretch)
    else:
        _write_open(out, entries, clips, lives, stretch)
    notes = [f"left out: {visible(reason)}" for reason in left_out]
    which = f"; which is which: {key}, for `rnnaudio votes`" if asked.blind else ""
    size = f"{out.stat().st_size / 1e6:.1f} MB"
    return "\n".join([*notes, f"wrote {out}: {len(entries)} runs, {size}{which}"])


def _check(asked: Asked) -> None:
    asked.prime.check()
    SamplingOptions(seed=asked.seed)  # raises
    check_seconds(asked.seconds, "seconds")
    if asked.seconds > MOST_SECONDS:
        raise RnnaudioError(
            f"seconds is {asked.seconds:g}; expected {MOST_SECONDS:g} at most on a page; `generate` writes hours"
        )
    if asked.prime_seconds is not None:
        check_seconds(asked.prime_seconds, "prime_seconds")


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise RnnaudioError(f"{target}: there is no folder {target.parent}; make it, or name another")
    if target.is_dir():
        raise RnnaudioError(f"{target} is a folder; name a file")
    if target.exists() and not overwrite:
        raise RnnaudioError(f"{target} exists: choose another name, or replace it with --overwrite")


def _require_two(entries: Sequence[Entry], left_out: Sequence[str]) -> None:
    if len(entries) < 2:
        reasons = "".join(f"; {reason}" for reason in left_out)
        one = f" ({entries[0].run_dir})" if entries else ""
        found = "1 run" if entries else "no run"
        raise RnnaudioError(f"got {found}{one} to compare, expected two or more: name others{reasons}")


# ---------------------------------------------------------------- the runs


def entries_in(places: Sequence[Path]) -> tuple[list[Entry], list[str]]:
    """Load the runs in the given folders; returns (entries in order, reasons for those that were left out)."""
    left_out: list[str] = []
    folders: dict[Path, Path] = {}
    for place in map(Path, places):
        try:
            found = [place] if place.is_dir() and checkpoint.exists(place) else _below(place, left_out)
            for folder in found:
                folders.setdefault(folder.resolve(), folder)
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            left_out.append(f"{place}: {error.strerror}")
    names = _names(list(folders.values()))
    entries = [entry for pair in zip(folders.values(), names, strict=True) for entry in _loaded(*pair, left_out)]
    for recipe in {entry.recipe.name for entry in entries}:
        mark_differing([entry.row for entry in entries if entry.recipe.name == recipe])
    return entries, left_out


def _below(place: Path, left_out: list[str]) -> list[Path]:
    if not place.is_dir():
        left_out.append(f"{place}: expected a folder, of a run or with runs")
        return []
    found = list(run_folders(place, lambda error: left_out.append(f"{error.filename}: {error.strerror}")))
    if not found:
        left_out.append(f"{place}: it holds no run")
    return found


def _names(folders: Sequence[Path]) -> list[str]:
    """What is left of the paths without the folders that they have in common; numbered where they look the same."""
    whole = [os.path.abspath(folder) for folder in folders]
    common = os.path.commonpath(whole) if len(whole) > 1 else ""
    names: list[str] = []
    for path in whole:
        name = first = visible(os.path.relpath(path, common) if common else Path(path).name)
        k = 1
        while name in {*names, *RESERVED}:
            k += 1
            name = f"{first} ({k})"
        names.append(name)
    return names


def _loaded(run_dir: Path, name: str, left_out: list[str]) -> list[Entry]:
    try:
        return [Entry(name, run_dir, saved_recipe(run_dir)[0], load(run_dir), row_of(run_dir, name))]
    except (RnnaudioError, OSError) as error:
        left_out.append(f"{run_dir}: {error}")
        return []


# ---------------------------------------------------------------- the sounds


def _stretch(entries: Sequence[Entry], asked: Asked) -> Stretch:
    """The prime, and its true continuation if it comes from a corpus."""
    longest = max(entry.recipe.prime_seconds(entry.run.config, entry.run.sample_rate_hz) for entry in entries)
    seconds = asked.prime_seconds or longest
    if round(seconds * entries[0].run.sample_rate_hz) < 1:
        raise RnnaudioError(f"prime_seconds is {seconds:g}: no sample at that rate; ask for more")
    first = entries[0].run
    if asked.prime.file is not None:
        (prime,) = asked.prime._replace(seconds=seconds).read(first, None)
        return Stretch(first.scale.restore(prime), np.empty(0, np.float32), first.sample_rate_hz)
    for entry in entries:
        try:
            with entry.run.open_corpus() as corpus:
                stretch = _of_corpus(corpus, asked.prime.place, seconds, asked.seconds)
        except (RnnaudioError, OSError):
            continue
        print(f"prime: {stretch.seconds:.3g} s of the test split of {visible(corpus.path)}", flush=True)
        return stretch
    gone = entries[0].run.record["config"]["corpus"]["path"]
    raise RnnaudioError(f"no prime: no corpus of these runs is where it was ({gone}); name one with --prime-file")


def _of_corpus(corpus: AudioCorpus, index: int, prime_seconds: float, seconds: float) -> Stretch:
    rate = corpus.sample_rate_hz
    prime_seconds = corpus.test.prime_length(prime_seconds)
    whole = corpus.restore(prime_and_continuation(corpus.test, index, prime_seconds, seconds))
    prime, original = np.split(whole, [round(prime_seconds * rate)])
    return Stretch(prime, original, rate)


def _clips(
    entries: Sequence[Entry], stretch: Stretch, asked: Asked, left_out: list[str]
) -> tuple[dict[str, Clip], dict[str, Alive | None]]:
    """Clips and lives of the runs, by name; the recording, if there is one, first among the clips."""
    clips: dict[str, Clip] = {}
    lives: dict[str, Alive | None] = {}
    target = loudness_lufs(np.concatenate([stretch.prime, stretch.original]), stretch.sample_rate_hz)
    if len(stretch.original):
        clips[RECORDING] = _clip(np.concatenate(stretch[:2]), stretch.sample_rate_hz, target)
    for k, entry in enumerate(entries, 1):
        print(f"{k} of {len(entries)}: {visible(entry.name)}", flush=True)
        try:
            prime, generated, stopped = _continued(entry.run, stretch, asked)
        except (RnnaudioError, MemoryError) as error:
            left_out.append(f"{entry.run_dir}: {error or 'too little memory'}")
            continue
        clips[entry.name] = _clip(np.concatenate([prime, generated]), entry.run.sample_rate_hz, target)
        lives[entry.name] = _life(entry.run, generated, stopped, prime)
    return clips, lives


def _continued(run: LoadedRun, stretch: Stretch, asked: Asked) -> tuple[Audio, Audio, str]:
    """The prime at the run's rate, what the run generates after it, and why it ended early."""
    rate, prime = run.sample_rate_hz, stretch.prime
    if stretch.sample_rate_hz != rate:
        prime = resample(prime, stretch.sample_rate_hz, rate)
    sampling = SamplingOptions(seed=asked.seed) if run.temperature is not None else SamplingOptions()
    (result,) = run.continue_primes([run.scale.standardise(prime)], round(asked.seconds * rate), sampling)
    generated = run.scale.restore(result.audio[result.n_prime :])
    if asked.blind:  # what has ended early is silent to the end
        generated = np.pad(generated, (0, max(0, round(asked.seconds * rate) - len(generated))))
    return prime, generated, result.stopped


def _life(run: LoadedRun, generated: Audio, stopped: str, prime: Audio) -> Alive | None:
    """How long the sound stays alive; None if the music of the run's corpus is not known."""
    try:
        with run.open_corpus() as corpus:
            return judge(generated, corpus, stopped, prime)
    except (RnnaudioError, OSError):
        limits = run.limits
        return None if limits is None else alive_seconds(generated, run.sample_rate_hz, limits, prime)


def _clip(audio: Audio, rate: int, target_lufs: float) -> Clip:
    """The sound at the target's loudness, with its gain in words; by 12 dB at most, so that silence stays silent."""
    audio = np.nan_to_num(audio, posinf=1.0, neginf=-1.0)
    difference = target_lufs - loudness_lufs(audio, rate)
    gain_db = float(np.clip(difference, -MOST_GAIN_DB, MOST_GAIN_DB)) if np.isfinite(difference) else 0.0
    within, _ = limited((10.0 ** (gain_db / 20.0) * audio).astype(np.float32), rate)
    return Clip(within, rate, f"Gain {gain_db:+.1f} dB.")


# ---------------------------------------------------------------- the pages


def _write_open(
    out: Path,
    entries: Sequence[Entry],
    clips: dict[str, Clip],
    lives: dict[str, Alive | None],
    stretch: Stretch,
) -> None:
    """Write the page with the names of all runs."""
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
    )


def _curves(entries: Sequence[Entry], recipe: str) -> list[tuple[str, bytes]]:
    """Caption and picture of the learning curves of the runs of a recipe, whose losses have one unit."""
    of_recipe = [entry for entry in entries if entry.recipe.name == recipe and entry.run.history]
    if not of_recipe:
        return []
    histories = {entry.name: entry.run.history for entry in of_recipe}
    figure = plots.compared_curves_figure(histories, quantity=of_recipe[0].recipe.quantity)
    return [(f"Learning curves: {recipe}", plots.rendered(figure))]


def _in_words(entry: Entry, life: Alive | None) -> str:
    """What a listener may want to know: how long it stays alive, its loss, and the first cause that was found."""
    causes = saved_causes(entry.run_dir)
    if causes is None:
        found = f"none that can be read (rnnaudio diagnose {entry.run_dir})"
    else:
        found = f"{causes[0]['name']}: {causes[0]['evidence']}" if causes else "no mistake found"
    validation = f"Validation: {entry.row.validation}. " if entry.row.validation else ""
    return f"Recipe {entry.recipe.name}. Alive: {_alive(life)}. {validation}Diagnosis: {found}."


def _alive(life: Alive | None) -> str:
    if life is None:
        return "not measured, for its corpus is not there"
    return f"{life.seconds:.1f} s" + (f", then it {life.reason}" if life.fault else "")


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
    """Rows of settings: those that differ, with the value of each run, or those in common, with their one value."""
    rows = [entry.row for entry in entries if entry.recipe.name == recipe]
    names = [name for name in rows[0].settings if (name in rows[0].differing) == differing]
    if differing:
        return [{"setting": name, **{row.name: str(row.settings.get(name, "")) for row in rows}} for name in names]
    return [{"setting": name, "value": str(rows[0].settings[name])} for name in names]


def _write_blind(out: Path, key: Path, entries: Sequence[Entry], clips: dict[str, Clip], stretch: Stretch) -> None:
    """Write the page without names, in an order left to chance, and the key to it, both or neither."""
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
    """A to Z, then AA, AB, ... for numbers from 0."""
    before, k = divmod(number, len(LETTERS))
    return (letter(before - 1) if before else "") + LETTERS[k]
