"""Audio clips that are displayed as HTML audio players, in a notebook or on a page."""

from typing import NamedTuple

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.ogg import as_ogg
from rnnaudio.markup import data_uri, escape, paragraphs


def player(name: str, ogg: bytes) -> str:
    """Return an HTML audio player that embeds ``ogg``, the contents of an Ogg Vorbis file.

    name: label of the player for screen readers, plain text.
    """
    source = data_uri(ogg, "audio/ogg")
    return f'<audio controls preload="auto" aria-label="{escape(name)}" src="{source}"></audio>'


class Clip(NamedTuple):
    """A sound: (n,) samples, full scale -1 to 1, at a sample rate in Hz.

    words: plain text shown below the player. wav: name of a WAV file with the same sound, in the folder of the page;
    empty if there is none.
    """

    audio: Audio
    sample_rate_hz: int
    words: str = ""
    wav: str = ""

    def player(self, name: str) -> str:
        """Return an HTML audio player that embeds the sound as Ogg Vorbis. name: its label for screen readers."""
        return player(name, as_ogg(self.audio, self.sample_rate_hz))

    def __repr__(self) -> str:
        seconds = len(self.audio) / self.sample_rate_hz
        return f"Clip({seconds:.2f} s at {self.sample_rate_hz} Hz{f': {self.words}' if self.words else ''})"

    def _repr_html_(self) -> str:
        return self.player(repr(self)) + "".join(paragraphs(self.words))
