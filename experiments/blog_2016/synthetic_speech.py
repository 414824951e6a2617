"""Synthetic vowels and hisses, in files and folders like those of TIMIT, for tests without a copy of it.

The sounds are not speech: three of four syllables, at random, are pulses of gliding pitch filtered by three resonances
(formants), the others noise filtered by one resonance. Training, validation and reports can be tried on them as on a
real copy.
"""

from pathlib import Path

import numpy as np
from scipy.signal import lfilter

RATE_HZ = 16_000
FORMANTS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
# One or two regions of each set and few speakers. The names are TIMIT's, the sounds are not these people's.
SPEAKERS = {"TRAIN/DR1": ("FCJF0", "MDAC0"), "TEST/DR1": ("MDAB0", "FAKS0"), "TEST/DR2": ("MTAS1", "FDAC1")}
SENTENCES = ("SA1", "SI1027", "SX37", "SX127")


def sphere(samples: np.ndarray, byte_order: str = "01", **other: str) -> bytes:
    """The bytes of a NIST SPHERE file of samples (n_samples,) int16 at 16 kHz.

    byte_order: "01" for little-endian, "10" for big-endian. other: header lines to replace or add, as type and value:
    ``sample_rate="-i 8000"``.
    """
    lines = {
        "channel_count": "-i 1",
        "sample_count": f"-i {len(samples)}",
        "sample_rate": f"-i {RATE_HZ}",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": f"-s2 {byte_order}",
        "sample_sig_bits": "-i 16",
    } | other
    text = "".join(f"{name} {value}\n" for name, value in lines.items())
    header = f"NIST_1A\n   1024\n{text}end_head\n".encode().ljust(1024)
    return header + samples.astype({"01": "<i2", "10": ">i2"}[byte_order]).tobytes()


def utterance(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A synthetic utterance of syllables of .2 s, mostly vowels: (n_samples,) float64 with a peak of .5.

    seconds: duration, rounded to whole syllables; at least one.
    """
    pitch_hz = rng.uniform(90.0, 220.0)
    parts = [_syllable(rng, pitch_hz) for _ in range(round(seconds / 0.2))]
    audio = np.concatenate(parts)
    return 0.5 * audio / np.abs(audio).max()


def _syllable(rng: np.random.Generator, pitch_hz: float) -> np.ndarray:
    n = round(0.2 * RATE_HZ)
    envelope = np.hanning(n)
    if rng.random() < 0.25:
        return 0.1 * envelope * _resonance(rng.standard_normal(n), rng.uniform(3000, 5000), 800.0)
    phase = np.cumsum(pitch_hz * np.linspace(1.0, rng.uniform(0.85, 1.15), n)) / RATE_HZ
    sound = np.diff(np.floor(phase), prepend=0.0)
    for formant_hz in FORMANTS_HZ[rng.integers(len(FORMANTS_HZ))]:
        sound = _resonance(sound, formant_hz, 90.0)
    return envelope * sound / np.abs(sound).max()


def _resonance(sound: np.ndarray, frequency_hz: float, bandwidth_hz: float) -> np.ndarray:
    """Filter the sound by a pair of poles of radius exp(-pi bandwidth / rate) at the frequency."""
    radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
    return lfilter([1.0 - radius], [1.0, -2.0 * radius * np.cos(2 * np.pi * frequency_hz / RATE_HZ), radius**2], sound)


def write_tree(folder: Path, *, seconds: float = 2.0, seed: int = 2016) -> Path:
    """Write a small tree of synthetic files; returns the folder, which holds TRAIN and TEST.

    seconds: duration of each file. FileExistsError if the folder of a speaker exists.
    """
    rng = np.random.default_rng(seed)
    for region, speakers in SPEAKERS.items():
        for speaker in speakers:
            below = Path(folder) / region / speaker
            below.mkdir(parents=True)
            for sentence in SENTENCES:
                samples = np.rint(32_767 * utterance(rng, seconds)).astype(np.int16)
                (below / f"{sentence}.WAV").write_bytes(sphere(samples))
    return folder
