"""HTML common to all pages: head, style and scripts of a page that loads nothing from outside, and figures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rnnaudio.markup import data_uri, escape, paragraphs
from rnnaudio.plots import Drawn, narrow_path

PNG = b"\x89PNG\r\n\x1a\n"
PHONE = "(max-width: 44rem)"
END = "</body>\n</html>\n"
_HERE = Path(__file__).parent


def page(title: str, body: Iterable[str], scripts: Sequence[str] = ()) -> Iterator[str]:
    """Yield the HTML of a page in parts, so that only one part of ``body`` must be in memory at a time.

    title: plain text. body: parts of HTML. scripts: names of files in the folder of this module; the page may run
    these scripts and no others.
    """
    sources = [(_HERE / name).read_text(encoding="utf-8") for name in scripts]
    allowed = " ".join(f"'sha256-{_sha256(source)}'" for source in sources) or "'none'"
    policy = f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    yield f"""<!DOCTYPE html>
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
"""
    yield from body
    yield "\n" + "".join(f"<script>{source}</script>" for source in sources) + f"\n{END}"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def picture(caption: str, source: Path | Drawn, words: str = "") -> str:
    """Make the HTML of a figure with a PNG picture; if the PNG is missing or invalid, a remark instead.

    source: a PNG file, or the contents of its wide and narrow form. words: plain text below the caption.

    Screens as narrow as those of phones show the narrow form of the picture, which for a file is another file beside
    it (:func:`rnnaudio.plots.narrow_path`). If there is no narrow form, the picture scrolls sideways within the page,
    because it would be illegible if shrunk.
    """
    content = source if isinstance(source, Drawn) else Drawn(_content(source), _content(narrow_path(source)))
    if not content.wide.startswith(PNG):
        name = "the picture" if isinstance(source, Drawn) else source.name
        why = f"{name} is not a PNG picture" if content.wide else f"{name} is missing, empty or cannot be read"
        return f'<p class="missing">Picture missing: {escape(caption)} ({escape(why)}).</p>'
    image = f'<img alt="{escape(caption)}" src="{data_uri(content.wide, "image/png")}">'
    if content.narrow.startswith(PNG):
        small = f'<source media="{PHONE}" srcset="{data_uri(content.narrow, "image/png")}">'
        image = f'<picture class="fits">{small}{image}</picture>'
    heading = f"<figcaption><strong>{escape(caption)}</strong>{''.join(paragraphs(words))}</figcaption>"
    return f'<figure>{heading}<div class="wide" tabindex="0">{image}</div></figure>'


def _content(file: Path) -> bytes:
    """Read the bytes of a file; empty if it cannot be read, so that the rest of the page is still written."""
    try:
        return file.read_bytes()
    except OSError:
        return b""
