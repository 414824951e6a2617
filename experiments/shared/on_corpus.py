"""The command of an experiment that trains on the corpus: in full and recorded, or tiny, on the package's piano."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro

from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.training import Run

CORPUS = Path("datasets/mozart-steinway.h5")
Figures = dict[str, Any]


def complete(run: Run) -> Run:
    """A run that ended by its rule or limits. Else KeyboardInterrupt (it is saved; called again, it goes on) or, if it
    broke down, RnnaudioError."""
    if run.is_complete:
        return run
    if run.reason.startswith("interrupted"):
        raise KeyboardInterrupt
    raise RnnaudioError(f"training broke down: {run.reason}")


def full_or_tiny(
    kind: type[Any],
    tiny: dict[str, Any],
    run: Callable[[Any, AudioCorpus], Figures],
    keep: Callable[[Any, Figures], object],
) -> None:
    """``run`` with the options typed, of that kind, and ``keep`` what it found if it was on our corpus; with --smoke
    ``run`` alone, in a folder that goes away, with the options that ``tiny`` names changed."""
    options = parsed(lambda: tyro.cli(kind, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            place = {"run_dir": Path(folder) / "run"} if hasattr(options, "run_dir") else {}
            small = dataclasses.replace(options, **place, **tiny)
            with AudioCorpus.open(build_demo_corpus(Path(folder) / "corpus.h5")) as corpus:
                run(small, corpus)
        return
    with AudioCorpus.open(options.corpus) as corpus:
        figures = run(options, corpus)
    if options.corpus == CORPUS:
        keep(options, figures)
