"""Surroundings that are not as usual: no home folder, caches that cannot be written, a compiler of no use."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rnnaudio import blas, caches, notes
from rnnaudio.engine import compiler
from tests.support.processes import HERE, run_python

ENGINE = "from rnnaudio import engine; print('has', engine.HAS_COMPILER, 'mode', engine.MODE)"
FLAGS = f"{HERE['RNNAUDIO_ENGINE'].upper()}_FLAGS"
TRAIN = """
import sys
from rnnaudio.cli import main
from rnnaudio.data.demo import build_demo_corpus
build_demo_corpus("{folder}/c.h5")
sys.argv = ["rnnaudio", "train", "{folder}/c.h5", "{folder}/run", "--n-units", "4", "--frame-size", "40",
            "--n-steps", "5", "--max-updates", "2"]
main()
"""


@pytest.fixture
def noted(monkeypatch):
    """The notes that the test makes."""
    monkeypatch.setattr(notes, "_notes", made := [])
    return made


@pytest.fixture
def no_folder(tmp_path):
    """A path that cannot be made, not even by root: it is below a file."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "home"


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
@pytest.mark.parametrize(
    ("text", "left", "is_noted"),
    [
        ("4,2", "4", False),  # a list, a number for each level of nesting
        (" 3 , 1", "3", False),
        ("2", "2", False),
        ("", None, False),
        ("  ", None, False),
        ("0", None, True),
        ("-1", None, True),
        ("abc", None, True),
        ("1.5", None, True),
        ("²", None, True),
        (",2", None, True),
    ],
)
def test_a_number_of_threads_is_read_and_anything_else_is_ignored_with_a_note(noted, variable, text, left, is_noted):
    environment = {variable: text, "OTHER": "abc"}
    blas.mend_threads(environment)
    assert environment == {"OTHER": "abc"} | ({variable: left} if left else {})
    expected = f"{variable} is {text!r} and ignored; expected a number of threads, 1 or more"
    assert noted == [expected] * is_noted


def test_no_variables_of_threads_are_left_alone(noted):
    environment = {}
    blas.mend_threads(environment)
    assert environment == {} and noted == []


@pytest.mark.parametrize(("threads", "n_notes"), [("4,2", 0), ("abc", 2)])
def test_the_engine_starts_with_odd_numbers_of_threads(threads, n_notes):
    status, out = run_python(ENGINE, **HERE, OMP_NUM_THREADS=threads, NUMBA_NUM_THREADS=threads.replace("abc", "0"))
    assert status == 0 and out.count("note: ") == n_notes and "has" in out, out


# ---------------------------------------------------------------- caches


def test_caches_that_can_be_written_stay_where_they_are(noted, tmp_path):
    variables = {"HOME": str(tmp_path)}
    caches.replace_unwritable(variables)
    assert variables == {"HOME": str(tmp_path)} and noted == [] and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("chosen", "replaced"),
    [
        ("HOME", {"NUMBA_CACHE_DIR", "PYTENSOR_FLAGS", "MPLCONFIGDIR"}),
        ("XDG_CACHE_HOME", {"NUMBA_CACHE_DIR", "MPLCONFIGDIR"}),
        ("XDG_CONFIG_HOME", {"MPLCONFIGDIR"}),
        ("NUMBA_CACHE_DIR", {"NUMBA_CACHE_DIR"}),
        ("MPLCONFIGDIR", {"MPLCONFIGDIR"}),
        ("PYTENSOR_FLAGS", {"PYTENSOR_FLAGS"}),
    ],
)
def test_each_cache_that_cannot_be_written_is_replaced_and_named_once(
    noted, monkeypatch, tmp_path, no_folder, chosen, replaced
):
    monkeypatch.setattr(caches, "temporary_folder", lambda: tmp_path / "temporary")
    value = f"floatX=float64,base_compiledir={no_folder}" if chosen.endswith("FLAGS") else str(no_folder)
    given = {"HOME": str(tmp_path), chosen: value}
    variables = dict(given)
    caches.replace_unwritable(variables)
    assert {name for name in variables if variables[name] != given.get(name)} == replaced
    for name in replaced - {"PYTENSOR_FLAGS"}:
        assert variables[name] == str(tmp_path / "temporary")
    if "PYTENSOR_FLAGS" in replaced:
        others = ["floatX=float64"] if chosen == "PYTENSOR_FLAGS" else []
        assert variables["PYTENSOR_FLAGS"].split(",") == [*others, f"base_compiledir={tmp_path / 'temporary'}"]
    assert len(noted) == 1 and str(no_folder) in noted[0] and f"kept in {tmp_path / 'temporary'}" in noted[0]


