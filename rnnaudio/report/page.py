"""Self-contained HTML report of a run: numbers, pictures and sounds in one file that can be mailed or archived.

Pictures and sounds are embedded, and a content security policy keeps the browser from loading external resources. The
page follows the reader's light or dark setting and fits small screens.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from rnnaudio.atomic import write_atomically
from rnnaudio.errors import RnnaudioError
from rnnaudio.text import visible

Row = Mapping[str, object]


class Link(NamedTuple):
    """A cell of a table that leads to another file; target: its path, relative to the page."""

    text: str
    target: str


POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"

ADDED = "<!-- added later -->"
END = "</body>\n</html>\n"

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #d0d0d0; --warn: #9c3d00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #161616; --line: #444444; --warn: #ffab70; }
}
body { max-width: 62rem; margin: 0 auto; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
figure { margin: 1rem 0; } figcaption { margin-bottom: .3rem; } figcaption p { margin: 0; }
a { color: inherit; }
img { max-width: max(100%, 44rem); height: auto; border-radius: 6px; } audio { width: 100%; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; } .missing { color: var(--warn); }
"""


def write_report(
    path: str | Path,
    *,
    title: str,
    summary: str,
    tables: Mapping[str, Row | Sequence[Row]],
    pictures: Mapping[str, str | Path],
    sounds: Mapping[str, str | Path],
    notes: Sequence[str] = (),
    explanations: Mapping[str, str] | None = None,
    first: Mapping[str, Row | Sequence[Row]] | None = None,
) -> Path:
    """Write the report of a run to ``path``, atomically, and return the path.

    title: heading of the page.
    summary: plain text; paragraphs are separated by an empty line.
    tables: heading -> rows (one dict per row; the columns are all keys, in order of first appearance), or one dict,
        such as a configuration, shown as names and values. A value may be a Link.
    pictures, sounds: caption -> PNG or WAV file. The page names each missing or invalid file in its place.
    notes: plain text each, such as warnings of the run.
    explanations: heading or caption -> plain text shown below it.
    first: tables that come before sounds and pictures, as ``tables``.

    All text is escaped. Raises RnnaudioError if the page cannot be written.
    """
    words = explanations or {}
    sections = [f"<h1>{_escape(title)}</h1>", *_paragraphs(summary), *_tables(first or {}, words)]
    if sounds:
        sections += ["<h2>Sounds</h2>", *(_sound(caption, Path(file), words) for caption, file in sounds.items())]
    if pictures:
        sections += [
            "<h2>Pictures</h2>",
            *(_picture(caption, Path(file), words) for caption, file in pictures.items()),
        ]
    sections += _tables(tables, words)
    if notes:
        sections += ["<h2>Notes</h2><ul>", *(f"<li>{_escape(note)}</li>" for note in notes), "</ul>"]
    return write_atomically(path, _page(title, "\n".join(sections)).encode())


def extend_report(
    path: str | Path,
    *,
    tables: Mapping[str, Row | Sequence[Row]],
    pictures: Mapping[str, str | Path],
    explanations: Mapping[str, str],
) -> Path:
    """Append tables and pictures to the page ``path``, written by :func:`write_report`; return the path.

    Tables and pictures that were appended earlier are replaced. For ``tables``, ``pictures`` and ``explanations`` see
    :func:`write_report`. Raises RnnaudioError if the page cannot be read or written; it is then left unchanged.
    """
    path = Path(path)
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RnnaudioError(f"{path} cannot be read ({error}); write it again by `rnnaudio resume`") from error
    before, _, _ = page.partition(ADDED if ADDED in page else END)
    sections = [_picture(caption, Path(file), explanations) for caption, file in pictures.items()]
    sections += _tables(tables, explanations)
    return write_atomically(path, "\n".join([before + ADDED, *sections, END]).encode())


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
{END}"""


def _escape(text: str) -> str:
    """Escape what HTML obeys, and control characters, so that foreign text changes neither page nor reading order."""
    return html.escape(visible(text, keep="\n\t"))


def _paragraphs(text: str) -> list[str]:
    return [f"<p>{_escape(paragraph.strip())}</p>" for paragraph in text.split("\n\n") if paragraph.strip()]


def _caption(caption: str, explanations: Mapping[str, str]) -> str:
    below = "".join(_paragraphs(explanations.get(caption, "")))
    return f"<figcaption><strong>{_escape(caption)}</strong>{below}</figcaption>"


def _picture(caption: str, file: Path, explanations: Mapping[str, str]) -> str:
    content = _content(file)
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _missing("Picture", caption, file, "a PNG picture", content)
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    image = f'<div class="wide"><img alt="{_escape(caption)}" src="{source}"></div>'  # scrolls: illegible if shrunk
    return f"<figure>{_caption(caption, explanations)}{image}</figure>"


def _sound(caption: str, file: Path, explanations: Mapping[str, str]) -> str:
    content = _content(file)
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return _missing("Sound", caption, file, "a WAV file", content)
    source = f"data:audio/wav;base64,{base64.b64encode(content).decode()}"
    return f'<figure>{_caption(caption, explanations)}<audio controls src="{source}"></audio></figure>'


def _content(file: Path) -> bytes:
    """Bytes of the file; empty if it cannot be read, so that the rest of the page is still written."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _missing(kind: str, caption: str, file: Path, expected: str, content: bytes) -> str:
    why = f"{file.name} is not {expected}" if content else f"{file.name} is missing, empty or cannot be read"
    return f'<p class="missing">{kind} missing: {_escape(caption)} ({_escape(why)}).</p>'


def _tables(tables: Mapping[str, Row | Sequence[Row]], explanations: Mapping[str, str]) -> list[str]:
    return [
        part
        for heading, content in tables.items()
        for part in (f"<h2>{_escape(heading)}</h2>", *_paragraphs(explanations.get(heading, "")), _table(content))
    ]


def _table(content: Row | Sequence[Row]) -> str:
    if isinstance(content, Mapping):
        content = [{"name": name, "value": value} for name, value in content.items()]
    columns = list(dict.fromkeys(key for row in content for key in row))
    if not columns:
        return "<p>Nothing to show.</p>"
    numeric = [all(_is_number(row[column]) for row in content if column in row) for column in columns]
    head = _table_row("th", columns, numeric)
    body = "\n".join(_table_row("td", [row.get(column, "") for column in columns], numeric) for row in content)
    return f'<div class="wide"><table><thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _table_row(tag: str, values: Sequence[object], numeric: Sequence[bool]) -> str:
    starts = [f'<{tag} class="number">' if is_number else f"<{tag}>" for is_number in numeric]
    cells = (f"{start}{_as_html(value)}</{tag}>" for start, value in zip(starts, values, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _as_html(value: object) -> str:
    if isinstance(value, Link):
        return f'<a href="{_escape(quote(value.target))}">{_escape(value.text)}</a>'
    return _escape(_as_text(value))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _as_text(value: object) -> str:
    """Format a value: six significant digits for numbers that are not integers, else as Python prints it."""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.6g}"
    return str(value)
