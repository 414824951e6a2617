"""The reference of the settings, from the dataclasses that hold them: name, type, default and comment of each field.

    python docs/_ext/settings.py > settings.inc

The options of cells come from the registry of cells, the presets from the files of the package.
"""

import ast
import dataclasses
import importlib
import inspect
import io
import sys
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "rnnaudio/runs"


class Setting(NamedTuple):
    """A row of the table: all of it text."""

    name: str
    type: str
    default: str
    meaning: str


def configs() -> list[type]:
    """The frozen dataclasses below ``rnnaudio.runs`` whose name ends in Config, in the order of their modules.

    Modules that need an extra which is not installed are left out: none of them has such a class.
    """
    found = []
    for path in sorted((ROOT / FOLDER).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        try:
            module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("rnnaudio"):
                raise
            continue
        found += [kind for kind in vars(module).values() if _is_config(kind) and kind.__module__ == module.__name__]
    return found


def cell_options() -> dict[str, type]:
    """The dataclass of the options of each cell that has any."""
    from rnnaudio.runs.frames.cells import CELLS

    return {name: cell.Options for name, cell in CELLS.items() if dataclasses.fields(cell.Options)}


def names_known() -> dict[str, str]:
    """What a setting may be that names an entry of a registry."""
    from rnnaudio.runs.frames.batchers import BATCHERS
    from rnnaudio.runs.frames.cells import CELLS

    registries = {"cell": CELLS, "batches": BATCHERS}
    return {name: ", ".join(f"`{entry}`" for entry in registry) for name, registry in registries.items()}


def _is_config(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__name__.endswith("Config")


def settings_of(config: type) -> list[Setting]:
    """One for each field, in order."""
    written: dict[str, tuple[str, str]] = {}
    for kind in reversed(config.__mro__):
        if dataclasses.is_dataclass(kind):
            written |= _written(kind)
    rows, known = [], names_known()
    for field in dataclasses.fields(config):
        annotation, comment = written[field.name]
        annotation = known.get(field.name, annotation) if annotation == "`str`" else annotation
        rows.append(Setting(field.name, annotation, _default(field), comment))
    return rows


def _written(kind: type) -> dict[str, tuple[str, str]]:
    """Annotation and comment of each field, as they stand in the class."""
    source = inspect.getsource(kind)
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = source.splitlines()
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            parts = [_above(comments, lines, node.lineno), comments.get(node.end_lineno or node.lineno, "")]
            found[node.target.id] = (_type(node.annotation), " ".join(filter(None, parts)))
    return found


def _above(comments: dict[int, str], lines: list[str], number: int) -> str:
    """The comment lines directly above a line, as one."""
    above: list[str] = []
    while lines[number - 2].lstrip().startswith("#"):
        number -= 1
        above.insert(0, comments[number])
    return " ".join(above)


def _type(annotation: ast.expr) -> str:
    """Choices one by one; anything else as it is written."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return ", ".join(f"`{ast.literal_eval(choice)}`" for choice in choices)
    if isinstance(annotation, ast.BinOp) and ast.unparse(annotation.right) == "None":
        return f"{_type(annotation.left)} or none"
    return f"`{ast.unparse(annotation)}`"


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default}`" if field.default is not None else "none"
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        return "see below" if dataclasses.is_dataclass(value) else f"`{value}`"
    return "required"


def as_markdown() -> str:
    """One section and one table a dataclass, those of the options of cells after the recipes'."""
    sections = []
    for config in configs():
        where = config.__module__.removeprefix("rnnaudio.runs.").split(".")[0]
        sections.append(_section(f"{where}: {config.__name__}", config))
    for cell, options in cell_options().items():
        sections.append(_section(f"frames: options of the cell {cell}", options))
    return "\n\n".join(sections) + "\n"


def _section(title: str, kind: type) -> str:
    lines = [f"## {title}", "", (kind.__doc__ or "").strip().replace("\n    ", "\n"), ""]
    lines += ["| setting | type or choices | default | meaning |", "|---|---|---|---|"]
    rows = (f"| `{s.name}` | {s.type} | {s.default} | {s.meaning} |" for s in settings_of(kind))
    return "\n".join([*lines, *(row.replace("  ", " ") for row in rows)])


def presets_as_markdown() -> str:
    """Each preset as its file has it, with the comment at its top as text."""
    from rnnaudio.runs import presets

    sections = []
    for name in presets.names():
        lines = presets.path_of(name).read_text(encoding="utf-8").splitlines()
        about = [line.lstrip("# ") for line in lines if line.startswith("#")]
        values = [line for line in lines if not line.startswith("#")]
        sections.append("\n".join([f"### {name}", "", *about, "", "```toml", *values, "```"]))
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(as_markdown(), end="")
