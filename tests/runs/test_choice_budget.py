"""Choosing how to play ends in time, on a clock that only the work moves; and what a run says of it."""

import math
import shutil

import pytest

from rnnaudio.data import AudioCorpus
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import limits_of_all_music
from rnnaudio.runs.codes import budget, choice
from rnnaudio.runs.codes.budget import Budget, Plan, affordable, budget_seconds, spread
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.fit import fit
from rnnaudio.runs.load import load
from tests.support.sounds import RATE_HZ

TINY = CodesConfig(
    n_components=8, n_codes=12, transpose=(), n_units=8, n_steps=16, batch_size=4, max_updates=2, validate_every=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The demo's corpus and a run of two updates on it."""
    folder = tmp_path_factory.mktemp("budget")
    build_demo_corpus(folder / "corpus.h5")
    fit(CODES, TINY, folder / "corpus.h5", folder / "run")
    return folder


@pytest.mark.parametrize(
    ("asked_minutes", "trained_seconds", "most_minutes", "seconds"),
    [
        (15.0, 900.0, 5.0, 270.0),  # a third is 300 s, of which the report gets 30
        (60.0, 3600.0, 5.0, 270.0),  # 5 minutes at most
        (60.0, 3600.0, 20.0, 1170.0),  # unless more is asked for
        (1.0, 60.0, 5.0, 15.0),  # a third is 20 s, a quarter of it for the report
        (0.1, 6.0, 5.0, 1.5),
        (15.0, 90.0, 5.0, 22.5),  # early stopping: a third of what it took
        (15.0, 1.0, 5.0, 15.0),  # it counts as a minute
        (math.inf, 1e6, 5.0, 270.0),
    ],
)
def test_a_choice_has_a_third_of_the_training_less_the_report(asked_minutes, trained_seconds, most_minutes, seconds):
    assert budget_seconds(asked_minutes, trained_seconds, most_minutes) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds_left", "cost", "plan"),
    [
        (600.0, 0.05, Plan(10, 12, 60.0)),  # 12,000 s of sound, of which 7,200 are used
        (288.0, 0.06, Plan(10, 12, 40.0)),
        (96.0, 0.1, Plan(10, 12, 8.0)),
        (48.0, 0.1, Plan(10, 6, 8.0)),  # fewer primes
        (24.0, 0.1, Plan(10, 3, 8.0)),
        (12.0, 0.1, Plan(5, 3, 8.0)),  # fewer settings
        (5.0, 0.1, Plan(2, 3, 8.0)),
        (4.0, 0.1, Plan(0, 3, 8.0)),  # one alone leaves nothing to choose
        (-1.0, 0.1, Plan(0, 3, 8.0)),
    ],
)
def test_what_is_planned_fits_into_the_time(seconds_left, cost, plan):
    assert affordable(seconds_left, cost, n_settings=10, n_primes=12) == plan
    assert plan.n_settings * plan.n_primes * plan.seconds * cost <= max(0.0, seconds_left)


