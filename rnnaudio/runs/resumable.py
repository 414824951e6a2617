"""Check of the settings of a resumed run: changes of most settings are refused, with the reason for each."""

import json
from collections.abc import Mapping
from typing import Any

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import flat, to_dict
from rnnaudio.runs.load import saved_config
from rnnaudio.runs.reasons import UNINTERRUPTED
from rnnaudio.runs.recipe import C, Recipe
from rnnaudio.runs.record import Record, SavedRun, difference, unknown
from rnnaudio.schema import Plain
from rnnaudio.text import in_shell

OF_THE_SCALE = {"mean", "std"}  # of a corpus: they depend on settings, too


def check_resumable(recipe: Recipe[C], config: C, corpus: Record, saved: SavedRun) -> None:
    """Check that a saved run can be resumed with this config and this corpus.

    corpus: description of the corpus, see :func:`rnnaudio.runs.record.description`. RnnaudioError if the run is of
    another recipe, is an unpacked pack, or has another corpus or other settings; the message names each setting that
    cannot change, with the reason.
    """
    saved.refuse_if_packed()
    if recipe.key not in saved.settings:
        raise RnnaudioError(f"{saved.path} is a run of another recipe: name that one, or another run directory")
    before = saved_config(recipe, saved)
    refused = refusals(before, config, recipe.fixed, unchecked=frozenset(recipe.may_change(config)))
    known: Mapping[str, Any] = saved.settings["corpus"]
    changed = difference(known, corpus, {"path", *unknown(known), *(OF_THE_SCALE if refused else ())})
    if changed:
        refused.append(f"the corpus is another one, whose {changed} (what was learnt and validated is of the old one)")
    if refused:
        run_dir = in_shell(saved.run_dir)
        raise RnnaudioError(
            f"{saved.path} cannot go on so: {'; '.join(refused)}; resume with the settings and the corpus of the run, "
            f"or begin a new one with its parameters: rnnaudio train CORPUS.h5 NEW_RUN --from {run_dir}"
        )


def refusals(before: C, now: C, reasons: Mapping[str, str], *, unchecked: frozenset[str] = frozenset()) -> list[str]:
    """List the settings that differ between two configs, each with both values and the reason why it is fixed.

    before, now: configs of one class. reasons: the reasons by name of the setting, as in ``config.toml``, or of the
    table that holds it. unchecked: names of settings that may differ. If the configs have different cells, options
    that only one of the cells has are left out.
    """
    old, new = (flat(json.loads(json.dumps(to_dict(config)))) for config in (before, now))
    changed = [name for name in new if name in old and old[name] != new[name] and name not in unchecked]
    pairs = {name: f"was {_shown(old[name])}, now it is {_shown(new[name])}" for name in changed}
    return [f"{name} {pair} ({why(name, reasons)})" for name, pair in pairs.items()]


def why(name: str, reasons: Mapping[str, str]) -> str:
    """Return the reason why a setting is fixed: its own, that of the innermost table with one, or a general one."""
    while name not in reasons and "." in name:
        name = name.rpartition(".")[0]
    return reasons.get(name, UNINTERRUPTED)


def _shown(value: Plain) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return "none" if value is None else str(value)
