"""The study of musical time: its works, its counterfeits, and its table, on music made by rule."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.catalogue import find
from experiments.studies import musical_time
from experiments.studies.musical_time import (
    CLICKS,
    LOOP,
    MIXED,
    REAL,
    SHUFFLED,
    Judged,
    Options,
    made_by_rule,
    made_without,
    of_works,
    row,
    table,
    values_table,
    with_counterfeits,
    work_of,
    works_of,
)
from experiments.studies.musical_time_sounds import clicks, looped_bar
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import onsets_seconds
from rnnaudio.metrics.intervals import N_INTERVALS
from rnnaudio.metrics.musical_time import MEASURES, MusicalTime, MusicRanges
from tests.support.sounds import RATE_HZ, music

ROOT = Path(__file__).parents[2]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(musical_time, "fit", lambda *arguments: None)
    with AudioCorpus.open(made_by_rule(Options(seconds=8.0), tmp_path).corpus) as corpus:
        yield corpus


@pytest.mark.parametrize(
    ("title", "work"),
    [
        ("K. 80 i, Adagio", "K. 80"), ("K. 156 ii, Adagio, first version", "K. 156"), ("rule 1", "rule 1"),
        ("Quartet [K.464-sq70]", "K. 464"), ("MK. ", "MK. "),
    ],
)  # fmt: skip
def test_movements_belong_to_their_work(title, work):
    assert work_of(title) == work


def test_stretches_of_a_work_are_spread_over_it(corpus):
    works = works_of(corpus, Options(seconds=2.0, most=3))
    assert list(works) == ["rule 0", "rule 1", "rule 2", "rule 3"]
    piece = corpus.pieces[1]
    whole = corpus.restore(piece.read(0, piece.n_samples))
    n = 2 * corpus.sample_rate_hz  # of four stretches, the first, the third and the last: 1.5 is rounded to even
    for start, audio in zip((0, 2 * n, 3 * n), works["rule 1"], strict=True):
        np.testing.assert_array_equal(audio, whole[start : start + n])
    with pytest.raises(RnnaudioError, match="got 0 works of 60 s or more, expected 3 or more: give shorter --seconds"):
        works_of(corpus, Options())


def test_clicks_have_one_tempo_and_the_level_of_the_music():
    real = music(20.0, 0)
    found = clicks(real, RATE_HZ, np.random.default_rng(0))
    assert np.mean(found**2) == pytest.approx(np.mean(real**2), rel=1e-6)
    gaps = np.diff(onsets_seconds(found, RATE_HZ))
    assert np.ptp(gaps) < 0.05 and 1 / 3 <= np.median(gaps) <= 1.0


def test_a_looped_bar_repeats_itself_to_the_sample():
    real = music(20.0, 0)
    found = looped_bar(real, 1.5, RATE_HZ, np.random.default_rng(0))
    n = round(1.5 * RATE_HZ)
    assert len(found) == len(real)
    np.testing.assert_array_equal(found[n:], found[:-n])
    starts = np.flatnonzero(real == found[400]) - 400  # after the cross-fade, all is as in the music
    assert any(np.array_equal(found[400:n], real[k + 400 : k + n]) for k in starts)


@pytest.fixture
def cheap(monkeypatch):
    """A stand-in for the measures that is quick: the loudest sample says which sound it was."""

    def measured(audio, rate):
        loud = float(np.abs(audio).max())
        return MusicalTime(loud, loud, loud, 2.0, np.ones(N_INTERVALS, int), loud, loud)

    monkeypatch.setattr(musical_time, "musical_time", measured)


def test_a_work_is_judged_by_ranges_of_the_others_and_works_looked_at_are_not_counted(cheap):
    works = {name: [scale * music(8.0, seed) for seed in range(3)] for name, scale in
             (("a", 1.0), ("b", 1.1), ("K. 156", 5.0))}  # fmt: skip
    measured = {work: with_counterfeits(work, works, RATE_HZ, 0) for work in works}
    assert all(sounds.keys() == {REAL, SHUFFLED, MIXED, CLICKS, LOOP} for sounds in measured.values())
    kinds = of_works(measured)
    assert {len(judged) for judged in kinds.values()} == {6}
    expected = MusicRanges.of([measured["b"][REAL], measured["K. 156"][REAL]], measured["b"][SHUFFLED])
    assert kinds[REAL][0].ranges.ranges == expected.ranges
    assert made_without(["a"], measured).ranges == expected.ranges


def test_values_are_shown_with_their_spread():
    values = {name: [0.101, 0.202, 0.303] for name in MEASURES}
    shares = {"music": 0.5, "whale": None}
    rows = {kind: {"values": values, "recurrence_share": share} for kind, share in shares.items()}
    lines = values_table(rows).splitlines()
    assert lines[2] == "| music | " + "0.20 (0.10 to 0.30) | " * len(MEASURES) + "0.50 |"
    assert lines[3].startswith("| whale | ") and lines[3].endswith(" |  |")


def test_a_row_has_shares_out_of_range():
    times = [MusicalTime(v, 0.3, 0.1, 2.0, np.ones(N_INTERVALS, int), 0.5, 2.0) for v in (0.0, 1.0, 2.0, 50.0)]
    ranges = MusicRanges.of([times[:2], times[1:3]], times[:1])
    found = row([Judged(time, ranges) for time in times])
    expected = dict.fromkeys(MEASURES, 0.0) | {"tempo_deviation": 0.5, "any": 0.5}
    assert found["stretches"] == 4 and found["outside"] == expected
    assert found["values"]["tempo_deviation"][1] == 1.5 and found["recurrence_share"] is None
    lines = table({"music": found}).splitlines()
    assert lines[0].startswith("| what sounds | stretches | tempo_deviation | ") and len(lines) == 3
    assert lines[2] == "| music | 4 | 50% | 0% | 0% | 0% | 0% | 0% | 50% |"


def test_the_page_has_the_tables_of_the_records():
    page = (ROOT / "docs/results/musical-time.md").read_text(encoding="utf-8")
    for run in find("musical-time").runs:
        rows = json.loads(run.path.read_text())["rows"]
        assert table(rows) in page and values_table(rows) in page


def test_nothing_is_recorded_of_another_corpus_without_a_name(monkeypatch, tmp_path):
    recorded = []
    monkeypatch.setattr(musical_time, "study", lambda options: {})
    monkeypatch.setattr(musical_time, "record", lambda name, figures: recorded.append(name))
    for options in (Options(corpus=tmp_path), Options(), Options(corpus=tmp_path, name="mine")):
        monkeypatch.setattr(musical_time, "parsed", lambda _, options=options: options)
        musical_time.main()
    assert recorded == ["musical-time", "mine"]
