"""`rnnaudio experiment`: what it lists can be run, what it cannot run is refused, the table is that of the records."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import runner
from experiments.catalogue import ALL, EXPERIMENTS, GROUPS, find, needs
from experiments.shared import records
from rnnaudio import engine
from rnnaudio.errors import RnnaudioError

ROOT = Path(__file__).parents[2]
# Started by an experiment, and by nobody else.
SERVERS = (
    "benchmarks.bench_peers", "benchmarks.model_peers", "proofs.torture.fuzz_worker", "proofs.torture.guided_worker",
)  # fmt: skip


def modules_with_a_main():
    """Modules of a group that define or assign ``main``."""
    for group in GROUPS:
        for path in (ROOT / "experiments" / group).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                names = [node.name] if isinstance(node, ast.FunctionDef) else []
                names += [t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)]
                if "main" in names:
                    yield ".".join(path.relative_to(ROOT / "experiments").with_suffix("").parts)


def test_every_module_with_a_main_is_in_the_catalogue():
    assert {e.module for e in ALL} == set(modules_with_a_main()) - set(SERVERS)


def test_names_are_short_and_distinct():
    assert len(EXPERIMENTS) == len(ALL)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in EXPERIMENTS)
    assert "all" not in EXPERIMENTS


def test_settings_and_groups_are_there():
    assert all(e.settings_path.is_file() for e in ALL if e.settings)
    assert {e.group for e in ALL} == GROUPS.keys()


def test_what_is_not_recorded_is_known():
    """A mistyped name of a record would be run again and again."""
    assert [run.record for e in ALL for run in e.runs if not run.path.exists()] == ["draw-piano-attention"]


def test_the_list_has_a_line_for_each_with_its_time(command):
    status, out, _ = command("experiment", "list")
    assert status == 0
    for e in ALL:
        assert re.search(rf"^  {e.name} +{re.escape(e.about)} \({e.time}\)$", out, flags=re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 119


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("bench-mnist",), "bench"),
        (("bench-samples",), "bench corpus"),
        (("bench-samples", "--smoke"), "bench"),
        (("music-strings",), "strings"),
        (("verify",), "corpus theano-if-possible"),
        (("mnist",), ""),
        (("draw", "--attention"), ""),
        (("draw", "--smoke"), ""),
        (("last-day", "--smoke"), ""),
        (("all",), "corpus"),
        (("all", "--smoke"), ""),
    ],
)
def test_what_an_experiment_needs_is_told_to_make(command, arguments, needed):
    status, out, notes = command("experiment", "needs", *arguments)
    assert (status, out) == (0, needed + "\n")
    nothing = f"note: make has nothing to set up for {arguments[0]}\n"
    downloads = f"note: {arguments[0]} downloads MNIST, 20 MB, the first time it runs\n"
    of_mnist = arguments[0] in ("mnist", "verify", "bench-mnist", "draw") and "--smoke" not in arguments
    assert notes == nothing * (not needed) + downloads * of_mnist


def test_the_page_on_experiments_has_the_groups_of_the_list():
    page = (ROOT / "docs/how-to/reproduce-an-experiment.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S[^|]*) \| (`[^|]*) \|$", page, flags=re.MULTILINE))
    named = {group: set(re.findall(r"`([a-z][\w-]*)`", cell)) for group, cell in rows.items()}
    assert named == {title: {e.name for e in ALL if e.group == group} for group, title in GROUPS.items()}


def test_what_downloads_mnist_says_so():
    """Of those experiments whose modules fetch it, directly or by a module of their own."""
    texts = {e: (ROOT / f"experiments/{e.module.replace('.', '/')}.py").read_text(encoding="utf-8") for e in ALL}
    assert {e.name for e, text in texts.items() if "fetch_mnist" in text} == {e.name for e in ALL if e.downloads}


def test_every_need_is_a_target_of_make():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    every = {need for e in ALL for need in needs(e.name, [])}
    assert every == set(re.findall(r"^needs-([a-z-]+):", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "last_day"), "no experiment 'last_day'; did you mean 'last-day'?"),
        (("run", "qqq"), "no experiment 'qqq'; `rnnaudio experiment list` has the names"),
        (("needs", "benhc"), "no experiment 'benhc'; did you mean 'bench'?"),
        (("go",), "experiment got 'go'; expected one of list, run, needs, table"),
        (("list", "all"), "experiment list got 'all'; it takes no arguments"),
        (("run", "all", "--smok"), "experiment run all got '--smok'; expected --smoke or --again or neither"),
    ],
)
def test_what_there_is_not_is_refused(command, arguments, message):
    assert command("experiment", *arguments) == (2, "", f"rnnaudio: {message}\n")


def test_help_is_the_experiment_s_own(command):
    status, out, _ = command("experiment", "run", "last-day", "--help")
    assert status == 0 and out.startswith("usage: rnnaudio experiment run last-day ") and "--smoke" in out
    assert command("verify", "--help")[1].startswith("usage: rnnaudio experiment run verify ")
    for arguments in ((), ("--help",), ("run", "--help")):
        assert command("experiment", *arguments)[1].startswith("usage: rnnaudio experiment ")


@pytest.mark.parametrize(("typed", "name"), [("bench", "bench"), ("gradcheck", "gradcheck"), ("verify", "verify")])
def test_the_short_forms_run_the_experiment(command, monkeypatch, typed, name):
    calls = []
    monkeypatch.setattr(runner, "run", lambda *arguments: calls.append(arguments))
    assert command(typed, "--quick", "x") == (0, "", "")
    assert calls == [(name, ["--quick", "x"])]


def test_an_installed_package_says_where_experiments_are(command, monkeypatch, tmp_path):
    from rnnaudio.cli import experiments

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "site-packages/rnnaudio/cli/experiments.py"))
    status, _, error = command("experiment", "list")
    assert status == 2 and "experiments come with a checkout" in error and "clone of rnnaudio" in error


def test_the_list_needs_no_engine():
    code = "import sys; from rnnaudio.cli.experiments import experiment; experiment(['list']); "
    code += "sys.exit(any(name in sys.modules for name in ('pytensor', 'theano', 'rnnaudio.engine', 'rnnaudio.data')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("draw", ("--n-steps", "0"), "n_steps is 0: expected 1 or more"),
        ("draw", ("--seed", "-1"), "seed is -1; expected a whole number from 0 to"),
        ("draw", ("--minutes", "-1"), "minutes is -1: expected more than 0"),
        ("draw-piano", ("--batch-size", "0"), "batch_size is 0: expected 1 or more"),
        ("ablation", ("--first", "3"), "--first is 3; expected less than --seeds, which is 3"),
        ("ablation", ("--corpus", "none.h5"), "none.h5: no such corpus file"),
        ("last-week", ("--corpus", "none.h5"), "none.h5: no such corpus file"),
        ("samples", ("--corpus", "none.h5"), "none.h5: no such corpus file"),
        ("phase", (), "datasets/mozart-steinway.h5 is not there: `make corpus` builds it, in the folder of the "),
        ("last-day", (), "; --smoke is a tiny form that needs no corpus\n"),
        ("predict", (), "`make corpus` builds it, in the folder of the Makefile\n"),  # which has no tiny form
        ("music-strings", (), "`make datasets/mozart-strings.h5` builds it"),
        ("bench", ("--cell", "lstm"), "Unrecognized options: --cell"),
    ],
)
def test_bad_input_is_one_line_and_status_2(name, arguments, expected, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, _, error = command("experiment", "run", name, *arguments)
    assert status == 2 and expected in error and not list(tmp_path.iterdir())


def test_experiments_are_found_beside_the_package(tmp_path):
    """In a process of its own, in another folder."""
    words = ["experiment", "run", "predict"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", "from rnnaudio.cli import main; main()", *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "`make corpus` builds it" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# ---- records


@pytest.mark.parametrize(
    ("name", "arguments", "command"),
    [
        ("draw", ("--attention", "--minutes", "80"), "rnnaudio experiment run draw --attention --minutes 80"),
        ("music-strings", ("--minutes", "40"), "rnnaudio experiment run music-strings --minutes 40"),
        ("music", ("--corpus", "my music.h5"), "rnnaudio experiment run music --corpus 'my music.h5'"),
    ],
)
def test_a_record_has_the_command_that_was_typed(name, arguments, command, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", [f"rnnaudio experiment run {name}", *find(name).arguments, *arguments])
    assert json.loads(records.record("a", {}).read_text())["command"] == command


def test_table_of_claims_has_all_columns():
    rows = list(runner.claims())
    assert all({"post", "says", "2016", "ours", "why", "command"} <= row.keys() for row in rows)
    assert runner.as_markdown().count("\n") == 1 + len(rows)
    assert "`rnnaudio experiment run draw --attention --minutes 80`" in runner.as_markdown()


def pages():
    return [(path, path.read_text(encoding="utf-8")) for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))]


def test_a_page_has_the_table_of_what_is_recorded(command):
    assert command("experiment", "table") == (0, runner.as_markdown() + "\n", "")
    assert [path for path, text in pages() if f"-->\n{runner.as_markdown()}\n<!-- end of table" in text]


def test_no_page_has_gaps():
    assert not [path for path, text in pages() if re.search(r"@[A-Z]+@", text)]


# ---- all of them


def test_a_failing_experiment_is_named(monkeypatch):
    monkeypatch.setattr(runner, "run_apart", lambda name, arguments: name != "last-day")
    with pytest.raises(RnnaudioError, match="1 experiments failed: last-day"):
        runner.run_all(smoke=True)


def test_all_runs_what_has_no_record_and_again_everything(monkeypatch, tmp_path):
    ran = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "run_apart", lambda name, arguments: ran.append((name, arguments)) is None)
    runner.run_all()
    assert ran == [("draw-piano", ("--attention",))]
    ran.clear()
    runner.run_all(again=True)
    assert ran == [(e.name, run.arguments) for e in ALL if e.post for run in e.runs]
    assert not {name for name, _ in ran} & {"bench", "music-strings", "verify"}


@pytest.mark.slow
@pytest.mark.skipif(engine.NAME == "theano", reason="as the tests of experiments")
def test_a_run_apart_is_a_process_of_its_own(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert runner.run_apart("timit", ("--help",))
    assert "usage: rnnaudio experiment run timit" in capfd.readouterr().out
    assert not runner.run_apart("timit", ())


def test_what_is_made_again_is_set_aside_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("last-week", "fourier-2016-gru"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    monkeypatch.setattr(runner, "run_apart", lambda name, arguments: True)
    runner.run_all(again=True)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "fourier-2016-gru.before",
        "last-week.before",
    ]
    (tmp_path / "runs" / "last-week").mkdir()
    with pytest.raises(RnnaudioError, match=r"last-week\.before is still there: remove it or move it away"):
        runner.run_all(again=True)
    assert (tmp_path / "runs" / "last-week").exists()
