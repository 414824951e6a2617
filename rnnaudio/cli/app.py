"""The front door: commands in groups, their arguments read by tyro, mistakes reported in one line.

Modules are imported inside the commands: the engine takes seconds to import, and reports a wrong setting of its own by
an error that the entry point must catch.
"""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import tyro

from rnnaudio.cli.arguments import REGISTRY

PROGRAM = "rnnaudio"
DESCRIPTION = "Recurrent networks that play raw audio."


class Command(NamedTuple):
    """A command: ``corpus build`` has two words. raw: it reads its arguments itself."""

    words: tuple[str, ...]
    group: str
    function: Callable[..., None]
    raw: bool

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


GROUPS = ("Corpora", "Runs", "When it does not play", "Experiments, in a checkout", "This machine", "Older names")
COMMANDS: dict[tuple[str, ...], Command] = {}


def command(name: str, group: str, *, raw: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command of a group. ``raw``: it is called with the list of its arguments."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        words = tuple(name.split())
        COMMANDS[words] = Command(words, group, function, raw)
        return function

    return add


def read(arguments: list[str]) -> Callable[[], None]:
    """The call that a command line asks for, by tyro."""
    app = tyro.extras.SubcommandApp()
    groups: dict[str, tyro.extras.SubcommandApp] = {}
    for words, one in COMMANDS.items():
        if len(words) == 2 and words[0] not in groups:
            groups[words[0]] = tyro.extras.SubcommandApp()
            app.command(groups[words[0]], name=words[0])
        (groups[words[0]] if len(words) == 2 else app).command(name=words[-1])(_deferred(one.function))
    call: Callable[[], None] = app.cli(args=arguments, prog=PROGRAM, description=DESCRIPTION, registry=REGISTRY)
    return call


def _deferred(function: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """The function's arguments are read now, and it is called later."""

    @functools.wraps(function)
    def with_arguments(*args: object, **kwargs: object) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    return with_arguments


def overview() -> str:
    """All commands in groups, a line each."""
    lines = [f"usage: {PROGRAM} COMMAND ...", "", DESCRIPTION]
    for group in GROUPS:
        lines += ["", f"{group}:"]
        lines += [
            f"  {' '.join(one.words):14s}{one.summary.removesuffix('.')}"
            for one in COMMANDS.values()
            if one.group == group
        ]
    return "\n".join([*lines, "", f"{PROGRAM} COMMAND --help lists the options of a command, with an example."])
