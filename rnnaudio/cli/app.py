"""Registration of commands in groups, and parsing of their arguments with tyro.

Commands import most modules when they are called: importing the engine takes seconds, and raises an error for a wrong
setting of the engine, which the entry point must be able to catch.
"""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import tyro

from rnnaudio.cli import PROGRAM
from rnnaudio.cli.arguments import REGISTRY

DESCRIPTION = "Recurrent networks that play raw audio."


class Command(NamedTuple):
    """A command of one or two words, such as ``corpus build``, listed in the help under the heading ``group``.

    ``function`` takes options that tyro has parsed or, if ``raw`` is set, the list of unparsed arguments.
    """

    words: tuple[str, ...]
    group: str
    function: Callable[..., None]
    raw: bool

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


GROUPS = ("Corpora", "Runs", "When it does not play", "Experiments, in a checkout", "This machine", "Older names")
COMMANDS: dict[tuple[str, ...], Command] = {}


def command(name: str, group: str, *, raw: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a decorator that registers a function, unchanged, as the command ``name`` in a group of ``GROUPS``.

    name: one or two words, separated by a space. raw: the function takes the list of unparsed arguments, instead of
    options that tyro has parsed.
    """

    def add(function: Callable[..., None]) -> Callable[..., None]:
        words = tuple(name.split())
        COMMANDS[words] = Command(words, group, function, raw)
        return function

    return add


def read(arguments: list[str]) -> Callable[[], None]:
    """Parse a command line with tyro; return a function without parameters that runs the command.

    Raises SystemExit after --help, and for mistakes in the arguments.
    """
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
    """Make a function that binds arguments to ``function``, and returns the bound call as a function to run later."""

    @functools.wraps(function)
    def with_arguments(*args: object, **kwargs: object) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    return with_arguments


def overview() -> str:
    """Return the help text that lists all commands by group, one line each."""
    lines = [f"usage: {PROGRAM} COMMAND ...", "", DESCRIPTION]
    for group in GROUPS:
        lines += ["", f"{group}:"]
        lines += [
            f"  {' '.join(one.words):15s}{one.summary.removesuffix('.')}"
            for one in COMMANDS.values()
            if one.group == group
        ]
    return "\n".join([*lines, "", f"{PROGRAM} COMMAND --help lists the options of a command, with an example."])
