"""Test of the measures of musical time: how well they separate music from counterfeits of it.

    rnnaudio experiment run musical-time [--run runs/music] [--corpus MINE.h5 --name musical-time-mine] [--smoke]

Works of a corpus are cut into stretches of a minute. The stretches of a work, and counterfeits made from them, are
judged by the ranges of the other works. A stretch of real music out of range is a false alarm. The counterfeits are
the same music with its seconds shuffled, shuffled seconds of several works, clicks at a constant tempo on noise, and
one bar repeated. With --run, continuations of test primes by a run over codes are judged, too, by ranges made without
the test works; so are the test music through the codec of the run, and a bigram chain over the codes of the training
music. The table has the share of stretches out of range, by measure.

The windows, penalties and sizes of the measures were chosen on recordings of other music; excerpts of K. 156 and
K. 458 were also examined then, so these two works contribute to ranges, but their own stretches and counterfeits are
not counted.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import tyro

from experiments.shared.on_corpus import CORPUS
from experiments.shared.records import record
from experiments.studies.counterfeit_corpora import Notes
from experiments.studies.counterfeit_sounds import RATE_HZ
from experiments.studies.markov import Markov
from experiments.studies.music import SMOKE, codes_of_chain, played, through_codec, with_detail
from experiments.studies.musical_time_sounds import clicks, looped_bar
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus, Recording, build_corpus
from rnnaudio.data.corpus import Piece
from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.metrics.musical_time import MEASURES, MusicalTime, MusicRanges, musical_time
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.shuffling import shuffled
from rnnaudio.records import Record
from rnnaudio.runs.codes.model import training_codes
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.fit import fit
from rnnaudio.runs.load import load

NAME = "musical-time"
LOOKED_AT = ("K. 156", "K. 458")
REAL, SHUFFLED, MIXED = "music left out", "shuffled seconds", "seconds of several works"
CLICKS, LOOP = "clicks on noise", "a bar looped"
CODEC, CHAIN, CODES_PLAYED = "music through the codec", "bigram chain", "codes"
N_MIXED = 8  # stretches of other works, of which seconds are mixed with a stretch's
SMOKE_SECONDS = 42.0  # of which the codec leaves 41.8
QUANTILES = (5.0, 50.0, 95.0)


@dataclasses.dataclass(frozen=True)
class Options:
    """Judge music and counterfeits by the measures of musical time."""

    corpus: Path = CORPUS
    run: Path | None = None  # of recipe codes, trained on the corpus; None: no model, codec or chain
    name: str = NAME  # of the record; only our corpus and runs with a name of their own are recorded
    seconds: float = 60.0  # of a stretch
    most: int = 15  # stretches of a work, spread over it
    n_primes: int = 12  # continued by the run, and by the chain
    seed: int = 0
    smoke: bool = False  # works made by rule, a small model; nothing is recorded


class Stretch(NamedTuple):
    """A stretch of a piece of a corpus, from sample ``start`` on."""

    piece: Piece
    start: int


class Judged(NamedTuple):
    """Measurements on a sound, and the ranges by which it is judged."""

    time: MusicalTime
    ranges: MusicRanges


Measured = dict[str, list[MusicalTime]]  # by kind of sound
Works = Mapping[str, Sequence[FloatArray]]


def main() -> None:
    """Read the options, measure, print and record."""
    options: Options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            study(made_by_rule(dataclasses.replace(options, seconds=SMOKE_SECONDS), Path(folder)))
        return
    figures = study(options)
    if options.corpus == CORPUS or options.name != NAME:
        record(options.name, figures)


def study(options: Options) -> Record:
    """Measure and judge all sounds, and print the table; returns the figures."""
    with AudioCorpus.open(options.corpus) as corpus:
        works = works_of(corpus, options)
        measured = {work: with_counterfeits(work, works, corpus.sample_rate_hz, options.seed) for work in works}
        kinds = of_works(measured)
        ranges = {work: made_without([work], measured) for work in works}
        run = load(options.run, CodesRun) if options.run else None
        if run:
            kinds |= of_run(run, corpus, measured, works, options)
    rows = {kind: row(sounds) for kind, sounds in kinds.items()}
    print(table(rows), values_table(rows), sep="\n\n")
    return {
        "settings": {name: str(value) for name, value in vars(options).items() if name not in ("smoke", "name")},
        "run": {name: run.record[name] for name in ("n_updates", "seconds")} if run else None,
        "stretches": {work: len(sounds[REAL]) for work, sounds in measured.items()},
        "ranges": {f"without {work}": described(one) for work, one in ranges.items()},
        "left_out": {work: row([Judged(time, ranges[work]) for time in measured[work][REAL]]) for work in works},
        "rows": rows,
    }


def work_of(title: str) -> str:
    """The work that a piece belongs to: ``K.`` and its number in Koechel's catalogue, or the title if it has none."""
    found = re.search(r"\bK\. ?(\d+)", title)
    return f"K. {found[1]}" if found else title


