"""Cleaning of a recording before it is stored: subtract a constant offset, cut silence, set the level."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.files import trim_silence, without_offset

SILENCE_DBFS = -60.0
LONGEST_SILENCE_SECONDS = 1.0
NORMAL_DBFS = -23.0
PEAK = 0.99

SILENT = f"silent (peak below {SILENCE_DBFS:g} dBFS); --keep-silence keeps it"  # for the user: why it is left out


@dataclass(frozen=True)
class Cleaning:
    """Settings of the cleaning of recordings, before they are stored in a corpus.

    trim_silence_db
        threshold in dB relative to the peak of the piece. Leading and trailing silence below it is cut, and pieces
        whose peak is below -60 dBFS are left out. None: the ends are not cut, and silent pieces are stored, even if
        all their samples are zero.
    keep_truncated
        whether the existing part of a file that ends before its stated length is used; if False, the file is left out.
    drop_silence
        whether silences longer than 1 s, see :func:`shorten_silence`, are shortened to 1 s.
    normalise
        whether each piece is scaled to an rms of -23 dBFS, or to a peak of .99 if that needs a smaller gain.
    join_seconds
        pieces shorter than this many seconds are joined, within each split, into pieces of about a minute; 0: pieces
        are not joined.
    """

    trim_silence_db: float | None = -60.0
    keep_truncated: bool = False
    drop_silence: bool = False
    normalise: bool = False
    join_seconds: float = 2.0


AS_IT_IS = Cleaning(trim_silence_db=None, join_seconds=0.0)


def cleaned(audio: Audio, sample_rate_hz: int, cleaning: Cleaning, *, of_file: bool = True) -> tuple[Audio, list[str]]:
    """Clean (n_samples,) audio; returns (cleaned audio, notes on what was changed).

    The audio returned is empty if silence is to be trimmed and the peak is below -60 dBFS. of_file: whether the audio
    was read from a file; only then is a constant offset subtracted.
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
    """Shorten each silence of (n_samples,) audio to about ``longest_seconds``; returns the shortened audio.

    The middle of the silence is cut. A frame of 20 ms is silent if its rms is below -60 dBFS.
    """
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
    """Scale audio to an rms of -23 dBFS, or to a peak of .99 if that needs a smaller gain.

    Returns (audio, gain in dB). Audio that is zero throughout is returned unchanged, with a gain of 0 dB.
    """
    rms = float(np.sqrt(np.mean(np.asarray(audio, np.float64) ** 2))) if audio.size else 0.0
    if rms == 0.0:
        return audio, 0.0
    gain = min(10.0 ** (NORMAL_DBFS / 20.0) / rms, PEAK / float(np.abs(audio).max()))
    return audio * np.float32(gain), 20.0 * float(np.log10(gain))
