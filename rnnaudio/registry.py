"""Registries of cells, batchers and recipes, which are looked up by name."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from rnnaudio.errors import RnnaudioError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Make a hint for an error message: the known name most like ``name`` (``did you mean 'lstm'?``).

    If none is similar, the hint lists all known names, or is ``there are none``.
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}" if names else "there are none"


class Registry(Generic[T]):
    """Objects of one kind by name, in order of registration.

    kind: what the objects are, for error messages such as ``unknown cell 'lstmm'; did you mean 'lstm'?``. hint: text
    appended to these messages.
    """

    def __init__(self, kind: str, hint: str = ""):
        self._kind, self._hint = kind, hint
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register ``thing`` under ``name``, in place of any earlier object of this name; returns ``thing``."""
        self._things[name] = thing
        return thing

    def check(self, name: str) -> None:
        """Raise RnnaudioError, with the hint of :func:`nearest`, if ``name`` is not registered."""
        if name not in list(self._things):  # a list: a name from a file may be of any type, even unhashable
            raise RnnaudioError(f"unknown {self._kind} {name!r}; {nearest(str(name), self._things)}{self._hint}")

    def __getitem__(self, name: str) -> T:
        """Return the object registered under ``name``; RnnaudioError if there is none."""
        self.check(name)
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def items(self) -> Iterable[tuple[str, T]]:
        """Return pairs of name and object, in order of registration."""
        return self._things.items()


def resolve(reference: Any) -> Any:
    """Import and return the object that ``"package.module:name"`` refers to; return anything but a string unchanged.

    Registries hold references for objects of modules that take seconds to import, so that the command line can list
    its options without importing these modules.
    """
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
