"""Corpora from files as people have them: a faulty one never stops the others, and nothing is left out in silence."""

import json
import os

import h5py
import numpy as np
import pytest

from rnnaudio.audio.cleaning import Cleaning, normalised, shorten_silence
from rnnaudio.data import Splitting, build_corpus
from rnnaudio.errors import RnnaudioError
from tests.support.corpora import texts_in
from tests.support.recordings import KINDS, music, write

RATE_HZ = 8000


def build(out, *sources, **options):
    return build_corpus(sources, out, **{"sample_rate_hz": RATE_HZ, "progress": False} | options)


@pytest.mark.parametrize("rate_hz", [99, 1_000_001])
def test_rates_out_of_range_are_refused_at_once(good, tmp_path, rate_hz):
    with pytest.raises(RnnaudioError, match=f"got {rate_hz}, expected a whole number of Hz from 100 to 1"):
        build(tmp_path / "a.h5", good, sample_rate_hz=rate_hz)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good"]


@pytest.fixture
def good(tmp_path):
    """A folder of six pieces of 6 s."""
    for k in range(6):
        write(tmp_path / "good" / f"{'abcdef'[k]}.wav", music(k))
    return tmp_path / "good"


def split_of(out):
    with h5py.File(out) as file:
        return {texts_in(piece)["title"]: texts_in(piece)["split"] for piece in file["pieces"].values()}


def test_a_folder_with_a_file_of_every_kind(tmp_path):
    (tmp_path / "music").mkdir()
    for name, kind in KINDS.items():
        kind.write(tmp_path / "music" / name)
    summary = build(tmp_path / "a.h5", tmp_path / "music", cleaning=Cleaning(join_seconds=0.0))
    assert not summary.left_out
    assert len(summary.pieces) == 3 * len(KINDS)  # all are the same sound, which is cut in time
    expected = sum(kind.seconds for kind in KINDS.values())
    assert sum(piece.seconds for piece in summary.pieces) == pytest.approx(expected, abs=1.0)
    assert sum("are the same sound" in note for note in summary.notes) == 2  # of 6 s, and chained of 12 s


