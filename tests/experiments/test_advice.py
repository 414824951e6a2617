"""Advice is followed on runs that have the fault: what it promises to improve improves."""

import json

import pytest

from experiments.proofs.advice import CASES, followed
from experiments.shared import records
from rnnaudio.diagnostics.causes import CAUSES


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "last-step-cost, frames", "limit-too-soon, frames", "noise-drowns-prediction, frames",
        "too-little-music, codes", "pieces-do-not-belong-together, frames",
    ],
)  # fmt: skip
@pytest.mark.long
def test_what_the_advice_promises_improves(name):
    case = next(case for case in CASES if case.name == name)
    row = followed(case, seed=1)
    assert row["improved"], row
    assert row["cause"] in row["named_before"] and row["typed"]


def test_every_case_of_the_record_improved_and_is_of_a_known_cause():
    recorded = json.loads((records.FOLDER / "advice.json").read_text())
    assert {case.planted.cause for case in CASES} <= {name for name, _, _ in CAUSES}
    assert [(row["cause"], row["recipe"]) for row in recorded["rows"]] == [
        (case.planted.cause, case.planted.recipe) for case in CASES
    ]
    worse = [row["planted"] for row in recorded["rows"] if not row["improved"]]
    assert worse == []
