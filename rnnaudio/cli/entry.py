"""Interpretation of a command line: find the command that it names, and run it."""

import argparse
import os
from pathlib import Path
from typing import Any

# Each registers its commands.
from rnnaudio.cli import comparing, corpus, experiments, machine, outside, playing, runs, sweep  # noqa: F401
from rnnaudio.cli.app import COMMANDS, Command, overview, read
from rnnaudio.cli.arguments import parsed
from rnnaudio.cli.options import with_owners
from rnnaudio.cli.parallel import silence_others
from rnnaudio.cli.user_files import import_file
from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest
from rnnaudio.runs.settings import Chosen, chosen

WITH_SETTINGS = ("train", "preflight", "music")


def commands() -> dict[tuple[str, ...], Command]:
    """Return all commands by their words, such as ("corpus", "build").

    Where options depend on the recipe, the commands have those of the default recipe.
    """
    runs.register(settings_in([]))
    return COMMANDS


def run(arguments: list[str]) -> None:
    """Run a command line, given as the words that follow ``rnnaudio``; an empty one, or --help, prints an overview.

    The options of some commands depend on the recipe, preset, settings file and cell that the command line names.
    RnnaudioError for an unknown command or wrong arguments, and the errors of the command itself.
    """
    silence_others(arguments, os.environ)
    first = COMMANDS.get(tuple(arguments[:1]))
    if first is not None and first.raw:
        first.function(arguments[1:])
        return
    words = {name[0] for name in COMMANDS} | set(WITH_SETTINGS)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in words:
        raise RnnaudioError(f"unknown command {arguments[0]!r}; {nearest(arguments[0], sorted(words))}")
    runs.register(settings_in(arguments))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    try:
        call = parsed(lambda: read(arguments), arguments)
    except RnnaudioError as error:
        raise RnnaudioError(with_owners(str(error)) if arguments[0] in WITH_SETTINGS else str(error)) from None
    call()


def settings_in(arguments: list[str]) -> Chosen:
    """Return the recipe and config that give a command line's options their default values.

    They follow from the recipe, preset, settings file and cell that the command line names, and from the run that
    training starts from. Files named by --import are run first, as they may register that recipe or cell. For commands
    whose options do not depend on a recipe, the result is the default config of the default recipe. Errors are those
    of :func:`rnnaudio.runs.settings.chosen`.
    """
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in ("--recipe", "--preset", "--config", "--cell", "--from"):
        reader.add_argument(option)
    reader.add_argument("--import", dest="imports", action="append", default=[])
    try:
        known, others = reader.parse_known_args(arguments[1:])
    except argparse.ArgumentError:  # an option without its value, which tyro will report
        return chosen()
    for file in known.imports:
        import_file(Path(file))
    if not arguments or arguments[0] not in WITH_SETTINGS:
        return chosen()
    recipe = "codes" if arguments[0] == "music" else known.recipe
    start = getattr(known, "from") if arguments[0] == "train" else None
    before = _settings_before(Path(start), others) if start else None
    return chosen(recipe, known.preset, known.config and Path(known.config), known.cell, before)


def _settings_before(start: Path, others: list[str]) -> dict[str, Any]:
    """Return the settings of the run ``start`` or, with --resume, those of the new run if it has a checkpoint already.

    others: the words of the command line that are not options and values known to the caller; the folder of the new
    run is among them.
    """
    from rnnaudio.runs.start import settings_of
    from rnnaudio.training import checkpoint

    folders = [Path(word) for word in others if not word.startswith("-") and Path(word).is_dir()]
    begun = [folder for folder in folders if checkpoint.exists(folder)] if "--resume" in others else []
    return settings_of(begun[0] if begun else start)
