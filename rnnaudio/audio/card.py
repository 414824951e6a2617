"""The sound card, by PortAudio (package sounddevice)."""

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
    """Player of sound as it comes; a context manager, within which the card is open."""

    def __enter__(self) -> "Card": ...
    def __exit__(self, *exception: object) -> None: ...

    def write(self, audio: Audio) -> bool:
        """Play (n,) samples within -1 to 1 after those before them; returns once there is room for them.

        True if there was a gap, because these samples came too late.
        """
        ...

    def pause(self) -> None:
        """Play what was written, then be silent until the next :meth:`write`."""
        ...


class SoundCard:
    """A mono output of the sound card; see :class:`Card`.

    device: number of the device, or a part of its name; None: the default. RnnaudioError, when it is made or opened,
    if the package sounddevice, the library PortAudio or such a device is missing, or does not take the sample rate;
    when it is written to, if the card fails.
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
        """Play samples; see :class:`Card`. At a start the card is empty, which is no gap."""
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
