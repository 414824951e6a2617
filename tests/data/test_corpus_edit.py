"""Corpora that are added to, cut down and merged: what was in them stays as it was, to the bit."""

import json
import os
from dataclasses import replace

import h5py
import numpy as np
import pytest

from rnnaudio.audio.cleaning import Cleaning
from rnnaudio.data import (
    AudioCorpus,
    Splitting,
    add_to_corpus,
    build_corpus,
    merge_corpora,
    remove_from_corpus,
    summary_of,
)
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import as_version_1, noise, recording, texts_in
from tests.support.recordings import music, write

RATE_HZ = 8000


def build(out, *sources, **options):
    return build_corpus(sources, out, **{"sample_rate_hz": RATE_HZ, "progress": False} | options)


def add(path, *sources, **options):
    return add_to_corpus(path, sources, progress=False, **options)


def stored(path):
    """Texts and samples of each piece, by title."""
    with h5py.File(path) as file:
        return {texts_in(p)["title"]: (texts_in(p), p[:].tobytes()) for p in file["pieces"].values()}


def split_of(path):
    return {title: texts["split"] for title, (texts, _) in stored(path).items()}


def lines(path, name):
    with h5py.File(path) as file:
        return json.loads(texts_in(file)[name])


@pytest.fixture
def corpus(tmp_path):
    """A corpus of six pieces of 6 s, with notes and a file that was left out."""
    for k in range(6):
        write(tmp_path / "good" / f"{'abcdef'[k]}.wav", music(k))
    write(tmp_path / "good" / "offset.wav", music(7) * 0.5 + 0.2)
    (tmp_path / "good" / "text.wav").write_text("Dear diary")
    build(tmp_path / "a.h5", tmp_path / "good")
    return tmp_path / "a.h5"


@pytest.mark.parametrize("seed", range(3))
def test_added_pieces_fill_up_the_splits_and_the_old_ones_stay(tmp_path, corpus, seed):
    before, notes, left_out = stored(corpus), lines(corpus, "notes"), lines(corpus, "left_out")
    for k in range(30):
        write(tmp_path / "more" / f"{chr(103 + k // 10)}{chr(97 + k % 10)}.wav", music(100 + k, 4.0))
    (tmp_path / "more" / "other.wav").write_text("Dear diary")
    summary = add(corpus, tmp_path / "more", splitting=Splitting(seed=seed))
    after = stored(corpus)
    assert {title: after[title] for title in before} == before
    assert len(after) == len(before) + 30 == len(summary.pieces)
    total = sum(piece.seconds for piece in summary.pieces)
    for split, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        assert summary.seconds(split) / total == pytest.approx(share, abs=0.03)
    assert set(notes) <= set(lines(corpus, "notes")) and any("'offset': a constant" in note for note in notes)
    assert f"1 left out before: rnnaudio corpus info {corpus}" in str(summary)
    assert "1 could not be used" in str(summary)
    first, (name, reason, is_fault) = lines(corpus, "left_out")
    assert first == left_out[0] and name.endswith("other.wav") and reason.startswith("not readable") and is_fault
    with AudioCorpus.open(corpus) as opened:
        opened.verify()
        train = np.concatenate([p.dataset[:].astype(float) / 32768 for p in opened.train.pieces])
        assert (opened.mean, opened.std) == pytest.approx((train.mean(), train.std()), rel=1e-9)


def test_the_same_sound_goes_to_the_split_of_the_old_piece(tmp_path, corpus):
    old = split_of(corpus)
    copies = {
        split: next(title for title, own in old.items() if own == split and title in "abcdef")
        for split in ("valid", "test")
        if any(own == split and title in "abcdef" for title, own in old.items())
    }
    assert copies
    for split, title in copies.items():
        write(tmp_path / "more" / f"copy of the {split} one.flac", np.repeat(music("abcdef".index(title)), 2), 16_000)
    for k in range(10):
        write(tmp_path / "more" / f"{'ghijklmnop'[k]}.wav", music(200 + k))
    summary = add(corpus, tmp_path / "more")
    for split, title in copies.items():
        assert split_of(corpus)[f"copy of the {split} one"] == split
        assert f"{title}.wav, copy of the {split} one.flac are the same sound" in summary.notes


