"""Start of a new run from the parameters of another: those that fit are taken, the others start fresh."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.engine import SharedVariable
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import BatchNorm, Layer
from rnnaudio.records import Record
from rnnaudio.runs.config import flat, to_dict
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.packs import run_folder
from rnnaudio.runs.recipe import C, Recipe
from rnnaudio.runs.resumable import refusals
from rnnaudio.training import checkpoint
from rnnaudio.training.resuming import set_model

BEGINNING = "start.safetensors"
MOST_NAMES = 4  # of parameters, in an error


def settings_of(run: Path) -> Record:
    """Return the settings of a run in a folder or a pack as plain values, with the recipe's name under ``recipe``.

    RnnaudioError if there is no run, or it is damaged.
    """
    with run_folder(run) as folder:
        recipe, config = saved_recipe(folder)
    settings: Record = json.loads(json.dumps(to_dict(config)))
    return {"recipe": recipe.name, **settings}


class Start(NamedTuple):
    """A run from which training starts. run: its path as the user named it. folder: with its files, while training is
    prepared. loaded: the run with the parameters with which it plays.
    """

    run: Path
    folder: Path
    loaded: LoadedRun

    def check(self, recipe: Recipe[C], config: C, corpus: AudioCorpus) -> None:
        """Check that the parameters mean the same to a run with this config on this corpus.

        RnnaudioError for a run of another recipe, for sound at another sample rate, and for each setting that must be
        that of the run (``Recipe.meaning``), with the reason.
        """
        of, _ = saved_recipe(self.folder)
        if of.name != recipe.name:
            raise RnnaudioError(
                f"{self.run} is a run over {of.name}: its parameters mean nothing to a run over {recipe.name}; train "
                "from nothing, without --from"
            )
        before, now = self.loaded.sample_rate_hz, corpus.sample_rate_hz
        if before != now:
            raise RnnaudioError(
                f"{self.run} has sound at {before} Hz, {corpus.path} at {now} Hz: pitch and time would mean something "
                f"else to its parameters; build the corpus with --sample-rate-hz {before}"
            )
        others = frozenset(flat(to_dict(config)).keys() - recipe.meaning)
        refused = refusals(self.loaded.config, config, recipe.fixed, unchecked=others)
        if refused:
            raise RnnaudioError(
                f"training cannot start from {self.run} so: {'; '.join(refused)}; keep these settings, or train from "
                "nothing, without --from"
            )

    def give_to(self, model: Layer) -> Record:
        """Set the parameters of a model that fit to those of the run, and print which; returns the record's entry.

        A parameter fits if its name and its shape are the same. RnnaudioError if none does.
        """
        old, taken, fresh = _learnt(self.loaded.model), [], []
        new = _learnt(model)
        for name, variable in new.items():
            value = old[name].get_value() if name in old else None
            if value is None or value.shape != _shape(variable):
                fresh.append(name)
                continue
            variable.set_value(np.asarray(value, variable.dtype, order="C"))
            taken.append(name)
        if not taken:
            raise RnnaudioError(
                f"no parameter of {self.run} fits the model: it has {_listed(old)}, the model {_listed(new)}; use its "
                "settings, or train from nothing, without --from"
            )
        n_updates = self.loaded.record["n_updates"]
        print(f"start: {len(taken)} of {len(new)} parameters are those of {self.run} at update {n_updates}")
        if fresh:
            print(f"fresh: {', '.join(f'{name} {_shape(new[name])}' for name in fresh)}")
        return {"run": str(self.run), "n_updates": n_updates, "taken": taken, "fresh": fresh}


@contextlib.contextmanager
def starting_from(run: Path | None) -> Iterator[Start | None]:
    """Context with the run in a folder or a pack, loaded, from which training starts; None: training from nothing.

    RnnaudioError if it cannot be loaded.
    """
    if run is None:
        yield None
        return
    with run_folder(run) as folder:
        yield Start(Path(run), folder, load(folder))


def beginning(model: Layer) -> checkpoint.Checkpoint:
    """Make the content of a file in the run's folder from a model before its first update; see :func:`begin_again`."""
    return checkpoint.Checkpoint(model.get_values(), {})


def begin_again(model: Layer, run_dir: Path) -> None:
    """Set a model to what it was before the first update of a run that started from another, if that is saved.

    So a resumed run that backs off to its very beginning needs the other run no more. RnnaudioError if the file is
    damaged.
    """
    path = Path(run_dir) / BEGINNING
    if path.exists():
        set_model(model, checkpoint.load(path).arrays, path)


def _learnt(model: Layer) -> dict[str, SharedVariable]:
    """Return the learnt values of a model: its parameters, and means and variances of normalisation.

    Other statistics follow from settings, such as levels of noise, or from files of the run, such as its codec.
    """
    statistics = {
        f"{path}.{name}".lstrip("."): variable
        for path, layer in model.layers()
        if isinstance(layer, BatchNorm)
        for name, variable in layer.statistics().items()
    }
    return model.parameters() | statistics


def _shape(variable: SharedVariable) -> tuple[int, ...]:
    return tuple(variable.get_value(borrow=True).shape)


def _listed(variables: dict[str, SharedVariable]) -> str:
    """The first names with their shapes."""
    some = [f"{name} {_shape(variable)}" for name, variable in list(variables.items())[:MOST_NAMES]]
    return ", ".join(some) + (", ..." if len(variables) > MOST_NAMES else "")
