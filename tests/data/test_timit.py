"""TIMIT's tree and its SPHERE files, on small trees of synthetic sounds made here; nothing of TIMIT itself."""

import re
import shutil
import sys

import numpy as np
import pytest

from experiments.blog_2016 import timit as experiment
from experiments.blog_2016.synthetic_speech import sphere, utterance, write_tree
from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.data.timit import CORE_TEST, DEVELOPMENT, build_timit_corpus, find_utterances
from rnnaudio.errors import RnnaudioError

SAMPLES = np.random.default_rng(2016).integers(-32768, 32768, 5000).astype(np.int16)


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "speech", seconds=0.4)


def test_the_header_is_what_the_format_says():
    head = sphere(SAMPLES)[:1024]
    assert head.startswith(
        b"NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 5000\nsample_rate -i 16000\nsample_n_bytes -i 2\n"
        b"sample_byte_format -s2 01\nsample_sig_bits -i 16\nend_head\n"
    )
    assert head[-800:] == 800 * b" "


@pytest.mark.parametrize("other", [{}, {"sample_coding": "-s3 pcm"}], ids=["plain", "coding stated"])
@pytest.mark.parametrize(("byte_order", "dtype"), [("01", "<i2"), ("10", ">i2")])
def test_sphere_files_of_both_byte_orders_are_read_exactly(tmp_path, byte_order, dtype, other):
    content = sphere(SAMPLES, byte_order, **other)
    assert content[1024:] == SAMPLES.astype(dtype).tobytes()
    (tmp_path / "SX1.WAV").write_bytes(content)
    audio, rate_hz = read_audio(tmp_path / "SX1.WAV")
    assert rate_hz == 16_000
    assert np.array_equal(audio, SAMPLES / np.float32(32768))


