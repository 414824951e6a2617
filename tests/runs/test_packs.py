"""Packs: what one holds, that it plays to the bit as its run does, and that nothing from elsewhere does harm."""

import hashlib
import json
import os
import shutil
import signal
import struct
import tempfile
import tomllib
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from rnnaudio.audio import write_wav
from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import fixed_code_windows
from rnnaudio.errors import MissingCorpus, RnnaudioError
from rnnaudio.objectives import NextCodes
from rnnaudio.runs import packs
from rnnaudio.runs.codes.model import encoded
from rnnaudio.runs.continuing import SamplingOptions
from rnnaudio.runs.generate import generate
from rnnaudio.runs.load import load
from rnnaudio.runs.packs import layout, reading, writing
from rnnaudio.runs.primes import Primes
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import Evaluation, checkpoint

OLD = Path(__file__).parents[1] / "support" / "old_runs"
CORPUS = OLD / "corpus.hdf5"
RUNS = ("lstm", "gru-2016", "memory-lstm", "codes", "samples")
RATE_HZ = 8000


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory, monkeypatch):
    """A folder for temporary folders of its own, which is empty after each test."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A pack of each run."""
    folder = tmp_path_factory.mktemp("packs")
    for name in RUNS:
        packs.pack(OLD / name, folder / f"{name}.zip", CORPUS)
    return folder


@pytest.fixture(params=RUNS)
def name(request):
    return request.param


def contents(pack):
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def played(run, out, **options):
    options = {"primes": Primes(), "seconds": 0.1, **options}
    generate(run, out, **options)
    return out.read_bytes()


# ---------------------------------------------------------------- what it holds, and how it plays


