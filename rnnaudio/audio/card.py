"""Playback on the sound card, through PortAudio (package sounddevice)."""

from typing import Any, Protocol

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.errors import RnnaudioError

try:
    import sounddevice
except (ImportError, OSError) as error:  # OSError: without the library PortAudio; everything else works without it
    MISSING: Exception | None = error
else:
    MISSING = None

LATENCY_SECONDS = 0.3  # of sound that waits in the card, for a model whose blocks take unequal times
INSTEAD = "without a sound card: rnnaudio generate RUN_DIR out.wav, or ... - | aplay"


class Card(Protocol):
    """Interface of a player of audio that is written part by part; the card is open within its ``with`` block."""

    def __enter__(self) -> "Card": ...
    def __exit__(self, *exception: object) -> None: ...

    def write(self, audio: Audio) -> bool:
        """Queue (n,) samples, full scale -1 to 1, after those written before; waits until there is room for them.

        Returns True if there was a gap in the sound because these samples came too late.
        """
        ...

    def pause(self) -> None:
        """Wait until all samples written have been played; silence follows until the next :meth:`write`."""
        ...


class SoundCard:
    """A mono output of the sound card; see :class:`Card`.

    device: number of the device, or a part of its name; None: the default device. RnnaudioError is raised by the
    constructor if the package sounddevice or the library PortAudio is missing, by entering the ``with`` block if there
    is no such device or it does not support the sample rate, and by :meth:`write` if the card fails.
    """

    def __init__(self, sample_rate_hz: int, device: int | str | None = None):
        require_card()
        self._settings = {"samplerate": sample_rate_hz, "device": device, "channels": 1, "dtype": "float32"}
        self._stream: Any = None
        self._starts = True

    def __enter__(self) -> "SoundCard":
        try:
            self._stream = sounddevice.OutputStream(**self._settings, latency=LATENCY_SECONDS)
        except (sounddevice.PortAudioError, ValueError) as error:
            rate, device = self._settings["samplerate"], self._settings["device"]
            which = "the default sound card" if device is None else f"the sound card {device!r}"
            raise RnnaudioError(
                f"cannot play on {which} at {rate} Hz: {error}; `python -m sounddevice` lists what there is, choose "
                f"with --device; {INSTEAD}"
            ) from error
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._starts:
            self._stream.abort() if exception[0] else self._stream.stop()  # stop waits until all is played
        self._stream.close()

    def write(self, audio: Audio) -> bool:
        """Queue samples as :meth:`Card.write` does; the first samples after a start or a pause are never late."""
        try:
            if self._starts:
                self._stream.start()
            gap = bool(self._stream.write(np.ascontiguousarray(audio, np.float32)[:, None]))
        except sounddevice.PortAudioError as error:
            raise RnnaudioError(f"the sound card failed: {error}; is it still there? {INSTEAD}") from error
        starts, self._starts = self._starts, False
        return gap and not starts

    def pause(self) -> None:
        if not self._starts:
            self._stream.stop()
            self._starts = True


def require_card() -> None:
    """Raise RnnaudioError if the package sounddevice or the library PortAudio is missing."""
    if isinstance(MISSING, ImportError):
        raise RnnaudioError(
            f"the package sounddevice, which plays, cannot be imported ({MISSING}): pip install 'rnnaudio[play]'"
        )
    if MISSING is not None:
        raise RnnaudioError(
            f"{MISSING}, which plays: install it (libportaudio2 on Debian and Ubuntu, portaudio elsewhere); {INSTEAD}"
        )
