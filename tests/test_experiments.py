"""Every experiment of the blog in its tiny form: it runs to its end, on real piano, and prints finite figures."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from experiments.everything import EXPERIMENTS, as_markdown, claims
from rnnaudio import engine
from rnnaudio.errors import RnnaudioError

pytestmark = pytest.mark.skipif(engine.NAME == "theano", reason="the package's tests cover Theano; these take minutes")
IN_PROCESS = [e for e in EXPERIMENTS if e.module not in ("mnist", "timit", "blind_test", "ablation", "fourier_2016")]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", IN_PROCESS, ids=lambda e: e.module)
def test_tiny_form(experiment, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [experiment.module, *experiment.smoke])
    module = importlib.import_module(f"experiments.{experiment.module}")
    if hasattr(module, "VARIANTS"):
        module.reproduce(experiment.record, module.VARIANTS, module.CLAIMS)
    else:
        module.main()
    out = capsys.readouterr().out
    assert out.strip() and "Traceback" not in out
    if hasattr(module, "VARIANTS"):
        assert out.count("normalised MSE: predict") == 2 and "predict None" not in out
    assert not (tmp_path / "experiments").exists() and not (tmp_path / "runs").exists()


def test_the_ablation_s_tiny_form(capsys):
    from experiments.ablation import main, variants

    main(smoke_test=True)
    assert capsys.readouterr().out.count("gru ") >= 4
    names = [variant.name for variant in variants()]
    assert len(names) == len(set(names)) and "gru-faithful-unscaled-rmsprop" in names
    assert "memory-lstm-repaired-unbounded-memory" in names


def test_each_variant_of_the_ablation_differs_from_its_start_in_one_defect():
    from experiments.ablation import COMES_WITH, variants
    from rnnaudio.app.defects import present_in

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
    root = Path(__file__).parents[1]
    assert f"-->\n{as_markdown()}\n<!-- end of table" in (root / "README.md").read_text()
    for page in (root / "README.md", *(root / "docs").glob("*.md")):
        assert not re.findall(r"@[A-Z]+@", page.read_text())


def test_without_pytorch_its_extra_is_named(monkeypatch):
    from experiments import samples_torch

    monkeypatch.setattr(samples_torch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RnnaudioError, match="extra bench"):
        samples_torch.main()


def test_a_failing_experiment_is_named(monkeypatch):
    from experiments import everything

    monkeypatch.setattr(everything, "run", lambda experiment, smoke: experiment.module != "last_day")
    with pytest.raises(RnnaudioError, match="1 experiments failed: last_day"):
        everything.main(smoke=True)
