"""What is done to a recording before it is stored: silence cut, offset subtracted, level set."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.files import trim_silence, without_offset

SILENCE_DBFS = -60.0
LONGEST_SILENCE_SECONDS = 1.0
NORMAL_DBFS = -23.0
PEAK = 0.99


@dataclass(frozen=True)
class Cleaning:
    """What is cut, scaled and kept of each recording.

    trim_silence_db
        leading and trailing silence below this threshold, relative to the peak of the piece, is cut, and pieces whose
        peak is below -60 dBFS are left out; None keeps both.
    keep_truncated
        use what there is of a file that ends before its stated length.
    drop_silence
        shorten silences longer than 1 s within a piece to 1 s.
    normalise
        scale each piece to an rms of -23 dBFS, or less so that its peak stays below full scale.
    join_seconds
        pieces shorter than this are joined, those of a split with each other.
    """

    trim_silence_db: float | None = -60.0
    keep_truncated: bool = False
    drop_silence: bool = False
    normalise: bool = False
    join_seconds: float = 2.0

    @property
    def silence(self) -> str:
        """Why a piece of which nothing is left was silent."""
        if self.trim_silence_db is None:
            return "silent: all samples are zero"
        return f"silent (peak below {SILENCE_DBFS:g} dBFS); --keep-silence keeps it"


AS_IT_IS = Cleaning(trim_silence_db=None, join_seconds=0.0)


def cleaned(audio: Audio, sample_rate_hz: int, cleaning: Cleaning, *, of_file: bool = True) -> tuple[Audio, list[str]]:
    """Clean (n_samples,) audio; returns it, empty if it is silent, and notes on what was changed.

    A constant offset is subtracted from recordings of files only.
    """
    notes = []
    if of_file:
        audio, note = without_offset(audio)
        notes += [note] if note else []
    if cleaning.trim_silence_db is not None:
        audio = trim_silence(audio, sample_rate_hz, cleaning.trim_silence_db)
        if np.abs(audio).max(initial=0.0) < 10.0 ** (SILENCE_DBFS / 20.0):
            return audio[:0], notes
    if cleaning.drop_silence:
        n_before = audio.size
        audio = shorten_silence(audio, sample_rate_hz)
        if audio.size < n_before:
            notes.append(f"{(n_before - audio.size) / sample_rate_hz:.1f} s of silence were cut")
    if cleaning.normalise:
        audio, gain_db = normalised(audio)
        notes += [f"scaled by {gain_db:+.1f} dB"] if abs(gain_db) >= 0.05 else []
    return audio, notes


def shorten_silence(audio: Audio, sample_rate_hz: int, longest_seconds: float = LONGEST_SILENCE_SECONDS) -> Audio:
    """Cut the middle of every silence that is longer; a frame of 20 ms is silent if its rms is below -60 dBFS."""
    n_frame = max(1, sample_rate_hz // 50)
    n_frames = audio.size // n_frame
    power = np.mean(audio[: n_frames * n_frame].reshape(n_frames, n_frame).astype(np.float64) ** 2, axis=1)
    silent = np.concatenate([[False], power < 10.0 ** (SILENCE_DBFS / 10.0), [False]])
    edges = np.flatnonzero(silent[1:] != silent[:-1]).reshape(-1, 2)  # first silent frame, first after it
    longest = max(2, round(longest_seconds * sample_rate_hz / n_frame))
    keep = np.ones(audio.size, bool)
    for start, stop in edges:
        if stop - start > longest:
            keep[(start + longest // 2) * n_frame : (stop - (longest - longest // 2)) * n_frame] = False
    return audio[keep]


def normalised(audio: Audio) -> tuple[Audio, float]:
    """Scale audio to an rms of -23 dBFS, or such that its peak is .99; returns it and the gain in dB."""
    rms = float(np.sqrt(np.mean(np.asarray(audio, np.float64) ** 2))) if audio.size else 0.0
    if rms == 0.0:
        return audio, 0.0
    gain = min(10.0 ** (NORMAL_DBFS / 20.0) / rms, PEAK / float(np.abs(audio).max()))
    return audio * np.float32(gain), 20.0 * float(np.log10(gain))