def test_the_same_sound_in_a_given_other_split_is_noted(tmp_path, corpus):
    title = next(title for title, own in split_of(corpus).items() if own == "train" and title in "abcdef")
    copy = write(tmp_path / "copy.wav", music("abcdef".index(title)))
    summary = add(corpus, splitting=Splitting(test=(copy,)))
    assert split_of(corpus)["copy"] == "test"
    assert f"{title}.wav, copy.wav are the same sound, but in train and test" in summary.notes


def test_parts_of_one_song_go_to_the_split_of_its_first_part(tmp_path):
    for k, name in enumerate(["a", "b", "c", "song-1"]):
        write(tmp_path / "good" / f"{name}.wav", music(k))
    splitting = Splitting(valid=(tmp_path / "good/song-1.wav",), test=(tmp_path / "good/b.wav",))
    build(tmp_path / "a.h5", tmp_path / "good", splitting=splitting)
    write(tmp_path / "good" / "song-2.wav", music(20))
    for k in range(3):
        write(tmp_path / "good" / f"{'xyz'[k]}.wav", music(30 + k))
    add(tmp_path / "a.h5", tmp_path / "good")
    assert split_of(tmp_path / "a.h5")["song-2"] == "valid"


def test_the_same_folder_again_adds_what_is_new(tmp_path, corpus):
    before = stored(corpus)
    with pytest.raises(RnnaudioError, match=r"nothing to add, what was found \(7\)|no usable audio: .*text.wav"):
        add(corpus, tmp_path / "good")
    assert stored(corpus) == before
    write(tmp_path / "good" / "new.wav", music(40))
    (tmp_path / "good" / "text.wav").unlink()
    write(tmp_path / "good" / "text.wav", music(41))
    summary = add(corpus, tmp_path / "good")
    assert set(stored(corpus)) == {*before, "new", "text"}
    assert sum("in the corpus already" in one.reason for one in summary.left_out) == 7
    assert not any(one.is_fault for one in summary.left_out)  # text.wav is a piece now


def test_short_new_pieces_are_joined_and_old_ones_never(tmp_path):
    recordings = [recording(f"{split} {k}", noise(9 * k, 0.05 * (k + 1)), split)
                  for k, split in enumerate(["train", "train", "valid", "test"])]  # fmt: skip
    build(tmp_path / "a.h5", *recordings, cleaning=Cleaning(None, join_seconds=0.0), dtype="float32")
    with h5py.File(tmp_path / "a.h5", "a") as file:  # as an earlier version may have written it
        assert len(file["pieces"]) == 3  # .05 s is too short today
    before = stored(tmp_path / "a.h5")
    for k in range(12):
        write(tmp_path / "more" / f"{'ghijklmnopqr'[k]}.wav", music(50 + k, 1.2))
    add(tmp_path / "a.h5", tmp_path / "more")
    after = stored(tmp_path / "a.h5")
    assert {title: after[title] for title in before} == before
    assert any(title.startswith("short pieces (train") for title in after)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_samples_come_back_to_the_bit(tmp_path, dtype):
    """Every value of 16 bits, and any value of 32, clipped ones and silence among them."""
    values = np.arange(-32768, 32768) / 32768 if dtype == "int16" else np.random.default_rng(0).uniform(-1, 1, 65536)
    audio = np.concatenate([np.zeros(4000), values, np.full(4000, 1.0), np.full(10, 0.3)]).astype(np.float32)
    sources = [recording(split, audio[k:], split) for k, split in enumerate(("train", "valid", "test"))]
    build(tmp_path / "a.h5", *sources, dtype=dtype, cleaning=Cleaning(None, join_seconds=0.0))
    before = stored(tmp_path / "a.h5")
    add(tmp_path / "a.h5", recording("new", noise(0, 3.0)))
    assert {title: piece for title, piece in stored(tmp_path / "a.h5").items() if title != "new"} == before
    remove_from_corpus(tmp_path / "a.h5", ["new"], progress=False)
    assert stored(tmp_path / "a.h5") == before
    build(tmp_path / "b.h5", *[recording(f"b {one.split}", noise(5, 2.0), one.split) for one in sources])
    merge_corpora(tmp_path / "c.h5", [tmp_path / "a.h5", tmp_path / "b.h5"], progress=False)
    merged = stored(tmp_path / "c.h5")
    assert {title: merged[title] for title in before} == before
    with h5py.File(tmp_path / "c.h5") as file:
        assert texts_in(file)["dtype"] == dtype


