"""Signal processing: audio files, resampling, short-time Fourier transform, magnitude scales, phase retrieval."""

from rnnaudio.audio.files import Decoder, read_audio, resample, trim_silence, write_wav
from rnnaudio.audio.scaling import LogScale, MelScale
from rnnaudio.audio.spectra_2016 import MagnitudeScale
from rnnaudio.audio.stft import STFT

__all__ = [
    "STFT",
    "Decoder",
    "LogScale",
    "MagnitudeScale",
    "MelScale",
    "read_audio",
    "resample",
    "trim_silence",
    "write_wav",
]
