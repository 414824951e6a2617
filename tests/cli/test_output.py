"""Output that cannot show a text, cannot be written, or is closed: no traceback, least of all after hours of work."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnaudio.audio import write_wav
from rnnaudio.cli import main
from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.training import checkpoint

FULL = Path("/dev/full")
NO_TEXT = os.fsdecode(b"k\xe9.wav")  # \udce9 in it stands for a byte that is no UTF-8
SMALL = ["--frame-size", "40", "--n-steps", "5", "--batch-size", "2", "--n-units", "6", "--max-updates", "2"]
needs_a_full_device = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def printed(monkeypatch, encoding, errors, *arguments):
    """(exit status, stdout as bytes) of a command whose terminal has this encoding."""
    content = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding, errors))
        patch.setattr(sys, "argv", ["rnnaudio", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
        return status, content.getvalue()


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """A folder of recordings whose names are Greek, Japanese and, where the file system has such names, no text."""
    folder = tmp_path_factory.mktemp("output") / "ήχος"
    folder.mkdir()
    t = np.arange(24_000) / 8000
    for k, name in enumerate(("かな.wav", "é.wav", NO_TEXT)):
        try:
            write_wav(folder / name, 0.3 * np.sin(2 * np.pi * (200 + 70 * k) * t), 8000)
        except OSError:
            write_wav(folder / "third.wav", 0.3 * np.sin(2 * np.pi * 340 * t), 8000)
    (folder / "bröken.wav").write_text("no sound")
    return folder


@pytest.mark.parametrize(
    "later",
    [
        (),
        pytest.param(("train", "report", "generate", "diagnose"), marks=pytest.mark.slow),
    ],
)
def test_commands_end_well_on_a_terminal_that_cannot_show_their_texts(monkeypatch, music, tmp_path, later):
    corpus, run, sound = tmp_path / "かな.h5", tmp_path / os.fsdecode(b"r\xe9n"), tmp_path / "かな.wav"
    words = {
        "build": ("corpus", "build", music, corpus, "--sample-rate-hz", 8000),
        "info": ("corpus", "info", corpus),
        "train": ("train", corpus, run, *SMALL),
        "report": ("report", run, "--seconds", 0.2),
        "generate": ("generate", run, sound, "--seconds", 0.2),
        "diagnose": ("diagnose", run),
    }
    for name in ("build", "info", *later):
        status, out = printed(monkeypatch, "ascii", "strict", *words[name])
        assert status == 0 and (name not in ("build", "info", "generate") or b"\\u304b\\u306a" in out), out
    assert not later or (run / "report.html").exists()


@pytest.mark.parametrize(
    ("encoding", "errors", "shown"),
    [
        ("utf-8", "strict", b"\xe3\x81\x8b \\udce9"),
        ("utf-8", "surrogateescape", b"\xe3\x81\x8b \\udce9"),
        ("ascii", "surrogateescape", b"\\u304b \\udce9"),
        ("ascii", "replace", b"? ?"),  # chosen by the user
        ("ascii", "ignore", b" "),
    ],
)
def test_what_the_encoding_lacks_is_escaped_unless_the_user_chose_another_way(monkeypatch, encoding, errors, shown):
    content = io.BytesIO()
    output = io.TextIOWrapper(content, encoding, errors)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", output)
        run_command(lambda: print("か \udce9", end=""), "rnnaudio")
    assert content.getvalue() == shown


# ---------------------------------------------------------------- output that cannot be written


def rnnaudio(*arguments, **options):
    code = "from rnnaudio.cli import main; main()"
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, stderr=subprocess.PIPE, text=True, timeout=120, check=False, **options)


@needs_a_full_device
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", [("defects",), ("--help",), ("train", "--help"), ("experiment", "list"), ("completion", "bash")]
)
def test_a_full_disk_behind_the_output_is_told_in_one_line(words, unbuffered):
    with FULL.open("w") as full:
        done = rnnaudio(*words, stdout=full, env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 2
    assert done.stderr == "rnnaudio: cannot write to standard output: No space left on device; send it elsewhere\n"


@pytest.mark.slow
@needs_a_full_device
@pytest.mark.parametrize(
    "words", [("info",), ("corpus", "list"), ("corpus", "info"), ("experiment", "table"), ("generate",)]
)
def test_so_it_is_in_every_command(words, tmp_path):
    old = Path(__file__).parents[1] / "support" / "old_runs"
    more = {
        "corpus": [old / "corpus.hdf5"],
        "generate": [old / "lstm", tmp_path / "x.wav", "--corpus", old / "corpus.hdf5", "--prime-seconds", ".2"],
    }
    with FULL.open("w") as full:
        done = rnnaudio(*words, *more.get(words[0], []), stdout=full)
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith("cannot write to standard output: No space left on device; send it elsewhere\n")
    assert "Traceback" not in done.stderr


@needs_a_full_device
def test_what_cannot_be_written_to_standard_error_is_lost_and_nothing_else(monkeypatch):
    done = []
    with FULL.open("w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full)
        run_command(lambda: done.append(print("note: read by nobody", file=sys.stderr, flush=True)), "rnnaudio")
        with pytest.raises(SystemExit) as end:
            run_command(lambda: (_ for _ in ()).throw(RnnaudioError("no")), "rnnaudio")
    assert done == [None] and end.value.code == 2


@pytest.mark.slow
@needs_a_full_device
def test_training_ends_before_its_first_update_if_its_output_cannot_be_written(monkeypatch, music, tmp_path):
    corpus, run = tmp_path / "a.h5", tmp_path / "run"
    assert printed(monkeypatch, "utf-8", "strict", "corpus", "build", music, corpus)[0] == 0
    with FULL.open("w") as full:
        done = rnnaudio("train", corpus, run, *SMALL, stdout=full)
    assert done.returncode == 2 and not checkpoint.path_in(run).exists()
    assert "cannot write to standard output" in done.stderr and "Traceback" not in done.stderr


def test_another_error_of_the_system_is_not_taken_for_one_of_the_output(capsys):
    def fails():
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        run_command(fails, "rnnaudio")


def test_a_command_runs_whose_output_is_closed(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        done = []
        run_command(lambda: done.append(print("read by nobody")), "rnnaudio")
        assert done == [None]  # it went on after what it printed
        sys.stdout.close(), sys.stderr.close()
