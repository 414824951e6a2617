"""``rnnaudio experiment`` and its short forms, for the experiments in a checkout of the repository.

An installed package has no experiments, so they are found and imported when a command needs them. Each experiment
gets its arguments unchanged and parses them itself.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnaudio.cli.app import command
from rnnaudio.errors import RnnaudioError

GROUP = "Experiments, in a checkout"
CATALOGUE = Path("experiments/catalogue.py")
USAGE = """\
usage: rnnaudio experiment [-h] {list,run,needs,table}

The experiments of the blog of 2016, studies, benchmarks and proofs; they come with a checkout of rnnaudio.

  list                          list all, one line each, with the approximate time each takes
  run NAME [ARGS]               run one, with its own options (run NAME --help)
  run all [--smoke] [--again]   run those of the blog that have no record yet; --again: run all of them;
                                --smoke: run them in tiny form
  needs NAME [ARGS]             print the extras and data that make must set up first; notes go to standard error
  table                         print the blog's claims and what was recorded

Example: rnnaudio experiment run last-day --smoke"""


@command("experiment", GROUP, raw=True)
def experiment(arguments: list[str]) -> None:
    """List or run experiments, studies, benchmarks and proofs."""
    verb, *others = arguments or ["--help"]
    if verb in ("-h", "--help"):
        print(USAGE)
    elif verb in VERBS:
        VERBS[verb](others)
    else:
        raise RnnaudioError(f"experiment got {verb!r}; expected one of {', '.join(VERBS)}")


@command("bench", GROUP, raw=True)
def bench(arguments: list[str]) -> None:
    """Time training steps against PyTorch, JAX and the engine's loop.

    The engine's own loop is the kernel `scan`. --phases measures where the time of a step goes, --memory resident
    memory, and --start the time up to the first update. Short for `rnnaudio experiment run bench`.
    """
    _run(["bench", *arguments])


@command("gradcheck", GROUP, raw=True)
def gradcheck(arguments: list[str]) -> None:
    """Check gradients, kernels and optimisers against oracles.

    Short for `rnnaudio experiment run gradcheck`.
    """
    _run(["gradcheck", *arguments])


@command("verify", GROUP, raw=True)
def verify(arguments: list[str]) -> None:
    """Check MNIST, predict and reconstruct models against each other.

    Short for `rnnaudio experiment run verify`.
    """
    _run(["verify", *arguments])


def _list(arguments: list[str]) -> None:
    _no_more("list", arguments)
    print(_module("catalogue").as_list())


def _run(arguments: list[str]) -> None:
    name, *others = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(USAGE)
    elif name == "all":
        _run_all(others)
    else:
        _module("runner").run(name, others)


def _run_all(words: list[str]) -> None:
    flags = {"--smoke": False, "--again": False}
    for word in words:
        if word not in flags:
            raise RnnaudioError(f"experiment run all got {word!r}; expected --smoke or --again or neither")
        flags[word] = True
    _module("runner").run_all(flags["--smoke"], flags["--again"])


def _needs(arguments: list[str]) -> None:
    name, *others = arguments or [""]
    catalogue = _module("catalogue")
    wanted = catalogue.needs(name, others)
    print(*wanted)
    for note in catalogue.notes(name, others, wanted):
        print(f"note: {note}", file=sys.stderr)


def _table(arguments: list[str]) -> None:
    _no_more("table", arguments)
    print(_module("runner").as_markdown())


VERBS: dict[str, Callable[[list[str]], None]] = {"list": _list, "run": _run, "needs": _needs, "table": _table}


def _no_more(verb: str, arguments: list[str]) -> None:
    if arguments:
        raise RnnaudioError(f"experiment {verb} got {' '.join(arguments)!r}; it takes no arguments")


def _module(name: str) -> Any:
    """Import a module of ``experiments`` from a checkout: the current folder, else the one that holds this package.

    RnnaudioError if neither is a checkout.
    """
    roots = [root for root in (Path.cwd(), Path(__file__).resolve().parents[2]) if (root / CATALOGUE).is_file()]
    if not roots:
        raise RnnaudioError(
            "experiments come with a checkout, and there is none here: run this in the folder of a clone of rnnaudio "
            "(the one with experiments/ and the Makefile)"
        )
    root = str(roots[0])
    if root not in sys.path:  # also for the processes that an experiment starts
        sys.path.insert(0, root)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return importlib.import_module(f"experiments.{name}")
