"""What several processes have in common before they train a run together: settings, corpus, and what is prepared."""

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
from rnnaudio.training.shared import divisible_size, rows_of


def check_same(ranks: Ranks, record: Record) -> None:
    """RnnaudioError, the same on all ranks, unless all have the same settings, corpus, version and engine.

    record: settings and description of the corpus; its path may differ.
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
    """Message of the first rank to the others: the files of the run, and whether it is resumed."""

    files: Mapping[str, Checkpoint]
    resumed: bool


def check_preflight(ranks: Ranks, config: RunConfig) -> None:
    """RnnaudioError for a preflight, which one process computes, if the engine divides batches among several."""
    if config.preflight and ranks.size > ranks.share.size:
        raise RnnaudioError(
            "a preflight is computed by one process, got several that share each step: try `rnnaudio preflight` "
            "first, and train with --no-preflight"
        )


def check_divisible(ranks: Ranks, prepared: Prepared) -> None:
    """RnnaudioError if the ranks cannot share the batches of a run, see :func:`rnnaudio.training.shared.rows_of`."""
    if ranks.share.size > 1:
        rows_of(prepared.batches, prepared.objective, ranks)
    elif ranks.parts > 1:
        divisible_size(prepared.batches, prepared.objective, ranks.parts, "devices")


def published(ranks: Ranks, prepared: Prepared, resumed: bool) -> bool:
    """Let the other ranks prepare the run like this one, the first (:func:`prepared_like_first`); returns resumed."""
    return ranks.from_first(FirstPrepared(dict(prepared.files), resumed)).resumed


def prepared_like_first(ranks: Ranks, recipe: Recipe[C], config: C, corpus: AudioCorpus) -> tuple[Prepared, bool]:
    """Prepare the run on another rank than the first, with its files; returns it, and whether the run is resumed.

    The files, such as a codec, are taken from the first rank, because other processors may round another way.
    """
    first = ranks.from_first(FirstPrepared({}, False))
    with temporary_folder() as folder:
        for name, content in first.files.items():
            checkpoint.save(folder / name, content)
        return recipe.prepare(config, corpus, folder if first.files else None), first.resumed