def test_faulty_files_are_left_out_and_named_with_their_reasons(tmp_path, good):
    (good / "random.mp3").write_bytes(np.random.default_rng(0).bytes(5000))
    (good / "empty.wav").touch()
    content = (good / "a.wav").read_bytes()
    (good / "half.wav").write_bytes(content[: len(content) // 2])
    write(good / "silent.wav", np.zeros(RATE_HZ))
    write(good / "tiny.wav", music(9)[:400])
    os.mkfifo(good / "pipe.wav")
    summary = build(tmp_path / "a.h5", good)
    assert len(summary.pieces) == 6
    reasons = {os.path.basename(name): reason for name, reason, is_fault in summary.left_out if is_fault}
    assert {name: reason.split(" ")[0].strip(":") for name, reason in reasons.items()} == {
        "random.mp3": "not", "empty.wav": "the", "half.wav": "truncated", "silent.wav": "silent",
        "tiny.wav": "shorter", "pipe.wav": "a",
    }  # fmt: skip
    text = str(summary)
    assert "6 could not be used" in text and all(name in text for name in reasons)
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(json.loads(texts_in(file)["left_out"])) == 6
    with pytest.raises(RnnaudioError, match=r"(?s)6 files cannot be used.*empty.wav.*half.wav.*tiny.wav"):
        build(tmp_path / "strict.h5", good, strict=True)
    assert not (tmp_path / "strict.h5").exists()
    kept = build(tmp_path / "b.h5", good, cleaning=Cleaning(keep_truncated=True))
    (half,) = (piece for piece in kept.pieces if piece.title == "half")
    assert half.seconds == pytest.approx(3.0, abs=0.05)
    assert any("'half': truncated" in note for note in kept.notes)


def test_no_usable_file_at_all_names_each(tmp_path):
    (tmp_path / "music").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "music" / name).write_text("Dear diary")
    with pytest.raises(RnnaudioError, match=r"no usable audio: .*a.wav: not readable.*b.wav: not readable"):
        build(tmp_path / "a.h5", tmp_path / "music")


def test_an_offset_is_subtracted_and_level_clipping_and_silence_are_noted(tmp_path, good):
    write(good / "offset.wav", 0.5 * music(7) + 0.2)
    write(good / "quiet.wav", 0.01 * music(8), subtype="FLOAT")
    write(good / "clipped.wav", np.clip(20 * music(9), -1, 1))
    write(good / "pauses.wav", np.concatenate([music(10, 2.0), np.zeros(6 * RATE_HZ), music(11, 2.0)]))
    notes = build(tmp_path / "a.h5", good).notes
    for words in (
        "'offset': a constant offset (DC) of 0.2",
        "'quiet' is 39 dB below",
        "'clipped' is clipped",
        "'pauses' is silent",
    ):
        assert any(words in note for note in notes), (words, notes)
    assert any("--normalise" in note for note in notes) and any("--drop-silence" in note for note in notes)
    repaired = build(tmp_path / "b.h5", good, cleaning=Cleaning(normalise=True, drop_silence=True))
    levels = {piece.title: piece.rms_dbfs for piece in repaired.pieces}
    assert levels["quiet"] == pytest.approx(-23.0, abs=0.2) and levels["a"] == pytest.approx(-23.0, abs=0.2)
    (pauses,) = (piece for piece in repaired.pieces if piece.title == "pauses")
    assert pauses.seconds == pytest.approx(5.0, abs=0.5)


def test_quiet_and_silent_files_are_kept_on_request(tmp_path, good):
    write(good / "quiet.wav", 1e-4 * music(8), subtype="FLOAT")
    assert len(build(tmp_path / "a.h5", good, dtype="float32").pieces) == 6
    kept = build(tmp_path / "b.h5", good, dtype="float32", cleaning=Cleaning(trim_silence_db=None))
    assert len(kept.pieces) == 7


def test_a_file_of_zeros_is_kept_only_on_request(tmp_path, good):
    write(good / "zeros.wav", np.zeros(RATE_HZ))
    (reason,) = (one.reason for one in build(tmp_path / "a.h5", good).left_out)
    assert reason == "silent (peak below -60 dBFS); --keep-silence keeps it"
    kept = build(tmp_path / "b.h5", good, cleaning=Cleaning(trim_silence_db=None))
    assert not kept.left_out
    (zeros,) = (piece for piece in kept.pieces if piece.title == "zeros")
    assert (zeros.seconds, zeros.silent_share) == (1.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("named, other", [("valid", "test"), ("test", "valid")])
def test_a_split_that_is_not_named_is_filled_from_the_rest(tmp_path, good, named, other):
    """Of six pieces one is named: the other split and training share the rest, differently for each seed."""
    found = set()
    for seed in range(8):
        summary = build(tmp_path / "a.h5", good, splitting=Splitting(seed=seed, **{named: (good / "b.wav",)}))
        splits = split_of(tmp_path / "a.h5")
        assert [title for title, split in splits.items() if split == named] == ["b"]
        (piece,) = (title for title, split in splits.items() if split == other)
        found.add(piece)
        assert not summary.left_out
    assert len(found) > 1


def test_one_named_split_and_parts_of_one_song(tmp_path):
    """All that is not named is one group, which cannot fill two splits: it is taken apart, with a note."""
    for k in range(5):
        write(tmp_path / "music" / f"song-{k + 1}.wav", music(20 + k))
    valid = write(tmp_path / "other" / "v.wav", music(30))
    summary = build(tmp_path / "a.h5", tmp_path / "music", splitting=Splitting(valid=(valid,)))
    assert sorted(split_of(tmp_path / "a.h5").values()) == ["test", "train", "train", "train", "train", "valid"]
    words = "pieces were not kept together by name, for they leave 1 group without a given split for 2 splits"
    assert words in summary.notes


def test_named_splits_that_match_no_audio_are_named(tmp_path, good):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("text")
    (tmp_path / "hidden").mkdir()
    write(tmp_path / "hidden" / ".a.wav", music(0))
    bad = tmp_path / "bad.wav"
    bad.write_text("Dear diary")
    for splitting, words in (
        (Splitting(valid=(tmp_path / "none",)), "--valid: no such file or folder: .*/none"),
        (Splitting(test=(good / "a.wav", tmp_path / "text")), "--test: .*/text: no audio file in this folder"),
        (Splitting(valid=(tmp_path / "hidden",)), r"--valid: no audio in .*/hidden \(.*a hidden file\)"),
        (Splitting(test=(bad,)), "--test: none of these files can be used: .*bad.wav: not readable"),
        (Splitting(valid=(good / "a.wav",), test=(good,)), "a.wav is named by --valid and by --test"),
    ):
        with pytest.raises(RnnaudioError, match=words):
            build(tmp_path / "a.h5", good, splitting=splitting)
        assert not (tmp_path / "a.h5").exists()


def test_parts_of_one_song_stay_together(tmp_path, good):
    for k in range(4):
        write(good / f"song-{k + 1}.wav", music(20 + k))
    for seed in range(5):
        summary = build(tmp_path / "a.h5", good, splitting=Splitting(seed=seed))
        assert len({split for title, split in split_of(tmp_path / "a.h5").items() if title.startswith("song")}) == 1
    assert any("groups" in note for note in summary.notes)


def test_the_same_sound_in_other_files_stays_together(tmp_path, good):
    write(good / "other name.flac", np.repeat(music(0), 2), 2 * RATE_HZ)
    write(good / "louder.wav", 1.5 * music(0))
    for seed in range(8):
        summary = build(tmp_path / "a.h5", good, splitting=Splitting(seed=seed, group="none"))
        splits = split_of(tmp_path / "a.h5")
        assert len({splits[title] for title in ("a", "other name", "louder")}) == 1
    assert "a.wav, louder.wav, other name.flac are the same sound" in summary.notes


def test_splits_by_folder_and_by_name(tmp_path, good):
    for folder in ("x", "y", "z"):
        for k in range(3):
            write(tmp_path / "albums" / folder / f"{'pqr'[k]}.wav", music(ord(folder) + 31 * k, 3.0))
    build(tmp_path / "a.h5", tmp_path / "albums", splitting=Splitting(group="folder"))
    with h5py.File(tmp_path / "a.h5") as file:
        pieces = [(texts_in(p)["source"].split("/")[-2], texts_in(p)["split"]) for p in file["pieces"].values()]
    assert len(set(pieces)) == 3
    splitting = Splitting(valid=(good / "b.wav",), test=(tmp_path / "albums" / "x",))
    build(tmp_path / "b.h5", good, tmp_path / "albums", splitting=splitting)
    with h5py.File(tmp_path / "b.h5") as file:
        splits = {texts_in(p)["source"]: texts_in(p)["split"] for p in file["pieces"].values()}
    assert {source for source, split in splits.items() if split == "valid"} == {str(good / "b.wav")}
    assert {split for source, split in splits.items() if "/x/" in source} == {"test"}
    assert sum(split == "test" for split in splits.values()) == 3


@pytest.mark.parametrize("n_short, n_long, seconds", [(30, 0, 0.6), (60, 6, 0.35), (80, 1, 0.35)])
def test_short_pieces_are_joined_so_that_every_split_is_of_use(tmp_path, n_short, n_long, seconds):
    for k in range(n_short):
        write(
            tmp_path / "music" / f"{chr(97 + k // 26)}{chr(97 + k % 26)}.wav",
            music(k, 1.0)[: round(seconds * RATE_HZ)],
        )
    for k in range(n_long):
        write(tmp_path / "music" / f"long {'abcdef'[k]}.wav", music(100 + k))
    summary = build(tmp_path / "a.h5", tmp_path / "music")
    with h5py.File(tmp_path / "a.h5") as file:
        for split in ("train", "valid", "test"):
            longest = max(len(p) for p in file["pieces"].values() if texts_in(p)["split"] == split)
            assert longest >= 1.9 * RATE_HZ
    assert any("were joined with 0.25 s of silence" in note for note in summary.notes)
    total = sum(piece.seconds for piece in summary.pieces)
    assert total >= 0.95 * (n_short * seconds + n_long * 6.0)


def test_shortened_silence_keeps_half_a_second_at_both_ends():
    audio = np.concatenate([music(0, 1.0), np.zeros(5 * RATE_HZ, np.float32), music(1, 1.0)])
    short = shorten_silence(audio, RATE_HZ)
    assert short.size == pytest.approx(3 * RATE_HZ, abs=0.4 * RATE_HZ)
    np.testing.assert_array_equal(short[: RATE_HZ // 2], audio[: RATE_HZ // 2])
    np.testing.assert_array_equal(short[-RATE_HZ // 2 :], audio[-RATE_HZ // 2 :])
    np.testing.assert_array_equal(shorten_silence(music(0), RATE_HZ), music(0))


def test_normalised_audio_has_the_level_or_the_largest_without_clipping():
    quiet = (0.01 * np.sin(np.arange(8000) / 5)).astype(np.float32)
    audio, gain_db = normalised(quiet)
    assert 10 * np.log10(np.mean(audio.astype(float) ** 2)) == pytest.approx(-23.0, abs=1e-3)
    assert gain_db == pytest.approx(-23.0 - 10 * np.log10(np.mean(quiet.astype(float) ** 2)), abs=1e-3)
    click = np.zeros(8000, np.float32)
    click[5] = 0.5
    assert np.abs(normalised(click)[0]).max() == pytest.approx(0.99)


def test_a_corpus_that_is_quiet_throughout_is_noted(tmp_path):
    for name, gain in (("a", 0.005), ("b", 0.004), ("c", 0.006)):
        write(tmp_path / "quiet" / f"{name}.wav", gain * music(ord(name)), subtype="FLOAT")
    notes = build(tmp_path / "a.h5", tmp_path / "quiet").notes
    (note,) = (note for note in notes if note.startswith("the median level of the pieces is -"))
    assert note.endswith("--normalise brings all to one level")


def test_the_same_sound_in_files_of_one_name_is_told_by_their_folders(tmp_path, good):
    for folder in ("one", "two"):
        write(good / folder / "take.wav", music(50))
    (note,) = (note for note in build(tmp_path / "a.h5", good).notes if "same sound" in note)
    assert f"{good / 'one/take.wav'}, {good / 'two/take.wav'} are the same sound" in note
