"""A sound that shows itself as a player: in a notebook, or on a page."""

from typing import NamedTuple

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.ogg import as_ogg
from rnnaudio.markup import data_uri, escape, paragraphs


class Clip(NamedTuple):
    """A sound: (n,) samples, full scale -1 to 1, at a sample rate in Hz.

    words: plain text shown with it. wav: name of the same sound as a WAV file beside the page; empty if there is none.
    """

    audio: Audio
    sample_rate_hz: int
    words: str = ""
    wav: str = ""

    def player(self, name: str) -> str:
        """Make an HTML player of the sound, compressed to Ogg Vorbis. name: for screen readers."""
        source = data_uri(as_ogg(self.audio, self.sample_rate_hz), "audio/ogg")
        return f'<audio controls preload="auto" aria-label="{escape(name)}" src="{source}"></audio>'

    def __repr__(self) -> str:
        seconds = len(self.audio) / self.sample_rate_hz
        return f"Clip({seconds:.2f} s at {self.sample_rate_hz} Hz{f': {self.words}' if self.words else ''})"

    def _repr_html_(self) -> str:
        return self.player(repr(self)) + "".join(paragraphs(self.words))
