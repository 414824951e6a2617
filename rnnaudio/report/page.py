"""Self-contained HTML pages about runs: figures, pictures and sounds in one file that can be mailed or archived.

Pictures and sounds are embedded, and a content security policy keeps the browser from loading external resources and
from running any script but the page's own. The page follows the reader's light or dark setting and fits small screens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rnnaudio.atomic import write_atomically
from rnnaudio.errors import RnnaudioError
from rnnaudio.markup import Rows, escape, paragraphs, table
from rnnaudio.plots import Drawn
from rnnaudio.records import read_text, reason_of
from rnnaudio.report.frame import END, page, picture
from rnnaudio.report.players import Deck, players

MOST_BYTES = 200_000_000  # of a page
FINDINGS, END_OF_FINDINGS = "<!-- findings -->", "<!-- end of findings -->"


class Findings(NamedTuple):
    """Reasons why a run sounds as it does: the part of a run's page that a later diagnosis may replace.

    heading
        heading of the part.
    lead
        plain text; paragraphs are separated by an empty line.
    items
        for each reason its name and lines of plain text, most important first.
    pictures
        caption -> PNG file; folded up until the reader opens them.
    explanations
        caption -> plain text shown below it.
    """

    heading: str
    lead: str = ""
    items: Sequence[tuple[str, Sequence[str]]] = ()
    pictures: Mapping[str, Path] = {}
    explanations: Mapping[str, str] = {}


def write_report(
    path: str | Path,
    *,
    title: str,
    summary: str,
    tables: Mapping[str, Rows],
    pictures: Mapping[str, Path | Drawn],
    sounds: Deck | None = None,
    findings: Findings | None = None,
    notes: Sequence[str] = (),
    explanations: Mapping[str, str] | None = None,
    first: Mapping[str, Rows] | None = None,
) -> Path:
    """Write a page to ``path``, atomically, and return the path.

    title: heading of the page.
    summary: plain text; paragraphs are separated by an empty line.
    tables: heading -> rows (one dict per row; the columns are all keys, in order of first appearance), or one dict,
        such as a configuration, shown as names and values. A value may be a :class:`rnnaudio.markup.Link`.
    pictures: caption -> PNG file, with its narrow form beside it, or the contents of both. The page names each missing
        or invalid file in its place.
    sounds: sounds to play, with their spectrograms.
    findings: shown below the summary.
    notes: plain text each, such as versions and warnings of the run.
    explanations: heading or caption -> plain text shown below it.
    first: tables that come before sounds and pictures, in the form of ``tables``.

    All text is escaped. Raises RnnaudioError if the page cannot be written.
    """
    words = explanations or {}

    def body() -> Iterator[str]:
        found = _findings(findings) if findings else ""
        yield from _lines([f"<h1>{escape(title)}</h1>", *paragraphs(summary), FINDINGS, found, END_OF_FINDINGS])
        yield from _lines(_tables(first or {}, words))
        if sounds:
            yield "<h2>Sounds</h2>\n"
            yield from players(sounds)
            yield "\n"
        if pictures:
            yield "<h2>Pictures</h2>\n"
            yield from _lines(picture(name, source, words.get(name, "")) for name, source in pictures.items())
        yield from _lines(_tables(tables, words))
        if notes:
            yield from _lines(["<h2>Notes</h2><ul>", *(f"<li>{escape(note)}</li>" for note in notes), "</ul>"])

    parts = page(title, body(), sounds.scripts if sounds else [])
    return write_atomically(path, (part.encode() for part in parts))


def _lines(parts: Iterable[str]) -> Iterator[str]:
    return (f"{part}\n" for part in parts)


def replace_findings(path: str | Path, findings: Findings) -> Path:
    """Replace the findings in the page ``path``, written by :func:`write_report`; returns the path.

    In a page of an earlier version of the package, which has no place for findings, they are added at the end. Raises
    RnnaudioError if the page cannot be read or written; it is then left unchanged.
    """
    path = Path(path)
    try:
        text = read_text(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise RnnaudioError(
            f"{path} cannot be read ({reason_of(error)}); write it again by `rnnaudio report`"
        ) from error
    before, place, after = text.partition(FINDINGS)
    if place:
        after = after.partition(END_OF_FINDINGS)[2]
    else:
        before, after = text.partition(END)[0], END
    parts = (before + FINDINGS, _findings(findings), END_OF_FINDINGS + after)
    return write_atomically(path, "\n".join(parts).encode())


def _findings(findings: Findings) -> str:
    items = "\n".join(
        f"<li><strong>{escape(name)}</strong>{''.join(f'<p>{escape(line)}</p>' for line in lines)}</li>"
        for name, lines in findings.items
    )
    pictures = "\n".join(
        picture(name, file, findings.explanations.get(name, "")) for name, file in findings.pictures.items()
    )
    parts = [f"<h2>{escape(findings.heading)}</h2>", *paragraphs(findings.lead)]
    parts += [f'<ol class="causes">{items}</ol>'] if items else []
    parts += [f"<details><summary>What was measured</summary>{pictures}</details>"] if pictures else []
    return "\n".join(parts)


def _tables(tables: Mapping[str, Rows], explanations: Mapping[str, str]) -> list[str]:
    return [
        part
        for heading, content in tables.items()
        for part in (f"<h2>{escape(heading)}</h2>", *paragraphs(explanations.get(heading, "")), table(content))
    ]
