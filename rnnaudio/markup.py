"""Functions that make pieces of HTML: escaped text, paragraphs, tables, embedded content."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import NamedTuple
from urllib.parse import quote

from rnnaudio.text import visible

Row = Mapping[str, object]
Rows = Row | Sequence[Row]


class Link(NamedTuple):
    """A table cell with a link to another file: the text to show, and the path of the file relative to the page."""

    text: str
    target: str


def escape(text: str) -> str:
    """Return ``text`` as HTML, with markup and control characters escaped.

    Text from unknown sources can thus change neither the page nor its reading order. Line feeds and tabs are kept.
    """
    return html.escape(visible(text, keep="\n\t"))


def paragraphs(text: str) -> list[str]:
    """Convert plain text, with empty lines between paragraphs, to a list of escaped ``<p>`` elements."""
    return [f"<p>{escape(paragraph.strip())}</p>" for paragraph in text.split("\n\n") if paragraph.strip()]


def data_uri(content: bytes, mime: str) -> str:
    """Make a ``data:`` URI with ``content`` in base64 and the media type ``mime``."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def table(content: Rows) -> str:
    """Make the HTML of a table.

    content: several rows, for a table whose columns are all keys of the rows, in order of first appearance; or a
    single row, for a table with a line for each key and its value. Columns in which all values are numbers are aligned
    to the right. Without columns the result is a paragraph, ``Nothing to show.``
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
    cells = (f"{start}{_as_html(value)}</{tag}>" for start, value in zip(starts, values, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _as_html(value: object) -> str:
    if isinstance(value, Link):
        return f'<a href="{escape(quote(value.target))}">{escape(value.text)}</a>'
    return escape(_as_text(value))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _as_text(value: object) -> str:
    """Format a value: a number that is not an integer with six significant digits, anything else with ``str``."""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{float(value):.6g}"
    return str(value)
