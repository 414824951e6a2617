"""The reference of the command line, from what ``rnnaudio COMMAND --help`` prints.

    python docs/_ext/commands.py > commands.inc
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "rnnaudio"
COLUMNS = "88"  # of the terminal that the help is made for: its boxes take four of them


def help_of(*command: str) -> str:
    """What ``rnnaudio COMMAND --help`` prints."""
    from rnnaudio.cli import main

    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # what cannot show boxes gets none
    settings = {"COLUMNS": COLUMNS, "NO_COLOR": "1"}
    with (
        mock.patch.object(sys, "argv", [PROGRAM, *command, "--help"]),
        mock.patch.dict(os.environ, settings),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main()
    printed.flush()
    return printed.buffer.getvalue().decode()


def without_boxes(text: str) -> str:
    """The same text; a box becomes its heading and its lines, indented."""
    lines = []
    for line in text.splitlines():
        if heading := re.match(r"╭─ (.*?) ─*╮$", line):
            lines += ["", f"{heading[1]}:"]
        elif inside := re.match(r"│ (.*?) *│$", line):
            lines += [] if re.fullmatch("─+", inside[1]) else [f"  {inside[1]}".rstrip()]
        elif not line.startswith("╰"):
            lines.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def as_markdown() -> str:
    """One section a command."""
    from rnnaudio.cli.entry import commands

    sections = [f"```text\n{without_boxes(help_of())}\n```"]
    for command in commands():
        sections.append(f"## {PROGRAM} {' '.join(command)}\n\n```text\n{without_boxes(help_of(*command))}\n```")
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(as_markdown(), end="")
