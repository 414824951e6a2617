"""Docstrings begin with a verb or a noun phrase, not with a question or a preposition."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("rnnaudio", "experiments", "datasets")
REFUSED = {
    "What", "How", "Where", "Which", "Why", "When", "Who", "Whose", "Can", "Is", "Are", "Does",
    "Of", "As", "For", "In", "At", "On", "By", "From", "With", "That", "If",
}  # fmt: skip


def refused(source):
    """(line, docstring's first line) of each docstring that begins with a word that is refused."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if text and text.split()[0].strip(".,:;`*") in REFUSED:
                yield getattr(node, "lineno", 1), text.splitlines()[0]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_begins_with_a_question_or_a_preposition(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    found = [(path.relative_to(ROOT).as_posix(), *one) for path in paths for one in refused(path.read_text("utf-8"))]
    assert paths and not found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""How runs are saved."""\n', [1]),
        ('"""Runs."""\n\n\nclass A:\n    """What a run is."""\n\n    def f(self):\n        """Of a run."""\n', [4, 7]),
        ('async def f():\n    """As g."""\n\n\ndef g():\n    """y = x W, as in f."""\n', [1]),
        ('"""Howling, measured."""\n\n\ndef f():\n    """Whether it howls."""\n\n\ndef g():\n    """"""\n', []),
    ],
)
def test_such_beginnings_are_found(source, lines):
    assert [line for line, _ in refused(source)] == lines
