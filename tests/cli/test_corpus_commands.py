"""Corpora from the command line: list, add, remove, merge, and a build that Ctrl-C breaks off."""

import pytest

from rnnaudio.audio import write_wav
from rnnaudio.audio.files import Decoder
from rnnaudio.data import AudioCorpus
from tests.support.recordings import music

RATE = 8000
SMALL = ["--frame-size", "40", "--n-steps", "5", "--batch-size", "2", "--n-units", "6", "--validate-every", "4"]


@pytest.fixture
def corpus(tmp_path, command):
    (tmp_path / "music").mkdir()
    for k in range(6):
        write_wav(tmp_path / "music" / f"{'abcdef'[k]}.wav", music(k, 3.0), RATE)
    assert command("corpus", "build", tmp_path / "music", tmp_path / "my.h5", "--sample-rate-hz", RATE)[0] == 0
    return tmp_path / "my.h5"


def titles(path, split=None):
    with AudioCorpus.open(path) as opened:
        return [piece.title for piece in opened.pieces if split in (None, piece.split)]


def test_list_add_remove_merge(tmp_path, corpus, command):
    status, out, _ = command("corpus", "list", corpus, "--verify")
    assert status == 0 and all(f"  {title}\n" in out for title in "abcdef") and "rms dBFS" in out
    (tmp_path / "more").mkdir()
    for k in range(4):
        write_wav(tmp_path / "more" / f"{'ghij'[k]}.wav", music(20 + k, 3.0), RATE)
    assert command("corpus", "add", corpus, tmp_path / "more")[0] == 0
    assert titles(corpus) == list("abcdefghij")
    gone = titles(corpus, "train")[0]
    assert command("corpus", "remove", corpus, gone)[0] == 0
    assert titles(corpus) == [title for title in "abcdefghij" if title != gone]
    other = tmp_path / "other.h5"
    assert command("corpus", "build", tmp_path / "more", other, "--sample-rate-hz", 2 * RATE)[0] == 0
    status, out, _ = command("corpus", "merge", tmp_path / "all.h5", corpus, other)
    assert status == 0 and f"{RATE} Hz" in out and len(titles(tmp_path / "all.h5")) == 13
    assert (
        command("corpus", "merge", tmp_path / "all.h5", corpus, other, "--overwrite", "--sample-rate-hz", 4000)[0] == 0
    )


def test_a_changed_corpus_in_another_file_leaves_the_old_one_as_it_is(tmp_path, corpus, command):
    before = corpus.read_bytes()
    (tmp_path / "more").mkdir()
    write_wav(tmp_path / "more" / "g.wav", music(20, 3.0), RATE)
    status, out, _ = command("corpus", "add", corpus, tmp_path / "more", "--out", tmp_path / "larger.h5")
    assert status == 0 and "note: runs trained" not in out and titles(tmp_path / "larger.h5") == list("abcdefg")
    gone = titles(corpus, "train")[0]
    smaller = ["corpus", "remove", corpus, gone, "--out", tmp_path / "smaller.h5"]
    assert command(*smaller)[0] == 0 and titles(tmp_path / "smaller.h5") == [t for t in "abcdef" if t != gone]
    status, _, err = command(*smaller)
    assert status == 2 and "smaller.h5 exists" in err
    assert command(*smaller, "--overwrite")[0] == 0
    status, _, err = command("corpus", "remove", corpus, gone, "--out", tmp_path / "smaller.wav")
    assert status == 2 and "expected a name that ends in .h5" in err
    assert corpus.read_bytes() == before
    status, out, _ = command("corpus", "remove", corpus, gone)
    assert status == 0 and f"note: runs trained on {corpus} as it was cannot be resumed" in out


def test_bad_input_is_one_line(tmp_path, corpus, command):
    (tmp_path / "empty").mkdir()
    before = corpus.read_bytes()
    for arguments, words in (
        (["add", corpus], "corpus add got fewer than two paths"),
        (["add", tmp_path / "none.h5", tmp_path / "music"], "no such corpus file"),
        (["add", corpus, tmp_path / "music"], "nothing to add, what was found (6) is in it"),
        (["add", corpus, tmp_path / "empty"], "no audio file in this folder"),
        (["remove", corpus, "bb"], "no piece is called 'bb'"),
        (["remove", corpus, "*"], "no piece would be left in train and valid and test"),
        (["merge", tmp_path / "all.h5", corpus], "corpus merge got fewer than three paths"),
        (["merge", tmp_path / "all.wav", corpus, corpus], "the first path is the corpus to write"),
        (["merge", corpus, corpus, tmp_path / "b.h5"], "my.h5 exists"),
        (["merge", tmp_path / "all.h5", corpus, corpus], "expected two or more different corpora"),
        (["list", tmp_path / "music/a.wav"], "not an HDF5 file"),
        (["build", tmp_path / "music", tmp_path / "b.h5", "--valid", tmp_path / "empty"], "--valid: "),
    ):
        status, _, err = command("corpus", *arguments)
        assert status == 2 and words in err and len(err.strip().splitlines()) == 1, err
    assert corpus.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["empty", "music", "my.h5"]


def test_ctrl_c_says_where_the_pieces_are(tmp_path, corpus, command, monkeypatch):
    decode, n_decoded = Decoder.decode, []

    def interrupted(self, *arguments):
        if len(n_decoded) == 3:
            raise KeyboardInterrupt
        n_decoded.append(1)
        return decode(self, *arguments)

    monkeypatch.setattr(Decoder, "decode", interrupted)
    build = ["corpus", "build", tmp_path / "music", tmp_path / "b.h5", "--sample-rate-hz", RATE]
    status, _, err = command(*build)
    assert status == 130 and f"interrupted; {tmp_path / 'b.h5.pieces.part'} keeps the 3 pieces decoded so far" in err
    monkeypatch.setattr(Decoder, "decode", decode)
    status, out, _ = command(*build)
    assert status == 0 and "3 pieces were decoded by an earlier build" in out


@pytest.mark.parametrize("split", [pytest.param("train", marks=pytest.mark.slow), "test"])
def test_a_run_notices_any_change_of_its_corpus(tmp_path, corpus, command, split):
    """Pieces of the test split change neither mean nor duration of the training music."""
    added = tmp_path / "new.wav"
    write_wav(added, music(30, 3.0), RATE)
    assert command("train", corpus, tmp_path / "run", *SMALL, "--max-updates", 4)[0] == 0
    generate = ["generate", tmp_path / "run", tmp_path / "x.wav", "--seconds", 0.1, "--overwrite"]
    assert command(*generate)[0] == 0
    if split == "train":
        assert command("corpus", "remove", corpus, titles(corpus, "train")[0])[0] == 0
    else:
        assert command("corpus", "add", corpus, "--test", added)[0] == 0
    for arguments in (generate, ["resume", tmp_path / "run", "--max-updates", 8]):
        status, _, err = command(*arguments)
        assert status == 2 and "is not the corpus of the run" in err
        assert ("digest was" in err) == (split == "test"), err
