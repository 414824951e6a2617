"""Pieces of HTML: escaped text, paragraphs, tables, and the frame of a page that loads nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path

from rnnaudio.text import visible

Row = Mapping[str, object]
Rows = Row | Sequence[Row]

END = "</body>\n</html>\n"
_HERE = Path(__file__).parent


def page(title: str, body: str, scripts: Sequence[str] = ()) -> str:
    """Make a whole page. scripts: names of files beside this one; the page runs these and no others."""
    sources = [(_HERE / name).read_text(encoding="utf-8") for name in scripts]
    allowed = " ".join(f"'sha256-{_sha256(source)}'" for source in sources) or "'none'"
    policy = f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{(_HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
{body}
{"".join(f"<script>{source}</script>" for source in sources)}
{END}"""


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def escape(text: str) -> str:
    """Escape what HTML obeys, and control characters, so that foreign text changes neither page nor reading order."""
    return html.escape(visible(text, keep="\n\t"))


def paragraphs(text: str) -> list[str]:
    """Make paragraphs of plain text, in which empty lines separate them."""
    return [f"<p>{escape(paragraph.strip())}</p>" for paragraph in text.split("\n\n") if paragraph.strip()]


def data_uri(content: bytes, mime: str) -> str:
    """Make the address of content that is embedded in the page."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def picture(caption: str, source: Path | bytes, words: str = "") -> str:
    """Make a figure with a PNG, a file or its contents; if it is missing or no PNG, a remark in its place.

    words: plain text below the caption.

    A wide picture scrolls sideways within the page: it would be illegible if shrunk.
    """
    content = source if isinstance(source, bytes) else _content(source)
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        name = "the picture" if isinstance(source, bytes) else source.name
        why = f"{name} is not a PNG picture" if content else f"{name} is missing, empty or cannot be read"
        return f'<p class="missing">Picture missing: {escape(caption)} ({escape(why)}).</p>'
    address = data_uri(content, "image/png")
    image = f'<div class="wide" tabindex="0"><img alt="{escape(caption)}" src="{address}"></div>'
    heading = f"<figcaption><strong>{escape(caption)}</strong>{''.join(paragraphs(words))}</figcaption>"
    return f"<figure>{heading}{image}</figure>"


def _content(file: Path) -> bytes:
    """Bytes of the file; empty if it cannot be read, so that the rest of the page is still written."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def table(content: Rows) -> str:
    """Make a table of rows, whose columns are all keys in order of first appearance, or of one row's names and values.

    Columns in which all values are numbers are aligned to the right.
    """
    if isinstance(content, Mapping):
        content = [{"name": name, "value": value} for name, value in content.items()]
    columns = list(dict.fromkeys(key for row in content for key in row))
    if not columns:
        return "<p>Nothing to show.</p>"
    numeric = [all(_is_number(row[column]) for row in content if column in row) for column in columns]
    head = _table_row("th", columns, numeric)
    body = "\n".join(_table_row("td", [row.get(column, "") for column in columns], numeric) for row in content)
    return f'<div class="wide" tabindex="0"><table><thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _table_row(tag: str, values: Sequence[object], numeric: Sequence[bool]) -> str:
    starts = [f'<{tag} class="number">' if is_number else f"<{tag}>" for is_number in numeric]
    cells = (f"{start}{escape(_as_text(value))}</{tag}>" for start, value in zip(starts, values, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _as_text(value: object) -> str:
    """Format a value: six significant digits for numbers that are not integers, else as Python prints it."""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.6g}"
    return str(value)
