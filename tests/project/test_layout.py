"""The tests are laid out as the package, and no test file leans on another."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
BESIDE_THE_PACKAGE = {"datasets", "experiments", "project", "support"}
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("*.py"))


def imported_modules(path):
    """Absolute names of what a file imports; ``from a import b`` may be the module a or a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_folder_of_tests_is_one_of_the_package():
    modules = {path.stem for path in (ROOT / "rnnaudio").iterdir() if path.is_dir() or path.suffix == ".py"}
    folders = {path.parts[0] for path in FILES if len(path.parts) > 1}
    assert folders - BESIDE_THE_PACKAGE <= modules
    alone = {path.stem.removeprefix("test_") for path in FILES if len(path.parts) == 1} - {"conftest"}
    assert alone <= modules


@pytest.mark.parametrize("path", FILES, ids=str)
def test_what_tests_share_is_in_support(path):
    from_tests = {name for name in imported_modules(TESTS / path) if name.split(".")[0] == "tests"}
    assert all(name.startswith("tests.support.") for name in from_tests), from_tests
    assert not [name for name in from_tests if name.split(".")[-1].startswith("test_")]
