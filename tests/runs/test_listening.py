"""Listening tests: balanced pairs, equal loudness and place, nothing that names a sound, no sound left out unnamed."""

import base64
import io
import itertools
import json
import re
from collections import Counter

import numpy as np
import pytest
import soundfile

from rnnaudio.audio import read_audio, write_wav
from rnnaudio.audio.loudness import loudness_lufs
from rnnaudio.data import AudioCorpus
from rnnaudio.runs.listening.pairs import Pair, Side, are_matched, candidates, chosen, in_order, most_pairs
from tests.support.sounds import RATE_HZ, music, noise
from tests.support.tiny_runs import tiny_run

SECONDS = 2.0


def sound_in(folder, name, audio, rate=RATE_HZ):
    folder.mkdir(parents=True, exist_ok=True)
    write_wav(folder / name, audio, rate)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Three conditions of four sounds of 3 s each, of other levels."""
    folder = tmp_path_factory.mktemp("listening") / "sounds"
    for k in range(4):
        sound_in(folder / "ours", f"{k}.wav", 0.5 * music(3.0, k))
        sound_in(folder / "chain", f"{k}.wav", 0.1 * music(3.0, k + 4))
        sound_in(folder / "music", f"{k}.wav", noise(3.0, 0.05, k + 8))
    return folder


@pytest.fixture(scope="module")
def made(sounds):
    """The page on them, from half a second on, and its key."""
    from rnnaudio.runs.listening.listen import Settings, listen

    said = listen(sounds, sounds.parent / "test.html", Settings(seconds=SECONDS, start=0.5, minutes=3.0))
    return said, (sounds.parent / "test.html").read_text(), json.loads((sounds.parent / "test.key.json").read_text())


def sounds_of(page):
    """Samples and rate of A and B, of each pair."""
    for a, b in re.findall(r'data-a="data:audio/ogg;base64,([^"]*)" data-b="data:audio/ogg;base64,([^"]*)"', page):
        yield [soundfile.read(io.BytesIO(base64.b64decode(content))) for content in (a, b)]


# ---------------------------------------------------------------- which pairs


NAMES = {c: [str(k) for k in range(6)] for c in ("ours", "chain", "codec", "music")}


def kinds_of(pairs):
    return Counter(tuple(sorted((pair.a.condition, pair.b.condition))) for pair in pairs)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_most", [6, 20, 24, 1000])
def test_pairs_are_balanced(n_most, seed):
    """Kinds equally often; each sound as often as the others of its condition, or once more; both sides alike."""
    pairs = chosen(candidates(NAMES), n_most, seed)
    n_each = min(n_most // 6, 6)
    kinds = [tuple(sorted(two)) for two in itertools.combinations(NAMES, 2)]
    assert kinds_of(pairs) == dict.fromkeys(kinds, n_each)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) and all(a.sound == b.sound for a, b in pairs)
    used = Counter(side for pair in pairs for side in pair)
    for condition, names in NAMES.items():
        counts = [used[Side(condition, name)] for name in names]
        assert sum(counts) == 3 * n_each and max(counts) - min(counts) <= 2
    for kind in kinds:
        first = sum(pair.a.condition == kind[0] for pair in pairs if {p.condition for p in pair} == set(kind))
        assert abs(2 * first - n_each) <= 1


def test_more_conditions_than_time_meet_equally_often():
    names = {c: ["1", "2"] for c in "abcdefghij"}
    pairs = chosen(candidates(names), 24, 1)
    met = Counter(side.condition for pair in pairs for side in pair)
    assert len(pairs) == 24 and len(kinds_of(pairs)) == 24 and set(met.values()) <= {4, 5} and sum(met.values()) == 48


def test_the_choice_is_a_pure_function_of_the_seed():
    assert chosen(candidates(NAMES), 12, 3) == chosen(candidates(NAMES), 12, 3)
    orders = {tuple(chosen(candidates(NAMES), 12, seed)) for seed in range(10)}
    assert len(orders) == 10


def test_a_poor_condition_limits_all():
    names = NAMES | {"music": ["0", "3"]}
    assert set(kinds_of(chosen(candidates(names), 30, 1)).values()) == {2}


def test_sounds_of_other_names_are_paired_in_their_order():
    names = {"a": ["x1", "x2", "x10"], "b": ["y1", "y2"]}
    assert not are_matched(names) and are_matched(NAMES)
    (pairs,) = candidates(names).values()
    assert pairs == [Pair(Side("a", f"x{k}"), Side("b", f"y{k}")) for k in (1, 2)]


def test_numbers_in_names_are_in_order():
    assert in_order(["10", "9b", "9a", "a2", "a10", "", "2"]) == ["", "2", "9a", "9b", "10", "a2", "a10"]


def test_the_number_of_pairs_follows_from_the_time():
    """Both sounds and five seconds: 25 s a pair."""
    assert most_pairs(10.0, 10.0) == 24 and most_pairs(10.0, 1.0) == 85 and most_pairs(0.4, 10.0) == 0


# ---------------------------------------------------------------- the page


@pytest.mark.slow
def test_both_sounds_are_equally_loud_equally_long_and_of_the_same_place(made):
    said, page, key = made
    pairs = list(sounds_of(page))
    assert len(pairs) == len(key["pairs"]) == 12 and "12 pairs of 3 conditions (chain, music, ours)" in said
    for sounds, about in zip(pairs, key["pairs"].values(), strict=True):
        assert about["A"]["sound"] == about["B"]["sound"]
        for side, (audio, rate) in zip("AB", sounds, strict=True):
            assert rate == RATE_HZ and len(audio) == round(SECONDS * rate)
            whole, _ = read_audio(about[side]["file"])
            assert np.corrcoef(audio, whole[rate // 2 : rate // 2 + len(audio)])[0, 1] > 0.9  # of hiss, compressed
        loud = [loudness_lufs(audio, rate) for audio, rate in sounds]
        assert abs(loud[0] - loud[1]) < 1.0 or "dB off" in said


def test_a_page_names_nothing_and_its_key_everything(made, sounds):
    _, page, key = made
    plain = re.sub('base64,[^"]*', "", page)
    for told in ("ours", "chain", "music", ".wav", str(sounds)):
        assert told not in plain, told
    assert f'data-page="{key["page"]}"' in plain and key["seed"] == 2016
    sides = [side for pair in key["pairs"].values() for side in pair.values()]
    assert {side["condition"] for side in sides} == {"ours", "chain", "music"}


def test_the_same_seed_gives_the_same_key_and_another_sound_another(made, sounds, tmp_path, command):
    arguments = ["--seconds", SECONDS, "--start", 0.5, "--minutes", 3]
    assert command("listen", sounds, "-o", tmp_path / "a.html", *arguments)[0] == 0
    assert json.loads((tmp_path / "a.key.json").read_text()) == made[2]
    status, _, err = command("listen", sounds, "-o", tmp_path / "a.html", *arguments)
    assert status == 2 and f"{tmp_path / 'a.html'} exists: choose another name" in err
    assert command("listen", sounds, "-o", tmp_path / "b.html", *arguments, "--seed", 1)[0] == 0
    other = json.loads((tmp_path / "b.key.json").read_text())
    assert other["page"] != made[2]["page"] and other["pairs"] != made[2]["pairs"]


def test_what_cannot_be_heard_is_left_out_and_named(tmp_path, command):
    folder = tmp_path / "sounds"
    for condition in ("a", "b"):
        for k in (1, 2):
            sound_in(folder / condition, f"{k}.wav", 0.1 * music(1.5, k))
    (folder / "a" / "3.wav").write_bytes(b"no sound")
    (folder / "a" / "notes.txt").write_text("these")
    (folder / "a" / ".hidden").write_text("")
    sound_in(folder / "b", "short.wav", 0.1 * music(0.5, 1))
    sound_in(folder / "b", "1.flac.wav", 0.1 * music(1.5, 1))
    (folder / "b" / "1.aiff").write_bytes((folder / "b" / "1.wav").read_bytes())
    (folder / "b" / "2.wav").write_bytes((folder / "b" / "2.wav").read_bytes()[:9000])
    (folder / "empty").mkdir()
    status, out, err = command("listen", folder, "-o", tmp_path / "t.html", "--seconds", 1)
    assert status == 0, err
    said = dict(re.findall(r"left out: (\S+?): (.*)", out))
    assert {path.removeprefix(f"{folder}/") for path in said} == {
        "a/3.wav", "a/notes.txt", "b/short.wav", "b/1.wav", "b/2.wav", "empty"
    }  # fmt: skip
    assert said[f"{folder}/b/short.wav"] == "it has 0.5 s, expected 1 s or more"
    assert said[f"{folder}/b/1.wav"] == "1.aiff has the same name already"
    assert said[f"{folder}/b/2.wav"].startswith("truncated: ")
    assert said[f"{folder}/empty"] == "it holds no sound that can be played"
    assert "1 pair of 2 conditions (a, b)" in out


def test_sounds_of_different_lengths_are_cut_to_the_shorter_and_it_is_said(tmp_path, command):
    folder = tmp_path / "sounds"
    sound_in(folder / "a", "1.wav", 0.1 * music(1.25, 1))
    sound_in(folder / "b", "1.wav", 0.1 * music(3.0, 2))
    status, out, err = command("listen", folder, "-o", tmp_path / "t.html")
    assert status == 0, err
    where = f"{folder / 'a' / '1.wav'}"
    assert f"cut to the shorter one in 1 pair (the shortest: 1.25 s, {where})" in out
    ((a, rate), (b, _)) = next(sounds_of((tmp_path / "t.html").read_text()))
    assert len(a) == len(b) == round(1.25 * rate)


def test_what_the_choice_cost_is_said(tmp_path, command):
    folder = tmp_path / "sounds"
    for condition, names in (("a", "12"), ("b", "12"), ("c", "1")):
        for name in names:
            sound_in(folder / condition, f"{name}.wav", 0.1 * music(1.0, 1))
    status, out, err = command("listen", folder, "-o", tmp_path / "t.html", "--seconds", 1)
    assert status == 0 and "note: a and c have 1 pair, so there are as many of each two conditions" in out, err
    few = ["--seconds", 1, "--minutes", 0.25]
    status, out, _ = command("listen", folder, "-o", tmp_path / "u.html", *few)
    assert status == 0 and "note: there is no time for each two of 3 conditions: 2 of 3 meet" in out
    (folder / "c" / "1.wav").rename(folder / "c" / "other.wav")
    status, out, _ = command("listen", folder, "-o", tmp_path / "v.html", "--seconds", 1)
    assert status == 0 and "note: names of sounds differ by condition: they are paired in their order" in out


def test_a_sound_that_cannot_be_as_loud_is_named(tmp_path, command):
    folder = tmp_path / "sounds"
    sound_in(folder / "a", "1.wav", music(1.0, 1))
    sound_in(folder / "a", "2.wav", music(1.0, 2))
    sound_in(folder / "b", "1.wav", np.zeros(RATE_HZ))
    sound_in(folder / "b", "2.wav", 0.02 * music(1.0, 2))
    status, out, err = command("listen", folder, "-o", tmp_path / "t.html", "--seconds", 1)
    assert status == 0, err
    silent, soft = folder / "b" / "1.wav", folder / "b" / "2.wav"
    assert f"note: {silent} is silent: it cannot be made as loud as the others" in out
    assert re.search(rf"note: {soft} is \d+\.\d dB off: it cannot be made as loud", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "got 1 condition (a), expected two or more: a folder of sounds for each, or runs"),
        (["empty"], "got no condition, expected two or more"),
        (["half"], "got 1 condition (a), expected two or more: a folder of sounds for each, or runs; "),
        (["nowhere"], "nowhere: no such folder; expected a folder with a folder of sounds for each condition"),
        (["file"], "file: it is a file; expected a folder"),
        (["two", "--seconds", "0.5"], "seconds is 0.5; expected 1 to 60"),
        (["two", "--seconds", "61"], "seconds is 61; expected 1 to 60"),
        (["two", "--seconds", "nan"], "seconds is nan; expected 1 to 60"),
        (["two", "--minutes", "0"], "minutes is 0; expected more than 0, and 60 at most"),
        (["two", "--minutes", "0.1"], "minutes is 0.1, too short for a pair: expected 0.42 or more"),
        (["two", "--minutes", "100"], "minutes is 100; expected more than 0, and 60 at most"),
        (["two", "--start", "-1"], "start is -1.0; expected more than 0"),
        (["two", "--seed", "-1"], "seed is -1"),
        (["two", "--start", "5"], "got no condition"),
    ],
)
def test_refusals_leave_no_page(tmp_path, command, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("one/a", "two/a", "two/b", "half/a"):
        sound_in(tmp_path / name, "1.wav", 0.1 * music(1.0, 1))
    (tmp_path / "half/b").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "out").mkdir()
    status, _, err = command("listen", *arguments, "-o", "out/t.html")
    assert status == 2 and message in err and err.startswith("rnnaudio: ") and err.count("\n") == 1, err
    assert not list((tmp_path / "out").iterdir())


def test_a_name_must_be_a_page_s_and_its_folder_there(sounds, tmp_path, command):
    status, _, err = command("listen", sounds, "-o", tmp_path / "t.wav")
    assert status == 2 and "expected a name that ends in .html" in err
    status, _, err = command("listen", sounds, "-o", tmp_path / "none/t.html")
    assert status == 2 and "there is no folder" in err
    (tmp_path / "t.key.json").write_text("earlier")
    status, _, err = command("listen", sounds, "-o", tmp_path / "t.html")
    assert status == 2 and "t.key.json exists" in err and (tmp_path / "t.key.json").read_text() == "earlier"


def test_a_page_that_cannot_be_written_leaves_no_key(sounds, tmp_path, command, monkeypatch):
    def refused(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refused)
    status, _, err = command("listen", sounds, "-o", tmp_path / "t.html", "--seconds", 1, "--minutes", 0.5)
    assert status == 2 and "No space left" in err and not list(tmp_path.iterdir())


# ---------------------------------------------------------------- of runs


def test_runs_continue_the_same_primes_beside_the_recording(tmp_path, command):
    tiny_run(tmp_path, "runs/one")
    sound_in(tmp_path / "runs" / "sounds", "1.wav", 0.1 * music(1.0, 1))
    damaged = tmp_path / "runs" / "damaged"
    damaged.mkdir()
    (damaged / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    few = ["--seconds", 1, "--minutes", 0.4]  # time for 3 pairs; three conditions are expected, so for one of each two
    status, out, err = command("listen", tmp_path / "runs", "-o", tmp_path / "t.html", *few)
    assert status == 0 and "1 pair of 2 conditions (the recording, one)" in out, err
    assert f"left out: {tmp_path / 'runs/sounds'}: it holds no run, as others do" in out
    assert f"left out: {damaged}: " in out
    (pair,) = json.loads((tmp_path / "t.key.json").read_text())["pairs"].values()
    (sounds,) = sounds_of((tmp_path / "t.html").read_text())
    of = {pair[side]["condition"]: audio for side, (audio, _) in zip("AB", sounds, strict=True)}
    assert pair["A"]["sound"] == pair["B"]["sound"] == "prime 1" and of.keys() == {"the recording", "one"}
    with AudioCorpus.open(tmp_path / "corpus.h5") as corpus:
        rate = corpus.sample_rate_hz
        true = corpus.restore(corpus.test.prime_at(0, 2.0)[rate:])
    assert np.corrcoef(of["the recording"], true)[0, 1] > 0.99 > np.corrcoef(of["one"], true)[0, 1]
    (tmp_path / "corpus.h5").unlink()
    status, _, err = command("listen", tmp_path / "runs", "-o", tmp_path / "u.html", *few)
    assert status == 2 and "no prime: no corpus of these runs is where it was" in err
