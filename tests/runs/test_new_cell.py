"""A new cell is one file with one line that registers it; it trains from the command line with its own options."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnaudio import engine
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Context
from rnnaudio.runs.frames.config import ModelConfig
from tests.support import leaky_cell

FILE = Path(leaky_cell.__file__)


def test_it_computes_its_equation():
    cell = leaky_cell.Leaky(3, 2, rng=np.random.default_rng(0), leak=0.25)
    x = np.random.default_rng(1).standard_normal((5, 4, 3)).astype(np.float32)
    symbol = engine.tensor("x", 3)
    y, _ = cell.unroll(symbol, cell.initial_state(symbol.shape[1]), Context.evaluation())
    h, expected = np.zeros((4, 2)), []
    for frame in x:
        h = 0.75 * h + 0.25 * np.tanh(frame @ cell.weight.get_value())
        expected.append(h)
    np.testing.assert_allclose(engine.function([symbol], y)(x), expected, atol=1e-6)


@pytest.mark.slow
def test_it_trains_and_plays_from_the_command_line(command, tmp_path):
    corpus = build_demo_corpus(tmp_path / "corpus.h5")
    run, small = tmp_path / "run", ("--frame-size", 40, "--n-steps", 4, "--batch-size", 4, "--n-units", 5)
    options = ("--cell", "leaky", "--leak", 0.3, "--max-updates", 2, "--validate-every", 1)
    status, _, err = command("train", corpus, run, "--import", FILE, *options, *small)
    assert status == 0, err
    text = (run / "config.toml").read_text()
    assert 'cell = "leaky"' in text and "leak = 0.3" in text
    status, _, err = command("generate", run, tmp_path / "out.wav", "--import", FILE, "--seconds", 1)
    assert status == 0, err
    # in a process that does not know the cell yet
    elsewhere = [sys.executable, "-c", "from rnnaudio.cli import main; main()", "defects", str(run)]
    without, named = (
        subprocess.run([*elsewhere, *rest], capture_output=True, text=True, check=False)
        for rest in ((), ("--import", str(FILE)))
    )
    assert without.returncode == 2 and without.stderr.rstrip().endswith("name its file with --import")
    assert named.returncode == 0, named.stderr


def test_its_options_are_listed_and_checked(command):
    status, out, _ = command("train", "--cell", "leaky", "--import", FILE, "--help")
    assert status == 0 and "--leak FLOAT" in out and "--peepholes" not in out
    status, _, err = command("train", "a.h5", "b", "--cell", "gru", "--leak", 0.3)
    assert status == 2 and "--leak" in err
    status, _, err = command("train", "a.h5", "b", "--cell", "leeky")
    assert status == 2 and "unknown cell 'leeky'; did you mean 'leaky'?" in err
    assert ModelConfig.of(cell="leaky", leak=0.5).options.arguments() == {"leak": 0.5}
    with pytest.raises(RnnaudioError, match="unknown setting 'leek' of LeakyOptions; did you mean 'leak'"):
        ModelConfig.of(cell="leaky", options={"leek": 0.5})


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "expected a Python file"), ("import nowhere", "ModuleNotFoundError"), ("1 +", "SyntaxError")],
)
def test_a_file_that_cannot_be_imported_is_one_line(command, tmp_path, content, message):
    file = tmp_path / f"cell_{message[:3]}.py"
    if content:
        file.write_text(content)
    status, _, err = command("train", "a.h5", "b", "--import", file)
    assert status == 2 and f"--import {file}: {message}" in err and err.count("\n") == 1