def works_of(corpus: AudioCorpus, options: Options) -> dict[str, list[FloatArray]]:
    """Stretches of each work, (n,) float64 on the scale -1 to 1, at most ``options.most``, spread over the work.

    RnnaudioError if fewer than three works have stretches, because ranges need two others.
    """
    n = round(options.seconds * corpus.sample_rate_hz)
    found: dict[str, list[Stretch]] = defaultdict(list)
    for piece in corpus.pieces:
        found[work_of(piece.title)] += [Stretch(piece, k) for k in range(0, piece.n_samples - n + 1, n)]
    works = {work: _spread(stretches, options.most) for work, stretches in found.items() if stretches}
    if len(works) < 3:
        raise RnnaudioError(
            f"{corpus.path}: got {len(works)} works of {options.seconds:g} s or more, expected 3 or more: give "
            "shorter --seconds, or another corpus"
        )
    return {
        work: [np.asarray(corpus.restore(s.piece.read(s.start, s.start + n)), np.float64) for s in stretches]
        for work, stretches in works.items()
    }


def _spread(stretches: Sequence[Stretch], most: int) -> list[Stretch]:
    places = np.unique(np.linspace(0, len(stretches) - 1, min(most, len(stretches))).round().astype(int))
    return [stretches[k] for k in places]


def with_counterfeits(work: str, works: Works, rate: int, seed: int) -> Measured:
    """Measure the stretches of a work, and a counterfeit of each kind made of each stretch."""
    rng = np.random.default_rng([seed, list(works).index(work)])
    others = [audio for other, stretches in works.items() if other != work for audio in stretches]
    found: Measured = defaultdict(list)
    for audio in works[work]:
        real = musical_time(audio, rate)
        some = [others[k] for k in rng.integers(0, len(others), N_MIXED)]
        fakes = {
            SHUFFLED: shuffled(audio, rate, rng),
            MIXED: shuffled(audio, rate, rng, some),
            CLICKS: clicks(audio, rate, rng),
            LOOP: looped_bar(audio, real.bar_seconds, rate, rng),
        }
        found[REAL].append(real)
        for kind, fake in fakes.items():
            found[kind].append(musical_time(fake, rate))
    print(f"{work}: {len(works[work])} stretches", flush=True)
    return found


def made_without(left_out: Sequence[str], measured: Mapping[str, Measured]) -> MusicRanges:
    """Ranges made from all works except those left out; RnnaudioError if fewer than two remain."""
    others = [sounds for work, sounds in measured.items() if work not in left_out]
    return MusicRanges.of([sounds[REAL] for sounds in others], [one for sounds in others for one in sounds[SHUFFLED]])


def of_works(measured: Mapping[str, Measured]) -> dict[str, list[Judged]]:
    """Music and counterfeits by kind, each judged by the other works; the works LOOKED_AT are left out."""
    kinds: dict[str, list[Judged]] = defaultdict(list)
    for work, sounds in measured.items():
        ranges = made_without([work], measured)
        for kind, times in sounds.items():
            kinds[kind] += [Judged(time, ranges) for time in times if work not in LOOKED_AT]
    return dict(kinds)


