"""The space of a sweep, read from a TOML file: settings that are fixed, and ranges of settings to search."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from rnnaudio.errors import RnnaudioError, Unsuitable
from rnnaudio.records import Record
from rnnaudio.registry import nearest
from rnnaudio.runs.config import from_dict, read_toml, to_dict
from rnnaudio.runs.presets import path_of
from rnnaudio.runs.recipes import RECIPES, config_class
from rnnaudio.runs.settings import DEFAULT_RECIPE, over
from rnnaudio.runs.sweep.objectives import VALIDATION, Objective, objective_of
from rnnaudio.runs.sweep.ranges import FORM, Range, first_of, is_range, label_of, range_of
from rnnaudio.schema import Plain, shown
from rnnaudio.seeds import check_seed

TABLES = ("sweep", "search")
N_TRIALS, MOST_TRIALS = 20, 10_000
Values = Mapping[str, Plain]


@dataclass(frozen=True)
class SweepConfig:
    """All settings of a sweep, the table ``[sweep]``."""

    objective: str = VALIDATION  # what is compared: validation, seconds_alive, or bits (recipe codes)
    n_trials: int | None = None  # number of runs; left out: 20, and for the sampler grid all points
    sampler: Literal["tpe", "random", "grid"] = "tpe"  # tpe learns from the trials before; grid takes every point once
    seed: int = 2016  # seed of the sampler; that of the runs is a setting of theirs
    pruner: Literal["median", "successive_halving"] | None = None  # ends trials whose validations are behind
    startup_trials: int = 5  # trials that the pruner median leaves to end, for comparison
    warmup_validations: int = 0  # validations of each trial before the pruner median may end it

    def __post_init__(self) -> None:
        if self.n_trials is not None and not 1 <= self.n_trials <= MOST_TRIALS:
            raise RnnaudioError(f"n_trials is {self.n_trials}; expected 1 to {MOST_TRIALS}, or none for the default")
        for name in ("startup_trials", "warmup_validations"):
            if getattr(self, name) < 0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}; expected 0 or more")
        check_seed(self.seed)
        if self.pruner and self.objective != VALIDATION:
            raise RnnaudioError(
                f"pruner {self.pruner!r} compares validation losses, but the objective is {self.objective!r}, which "
                f"is known after training only; leave out the pruner, or take the objective {VALIDATION!r}"
            )


@dataclass(frozen=True)
class Space:
    """Contents of a space file; made by :func:`read_space`.

    recipe
        name of the recipe.
    fixed
        fixed settings, nested.
    ranges
        ranges of the searched settings, by name, such as ``model.n_units``.
    sweep
        objective, number of trials, sampler and pruner.
    path
        path of the file.
    """

    recipe: str
    fixed: Record
    ranges: Mapping[str, Range]
    sweep: SweepConfig
    path: Path

    @property
    def objective(self) -> Objective:
        return objective_of(self.sweep.objective, self.recipe)

    @property
    def n_points(self) -> int:
        """Number of points of the grid; 0 if a range of real numbers has no step."""
        return math.prod(len(one.points) for one in self.ranges.values())

    @property
    def n_trials(self) -> int:
        """Number of trials; by default 20, or for the sampler grid the number of all points."""
        return self.sweep.n_trials or (self.n_points if self.sweep.sampler == "grid" else N_TRIALS)

    def point(self, number: int) -> dict[str, Plain]:
        """Return point ``number`` of the grid, from 0: the values by name, in the form of :func:`label_of`."""
        values = {}
        for name, one in reversed(list(self.ranges.items())):
            number, k = divmod(number, len(one.points))
            values[name] = label_of(one.points[k])
        return {name: values[name] for name in self.ranges}

    def config(self, values: Values) -> Any:
        """Make the config of a trial from the values of the searched settings; Unsuitable if it is not valid."""
        try:
            return from_dict(config_class(self.recipe), _with(self.fixed, values))
        except RnnaudioError as error:
            raise Unsuitable(error) from error

    def identity(self) -> Record:
        """Return plain values that identify the space: all of it but the number of trials."""
        sweep = {name: value for name, value in to_dict(self.sweep).items() if name != "n_trials"}
        search = {name: asdict(one) for name, one in self.ranges.items()}
        return {"recipe": self.recipe, "fixed": self.fixed, "search": search, "sweep": sweep}


def read_space(path: Path) -> Space:
    """Read a space from a TOML file.

    The file has settings as in a file for ``--config``, and the keys ``recipe`` and ``preset``; ranges in the table
    ``[search]``, which override the preset; the fields of :class:`SweepConfig` in the table ``[sweep]``.

    RnnaudioError, naming the file, for an unknown key (with the nearest known one), for a value that does not fit, and
    for an end or choice of a range that is not valid together with the fixed settings and the first values of the
    other ranges.
    """
    try:
        return _space(path, read_toml(path))
    except RnnaudioError as error:
        raise error if str(path) in str(error) else RnnaudioError(f"{path}: {error}") from error


def _space(path: Path, content: dict[str, Plain]) -> Space:
    tables = {name: content.pop(name, {}) for name in TABLES}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise RnnaudioError(f"{name} is {shown(table)}; expected a table, [{name}]")
    preset = content.pop("preset", "")
    if not isinstance(preset, str):
        raise RnnaudioError(f"preset is {shown(preset)}; expected the name of a preset")
    fixed = over(read_toml(path_of(preset)) if preset else {}, content, path)
    recipe = fixed.pop("recipe", DEFAULT_RECIPE)
    RECIPES.check(recipe)
    known = [*config_class(recipe).__dataclass_fields__, *TABLES, "recipe", "preset"]
    for key in fixed:
        if key not in known and _is_typo_of_a_table(key, known):
            raise RnnaudioError(f"unknown setting {shown(key)}; {nearest(key, known)}")
    sweep = from_dict(SweepConfig, tables["sweep"])
    objective_of(sweep.objective, recipe)
    raw = dict(_leaves(tables["search"], ""))
    _check_names(raw, content)
    space = Space(recipe, fixed, _ranges(recipe, fixed, raw), sweep, path)
    _check_number(space)
    return space


def _is_typo_of_a_table(key: str, known: Sequence[str]) -> bool:
    return any(repr(name) in nearest(key, known) for name in (*TABLES, "recipe", "preset"))


def _check_names(raw: Record, content: Record) -> None:
    """Raise RnnaudioError if no setting is searched, or if one is both searched and fixed, or both range and table."""
    if not raw:
        raise RnnaudioError("there is nothing to search; expected a table [search] of settings, each with " + FORM)
    for name in raw:
        if _is_fixed(content, name):
            raise RnnaudioError(f"{name} is both fixed and in [search]; leave out one")
        if any(other.startswith(f"{name}.") for other in raw):
            raise RnnaudioError(f"search.{name} is both a range and a table of ranges; leave out one")


def _ranges(recipe: str, fixed: Record, raw: Record) -> dict[str, Range]:
    """Make the ranges by name; ends and choices are checked with the fixed settings and first values of the others."""
    kind = config_class(recipe)
    first = {name: first_of(value, f"search.{name}") for name, value in raw.items()}
    config = from_dict(kind, _with(fixed, first))
    ranges = {name: range_of(value, _kind_of(config, name), f"search.{name}") for name, value in raw.items()}
    for name, one in ranges.items():
        for value in one.ends:
            from_dict(kind, _with(fixed, {**first, name: value}))
    return ranges


def _leaves(table: Record, prefix: str) -> Iterator[tuple[str, Plain]]:
    """Yield (name, value) of all ranges in nested tables; names of nested ones are joined by dots."""
    for key, value in table.items():
        if isinstance(value, Mapping) and not is_range(value):
            yield from _leaves(dict(value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_fixed(fixed: Record, name: str) -> bool:
    value: Plain = fixed
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True


def _kind_of(config: Any, name: str) -> Any:
    """Return the type of a config's setting by name, such as ``model.n_units``.

    Options of a cell may be named without their table ``options``.
    """
    *tables, last = name.split(".")
    for key in tables:
        config = getattr(config, key)
    kinds = get_type_hints(type(config), include_extras=True)
    if last not in kinds and hasattr(config, "options"):
        kinds = get_type_hints(type(config.options), include_extras=True)
    return kinds[last]


def _with(fixed: Record, values: Values) -> Record:
    """Return a copy of nested settings, with ``values`` inserted by their dotted names."""
    settings = dict(fixed)
    for name, value in values.items():
        table, *others = name.split(".", 1)
        if others:
            inner = settings.get(table, {})
            inner = dict(inner) if isinstance(inner, Mapping) else {}
            settings[table] = _with(inner, {others[0]: value})
        else:
            settings[table] = value
    return settings


def _check_number(space: Space) -> None:
    """Raise RnnaudioError for a grid that has a range without steps, more trials than points, or too many trials."""
    if space.sweep.sampler != "grid":
        return
    endless = [name for name, one in space.ranges.items() if not one.points]
    if endless:
        raise RnnaudioError(f"search.{endless[0]} has no step; the sampler grid needs one, or a list of choices")
    if space.n_trials > space.n_points:
        raise RnnaudioError(
            f"n_trials is {space.n_trials}, but the grid has {space.n_points} points; lower it, or leave it out"
        )
    if space.n_trials > MOST_TRIALS:
        raise RnnaudioError(f"the grid has {space.n_points} points; set n_trials, {MOST_TRIALS} at most")
