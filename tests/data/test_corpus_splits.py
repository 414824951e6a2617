"""Pieces that belong together stay in one split; every split has enough to be of use."""

from pathlib import Path

import numpy as np
import pytest

from rnnaudio.data import likeness as likeness_module
from rnnaudio.data.corpus_splits import Splitting, assign_groups, key_of, uninformative, united
from rnnaudio.data.likeness import alike, likeness, print_of
from tests.support.recordings import music

RATE_HZ = 8000


@pytest.mark.parametrize("names", [
    ("song-1.wav", "song-2.wav"), ("song (1).wav", "song.flac"), ("Song part 3.wav", "Song part 12.wav"),
    ("song_04.mp3", "song_05.mp3"), ("song copy.wav", "song.wav"), ("a take 2.wav", "a take 3.wav"),
])  # fmt: skip
def test_names_that_differ_in_the_number_of_a_part_are_one_group(names):
    assert len({key_of(Path("music") / name, "name") for name in names}) == 1


@pytest.mark.parametrize("names", [
    ("01 prelude.wav", "02 fugue.wav"), ("a/1.wav", "b/1.wav"), ("prelude in c.wav", "prelude in d.wav"),
    ("1984.wav", "1999.wav"), ("opus 27 adagio.wav", "opus 28 adagio.wav"),
])  # fmt: skip
def test_other_names_are_groups_of_their_own(names):
    assert len({key_of(Path("music") / name, "name") for name in names}) == 2


def test_folders_and_single_files_as_groups():
    paths = [Path("a/x.wav"), Path("a/y.wav"), Path("b/x.wav")]
    assert len({key_of(path, "folder") for path in paths}) == 2
    assert len({key_of(path, "none") for path in paths}) == 3


def test_groups_are_united_by_keys_and_pairs():
    assert united(["a", "b", "a", "c", "d"], []) == [0, 1, 0, 2, 3]
    assert united(["a", "b", "a", "c", "d"], [(1, 3), (3, 4)]) == [0, 1, 0, 1, 1]
    assert united([], []) == []


def test_every_group_is_in_one_split_near_the_fractions():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 30, 200).tolist()
    n_samples = rng.integers(100, 1000, 200).tolist()
    splits = assign_groups(n_samples, [None] * 200, united([str(g) for g in groups], []), Splitting())
    for group in set(groups):
        assert len({split for split, own in zip(splits, groups, strict=True) if own == group}) == 1
    for split, fraction in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        share = sum(n for n, own in zip(n_samples, splits, strict=True) if own == split) / sum(n_samples)
        assert share == pytest.approx(fraction, abs=0.03)


def test_a_group_takes_the_split_that_is_given_for_one_of_its_pieces():
    given = [None, "test", None, "valid", None]
    assert assign_groups([10] * 5, given, [0, 1, 1, 2, 3], Splitting())[1:4] == ["test", "test", "valid"]
    assert assign_groups([10] * 6, ["test", "valid", None, None, None, None], [0, 0, 0, 1, 2, 3], Splitting())[:3] == [
        "test", "valid", "test",
    ]  # fmt: skip


def test_validation_and_test_get_what_they_need_of_short_pieces():
    n_samples = [6 * RATE_HZ] * 6 + [round(0.35 * RATE_HZ)] * 60
    for seed in range(20):
        splits = assign_groups(n_samples, [None] * 66, list(range(66)), Splitting(seed=seed), 2 * RATE_HZ)
        for split in ("valid", "test"):
            seconds = sum(n for n, own in zip(n_samples, splits, strict=True) if own == split) / RATE_HZ
            assert seconds >= 2.0


def test_groups_that_cannot_be_kept_apart_are_described():
    assert "2 groups" in uninformative([0, 0, 1], [1, 1, 1])
    assert "80%" in uninformative([0, 1, 2], [8, 1, 1])
    assert uninformative([0, 1, 2], [5, 3, 2]) == ""


# --- the same sound in another file


def test_a_copy_is_alike_whatever_its_level_rate_and_start():
    first = print_of(music(0), RATE_HZ)
    for copy in (0.2 * music(0), music(0)[round(0.31 * RATE_HZ) :], np.round(40 * music(0)) / 40):
        assert likeness(first, print_of(copy.astype(np.float32), RATE_HZ)) > 0.8
    assert likeness(first, print_of(np.repeat(music(0), 2), 2 * RATE_HZ)) > 0.8


