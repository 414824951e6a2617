"""The tables of docs/listening.md, from the records of ``experiments.music``.

python -m experiments.listening
"""

import json
from typing import Any

from experiments.music import goals
from experiments.results import FOLDER
from rnnaudio.errors import RnnaudioError, run_command

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
    """All that are there, by name. RnnaudioError if none is."""
    paths = sorted(path for path in FOLDER.glob("music*.json") if path.stem != "music-aids")
    if not paths:
        raise RnnaudioError(f"no record of `make music` in {FOLDER}: run it first")
    return {path.stem: json.loads(path.read_text()) for path in paths}


def as_markdown(name: str, figures: Figures) -> str:
    """The tables of one record: kinds of sound, bits and copies, goals."""
    lines = [f"### {name}: `{figures['command']}`", ""]
    lines += [f"| what sounds | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for kind, row in figures["table"].items():
        lines.append(f"| {kind} | {' | '.join(_cell(row.get(key)) for key in COLUMNS.values())} |")
    said = ", ".join(f"{kind} {value:g}" for kind, value in figures["bits"].items())
    lines += ["", f"Bits a frame on unseen works: {said}.", ""]
    lines += ["| copies of | 0.5 s | 1 s | 2 s |", "|---|---|---|---|"]
    for kind, row in figures["copies"].items():
        lines.append(f"| {kind} | {' | '.join(f'{share:.2%}' for share in row.values())} |")
    lines += ["", "| asked | measured | goal | met |", "|---|---|---|---|"]
    for what, (value, goal, is_met) in goals(figures).items():
        lines.append(f"| {what} | {value:g} | {goal} | {'yes' if is_met else '**no**'} |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return f"{value[0]} of {value[1]}" if value[1] else ""
    return f"{value[-1] if isinstance(value, list) else value:g}"


def main() -> None:
    """Print the tables."""
    print("\n\n".join(as_markdown(name, figures) for name, figures in records().items()))


if __name__ == "__main__":
    run_command(main, "listening")
