"""Record of the parameters and temperatures with which a run of recipe ``codes`` generates, chosen after training."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

from rnnaudio.atomic import write_atomically
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import AliveLimits
from rnnaudio.records import parsed
from rnnaudio.schema import Between, Count, Plain, checked, from_dict

PLAYING = "playing.json"
MOST_BYTES = 10_000_000
Temperature = Annotated[float, Between(1e-6, 1e6)]
AS_LEARNT = ("model", 1.0, 1.0)  # parameters and both temperatures of a run for which no choice was made


class ScoreEntry(TypedDict, total=False):
    """The scores of a setting that was tried; files of earlier versions lack some entries.

    primes, seconds: number of continuations, and length of each. For dead_for_good, frechet and in_range see
    :func:`rnnaudio.runs.codes.choice.health`.
    """

    parameters: Literal["best", "model"]
    temperature: Temperature
    detail_temperature: Temperature
    primes: Count
    seconds: Annotated[float, Between(0.0, 3600.0)]
    dead_for_good: Count
    frechet: float
    in_range: float


class PlayingEntry(TypedDict):
    """The content of ``playing.json``; for most entries see :class:`Playing`.

    n_updates: number of training updates before the choice. In files of earlier versions, ``limits`` has other fields.
    """

    parameters: Literal["best", "model"]
    temperature: Temperature
    scores: list[ScoreEntry]
    limits: dict[str, Any] | None
    detail_temperature: NotRequired[Temperature]
    n_updates: NotRequired[Count]
    training_frechet: NotRequired[float | None]
    untried: NotRequired[Count]


class Playing(NamedTuple):
    """Settings with which a run generates, chosen on validation primes.

    parameters
        ``best`` (lowest validation loss) or ``model`` (the last parameters).
    temperature, detail_temperature
        sampling temperatures of the codec's first stage, and of its later stages, which add detail.
    scores
        a row, :class:`ScoreEntry`, for each setting that was tried; empty if no choice was made.
    limits
        limits of real music, outside which a continuation counts as dead; None if unknown.
    training_frechet
        Frechet distance of training music to the validation music, for comparison with the distances in ``scores``;
        None if not measured, because there is too little music or the file is of an earlier version.
    untried
        number of settings still to try, if the choice was interrupted; otherwise 0.
    """

    parameters: str
    temperature: float
    detail_temperature: float
    scores: list[dict[str, Any]]
    limits: AliveLimits | None
    training_frechet: float | None = None
    untried: int = 0


def playing_path(run_dir: Path) -> Path:
    return Path(run_dir) / PLAYING


def save_playing(playing: Playing, run_dir: Path, n_updates: int) -> None:
    """Write a choice, made after ``n_updates`` updates of training, to ``playing.json`` in the run's folder.

    RnnaudioError if the file cannot be written.
    """
    record = playing._asdict() | {"limits": playing.limits and dataclasses.asdict(playing.limits)}
    record["n_updates"] = n_updates
    write_atomically(playing_path(run_dir), json.dumps(record, indent=2).encode() + b"\n")


def load_playing(run_dir: Path, n_updates: int) -> Playing:
    """Load the choice made after ``n_updates`` updates of training.

    If there is no choice, or it was made after another number of updates, the result is the last parameters at
    temperature 1, without scores and limits. RnnaudioError if the file cannot be read or is damaged.
    """
    path = playing_path(run_dir)
    if not path.exists():
        return Playing(*AS_LEARNT, [], None)
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is no file of at most {MOST_BYTES} bytes")
        record = checked(parsed(path.read_text(encoding="utf-8")), PlayingEntry, "")
        limits = _limits(record["limits"])
    except (OSError, ValueError, RnnaudioError) as error:
        raise RnnaudioError(f"{path} is no record of how it plays ({error}): delete it to choose again") from error
    if record.get("n_updates", n_updates) != n_updates:
        return Playing(*AS_LEARNT, [], None)
    temperature, scale = record["temperature"], record.get("training_frechet")
    detail = record.get("detail_temperature", temperature)  # earlier versions had one for all stages
    return Playing(
        record["parameters"], temperature, detail, record["scores"], limits, scale, record.get("untried", 0)
    )


def _limits(record: dict[str, Plain] | None) -> AliveLimits | None:
    """Restore saved limits; None for limits of an early version of the package, which had other fields."""
    fields = dataclasses.fields(AliveLimits)
    required = {field.name for field in fields if field.default is dataclasses.MISSING}
    if record is None or not required <= record.keys() <= {field.name for field in fields}:
        return None
    return from_dict(AliveLimits, record)
