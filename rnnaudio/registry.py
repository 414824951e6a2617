"""Registries of cells, batchers and recipes, which are looked up by name."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from rnnaudio.errors import RnnaudioError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name (``did you mean 'lstm'?``), or list all names if none is near."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}" if names else "there are none"


class Registry(Generic[T]):
    """Things of one kind by name, in the order in which they were added."""

    def __init__(self, kind: str, hint: str = ""):
        self._kind, self._hint = kind, hint
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register ``thing``, in place of an earlier one of that name."""
        self._things[name] = thing
        return thing

    def check(self, name: str) -> None:
        """RnnaudioError that names the nearest known thing if there is none of that name."""
        if name not in list(self._things):  # a list: a name from a file may be anything, even what has no hash
            raise RnnaudioError(f"unknown {self._kind} {name!r}; {nearest(str(name), self._things)}{self._hint}")

    def __getitem__(self, name: str) -> T:
        """The thing of that name; RnnaudioError as :meth:`check`."""
        self.check(name)
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def items(self) -> Iterable[tuple[str, T]]:
        """Names and things."""
        return self._things.items()


def resolve(reference: Any) -> Any:
    """``"package.module:name"`` -> what it names; anything else is itself.

    Registries name by text what takes seconds to import, so that the command line can read options without it.
    """
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
