"""Corpora for testing the measure of survival: single recordings, groups of recordings, and music made by rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.shared.recordings import is_speech
from experiments.studies.counterfeit_sounds import RATE_HZ
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.cleaning import Cleaning, cleaned
from rnnaudio.audio.files import read_audio
from rnnaudio.audio.sources import Samples
from rnnaudio.data import AudioCorpus
from rnnaudio.data.demo import embedded_recordings
from rnnaudio.data.sources import find_audio
from rnnaudio.errors import RnnaudioError

ALONE_SECONDS, LEAST_SECONDS = 40.0, 4.0
MINUTE = 60 * RATE_HZ
N_FOLDS = 3
CALIBRATED_ON = 0.6  # of a recording alone
N_SIMULATED, SIMULATED_MINUTES = 96, 5.0  # eight hours
BLOCK_SECONDS = 10.0


class Corpus(NamedTuple):
    """Folds of the pieces of a corpus, each (pieces for calibration, pieces to judge).

    is_development: True if detectors may be tuned on this corpus, as on every second recording that is a corpus of its
    own, in the order of the files; False if it is for testing only.
    """

    name: str
    folds: Sequence[tuple[Sequence[Samples], Sequence[Samples]]]
    is_development: bool = False


class Piece(NamedTuple):
    """A recording in memory; see :class:`rnnaudio.audio.sources.Samples`."""

    audio: Audio

    @property
    def n_samples(self) -> int:
        return len(self.audio)

    def read(self, start: int, stop: int) -> Audio:
        return self.audio[start:stop]


@dataclass(frozen=True)
class Notes:
    """A piece made by rule, computed when it is read: random notes of a scale, in blocks of 10 s, at 16 kHz.

    attack_s: 0: struck notes, which decay; above 0: notes with a vibrato that swell and fade in this time in seconds,
    like those of bowed strings.
    """

    seed: int
    seconds: float
    attack_s: float = 0.0

    @property
    def n_samples(self) -> int:
        return round(self.seconds * RATE_HZ)

    def read(self, start: int, stop: int) -> Audio:
        n_block = round(BLOCK_SECONDS * RATE_HZ)
        blocks = range(start // n_block, -(-stop // n_block))
        audio = np.concatenate([self._block(k) for k in blocks])
        return audio[start - blocks[0] * n_block :][: stop - start]

    def _block(self, k: int) -> Audio:
        rng = np.random.default_rng([self.seed, k])
        audio = 1e-4 * rng.standard_normal(round(BLOCK_SECONDS * RATE_HZ))
        scale = np.random.default_rng(self.seed).permutation(12)[:7]  # one for the whole piece
        every_s = 0.8 if self.attack_s else np.random.default_rng(self.seed).uniform(0.15, 0.4)
        for onset in np.arange(0.0, BLOCK_SECONDS - 0.3, every_s) + rng.uniform(0.0, 0.1):
            seconds = min(rng.uniform(1.2, 3.0) if self.attack_s else 2.0, BLOCK_SECONDS - onset)
            pitch_hz = 110.0 * 2.0 ** (rng.integers(4) + rng.choice(scale) / 12.0)
            start = round(onset * RATE_HZ)
            note = self._note(pitch_hz, np.arange(round(seconds * RATE_HZ)) / RATE_HZ, rng)
            audio[start : start + len(note)] += rng.uniform(0.02, 0.1) * note[: len(audio) - start]
        return audio.astype(np.float32)

    def _note(self, pitch_hz: float, t: Audio, rng: np.random.Generator) -> Audio:
        phase = 2 * np.pi * pitch_hz * t
        partials = [k for k in range(1, 13) if k * pitch_hz < 0.45 * RATE_HZ]
        if not self.attack_s:
            decay_s = rng.uniform(0.2, 0.8)
            return np.sum([np.sin(k * phase) * np.exp(-k * t / decay_s) / k**1.5 for k in partials], axis=0)
        phase = phase + pitch_hz * 0.004 / 5.5 * np.sin(2 * np.pi * 5.5 * t + rng.uniform(0, 6.0))  # vibrato
        swell = np.minimum(1.0, t / self.attack_s) * np.minimum(1.0, (t[-1] - t) / self.attack_s)
        return swell * np.sum([np.sin(k * phase + rng.uniform(0, 6.0)) / k for k in partials], axis=0)


def corpora(folder: Path | None, strings: Path | None) -> Iterator[Corpus]:
    """Iterate over all corpora.

    folder: recordings of many kinds; None: none. strings: a corpus file of rendered strings at 16 kHz; None: strings
    made by rule. RnnaudioError for a folder without audio, and for strings at another sample rate.
    """
    recordings = dict(_recordings(folder)) if folder else {}
    for number, (name, piece) in enumerate(recordings.items()):
        if piece.n_samples >= ALONE_SECONDS * RATE_HZ:
            yield Corpus(name, [_cut(piece, round(CALIBRATED_ON * piece.n_samples))], number % 2 == 0)
    speech = [piece for name, piece in recordings.items() if is_speech(name)]
    piano = [Piece(one.load()[0]) for one in embedded_recordings() if not isinstance(one.load, Path)]
    everything = [*recordings.values(), *piano]
    short = {
        name: piece
        for name, piece in recordings.items()
        if LEAST_SECONDS * RATE_HZ <= piece.n_samples < ALONE_SECONDS * RATE_HZ
        and not any(piece is one for one in speech)
    }
    for name, piece in short.items():  # too short for limits of their own
        yield Corpus(f"{name}, by the limits of the others", [([p for p in everything if p is not piece], [piece])])
    for name, group in (("speech", speech), ("piano", piano), ("all together", everything)):
        if len(group) >= N_FOLDS:
            folds = [(group[k::N_FOLDS], [p for n, p in enumerate(group) if n % N_FOLDS != k]) for k in range(N_FOLDS)]
            yield Corpus(name, [(others, own) for own, others in folds])
    yield Corpus("one piece of piano alone", [_cut(piano[0], piano[0].n_samples // 2)])
    longest = max(recordings.values(), key=lambda piece: piece.n_samples, default=None)
    if longest is not None and longest.n_samples > 1.5 * MINUTE:
        yield Corpus("one minute", [_cut(longest, MINUTE)])
    yield _strings(strings)
    pieces = [Notes(seed, 60.0 * SIMULATED_MINUTES) for seed in range(N_SIMULATED)]
    yield Corpus("eight hours", [(pieces, [Notes(1000 + seed, 60.0) for seed in range(2)])])


def _cut(piece: Piece, place: int) -> tuple[list[Piece], list[Piece]]:
    return [Piece(piece.audio[:place])], [Piece(piece.audio[place:])]


def _recordings(folder: Path) -> Iterator[tuple[str, Piece]]:
    """Names and samples of the recordings in a folder, cleaned as for a corpus."""
    for path in find_audio([folder]).files:
        audio, _ = cleaned(read_audio(path, RATE_HZ)[0], RATE_HZ, Cleaning())
        yield path.stem, Piece(np.asarray(audio, np.float32))


def _strings(path: Path | None) -> Corpus:
    """Up to ten training and four test pieces of a corpus file, two minutes of each; None: notes made by rule."""
    if path is None:
        made = [Notes(2000 + seed, 60.0, attack_s=0.15) for seed in range(6)]
        return Corpus("strings, made by rule", [(made[:4], made[4:])])
    with AudioCorpus.open(path) as corpus:
        if corpus.sample_rate_hz != RATE_HZ:
            raise RnnaudioError(f"{path} has {corpus.sample_rate_hz} Hz, expected {RATE_HZ}: build it at that rate")
        train, test = (
            [Piece(np.asarray(corpus.restore(p.read(0, min(p.n_samples, 2 * MINUTE))), np.float32)) for p in pieces]
            for pieces in (corpus.train.pieces[:10], corpus.test.pieces[:4])
        )
    return Corpus("strings, rendered", [(train, test)])
