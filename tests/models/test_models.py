"""The models that come with the package: small, with their licences and a prime, and they play."""

import configparser
import fnmatch
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from rnnaudio import models
from rnnaudio.metrics import alive_seconds
from rnnaudio.runs import packs
from rnnaudio.runs.generate import generate
from rnnaudio.runs.load import load
from rnnaudio.runs.packs import packed_prime
from rnnaudio.runs.primes import Primes

ROOT = Path(__file__).parents[2]
NAMES = list(models.MODELS)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def contents(name):
    with zipfile.ZipFile(models.named(Path(name))) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def test_each_name_has_its_pack_and_each_pack_its_name():
    assert {path.stem for path in models.FOLDER.glob("*.zip")} == set(NAMES) and NAMES


def test_a_pack_is_small_and_in_half_precision(name, tmp_path):
    assert models.named(Path(name)).stat().st_size <= 8_000_000
    (tmp_path / "x").write_bytes(contents(name)["checkpoint.safetensors"])
    arrays = safetensors.numpy.load_file(tmp_path / "x")
    assert {array.dtype.name for array in arrays.values() if array.ndim > 1} == {"float16"}


def test_licences_sources_and_training_are_in_it(name):
    files = contents(name)
    licences, about = files["LICENCES.txt"].decode(), json.loads(files["pack.json"])
    assert about["licence"].startswith("BSD 3-Clause, as rnnaudio") and about["licence"] in licences
    for known in ("University of Iowa Musical Instrument Samples", "composition: public domain", "music21"):
        assert known in licences
    assert {line.split()[0] for line in licences.splitlines() if " s  K. " in line} == {"train", "valid", "test"}
    assert about["corpus"]["digest"] and about["trained_by"]["version"] and "K. 155" in about["prime"]["title"]
    assert b'recipe = "codes"' in files["config.toml"] and json.loads(files["summary.json"])["alive_seconds"] >= 30.0
    notes = (models.FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"`{name}.zip`" in notes and "University of Iowa" in notes and "music21" in notes


def test_its_prime_is_a_second_or_more_of_music(name):
    with packs.run_folder(Path(name)) as folder:
        run, prime = load(folder), packed_prime(folder)
    assert len(prime) >= run.sample_rate_hz and np.std(prime) > 0.1


def test_the_wheel_has_packs_and_notes():
    text = configparser.ConfigParser()
    text.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = text["options.package_data"]["rnnaudio"].split()
    for path in models.FOLDER.iterdir():
        if path.suffix in (".zip", ".md"):
            assert any(fnmatch.fnmatch(str(path.relative_to(ROOT / "rnnaudio")), pattern) for pattern in patterns)


@pytest.mark.slow
def test_it_plays_a_minute_by_the_limits_that_it_brings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generate(Path(name), tmp_path / "x.wav", primes=Primes())
    with packs.run_folder(Path(name)) as folder:
        run = load(folder)
    audio = np.frombuffer((tmp_path / "x.wav").read_bytes()[44:], "<i2") / 32_768.0
    rate = run.sample_rate_hz
    assert len(audio) == 61 * rate
    assert alive_seconds(audio[rate:], rate, run.limits, audio[:rate]).seconds == 60.0