def test_other_music_and_steady_sounds_are_not_alike():
    prints = [print_of(music(seed), RATE_HZ) for seed in range(12)]
    assert max(likeness(a, b) for k, a in enumerate(prints) for b in prints[:k]) < 0.5
    tones = [np.sin(2 * np.pi * f * np.arange(3 * RATE_HZ) / RATE_HZ).astype(np.float32) for f in (300, 300, 500)]
    assert alike([print_of(tone, RATE_HZ) for tone in tones]) == []
    noise = [np.random.default_rng(k).standard_normal(4 * RATE_HZ).astype(np.float32) for k in range(8)]
    assert alike([print_of(one, RATE_HZ) for one in noise]) == []


def test_only_pieces_of_like_length_are_compared():
    audio = music(0, 12.0)
    prints = [print_of(one, RATE_HZ) for one in (audio, audio[: 6 * RATE_HZ], audio[: round(11.9 * RATE_HZ)])]
    assert alike(prints) == [(0, 2)]
    assert alike([print_of(audio[:100], RATE_HZ)] * 2) == []


# --- of many pieces


def notes(seed, n_hops=80):
    """A print of random notes in each band, which rise at once and decay."""
    rng = np.random.default_rng(seed)
    level = np.full((n_hops, 8), -40.0)
    for band in level.T:
        for start in rng.integers(0, n_hops, n_hops // 10):
            band[start:] = np.maximum(band[start:], -rng.uniform(1, 3) * np.arange(n_hops - start))
    return (level - level.mean(axis=0)).astype(np.float32)


def changed(one, seed):
    """The same at another level, a little noisy, up to half a second later."""
    rng = np.random.default_rng(seed)
    later = one[rng.integers(0, 10) :] + rng.standard_normal(8) + rng.standard_normal((1, 8)) * 0.3
    return (np.maximum(later, later.max() - 35.0) + rng.normal(0, 0.5, later.shape)).astype(np.float32)


@pytest.mark.parametrize("names", [("a.h5", "b.h5"), *(pytest.param(names, marks=pytest.mark.slow)
                                                        for names in (("", ""), ("a.h5", "")))])  # fmt: skip
def test_the_copies_among_many_pieces_are_found_with_few_comparisons(monkeypatch, names):
    """Every fifth piece of one corpus has a copy in the other: all are found, with 16 comparisons a piece at most.

    Pieces that are compared with their own corpus and with another one are compared with 16 of each.
    """
    compared = []
    both = likeness_module.likeness
    monkeypatch.setattr(likeness_module, "likeness", lambda a, b: compared.append(1) or both(a, b))
    calls = {}
    for n in (40, 80):
        first = [notes(seed) for seed in range(n)]
        second = [changed(first[k], k) if k % 5 == 0 else notes(10_000 + k) for k in range(n)]
        compared.clear()
        found = alike([*first, *second], [names[0]] * n + [names[1]] * n)
        assert found == [(k, n + k) for k in range(0, n, 5)]
        calls[n] = len(compared)
        assert calls[n] <= 16 * (3 * n if names == ("a.h5", "") else 2 * n)
    assert calls[80] <= 2.2 * calls[40]  # all pairs would be four times as many


def test_many_copies_of_one_sound_are_connected_without_comparison(monkeypatch):
    """Not compared, if they are equal."""
    monkeypatch.setattr(likeness_module, "likeness", lambda a, b: pytest.fail("compared"))
    one = notes(0)
    pairs = alike([one] * 200)
    assert len(set(united([str(k) for k in range(200)], pairs))) == 1 and len(pairs) < 400
    assert alike([one] * 4, ["a", "a", "b", "a"]) == [(0, 2), (1, 2), (2, 3)]
    assert alike([one] * 4, ["a", "a", "a", "a"]) == []


def test_all_copies_in_a_corpus_are_found_to_be_like_a_piece_of_another():
    one, other = notes(0), changed(notes(0), 1)
    assert alike([one, one, other, other], ["a", "a", "b", "b"]) == [(0, 2), (0, 3), (1, 2)]
    assert alike([one, notes(2), other, one], ["a", "a", "b", ""]) == [(0, 2), (0, 3), (2, 3)]


def test_steady_and_short_pieces_among_many_are_of_no_consequence():
    many = [notes(seed) for seed in range(60)]
    steady = [np.zeros((80, 8), np.float32)] * 100
    short = [np.zeros((0, 8), np.float32)] * 100 + [notes(seed, 20) for seed in range(5)]
    assert alike([*many, *steady, *short, many[7] * np.float32(0.99)]) == [(7, 265)]
