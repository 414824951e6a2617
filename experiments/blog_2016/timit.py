"""Both strategies on speech, which the blog postponed ("first testing my code on a standard data set like TIMIT").

    rnnaudio experiment run timit DIR [--quick]      your own copy of TIMIT, the folder with TRAIN and TEST
    rnnaudio experiment run timit --smoke            synthetic sounds instead, a few seconds

The settings are those of predict.toml and reconstruct.toml: 12.5 ms frames of 200 samples at 16 kHz. rnnaudio contains
nothing of TIMIT, which is distributed by the LDC (LDC93S1).
"""

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro
from tyro.conf import Positional

from experiments.blog_2016.strategies import load_config, train_and_listen
from experiments.blog_2016.synthetic_speech import write_tree
from experiments.shared.records import record
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data.timit import build_timit_corpus, find_utterances
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.frames.config import FramesConfig

CONFIGS = [load_config(Path(__file__).with_name(name)) for name in ("predict.toml", "reconstruct.toml")]
QUICK_UPDATES = 100


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of both runs."""

    folder: Positional[Path | None] = None  # your copy of TIMIT
    run_dir: Path = Path("runs/timit")  # for the corpus and both runs
    quick: bool = False  # 100 updates each, to see whether the copy works; not recorded
    smoke: bool = False  # without TIMIT: a small model on synthetic sounds, in a folder that is removed again
    resume: bool = False  # continue the runs in that folder


def smoke(config: FramesConfig) -> FramesConfig:
    """The config with a small model, for a run that takes seconds."""
    model = dataclasses.replace(config.model, n_units=16)
    return dataclasses.replace(config, model=model, n_steps=10, batch_size=4, max_updates=4, validate_every=2)


def quick(config: FramesConfig) -> FramesConfig:
    """The config with the same model, for a run that takes a minute."""
    return dataclasses.replace(config, max_updates=QUICK_UPDATES, validate_every=QUICK_UPDATES // 4)


def main() -> None:
    """Build the corpus, unless it is there, and train both strategies on it."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            print("SYNTHETIC sounds, not TIMIT: this shows that the commands work, and nothing about speech")
            tree = write_tree(Path(folder) / "synthetic")
            run_both(tree, Path(folder), [smoke(config) for config in CONFIGS], resume=False)
        return
    if options.folder is None:
        raise RnnaudioError("got no folder; expected that of your copy of TIMIT (or --smoke, to try without one)")
    configs = [quick(config) if options.quick else config for config in CONFIGS]
    summaries = run_both(options.folder, options.run_dir, configs, resume=options.resume)
    if not options.quick and len(summaries) == len(configs):
        record("timit", summaries)


def run_both(folder: Path, run_dir: Path, configs: list[FramesConfig], *, resume: bool) -> dict[str, Any]:
    """Train both strategies; returns the summaries, by strategy, of the runs that ended by themselves.

    If the first run is interrupted, the second is left out. RnnaudioError if ``folder`` holds no TIMIT, or if the
    corpus exists and ``resume`` is False.
    """
    corpus = run_dir / "corpus.h5"
    if not corpus.exists():
        find_utterances(folder)  # refuses a folder without TIMIT before one is made for the run
        run_dir.mkdir(parents=True, exist_ok=True)
        print(build_timit_corpus(folder, corpus))
    elif not resume:
        raise RnnaudioError(f"{corpus} exists: go on with the runs beside it (--resume), or name another --run-dir")
    summaries: dict[str, Any] = {}
    for config in configs:
        is_complete, summary = train_and_listen(config, corpus, run_dir / config.strategy, resume=resume)
        if not is_complete:
            break
        summaries[config.strategy] = summary
    return summaries