def test_pieces_are_removed_by_title_and_pattern(corpus):
    before, left_out = stored(corpus), lines(corpus, "left_out")
    train = [title for title, split in split_of(corpus).items() if split == "train" and title != "offset"]
    summary = remove_from_corpus(corpus, [train[0], "off*"], progress=False)
    assert stored(corpus) == {t: piece for t, piece in before.items() if t not in (train[0], "offset")}
    assert not any("'offset'" in note for note in summary.notes) and lines(corpus, "left_out") == left_out


def test_no_note_is_about_what_was_removed_or_counts_what_was_there_before(tmp_path):
    for k in range(6):
        write(tmp_path / "a" / f"{'abcdef'[k]}.wav", music(k))
    write(tmp_path / "a" / "copy.flac", np.repeat(music(3), 2), 16_000)
    path = tmp_path / "a.h5"
    notes = build(path, tmp_path / "a").notes
    same, groups = "copy.flac, d.wav are the same sound", "7 pieces form 6 groups, each in one split"
    assert {same, groups} <= set(notes)
    for name in "gh":
        write(tmp_path / "b" / f"{name}.wav", music(ord(name)))
    added = add(path, tmp_path / "b")
    assert same in added.notes and groups not in added.notes
    left = remove_from_corpus(path, ["copy"], progress=False).notes
    assert not [note for note in left if "same sound" in note or "groups" in note]


def test_what_is_left_of_several_with_the_same_sound_is_still_noted(tmp_path):
    """Above all across splits, where it matters; names may hold commas."""
    for k in range(6):
        write(tmp_path / "a" / f"{'abcdef'[k]}.wav", music(k))
    write(tmp_path / "a" / "Sonata, Op. 2.wav", music(0))
    path = tmp_path / "a.h5"
    splitting = Splitting(test=(tmp_path / "a/b.wav",), valid=(tmp_path / "a/c.wav",))
    summary = build(path, tmp_path / "a", splitting=splitting)
    assert "Sonata, Op. 2.wav, a.wav are the same sound" in summary.notes and split_of(path)["a"] == "train"
    copy = write(tmp_path / "copy.wav", music(0))
    notes = add(path, splitting=Splitting(test=(copy,))).notes
    assert "Sonata, Op. 2.wav, a.wav, copy.wav are the same sound, but in train and test" in notes

    def left_without(title):
        return [note for note in remove_from_corpus(path, [title], progress=False).notes if "same sound" in note]

    assert left_without("a") == ["Sonata, Op. 2.wav, copy.wav are the same sound, but in train and test"]
    assert left_without("Sonata, Op. 2") == []


def test_what_cannot_be_removed(corpus):
    before = corpus.read_bytes()
    splits = split_of(corpus)
    valid = [title for title, split in splits.items() if split == "valid"]
    for patterns, words in (
        (["ofset"], "no piece is called 'ofset'; did you mean 'offset'"),
        (["a", "x*"], r"no piece is called 'x\*'; known are"),
        (valid, "no piece would be left in valid"),
        (["*"], "no piece would be left in train and valid and test"),
        ([], "which pieces"),
    ):
        with pytest.raises(RnnaudioError, match=words):
            remove_from_corpus(corpus, patterns, progress=False)
    assert corpus.read_bytes() == before


def test_titles_that_look_like_patterns(tmp_path):
    titles = ["train [live]", "train", "valid", "test"]
    build(tmp_path / "a.h5", *[recording(t, noise(k, 2.0), t.split()[0]) for k, t in enumerate(titles)])
    remove_from_corpus(tmp_path / "a.h5", ["train [live]"], progress=False)
    assert set(stored(tmp_path / "a.h5")) == set(titles[1:])


