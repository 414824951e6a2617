"""Saved runs: the checkpoint and its record, which identifies the corpus and lets a run be resumed."""

import json
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.errors import RnnaudioError
from rnnaudio.training import checkpoint

RECORD = {"history": list, "n_updates": int, "seconds": int | float, "stopping": dict}
CORPUS = {"path", "sample_rate_hz", "mean", "std"}
DIGEST = "digest"  # runs of earlier versions have none
Record = dict[str, Any]  # what JSON can hold


class SavedRun(NamedTuple):
    """A run as saved in its folder."""

    run_dir: Path
    checkpoint: checkpoint.Checkpoint

    @classmethod
    def read(cls, run_dir: Path) -> "SavedRun":
        """Read the run in a folder. RnnaudioError if there is none, or its checkpoint or record is damaged."""
        saved = cls(Path(run_dir), checkpoint.load(checkpoint.path_in(run_dir)))
        saved.check()
        return saved

    def check(self) -> None:
        """Check the record. RnnaudioError if an entry that loading or resuming needs is missing or of a wrong type."""
        record: Any = self.record
        for name, kind in RECORD.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise RnnaudioError(f"{self.path} is damaged: its record has no usable {name}; take another run")
        if not isinstance(self.record.get("config") or {}, dict):
            raise RnnaudioError(f"{self.path} is damaged: its settings are no table; take another run")
        corpus = self.settings.get("corpus")
        if self.settings and not (isinstance(corpus, dict) and corpus.keys() >= CORPUS):
            raise RnnaudioError(f"{self.path} does not describe its corpus: name a run of `rnnaudio train`")

    @property
    def path(self) -> Path:
        """Path of the checkpoint."""
        return checkpoint.path_in(self.run_dir)

    @property
    def record(self) -> Record:
        return self.checkpoint.record

    @property
    def settings(self) -> Record:
        """The part of the record made before training: settings (under the recipe's key), corpus, and measurements."""
        return self.record.get("config") or {}

    def parameters(self, group: str = "best") -> dict[str, np.ndarray]:
        """Arrays, by name, of the ``best`` parameters (lowest loss) or of the last ones (``model``).

        The last parameters are returned, too, if the checkpoint lacks the best ones.
        """
        return self.checkpoint.group(group) or self.checkpoint.group("model")


def description(corpus: AudioCorpus) -> Record:
    """Make the entry by which a run's record identifies its corpus."""
    return {
        "path": str(corpus.path.resolve()),
        "sample_rate_hz": corpus.sample_rate_hz,
        "mean": corpus.mean,
        "std": corpus.std,
        "train_seconds": corpus.train.seconds,
        DIGEST: corpus.digest(),
    }


def rate_of(record: Mapping[str, Any]) -> int:
    """Sample rate of the run's corpus in Hz, from the run's record."""
    return int(record["config"]["corpus"]["sample_rate_hz"])


def scale_of(record: Mapping[str, Any]) -> Scale:
    """Mean and standard deviation of the run's corpus, from the run's record."""
    return Scale(record["config"]["corpus"]["mean"], record["config"]["corpus"]["std"])


def difference(before: Mapping[str, Any], now: Mapping[str, Any], unchecked: Set[str]) -> str:
    """Describe the first entry of ``now``, except ``unchecked``, that differs from ``before``; empty if none does."""
    changed = (name for name in now if name not in unchecked and before.get(name) != now[name])
    return next((f"{name} was {before.get(name)}, now it is {now[name]}" for name in changed), "")


def open_known(
    stored: Record, path: Path | None = None, open_it: Callable[[Path], AudioCorpus] = AudioCorpus.open
) -> AudioCorpus:
    """Open, by ``open_it``, the corpus that a record describes; path: where it is, None: at its recorded path.

    RnnaudioError if the file is missing or its corpus differs from the description (:func:`description`).
    """
    if path is None and not Path(stored["path"]).exists():
        raise RnnaudioError(f"the run's corpus is not at {stored['path']} any more: give its path with --corpus")
    corpus = open_it(path or Path(stored["path"]))
    changed = difference(stored, description(corpus), unchecked={"path", *_unknown(stored)})
    if changed:
        corpus.close()
        raise RnnaudioError(f"{corpus.path} is not the corpus of the run: {changed}; name that one (--corpus)")
    return corpus


def _unknown(stored: Mapping[str, Any]) -> Set[str]:
    """Names of the entries that the description of a corpus by an earlier version lacks."""
    return {DIGEST} - stored.keys()


def check_same(saved: Record, now: Record, may_change: Mapping[str, Set[str]], path: Path) -> None:
    """Check that two records agree in each part that is a key of ``may_change``, except in the entries listed there.

    RnnaudioError, which names ``path`` (the checkpoint's) and both values, for the first entry that differs.
    """
    saved, now = (json.loads(json.dumps(record)) for record in (saved, now))
    for part, unchecked in may_change.items():
        before = saved.get(part) or {}
        changed = difference(before, now[part], unchecked | _unknown(before))
        if changed:
            raise RnnaudioError(
                f"{path} was trained with another {part} setting: {changed}; "
                "resume with the same settings and corpus, or train in another run directory"
            )
