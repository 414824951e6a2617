"""Train the config of a settings file on the piano corpus, as `rnnaudio train` does, and generate.

    rnnaudio experiment run predict [--minutes 15] [--resume]
    rnnaudio experiment run reconstruct [--minutes 15] [--resume]

The outcome is recorded in experiments/results, unless the run was interrupted or shortened, or used another corpus.
"""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

from experiments.shared import settings
from experiments.shared.on_corpus import CORPUS
from experiments.shared.records import record
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.outcome import write_outcome


@dataclasses.dataclass(frozen=True)
class Options:
    """Paths and time limit; everything else is frozen in the settings file."""

    corpus: Path = CORPUS
    run_dir: Path | None = None  # default: runs/<strategy>
    minutes: float | None = None  # of training, at most; default: the experiment's own
    resume: bool = False  # continue the run in that folder


def main(path: Path) -> None:
    """Train the config of a settings file, generate, and record the outcome."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    config = load_config(path)
    run_dir = options.run_dir or Path("runs") / config.strategy
    shortened = options.minutes is not None and options.minutes < config.minutes
    if options.minutes is not None:
        config = dataclasses.replace(config, minutes=options.minutes)
    is_complete, summary = train_and_listen(config, options.corpus, run_dir, resume=options.resume)
    if is_complete and not shortened and options.corpus == CORPUS:
        record(config.strategy, summary)


def load_config(path: Path) -> FramesConfig:
    """The config of a settings file without variants."""
    (config,) = settings.load(path).variants.values()
    return config


def train_and_listen(
    config: FramesConfig, corpus: Path, run_dir: Path, *, resume: bool = False
) -> tuple[bool, dict[str, Any]]:
    """Train, generate and print the outcome; returns (True if the run ended by itself, its summary)."""
    run = fit(FRAMES, config, corpus, run_dir, resume=resume)
    print(f"training ended: {run.reason}")
    summary = write_outcome(run_dir, corpus)
    print(f"validation {summary['best_validation_decibel']} dB; baselines {summary['baselines_decibel']}")
    print(f"kept sounding for {summary['alive_seconds']:.1f} s after the seed: {summary['death'] or 'to the end'}")
    print(f"listen: {run_dir / 'generated.wav'}   look: {run_dir / 'report.html'}")
    return run.is_complete, summary
