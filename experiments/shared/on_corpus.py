"""Entry point of experiments on the piano corpus: a full, recorded run, or a tiny one on the piano in the package."""

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
    """Return the run if it ended by its stopping rule or limits.

    Raises KeyboardInterrupt if it was interrupted (the same command resumes it), RnnaudioError if it broke down.
    """
    if run.is_complete:
        return run
    if run.is_interrupted:
        raise KeyboardInterrupt
    raise RnnaudioError(f"training broke down: {run.reason}")


def full_or_tiny(
    kind: type[Any],
    tiny: dict[str, Any],
    run: Callable[[Any, AudioCorpus], Figures],
    keep: Callable[[Any, Figures], object],
) -> None:
    """Read options of class ``kind`` from the command line, and run the experiment in full or, with --smoke, tiny.

    run
        function (options, corpus) -> figures.
    keep
        function (options, figures) that records them; called only for a full run on the default corpus, CORPUS.
    tiny
        options that replace the given ones with --smoke. That run uses a corpus of the piano in the package, and
        corpus and run are in a temporary folder.

    RnnaudioError if the corpus cannot be opened.
    """
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
