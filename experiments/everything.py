"""The blog, post by post: every experiment run, and one table of what was said, what was measured then, and now.

    python -m experiments.everything [--smoke] [--table] [--again]

Experiments that have a record, and runs that are finished, are not computed again, so a command that was broken off
goes on. Records come with the repository: ``--again`` makes them anew, and sets the runs aside that are there
(``runs/NAME.before``). ``--smoke``: all of them, tiny, on the piano in the package; nothing is recorded. ``--table``:
only the table of what is recorded.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tyro

from experiments.shared.records import FOLDER
from rnnaudio.errors import RnnaudioError, run_command


class Experiment(NamedTuple):
    """A module of this package, the post it belongs to, the name of its record, its arguments; ``smoke``: those of
    its tiny form, None where another entry has the same one."""

    module: str
    post: str
    record: str
    arguments: tuple[str, ...] = ()
    smoke: tuple[str, ...] | None = ("--smoke",)
    has_record: bool = True

    @property
    def folder(self) -> Path:
        return Path("runs") / self.record

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.record}.json"

    @property
    def command(self) -> str:
        return " ".join(["python -m", f"experiments.{self.module}", *self.arguments])


EXPERIMENTS = (
    Experiment("blog_2016.mnist", "week 2", "mnist-blog", ("--setting", "blog", "--seeds", "5")),
    Experiment(
        "blog_2016.mnist", "week 2", "mnist-february", ("--setting", "february", "--seeds", "3"), smoke=None
    ),
    Experiment("blog_2016.mnist", "week 2", "mnist-march", ("--setting", "march", "--seeds", "3"), smoke=None),
    Experiment("blog_2016.week_21_march", "week 21 March", "week-21-march"),
    Experiment("blog_2016.week_28_march", "week 28 March", "week-28-march"),
    Experiment("blog_2016.last_week", "last week", "last-week"),
    Experiment("blog_2016.last_week_checks", "last week", "last-week-checks"),
    Experiment("blog_2016.last_week_grid", "last week", "last-week-grid"),
    Experiment("blog_2016.last_day", "the last day", "last-day"),
    Experiment("blog_2016.final_post", "final post", "final-post"),
    Experiment("blog_2016.classmates", "not in the blog", "classmates"),
    Experiment("blog_2016.fourier_2016", "week 28 March (part 2)", "fourier-2016-gru"),
    Experiment("studies.phase", "week 28 March (part 2)", "phase"),
    Experiment("studies.amplitude", "week 28 March (part 2)", "amplitude"),
    Experiment("studies.music", "not in the blog", "music"),
    Experiment("studies.music_aids", "not in the blog", "music-aids"),
    Experiment("studies.samples", "not in the blog", "samples-3-logistic"),
    Experiment("studies.draw", "week 28 March (part 2)", "draw"),
    Experiment(
        "studies.draw", "week 28 March (part 2)", "draw-attention", ("--attention",), ("--attention", "--smoke")
    ),
    Experiment(
        "studies.draw", "week 28 March (part 2)", "draw-attention-minutes-80", ("--attention", "--minutes", "80"),
        smoke=None,
    ),
    Experiment("studies.draw_piano", "week 28 March (part 2)", "draw-piano"),
    Experiment(
        "studies.draw_piano", "week 28 March (part 2)", "draw-piano-attention",
        ("--attention",), ("--attention", "--smoke"),
    ),
    Experiment("blog_2016.timit", "last week", "timit", ("--smoke",), has_record=False),  # TIMIT is the user's own
    Experiment("studies.ablation", "all", "ablation"),
    Experiment("proofs.blind_test", "all", "blind-test", smoke=("--quick",)),
)


def claims() -> Iterator[dict[str, str]]:
    """A row for each claim of what is recorded."""
    for experiment in EXPERIMENTS:
        recorded = json.loads(experiment.path.read_text()) if experiment.path.exists() else {}
        for claim in recorded.get("claims", []):
            yield {"post": experiment.post, "command": experiment.command, **claim}


def as_markdown() -> str:
    """The table for README.md."""
    lines = ["| post | the blog says | command | 2016 | here | why |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['post']} | {row['says']} | `{row['command']}` | {row['2016']} | {row['ours']} | {row['why']} |"
        for row in claims()
    ]
    return "\n".join(lines)


def run(experiment: Experiment, smoke: bool) -> bool:
    """One experiment in a process of its own; whether it ended well."""
    arguments = experiment.smoke if smoke else experiment.arguments
    started = time.monotonic()
    command = [sys.executable, "-m", f"experiments.{experiment.module}", *(arguments or ())]
    done = subprocess.run(command, check=False, env=os.environ)
    print(f"==== {experiment.module}: {time.monotonic() - started:.0f} s, status {done.returncode}", flush=True)
    if done.returncode == 130:
        raise KeyboardInterrupt
    return done.returncode == 0


def set_aside(folders: list[Path]) -> None:
    """Rename those that are there; RnnaudioError, and nothing is renamed, where an earlier one is still set aside."""
    there = {folder: folder.with_name(f"{folder.name}.before") for folder in folders if folder.exists()}
    for before in there.values():
        if before.exists():
            raise RnnaudioError(f"{before} is still there: remove it or move it away first")
    for folder, before in there.items():
        folder.rename(before)


def main(smoke: bool = False, table: bool = False, again: bool = False) -> None:
    """Run the experiments that have no record yet, then print the table.

    Args:
        again: also those that have one; their runs are set aside.
        smoke: each in its tiny form.
        table: print the table of what is recorded, and run nothing.
    """
    wanted = [e for e in EXPERIMENTS if not table and (smoke or again or (e.has_record and not e.path.exists()))]
    missing = [e for e in wanted if not smoke or e.smoke is not None]
    if again and not smoke:
        set_aside([e.folder for e in missing])
    failed = []
    for number, experiment in enumerate(missing, 1):
        print(f"==== {number} of {len(missing)}, {experiment.post}: {experiment.module}", flush=True)
        if not run(experiment, smoke):
            failed.append(experiment.module)
    if not smoke:
        print(as_markdown())
        without = [e.record for e in EXPERIMENTS if e.has_record and not e.path.exists()]
        print(f"not recorded yet: {', '.join(without) or 'none'}", file=sys.stderr)
    if failed:
        raise RnnaudioError(f"{len(failed)} experiments failed: {', '.join(failed)}; what they say stands above")


if __name__ == "__main__":
    run_command(lambda: tyro.cli(main), "experiments")
