"""Saved runs: the checkpoint and its record, which identifies the corpus and lets a run be resumed."""

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn.initializers import Sparing
from rnnaudio.schema import Between, Count, Finite, NotNegative, checked
from rnnaudio.text import visible
from rnnaudio.training import checkpoint
from rnnaudio.training.saved import check_record

DIVERGED = 10.0  # times the loss of a model that has learnt nothing
DIGEST = "digest"  # runs of earlier versions have none
Record = dict[str, Any]  # what JSON can hold


class CorpusEntry(TypedDict):
    """Identity of the corpus of a run.

    mean, std: the values by which samples are standardised, see :class:`rnnaudio.data.corpus.Scale`. train_seconds:
    duration of the training split in seconds. digest: see :meth:`rnnaudio.data.AudioCorpus.digest`; records of earlier
    versions lack it.
    """

    path: str
    sample_rate_hz: Annotated[int, Between(1, 2**31)]
    mean: Finite
    std: Annotated[float, Between(1e-12, 1e12)]
    train_seconds: NotRequired[NotNegative]
    digest: NotRequired[str]


class StartEntry(TypedDict):
    """The run from whose parameters a run started, as :meth:`rnnaudio.runs.start.Start.give_to` returns it.

    run: its path, as the user typed it. n_updates: its number of updates. taken, fresh: names of the parameters that
    were copied from it, and of those that kept their initial values.
    """

    run: str
    n_updates: Count
    taken: list[str]
    fresh: list[str]


class SettingsEntry(TypedDict):
    """The part of a run's record made before training, except the settings themselves.

    corpus: identity of the corpus, see :func:`description`. baselines, validation_power, defects: measurements of the
    recipe ``frames``. blank_loss: validation loss of a model that has learnt nothing. halvings: number of times that
    the learning rate was halved by backing off (:mod:`rnnaudio.runs.back_off`). start: the run from whose parameters
    this one started.
    """

    corpus: CorpusEntry
    baselines: NotRequired[dict[str, float]]
    validation_power: NotRequired[NotNegative | None]
    defects: NotRequired[list[str]]
    blank_loss: NotRequired[Finite]
    halvings: NotRequired[Annotated[int, Between(0, 1000)]]
    start: NotRequired[StartEntry]


class SavedRun(NamedTuple):
    """A run as saved on disk: the path of its folder, and the contents of its checkpoint."""

    run_dir: Path
    checkpoint: checkpoint.Checkpoint

    @classmethod
    def read(cls, run_dir: Path) -> "SavedRun":
        """Read the run in a folder; RnnaudioError if there is none, or if its checkpoint or record is damaged."""
        saved = cls(Path(run_dir), checkpoint.newest(run_dir))
        saved.check()
        return saved

    def check(self) -> None:
        """Check the entries of the record that loading or resuming needs; RnnaudioError for the first wrong entry."""
        check_record(self.record, self.path)
        if not self.settings:
            return  # of a model that is no run over a corpus
        try:
            checked(self.settings, SettingsEntry, "config")
        except RnnaudioError as error:
            message = f"{self.path} does not describe a run over a corpus: in its record {error}; take another run"
            raise RnnaudioError(message) from error

    @property
    def path(self) -> Path:
        """Path of the checkpoint."""
        return checkpoint.path_in(self.run_dir)

    @property
    def record(self) -> Record:
        return self.checkpoint.record

    @property
    def settings(self) -> Record:
        """The part of the record made before training: settings (under the recipe's key), corpus, and measurements.

        {} for a model that was trained without a recipe.
        """
        return self.record.get("config") or {}

    def sparing_generator(self) -> Sparing:
        """Make a random generator with which to build the model before its saved parameters are loaded.

        The generator raises RnnaudioError if more random numbers are sampled than there are saved values; see
        :class:`rnnaudio.nn.initializers.Sparing`.
        """
        return Sparing(sum(array.size for array in self.parameters().values()))

    def is_on_other_music(self, corpus: AudioCorpus) -> bool:
        """Return True if the run was trained on another corpus, or if its record, of an early version, has no digest.

        False for a toy problem, whose record has no corpus.
        """
        known = self.settings.get("corpus")
        return known is not None and bool(known.get(DIGEST) != corpus.digest())

    def refuse_if_packed(self) -> None:
        """Raise RnnaudioError for a run unpacked from a pack, which lacks the state needed to resume its training."""
        if self.record.get("packed"):
            raise RnnaudioError(
                f"{self.run_dir} is an unpacked pack, which holds no state of training: begin a new run with its "
                "parameters (rnnaudio train CORPUS.h5 NEW_RUN --from), or resume the run itself"
            )

    def parameters(self, group: str = "best") -> dict[str, np.ndarray]:
        """Return the saved parameters as arrays by name; group: ``best`` (lowest loss) or ``model`` (the last ones).

        If the checkpoint lacks the group, the other one is returned: a run that was never validated has no best
        parameters, and a pack has only the parameters with which its run plays.
        """
        return self.checkpoint.group(group) or self.checkpoint.group("best" if group == "model" else "model")


