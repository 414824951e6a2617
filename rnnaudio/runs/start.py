"""Start of a new run from the parameters of another run.

The parameters that fit the new model are copied; the others keep their initial values.
"""

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
from rnnaudio.text import visible
from rnnaudio.training import checkpoint
from rnnaudio.training.resuming import set_model

BEGINNING = "start.safetensors"
MOST_NAMES = 4  # of parameters, in an error


def settings_of(run: Path) -> Record:
    """Return the settings of a run in a folder or pack as plain values, with the name of its recipe under ``recipe``.

    RnnaudioError if there is no run, or if it is damaged.
    """
    with run_folder(run) as folder:
        recipe, config = saved_recipe(folder)
    settings: Record = json.loads(json.dumps(to_dict(config)))
    return {"recipe": recipe.name, **settings}


class Start(NamedTuple):
    """The run from whose parameters the training of a new run starts.

    run: its path, as the user typed it. folder: the folder with its files; for a pack, a temporary folder that is
    removed at the end of :func:`starting_from`. loaded: the run, loaded with the parameters with which it plays.
    """

    run: Path
    folder: Path
    loaded: LoadedRun

    def check(self, recipe: Recipe[C], config: C, corpus: AudioCorpus) -> None:
        """Check that the parameters have the same meaning in a run with this recipe, config and corpus.

        RnnaudioError if the run is of another recipe, if its sample rate is not that of the corpus, or if a setting in
        ``Recipe.meaning`` has another value in the run; the message gives the reason for each such setting.
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
        """Copy the parameters of the run that fit into ``model``; returns the entry for the new run's record.

        A parameter fits if the model has one of the same name and shape. Prints how many were copied, and which were
        not. The entry is that of :class:`rnnaudio.runs.record.StartEntry`. RnnaudioError if no parameter fits.
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
        print(f"start: {len(taken)} of {len(new)} parameters are those of {visible(self.run)} at update {n_updates}")
        if fresh:
            print(f"fresh: {', '.join(f'{name} {_shape(new[name])}' for name in fresh)}")
        return {"run": str(self.run), "n_updates": n_updates, "taken": taken, "fresh": fresh}


@contextlib.contextmanager
def starting_from(run: Path | None) -> Iterator[Start | None]:
    """Context manager that yields the run to start from, loaded from its folder or pack; None if ``run`` is None.

    RnnaudioError if the run cannot be loaded.
    """
    if run is None:
        yield None
        return
    with run_folder(run) as folder:
        yield Start(Path(run), folder, load(folder))


def beginning(model: Layer) -> checkpoint.Checkpoint:
    """Make the content of a file that keeps the values of a model before its first update; see :func:`begin_again`."""
    return checkpoint.Checkpoint(model.get_values(), {})


def begin_again(model: Layer, run_dir: Path) -> None:
    """Restore the values of a model before its first update from the run's folder; without such a file, do nothing.

    The file is that of :func:`beginning`, saved when a run starts from another. Thus a resumed run that backs off to
    its very beginning does not need the other run. RnnaudioError if the file is damaged.
    """
    path = Path(run_dir) / BEGINNING
    if path.exists():
        set_model(model, checkpoint.load(path).arrays, path)


def _learnt(model: Layer) -> dict[str, SharedVariable]:
    """Return the learnt values of a model by name: its parameters, and means and variances of batch normalisation.

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
    """Format the names and shapes of the first four variables."""
    some = [f"{name} {_shape(variable)}" for name, variable in list(variables.items())[:MOST_NAMES]]
    return ", ".join(some) + (", ..." if len(variables) > MOST_NAMES else "")
