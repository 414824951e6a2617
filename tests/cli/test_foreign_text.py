"""Foreign text reaches no terminal raw: names of files, titles in corpora, and records of runs."""

import shutil
import unicodedata
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnaudio.audio import write_wav
from rnnaudio.data import AudioCorpus
from rnnaudio.training import checkpoint
from tests.support.recordings import music

RATE = 8000
EVIL = "evil\x1b[2J\x1b]0;owned\x07\nrnnaudio: fake\r\x9b\u202etxt\u2028"
OLD = Path(__file__).parents[1] / "support" / "old_runs"


def obeyed(text):
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Zl", "Zp")} | (
        {"\u202e", "\u2066"} & set(text)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign") / "music"
    folder.mkdir()
    for k in range(6):
        write_wav(folder / f"{k}{EVIL}.wav", music(k, 3.0), RATE)
    (folder / f"bad{EVIL}.wav").write_bytes(b"RIFF")
    (folder / "k\udce9.wav").write_bytes(b"RIFF")
    return folder


def test_names_of_files_and_titles_are_shown_and_not_obeyed(folder, tmp_path, command):
    path = tmp_path / f"{EVIL}.h5"
    for arguments in (
        ("build", folder, path, "--sample-rate-hz", RATE),
        ("build", folder, path, "--sample-rate-hz", RATE),  # it exists
        ("list", path),
        ("info", path),
        ("remove", path, EVIL),
        ("add", path, tmp_path / EVIL),
        ("list", tmp_path / EVIL),
    ):
        _, out, err = command("corpus", *arguments)
        assert not obeyed(out) and not obeyed(err), (arguments, out, err)
        assert "\nrnnaudio: fake" not in out + err, arguments
        assert r"owned\x07" in out + err, arguments
    with AudioCorpus.open(path) as corpus:
        assert not any(obeyed(piece.title) or "\n" in piece.title for piece in corpus.pieces)


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(EVIL, id="controls", marks=pytest.mark.slow),
        pytest.param(b"caf\xe9 \x1b[2J", id="no UTF-8"),
        pytest.param("\ud800", id="surrogate", marks=pytest.mark.slow),
    ],
)
def test_titles_that_others_wrote_are_shown_and_not_obeyed(folder, tmp_path, command, title):
    path = tmp_path / "c.h5"
    assert command("corpus", "build", folder, path, "--sample-rate-hz", RATE)[0] == 0
    content = title if isinstance(title, bytes) else title.encode("utf-8", "surrogatepass")
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1  # whose texts no sum protects
        for piece in file["pieces"].values():
            piece.attrs.create("title", np.array(content, object), dtype=h5py.string_dtype())
        file.attrs["notes"] = '["' + r"a note\u001b[2J\n" + '"]'
    for words in (("list",), ("info",)):
        status, out, err = command("corpus", *words, path)
        assert status == 0 and not obeyed(out) and not obeyed(err), (out, err)
        assert "fake\n" not in out and "\\x" in out


@pytest.mark.slow
def test_the_record_of_a_run_is_shown_and_not_obeyed(tmp_path, command):
    run_dir = shutil.copytree(OLD / "lstm", tmp_path / "run")
    saved = checkpoint.load(checkpoint.path_in(run_dir))
    saved.record["config"]["corpus"]["path"] = saved.record["stopping"]["reason"] = EVIL
    saved.record["stopping"]["should_stop"] = True
    saved.record["config"]["defects"] = [EVIL]
    saved.record["broke_down"] = EVIL
    checkpoint.save(checkpoint.path_in(run_dir), saved)
    (run_dir / "report.html").touch()
    for words in (("generate", run_dir, tmp_path / "x.wav"), ("resume", run_dir), ("report", run_dir)):
        status, out, err = command(*words)
        assert status == 2 and not obeyed(out + err) and len(err.splitlines()) == 1 and r"owned\x07" in err, (out, err)
