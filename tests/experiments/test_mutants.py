"""The mutation tool on sources and a toy package made here: what it plants, what it leaves alone, what it finds."""

import ast
import json
from pathlib import Path

import pytest

from experiments.proofs.covering_tests import Covering
from experiments.proofs.likely_tests import Imports
from experiments.proofs.mutant_runs import Baseline, Tree, importers
from experiments.proofs.mutants import Options, Search, summary, table
from experiments.proofs.mutations import Mutation, changes, mutations_of, sample
from rnnaudio import progress
from rnnaudio.errors import RnnaudioError


def planted(source, kind):
    """The lines that mistakes of a kind make of one line."""
    return sorted(m.applied(source) for m in mutations_of(source) if m.kind == kind and changes(m, source))


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("y = a + b", "sign", ["y = a - b"]),
        ("y = a*(b)", "sign", ["y = a/(b)"]),
        ("y -= a", "sign", ["y += a"]),
        ("y = -a", "sign", ["y = a"]),
        ("y = a + b", "term", ["y = (a)", "y = (b)"]),
        ("y = a - b", "term", ["y = (a)"]),
        ("y = x[1]", "off by one", ["y = x[0]", "y = x[2]"]),
        ("y = x[:n]", "slice", ["y = x[1:n]", "y = x[:(n) + 1]", "y = x[:(n) - 1]"]),
        ("y = x[2:]", "slice", ["y = x[2:-1]"]),
        ("y = f(x, axis=0)", "axis", ["y = f(x, axis=1)"]),
        ("y = f(x, axis=-1)", "axis", ["y = f(x, axis=0)"]),
        ("y = a < b", "comparison", ["y = a <= b"]),
        ("y = a not in b", "comparison", ["y = a in b"]),
        ("y = np.maximum(a, b)", "opposite", ["y = np.minimum(a, b)"]),
        ("y = a and b", "opposite", ["y = a or b"]),
        ("y = f(a, keepdims=True)", "opposite", ["y = f(a, keepdims=False)"]),
        ("y = a if c else b", "condition", ["y = a if not (c) else b"]),
        ("y = [a for a in x if a]", "condition", ["y = [a for a in x if not (a)]"]),
        ("if a:\n    raise E", "check", ["if False:\n    raise E"]),
        ("i, f = np.split(z, 2)", "swap", ["f, i = np.split(z, 2)"]),
        ("y = f(a, b)", "swap", ["y = f(b, a)"]),
        ("y = np.empty((n, m))", "swap", ["y = np.empty((m, n))"]),
        ("run(a)", "statement", ["pass"]),
        ("self.a = b", "statement", ["pass"]),
    ],
)
def test_what_is_planted(source, kind, expected):
    assert planted(source, kind) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring with 1 + 1."""',
        "def f(x: Array[1]) -> Array[2]: ...",
        "from a import b",
        "@njit(fastmath=True)\ndef f(): ...",
        "assert a + b == 2",
        'raise ValueError(f"{n + 1} of {n}")',
        'print("a" + "b", 1)',
        "class C:\n    def __repr__(self):\n        return self.a + 1",
        'y = draw(label=f"{n + 1}", title=1)',
        'if engine.NAME == "theano":\n    y = a + b',
        "__all__ = [1]",
        'y = "a" + b',
        "try:\n    y\nexcept (A, B):\n    y",
        "with suppress(A, B):\n    y",
        "LEAST_WORK = 2 * 1000",
        "class Options:\n    n_units: int = 100",
        "def f(x, n_epochs=100): ...",
        "y = zip(a, strict=True)",
    ],
)
def test_what_is_left_alone(source):
    assert mutations_of(source) == []


def test_a_mistake_is_told_as_a_diff_and_the_rest_of_the_file_stays():
    source = "# é\ny = (\n    a  # why\n    + b\n)\nz = c * d  # and\n"
    (flipped,) = [m for m in mutations_of(source) if m.kind == "sign" and m.line == 6]
    assert flipped.applied(source) == source.replace("c * d", "c / d")
    assert flipped.diff(source) == "-z = c * d  # and\n+z = c / d  # and"


def test_a_sample_is_decided_by_its_seed_and_begins_every_larger_one():
    sources = {f"{k}.py": f"def f(a, b):\n    x = a + {k}\n    return x * b\n" for k in range(9)}
    few, many = sample(sources, 4, 1), sample(sources, 12, 1)
    assert many[:4] == few == sample(dict(reversed(sources.items())), 4, 1) and sample(sources, 4, 2) != few
    places = [(path, mutation.line) for path, mutation in many]
    assert len(set(places)) == 12
    assert all(ast.parse(mutation.applied(sources[path])) for path, mutation in many)


# ---------------------------------------------------------------- a toy package

TOY = {
    "toy/__init__.py": "from toy.sums import total\n",
    "toy/sums.py": "def total(a, b):\n    return a + b\n",
    "toy/unchecked.py": "def double(a):\n    return a * 2\n",
    "toy/endless.py": "def steps(n):\n    k = 0\n    while k < n:\n        k += 3\n    return k\n",
    "toy/deep.py": "from toy import sums\n\n\ndef doubled(a):\n    return sums.total(a, a)\n",
    "tests/test_sums.py": "from toy import total\n\n\ndef test_total():\n    assert total(2, 3) == 5\n\n\n"
    "def test_that_fails_anyway():\n    assert False\n",
    "tests/test_other.py": "from toy import deep, endless, unchecked\n\n\ndef test_steps():\n"
    "    assert endless.steps(5) == 6 and unchecked.double(0) == 0\n",
    "toy/rare.py": "def half(a):\n    return a / 2\n",
    "tests/test_rare.py": "import pytest\n\nfrom toy import rare\n\n\n@pytest.mark.slow\ndef test_half():\n"
    "    assert rare.half(3) == 1.5\n",
    "setup.cfg": "[tool:pytest]\nmarkers =\n    slow: later\n",
}


@pytest.fixture
def toy(tmp_path):
    for name, content in TOY.items():
        path = tmp_path / "toy-root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "toy-root"


def test_likely_tests_are_those_of_the_name_then_those_that_import(toy):
    imports = Imports(toy, ("toy", "tests"))
    assert imports.likely("toy/sums.py") == ["tests/test_sums.py", "tests/test_other.py"]  # through toy.deep
    assert imports.likely("toy/endless.py") == ["tests/test_other.py"]


def test_likely_tests_of_the_package(request):
    imports = Imports(Path(request.config.rootpath), ("rnnaudio", "tests"))
    assert imports.likely("rnnaudio/nn/recurrent.py")[0] == "tests/nn/test_recurrent.py"
    assert imports.likely("rnnaudio/optimizers.py")[0] == "tests/test_optimizers.py"
    assert "tests/nn/test_recurrent.py" in imports.likely("rnnaudio/kernels/lstm.py")


@pytest.mark.slow
@pytest.mark.long
def test_a_mistake_that_is_tested_is_caught_and_one_that_is_not_survives(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)  # a line each time
    options = Options(n=20, jobs=2, folder=tmp_path / "found", only=("sums", "unchecked", "rare"))
    before = {name: (toy / name).read_text() for name in TOY}
    rows = Search(toy, ("toy",), options).run()
    assert {(row["path"], row["caught"], row["by"], row["among"]) for row in rows} == {
        ("toy/sums.py", True, "tests/test_sums.py::test_total", "likely"),
        ("toy/unchecked.py", False, "", ""),
        ("toy/rare.py", True, "tests/test_rare.py::test_half", "slow"),
    }
    out, err = capsys.readouterr()
    assert "toy/unchecked.py:2 " in out and "SURVIVED" in out and out.count("caught by") == 2
    assert [line.split(",")[0] for line in err.splitlines() if line.startswith("mistakes: ")] == [
        "mistakes: 33 % done", "mistakes: 67 % done", "mistakes: 100 % done",
    ]  # fmt: skip
    assert {name: (toy / name).read_text() for name in TOY} == before
    assert summary(rows)["by_module"] == {
        "toy/rare.py": (1, 1), "toy/sums.py": (1, 1), "toy/unchecked.py": (0, 1),
    }  # fmt: skip
    assert table(rows)[0] == "2 of 3 mistakes were caught, 1 by fast tests" and "toy/unchecked.py:2" in "\n".join(
        table(rows)
    )
    again = Search(toy, ("toy",), options).run()  # nothing is left to do
    assert again == rows and capsys.readouterr().out == ""
    (toy / "toy/sums.py").write_text(TOY["toy/sums.py"].replace("a + b", "b + a"))
    Search(toy, ("toy",), options).run()
    out, err = capsys.readouterr()
    assert "toy/sums.py:2 " in out and out.count("caught by") == 1 and "SURVIVED" not in out  # it alone is looked at
    assert "mistakes: 100 % done" in err
    with pytest.raises(RnnaudioError, match="no module of toy has nowhere in its path"):
        Search(toy, ("toy",), Options(only=("nowhere",)))


def test_files_of_tests_are_attributed_to_the_lines_they_execute():
    covering = Covering({
        "p/a.py": {"3": ["tests/test_a.py"], "7": ["tests/test_a.py", "tests/test_b.py"]},
        "p/kernels/k.py": {}, "p/kernels/l.py": {"4": ["tests/test_l.py"]},
    })  # fmt: skip
    assert covering.files("p/a.py", 3) == {"tests/test_a.py"}
    assert covering.files("p/a.py", 1) == {"tests/test_a.py", "tests/test_b.py"}  # a constant: all of the module
    assert covering.files("p/kernels/k.py", 9, ["p/kernels/k.py", "p/kernels/l.py"]) == {"tests/test_l.py"}
    assert covering.files("p/unknown.py", 9) == set()


@pytest.mark.slow
@pytest.mark.long
def test_what_hangs_crashes_or_cannot_be_imported_is_caught(toy, tmp_path, monkeypatch):
    tree = Tree(toy, tmp_path / "copy")
    files = ["tests/test_other.py", "tests/test_sums.py"]
    baseline = Baseline.of(tree, files)
    assert baseline.failing == ["tests/test_sums.py::test_that_fails_anyway"]
    assert tree.caught("toy/sums.py", TOY["toy/sums.py"], files, baseline, "full") == ""
    endless = TOY["toy/endless.py"]
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    assert tree.caught("toy/endless.py", crash, files, baseline, "full") == "pytest ended with status -11"
    assert "test_other" in tree.caught("toy/endless.py", "import nothing_of_this_name", files, baseline, "full")
    assert tree.caught("toy/endless.py", endless, files, baseline, "full") == ""  # and nothing of it is left
    with monkeypatch.context() as patch:
        patch.setattr("experiments.proofs.mutant_runs.START_SECONDS", 4.0)
        assert "no end after 4 s" in tree.caught(
            "toy/endless.py", endless.replace("+=", "-="), files, baseline, "full"
        )
    measured = json.loads((tmp_path / "baseline.json").read_text())
    assert {file: row["state"] for file, row in measured.items()} == {file: tree.state(file) for file in files}
    (toy / files[0]).write_text(TOY[files[0]] + "\n")
    assert Tree(toy, tmp_path / "copy").state(files[0]) != tree.state(files[1])
    assert tree.state(files[1]) == measured[files[1]]["state"] and tree.state(files[0]) != measured[files[0]]["state"]


def test_compiled_kernels_are_used_again_where_a_mistake_cannot_reach_them(request):
    kernels = Path(request.config.rootpath) / "rnnaudio" / "kernels"
    assert importers(kernels / "lstm.py") == {"lstm", "draw_steps", "draw"}
    assert {"lstm", "gru", "memory_lstm", "draw_steps", "draw", "dense"} <= importers(kernels / "activations.py")
    every = {path.stem for path in kernels.glob("*.py") if "@njit" in path.read_text()}
    assert every <= importers(kernels / "compile.py")
    assert "lstm" not in importers(kernels / "attention.py") and "draw" in importers(kernels / "attention.py")


def test_a_mutation_counts_in_bytes():
    assert Mutation(1, "sign", 6, 7, "-").applied("é = a+b") == "é = a-b"
