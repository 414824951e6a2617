"""Selection of the test files that are likely to notice a mistake in a module, by their names and their imports.

Imports are parsed, not run. A test that imports ``LSTM`` from ``rnnaudio.nn`` is one step from
``rnnaudio.nn.recurrent``, where it is defined, and two steps from the kernels that this module imports.
"""

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

MOST_STEPS = 3


class Imports:
    """Graph of the imports between the Python files in folders of ``root``, including tests and their support code.

    Paths are relative to ``root``.
    """

    def __init__(self, root: Path, folders: tuple[str, ...]):
        self._root = root
        self._packages: dict[Path, dict[str, Path]] = {}
        paths = (path for folder in folders for path in sorted((root / folder).rglob("*.py")))
        self._paths = {self._name(path.relative_to(root)): path.relative_to(root) for path in paths}

    def likely(self, module: str) -> list[str]:
        """Test files that are likely to notice a mistake in the module at this path, the likeliest first.

        These are all test files that reach the module within three imports, or resemble it in name or folder.
        """
        scores: dict[str, float] = {}
        for path, steps in self._steps_to(Path(module)).items():
            if is_test(path):
                scores[str(path)] = MOST_STEPS - steps + _likeness(Path(module), path)
        for path in self._paths.values():
            if is_test(path) and _likeness(Path(module), path) >= 1:
                scores.setdefault(str(path), _likeness(Path(module), path))
        return sorted(scores, key=lambda path: (-scores[path], self._breadth(Path(path)), path))

    def _breadth(self, path: Path) -> int:
        """Number of modules that a test file imports; among equally likely files, fewer imports are more specific."""
        return sum(not is_test(imported) for imported in set(self._imported(path)))

    def _steps_to(self, module: Path) -> dict[Path, int]:
        found, layer = {module: 0}, {module}
        for steps in range(1, MOST_STEPS + 1):
            layer = {importer for path in layer for importer in self._importers.get(path, ())} - found.keys()
            found |= dict.fromkeys(layer, steps)
        return found

    @cached_property
    def _importers(self) -> dict[Path, set[Path]]:
        importers: dict[Path, set[Path]] = {}
        for path in self._paths.values():
            for imported in self._imported(path):
                importers.setdefault(imported, set()).add(path)
        return importers

    def _imported(self, path: Path) -> Iterator[Path]:
        """Modules that a file imports; for a name re-exported by a package, the module that defines it."""
        for node in ast.walk(self._tree(path)):
            if isinstance(node, ast.Import):
                yield from (self._paths[alias.name] for alias in node.names if alias.name in self._paths)
            elif isinstance(node, ast.ImportFrom) and node.module and path.name != "__init__.py":
                for alias in node.names:
                    yield from self._defined_in(node.module, alias.name)

    def _defined_in(self, module: str, name: str) -> Iterator[Path]:
        """Files in which ``from module import name`` finds the name, following re-exports of packages."""
        if f"{module}.{name}" in self._paths:
            module = f"{module}.{name}"
            name = ""
        path = self._paths.get(module)
        if path is None:
            return
        if path.name != "__init__.py":
            yield path
            return
        handed_on = self._handed_on(path)
        names = [name] if name in handed_on else [] if name else list(handed_on)
        yield from [handed_on[one] for one in names] or [path]

    def _handed_on(self, package: Path) -> dict[str, Path]:
        """Path of the defining module for each name that a package's __init__ re-exports."""
        if package not in self._packages:
            self._packages[package] = self._read_package(package)
        return self._packages[package]

    def _read_package(self, package: Path) -> dict[str, Path]:
        imports = (node for node in self._tree(package).body if isinstance(node, ast.ImportFrom) and node.module)
        known = ((alias.asname or alias.name, f"{n.module}", alias.name) for n in imports for alias in n.names)
        places = ((name, self._paths.get(f"{module}.{old}") or self._paths.get(module)) for name, module, old in known)
        return {name: path for name, path in places if path is not None}

    def _tree(self, path: Path) -> ast.Module:
        return ast.parse((self._root / path).read_text(encoding="utf-8"))

    @staticmethod
    def _name(path: Path) -> str:
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def is_test(path: Path) -> bool:
    return path.name.startswith("test_")


def _likeness(module: Path, test: Path) -> float:
    """Score of a test file: 4 for the module's name, or 2 for a word of it in common, plus 1 for the same folder."""
    name, tested = module.stem, test.stem.removeprefix("test_")
    same = 4.0 if name == tested else 2.0 if _words(name) & _words(tested) else 0.0
    return same + (module.parent.name == test.parent.name)


def _words(name: str) -> set[str]:
    """The words of a name, in the singular."""
    return {word.removesuffix("s") for word in name.split("_")}
