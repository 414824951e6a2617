"""Can the measure of survival tell music from what is not? Real continuations against counterfeits, per corpus.

    rnnaudio experiment run counterfeits --recordings DIR

Each recording of 40 s or more is a corpus of its own: limits from its first 60 %, excerpts from the rest. All of them,
those whose names begin with a digit (speech of LibriSpeech), and the piano in the package are corpora whose excerpts
are judged by the limits of the other pieces. The first second of every excerpt is the prime; the continuation is the
real one, or a counterfeit of its level. Wanted: real alive in 95 %, counterfeits dead within 3 s in 95 %, for the
right reason in 90 %.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal
import soxr
import tyro

from experiments.shared.records import record
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.cleaning import Cleaning, cleaned
from rnnaudio.audio.files import read_audio
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.data.sources import find_audio
from rnnaudio.errors import run_command
from rnnaudio.metrics import AliveLimits, alive_seconds, calibrate
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.records import Record

RATE_HZ = 16_000
ALONE_SECONDS = 40.0
EXCERPT_SECONDS = 11.0
SHORTEST_SECONDS = 4.0
DEAD_WITHIN_SECONDS = 3.0
COUNTERFEIT_SECONDS = 8.0
# What the reason of each counterfeit has to begin with; "" where no detector claims to find it.
REASONS = {
    "white noise": ("turned into noise",), "pink noise": ("turned into noise",),
    "coloured noise": ("turned into noise",), "buzz with tremolo": ("froze",), "held chord": ("froze",),
    "loop of .65 s": ("repeats",), "loop of 2 s": ("repeats",), "fade": ("faded", "fell silent"),
    "silence": ("fell silent", "faded"), "room": ("fell silent", "faded"), "clipped": ("clipped", "became too loud"),
    "a fifth lower": (), "shuffled half seconds": (), "another corpus": (),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """Judge real continuations and counterfeits on each corpus."""

    recordings: Path | None = None  # a folder of recordings of many kinds
    every: float = 5.0  # seconds between excerpts
    seed: int = 0


class Corpus(NamedTuple):
    """Pieces to calibrate on and pieces to judge, in turns: (calibration, judged)."""

    name: str
    folds: tuple[tuple[list[FloatArray], list[FloatArray]], ...]


class Verdict(NamedTuple):
    """Whether a sound was found dead within 3 s, and why."""

    is_dead: bool
    reason: str


def main() -> None:
    """The command."""
    options: Options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    rows = {}
    all_corpora = list(corpora(options.recordings))
    for number, corpus in enumerate(all_corpora):
        other = all_corpora[number - 1].folds[0][0][0]
        rows[corpus.name] = judged(corpus, other, options)
        print(line(corpus.name, rows[corpus.name]), flush=True)
    record("counterfeits", {"wanted": "real .95, dead .95, reason .90", "rows": rows})


def corpora(folder: Path | None) -> Iterator[Corpus]:
    """All corpora, of the recordings in a folder and of the piano in the package."""
    pieces = dict(recordings(folder)) if folder else {}
    for name, audio in pieces.items():
        if len(audio) >= ALONE_SECONDS * RATE_HZ:
            cut = round(0.6 * len(audio))
            yield Corpus(name, (([audio[:cut]], [audio[cut:]]),))
    speech = [audio for name, audio in pieces.items() if name[:1].isdigit() and name[-1:].isdigit()]
    piano = [np.asarray(one.load()[0], np.float64) for one in embedded_recordings() if not isinstance(one.load, Path)]
    for name, group in (("speech", speech), ("piano", piano), ("all together", [*pieces.values(), *piano])):
        if len(group) >= 3:
            folds = (([other for j, other in enumerate(group) if j != k], [one]) for k, one in enumerate(group))
            yield Corpus(name, tuple(folds))


def recordings(folder: Path) -> Iterator[tuple[str, FloatArray]]:
    """Names and samples of the recordings in a folder, cleaned as for a corpus."""
    for path in find_audio([folder]).files:
        audio, _ = cleaned(read_audio(path, RATE_HZ)[0], RATE_HZ, Cleaning())
        yield path.stem, np.asarray(audio, np.float64)


def judged(corpus: Corpus, other: FloatArray, options: Options) -> Record:
    """Shares of real excerpts alive, and by counterfeit of those found dead and of those for the right reason."""
    rng = np.random.default_rng(options.seed)
    real: list[Verdict] = []
    fake: dict[str, list[Verdict]] = defaultdict(list)
    blind: set[str] = set()
    for calibration, pieces in corpus.folds:
        limits = calibrate(calibration, RATE_HZ)
        blind |= set(limits.blind)
        for excerpt in (e for piece in pieces for e in excerpts(piece, options.every)):
            prime, continuation = np.split(excerpt, [RATE_HZ])
            real.append(verdict(continuation, limits, prime))
            for name, sound in counterfeits(continuation, other, rng).items():
                fake[name].append(verdict(sound, limits, prime))
    return {
        "excerpts": len(real),
        "real_alive": share(not v.reason for v in real),
        "deaths_of_real": sorted({v.reason for v in real} - {""}),
        "blind": sorted(blind),
        "counterfeits": {
            name: {
                "dead_within_3_s": share(v.is_dead for v in found),
                "right_reason": share(v.is_dead and v.reason.startswith(REASONS[name]) for v in found),
            }
            for name, found in fake.items()
        },
    }


def excerpts(piece: FloatArray, every: float) -> Iterator[FloatArray]:
    """Stretches of a piece at regular places, whose first second is no silence."""
    for start in range(0, len(piece) - round(SHORTEST_SECONDS * RATE_HZ) + 1, round(every * RATE_HZ)):
        excerpt = piece[start : start + round(EXCERPT_SECONDS * RATE_HZ)]
        if np.sqrt(np.mean(excerpt[:RATE_HZ] ** 2)) > 10 ** (-55.0 / 20.0):
            yield excerpt


def verdict(sound: FloatArray, limits: AliveLimits, prime: FloatArray) -> Verdict:
    alive = alive_seconds(sound, RATE_HZ, limits, prime)
    return Verdict(bool(alive.reason) and alive.seconds < DEAD_WITHIN_SECONDS, alive.reason)


def share(values: Iterator[bool]) -> float:
    return round(float(np.mean(list(values))), 4)


def line(name: str, row: Record) -> str:
    """A corpus in a line: real alive, and the counterfeits that are missed or misnamed."""
    missed = [
        f"{fake} {figures['dead_within_3_s']:.0%}/{figures['right_reason']:.0%}"
        for fake, figures in row["counterfeits"].items()
        if REASONS[fake] and (figures["dead_within_3_s"] < 0.95 or figures["right_reason"] < 0.9)
    ]
    return f"{name:70.70s} real {row['real_alive']:4.0%} of {row['excerpts']:3d}; below the goal: {missed or 'none'}"


# ---------------------------------------------------------------- counterfeits


def counterfeits(real: FloatArray, other: FloatArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Sounds of 8 s that are not the music that goes on, at the level of the ``real`` continuation."""
    n = round(COUNTERFEIT_SECONDS * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    white, frequencies = np.fft.rfft(rng.standard_normal(n)), np.fft.rfftfreq(n, 1.0 / RATE_HZ)
    of_real, power = scipy.signal.welch(real, RATE_HZ, nperseg=min(512, len(real)))
    colour = np.sqrt(np.interp(frequencies, of_real, power))
    harmonics = np.arange(1, 80)[:, None]
    buzz = np.sum(np.cos(2 * np.pi * 80 * harmonics * t) / np.sqrt(harmonics), axis=0)
    root = 220.0 * 2.0 ** (rng.integers(12) / 12.0)
    partials = [(root * ratio * k, 1.0 / k) for ratio in (1.0, 1.26, 1.5) for k in range(1, 6)]
    chord = np.sum([a * np.sin(2 * np.pi * f * t + rng.uniform(0, 2 * np.pi)) for f, a in partials], axis=0)
    music, half = np.resize(real, n), RATE_HZ // 2
    shuffled = rng.permutation(music[: n // half * half].reshape(-1, half)).ravel()
    return {
        "white noise": levelled(rng.standard_normal(n), real),
        "pink noise": levelled(np.fft.irfft(white / np.sqrt(np.maximum(frequencies, 20.0)), n), real),
        "coloured noise": levelled(np.fft.irfft(white * colour, n), real),
        "buzz with tremolo": levelled(buzz * (1.0 + 0.5 * np.sin(2 * np.pi * t / 0.65)), real),
        "held chord": levelled(chord, real),
        "loop of .65 s": looped(real, 0.65, n),
        "loop of 2 s": looped(real, 2.0, n),
        "fade": music * 10 ** (-15.0 * t / 20.0),
        "silence": np.zeros(n),
        "room": levelled(np.fft.irfft(white / np.maximum(frequencies, 50.0), n), real) * 10 ** (-45.0 / 20.0),
        "clipped": np.clip(30.0 * music, -0.9, 0.9),
        "a fifth lower": np.resize(levelled(soxr.resample(music, 1.0, 2 ** (7 / 12)), real), n),
        "shuffled half seconds": np.resize(shuffled, n),
        "another corpus": levelled(np.resize(other, n), real),
    }


def levelled(sound: Audio | FloatArray, real: FloatArray) -> FloatArray:
    """A sound at the rms of the real one."""
    sound = np.asarray(sound, np.float64) - np.mean(sound)
    return sound * np.sqrt(np.mean(real**2) / max(float(np.mean(sound**2)), 1e-20))


def looped(real: FloatArray, seconds: float, n: int) -> FloatArray:
    """The first part of a sound again and again, with 20 ms of cross-fade."""
    n_fade, n_part = round(0.02 * RATE_HZ), round(seconds * RATE_HZ)
    part = real[: n_part + n_fade].copy()
    ramp = np.linspace(0.0, 1.0, n_fade)
    part[:n_fade] *= ramp
    part[-n_fade:] *= ramp[::-1]
    sound = np.zeros(n + 2 * n_part)
    for start in range(0, n, len(part) - n_fade):
        sound[start : start + len(part)] += part
    return sound[:n]


if __name__ == "__main__":
    run_command(main, "counterfeits")
