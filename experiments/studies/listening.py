"""Print the tables of the documentation page on listening, from the records of ``experiments.studies.music``.

    rnnaudio experiment run listening
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.stats

from experiments.runner import command_line
from experiments.shared.options import command
from experiments.shared.records import FOLDER
from experiments.studies.music import goals
from rnnaudio.errors import RnnaudioError

OF_OTHERS = ("music-aids", "music-recordings")  # records of other experiments whose names begin alike

Figures = dict[str, Any]
COLUMNS = {
    "clean at 60 s": "clean_at_60_s",
    "at 300 s": "clean_at_300_s",
    "dead for good": "dead_for_good",
    "in range": "in_range",
    "Frechet": "frechet_ratio",
    "Jensen-Shannon": "jensen_shannon",
    "onsets/s": "onsets_per_second",
    "loop score, most": "loop_score",
    "told from real": "told_from_real",
    "from the codec": "told_from_codec",
}


def records() -> dict[str, Figures]:
    """Read the records of the experiment music, by name; RnnaudioError if there are none."""
    found = (*FOLDER.glob("music.json"), *FOLDER.glob("music-*.json"))
    paths = sorted(path for path in found if path.stem not in OF_OTHERS)
    if not paths:
        raise RnnaudioError(f"no record of music in {FOLDER}: `rnnaudio experiment run music` makes one")
    return {path.stem: json.loads(path.read_text()) for path in paths}


def as_markdown(name: str, figures: Figures) -> str:
    """The tables of one record in Markdown: kinds of sound, bits and copies, goals."""
    lines = [f"### {name}: `{as_typed_now(figures['command'])}`", ""]
    lines += [f"| what sounds | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for kind, row in figures["table"].items():
        lines.append(f"| {kind} | {' | '.join(_cell(row.get(key)) for key in COLUMNS.values())} |")
    bits = ", ".join(f"{kind} {value:g}" for kind, value in figures["bits"].items())
    lines += ["", f"Bits a frame on unseen works: {bits}.", ""]
    lines += ["| copies of | 0.5 s | 1 s | 2 s |", "|---|---|---|---|"]
    for kind, row in figures["copies"].items():
        lines.append(f"| {kind} | {' | '.join(f'{share:.2%}' for share in row.values())} |")
    lines += ["", "| asked | measured | goal | met |", "|---|---|---|---|"]
    for what, (value, goal, is_met) in goals(figures).items():
        lines.append(f"| {what} | {value:g} | {goal} | {'yes' if is_met else '**no**'} |")
    return "\n".join(lines)


def as_typed_now(command: str) -> str:
    """A recorded command line in its current form; older records name the module instead."""
    return command.replace("python -m experiments.music", command_line("music"))


def over_seeds(records: Mapping[str, Figures]) -> str:
    """Markdown table of the goals by training seed (records music, music-2017, ...), with a sentence below it.

    The sentence has the area under the ROC curve of the classifier against real music through the codec, for the chain
    minus that for the model: its mean over the seeds and the half-width of Student's 95 % interval. Returns "" for
    fewer than two seeds.
    """
    seeds = [figures for name, figures in records.items() if re.fullmatch(r"music(-[0-9]+)?", name)]
    if len(seeds) < 2:
        return ""
    seeds.sort(key=lambda figures: int(figures["settings"]["seed"]))
    judged = [goals(figures) for figures in seeds]
    numbers = [figures["settings"]["seed"] for figures in seeds]
    lines = [f"| asked | goal | {' | '.join(map(str, numbers))} | met by |", "|---" * (len(seeds) + 3) + "|"]
    for what, (_, goal, _) in judged[0].items():
        values = " | ".join(f"{row[what][0]:g}" for row in judged)
        asked = re.sub(r"[0-9.]+ - ", "the chain's - ", re.sub(r"[0-9.]+, real", "real", goal))
        lines.append(f"| {what} | {asked} | {values} | {sum(row[what][2] for row in judged)} of {len(seeds)} |")
    rows = [(figures["table"]["bigram chain"], figures["table"]["codes"]) for figures in seeds]
    less = [chain["told_from_codec"] - ours["told_from_codec"] for chain, ours in rows]
    half = scipy.stats.t.ppf(0.975, len(less) - 1) * np.std(less, ddof=1) / np.sqrt(len(less))
    lines += [
        "",
        "Told from real music through the codec (mean over training seeds and its 95 % interval, all on the same",
        f"three movements), by how much less than the chain: {np.mean(less):.3f} +- {half:.3f}",
    ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return f"{value[0]} of {value[1]}" if value[1] else ""
    return f"{value[-1] if isinstance(value, list) else value:g}"


def print_tables() -> None:
    """Print the tables."""
    found = records()
    print("\n\n".join(filter(None, [over_seeds(found), *(as_markdown(name, f) for name, f in found.items())])))


main = command(print_tables)
