"""Train and measure the variants of a settings file, and compare their figures with the sentences of the blog.

    rnnaudio experiment run week-21-march | week-28-march | last-week | last-day | classmates [--smoke]

Runs are stored in ``runs/<name>/<variant>``; a finished run is not computed again.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

from experiments.shared import settings
from experiments.shared.on_corpus import CORPUS
from experiments.shared.records import record
from experiments.shared.settings import Claim, Figures
from experiments.shared.variants import run_all, tiny
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.runs.frames.config import FramesConfig


@dataclasses.dataclass(frozen=True)
class Options:
    """Paths; everything else is frozen in the settings file."""

    corpus: Path = CORPUS
    runs: Path = Path("runs")
    smoke: bool = False  # two updates of two variants on the piano in the package; no claims, nothing is recorded


def main(path: Path, before: Callable[[], None] = lambda: None) -> None:
    """Train and measure the variants of a settings file; print the claims, and record them with the figures.

    Nothing is recorded for a corpus other than the default.

    before
        function that is called before the first run, except with --smoke.
    """
    options, (variants, claims) = parsed(lambda: tyro.cli(Options, registry=REGISTRY)), settings.load(path)
    if options.smoke:
        smoke(variants)
        return
    before()
    figures = run_all(variants, options.corpus, options.runs / path.stem)
    rows = compare(figures, claims)
    if options.corpus == CORPUS:
        record(path.stem, {"claims": rows, "variants": figures})


def smoke(variants: Mapping[str, FramesConfig]) -> None:
    """Run the first and the last variant in tiny form, in a temporary folder."""
    with TemporaryDirectory() as folder:
        corpus = build_demo_corpus(Path(folder) / "corpus.h5")
        ends = list(variants)[:: max(1, len(variants) - 1)]
        run_all({variant: tiny(variants[variant]) for variant in ends}, corpus, Path(folder), quick=True)


def compare(figures: Mapping[str, Figures], claims: list[Claim]) -> list[dict[str, str]]:
    """Print each sentence of the blog with its figure, our figure and why they differ; returns them as rows."""
    rows = [claim.row(figures) for claim in claims]
    for row in rows:
        print(f'"{row["says"]}"\n  2016: {row["2016"]}\n  ours: {row["ours"]}\n  {row["why"]}', flush=True)
    return rows
