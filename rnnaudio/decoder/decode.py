"""Decode a file by its contents, whatever its name, with libsndfile if that reads the whole file, else with FFmpeg.

FFmpeg (PyAV) reads what libsndfile does not, or not reliably: MP3, chained Ogg streams, FLAC in Ogg or from a pipe,
AAC, WMA, WavPack, the sound of a video. Neither reports that a file ends early, so
:mod:`rnnaudio.decoder.containers` compares the lengths that headers state with the bytes that are present.
"""

from typing import NamedTuple, TypeAlias

from rnnaudio.decoder import ffmpeg, flac, libsndfile
from rnnaudio.decoder.checksums import require_intact
from rnnaudio.decoder.containers import Stated, stated_by
from rnnaudio.decoder.mixing import Mixed, Mono, Unusable, cancelling, mixed

__all__ = ["Decoded", "Unusable", "decode", "stated_seconds"]

Part: TypeAlias = tuple[float, float]  # from, to, in seconds

MOST_WHOLE_SECONDS = 3600.0  # of a file of which only a part is wanted
TOLERANCE_SECONDS = 0.1  # between the stated length and the samples found; encoders are wrong by a frame or a page


class Decoded(NamedTuple):
    """Mono audio of a file, in consecutive blocks (n_samples,) float32, and notes on faults of the file.

    ``truncated`` states how much of a truncated file is present; it is empty for a complete file. ``is_part`` is True
    if only the requested part was read.
    """

    blocks: list[Mono]
    sample_rate_hz: int
    notes: list[str]
    truncated: str
    is_part: bool = False


class _Reading(NamedTuple):
    """Result of a decoder: audio, stated length (None: not stated), faults, and whether the file ends in a fault."""

    found: Mixed
    stated_seconds: float | None
    faults: list[str]
    ends_in_fault: bool


def decode(path: str, sample_rate_hz: int | None, part: Part | None = None) -> Decoded:
    """Decode a file to mono at ``sample_rate_hz``; None: at the rate of the file.

    part: (start, stop) in seconds; None: the whole file. If libsndfile can seek in the file, only the part is read, so
    that faults in the rest of the samples may go unnoticed. Otherwise the whole file is read; Unusable if it is longer
    than an hour.

    Channels are averaged; if they cancel because their phases are opposite, the loudest one is taken instead. Raises
    Unusable if the file has no audio, no samples, more than 12 hours or too many damaged packets, if it is a damaged
    FLAC file, or if it is truncated and none of it can be decoded; the errors of :func:`stated_by` and
    :func:`require_intact`; and the errors of libsndfile or FFmpeg for a file that neither can read.
    """
    require_intact(path)
    with open(path, "rb") as file:
        stated = stated_by(file)
    part = part if part and _can_seek(path, stated) else None
    try:
        reading = _read(path, sample_rate_hz, stated, part=part)
    except Exception as error:
        if not stated.truncated:
            raise
        raise Unusable(f"truncated: {stated.truncated}, and none can be decoded; copy it again") from error
    notes = list(stated.notes) + reading.faults
    channel = cancelling(reading.found)
    if channel is not None:
        notes.append(f"its channels cancel (opposite phase): channel {channel + 1} alone is used")
        reading = _read(path, sample_rate_hz, stated, channel, part)
    found = reading.found
    truncated = stated.truncated or _missing(reading)
    return Decoded(found.blocks, found.sample_rate_hz, notes, truncated, part is not None)


def _can_seek(path: str, stated: Stated) -> bool:
    """True if libsndfile can seek in the file; Unusable if it cannot and the file is longer than an hour."""
    if not stated.only_ffmpeg:
        try:
            with libsndfile.Source(path) as sound:
                if sound.can_seek:
                    return True
        except libsndfile.LibsndfileError:
            pass  # FFmpeg may read it, but only as a whole; what neither can open is reported when it is decoded
    seconds = stated_seconds(path) or 0.0
    if seconds > MOST_WHOLE_SECONDS:
        raise Unusable(
            f"{seconds / 3600:.1f} hours of a format that can only be read as a whole, and an hour is the most: cut "
            "out the part you need, or convert it to WAV or FLAC"
        )
    return False


def stated_seconds(path: str) -> float | None:
    """Return the length of a file in seconds, as the file states it or as FFmpeg estimates it from the bit rate.

    None if the length is neither stated nor estimated. Raises the errors of :func:`stated_by`, and those of libsndfile
    or FFmpeg for a file that neither can open.
    """
    with open(path, "rb") as file:
        stated = stated_by(file)
    if stated.seconds is not None:
        return stated.seconds
    if not stated.only_ffmpeg:
        try:
            with libsndfile.Source(path) as sound:
                return sound.stated_seconds
        except libsndfile.LibsndfileError:
            if stated.only_libsndfile:
                raise
    with ffmpeg.Source(path, stated.parts) as media:
        return media.estimated_seconds


def _read(
    path: str, sample_rate_hz: int | None, stated: Stated, channel: int | None = None, part: Part | None = None
) -> _Reading:
    """Read a file with libsndfile or, if that fails, with FFmpeg; raises the error of the last decoder tried.

    channel: see :func:`mixed`. part: (start, stop) in seconds, for a file in which libsndfile can seek; None: the
    whole file.
    """
    if part:
        with libsndfile.Source(path) as sound:
            found = mixed(sound.blocks(*part), sample_rate_hz, channel)
        return _Reading(_with_samples(found), part[1] - part[0], [], False)
    differs = False
    if not stated.only_ffmpeg:
        try:
            with libsndfile.Source(path) as sound:
                found = mixed(sound.blocks(), sample_rate_hz, channel)
            if found.n_read or stated.is_empty or stated.only_libsndfile:
                return _Reading(_with_samples(found), sound.stated_seconds, [], False)
        except libsndfile.LibsndfileError:
            if stated.only_libsndfile:
                raise
        except flac.Differs:  # FFmpeg compares the sums of all frames
            differs = True
    with ffmpeg.Source(path, stated.parts) as media:
        found = mixed(media.blocks(), sample_rate_hz, channel)
    seconds = media.stated_seconds if stated.seconds is None else stated.seconds
    reading = _Reading(_with_samples(found), seconds, media.faults, media.ends_in_fault)
    return _with_right_sums(reading) if differs else reading


def _with_right_sums(reading: _Reading) -> _Reading:
    """Add a note to the reading of a FLAC file whose MD5 sum differs; Unusable if frames are damaged or missing."""
    if reading.faults or _missing(reading):
        raise Unusable("damaged: its samples differ from the MD5 sum that it states; copy or download it again")
    return reading._replace(faults=["it states a wrong MD5 sum; the checksums of all frames are right"])


def _with_samples(found: Mixed) -> Mixed:
    if not found.n_read:
        raise Unusable("the file holds no samples: remove it")
    return found


def _missing(reading: _Reading) -> str:
    """Describe how much of a file with a missing or damaged end is present; "" if nothing is missing."""
    found, stated_seconds = reading.found, reading.stated_seconds
    if stated_seconds is not None and found.seconds < stated_seconds - TOLERANCE_SECONDS:
        return f"{found.seconds:.3f} of {stated_seconds:.3f} s are present"
    return f"decoding stopped after {found.seconds:.3f} s: the rest is damaged" if reading.ends_in_fault else ""
