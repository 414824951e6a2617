"""Every experiment of the blog in its tiny form: it runs to its end, on real piano, and prints finite figures."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.catalogue import ALL, find
from experiments.runner import run
from experiments.shared.records import FOLDER
from rnnaudio import engine
from rnnaudio.errors import RnnaudioError

pytestmark = pytest.mark.skipif(engine.NAME == "theano", reason="the package's tests cover Theano; these take minutes")
ELSEWHERE = ("mnist", "timit", "blind-test", "ablation", "fourier")  # they have tests of their own
LONG = ("torture", "counterfeits", "advice", "musical-time", "music", "amplitude", "last-week-grid", "data-parallel")
TINY = [(e.name, arguments) for e in ALL for arguments in e.smoke if e.name not in ELSEWHERE]


def long_if_named(name, arguments):
    return pytest.param(name, arguments, marks=[pytest.mark.long] if name in LONG else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"), [long_if_named(*each) for each in TINY],
    ids=lambda value: "" if value == ("--smoke",) else str(value),
)  # fmt: skip
def test_tiny_form(name, arguments, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])  # which the experiment replaces
    run(name, list(arguments))
    out = capsys.readouterr().out
    assert out.strip() and "Traceback" not in out
    if find(name).settings:
        assert out.count("normalised MSE: predict") == 2 and "predict None" not in out
    assert not (tmp_path / "experiments").exists() and not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.long
def test_the_ablation_s_tiny_form(capsys):
    from experiments.studies.ablation import ablate, variants

    ablate(smoke=True)
    assert capsys.readouterr().out.count("gru ") >= 4
    names = [variant.name for variant in variants()]
    assert len(names) == len(set(names)) and "gru-faithful-unscaled-rmsprop" in names
    assert "memory-lstm-repaired-unbounded-memory" in names


def test_each_variant_of_the_ablation_differs_from_its_start_in_one_defect():
    from experiments.studies.ablation import COMES_WITH, variants
    from rnnaudio.runs.defects import present_in

    every = list(variants())
    starts = {(v.model, v.start): v.config for v in every if not v.change}
    assert len({(v.start, repr(v.config)) for v in every}) == len(every)
    for v in every:
        one, other = ({d.name for d in present_in(c)} for c in (v.config, starts[v.model, v.start]))
        assert one ^ other == ({v.change, *COMES_WITH.get(v.change, ())} if v.change else set())


def test_without_pytorch_its_extra_is_named(monkeypatch):
    from experiments.benchmarks import samples_torch

    monkeypatch.setattr(samples_torch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RnnaudioError, match="extra bench"):
        samples_torch.main()


@pytest.mark.parametrize(("largest", "verdict"), [(1e-8, "fine, of a cost that is not"), (0.1, "NOT fine")])
def test_a_wrong_gradient_is_not_called_fine(largest, verdict, monkeypatch):
    """And how many steps the cost counts is measured: one of the four that the GRU of 2016 sees here."""
    from types import SimpleNamespace

    from experiments.blog_2016 import last_week_checks

    monkeypatch.setattr(last_week_checks, "check_gradients", lambda *_, **__: SimpleNamespace(largest=largest))
    config = last_week_checks.gru_2016(8, 1, 4, 2)
    frames = np.random.default_rng(0).standard_normal((5, 2, 8)).astype("float32")
    check = last_week_checks.wiring("gru", config, frames)
    assert check.verdict.startswith(verdict) and "counts 1 of 4 steps" in check.evidence


def test_checks_of_2016_are_printed_in_today_s_words():
    from experiments.blog_2016.last_week_checks import in_words, rmsprop

    assert [in_words(check.what) for check in rmsprop(1e-5, n_steps=2)] == [
        "RMSprop, the class that divides",
        "RMSprop, the class of the runs",
    ]
    assert in_words("not checked: memory, gru") == "not checked in 2016: state, gru"
    assert in_words("wiring, gru") == "wiring, gru"


def test_a_sound_that_fades_has_not_come_to_a_standstill_and_a_cycle_has():
    from experiments.blog_2016.final_post import seconds_to_standstill

    t = np.arange(16_000 * 4) / 16_000
    tone = np.sin(2 * np.pi * 440 * t)
    assert seconds_to_standstill(tone * np.exp(-t), 16_000) is None
    started = np.where(t < 1.0, np.random.default_rng(0).standard_normal(len(t)), 1e-3 * tone)
    assert seconds_to_standstill(started, 16_000) == pytest.approx(1.0, abs=0.02)


def numbers(value):
    """All numbers in a record, those within its sentences too."""
    if isinstance(value, dict):
        value = [of for name, of in value.items() if name != "versions"]
    if isinstance(value, list):
        return [number for of in value for number in numbers(of)]
    if isinstance(value, str):
        return [float(number) for number in re.findall(r"\d*\.?\d+(?:e-?\d+)?", value)]
    return [float(value)] if isinstance(value, int | float) else []


def test_each_decimal_number_of_the_autopsy_is_recorded():
    """In some record, to the digits that are told; which one is not checked, so a short number proves little."""
    (page,) = (Path(__file__).parents[2] / "docs").rglob("autopsy.md")
    text = re.sub(r"\(\.\./[^)]*\)", "", page.read_text())
    recorded = np.abs([number for path in FOLDER.glob("*.json") for number in numbers(json.loads(path.read_text()))])
    complement = {"97.71": 100.0 - 2.29}  # he recorded the error
    for told in re.findall(r"(?<![\w.])\d*\.\d+(?:e-?\d+)?", text):
        digits, _, exponent = told.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(digits.split(".")[1]))
        known = np.append(recorded, complement.get(told, 0.0))
        distance = np.abs(np.multiply.outer([1.0, 100.0], known) - float(told))  # per cent of a share, too
        assert distance.min() <= 0.5001 * unit, f"{told} is in no record"


def test_short_runs_take_no_record_s_place():
    from experiments.studies.music import Options, name_of_record

    assert name_of_record(Options()) == name_of_record(Options(minutes=40.0)) == "music"
    assert name_of_record(Options(seed=7)) == "music-7"
    assert name_of_record(Options(max_updates=50)) == "music-updates-50"
    assert name_of_record(Options(minutes=1.5, seed=3)) == "music-3-minutes-1.5"
    assert name_of_record(Options(name="mine", max_updates=50)) == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"temperature": 0.0}, "temperature is 0"), ({"test_samples": 1000}, "whole number of frames of 128")],
)
def test_wishes_of_samples_are_refused_before_the_training(options, message):
    from experiments.studies.samples import Options

    with pytest.raises(RnnaudioError, match=message):
        Options(**options)