def of_run(
    run: CodesRun, corpus: AudioCorpus, measured: Mapping[str, Measured], works: Works, options: Options
) -> dict[str, list[Judged]]:
    """Continuations of test primes by a run and by a bigram chain over its codes, and test music through its codec.

    All are judged by ranges made without the test works.
    """
    rate, seconds = corpus.sample_rate_hz, options.seconds
    test = [work for work in works if work in {work_of(p.title) for p in corpus.pieces if p.split == "test"}]
    ranges = made_without(test, measured)
    primes = [corpus.test.prime_at(k, 1.0) for k in range(options.n_primes)]
    trained_on = training_codes(corpus.train, run.codec, dataclasses.replace(run.config, transpose=()))
    chain = Markov([codes[:, 0] for codes in trained_on], run.codec.n_codes, 1)
    sounds = {
        CODEC: [through_codec(audio, run) for work in test for audio in works[work]],
        CHAIN: with_detail(codes_of_chain(chain, run, primes, seconds), run, trained_on, seconds),
        CODES_PLAYED: played(run, primes, seconds)[1],
    }
    return {
        kind: [Judged(musical_time(np.asarray(audio, np.float64), rate), ranges) for audio in audios]
        for kind, audios in sounds.items()
    }


def row(sounds: Sequence[Judged]) -> Record:
    """A row of the record, of sounds of one kind.

    ``outside``: share of the sounds out of the range of each measure, and of any. ``values``: percentiles 5, 50 and 95
    of each measure. ``recurrence_share``: its median. Numbers have three decimals.
    """
    outside = [one.ranges.outside(one.time) for one in sounds]
    values = [one.ranges.values(one.time) for one in sounds]
    shares = {name: round(float(np.mean([flags[name] for flags in outside])), 3) for name in MEASURES}
    return {
        "stretches": len(sounds),
        "outside": shares | {"any": round(float(np.mean([any(flags.values()) for flags in outside])), 3)},
        "values": {name: rounded(np.percentile([one[name] for one in values], QUANTILES)) for name in MEASURES},
        "recurrence_share": rounded([np.median([one.ranges.recurrence_share(one.time) for one in sounds])])[0],
    }


def rounded(values: Iterable[float]) -> list[float | None]:
    """The values to three decimals; None for those that are not finite, which JSON cannot represent."""
    return [round(float(value), 3) if np.isfinite(value) else None for value in values]


def described(ranges: MusicRanges) -> Record:
    """The limits of the ranges by measure, and the median recurrence of shuffled and of real music."""
    recurrence = rounded([ranges.recurrence_of_shuffled, ranges.recurrence_of_music])
    return {name: rounded(limits) for name, limits in ranges.ranges.items()} | {"recurrence_0_and_1": recurrence}


def table(rows: Mapping[str, Record]) -> str:
    """The shares of stretches out of range as a Markdown table."""
    names = [*MEASURES, "any"]
    lines = ["| what sounds | stretches | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for kind, one in rows.items():
        cells = [f"{one['outside'][name]:.0%}" for name in names]
        lines.append(f"| {kind} | {one['stretches']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def values_table(rows: Mapping[str, Record]) -> str:
    """Medians of the values, their 5th and 95th percentiles, and the recurrence share, as a Markdown table."""
    lines = ["| what sounds | " + " | ".join(MEASURES) + " | recurrence_share |", "|---" * (len(MEASURES) + 2) + "|"]
    for kind, one in rows.items():
        cells = ["{1:.2f} ({0:.2f} to {2:.2f})".format(*one["values"][name]) for name in MEASURES]
        share = one["recurrence_share"]
        lines.append(f"| {kind} | " + " | ".join([*cells, "" if share is None else f"{share:.2f}"]) + " |")
    return "\n".join(lines)


def made_by_rule(options: Options, folder: Path) -> Options:
    """Options of the tiny form: four works of one stretch each, made by rule, and a small, hardly trained run.

    The corpus and the run are written to the folder.
    """
    path = folder / "corpus.h5"

    def work(number: int, split: str) -> Recording:
        notes = Notes(number, options.seconds + 1.0)
        return Recording(
            f"rule {number}", "made by rule", "none", split, lambda: (notes.read(0, notes.n_samples), RATE_HZ)
        )

    splits = ("train", "train", "valid", "test")
    build_corpus([work(number, split) for number, split in enumerate(splits)], path, progress=False)
    fit(CODES, SMOKE, path, folder / "run")
    return dataclasses.replace(options, corpus=path, run=folder / "run", most=1, n_primes=2)


if __name__ == "__main__":
    run_command(main, NAME)