def description(corpus: AudioCorpus) -> Record:
    """Make the entry by which a run's record identifies its corpus; see :class:`CorpusEntry`."""
    return {
        "path": str(corpus.path.resolve()),
        "sample_rate_hz": corpus.sample_rate_hz,
        "mean": corpus.mean,
        "std": corpus.std,
        "train_seconds": corpus.train.seconds,
        DIGEST: corpus.digest(),
    }


def rate_of(record: Mapping[str, Any]) -> int:
    """Return the sample rate of the run's corpus in Hz, from the run's record."""
    return int(record["config"]["corpus"]["sample_rate_hz"])


def scale_of(record: Mapping[str, Any]) -> Scale:
    """Return mean and standard deviation of the samples of the run's corpus, from the run's record."""
    return Scale(record["config"]["corpus"]["mean"], record["config"]["corpus"]["std"])


def difference(before: Mapping[str, Any], now: Mapping[str, Any], unchecked: Set[str]) -> str:
    """Describe the first entry of ``now``, not in ``unchecked``, that has another value in ``before``; "" if none."""
    changed = (name for name in now if name not in unchecked and before.get(name) != now[name])
    return next((f"{name} was {before.get(name)}, now it is {now[name]}" for name in changed), "")


def open_known(
    stored: Record, path: Path | None = None, open_it: Callable[[Path], AudioCorpus] = AudioCorpus.open
) -> AudioCorpus:
    """Open a run's corpus and check that it is the one described in the run's record.

    stored: the description of the corpus in the record, see :func:`description`. path: path of the corpus; None: the
    path in ``stored``. open_it: function that opens a corpus file.

    RnnaudioError if the file is missing, or if the corpus differs from the description in anything but the path.
    """
    if path is None and not Path(stored["path"]).exists():
        raise RnnaudioError(f"the run's corpus is not at {stored['path']} any more: give its path with --corpus")
    corpus = open_it(path or Path(stored["path"]))
    changed = difference(stored, description(corpus), unchecked={"path", *unknown(stored)})
    if changed:
        corpus.close()
        raise RnnaudioError(f"{corpus.path} is not the corpus of the run: {changed}; name that one (--corpus)")
    return corpus


def unknown(stored: Mapping[str, Any]) -> Set[str]:
    """Return the names of the entries that ``stored``, a corpus description made by an earlier version, lacks."""
    return {DIGEST} - stored.keys()


def trouble(record: Mapping[str, Any]) -> str:
    """Make a sentence on a run that broke down or diverged; empty if it did neither.

    A run broke down if a loss or gradient was not finite. It diverged if its last validation loss is more than ten
    times the loss of a model that has learnt nothing. For comparison: predictions as loud as the music, but unrelated
    to it, have about twice that loss.
    """
    last = record["history"][-1] if record["history"] else None
    stands = f"what it plays is as of update {record['n_updates']} or before"
    if record.get("broke_down"):
        return f"the training broke down: {visible(record['broke_down'])}; {stands}"
    blank = (record.get("config") or {}).get("blank_loss", 0.0)
    if last is None or not 0.0 < DIVERGED * blank < last["valid"]:
        return ""
    return (
        f"the training diverged: at update {last['updates']} the validation loss was {last['valid']:.3g}, that of a "
        f"model that has learnt nothing is {blank:.3g}; {stands}"
    )