def test_it_plays_to_the_bit_as_the_run_with_the_same_prime_and_seed(packed, name, tmp_path):
    """Without a corpus: from its own prime, which is that of the run, and from a file."""
    sampling = SamplingOptions(seed=3) if name in ("codes", "samples") else SamplingOptions()
    write_wav(tmp_path / "prime.wav", 0.1 * np.sin(np.arange(2 * RATE_HZ) / 5), RATE_HZ)
    pack = packed / f"{name}.zip"
    for n, primes in enumerate((Primes(), Primes(tmp_path / "prime.wav"), Primes(seconds=0.5))):
        expected = played(OLD / name, tmp_path / f"run-{n}.wav", corpus=CORPUS, primes=primes, sampling=sampling)
        if n == 2:  # half of its prime, where the run takes the first half second of the first piece that has it
            with AudioCorpus.open(CORPUS) as corpus:
                assert np.array_equal(corpus.test.first(0.5), corpus.test.first(1.0)[: RATE_HZ // 2])
        assert played(pack, tmp_path / f"pack-{n}.wav", primes=primes, sampling=sampling) == expected


def test_it_holds_what_is_needed_and_nothing_else(packed, name):
    files = contents(packed / f"{name}.zip")
    of_codes = {"codec.safetensors", "playing.json"} if name == "codes" else set()
    assert set(files) == {
        "README.txt", "LICENCES.txt", "pack.json", "checkpoint.safetensors", "config.toml", "prime.safetensors",
        *of_codes,
    }  # fmt: skip
    listed = json.loads(files.pop("pack.json"))["files"]
    assert listed == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in files.items()
    }
    assert str(OLD).encode() not in b"".join(files.values()) and str(Path.home()).encode() not in files["README.txt"]


def test_of_the_checkpoint_only_the_parameters_that_play_are_packed(packed, name, tmp_path):
    run = load(OLD / name)
    (tmp_path / "x.safetensors").write_bytes(contents(packed / f"{name}.zip")["checkpoint.safetensors"])
    saved = checkpoint.load(tmp_path / "x.safetensors")
    groups = {key.partition("/")[0] for key in saved.arrays}
    assert len(groups) == 1 and groups <= {"best", "model"}
    values = saved.group(*groups)
    assert values.keys() == run.model.get_values().keys()
    assert all(np.array_equal(values[key], value) for key, value in run.model.get_values().items())
    assert saved.record["config"]["corpus"]["path"] == CORPUS.name and len(saved.record["history"]) <= 2
    assert {"identity", "totals"}.isdisjoint(saved.record)


def test_its_settings_are_those_of_the_run(packed, name):
    files = contents(packed / f"{name}.zip")
    settings = tomllib.loads(files["config.toml"].decode())
    recipe = settings.pop("recipe")
    assert recipe == {"codes": "codes", "samples": "samples"}.get(name, "frames")
    assert settings["batch_size"] == load(OLD / name).config.batch_size
    about = json.loads(files["pack.json"])
    assert about["corpus"]["sample_rate_hz"] == RATE_HZ and about["prime"]["seconds"] == 1.0
    assert f"recipe {recipe}, of {load(OLD / name).model.n_parameters} parameters" in files["README.txt"].decode()


def test_the_parameters_that_a_choice_names_are_packed(tmp_path):
    """Of a run over codes whose last parameters play, and not the best ones."""
    run_dir = shutil.copytree(OLD / "codes", tmp_path / "run")
    saved = SavedRun.read(run_dir).checkpoint
    arrays = {key: array + 0.5 if key.startswith("best/") else array for key, array in saved.arrays.items()}
    checkpoint.save(run_dir / checkpoint.NAME, saved._replace(arrays=arrays))
    for group in ("best", "model"):
        record = json.loads((run_dir / "playing.json").read_text())
        (run_dir / "playing.json").write_text(json.dumps(record | {"parameters": group}))
        packs.pack(run_dir, tmp_path / f"{group}.zip", CORPUS)
        out = tmp_path / f"{group}.wav"
        assert played(tmp_path / f"{group}.zip", out) == played(run_dir, tmp_path / "run.wav", corpus=CORPUS)
        (tmp_path / "run.wav").unlink()
    assert (tmp_path / "best.wav").read_bytes() != (tmp_path / "model.wav").read_bytes()


def test_a_summary_is_packed_if_it_is_of_this_checkpoint(tmp_path):
    run_dir = shutil.copytree(OLD / "lstm", tmp_path / "run")
    (run_dir / "summary.json").write_text('{"alive_seconds": 1}')
    packs.pack(run_dir, tmp_path / "a.zip", CORPUS)
    assert contents(tmp_path / "a.zip")["summary.json"] == b'{"alive_seconds": 1}'
    assert len(played(tmp_path / "a.zip", tmp_path / "a.wav")) == 44 + 2 * round(1.1 * RATE_HZ)
    os.utime(run_dir / "summary.json", (1, 1))
    packs.pack(run_dir, tmp_path / "b.zip", CORPUS)
    assert "summary.json" not in contents(tmp_path / "b.zip")


def test_it_lists_the_music_with_its_licences(packed, name):
    """As `rnnaudio corpus info` does."""
    words = contents(packed / f"{name}.zip")["LICENCES.txt"].decode()
    with AudioCorpus.open(CORPUS) as corpus:
        for piece in corpus.pieces:
            seconds = piece.n_samples / corpus.sample_rate_hz
            source = Path(piece.source).name if Path(piece.source).is_absolute() else piece.source
            assert f"{piece.split:6s} {seconds:8.1f} s  {piece.title}  ({source}; {piece.licence})\n" in words
    assert words.startswith("Licence of this pack: not stated.\n")


def test_without_its_corpus_it_says_nothing_of_the_music(tmp_path, capsys):
    write_wav(tmp_path / "music.wav", 0.1 * np.sin(np.arange(3 * RATE_HZ) / 7), RATE_HZ)
    packs.pack(OLD / "lstm", tmp_path / "x.zip", primes=Primes(tmp_path / "music.wav"))
    assert "LICENCES.txt" not in contents(tmp_path / "x.zip")
    assert "note: the pack does not say what music it is of, for its corpus is not there: " in capsys.readouterr().err
    assert len(played(tmp_path / "x.zip", tmp_path / "x.wav")) > 44


# ---------------------------------------------------------------- half precision


def arrays_of(files, name, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(files[name])
    return safetensors.numpy.load_file(tmp_path / "x.safetensors")


def test_in_half_precision_matrices_take_half_the_space_and_vectors_and_prime_keep_their_bits(packed, name, tmp_path):
    packs.pack(OLD / name, tmp_path / "half.zip", CORPUS, form=packs.Form(float16=True, licence="CC0"))
    whole, half = contents(packed / f"{name}.zip"), contents(tmp_path / "half.zip")
    assert whole.keys() == half.keys() and whole["prime.safetensors"] == half["prime.safetensors"]
    n_halved = 0
    for file in ("checkpoint.safetensors", "codec.safetensors"):
        if file not in half:
            continue
        before, after = arrays_of(whole, file, tmp_path), arrays_of(half, file, tmp_path)
        assert before.keys() == after.keys()
        for key, array in before.items():
            if array.ndim < 2 or array.dtype.kind != "f":
                assert np.array_equal(after[key], array) and after[key].dtype == array.dtype
            else:
                assert after[key].dtype == np.float16
                np.testing.assert_allclose(after[key], array, rtol=2.0**-11, atol=2.0**-25)
                n_halved += 1
    assert n_halved and len(half["checkpoint.safetensors"]) < len(whole["checkpoint.safetensors"])
    about = json.loads(half["pack.json"])
    assert (about["precision"], about["licence"]) == ("float16", "CC0")
    assert json.loads(whole["pack.json"])["precision"] == "float32"
    assert b"Licence: CC0." in half["README.txt"] and b"Licence of this pack: CC0." in half["LICENCES.txt"]
    with packs.run_folder(tmp_path / "half.zip") as folder:  # nothing computes in half precision
        arrays = checkpoint.load(folder / checkpoint.NAME).arrays.values()
        assert all(array.dtype != np.float16 for array in arrays)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    """In another folder, and in half precision: what comes with the package can be made again."""
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        packs.pack(OLD / "codes", tmp_path / name / "x.zip", CORPUS, form=packs.Form(float16=True))
        made.append((tmp_path / name / "x.zip").read_bytes())
    assert made[0] == made[1]


def test_half_precision_changes_the_bits_of_codes_by_less_than_a_hundredth(tmp_path):
    packs.pack(OLD / "codes", tmp_path / "half.zip", CORPUS, form=packs.Form(float16=True))
    bits = []
    with packs.run_folder(tmp_path / "half.zip") as folder, AudioCorpus.open(CORPUS) as corpus:
        for place in (OLD / "codes", folder):
            run = load(place)
            windows = fixed_code_windows(tuple(encoded(corpus.valid, run.codec)), run.config.n_steps, 8)
            bits.append(Evaluation(run.model, NextCodes())(windows)["bits"])
    assert 0.0 < abs(bits[1] - bits[0]) < 0.01


def test_a_number_too_large_for_half_precision_is_refused(tmp_path, command):
    run_dir = shutil.copytree(OLD / "lstm", tmp_path / "run")
    saved = SavedRun.read(run_dir).checkpoint
    arrays = {key: array * 1e6 if array.ndim == 2 else array for key, array in saved.arrays.items()}
    checkpoint.save(run_dir / checkpoint.NAME, saved._replace(arrays=arrays))
    status, _, err = command("pack", run_dir, tmp_path / "x.zip", "--corpus", CORPUS, "--float16")
    assert status == 2 and "too large for float16: pack without --float16" in err and len(err.splitlines()) == 1, err
    assert not (tmp_path / "x.zip").exists()


def test_its_prime_may_be_another(tmp_path):
    """Another excerpt, a longer one, or one of a file: where the excerpts of a corpus lie is tested elsewhere."""
    write_wav(tmp_path / "music.wav", 0.1 * np.sin(np.arange(3 * RATE_HZ) / 7), RATE_HZ)
    for n, primes in enumerate((Primes(place=1), Primes(seconds=0.7), Primes(tmp_path / "music.wav", 1.0, start=1.5))):
        packs.pack(OLD / "lstm", tmp_path / f"{n}.zip", CORPUS, primes=primes)
        expected = played(OLD / "lstm", tmp_path / f"run-{n}.wav", corpus=CORPUS, primes=primes)
        alone = played(tmp_path / f"{n}.zip", tmp_path / f"{n}.wav", primes=Primes(seconds=primes.seconds))
        assert alone == expected
    about = json.loads(contents(tmp_path / "2.zip")["pack.json"])
    assert about["prime"] == {"seconds": 1.0, "title": "music.wav", "source": "", "licence": ""}


def test_who_has_the_corpus_may_name_it(packed, tmp_path):
    primes = Primes(place=2, streams=2)
    for run, where in ((OLD / "lstm", "run"), (packed / "lstm.zip", "pack")):
        generate(run, tmp_path / f"{where}.wav", CORPUS, primes=primes, seconds=0.1)
    for k in (1, 2):
        assert (tmp_path / f"pack-{k}.wav").read_bytes() == (tmp_path / f"run-{k}.wav").read_bytes()


def test_an_unpacked_pack_plays_too_but_cannot_be_resumed(packed, tmp_path, command):
    with zipfile.ZipFile(packed / "codes.zip") as archive:
        archive.extractall(tmp_path / "folder")
    before = played(packed / "codes.zip", tmp_path / "a.wav")
    assert played(tmp_path / "folder", tmp_path / "b.wav") == before
    status, _, err = command("resume", tmp_path / "folder", "--corpus", CORPUS, "--minutes", 5)
    assert status == 2 and "is an unpacked pack, which holds no state of training: begin a new run" in err
    config = ["--config", tmp_path / "folder/config.toml"]
    status, _, err = command("train", CORPUS, tmp_path / "folder", *config, "--resume")
    assert status == 2 and "is an unpacked pack" in err


def test_what_one_prime_cannot_do_is_refused(packed, tmp_path):
    for primes, words in (
        (Primes(place=1), "--prime-index is 1, but a pack has one prime: leave it out"),
        (Primes(streams=2), "--streams is 2, but a pack has one prime"),
        (Primes(seconds=1e-9), "prime_seconds is 1e-09: no sample at 8000 Hz; ask for more"),
    ):
        with pytest.raises(RnnaudioError, match=words):
            generate(packed / "lstm.zip", tmp_path / "x.wav", primes=primes, seconds=0.1)


def test_a_longer_prime_than_it_has_is_told(packed, tmp_path, capsys):
    played(packed / "lstm.zip", tmp_path / "x.wav", primes=Primes(seconds=1.5))
    assert capsys.readouterr().err.startswith("note: the pack has no prime of 1.5 s: the prime has 1 s")
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert file.getnframes() == round(1.1 * RATE_HZ)


# ---------------------------------------------------------------- the commands


def test_the_command(packed, tmp_path, command):
    out = tmp_path / "a pack.zip"
    status, printed, err = command("pack", OLD / "codes", out, "--corpus", CORPUS)
    assert status == 0 and printed.startswith(f"wrote {out}: 0.05") and "rnnaudio generate '" in printed, err
    assert "rnnaudio generate 'a pack.zip' out.wav" in contents(out)["README.txt"].decode()
    status, printed, err = command("generate", out, tmp_path / "x.wav", "--seconds", 0.1, "--sampling-seed", 3)
    assert status == 0 and "1.00 s prime + 0.10 s generated" in printed, err
    status, _, err = command("pack", OLD / "codes", out, "--corpus", CORPUS)
    assert status == 2 and f"{out} exists: choose another name, or replace it with --overwrite" in err
    status, _, err = command("pack", OLD / "codes", out, "--corpus", CORPUS, "--overwrite", "--prime-seconds", 0.5)
    assert status == 0 and json.loads(contents(out)["pack.json"])["prime"]["seconds"] == 0.5, err


def test_wrong_arguments_of_the_command_are_refused_and_nothing_is_written(tmp_path, command):
    for arguments, words in (
        ([OLD / "codes", tmp_path / "x.tar"], "x.tar: expected a name that ends in .zip"),
        ([tmp_path / "none", tmp_path / "x.zip"], "no checkpoint at"),
        ([OLD / "codes", tmp_path / "x.zip", "--prime-index", -1], "prime_index is -1; expected 0 or more"),
        ([OLD / "codes", tmp_path / "x.zip"], "is not at /"),
        ([OLD / "codes", tmp_path / "none/x.zip", "--corpus", CORPUS], "cannot write"),
    ):
        status, _, err = command("pack", *arguments)
        assert status == 2 and words in err and len(err.splitlines()) == 1, err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [["diagnose"], ["report"], ["resume"], ["defects"], ["runs"], ["watch"], ["pack"], ["train"]],
    ids=lambda words: words[0],
)
def test_other_commands_say_what_a_pack_is_for(packed, tmp_path, command, arguments):
    pack, (verb,) = packed / "lstm.zip", arguments
    more = {"pack": [tmp_path / "x.zip"], "train": []}.get(verb, [])
    before = [CORPUS] if verb == "train" else []
    status, _, err = command(verb, *before, pack, *more)
    assert status == 2 and len(err.splitlines()) == 1
    assert f"{pack} is a pack, to play (rnnaudio generate, play), to export, and to start from (train --from)" in err
    assert "expected the folder of a run" in err


def test_a_run_that_has_not_chosen_how_to_play_is_noted(tmp_path, capsys):
    """While it can still be mended: who gets the pack cannot."""
    run_dir = shutil.copytree(OLD / "codes", tmp_path / "run")
    (run_dir / "playing.json").unlink()
    packs.pack(run_dir, tmp_path / "x.zip", CORPUS)
    assert capsys.readouterr().err == "note: how this run plays was not chosen yet: `rnnaudio report` does\n"
    assert "playing.json" not in contents(tmp_path / "x.zip")
    assert played(tmp_path / "x.zip", tmp_path / "x.wav") == played(run_dir, tmp_path / "y.wav", corpus=CORPUS)


def test_errors_of_others_keep_their_class(packed, tmp_path):
    """Such as that of a corpus which is not there, by which callers tell where it was expected."""
    with pytest.raises(MissingCorpus) as error:
        generate(packed / "lstm.zip", tmp_path / "x.wav", tmp_path / "none.h5", primes=Primes(), seconds=0.1)
    assert error.value.path == tmp_path / "none.h5"


def test_a_pack_that_is_too_large_is_refused_and_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.layout, "MOST_BYTES", 120_000)
    with pytest.raises(RnnaudioError, match=r"x.zip would have more than 120000 bytes, the most a pack has"):
        packs.pack(OLD / "codes", tmp_path / "x.zip", CORPUS)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_copied_is_told(tmp_path, monkeypatch):
    def full(_, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RnnaudioError, match=r"cannot pack .*codes: .*codec.safetensors: No space left on device; "):
        packs.pack(OLD / "codes", tmp_path / "x.zip", CORPUS)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_pack_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packs.pack(OLD / "lstm", tmp_path / "x.zip", CORPUS)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- packs that harm, or are damaged


