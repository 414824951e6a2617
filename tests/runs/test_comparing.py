"""Several runs on one page: the same prime, one loudness, none left out in silence; and votes on what is unnamed."""

import base64
import dataclasses
import io
import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile

from rnnaudio.audio import resample, write_wav
from rnnaudio.audio.loudness import loudness_lufs
from rnnaudio.data import AudioCorpus
from rnnaudio.runs import voting
from rnnaudio.runs.comparing import compare as comparing
from rnnaudio.runs.comparing import entries, sounds
from rnnaudio.runs.comparing.page import letter
from rnnaudio.runs.comparing.sounds import Asked, Stretch
from rnnaudio.runs.frames.config import ModelConfig
from rnnaudio.runs.load import load
from rnnaudio.runs.primes import Primes
from rnnaudio.training import checkpoint
from tests.support.sounds import music
from tests.support.tiny_runs import TINY, tiny_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs that differ in one setting, on one corpus."""
    folder = tmp_path_factory.mktemp("comparing")
    tiny_run(folder, "runs/small")
    tiny_run(folder, "runs/below/large", dataclasses.replace(TINY, model=ModelConfig(n_units=8)))
    return folder


@pytest.fixture(scope="module")
def page(folder):
    """The page on both, of two seconds."""
    comparing.compare([folder / "runs"], folder / "page.html", Asked(Primes(), seconds=2.0))
    return (folder / "page.html").read_text(encoding="utf-8")


def sounds_of(page):
    """Samples and rate by name."""
    players = re.findall(r'<audio[^>]*aria-label="([^"]*)" src="data:audio/ogg;base64,([^"]*)"', page)
    return {name: soundfile.read(io.BytesIO(base64.b64decode(content))) for name, content in players}


def test_all_go_on_from_the_same_prime_at_the_same_loudness(folder, page):
    sounds = sounds_of(page)
    assert list(sounds) == ["the recording", "below/large", "small"]
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        prime, rate = corpus.restore(corpus.test.prime_at(0, 3.0)), corpus.sample_rate_hz
    for audio, own_rate in sounds.values():
        assert own_rate == rate and len(audio) == 3 * rate
        assert np.corrcoef(audio[:rate], prime[:rate])[0, 1] > 0.99
    assert np.corrcoef(sounds["the recording"][0], prime)[0, 1] > 0.99  # and it goes on as it was recorded
    target = loudness_lufs(prime[rate:], rate)
    for (audio, _), gain in zip(sounds.values(), map(float, re.findall(r"Gain ([+-][\d.]+) dB", page)), strict=True):
        assert abs(gain) == 12.0 or loudness_lufs(audio[rate:], rate) == pytest.approx(target, abs=0.5)


def test_the_prime_is_equally_loud_in_all_however_loud_what_follows_is(folder, page):
    """Its level would otherwise tell which sound is the recording."""
    levels = [np.sqrt(np.mean(audio[: rate - 800] ** 2)) for audio, rate in sounds_of(page).values()]
    gains = set(re.findall(r"Gain ([+-][\d.]+) dB", page))
    assert len(gains) > 1, "the test needs continuations of different loudness"
    assert max(levels) / min(levels) < 10 ** (0.3 / 20)  # Ogg Vorbis alters levels a little


def test_the_gain_sets_in_without_a_click():
    tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    clip = sounds._clip(0.1 * tone, 0.02 * tone, 16_000, loudness_lufs(0.05 * tone, 16_000))
    audio, rate = soundfile.read(io.BytesIO(clip.ogg))
    assert clip.words == "Gain +8.0 dB." and np.abs(audio[17_600:]).max() == pytest.approx(0.05, rel=0.1)
    assert np.abs(np.diff(audio[15_000:])).max() < 1.2 * 0.1 * 2 * np.pi * 200 / rate


def test_a_prime_or_a_recording_that_is_shorter_than_asked_is_noted(folder, tmp_path, command):
    out = tmp_path / "page.html"
    status, said, _ = command("compare", folder / "runs", "-o", out, "--prime-seconds", 500, "--seconds", 0.5)
    assert status == 0 and re.search(r"note: no test piece has 500 s: the prime has [\d.]+ s", said)
    assert "note: its piece ends with the prime: the recording is left out" in said
    assert list(sounds_of(out.read_text())) == ["below/large", "small"]
    status, said, _ = command("compare", folder / "runs", "-o", out, "--seconds", 100, "--overwrite")
    assert status == 0 and re.search(r"note: its piece goes on for [\d.]+ s only", said)
    status, said, _ = command("compare", folder / "runs", "-o", out, "--seconds", 0.5, "--overwrite")
    assert status == 0 and "note: " not in said


def test_a_page_shows_settings_that_differ_and_what_was_found(folder, page):
    differing, common = (re.search(f"<h2>{name}: frames</h2>(.*?)</table>", page, re.DOTALL)[1] for name in
                         ("Settings that differ", "Settings in common"))  # fmt: skip
    assert re.findall("<td[^>]*>([^<]*)</td>", differing) == ["model.n_units", "8", "6"]
    assert "batch_size" in common and "model.n_units" not in common
    assert page.count("Recipe frames. Alive: ") == 2 and "none that can be read (rnnaudio diagnose" in page
    assert "Learning curves: frames" in page and "<h2>Runs</h2>" in page


def test_a_diagnosis_appears_in_words(folder, tmp_path):
    runs = shutil.copytree(folder / "runs", tmp_path / "runs")
    cause = {"name": "axes-swapped", "severity": 0.5, "evidence": "found at 7", "advice": "swap them"}
    (runs / "small/diagnosis.json").write_text(json.dumps({"causes": [cause], "measured": {}}))
    nothing = {"causes": [], "measured": {}, "nothing_found": "all\nwell"}
    (runs / "below/large/diagnosis.json").write_text(json.dumps(nothing))
    comparing.compare([runs], tmp_path / "page.html", Asked(Primes(), seconds=0.5))
    words = (tmp_path / "page.html").read_text()
    assert "Diagnosis: axes-swapped: found at 7." in words and "Diagnosis: all well." in words


def test_what_cannot_be_played_is_named_and_stops_nothing(folder, tmp_path, command):
    runs = shutil.copytree(folder / "runs", tmp_path / "runs")
    damaged = runs / "damaged"
    damaged.mkdir()
    (damaged / checkpoint.NAME).write_bytes(b"no checkpoint")
    places = [runs, runs / "small", tmp_path / "none", tmp_path]  # one of them twice
    status, out, err = command("compare", *places[:3], "-o", tmp_path / "page.html", "--seconds", 0.5)
    assert status == 0 and "2 runs" in out, err
    assert f"left out: {damaged}: " in out and f"left out: {tmp_path / 'none'}: expected a folder" in out
    assert list(sounds_of((tmp_path / "page.html").read_text())) == ["the recording", "below/large", "small"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/small"], "got 1 run"),
        (["runs/small", "corpus.h5"], "corpus.h5: expected a folder"),
        (["nowhere"], "nowhere: expected a folder"),
        (["runs", "--seconds", "0"], "seconds is 0"),
        (["runs", "--seconds", "nan"], "seconds is nan"),
        (["runs", "--seconds", "601"], "expected 600 at most"),
        (["runs", "--prime-seconds", "-1"], "prime_seconds is -1"),
        (["runs", "--prime-seconds", "1e-9"], "prime_seconds is 1e-09: no sample"),
        (["runs", "--prime-index", "-1"], "prime_index is -1"),
        (["runs", "--prime-start", "3"], "there is none"),
        (["runs", "--prime-file", "none.wav"], "none.wav"),
        (["runs", "--sampling-seed", "-1"], "sampling_seed"),
    ],
)
def test_refusals_leave_no_page(folder, tmp_path, command, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    status, _, err = command("compare", *arguments, "-o", tmp_path / "page.html")
    assert status == 2 and message in err and err.startswith("rnnaudio: "), err
    assert not list(tmp_path.iterdir())


def test_an_earlier_page_is_kept_and_a_name_must_be_a_page_s(folder, tmp_path, command):
    (tmp_path / "page.html").write_text("earlier")
    status, _, err = command("compare", folder / "runs", "-o", tmp_path / "page.html")
    assert status == 2 and "page.html exists" in err and (tmp_path / "page.html").read_text() == "earlier"
    status, _, err = command("compare", folder / "runs", "-o", tmp_path / "page.wav")
    assert status == 2 and "expected a name that ends in .html" in err


def test_without_a_corpus_the_prime_comes_from_a_file_and_life_is_not_measured(folder, tmp_path, command):
    runs = shutil.copytree(folder / "runs", tmp_path / "runs")
    for run_dir in (runs / "small", runs / "below/large"):
        path = run_dir / checkpoint.NAME
        saved = checkpoint.load(path)
        saved.record["config"]["corpus"]["path"] = str(tmp_path / "gone.h5")
        checkpoint.save(path, saved)
    status, _, err = command("compare", runs, "-o", tmp_path / "page.html")
    assert status == 2 and "name one with --prime-file" in err and "gone.h5" in err
    write_wav(tmp_path / "prime.wav", music(3.0, 1), 16_000)
    status, _, err = command(
        "compare", runs, "-o", tmp_path / "page.html", "--prime-file", tmp_path / "prime.wav", "--seconds", 0.5
    )
    assert status == 0, err
    words = (tmp_path / "page.html").read_text()
    assert words.count("Alive: not measured, for its corpus is not there.") == 2
    assert list(sounds_of(words)) == ["below/large", "small"]  # how the file goes on is no recording of the corpus


def test_a_run_at_another_rate_gets_the_prime_at_its_own(folder):
    run = load(folder / "runs/small")
    rate = run.sample_rate_hz
    t = np.arange(2 * rate) / (2 * rate)
    prime = (0.1 * np.sin(2 * np.pi * 440.0 * t)).astype(np.float32)  # a second at twice the rate
    own, generated, _ = sounds.continued(run, Stretch(prime, prime[:0], 2 * rate), Asked(Primes(), seconds=0.25))
    np.testing.assert_allclose(own, resample(prime, 2 * rate, rate))
    assert len(own) == rate and len(generated) == rate // 4


def test_names_that_look_the_same_are_numbered_and_none_is_that_of_the_recording(tmp_path):
    names = ["the recording", "setting", "x\ny", r"x\ny"]
    shown = entries._names([tmp_path / name for name in names])
    assert shown == ["the recording (2)", "setting (2)", r"x\ny", r"x\ny (2)"]


def test_names_of_any_kind_are_drawn(folder, tmp_path, command):
    names = ["$lr_1e-3^2^3$", "_under", "a" * 200]
    for name in names:
        shutil.copytree(folder / "runs/small", tmp_path / "runs" / name)
    status, out, err = command("compare", tmp_path / "runs", "-o", tmp_path / "page.html", "--seconds", 0.5)
    assert status == 0 and "3 runs" in out, err


def test_one_run_that_may_not_be_looked_at_stops_nothing(folder, tmp_path, command):
    places = [folder / "runs", tmp_path / ("a" * 300)]
    status, out, err = command("compare", *places, "-o", tmp_path / "page.html", "--seconds", 0.5)
    assert status == 0 and "File name too long" in out, err
    status, _, err = command("compare", folder / "runs", "-o", tmp_path / ("a" * 300 + ".html"))
    assert status == 2 and err.endswith("File name too long; name another path\n") and err.count("\n") == 1


def test_a_diagnosis_that_is_a_pipe_is_not_waited_for(folder, tmp_path, command):
    runs = shutil.copytree(folder / "runs", tmp_path / "runs")
    os.mkfifo(runs / "small/diagnosis.json")
    os.mkfifo(runs / "small/summary.json")
    assert command("compare", runs, "-o", tmp_path / "page.html", "--seconds", 0.5)[0] == 0
    assert command("runs", runs)[0] == 0


def test_the_recording_is_not_told_by_its_length(folder, tmp_path):
    """It goes on for some seconds after its prime, and others are asked for more."""
    comparing.compare([folder / "runs"], tmp_path / "b.html", Asked(Primes(), seconds=60.0, blind=True))
    lengths = {len(audio) for audio, _ in sounds_of((tmp_path / "b.html").read_text()).values()}
    assert len(lengths) == 1 and max(lengths) < 60 * 16_000


def test_letters():
    expected = {0: "A", 1: "B", 25: "Z", 26: "AA", 27: "AB", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA"}
    assert {k: letter(k) for k in expected} == expected


# ---------------------------------------------------------------- without names


@pytest.fixture(scope="module")
def blind(folder):
    """A page without names, and its key."""
    comparing.compare([folder / "runs"], folder / "blind.html", Asked(Primes(), seconds=0.5, blind=True))
    return folder / "blind.html", json.loads((folder / "blind.key.json").read_text())


def test_a_blind_page_names_nothing_and_its_key_everything(folder, blind):
    path, key = blind
    words = path.read_text()
    assert sorted(key["clips"]) == ["A", "B", "C"] and list(sounds_of(words)) == ["A", "B", "C"]
    places = {str(folder / "runs/small"), str(folder / "runs/below/large"), "the recording"}
    assert set(key["clips"].values()) == places
    for told in ("small", "large", "frames", "Alive", "Gain", "n_units", str(folder)):
        assert told not in re.sub("base64,[^\"]*", "", words), told
    assert f'data-page="{key["page"]}"' in words and words.count('type="radio"') == 15


def votes_file(path, page, votes, voter=""):
    path.write_text(json.dumps({"page": page, "voter": voter, "votes": votes}))
    return path


def test_a_blind_page_shows_nothing_by_which_sounds_are_known(blind):
    """A spectrogram shows which sound is silence or noise; nothing but the players is there."""
    page = blind[0].read_text().partition("<body>")[2].partition("<script>")[0]
    assert page.count("<audio") == len(blind[1]["clips"]) and "<img" not in page and "spectrogram" not in page.lower()


def test_votes_are_counted_by_the_key(folder, blind, tmp_path, command):
    page, clips = blind[1]["page"], blind[1]["clips"]
    files = [
        votes_file(tmp_path / "1.json", page, {"A": 5, "B": 2, "C": 3}, "first"),
        votes_file(tmp_path / "2.json", page, {"A": 4, "C": 1}),
        votes_file(tmp_path / "3.json", page, {"A": 1}, "first"),  # once is enough
        votes_file(tmp_path / "4.json", "another page", {"A": 1}),
        votes_file(tmp_path / "5.json", page, {"A": 6}),
        votes_file(tmp_path / "6.json", page, {"D": 1}),
        votes_file(tmp_path / "7.json", page, {"A": True}),
        votes_file(tmp_path / "8.json", page, {}),
        tmp_path / "none.json",
        tmp_path / "pipe.json",
        tmp_path / "large.json",
        tmp_path / "1.json",  # again
        votes_file(tmp_path / "10.json", page, {"A": 1}, " FIRST "),
        votes_file(tmp_path / "11.json", page, {"A": 1}, ["x"]),
    ]
    (tmp_path / "9.json").write_text("[1]")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "large.json").write_text(" " * (voting.MOST_BYTES + 1))
    status, out, err = command("votes", folder / "blind.key.json", *files, tmp_path / "9.json", "--json")
    assert status == 0, err
    counted = {row["name"]: row for row in json.loads(out)}
    assert counted[clips["A"]]["votes"] == [5, 4] and counted[clips["A"]]["mean"] == 4.5
    assert counted[clips["A"]]["standard_error"] == pytest.approx(0.5)  # of 5 and 4: sqrt(.5) / sqrt(2)
    assert counted[clips["B"]]["votes"] == [2] and counted[clips["B"]]["standard_error"] is None
    assert [row["name"] for row in json.loads(out)] == [clips["A"], *sorted((clips["B"], clips["C"]), key=out.index)]
    assert err.count("left out: ") == 13
    for said in ("first has voted already", "not of this page", "got 6 for A", "got 1 for D", "got True for A",
                 "holds no votes", "cannot be read", "named twice", "expected a text", "no regular file",
                 "has more than", "expected an object"):  # fmt: skip
        assert said in err, said
    status, out, _ = command("votes", folder / "blind.key.json", files[0])
    assert status == 0 and re.search(r"1  5\.00 +-", out) and out.count("\n") == 4


def test_a_key_that_is_none_and_no_votes_at_all(folder, blind, tmp_path, command):
    file = votes_file(tmp_path / "1.json", "x", {"A": 1})
    status, _, err = command("votes", file, file)
    assert status == 2 and "is no key of a blind page" in err
    status, _, err = command("votes", folder / "blind.html", folder / "blind.key.json")
    assert status == 2 and "blind.html is no key of a blind page, the .key.json" in err
    status, _, err = command("votes", folder / "blind.key.json")
    assert status == 2 and "name the files" in err
    status, _, err = command("votes", folder / "blind.key.json", file)
    assert status == 2 and "no votes to count" in err


def test_a_page_that_cannot_be_written_leaves_no_key(folder, tmp_path, command, monkeypatch):
    def refused(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refused)
    status, _, err = command("compare", folder / "runs", "-o", tmp_path / "b.html", "--blind", "--seconds", 0.5)
    assert status == 2 and "No space left" in err and not list(tmp_path.iterdir())
