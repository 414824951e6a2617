"""The reference of the library: a page for each package with its public names, and docstrings made fit for Sphinx.

Docstrings in the package are plain text. Indented equations become literal blocks, code between single backticks
becomes code, and characters that reStructuredText would take for markup are escaped.
"""

import importlib
import inspect
import itertools
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "rnnaudio"
WITHOUT_LIST = ("engine", "errors", "losses", "objectives", "optimizers")  # modules that declare no __all__
ROLE = re.compile(r":[a-z]+:`[^`]+`|``.+?``")
QUOTED = re.compile(r"`([^`\n]+)`")
SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Example|Examples|Note|Notes):$")
BULLET = re.compile(r"(?:[*-]|\d+\.) ")
NAMED = re.compile(r"([a-z]\w*(?:, [a-z]\w*)*): (.+)")


def modules() -> list[ModuleType]:
    """Packages that list their public names, and the few modules that are public as a whole."""
    paths = sorted((ROOT / PACKAGE).rglob("__init__.py"))
    names = [".".join(path.parent.relative_to(ROOT).parts) for path in paths]
    names = [name for name in names if name != PACKAGE and not name.startswith(f"{PACKAGE}.cli")]
    names += [f"{PACKAGE}.{name}" for name in WITHOUT_LIST if (ROOT / PACKAGE / f"{name}.py").is_file()]
    found = [importlib.import_module(name) for name in sorted(set(names))]
    return [module for module in found if public_names(module)]


def public_names(module: ModuleType) -> list[str]:
    """``__all__``, or what a module of WITHOUT_LIST defines itself."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    if module.__name__.removeprefix(f"{PACKAGE}.") not in WITHOUT_LIST:
        return []
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    return [name for name in own if not name.startswith("_")]


def page(module: ModuleType) -> str:
    """reStructuredText: a table of the names, then each with its docstring."""
    names = public_names(module)
    title = module.__name__
    lines = [title, "=" * len(title), "", f".. module:: {title}", "", *plain((module.__doc__ or "").splitlines()), ""]
    lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names), ""]
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value):
            lines += [f".. autoclass:: {name}", "   :members:", ""]
        else:  # the docstring of a constant is that of its type
            lines += [f".. autofunction:: {name}" if callable(value) else f".. py:data:: {name}", ""]
    return "\n".join(lines)


def write_pages(folder: Path) -> None:
    """A page for each module, and nothing of an earlier build."""
    for old in folder.glob(f"{PACKAGE}.*.rst"):
        old.unlink()
    for module in modules():
        (folder / f"{module.__name__}.rst").write_text(page(module), encoding="utf-8")


# ---------------------------------------------------------------- docstrings


def plain(lines: list[str]) -> list[str]:
    """A docstring's lines as reStructuredText that shows the same text.

    Paragraphs stay; ``name: text`` and ``name`` above indented text become definitions; an indented block after an
    empty line is an equation or code, and becomes a literal block.
    """
    result: list[str] = []
    is_literal = False
    for block in _blocks(inspect.cleandoc("\n".join(lines)).splitlines()):
        begins_indented = block[0].startswith(" ")
        ended_at_margin = bool(result) and not result[-1].startswith(" ")
        is_literal = begins_indented and (is_literal or ended_at_margin)
        if is_literal:
            result += ["", *(["::", ""] if ended_at_margin else []), *block]
        elif begins_indented or SECTION.match(block[0]) or BULLET.match(block[0]):
            result += ["", *map(_escaped, block)]
        else:
            result += ["", *_paragraph(block)]
    return result[1:]


def _blocks(lines: list[str]) -> list[list[str]]:
    """Runs of lines between empty ones."""
    return [list(run) for is_text, run in itertools.groupby(lines, lambda line: bool(line.strip())) if is_text]


def _paragraph(block: list[str]) -> list[str]:
    """A block that begins at the margin: text, definitions, or both."""
    terms = [_is_term(block, k) for k in range(len(block))]
    result: list[str] = []
    for k, line in enumerate(block):
        if line.startswith(" "):
            result.append(f"    {_escaped(line.strip())}")
        elif terms[k] and (named := NAMED.match(line)):
            result += ["", f"``{named[1]}``", f"    {_escaped(named[2])}"]
        else:
            is_new = k > 0 and (terms[k] or terms[k - 1] or block[k - 1].startswith(" "))
            result += ["", _escaped(line)] if is_new else [_escaped(line)]
    return result


def _is_term(block: list[str], k: int) -> bool:
    """Whether a definition begins here: text is indented below, or it is one of several lines ``name: text``."""
    after = block[k + 1] if k + 1 < len(block) else ""
    if block[k].startswith(" ") or after.startswith(" "):
        return not block[k].startswith(" ")
    beside = [after, block[k - 1] if k else ""]
    return bool(NAMED.match(block[k])) and any(map(NAMED.match, beside))


def _escaped(line: str) -> str:
    """One line of text: roles and code stay, single backticks become code, asterisks, bars and final _ are text."""
    mark = BULLET.match(line)
    parts, end = [mark[0] if mark else ""], mark.end() if mark else 0
    for match in ROLE.finditer(line):
        parts += [_text(line[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, _text(line[end:])])


def _text(text: str) -> str:
    code = iter(QUOTED.findall(text))
    pieces = QUOTED.sub("\0", text)
    pieces = re.sub(r"([*|])", r"\\\1", pieces)
    pieces = re.sub(r"(?<=\w)_(?!\w)", r"\\_", pieces)
    return re.sub("\0", lambda _: f"``{next(code)}``", pieces)
