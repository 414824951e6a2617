"""Text from unknown sources (titles, file names, settings), made harmless before it is shown."""

import re
from typing import TextIO

# Control characters (C0, DEL, C1), marks that turn the direction of writing, separators of lines and paragraphs, and
# surrogates, which stand for bytes of a file name that are no text.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
SURROGATES = "".join(map(chr, range(0xD800, 0xE000)))  # a stream encodes them as its user has chosen
OF_BARS = re.compile("([\n\t\r]|\x1b\\[A)")  # lines, and what progress bars are drawn with


def visible(text: object, keep: str = "") -> str:
    r"""Return the text with each character that a terminal or browser would obey replaced by its escape.

    The escapes have forms such as ``\x1b``, ``\u202e`` or ``\n``. Replaced are control characters, marks of writing
    direction, line and paragraph separators, and surrogates. keep: characters among these that are not replaced.
    """
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def _escape(character: str) -> str:
    code = ord(character)
    return SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


class VisibleStream:
    """Text stream that writes characters that a terminal would obey as escapes; see :func:`visible`.

    Line breaks, tabs, carriage returns and the sequence for "cursor up", which progress bars need, are written as they
    are, and so are surrogates. plain: the stream to write to; all other attributes are taken from it.
    """

    def __init__(self, plain: TextIO):
        self.plain = plain

    def write(self, text: str) -> int:
        """Write the text, with escapes; returns the length of ``text`` itself."""
        parts = enumerate(OF_BARS.split(text))
        self.plain.write("".join(part if k % 2 else visible(part, SURROGATES) for k, part in parts))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each line as :meth:`write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.plain, name)

    def __iter__(self) -> object:
        return iter(self.plain)
