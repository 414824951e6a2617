"""Foreign text reaches no terminal raw: names of files, titles in corpora, and records of runs."""

import json
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
from tests.support.tiny_runs import tiny_run

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


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """A folder with a name that a terminal would obey: with a corpus, a run, and the key and votes of a comparison."""
    folder = tmp_path_factory.mktemp("typed") / f"x\x1b[A{EVIL}"
    folder.mkdir()
    tiny_run(folder, "run")
    shutil.copytree(folder / "run", folder / "other")
    (folder / "a.key.json").write_text(json.dumps({"page": "0", "clips": {"A": str(folder / "run")}}))
    (folder / "votes.json").write_text(json.dumps({"page": "0", "votes": {"A": 3}}))
    (folder / "space.toml").write_text(SPACE)
    write_wav(folder / "prime.wav", music(0, 2.0), RATE)  # at another rate than the run: a note says so
    return folder


SPACE = """
recipe = "frames"
frame_size = 40
n_steps = 5
batch_size = 4
max_updates = 2
validate_every = 1
search.model.n_units = [4, 6]
sweep.n_trials = 1
"""
TRAIN = "--recipe frames --frame-size 40 --n-steps 5 --batch-size 4 --max-updates 2 --validate-every 1 --n-units 4"


@pytest.mark.parametrize(
    "words",
    [
        "runs @",
        "votes @/a.key.json @/votes.json @/none.json",
        "pack @/run @/run.zip",
        "generate @/run @/out.wav --seconds 0.2 --streams 2",
        "generate @/run @/on.wav --seconds 0.2 --prime-file @/prime.wav",
        "watch @/run",
        "corpus merge @/both.h5 @/corpus.h5 @/corpus.h5",
        "corpus list @/corpus.h5",
        pytest.param("resume @/run", marks=pytest.mark.slow),
        pytest.param("compare @ @/none -o @/page.html --seconds 0.2 --blind", marks=pytest.mark.slow),
        pytest.param("compare @ -o @/open.html --seconds 0.2", marks=pytest.mark.slow),
        pytest.param("diagnose @/run", marks=pytest.mark.slow),
        pytest.param("report @/run", marks=pytest.mark.slow),
        pytest.param("export @/run @/out.onnx", marks=pytest.mark.slow),
        pytest.param(f"train @/corpus.h5 @/new --from @/run {TRAIN}", id="train --from", marks=pytest.mark.slow),
        pytest.param("sweep @/space.toml @/corpus.h5 @/swept", marks=pytest.mark.slow),
    ],
)
def test_a_path_that_was_typed_is_shown_on_one_line_and_not_obeyed(typed, command, words):
    _, out, err = command(*(word.replace("@", str(typed)) for word in words.split()))
    assert not obeyed(out) and not obeyed(err.replace("\r", "")), (out, err)
    assert "\nrnnaudio: fake" not in out + err and "\x1b[A" not in out + err, (out, err)
    if not words.startswith("runs"):  # which lists what is below the folder
        assert r"owned\x07\nrnnaudio: fake" in out + err, (out, err)


def test_a_page_shows_a_path_on_one_line(typed, tmp_path, command):
    """As a browser would show a line break and a blank line as such, in text and in a command to be typed."""
    assert command("compare", typed, "-o", tmp_path / "page.html", "--seconds", 0.2)[0] == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert r"owned\x07\nrnnaudio: fake" in page and "\nrnnaudio: fake" not in page


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