def test_settings_are_spread():
    assert [spread("abcde", n) for n in range(6)] == [[], ["a"], [*"ae"], [*"ace"], [*"abde"], [*"abcde"]]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what a test adds to its first entry, in seconds."""
    now = [0.0]
    for module in (budget, choice):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(choice, "usable_limits", lambda *_: limits_of_all_music(RATE_HZ))  # else those of the corpus
    return now


def test_work_ends_when_the_longest_so_far_would_not_fit_again(clock):
    done = []
    for item, took in zip(Budget(10.0).while_it_lasts(range(9)), (2.0, 4.0, 1.0, 9.0), strict=False):
        clock[0] += took
        done.append(item)
    assert done == [0, 1, 2]  # 3 s are left, and one took 4


def chosen_within(made, monkeypatch, clock, run_dir, minutes, cost):
    """Choose for a run that was asked to train for so many minutes; the choice, and the seconds that it took.

    cost: seconds that a second of one continuation takes.
    """
    shutil.copytree(made / "run", run_dir, ignore=shutil.ignore_patterns("playing.json"))
    monkeypatch.setattr(choice, "budget_seconds", lambda asked, trained, most: budget_seconds(minutes, 1e9, most))

    def played(run, primes, n_samples, seed):
        clock[0] += cost * len(primes) * n_samples / RATE_HZ
        return []

    monkeypatch.setattr(choice, "played", played)
    monkeypatch.setattr(choice, "health", lambda *_: {"dead_for_good": 0, "in_range": 1.0})
    began = clock[0]
    with AudioCorpus.open(made / "corpus.h5") as corpus:
        playing = choice.choose(run_dir, corpus)
    return playing, clock[0] - began


@pytest.mark.parametrize(
    ("minutes", "cost"), [(0.1, 0.003), (0.1, 0.5), (1.0, 0.003), (1.0, 0.07), (15.0, 0.02), (120.0, 0.5)]
)
def test_a_choice_ends_in_time_whatever_it_costs(made, monkeypatch, clock, tmp_path, minutes, cost):
    """Only a trial of 3 x 2 s, which tells what sound costs, may exceed the time, where that is seconds."""
    playing, took = chosen_within(made, monkeypatch, clock, tmp_path / "run", minutes, cost)
    third = min(20.0 * minutes, 300.0)
    assert took <= max(third, 3 * 2 * cost)
    assert len(playing.scores) + playing.untried == 5
    assert len(playing.scores) != 1


def test_a_minute_of_training_chooses_in_less_than_twenty_seconds(made, monkeypatch, clock, tmp_path):
    """As fast as a processor of today: .02 s for a second of a continuation."""
    playing, took = chosen_within(made, monkeypatch, clock, tmp_path / "run", 1.0, 0.02)
    assert not playing.untried and 12.0 < took <= 15.0
    assert {(row["primes"], row["seconds"]) for row in playing.scores} == {(12, 10.5)}


def test_a_clock_that_slows_down_ends_the_choice_too(made, monkeypatch, clock, tmp_path):
    """Another program takes the processor once the trial is over: what is left untried is kept, and told."""
    shutil.copytree(made / "run", tmp_path / "run", ignore=shutil.ignore_patterns("playing.json"))
    costs = iter([0.01, *[0.1] * 9])

    def played(run, primes, n_samples, seed):
        clock[0] += next(costs) * len(primes) * n_samples / RATE_HZ
        return []

    monkeypatch.setattr(choice, "played", played)
    monkeypatch.setattr(choice, "health", lambda *_: {"dead_for_good": 0, "in_range": 1.0})
    with AudioCorpus.open(made / "corpus.h5") as corpus:
        playing = choice.choose(tmp_path / "run", corpus)  # two updates: 15 s
    assert 0 < len(playing.scores) < 5 and playing.untried == 5 - len(playing.scores)
    assert f"chosen from {len(playing.scores)} of 5 settings" in load(tmp_path / "run").note


def test_a_run_without_time_for_a_choice_says_so_and_plays_as_learnt(made, monkeypatch, clock, tmp_path, capsys):
    playing, _ = chosen_within(made, monkeypatch, clock, tmp_path / "run", 0.01, 0.02)
    assert (playing.parameters, playing.temperature, playing.scores) == ("model", 1.0, [])
    assert "there is no time to choose how to play, which takes a third of the training time at most" in (
        capsys.readouterr().out
    )
    run = load(tmp_path / "run")
    assert run.playing == playing and run.temperature == 1.0
    assert run.note.startswith("how this run plays was not chosen, as its training was short: it plays as learnt")


def test_the_limit_is_a_setting():
    assert CodesConfig(choice_minutes=1.0).choice_minutes == 1.0
    with pytest.raises(RnnaudioError, match="choice_minutes is 0"):
        CodesConfig(choice_minutes=0.0)
    assert "choice_minutes" in CODES.may_change(CodesConfig())