def test_a_folder_of_compiled_graphs_that_another_user_made_is_replaced(noted, monkeypatch, tmp_path):
    made = tmp_path / ".pytensor" / "compiledir_by_sudo"
    made.mkdir(parents=True)
    monkeypatch.setattr(caches, "can_be_written", lambda folder: folder != made)
    monkeypatch.setattr(caches, "temporary_folder", lambda: tmp_path / "temporary")
    variables = {"HOME": str(tmp_path)}
    caches.replace_unwritable(variables)
    assert variables["PYTENSOR_FLAGS"] == f"base_compiledir={tmp_path / 'temporary'}" and len(noted) == 1


def test_folders_that_can_be_written_or_made(tmp_path, no_folder, monkeypatch):
    assert caches.can_be_written(tmp_path) and caches.can_be_written(tmp_path / "a" / "b")
    assert not caches.can_be_written(no_folder) and not caches.can_be_written(no_folder.parent)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert not caches.can_be_written(tmp_path) and not caches.can_be_written(tmp_path / "a")


def test_the_temporary_folder_is_found_again_unless_another_could_write_to_it(monkeypatch, tmp_path):
    monkeypatch.setattr(caches.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(caches.tempfile, "tempdir", str(tmp_path))
    folder = caches.temporary_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and caches.temporary_folder() == folder
    folder.chmod(0o777)
    assert caches.temporary_folder() not in (folder, caches.temporary_folder())
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert caches.temporary_folder() != folder


NO_ACCOUNT = """
import os, pwd
os.environ.pop("HOME", None)
def of_nobody(*_): raise KeyError("uid not found")
pwd.getpwuid = of_nobody
"""


@pytest.mark.slow
@pytest.mark.parametrize("account", ["", NO_ACCOUNT], ids=["home cannot be written", "no account"])
def test_engine_kernels_and_plots_are_there_without_a_home_folder(tmp_path, no_folder, account):
    code = account + ENGINE + "; from rnnaudio import kernels, plots; from rnnaudio.kernels import compile; "
    code += "print(compile.CACHE_FOLDER); import subprocess, sys; "
    code += f"subprocess.run([sys.executable, '-c', {ENGINE!r}])"  # a child does not repeat the note
    environment = {"HOME": str(no_folder), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    status, out = run_python(code, **HERE, **environment, NUMBA_CACHE_DIR="", MPLCONFIGDIR="", **{FLAGS: ""})
    *printed, note = out.splitlines()  # stderr follows stdout
    assert status == 0 and note.startswith("note: ") and f"kept in {tmp_path}/rnnaudio-" in note, out
    (folder,) = [line for line in printed if not line.startswith("has ")]
    assert len(printed) == 3 and Path(folder).is_relative_to(tmp_path)


@pytest.mark.slow
@pytest.mark.long
def test_a_run_is_trained_without_a_home_folder(tmp_path, no_folder):
    environment = {"HOME": str(no_folder), "XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": "", "MPLCONFIGDIR": "", FLAGS: ""}
    status, out = run_python(TRAIN.format(folder=tmp_path), **HERE, **environment, TMPDIR=str(tmp_path))
    assert status == 0 and "Traceback" not in out and (tmp_path / "run/report.html").exists(), out
    assert out.count("note: ") == 1 and "atplotlib" not in out


# ---------------------------------------------------------------- the compiler


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


FAILS = """for argument; do case "$argument" in -v|--version|-dumpversion|-E) exit 0 ;; esac; done
echo "In file included from -:1:" >&2
echo "-:1:10: fatal error: Python.h: No such file or directory" >&2
exit 1"""


@pytest.mark.skipif(sys.platform == "darwin", reason="PyTensor asks for clang++ there")
def test_a_compiler_that_cannot_link_is_told_once_and_left_out(tmp_path):
    program(tmp_path / "bin/g++", FAILS)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    code = ENGINE + "; import numpy as np; x = engine.tensor('x', 1); print(engine.function([x], 2 * x)([1.0]))\n"
    code += f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ENGINE!r}])"
    status, out = run_python(code, **HERE, PATH=path, **{FLAGS: f"base_compiledir={tmp_path}"})
    *printed, note = out.splitlines()  # stderr follows stdout
    assert status == 0 and sorted(printed) == ["[2.]", "has False mode python", "has False mode python"], out
    assert note.startswith("note: going on as without a C++ compiler: ")
    assert "fatal error: Python.h: No such file" in note and "is python3-dev missing?" in note


