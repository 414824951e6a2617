"""Sound cards of tests: what was written to them can be looked at."""

import numpy as np


class FakeCard:
    """Takes all samples at once; gaps: numbers of the writes that come too late; on_write: called before each."""

    def __init__(self, gaps=(), on_write=lambda number: None):
        self.written, self.log, self._gaps, self._on_write = [], [], gaps, on_write

    def __call__(self, sample_rate_hz):
        self.rate = sample_rate_hz
        return self

    def __enter__(self):
        self.log.append("open")
        return self

    def __exit__(self, *exception):
        self.log.append("abort" if exception[0] else "close")

    def write(self, audio):
        number = len(self.written)
        self._on_write(number)
        self.written.append(np.array(audio))
        return number in self._gaps

    def pause(self):
        self.log.append(f"pause after {len(self.written)}")

    @property
    def audio(self):
        return np.concatenate([np.empty(0, np.float32), *self.written])


class FakeKeys:
    """Keys typed before the given looks at them, counted from 0: ``FakeKeys({3: "+ q"})``."""

    def __init__(self, typed=None, are_read=True):
        self._typed, self.are_read, self.n_looks, self.n_waits = typed or {}, are_read, 0, 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def pressed(self, wait_seconds=0.0):
        self.n_looks, self.n_waits = self.n_looks + 1, self.n_waits + (wait_seconds > 0)
        return list(self._typed.get(self.n_looks - 1, ""))


class PortAudioError(Exception):
    pass


class FakeSoundDevice:
    """The part of the package sounddevice that is used: one device, of 16 kHz and 8 kHz, called Speaker."""

    PortAudioError = PortAudioError

    def __init__(self):
        self.streams, self.fails_after = [], None

    def OutputStream(self, *, samplerate, device, channels, dtype, latency):
        assert (channels, dtype) == (1, "float32") and latency > 0
        if device not in (None, 0) and str(device) not in "Speaker":
            raise ValueError(f"No output device matching {device!r}")
        if samplerate not in (8000, 16000):
            raise PortAudioError("Error opening OutputStream: Invalid sample rate [PaErrorCode -9997]")
        self.streams.append(FakeStream(self))
        return self.streams[-1]


class FakeStream:
    def __init__(self, package):
        self._package, self.written, self.log, self._runs = package, [], [], False

    def start(self):
        assert not self._runs
        self._runs, self._fresh = True, True
        self.log.append("start")

    def write(self, audio):
        """As PortAudio does, it says that the card ran dry at the first write after each start."""
        assert self._runs and audio.ndim == 2 and audio.dtype == np.float32 and audio.flags.c_contiguous
        if self._package.fails_after == len(self.written):
            raise PortAudioError("Error writing: Device unavailable [PaErrorCode -9985]")
        self.written.append(audio[:, 0].copy())
        fresh, self._fresh = self._fresh, False
        return fresh or len(self.written) == 4

    def stop(self):
        self._runs = False
        self.log.append("stop")

    def abort(self):
        self._runs = False
        self.log.append("abort")

    def close(self):
        self.log.append("close")