def lowered(folder):
    """The same tree in small letters throughout."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    return folder


def above(folder):
    """The same tree below a folder TIMIT."""
    shutil.move(folder, folder.with_name("moved"))
    shutil.move(folder.with_name("moved"), folder / "TIMIT")
    return folder


@pytest.mark.parametrize("change", [lambda folder: folder, lowered, above, lambda folder: lowered(above(folder))])
def test_the_splits_are_the_usual_ones(tree, change):
    tree = change(tree)
    found = {(u.speaker, u.sentence): u.split for u in find_utterances(tree)}
    splits = {"FCJF0": "train", "MDAC0": "train", "MDAB0": "test", "MTAS1": "test", "FAKS0": "valid", "FDAC1": "valid"}
    assert found == {
        (speaker, sentence): None if sentence == "SA1" else split
        for speaker, split in splits.items()
        for sentence in ("SA1", "SI1027", "SX37", "SX127")
    }


def test_what_is_no_utterance_is_left_alone(tree):
    folder = tree / "TRAIN/DR1/FCJF0"
    for name in ("SX37.PHN", "SX37.WAV.wav", "._SX37.WAV", "notes.wav"):
        (folder / name).write_text("no sound")
    (tree / "TEST/DR3/MXYZ0").mkdir(parents=True)  # a test speaker of neither set
    (tree / "TEST/DR3/MXYZ0/SX1.WAV").write_bytes(sphere(SAMPLES))
    found = find_utterances(tree)
    assert len(found) == 25
    assert [u.split for u in found if u.speaker == "MXYZ0"] == [None]


def test_the_sets_are_disjoint_and_of_their_size():
    assert len(CORE_TEST) == 24 and len(DEVELOPMENT) == 50 and not CORE_TEST & DEVELOPMENT
    assert sum(name[0] == "F" for name in CORE_TEST) == 8  # two men and a woman of each of eight regions


def test_a_copy_is_complete_only_if_every_split_is(tree, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnaudio.data.timit.WHOLE", {"train": 6, "valid": 6, "test": 7})
    (note,) = build_timit_corpus(tree, tmp_path / "a.h5", progress=False).notes
    assert "train 6 of 6, valid 6 of 6, test 6 of 7" in note
    monkeypatch.setattr("rnnaudio.data.timit.WHOLE", {"train": 6, "valid": 6, "test": 6})
    assert not build_timit_corpus(tree, tmp_path / "b.h5", progress=False).notes


def test_a_corpus_holds_the_samples_and_says_what_is_missing(tree, tmp_path):
    summary = build_timit_corpus(tree, tmp_path / "a.h5", progress=False)
    assert summary.sample_rate_hz == 16_000
    assert summary.notes == (
        "incomplete copy of TIMIT, utterances: train 6 of 3696, valid 6 of 400, test 6 of 192; core test set: 2 of 24 "
        "speakers, development set: 2 of 50",
    )
    with AudioCorpus.open(tmp_path / "a.h5") as corpus:
        assert [len(split.pieces) for split in (corpus.train, corpus.valid, corpus.test)] == [6, 6, 6]
        piece = next(piece for piece in corpus.pieces if piece.title == "MDAB0 SX37")
        assert piece.source == str(tree / "TEST/DR1/MDAB0/SX37.WAV")
        content = (tree / "TEST/DR1/MDAB0/SX37.WAV").read_bytes()
        written = np.frombuffer(content, "<i2", offset=1024)
        restored = corpus.restore(piece.read(0, piece.n_samples))
        np.testing.assert_allclose(restored * 32768, written, atol=0.01)


def write(tree, content):
    (tree / "TRAIN/DR1/FCJF0/SX37.WAV").write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: write(t, sphere(SAMPLES)[:-100]), "SX37.WAV: truncated: 9900 of 10000 stated bytes"),
        (lambda t: write(t, sphere(SAMPLES)[:700]), "SX37.WAV: truncated: 0 of 10000 stated bytes"),
        (lambda t: write(t, sphere(SAMPLES)[:100]), "damaged: expected a SPHERE header of 1024 bytes"),
        (lambda t: write(t, sphere(SAMPLES, sample_count="-i 4000")), "header is wrong: it states 8000 .*, 10000 are"),
        (lambda t: write(t, sphere(SAMPLES, sample_count="-i many")), "lacks a required number .*many"),
        (lambda t: write(t, sphere(SAMPLES, sample_rate="-i 8000")), "SX37.WAV: 8000 Hz, expected 16000 Hz"),
        (
            lambda t: write(t, sphere(SAMPLES, sample_coding="-s26 pcm,embedded-shorten-v2.00")),
            "compressed with shorten.*w_decode -o pcm",
        ),
        (lambda t: write(t, sphere(SAMPLES).replace(b"sample_n_bytes", b"sample_n_bites")), "'sample_n_bytes'"),
        (lambda t: write(t, b""), "SX37.WAV: the file is empty"),
        (lambda t: write(t, b"no sound"), "SX37.WAV: not readable as audio"),
        (lambda t: shutil.rmtree(t / "TEST"), "holds no folders TRAIN and TEST, nor does a subfolder TIMIT"),
        (lambda t: shutil.rmtree(t), "no such folder"),
        (lambda t: shutil.rmtree(t / "TRAIN/DR1"), r"no SI or SX sentence in TRAIN: the split train is empty"),
        (lambda t: [shutil.rmtree(t / "TEST" / n) for n in ("DR1/MDAB0", "DR2/MTAS1")], "of the 24 speakers"),
        (lambda t: [shutil.rmtree(t / "TEST" / n) for n in ("DR1/FAKS0", "DR2/FDAC1")], "of the 50 speakers"),
        (lambda t: [shutil.rmtree(t / n) for n in ("TRAIN/DR1", "TEST/DR1", "TEST/DR2")], "hold no file such as DR1/"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_and_nothing_is_written(tree, tmp_path, spoil, words):
    spoil(tree)
    with pytest.raises(RnnaudioError, match=words):
        build_timit_corpus(tree, tmp_path / "a.h5", progress=False)
    assert not (tmp_path / "a.h5").exists()


def test_the_command(tree, tmp_path, command):
    status, out, _ = command("corpus", "timit", tree, tmp_path / "a.h5")
    assert status == 0 and "18 pieces" in out and "note: incomplete copy of TIMIT" in out
    status, _, error = command("corpus", "timit", tree, tmp_path / "a.h5")
    assert status == 2 and re.fullmatch(r"rnnaudio: .*a.h5 exists: choose another name, .*--overwrite\n", error)
    assert command("corpus", "timit", tree, tmp_path / "a.h5", "--overwrite")[0] == 0
    status, _, error = command("corpus", "timit", tmp_path / "nowhere", tmp_path / "b.h5")
    assert status == 2 and "nowhere: no such folder" in error and error.count("\n") == 1


def test_synthetic_sounds_have_pitch_and_are_not_clipped():
    audio = utterance(np.random.default_rng(1), 1.0)
    assert audio.size == 16_000 and 0.49 < np.abs(audio).max() <= 0.5 and np.isfinite(audio).all()


@pytest.mark.slow
@pytest.mark.long
def test_both_strategies_run_on_such_a_tree(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["timit", "--smoke"])
    experiment.main()
    out = capsys.readouterr().out
    assert out.startswith("SYNTHETIC sounds, not TIMIT")
    assert out.count("training ended: the limit of 4 updates is reached") == 2
    monkeypatch.setattr(sys, "argv", ["timit"])
    with pytest.raises(RnnaudioError, match="got no folder"):
        experiment.main()


def test_runs_of_another_folder_are_not_mixed_up(tree, tmp_path):
    (tmp_path / "corpus.h5").touch()
    with pytest.raises(RnnaudioError, match="corpus.h5 exists: go on with the runs beside it"):
        experiment.run_both(tree, tmp_path, [], resume=False)
