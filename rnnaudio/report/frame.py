"""The frame of a page that loads nothing from outside, and its pictures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from rnnaudio.markup import data_uri, escape, paragraphs

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
