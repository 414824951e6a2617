"""Every experiment of the blog in its tiny form: it runs to its end, on real piano, and prints finite figures."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.everything import EXPERIMENTS, as_markdown, claims
from experiments.shared.records import FOLDER
from rnnaudio import engine
from rnnaudio.errors import RnnaudioError

pytestmark = pytest.mark.skipif(engine.NAME == "theano", reason="the package's tests cover Theano; these take minutes")
ELSEWHERE = ("mnist", "timit", "blind_test", "ablation", "fourier_2016")  # they have tests of their own
IN_PROCESS = [e for e in EXPERIMENTS if e.smoke is not None and e.module not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", IN_PROCESS, ids=lambda e: e.module)
def test_tiny_form(experiment, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [experiment.module, *experiment.smoke])
    module = importlib.import_module(f"experiments.{experiment.module}")
    if hasattr(module, "VARIANTS"):
        module.reproduce(experiment.record, module.VARIANTS, module.CLAIMS, getattr(module, "show_grid", lambda: None))
    else:
        module.main()
    out = capsys.readouterr().out
    assert out.strip() and "Traceback" not in out
    if hasattr(module, "VARIANTS"):
        assert out.count("normalised MSE: predict") == 2 and "predict None" not in out
    assert not (tmp_path / "experiments").exists() and not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_ablation_s_tiny_form(capsys):
    from experiments.studies.ablation import main, variants

    main(smoke=True)
    assert capsys.readouterr().out.count("gru ") >= 4
    names = [variant.name for variant in variants()]
    assert len(names) == len(set(names)) and "gru-faithful-unscaled-rmsprop" in names
    assert "memory-lstm-repaired-unbounded-memory" in names


def test_each_variant_of_the_ablation_differs_from_its_start_in_one_defect():
    from experiments.studies.ablation import COMES_WITH, variants
    from rnnaudio.runs.diagnosis.defects import present_in

    every = list(variants())
    starts = {(v.model, v.start): v.config for v in every if not v.change}
    assert len({(v.start, repr(v.config)) for v in every}) == len(every)
    for v in every:
        one, other = ({d.name for d in present_in(c)} for c in (v.config, starts[v.model, v.start]))
        assert one ^ other == ({v.change, *COMES_WITH.get(v.change, ())} if v.change else set())


def test_table_of_claims_has_all_columns():
    rows = list(claims())
    assert all({"post", "says", "2016", "ours", "why", "command"} <= row.keys() for row in rows)
    assert as_markdown().count("\n") == 1 + len(rows)


def test_readme_has_the_table_of_what_is_recorded_and_no_gaps():
    root = Path(__file__).parents[2]
    assert f"-->\n{as_markdown()}\n<!-- end of table" in (root / "README.md").read_text()
    for page in (root / "README.md", *(root / "docs").glob("*.md")):
        assert not re.findall(r"@[A-Z]+@", page.read_text())


def test_without_pytorch_its_extra_is_named(monkeypatch):
    from experiments.benchmarks import samples_torch

    monkeypatch.setattr(samples_torch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RnnaudioError, match="extra bench"):
        samples_torch.main()


def test_a_failing_experiment_is_named(monkeypatch):
    from experiments import everything

    monkeypatch.setattr(everything, "run", lambda experiment, smoke: experiment.module != "last_day")
    with pytest.raises(RnnaudioError, match="1 experiments failed: last_day"):
        everything.main(smoke=True)


def test_what_is_made_again_is_set_aside_and_nothing_is_lost(tmp_path, monkeypatch):
    from experiments import everything

    monkeypatch.chdir(tmp_path)
    for name in ("last-week", "fourier-2016-gru"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    monkeypatch.setattr(everything, "run", lambda experiment, smoke: True)
    everything.main(again=True)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "fourier-2016-gru.before",
        "last-week.before",
    ]
    (tmp_path / "runs" / "last-week").mkdir()
    with pytest.raises(RnnaudioError, match=r"last-week\.before is still there: remove it or move it away"):
        everything.main(again=True)
    assert (tmp_path / "runs" / "last-week").exists()


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
    text = re.sub(r"\(\.\./[^)]*\)", "", (Path(__file__).parents[2] / "docs/autopsy.md").read_text())
    recorded = np.abs([number for path in FOLDER.glob("*.json") for number in numbers(json.loads(path.read_text()))])
    complement = {"97.71": 100.0 - 2.29}  # he recorded the error
    for told in re.findall(r"(?<![\w.])\d*\.\d+(?:e-?\d+)?", text):
        digits, _, exponent = told.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(digits.split(".")[1]))
        known = np.append(recorded, complement.get(told, 0.0))
        distance = np.abs(np.multiply.outer([1.0, 100.0], known) - float(told))  # per cent of a share, too
        assert distance.min() <= 0.5001 * unit, f"{told} is in no record"


@pytest.mark.parametrize(
    ("module", "arguments", "expected"),
    [
        ("draw", ("--n-steps", "0"), "n_steps is 0: expected 1 or more"),
        ("draw", ("--seed", "-1"), "seed is -1: expected 0 or more"),
        ("draw", ("--minutes", "-1"), "minutes is -1: expected more than 0"),
        ("draw_piano", ("--batch-size", "0"), "batch_size is 0: expected 1 or more"),
        ("ablation", ("--corpus", "none.h5"), "none.h5: no such corpus file"),
        ("last_week", ("--corpus", "none.h5"), "none.h5: no such corpus file"),
        ("samples", ("--corpus", "none.h5"), "none.h5: no such corpus file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(module, arguments, expected, tmp_path):
    command = [sys.executable, "-m", f"experiments.{module}", *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and expected in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


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
