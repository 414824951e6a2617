"""The study of a sweep: it lets processes join, selects the next trial, and records the results.

All trials are made in advance, in the state "waiting", so that their number is exact, however many processes take
part. A process that runs a trial owns the trial's folder (:mod:`rnnaudio.lock`) from before it claims the trial until
after it has recorded the result. So if the study lists a trial as running, and no process owns its folder, then its
process was killed or interrupted, and the next process continues it.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from rnnaudio.atomic import write_atomically
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import InUse, owned_folder
from rnnaudio.records import Record, parsed
from rnnaudio.runs.config import flat
from rnnaudio.runs.record import description
from rnnaudio.runs.sweep.space import Space, SweepConfig
from rnnaudio.runs.sweep.storage import JOURNAL, explained, name_of, open_storage, undisturbed
from rnnaudio.schema import Plain, checked, shown
from rnnaudio.training import checkpoint

MARK, SPACE = "sweep.json", "space.toml"
IDENTITY, FOLDER, REASON = "rnnaudio", "folder", "reason"  # attributes of a study and of its trials
TURN_SECONDS, LOOK_SECONDS = 120.0, 0.1
UNSIGNED_SECONDS = 60.0  # after which a trial may be taken whose process has not recorded its folder


class Mark(TypedDict):
    """Record in a sweep's folder: name of the study, kind of its storage, and a random identifier of the folder."""

    study: str
    storage: Literal["journal", "database"]
    folder: str


class Trial(NamedTuple):
    """A trial that this process runs.

    values: values of the searched settings, by name. handle: Optuna's object for the trial.
    """

    number: int
    values: Mapping[str, Plain]
    handle: Any


