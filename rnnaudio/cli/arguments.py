"""Parsing of command lines with tyro, with mistakes reported in one line, like all other errors."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from rnnaudio.errors import RnnaudioError

NUMBERS = {int: "a whole number", float: "a number"}
UNKNOWN = re.compile(r"Unrecognized options: (.*)")
MISSING = re.compile(r"Missing from (?:rnnaudio )?(.*?): (.*)")
# A suggestion: names of an option, the last of which is the current one; its help; the commands that have it.
SUGGESTED = re.compile(r"(?:you meant:|--help|\[\.\.\.\])(?: --[\w-]+,)* (--[\w-]+) ")
OWNED = re.compile(r"in rnnaudio ([a-z][\w -]*?) --help")
REGISTRY = ConstructorRegistry()


def parsed(read: Callable[[], Any], words: Sequence[str] = ()) -> Any:
    """Call ``read``, which parses arguments with tyro and ``REGISTRY``, and return its result; no command is run.

    words: the words of the command line, if they begin with a command. Only options of this command are suggested.
    RnnaudioError for mistakes in the arguments; its message is the text of the box that tyro prints, as tyro has no
    option for plain messages. After --help, tyro's SystemExit passes through.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(getattr(sys.stdout, "plain", sys.stdout)):
            return read()  # --help may be in colours
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise RnnaudioError(_in_one_line(printed.getvalue(), words)) from None


def _in_one_line(box: str, words: Sequence[str]) -> str:
    """Extract the message from a box printed by tyro, without title and help text, but with any suggestion in it.

    For unknown options, tyro also lists their values and superfluous arguments as if they were options, and of missing
    arguments the whole help; these are left out.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m|[╭╮╰╯│]", " ", box)  # strip colours and edges
    sections = [" ".join(section.split()) for section in re.split("[─-]{4,}", plain)]  # tyro prints - without UTF-8
    message, *others = sections[1:] or sections
    is_group = any(other.startswith("Available subcommands") for other in others)
    message = UNKNOWN.sub(lambda unknown: _superfluous(unknown[1].split(", "), is_group), message)
    message = MISSING.sub(lambda missing: f"{missing[1]} needs {' and '.join(_names(missing[2]))}", message)
    hints = [other for other in others if other.startswith("Available subcommands")]
    near = [name for other in others if other.startswith("Perhaps you meant") for name in _suggested(other, words)]
    hints += [f"did you mean {' or '.join(near)}?"] if near else []
    return "; ".join([message.rstrip("."), *(hints or ["--help lists what there is"])])


def _suggested(text: str, words: Sequence[str]) -> list[str]:
    """Return the suggested options in tyro's text, each once, except those that only other commands have."""
    found = list(SUGGESTED.finditer(text))
    ends = [one.start(1) for one in found[1:]] + [len(text)]
    owners = [OWNED.findall(text[one.end() : end]) for one, end in zip(found, ends, strict=True)]
    own = {" ".join(words[:n]) for n in (1, 2)}
    pairs = zip(found, owners, strict=True)
    return list(dict.fromkeys(one[1] for one, owned in pairs if not words or not owned or own & set(owned)))


def _names(missing: str) -> list[str]:
    """Return the arguments in a text with the help of each: ``RUN a run (required) -o X, --out X a page (required)``.

    Options are returned in their long form, with their value.
    """
    helps = [text.strip() for text in missing.split("(required)")]
    options = [(text, re.match(r"(?:-\w \S+, )?(--[\w-]+ \S+)", text)) for text in helps if text]
    return [option[1] if option else text.split()[0] for text, option in options]


def _superfluous(words: list[str], is_group: bool) -> str:
    """Name the words that tyro does not know: options without their values, and arguments before the first option.

    is_group: True if a subcommand was expected, as after ``rnnaudio corpus``.
    """
    n_before = next((k for k, word in enumerate(words) if _is_option(word)), len(words))
    options = [word.partition("=")[0] for word in words[n_before:] if _is_option(word)]
    said = [f"Unrecognized options: {', '.join(options)}"] if options else []
    if n_before:
        kind = "unknown command" if is_group else "an argument too many" if n_before == 1 else "arguments too many"
        said.append(f"{kind}: {', '.join(words[:n_before])}")
    return "; ".join(said)


def _is_option(word: str) -> bool:
    return re.match("--?[A-Za-z]", word) is not None  # -3 is a value


@REGISTRY.primitive_rule
def _path_or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Parse ``Path | None`` as a path only: tyro would also accept the word None, and offer it in the help."""
    if set(get_args(info.type)) != {Path, type(None)}:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: Path(words[0]),
        is_instance=lambda value: value is None or isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Parse numbers, or None where it is allowed, as tyro does, but with a plainer message for anything else."""
    options = get_args(info.type) or (info.type,)
    kinds = [option for option in options if option in NUMBERS]
    if len(kinds) != 1 or not set(options) <= {*kinds, type(None)}:
        return None
    or_none = " or None" * (len(options) - 1)

    def read(words: list[str]) -> Any:
        if or_none and words == ["None"]:
            return None
        try:
            return kinds[0](words[0])
        except ValueError:
            raise ValueError(f"got {words[0]!r}, expected {NUMBERS[kinds[0]]}{or_none}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="|".join(["None"] * bool(or_none) + [kinds[0].__name__.upper()]),
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, int | float) or (bool(or_none) and value is None),
        str_from_instance=lambda value: [str(value)],
    )