def test_a_compiler_of_use_is_tested_once(noted, monkeypatch, tmp_path):
    called = tmp_path / "called"
    works = program(tmp_path / "bin/cxx", f'echo x >> {called}\nfor last; do :; done\ntouch "$last"')
    variables = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTENSOR_FLAGS": f"cxx={works}"}
    for _ in range(2):
        compiler.leave_out_useless_compiler(variables, "pytensor")
    assert noted == [] and variables["PYTENSOR_FLAGS"] == f"cxx={works}"
    assert len(called.read_text().splitlines()) == 1
    program(works, "exit 1")  # replaced by another
    compiler.leave_out_useless_compiler(variables, "pytensor")
    assert variables["PYTENSOR_FLAGS"] == "cxx=" and len(noted) == 1 and "exit status 1" in noted[0]
    compiler.leave_out_useless_compiler(variables, "pytensor")
    assert len(noted) == 1  # the user, or a parent process, has left it out already


def test_a_compiler_that_is_not_there_is_named(noted):
    variables = {"PYTENSOR_FLAGS": "cxx=/no/such/g++,floatX=float64"}
    compiler.leave_out_useless_compiler(variables, "pytensor")
    assert variables == {"PYTENSOR_FLAGS": "floatX=float64,cxx="}
    assert noted == [
        "going on as without a C++ compiler: PYTENSOR_FLAGS has cxx=/no/such/g++, and there is no such program"
    ]


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_a_real_compiler_is_of_use_if_it_can_make_a_module(name, tmp_path):
    """The oracle is setuptools' own way: compile with the flags of this Python, then load the module."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"no {name}")
    (tmp_path / "m.cpp").write_text("#include <Python.h>\nint answer() { return PyLong_AsLong(PyLong_FromLong(42)); }")
    include = compiler.sysconfig.get_config_var("INCLUDEPY")
    command = [found, "-shared", "-fPIC", f"-I{include}", str(tmp_path / "m.cpp"), "-o", str(tmp_path / "m.so")]
    works = subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert (compiler.why_useless(found) == "") == works


def test_flags_of_the_engine():
    flags = "floatX=float32, cxx = a ,base_compiledir=/b=c"
    assert [caches.flag(flags, name) for name in ("cxx", "base_compiledir", "mode")] == ["a", "/b=c", None]
    assert caches.flag("cxx=a,cxx=", "cxx") == "" and caches.flag("", "cxx") is None
    assert caches.with_flag(flags, "cxx", "") == "floatX=float32,base_compiledir=/b=c,cxx="
    assert caches.with_flag("", "cxx", "") == "cxx="
