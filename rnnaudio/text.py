"""Escaping of text from unknown sources (titles, file names, settings), so that showing it is harmless."""

import re
import shlex
from typing import TextIO

# Control characters (C0, DEL, C1), marks that turn the direction of writing, separators of lines and paragraphs, and
# surrogates, which stand for bytes of a file name that are no text.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
SURROGATES = "".join(map(chr, range(0xD800, 0xE000)))  # a stream encodes them as its user has chosen
OF_BARS = re.compile("([\n\t\r]|\x1b\\[A)")  # line feeds, and the characters with which progress bars are drawn


def visible(text: object, keep: str = "") -> str:
    r"""Return the text with an escape in place of each character that could change the display.

    Replaced are control characters, marks of writing direction, line and paragraph separators, and surrogates. The
    escapes have forms such as ``\x1b``, ``\u202e`` or ``\n``. keep: characters among these that are not replaced.
    """
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def in_shell(text: object) -> str:
    r"""Quote the text as one word of a shell command, on one line; return the quoted word.

    A word with characters that :func:`visible` replaces is written as ``$'a\nb'``, which bash and zsh convert back, so
    that the printed command names the right file.
    """
    text = str(text)
    if not UNSEEN.search(text):
        return shlex.quote(text)
    return "$'" + UNSEEN.sub(_in_octets, re.sub(r"[\\']", r"\\\g<0>", text)) + "'"


def _in_octets(found: re.Match[str]) -> str:
    is_of_a_name = 0xDC80 <= ord(found[0]) <= 0xDCFF  # a byte that is no text
    octets = found[0].encode("utf-8", "surrogateescape" if is_of_a_name else "surrogatepass")
    return SHORT.get(found[0]) or "".join(f"\\x{octet:02x}" for octet in octets)


def _escape(character: str) -> str:
    code = ord(character)
    return SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


class VisibleStream:
    """Text stream that writes an escape in place of each character that :func:`visible` replaces.

    Exceptions are line feeds, tabs, carriage returns and the escape sequence for "cursor up", which progress bars
    need, and surrogates: they are written unchanged. plain: the stream to write to; all other attributes are taken
    from it.
    """

    def __init__(self, plain: TextIO):
        self.plain = plain

    def write(self, text: str) -> int:
        """Write the text with escapes; return the length of ``text`` itself."""
        parts = enumerate(OF_BARS.split(text))
        self.plain.write("".join(part if k % 2 else visible(part, SURROGATES) for k, part in parts))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each of the lines with :meth:`write`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.plain, name)

    def __iter__(self) -> object:
        return iter(self.plain)
