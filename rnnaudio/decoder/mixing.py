"""Conversion of decoded channels to mono at one sample rate, block by block."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

Channels: TypeAlias = NDArray[np.float32]  # (n_samples, n_channels)
Mono: TypeAlias = NDArray[np.float32]  # (n_samples,)

MAX_HOURS = 12.0
CANCELLED = 0.1


class Unusable(Exception):
    """Error for a file that cannot be used; the message gives the reason and the remedy."""


class Block(NamedTuple):
    """Consecutive samples of a file, on the scale -1 to 1 (float formats may exceed it)."""

    samples: Channels
    sample_rate_hz: int


class Mixed(NamedTuple):
    """Mono audio, and the energy (sum of squares) of every channel and of their mean, for :func:`cancelling`.

    n_read: number of samples per channel before resampling. seconds: length of all blocks read. energies:
    (n_channels,); if the number of channels changes within the file, n_channels is the smallest.
    """

    blocks: list[Mono]
    sample_rate_hz: int
    n_read: int  # samples per channel before resampling
    seconds: float  # length of all blocks read
    energies: NDArray[np.float64]  # (n_channels,); n_channels is the smallest number, if it changes within the file
    energy_of_mean: float


def mixed(blocks: Iterable[Block], sample_rate_hz: int | None, channel: int | None = None) -> Mixed:
    """Mix blocks to mono, the mean of the channels, and resample them to ``sample_rate_hz``.

    If ``sample_rate_hz`` is None, the rate is that of the first block. ``channel`` is the index of a channel to use
    instead of the mean (the last channel in blocks that have fewer channels); None: the mean. Blocks of another sample
    rate, as in chained streams, are resampled to the same rate. Raises Unusable if the blocks hold more than 12 hours.
    """
    resampler, from_hz, rate_hz = None, 0, sample_rate_hz or 0
    mono: list[Mono] = []
    energies, energy_of_mean = np.zeros(0), 0.0
    n_read, seconds = 0, 0.0
    for samples, block_hz in blocks:
        n_read += len(samples)
        seconds += len(samples) / block_hz
        if seconds > MAX_HOURS * 3600:
            raise Unusable(f"longer than {MAX_HOURS:g} hours: cut it into several files")
        rate_hz = rate_hz or block_hz
        if resampler is None or block_hz != from_hz:
            mono += _rest(resampler)
            resampler, from_hz = soxr.ResampleStream(block_hz, rate_hz, 1, dtype="float32"), block_hz
        mean = samples.mean(axis=1)
        of_block = np.sum(samples.astype(np.float64) ** 2, axis=0)
        energies = of_block if not energies.size else _added(energies, of_block)
        energy_of_mean += float(np.sum(mean.astype(np.float64) ** 2))
        chosen = mean if channel is None else samples[:, min(channel, samples.shape[1] - 1)]
        mono.append(resampler.resample_chunk(np.ascontiguousarray(chosen)))
    mono += _rest(resampler)
    return Mixed(mono, rate_hz, n_read, seconds, energies, energy_of_mean)


def cancelling(found: Mixed) -> int | None:
    """Return the index of the loudest channel if the channels cancel in their mean, else None.

    The mean of C independent channels of energies E_c has the energy sum(E_c) / C^2. Channels count as cancelling if
    the energy of their mean is below a tenth of that.
    """
    n_channels = len(found.energies)
    independent = float(found.energies.sum()) / max(1, n_channels) ** 2
    if n_channels < 2 or not found.energy_of_mean < CANCELLED * independent:  # NaN is refused later, by name
        return None
    return int(np.argmax(found.energies))


def _added(energies: NDArray[np.float64], of_block: NDArray[np.float64]) -> NDArray[np.float64]:
    n_channels = min(len(energies), len(of_block))
    return energies[:n_channels] + of_block[:n_channels]


def _rest(resampler: soxr.ResampleStream | None) -> list[Mono]:
    return [] if resampler is None else [resampler.resample_chunk(np.empty(0, np.float32), last=True)]
