"""Run one or all experiments of the catalogue, and tabulate the recorded outcomes of the blog's claims."""

import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.catalogue import ALL, EXPERIMENTS, Experiment, Run, find
from rnnaudio import interrupt
from rnnaudio.errors import MissingCorpus, RnnaudioError

PROGRAM = "rnnaudio experiment run"
MAKES = {  # the default corpora, by the command that builds them
    Path("datasets/mozart-steinway.h5"): "make corpus",
    Path("datasets/mozart-strings.h5"): "make datasets/mozart-strings.h5",
}


def run(name: str, arguments: list[str]) -> None:
    """Run an experiment in this process.

    arguments: those after its name on the command line. The experiment parses them itself, including --help.

    RnnaudioError for an unknown name, and for a missing corpus (with the command that builds it, if it is a default
    one); SystemExit if the experiment returns a nonzero status. Errors of the experiment are passed on.
    """
    experiment = find(name)
    importlib.import_module("rnnaudio.engine")  # refuses a bad RNNAUDIO_ENGINE or RNNAUDIO_MODE before all else
    sys.argv = [f"{PROGRAM} {name}", *experiment.arguments, *arguments]
    main = importlib.import_module(f"experiments.{experiment.module}").main
    try:
        status = main(experiment.settings_path) if experiment.settings else main()
    except MissingCorpus as error:
        raise (RnnaudioError(_how_to_build(error.path, experiment)) if error.path in MAKES else error) from None
    if status:
        raise SystemExit(status)


def _how_to_build(corpus: Path, experiment: Experiment) -> str:
    """Message for a missing default corpus: the command that builds it and, if there is a tiny form, --smoke."""
    words = f"{corpus} is not there: `{MAKES[corpus]}` builds it, in the folder of the Makefile"
    return words + ("; --smoke is a tiny form that needs no corpus" if ("--smoke",) in experiment.smoke else "")


def command_line(name: str, arguments: list[str] | tuple[str, ...] = ()) -> str:
    """The command line that runs an experiment with these arguments."""
    return " ".join([PROGRAM, name, *map(shlex.quote, arguments)])


def typed_command() -> str:
    """The command line of the running experiment, without the arguments that the catalogue inserts."""
    name, arguments = sys.argv[0].removeprefix(f"{PROGRAM} "), sys.argv[1:]
    preset = len(EXPERIMENTS[name].arguments) if name in EXPERIMENTS else 0
    return command_line(name, arguments[preset:])


# ---- all of them


def run_all(smoke: bool = False, again: bool = False) -> None:
    """Run the experiments of the claims table that have no record yet, then print the table.

    These are the runs of all entries of the catalogue with a ``post``. Each runs in a separate process. Recorded runs
    are not repeated, so the command can be given again after an interruption; a run that was interrupted in an
    experiment with the option --resume must first be completed with that option. Records come with the repository.

    again
        also repeat recorded runs; the folders of all these runs are first renamed to ``runs/NAME.before``.
    smoke
        run the tiny forms of all experiments that have one instead; nothing is recorded.

    RnnaudioError at the end if experiments failed, and at the beginning if a folder cannot be renamed (see
    :func:`set_aside`); KeyboardInterrupt if an experiment was interrupted.
    """
    wanted = list(_tiny_forms() if smoke else _full_runs(again))
    if again and not smoke:
        set_aside([run.folder for experiment in ALL if experiment.post for run in experiment.runs])
    failed = []
    for number, (experiment, arguments) in enumerate(wanted, 1):
        print(f"==== {number} of {len(wanted)}, {experiment.post}: {experiment.name}", flush=True)
        if not run_apart(experiment.name, arguments):
            failed.append(experiment.name)
    if not smoke:
        print(as_markdown())
        without = [run.record for _, run in _recorded() if not run.path.exists()]
        print(f"not recorded yet: {', '.join(without) or 'none'}", file=sys.stderr)
    if failed:
        raise RnnaudioError(f"{len(failed)} experiments failed: {', '.join(failed)}; their errors are printed above")


def run_apart(name: str, arguments: tuple[str, ...]) -> bool:
    """Run an experiment in a separate process; returns True if it succeeded.

    Raises KeyboardInterrupt if it was interrupted.
    """
    started = time.monotonic()
    code = "from rnnaudio.cli import main; main()"
    command = [sys.executable, "-c", code, "experiment", "run", name, *arguments]
    with subprocess.Popen(command, env=os.environ) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            if interrupt.received() != signal.SIGINT:  # which the terminal has sent to both
                child.send_signal(signal.SIGTERM)
            child.wait()  # it saves first
            raise
    print(f"==== {name}: {time.monotonic() - started:.0f} s, status {status}", flush=True)
    if status > 128:  # it was interrupted
        raise KeyboardInterrupt
    return status == 0


def set_aside(folders: list[Path]) -> None:
    """Rename the folders that exist to ``NAME.before``; RnnaudioError, before any is renamed, if a name is taken."""
    there = {folder: folder.with_name(f"{folder.name}.before") for folder in folders if folder.exists()}
    for before in there.values():
        if before.exists():
            raise RnnaudioError(f"{before} is still there: remove it or move it away first")
    for folder, before in there.items():
        folder.rename(before)


def _recorded() -> Iterator[tuple[Experiment, Run]]:
    """Iterate over the runs that `run all` records, each with its experiment."""
    return ((experiment, run) for experiment in ALL if experiment.post for run in experiment.runs)


def _full_runs(again: bool) -> Iterator[tuple[Experiment, tuple[str, ...]]]:
    return ((experiment, run.arguments) for experiment, run in _recorded() if again or not run.path.exists())


def _tiny_forms() -> Iterator[tuple[Experiment, tuple[str, ...]]]:
    return ((experiment, arguments) for experiment in ALL for arguments in experiment.smoke)


# ---- the table of claims


def claims() -> Iterator[dict[str, str]]:
    """Iterate over the rows of the claims table, one for each claim in the records."""
    for experiment, run in _recorded():
        recorded = json.loads(run.path.read_text()) if run.path.exists() else {}
        for claim in recorded.get("claims", []):
            yield {"post": experiment.post, "command": command_line(experiment.name, run.arguments), **claim}


def as_markdown() -> str:
    """The claims in the records as a Markdown table."""
    lines = ["| post | the blog says | command | 2016 | here | why |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['post']} | {row['says']} | `{row['command']}` | {row['2016']} | {row['ours']} | {row['why']} |"
        for row in claims()
    ]
    return "\n".join(lines)