def rezipped(path, files, **more):
    """A zip file as `pack` writes it, of these contents by name, whose entries ``more`` changes: by name, a function.

    The list of the files is made to fit, unless ``files`` has one.
    """
    if "pack.json" not in files:
        sums = {name: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for name, c in files.items()}
        listed = {"format": layout.FORMAT, "recipe": "frames", "files": sums}
        files = {"pack.json": json.dumps(listed).encode(), **files}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            more.get("each", lambda _: None)(entry)
            archive.writestr(entry, content)
    return path


@pytest.fixture
def files(packed):
    """The contents of a whole pack but its list."""
    return {name: content for name, content in contents(packed / "lstm.zip").items() if name != "pack.json"}


def refusal(pack, tmp_path):
    """The message with which a pack is refused, after which no file but the pack is there."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(RnnaudioError) as error:
        generate(pack, tmp_path / "x.wav", primes=Primes(), seconds=0.1)
    assert set(tmp_path.rglob("*")) == before
    assert str(error.value).startswith(str(pack)) and tempfile.gettempdir() not in str(error.value)
    return str(error.value).removeprefix(str(pack))


def test_a_pack_made_by_hand_is_taken(files, tmp_path):
    assert len(played(rezipped(tmp_path / "x.zip", files), tmp_path / "x.wav")) > 44


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.txt", "'../evil.txt', which is a link or in a folder"),
        ("/tmp/evil.txt", "'/tmp/evil.txt', which is a link or in a folder"),
        ("a\\b", "which is a link or in a folder"),
        ("folder/", "'folder/', which is a link or in a folder"),
        ("..", "'..', which a pack of a run over frames has not"),
        ("evil.py", "'evil.py', which a pack of a run over frames has not"),
        ("codec.safetensors", "'codec.safetensors', which a pack of a run over frames has not"),
        (".rnnaudio.lock", "which a pack of a run over frames has not"),
        ("CHECKPOINT.SAFETENSORS", "which a pack of a run over frames has not"),
    ],
)
def test_names_that_no_pack_has_are_refused(files, tmp_path, name, words):
    pack = rezipped(tmp_path / "x.zip", files | {name: b"evil"})
    assert words in refusal(pack, tmp_path)


def test_a_name_that_ends_at_a_zero_is_refused(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", files | {"README.txtX.py": b"evil"})
    pack.write_bytes(pack.read_bytes().replace(b"README.txtX.py", b"README.txt\0.py"))
    assert "which is a link or in a folder" in refusal(pack, tmp_path)


def test_a_message_is_short_whatever_is_in_the_pack(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", files | {"x" * 3000: b"evil"})
    assert len(refusal(pack, tmp_path)) < 300
    listed = {"format": layout.FORMAT, "recipe": "frames", "files": {"x" * 50_000: {"sha256": 1, "bytes": 1}}}
    pack = rezipped(tmp_path / "y.zip", {"pack.json": json.dumps(listed).encode(), **files})
    assert len(refusal(pack, tmp_path)) < 300


def test_an_entry_before_the_file_is_refused(files, tmp_path):
    """Its place would be negative."""
    pack = rezipped(tmp_path / "x.zip", files)
    content = bytearray(pack.read_bytes())
    content[-6:-2] = struct.pack("<L", struct.unpack("<L", content[-6:-2])[0] + 5000)  # of the list, from the front
    pack.write_bytes(content)
    assert "is damaged or no pack: " in refusal(pack, tmp_path)


def test_a_link_is_refused(files, tmp_path):
    def as_link(entry):
        entry.external_attr = 0o120777 << 16 if entry.filename == "README.txt" else 0

    pack = rezipped(tmp_path / "x.zip", files | {"README.txt": b"/etc/passwd"}, each=as_link)
    assert "it holds 'README.txt', which is a link" in refusal(pack, tmp_path)


def test_what_grows_when_it_is_read_is_refused_before(files, tmp_path):
    """Ten megabytes of zeros in ten kilobytes: nothing of it is read."""

    def compressed(entry):
        entry.compress_type = zipfile.ZIP_DEFLATED

    pack = rezipped(tmp_path / "x.zip", files | {"README.txt": bytes(10_000_000)}, each=compressed)
    assert "is compressed or encrypted, which files of a pack are not" in refusal(pack, tmp_path)


def central(pack, name):
    """Place of the entry of a file in the list at the end of a zip."""
    content = pack.read_bytes()
    return content.rindex(b"PK\x01\x02", 0, content.rindex(name))


def with_bytes(pack, place, new):
    content = bytearray(pack.read_bytes())
    content[place : place + len(new)] = new
    pack.write_bytes(content)


def test_entries_that_overlap_are_refused(files, tmp_path):
    """Each of many files is the whole zip, which would be unpacked many times."""
    pack = rezipped(tmp_path / "x.zip", files)
    n = pack.stat().st_size - 1000
    for name in (b"README.txt", b"prime.safetensors"):
        with_bytes(pack, central(pack, name) + 20, struct.pack("<2L", n, n))
    assert "its files are larger than it is itself" in refusal(pack, tmp_path)


def test_sizes_that_are_not_those_listed_are_refused(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", files)
    n = len(files["README.txt"]) + 40
    with_bytes(pack, central(pack, b"README.txt") + 20, struct.pack("<2L", n, n))
    assert f"README.txt has {n} bytes, other than in pack.json" in refusal(pack, tmp_path)


def test_an_encrypted_one_is_refused(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", files)
    with_bytes(pack, central(pack, b"README.txt") + 8, struct.pack("<H", 1))
    assert "'README.txt' is compressed or encrypted" in refusal(pack, tmp_path)


def test_a_name_twice_is_refused(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", files | {"README.txT": files["README.txt"]})
    pack.write_bytes(pack.read_bytes().replace(b"README.txT", b"README.txt"))
    assert "it holds 'README.txt' twice" in refusal(pack, tmp_path)


def test_a_list_of_too_many_files_is_refused_before_it_is_read(files, tmp_path, monkeypatch):
    pack = rezipped(tmp_path / "x.zip", files | {f"{k}": b"" for k in range(40)})
    monkeypatch.setattr(zipfile, "ZipFile", pytest.fail)
    message = refusal(pack, tmp_path)
    assert "it lists 46 files in" in message and "more than any pack" in message


def test_a_pack_beyond_the_limit_of_size_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(reading.layout, "MOST_BYTES", 1000)
    pack = shutil.copy(packed / "lstm.zip", tmp_path / "x.zip")
    assert "bytes; a pack has 1000 at most: take another" in refusal(pack, tmp_path)


def test_a_list_for_large_files_is_refused(files, tmp_path):
    """The mark of zip64 before the end, by which its reader would look elsewhere for the list."""
    pack = rezipped(tmp_path / "x.zip", files)
    content = pack.read_bytes()
    pack.write_bytes(content[:-22] + b"PK\x06\x07" + bytes(16) + content[-22:])
    assert "it is a zip file of another layout" in refusal(pack, tmp_path)


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    words = " is a file; expected the folder of a run, or a pack, as `rnnaudio pack` writes it"
    assert refusal(tmp_path / "x.zip", tmp_path) == words
    (tmp_path / "y.zip").write_bytes(b"PK\x03\x04")
    assert "is damaged or no pack: its end is cut off" in refusal(tmp_path / "y.zip", tmp_path)


def test_a_zip_of_something_else_is_refused(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", {"pack.json": b"[]", "a.txt": b"x"})
    assert "in its pack.json it is []; expected a table" in refusal(pack, tmp_path)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("a.txt", b"x" * 100)
    assert "it has no pack.json" in refusal(tmp_path / "y.zip", tmp_path)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"format": "rnnaudio-pack-9"}, "has format 'rnnaudio-pack-9', expected 'rnnaudio-pack-1'; use the version"),
        ({"recipe": "spectra-of-mine"}, "is of the recipe 'spectra-of-mine', which is not known: register it with"),
        ({"files": {"README.txt": {"sha256": "0", "bytes": -1}}}, "in its pack.json files.README.txt.bytes is -1"),
        ({"files": {"README.txt": {"bytes": 1}}}, "in its pack.json files.README.txt.sha256 is missing"),
        ({"files": {}}, "is not in its pack.json"),
    ],
)
def test_a_wrong_list_is_refused(packed, files, tmp_path, entries, words):
    listed = json.loads(contents(packed / "lstm.zip")["pack.json"]) | entries
    pack = rezipped(tmp_path / "x.zip", {"pack.json": json.dumps(listed).encode(), **files})
    assert words in refusal(pack, tmp_path)


def test_a_long_list_and_one_that_is_no_json_are_refused(files, tmp_path):
    pack = rezipped(tmp_path / "x.zip", {"pack.json": bytes(200_000), **files})
    assert "its pack.json has 200000 bytes" in refusal(pack, tmp_path)
    pack = rezipped(tmp_path / "x.zip", {"pack.json": b"{", **files})
    assert "is damaged or no pack: not JSON from line 1, column 2" in refusal(pack, tmp_path)
    pack = rezipped(tmp_path / "x.zip", {"pack.json": b"[" * 50_000, **files})
    assert "is damaged or no pack: tables and lists within each other" in refusal(pack, tmp_path)


@pytest.mark.parametrize("missing", ["checkpoint.safetensors", "prime.safetensors"])
def test_missing_files_are_told(packed, files, tmp_path, missing):
    del files[missing]
    assert f"{missing} is missing" in refusal(rezipped(tmp_path / "x.zip", files), tmp_path)
    listed = contents(packed / "lstm.zip")["pack.json"]
    assert f"{missing} is missing" in refusal(rezipped(tmp_path / "y.zip", {"pack.json": listed, **files}), tmp_path)


def test_a_sum_that_differs_is_told(packed, files, tmp_path):
    """A file exchanged for another of the same length, in a zip whose own sums are right."""
    listed = contents(packed / "lstm.zip")["pack.json"]
    files["README.txt"] = files["README.txt"].swapcase()
    pack = rezipped(tmp_path / "x.zip", {"pack.json": listed, **files})
    assert "the SHA-256 of README.txt is not the one in pack.json" in refusal(pack, tmp_path)


def test_every_cut_and_every_flipped_byte_is_noticed_or_harmless(packed, tmp_path):
    """Never a traceback; and what plays in spite of it (a date was flipped) plays the same."""
    whole = (packed / "lstm.zip").read_bytes()
    expected = played(packed / "lstm.zip", tmp_path / "whole.wav")
    pack, rng = tmp_path / "flipped.zip", np.random.default_rng(0)
    for n in (0, 3, 22, len(whole) // 2, len(whole) - 1):
        pack.write_bytes(whole[:n])
        assert refusal(pack, tmp_path)
    n_noticed = 0
    for place in rng.integers(0, len(whole), 60):
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        pack.write_bytes(content)
        try:
            assert played(pack, tmp_path / "y.wav", overwrite=True) == expected
        except RnnaudioError:
            n_noticed += 1
    assert n_noticed > 50


def test_a_wrong_prime_is_refused(files, tmp_path):
    path = tmp_path / "p.safetensors"
    for arrays, words in (
        ({"prime": np.zeros((2, 3), np.float32)}, "holds no prime: expected float32 samples"),
        ({"prime": np.zeros(0, np.float32)}, "holds no prime"),
        ({"prime": np.zeros(9, np.int64)}, "holds no prime"),
        ({"other": np.zeros(9, np.float32)}, "holds no prime"),
        ({"prime": np.full(9, 1e30, np.float32)}, "holds no sound: a sample is 1e+30; take another pack"),
    ):
        checkpoint.save(path, checkpoint.Checkpoint(arrays, {}))
        pack = rezipped(tmp_path / "x.zip", files | {"prime.safetensors": path.read_bytes()})
        message = refusal(pack, tmp_path)
        assert words in message and message.startswith(": prime.safetensors ")


def test_a_record_is_data_not_trust(files, tmp_path):
    """A pack whose sums are right, but whose checkpoint is of another shape than its settings."""
    path = tmp_path / "c.safetensors"
    path.write_bytes(files["checkpoint.safetensors"])
    saved = checkpoint.load(path)
    saved.record["config"]["train"]["n_steps"] = "many"
    checkpoint.save(path, saved)
    pack = rezipped(tmp_path / "x.zip", files | {"checkpoint.safetensors": path.read_bytes()})
    message = refusal(pack, tmp_path)
    assert message.startswith(": checkpoint.safetensors holds settings that cannot be used: n_steps is 'many'")


def test_a_full_disk_is_told(packed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reading, "_copied", full)
    with pytest.raises(RnnaudioError, match=r"cannot unpack .*lstm.zip to .*: No space left on device; mend this"):
        generate(packed / "lstm.zip", tmp_path / "x.wav", primes=Primes(), seconds=0.1)


def test_an_entry_longer_than_it_states_is_not_read_on(tmp_path):
    """By a reader of zip files that does not keep to the length: one of ours does not trust it."""

    class Endless:
        def open(self, _):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, n):
            return bytes(n)

    entry = zipfile.ZipInfo("README.txt")
    entry.file_size = 10
    with pytest.raises(zipfile.BadZipFile, match="longer than it states"):
        reading._copied(Endless(), entry, tmp_path / "x")
    assert (tmp_path / "x").stat().st_size == 0


def test_a_run_that_plays_by_neither_of_its_parameters_keeps_both(tmp_path):
    """A recipe may compute its model from what is saved."""
    run = load(OLD / "lstm")
    values = {name: value + 1.0 for name, value in run.model.get_values().items()}
    run.model.set_values(values)
    groups = writing._played(run, SavedRun.read(OLD / "lstm"))
    assert {name.partition("/")[0] for name in groups} == {"best", "model"}