class Study:
    """An Optuna study and the folder with its runs; made by :func:`open_study`.

    out: the folder. space: the space of the sweep. corpus: path of the corpus. where: name of the storage in messages.
    """

    def __init__(
        self,
        out: Path,
        space: Space,
        corpus: Path,
        where: str,
        study: optuna.Study,
        storage: BaseStorage,
        mark: Mark,
    ) -> None:
        self.out, self.space, self.corpus, self.where = out, space, corpus, where
        self._study, self._storage, self._mark = study, storage, mark

    def folder(self, number: int) -> Path:
        """Return the folder of a trial's run."""
        return self.out / f"trial-{number:04d}"

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, in order of their numbers."""
        with undisturbed(self.where):
            return self._study.get_trials(deepcopy=False)

    def unfinished(self) -> list[int]:
        """Return the numbers of the trials that may have to be run: those begun in this folder, then those waiting."""
        open_ones = [one for one in self.trials() if not one.state.is_finished() and one.number < self.space.n_trials]
        begun = [one.number for one in open_ones if one.state == TrialState.RUNNING and self._is_here(one)]
        return begun + [one.number for one in open_ones if one.state == TrialState.WAITING]

    def n_elsewhere(self) -> int:
        """Return the number of unfinished trials that were begun in a folder on another disk."""
        begun = [one for one in self.trials() if one.state == TrialState.RUNNING and one.number < self.space.n_trials]
        return sum(not self._is_here(one) for one in begun)

    def claim(self, number: int) -> Trial | None:
        """Take a trial, whose folder this process owns, to run it; None if it has ended, or belongs to another folder.

        RnnaudioError if the trial has not begun, but there is a run in its folder.
        """
        with undisturbed(self.where):
            frozen = self._study.get_trials(deepcopy=False)[number]
            if frozen.state == TrialState.RUNNING:
                return self._begun(frozen) if self._is_here(frozen) else None
            if frozen.state != TrialState.WAITING:
                return None
            self._check_is_empty(number)
            with contextlib.suppress(UpdateFinishedTrialError):  # on another disk, where its lock is not seen
                if self._storage.set_trial_state_values(frozen._trial_id, TrialState.RUNNING):
                    return self._begun(frozen)
            return None

    def report(self, trial: Trial, step: int, loss: float) -> bool:
        """Record the loss of validation number ``step``, from 1, once; return True if the trial should be pruned."""
        with undisturbed(self.where):
            if step not in self._storage.get_trial(trial.handle._trial_id).intermediate_values:
                trial.handle.report(loss, step)
            return bool(trial.handle.should_prune())

    def tell(self, trial: Trial, value: float | None, *, pruned: bool = False, reason: str = "") -> None:
        """Record the end of a trial: as pruned; else as complete, with ``value``; or as failed, if that is None.

        reason: why the trial has no value; stored if not empty.
        """
        with undisturbed(self.where):
            if reason:
                trial.handle.set_user_attr(REASON, reason)
            state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else TrialState.COMPLETE
            self._study.tell(trial.handle, value, state=state)

    def importances(self) -> dict[str, float]:
        """Return the importance of each setting for the value of complete trials, the greatest first.

        Importances are shares by PED-ANOVA. {} unless at least two complete trials have different values.
        """
        complete = [one for one in self.trials() if one.state == TrialState.COMPLETE]
        if len({one.value for one in complete}) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    def _is_here(self, frozen: FrozenTrial) -> bool:
        """Return whether the run of a begun trial is in this folder, not in one on another disk."""
        if self._mark["storage"] == "journal" or FOLDER in frozen.user_attrs:
            return frozen.user_attrs.get(FOLDER, self._mark["folder"]) == self._mark["folder"]
        started = frozen.datetime_start
        return started is not None and time.time() - started.timestamp() > UNSIGNED_SECONDS

    def _begun(self, frozen: FrozenTrial) -> Trial:
        """Choose the values of a trial, or read those that were chosen before it was interrupted."""
        self._storage.set_trial_user_attr(frozen._trial_id, FOLDER, self._mark["folder"])
        if self.space.sweep.sampler == "grid":
            self._storage.set_trial_system_attr(frozen._trial_id, "fixed_params", self.space.point(frozen.number))
        self._study.sampler = _sampler(self.space.sweep, frozen.number)
        handle = optuna.Trial(self._study, frozen._trial_id)
        values = {name: one.suggest(handle, name) for name, one in self.space.ranges.items()}
        return Trial(frozen.number, values, handle)

    def _check_is_empty(self, number: int) -> None:
        folder = self.folder(number)
        if checkpoint.exists(folder):
            raise RnnaudioError(
                f"{folder} holds a run, but the study in {self.where} has not begun that trial: entries of the study "
                "are lost; put back a copy of it, or begin anew in another folder"
            )


def _sampler(sweep: SweepConfig, number: int) -> BaseSampler:
    """Make the sampler of a trial; its random numbers depend on the seed and the trial, not on the process."""
    seed = int(np.random.SeedSequence([sweep.seed, number]).generate_state(1)[0])
    if sweep.sampler == "tpe":
        return TPESampler(seed=seed, constant_liar=True)  # does not choose again what another process tries just now
    return RandomSampler(seed=seed)


def _pruner(sweep: SweepConfig) -> BasePruner:
    if sweep.pruner == "median":
        return MedianPruner(n_startup_trials=sweep.startup_trials, n_warmup_steps=sweep.warmup_validations)
    return SuccessiveHalvingPruner() if sweep.pruner == "successive_halving" else NopPruner()


# ---------------------------------------------------------------- joining


def open_study(space: Space, corpus: Path, out: Path, url: str = "") -> Study:
    """Create the study of a sweep in the folder ``out``, or join it if it exists.

    url: URL of the database that keeps the study; empty: a journal in ``out``. The study has the name of the folder.

    RnnaudioError, before anything is written, if there is no corpus, if ``out`` is used for something else, if the
    existing study has another space or corpus (the message names the difference), or if the storage cannot be used.
    """
    with AudioCorpus.open(corpus) as opened:
        about = {name: value for name, value in description(opened).items() if name != "path"}
    identity = json.loads(json.dumps({**space.identity(), "corpus": about}))
    with in_turn(lambda: owned_folder(out, make=True)):
        return _joined(space, identity, corpus, out, url)


@contextlib.contextmanager
def in_turn(lock: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Context manager that waits for a lock and holds it; InUse if others still hold the lock after two minutes.

    lock: function that returns the context manager of the lock.
    """
    end = time.monotonic() + TURN_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(lock())
                break
            except InUse:
                if time.monotonic() > end:
                    raise
            time.sleep(LOOK_SECONDS)
        yield


