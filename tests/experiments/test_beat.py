"""The study of the beat: what it trains, measures and refuses; its tiny form."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.studies import beat
from experiments.studies.beat import Options, measured, table
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics.music import structure
from rnnaudio.metrics.yardstick import most_looped

RATE_HZ = 8000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ("no", "tail")}, "parts has 'tail'; expected some of no, body, head, both"),
        ({"parts": ()}, "parts is 0; expected 1 or more"),
        ({"seeds": ()}, "seeds is 0; expected 1 or more"),
        ({"n_primes": 0}, "n_primes is 0; expected 1 or more"),
        ({"seconds": 19.0}, "seconds is 19.0; expected 20 or more, and finite"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(RnnaudioError, match=message):
        Options(**options)


def test_parts_differ_in_the_past_alone():
    options = Options(minutes=2.0, updates=7, lag_dropout=0.3)
    without, with_past = options.config("no", 5), options.config("both", 5)
    assert (without.long_term, with_past.long_term, without.lag_dropout, with_past.lag_dropout) == (
        "no", "both", 0.0, 0.3
    )  # fmt: skip
    same = {"minutes": 2.0, "max_updates": 7, "seed": 5, "patience": 0}
    assert all(getattr(config, name) == value for config in (without, with_past) for name, value in same.items())


def test_what_is_measured():
    """Clicks at 120 bpm beside noise; a sound that is too short for a beat counts for repeats alone."""
    rng, t = np.random.default_rng(0), np.arange(21 * RATE_HZ) / RATE_HZ
    clicks = 0.1 * rng.normal(size=len(t)) * np.exp(-30.0 * (t % 0.5))
    corpus = SimpleNamespace(sample_rate_hz=RATE_HZ, restore=lambda audio: audio / 2)
    codes = [np.array([[1], [1], [2], [2], [2]]), np.array([[1], [2]])]
    found = measured(codes, [2 * clicks, 2 * clicks[: 19 * RATE_HZ]], corpus)
    assert found == {
        "beat": round(structure(clicks, RATE_HZ).beat, 3),
        "loops": round(most_looped(clicks, RATE_HZ), 3),
        "repeats": 0.375,
    }
    assert found["beat"] > 0.5
    assert measured(codes, [clicks[:RATE_HZ]] * 2, corpus)["beat"] is None


def test_the_table():
    rows = {"music": {"beat": 0.65, "loops": 0.1, "repeats": 0.5}, "no": {"bits 1": 3.0, "beat": None, "updates": 4}}
    assert table(rows).splitlines() == [
        "| run | bits 1 | bits 2 | beat | loops | repeats |",
        "|---|---|---|---|---|---|",
        "| music |  |  | 0.650 | 0.100 | 0.500 |",
        "| no | 3.000 |  |  |  |  |",
    ]


@pytest.mark.slow
def test_the_tiny_form(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["beat", "--smoke"])
    monkeypatch.setattr(beat, "record", None)  # it must not be called
    beat.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][-3:]
    assert [row.split(" |")[0] for row in rows] == ["| music (2016)", "| no (2016), T 1", "| body (2016), T 1"]
    figures = np.array([[float(cell) for cell in row.split("|")[2:-1]] for row in rows[1:]])
    assert figures.shape == (2, 5) and (figures[:, :2] > 0).all() and (figures[:, 2:] >= 0).all()
