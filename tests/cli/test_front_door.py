"""The front door: every command in its group, with help and an example; completion; settings of presets and files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnaudio import engine
from rnnaudio.cli.app import COMMANDS, GROUPS, PROGRAM
from rnnaudio.runs.frames.cells import CELLS
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.recipes import RECIPES
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.settings import chosen
from rnnaudio.training import EarlyStopping, Run


def read_by_tyro():
    return [words for words, one in COMMANDS.items() if not one.raw]


# ---------------------------------------------------------------- help


def test_help_imports_nothing_that_takes_long():
    """NumPy alone would double its time."""
    program = (
        "import sys; sys.argv = ['rnnaudio', '--help']; from rnnaudio.cli import main; main();"
        "print(sorted({'numpy', 'scipy', 'pytensor', 'numba', 'h5py'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("\n[]\n")


def test_training_starts_without_what_only_a_report_needs():
    """Pictures, and what SciPy's signal and stats bring, take a second: they are imported after the training.

    Theano imports SciPy's parts by itself.
    """
    late = {"matplotlib", "pyloudnorm"} | (set() if engine.NAME == "theano" else {"scipy.signal", "scipy.stats"})
    program = f"import sys, rnnaudio.cli.training; print(sorted({late} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_help_groups_every_command_once_with_a_summary(command):
    status, out, _ = command("--help")
    assert status == 0 and out.startswith(f"usage: {PROGRAM} COMMAND ...\n")
    assert all(len(line) <= 80 for line in out.splitlines()), [line for line in out.splitlines() if len(line) > 80]
    listed, group = {}, None
    for line in out.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            group = line.removesuffix(":")
        elif line.startswith("  "):
            words, _, summary = re.fullmatch(r"  (\S+( \S+)?)  +(\S.*)", line).groups()
            assert words not in listed and summary[0].isupper() and not summary.endswith(".")
            listed[words] = group
    assert listed == {" ".join(words): one.group for words, one in COMMANDS.items()}
    assert sorted(set(listed.values()), key=GROUPS.index) == list(dict.fromkeys(listed.values()))
    assert {"train", "resume", "generate", "report", "demo", "diagnose", "preflight", "corpus build"} <= set(listed)


def test_no_command_and_a_short_option_print_the_same_help(command):
    assert command() == command("-h") == command("--help")


def test_every_command_has_help_with_an_example(command):
    command("--help")  # which makes them known
    for words in read_by_tyro():
        status, out, err = command(*words, "--help")
        assert status == 0 and out.startswith(f"usage: {PROGRAM} {' '.join(words)} "), err
        assert f"Example: {PROGRAM} " in out, words
        assert COMMANDS[words].summary.removesuffix(".") in " ".join(out.split()), words


def test_a_group_of_commands_lists_them(command):
    status, out, _ = command("corpus", "--help")
    assert status == 0 and all(f"• {name} " in out for name in ("build", "timit", "info"))


@pytest.mark.parametrize(
    ("recipe", "has", "has_not"),
    [
        ("frames", ("--cell", "--n-layers", "--peepholes"), ("--n-codes", "--frames")),
        ("codes", ("--n-codes", "--transpose"), ("--peepholes", "--frames")),
        ("samples", ("--frames", "--n-taps"), ("--peepholes", "--n-codes")),
    ],
)
def test_options_are_those_of_the_recipe_that_is_named(command, recipe, has, has_not):
    status, out, _ = command("train", "--recipe", recipe, "--help")
    options = set(re.findall(r"--[a-z][a-z-]*", out))
    assert status == 0 and set(has) <= options and not set(has_not) & options
    assert "(default: frames, or the recipe of --preset or --config)" in " ".join(out.replace("│", " ").split())


def test_help_has_no_markup(command):
    """Docstrings hold roles and literals for the reference; a terminal shows them raw."""
    command("--help")
    pages = [command(*words, "--help")[1] for words in read_by_tyro()]
    pages += [command("train", "--recipe", recipe, "--help")[1] for recipe in RECIPES]
    pages += [command("train", "--cell", cell, "--help")[1] for cell in CELLS]
    for page in pages:
        assert not re.search(r":[a-z]+:`|``", page), page


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--n-codes", "10"], "Unrecognized options: --n-codes; --n-codes is an option of --recipe codes;"),
        (["--n-codes=10"], "Unrecognized options: --n-codes; --n-codes is an option of --recipe codes;"),
        (["--n-levels", "-3"], "Unrecognized options: --n-levels; --n-levels is an option of --recipe samples;"),
        (
            ["--recipe", "samples", "--transpose", "1", "2", "--no-peepholes"],
            "Unrecognized options: --transpose, --no-peepholes; --transpose is an option of --recipe codes; "
            "--no-peepholes is an option of --cell lstm;",
        ),
        (["--recipe", "samples", "--n-layers", "2"], "--n-layers is an option of --recipe frames or --recipe codes;"),
        (["--fast", "3"], "Unrecognized options: --fast; --help"),
        (["--learning-rat", "3"], "Unrecognized options: --learning-rat; did you mean --learning-rate?"),
        (["--n-unit", "3"], "Unrecognized options: --n-unit; did you mean --n-units or --units?"),
        (["twice"], "an argument too many: twice; --help"),
        (["twice", "thrice", "--n-codes", "9"], "of --recipe codes; arguments too many: twice, thrice; --help"),
        (["--second", "3"], "Unrecognized options: --second; --help"),  # other commands have --seconds
    ],
)
def test_an_option_of_another_recipe_is_told(command, arguments, expected):
    status, _, err = command("train", "a.h5", "b", *arguments)
    assert status == 2 and expected in err and len(err.splitlines()) == 1


def test_other_commands_name_no_recipe(command):
    status, _, err = command("generate", "run", "x.wav", "--n-codes", "3")
    assert status == 2 and "Unrecognized options: --n-codes;" in err and "--recipe" not in err


def test_options_of_a_cell_are_those_of_the_cell_that_is_named(command):
    _, out, _ = command("train", "--cell", "memory-lstm", "--help")
    assert "--bounded-memory" in out and "--peepholes" not in out
    status, _, err = command("train", "a.h5", "b", "--cell", "gru", "--forget-bias", "2")
    assert status == 2 and "Unrecognized options: --forget-bias" in err


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize(("shell", "beginning"), [("bash", "complete "), ("zsh", "#compdef rnnaudio")])
def test_completion_prints_a_script_for_each_shell(command, tmp_path, shell, beginning):
    status, out, err = command("completion", shell)
    assert (status, err) == (0, "") and re.search(rf"^{beginning}", out, re.MULTILINE)
    assert all(name in out for name in ("train", "generate", "--sampling-seed", "diagnose"))
    if shutil.which(shell):
        (tmp_path / "script").write_text(out, encoding="utf-8")
        assert subprocess.run([shell, "-n", tmp_path / "script"], check=False).returncode == 0


def test_completion_for_another_shell_is_refused(command):
    status, _, err = command("completion", "fish")
    assert status == 2 and "'fish'" in err and "bash" in err and len(err.splitlines()) == 1


# ---------------------------------------------------------------- settings as they reach the training


@pytest.fixture
def trained(monkeypatch, command):
    """``trained("--preset", ...)``: the recipe's name and settings that `train CORPUS RUN` would train."""
    seen = []

    def fit(recipe, config, corpus, run_dir, **options):
        seen.append((recipe.name, config))
        return Run(EarlyStopping(3).initial(), reason="not trained")

    def no_outcome(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rnnaudio.runs.fit.fit", fit)
    monkeypatch.setattr("rnnaudio.runs.outcome.write_outcome", no_outcome)
    monkeypatch.setattr("rnnaudio.training.checkpoint.path_in", lambda run_dir: Path(__file__))  # one that exists

    def train(*arguments, name="train"):
        seen.clear()
        status, _, err = command(name, "corpus.h5", "run", *arguments)
        assert status == 130, err
        return seen[0]

    return train


def test_options_win_over_a_file_and_a_file_over_a_preset(trained, tmp_path):
    (tmp_path / "mine.toml").write_text("batch_size = 8\nminutes = 7\n[model]\nn_layers = 2\n")
    small = chosen(preset="lstm-small").config
    assert trained("--preset", "lstm-small") == ("frames", small)
    recipe, config = trained("--preset=lstm-small", "--config", tmp_path / "mine.toml", "--minutes", 3, "--n-units", 6)
    assert recipe == "frames" and (config.batch_size, config.minutes) == (8, 3.0)
    assert (config.model.n_layers, config.model.n_units, config.model.linear_skip) == (2, 6, 2)
    assert (config.optimizer, config.patience) == (small.optimizer, small.patience)


def test_a_file_and_a_preset_name_the_recipe(trained, tmp_path):
    (tmp_path / "mine.toml").write_text('recipe = "samples"\nn_units = 64\n')
    assert trained("--config", tmp_path / "mine.toml", "--n-taps", 8) == (
        "samples",
        SamplesConfig(n_units=64, n_taps=8),
    )
    assert trained("--preset", "music")[0] == "codes"
    assert trained() == ("frames", FramesConfig())


def test_music_is_train_with_codes(trained):
    arguments = ("--n-codes", 16, "--transpose", "-1", "1", "--no-join-pieces")
    recipe, config = trained(*arguments, name="music")
    assert (recipe, config) == trained("--recipe", "codes", *arguments)
    assert recipe == "codes" and (config.n_codes, config.transpose, config.join_pieces) == (16, (-1, 1), False)


def test_a_file_of_code_that_cannot_be_imported_is_named(command, tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "refused.py").write_text('from rnnaudio.runs.frames.cells import CELLS\nCELLS["no-such-cell"]\n')
    for name, message in (
        ("none.py", "expected a Python file that registers a cell or a recipe"),
        ("broken.py", "ModuleNotFoundError: No module named 'no_such_module_anywhere'; mend the file"),
        ("refused.py", "unknown cell 'no-such-cell'"),
    ):
        status, _, err = command("train", "a.h5", "b", "--import", tmp_path / name)
        assert status == 2 and message in err and len(err.splitlines()) == 1, err


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "rnnaudio", "--help"], capture_output=True, text=True, check=True)
    assert "train" in done.stdout and "corpus build" in done.stdout
