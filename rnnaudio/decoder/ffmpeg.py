"""Decoding of files with FFmpeg (through PyAV), block by block."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import av
import numpy as np

from rnnaudio.decoder.mixing import Block, Channels, Unusable

# Containers whose headers state the length; FFmpeg estimates it for other containers from the bit rate of the start.
STATE_LENGTH = {"mov", "matroska", "asf", "aiff", "caf", "wv", "ape", "tta", "avi", "flac"}
# Playlists and the like would make FFmpeg open other files.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,"
    "oga,ogg,oma,opus,qcp,rm,shn,smjpeg,tak,tta,voc,w64,wav,webm,wv,xwma"
)
MOST_FAULTS = 0.01  # of the packets
# Codecs whose packets carry a checksum that FFmpeg compares only if asked to.
WITH_CHECKSUM = {"flac", "wavpack", "tta"}


class Source:
    """A file opened with FFmpeg; use it as a context manager.

    parts: byte ranges (start, stop) of the streams chained in the file, to be decoded one after another; empty: the
    file is one stream. ``stated_seconds`` is the length that the header states, None if it states none;
    ``estimated_seconds`` is FFmpeg's estimate, from the header or the bit rate, None if it has none. Once
    :meth:`blocks` has ended, ``faults`` describes packets that could not be decoded and were left out, and
    ``ends_in_fault`` is True if the file ends with such a packet. Unusable if the file has no audio; PyAV's errors if
    it is not a media file.
    """

    def __init__(self, path: str, parts: Sequence[tuple[int, int]] = ()) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        self._parts = parts
        self.faults: list[str] = []
        self.ends_in_fault = False
        self.has_checksums = False  # of its packets
        try:
            with self._opened(self._file if not parts else self._part(*parts[0])) as container:
                self.stated_seconds = None if parts else _stated_seconds(container)
                duration = None if container.duration is None else container.duration / av.time_base
            lengths = [stop - start for start, stop in parts]
            # As if all streams chained in the file had the bit rate of the first.
            self.estimated_seconds = duration * sum(lengths) / lengths[0] if duration and parts else duration
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[Block]:
        """Iterate over the decoded blocks of the first audio stream; packets that cannot be decoded are left out.

        After the last block, raises Unusable if more than one packet and more than 1 % of all packets were left out.
        For codecs whose packets have checksums (FLAC, WavPack, TTA), only the last packet may be left out.
        """
        n_packets, n_faulty = 0, 0
        for file in [self._part(*part) for part in self._parts] or [self._file]:
            for packet in self._packets(file):
                n_packets += 1
                try:
                    frames = packet.decode()
                    self.ends_in_fault = self.ends_in_fault and not frames
                except av.FFmpegError:
                    n_faulty += 1
                    self.ends_in_fault = True
                    continue
                yield from (Block(_floats(frame), frame.sample_rate) for frame in frames)
        most = max(1, MOST_FAULTS * n_packets) if not self.has_checksums else int(self.ends_in_fault)
        if n_faulty > most:
            raise Unusable(f"damaged: {n_faulty} of {n_packets} packets cannot be decoded; copy or download it again")
        if n_faulty:
            self.faults.append(f"{n_faulty} of {n_packets} packets cannot be decoded and were left out")

    def _packets(self, file: BinaryIO) -> Iterator[Any]:
        with self._opened(file) as container:
            stream = container.streams.audio[0]
            self.has_checksums = stream.codec_context.name in WITH_CHECKSUM
            if self.has_checksums:
                stream.codec_context.options = {"err_detect": "crccheck+explode"}
            try:
                yield from container.demux(stream)
            except av.FFmpegError:
                self.ends_in_fault = True

    def _part(self, start: int, stop: int) -> BinaryIO:
        self._file.seek(start)
        return io.BytesIO(self._file.read(stop - start))

    @staticmethod
    def _opened(file: BinaryIO) -> Any:
        file.seek(0)
        container = av.open(file, options={"format_whitelist": FORMATS})
        if not container.streams.audio:
            container.close()
            raise Unusable("the file has no sound: remove it")
        return container


def _stated_seconds(container: Any) -> float | None:
    """Length of the audio in seconds, as the header states it; None if the header states no length."""
    if container.format.name.split(",")[0] not in STATE_LENGTH:
        return None
    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _floats(frame: Any) -> Channels:
    """Samples of a frame, (n_samples, n_channels) float32; integers are divided by their full scale."""
    samples = frame.to_ndarray()
    n_channels = len(frame.layout.channels)
    channels = samples.T if frame.format.is_planar else samples.reshape(-1, n_channels)
    if channels.dtype == np.uint8:
        return (channels.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(channels.dtype, np.integer):
        return (channels / -float(np.iinfo(channels.dtype).min)).astype(np.float32)
    return channels.astype(np.float32)
