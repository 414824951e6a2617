"""Agreement of the processes that train a run together on settings, corpus and prepared data, before the training.

Each process is a rank; the first is rank 0.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rnnaudio import __version__, engine
from rnnaudio.atomic import temporary_folder
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.parallel import Ranks
from rnnaudio.runs.config import RunConfig
from rnnaudio.runs.recipe import C, Prepared, Recipe
from rnnaudio.runs.record import Record
from rnnaudio.schema import Plain
from rnnaudio.training import checkpoint
from rnnaudio.training.checkpoint import Checkpoint
from rnnaudio.training.resuming import before_first_update
from rnnaudio.training.shared import divisible_size, rows_of


def check_same(ranks: Ranks, record: Record) -> None:
    """Raise RnnaudioError, the same on all ranks, unless all have the same settings, corpus, version and engine.

    record: settings and description of the corpus of this rank; the path of the corpus may differ.
    """
    corpus = {name: value for name, value in record["corpus"].items() if name != "path"}
    mine = dict(_flat({**record, "corpus": corpus, "program": _program()}))
    found = ranks.gather(mine)
    for rank, other in enumerate(found):
        for name in sorted(found[0].keys() | other.keys()):
            if other.get(name) != found[0].get(name):
                raise RnnaudioError(
                    f"rank {rank} has {name} {other.get(name)!r}, rank 0 {found[0].get(name)!r}: start all ranks with "
                    "the same command, on copies of one corpus, and with the same version and engine"
                )


def _program() -> Record:
    return {
        "rnnaudio": __version__,
        "engine": f"{engine.NAME} {engine.VERSION}",
        "mode": engine.MODE,
        "kernel": engine.kernel(),
    }


def _flat(values: Mapping[str, Plain], prefix: str = "") -> Iterator[tuple[str, Plain]]:
    """Yield the entries of nested tables, with their names joined by dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class FirstPrepared(NamedTuple):
    """Message of the first rank to the others: what the run saves before training, and whether it is resumed.

    files: contents of the files beside the checkpoint, by name. record: settings and measurements.
    """

    files: Mapping[str, Checkpoint]
    record: Record
    resumed: bool


def check_preflight(ranks: Ranks, config: RunConfig) -> None:
    """Raise RnnaudioError if the config asks for a preflight and the engine divides batches among several processes.

    A preflight is computed by one process.
    """
    if config.preflight and ranks.size > ranks.share.size:
        raise RnnaudioError(
            "a preflight is computed by one process, got several that share each step: try `rnnaudio preflight` "
            "first, and train with --no-preflight"
        )


def check_divisible(ranks: Ranks, prepared: Prepared) -> None:
    """Raise RnnaudioError if the batches of a run cannot be divided evenly among the ranks, or among their devices."""
    if ranks.share.size > 1:
        rows_of(prepared.batches, prepared.objective, ranks)
    elif ranks.parts > 1:
        divisible_size(prepared.batches, prepared.objective, ranks.parts, "devices")


def published(ranks: Ranks, prepared: Prepared, record: Record, resumed: bool) -> bool:
    """Send files and record of the run from the first rank to the others; returns ``resumed``.

    Only the first rank calls it; the others call :func:`prepared_like_first`. resumed: True if the run is resumed.
    """
    return ranks.from_first(FirstPrepared(dict(prepared.files), record, resumed)).resumed


def prepared_like_first(ranks: Ranks, recipe: Recipe[C], config: C, corpus: AudioCorpus) -> tuple[Prepared, bool]:
    """Prepare the run on a rank other than the first; returns the preparation, and True if the run is resumed.

    Files, such as a codec, and measurements, such as the peak of the quantiser, are received from the first rank
    (:func:`published`) instead of computed, for two reasons: the processors of the ranks may round differently; and if
    training starts from the parameters of another run, files and measurements are those of that run, whose folder only
    the first rank needs.
    """
    first = ranks.from_first(FirstPrepared({}, {}, False))
    with temporary_folder() as folder:
        for name, content in {checkpoint.NAME: before_first_update(first.record), **first.files}.items():
            checkpoint.save(folder / name, content)
        return recipe.prepare(config, corpus, folder), first.resumed