def _joined(space: Space, identity: Record, corpus: Path, out: Path, url: str) -> Study:
    mark, where = _mark(out, url), name_of(out, url)
    is_new = not url and not (out / JOURNAL).exists()
    storage = None if is_new else open_storage(out, url)
    known = storage is not None and _known(storage, mark["study"], identity, out, where)
    write_atomically(out / MARK, json.dumps(mark, indent=2).encode() + b"\n")
    storage = storage or open_storage(out, url)
    with undisturbed(where):
        if not known:
            direction = space.objective.direction
            made = optuna.create_study(
                storage=storage, study_name=mark["study"], direction=direction, load_if_exists=True
            )
            made.set_user_attr(IDENTITY, identity)
        study = optuna.load_study(storage=storage, study_name=mark["study"], pruner=_pruner(space.sweep))
        for _ in range(len(study.get_trials(deepcopy=False)), space.n_trials):
            study.add_trial(optuna.create_trial(state=TrialState.WAITING))
    write_atomically(out / SPACE, space.path.read_bytes())
    return Study(out, space, corpus, where, study, storage, mark)


def _mark(out: Path, url: str) -> Mark:
    """Read the mark of a folder, or make a new one; RnnaudioError if the folder is used for something else."""
    kind: Literal["journal", "database"] = "database" if url else "journal"
    path = out / MARK
    if not path.exists():
        taken = [JOURNAL, checkpoint.NAME, *(one.name for one in out.glob("trial-*"))]
        found = next((name for name in taken if (out / name).exists()), None)
        if found:
            raise RnnaudioError(f"{out / found} is there, but no {MARK}: it is not of a sweep; name another folder")
        other = next((one for one in sorted(out.glob("*/")) if checkpoint.exists(one) or (one / MARK).exists()), None)
        if other:
            raise RnnaudioError(f"{out} holds other runs ({other.name}): name a new folder, such as {out / 'sweep'}")
        return Mark(study=out.resolve().name or "sweep", storage=kind, folder=secrets.token_hex(8))
    try:
        mark: Mark = checked(parsed(path.read_text(encoding="utf-8")), Mark, "")
    except (OSError, ValueError, RnnaudioError) as error:
        raise RnnaudioError(f"{path} is damaged ({error}); name another folder, or put back a copy of it") from error
    if mark["storage"] != kind:
        where = "a database: name it with --storage" if kind == "journal" else f"{out / JOURNAL}: leave out --storage"
        raise RnnaudioError(f"the study of {out} is in {where}")
    return mark


def _known(storage: BaseStorage, name: str, identity: Record, out: Path, where: str) -> bool:
    """Return whether the storage has the study ``name``; RnnaudioError if that study has another identity."""
    with explained(where):
        studies = {one.study_name: one for one in optuna.get_all_study_summaries(storage)}
    if name not in studies:
        return False
    before = studies[name].user_attrs.get(IDENTITY)
    if before is None and not studies[name].n_trials:
        return False  # killed before it was written
    changed = _difference(before, identity) if isinstance(before, dict) else "it is not one of rnnaudio"
    if changed:
        raise RnnaudioError(
            f"the study {name!r} in {where} is of another sweep: {changed}; put that back, or name another "
            f"folder than {out}"
        )
    return True


def _difference(before: Record, now: Record) -> str:
    """Describe the first difference between two identities; empty if there is none."""
    old, new = flat(before), flat(now)
    for name in dict.fromkeys([*new, *old]):
        if name not in old:
            return f"{name} is {shown(new[name])}, and was not set"
        if name not in new:
            return f"{name} was {shown(old[name])}, and is not set"
        if old[name] != new[name]:
            return f"{name} was {shown(old[name])}, now it is {shown(new[name])}"
    return ""