def test_corpora_are_merged_at_the_rate_of_the_first(tmp_path, corpus):
    tone = np.sin(2 * np.pi * 440 * np.arange(3 * 16_000) / 16_000).astype(np.float32) * 0.5
    sources = [write(tmp_path / "other" / f"{split}.wav", tone + noise(k, 6.0, 0.01), 16_000)
               for k, split in enumerate(("train", "valid", "test"))]  # fmt: skip
    splitting = Splitting(valid=(sources[1],), test=(sources[2],))
    build(tmp_path / "b.h5", *sources, sample_rate_hz=16_000, splitting=splitting)
    summary = merge_corpora(tmp_path / "c.h5", [corpus, tmp_path / "b.h5"], progress=False)
    first, merged = stored(corpus), stored(tmp_path / "c.h5")
    assert summary.sample_rate_hz == RATE_HZ and {title: merged[title] for title in first} == first
    assert {t: s for t, s in split_of(tmp_path / "c.h5").items() if t not in first} == {
        "train": "train", "valid": "valid", "test": "test",
    }  # fmt: skip
    samples = np.frombuffer(merged["train"][1], np.int16) / 32768
    assert samples.size == pytest.approx(3 * RATE_HZ, abs=2)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(samples.size) / RATE_HZ)
    assert np.sqrt(np.mean((samples - expected)[400:-400] ** 2)) < 0.02
    assert lines(tmp_path / "c.h5", "left_out") == lines(corpus, "left_out")
    higher = merge_corpora(tmp_path / "d.h5", [corpus, tmp_path / "b.h5"], sample_rate_hz=16_000, progress=False)
    assert higher.sample_rate_hz == 16_000
    assert stored(tmp_path / "d.h5")["train"] == stored(tmp_path / "b.h5")["train"]


def test_a_merged_corpus_tells_of_the_same_sound_in_two_splits(tmp_path):
    for name, split in (("a", "train"), ("b", "test")):
        others = [s for s in ("train", "valid", "test") if s != split]
        sources = [recording(f"{name} {s}", music(ord(name) + k), s) for k, s in enumerate(others)]
        build(tmp_path / f"{name}.h5", recording(f"{name} song", music(3), split), *sources)
    summary = merge_corpora(tmp_path / "c.h5", [tmp_path / "a.h5", tmp_path / "b.h5"], progress=False)
    assert "source of a song, source of b song are the same sound, but in train and test" in summary.notes


def test_what_cannot_be_merged(tmp_path, corpus):
    for paths in ([], [corpus], [corpus, corpus]):
        with pytest.raises(RnnaudioError, match="expected two or more different corpora"):
            merge_corpora(tmp_path / "c.h5", paths, progress=False)
    with pytest.raises(RnnaudioError, match="no such corpus"):
        merge_corpora(tmp_path / "c.h5", [corpus, tmp_path / "none.h5"], progress=False)


def test_a_change_that_fails_leaves_the_corpus_alone(tmp_path, corpus):
    before = corpus.read_bytes()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "bad.wav").write_text("Dear diary")
    with pytest.raises(RnnaudioError, match="no usable audio: .*bad.wav: not readable"):
        add(corpus, tmp_path / "more")
    write(tmp_path / "more" / "good.wav", music(60))
    with pytest.raises(RnnaudioError, match=r"(?s)1 files cannot be used \(--strict\).*bad.wav"):
        add(corpus, tmp_path / "more", strict=True)
    with pytest.raises(RnnaudioError, match="no such corpus"):
        add(tmp_path / "none.h5", tmp_path / "more")
    assert corpus.read_bytes() == before and not (tmp_path / "none.h5").exists()


def test_changed_samples_are_not_copied(tmp_path, corpus):
    with h5py.File(corpus, "a") as file:
        file["pieces/000002"][5] += 1
    before = corpus.read_bytes()
    with pytest.raises(RnnaudioError, match="the samples of 'c' have changed"):
        remove_from_corpus(corpus, ["offset"], progress=False)
    assert corpus.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["a.h5", "good"]


def test_the_list_is_the_table_of_the_build(tmp_path, corpus):
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / ".hidden.wav", music(0))
    (tmp_path / "other" / "notes.txt").write_text("text")
    (tmp_path / "other" / "a hidden file: b.wav").write_text("a name like a reason")
    built = build(tmp_path / "b.h5", tmp_path / "good", tmp_path / "other", write(tmp_path / "o.wav", music(9)))
    listed = summary_of(tmp_path / "b.h5")
    assert "files of formats without checksums (wav)" in built.unchecked and str(built).endswith(built.unchecked)
    built = replace(built, unchecked="")
    assert listed == built and str(listed) == str(built) and len({one.is_fault for one in listed.left_out}) == 2
    assert any(one.name.endswith("a hidden file: b.wav") and one.is_fault for one in listed.left_out)


def test_an_older_corpus_without_notes_is_listed(corpus):
    as_version_1(corpus)
    with h5py.File(corpus, "a") as file:
        del file.attrs["notes"]
        file.attrs["left_out"] = "[1, {}, null] no"
    summary = summary_of(corpus)
    assert (summary.notes, summary.left_out) == ((), ())
    assert len(summary.table().splitlines()) == 5 + len(summary.pieces)
