"""Models that come with the package, by name: where they are found, what they can do, and what is refused."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rnnaudio import models
from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import generate as generating
from rnnaudio.runs import packs
from rnnaudio.runs.continuing import AS_TRAINED
from rnnaudio.runs.generate import generate
from rnnaudio.runs.packs import reading
from rnnaudio.runs.play import play
from rnnaudio.runs.primes import Primes
from rnnaudio.runs.start import settings_of, starting_from
from tests.support.sound_cards import FakeCard, FakeKeys

OLD = Path(__file__).parents[1] / "support" / "old_runs"
CORPUS = OLD / "corpus.hdf5"
NAME = Path("harp")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with the pack of a tiny run, as rnnaudio/models has it."""
    folder = tmp_path_factory.mktemp("models")
    packs.pack(OLD / "codes", folder / "harp.zip", CORPUS, form=packs.Form(float16=True))
    return folder


@pytest.fixture(autouse=True)
def here(shipped, tmp_path, monkeypatch):
    """The model harp comes with the package, and the working directory is empty."""
    monkeypatch.setattr(models, "FOLDER", shipped)
    monkeypatch.setattr(models, "MODELS", {"harp": "plays the harp"})
    reading._note.cache_clear()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_generate_plays_it_for_a_minute_without_corpus_or_prime(shipped, command, monkeypatch):
    assert (generating.SECONDS, generating.SHIPPED_SECONDS) == (10.0, 60.0)
    monkeypatch.setattr(generating, "SHIPPED_SECONDS", 0.2)
    status, out, err = command("generate", "harp", "by-name.wav")
    assert status == 0 and "1.00 s prime + 0.20 s generated" in out, err
    generate(shipped / "harp.zip", Path("by-path.wav"), primes=Primes(), seconds=0.2)
    assert Path("by-name.wav").read_bytes() == Path("by-path.wav").read_bytes()


def test_play_plays_it_on_the_sound_card():
    card = FakeCard()
    play(NAME, primes=Primes(), open_card=card, keys=FakeKeys(), seconds=0.2, sampling=AS_TRAINED)
    generate(NAME, Path("x.wav"), primes=Primes(), seconds=0.2)
    audio, rate = read_audio(Path("x.wav"))
    assert card.rate == rate
    np.testing.assert_allclose(card.audio, audio, atol=2.0 / 32768)


def test_training_starts_from_it_with_its_codec():
    settings = settings_of(NAME)
    assert settings["recipe"] == "codes" and settings["n_codes"]
    with starting_from(NAME) as start:
        assert start.run == NAME and (start.folder / "codec.safetensors").exists()


def test_a_file_or_run_of_that_name_comes_first_and_any_other_folder_does_not(capsys):
    assert reading.shipped(NAME) is not None
    NAME.mkdir()
    for _ in range(2):
        assert reading.shipped(NAME) is not None
    note = "note: the folder harp holds no run: harp is the model that comes with rnnaudio\n"
    assert capsys.readouterr().err == note  # once
    shutil.copytree(OLD / "lstm", NAME, dirs_exist_ok=True)
    assert reading.shipped(NAME) is None
    with packs.run_folder(NAME) as folder:
        assert folder == NAME
    shutil.rmtree(NAME)
    NAME.write_bytes(b"x")
    assert reading.shipped(NAME) is None
    assert reading.shipped(Path("./below/harp")) is None


@pytest.mark.parametrize(
    ("name", "hint"), [("hapr", "did you mean 'harp'?"), ("qqq", "known are harp"), ("harps", "did you mean 'harp'?")]
)
@pytest.mark.parametrize("verb", ["generate", "play", "export"])
def test_a_name_that_is_nothing_is_refused_with_the_nearest(command, monkeypatch, name, hint, verb):
    if verb == "export":
        pytest.importorskip("onnx", reason="needs the extra onnx")
    monkeypatch.setattr("rnnaudio.audio.card.SoundCard", lambda *_: FakeCard(), raising=False)
    arguments = {"generate": ["x.wav"], "play": ["--seconds", 0.1], "export": ["x.onnx"]}[verb]
    status, _, err = command(verb, name, *arguments)
    assert status == 2 and err.count("\n") == 1
    assert f"{name}: no such folder or file, and no model that comes with rnnaudio; {hint}" in err, err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["resume"], ["diagnose"], ["report"], ["watch"], ["runs"], ["defects"], ["pack", "x.zip"],
        ["compare", "-o", "x.html"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_what_it_cannot_do_is_said(command, arguments):
    verb, *more = arguments
    status, _, err = command(verb, "harp", *more)
    assert status == 2 and err.count("\n") == 1
    assert "harp is a model that comes with rnnaudio, to play (rnnaudio generate, play), to export, and to" in err
    assert "expected the folder of a run of your own" in err and not list(Path().iterdir())


def test_a_pack_of_another_version_is_refused_with_what_to_do(shipped, tmp_path, monkeypatch, command):
    with zipfile.ZipFile(shipped / "harp.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(files["pack.json"]) | {"format": "rnnaudio-pack-2"}
    with zipfile.ZipFile(tmp_path / "harp.zip", "w") as archive:
        for name, content in (files | {"pack.json": json.dumps(about).encode()}).items():
            archive.writestr(name, content)
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    status, _, err = command("generate", "harp", "x.wav")
    assert status == 2 and "has format 'rnnaudio-pack-2', expected 'rnnaudio-pack-1'; use the version" in err, err


def test_a_pack_that_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    with pytest.raises(RnnaudioError, match=r"harp\.zip is missing, the model harp, which comes with"):
        generate(NAME, Path("x.wav"), primes=Primes())


def test_its_corpus_may_be_named(shipped):
    generate(NAME, Path("a.wav"), CORPUS, primes=Primes(place=1), seconds=0.1)
    with AudioCorpus.open(CORPUS) as corpus:
        prime = corpus.restore(corpus.test.prime_at(1, 1.0))
    audio, rate = read_audio(Path("a.wav"))
    np.testing.assert_allclose(audio[:rate], prime, atol=2.0 / 32768)


def test_info_and_help_name_it(command, monkeypatch):
    monkeypatch.setattr("rnnaudio.cli.engine_report.report", lambda: "engine     x")
    status, out, _ = command("info")
    assert status == 0 and out == "engine     x\nmodel      harp: plays the harp (rnnaudio generate harp out.wav)\n"
    shown = command("generate", "--help")[1].replace("│", "")
    assert "model that comes with rnnaudio: piano" in " ".join(shown.split())
