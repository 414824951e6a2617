"""A build that was broken off goes on: nothing is decoded twice, and the result is the same to the bit."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from rnnaudio.audio.cleaning import Cleaning
from rnnaudio.audio.files import Decoder
from rnnaudio.data import add_to_corpus, build_corpus, corpus_build, disk_space, merge_corpora, remove_from_corpus
from rnnaudio.data.corpus_partial import PartialFile
from rnnaudio.errors import RnnaudioError
from tests.support.recordings import music

RATE_HZ = 8000
PART = "a.h5.pieces.part"

# Kills itself before it decodes file number KILL_AT.
BUILDER = """
import os, signal, sys
from pathlib import Path
from rnnaudio.audio.files import Decoder
from rnnaudio.data import build_corpus
decode, n_decoded = Decoder.decode, 0
def counting(*arguments):
    global n_decoded
    if n_decoded == int(sys.argv[3]):
        os.kill(os.getpid(), getattr(signal, sys.argv[4]))
    n_decoded += 1
    return decode(*arguments)
Decoder.decode = counting
build_corpus([Path(sys.argv[1])], Path(sys.argv[2]), sample_rate_hz=8000, progress=False)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "music").mkdir()
    for k in range(6):
        soundfile.write(tmp_path / "music" / f"{'abcdef'[k]}.wav", music(k, 1.5 if k > 3 else 4.0) + 0.1, RATE_HZ)
    return tmp_path / "music"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded."""
    names = []
    decode = Decoder.decode

    def counting(self, path, *arguments):
        names.append(path.name)
        return decode(self, path, *arguments)

    monkeypatch.setattr(Decoder, "decode", counting)
    return names


def build(folder, out, **options):
    return build_corpus([folder], out, **{"sample_rate_hz": RATE_HZ, "progress": False} | options)


def broken_off(folder, out, n_pieces, **options):
    """Break a build off, in this process, once n_pieces are decoded."""
    decode, left = Decoder.decode, [None] * n_pieces

    def breaking(self, *arguments):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return decode(self, *arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Decoder, "decode", breaking)
        build(folder, out, **options)


def killed(folder, out, n_pieces, kill="SIGKILL"):
    """Kill a process that builds, once n_pieces are decoded."""
    command = [sys.executable, "-c", BUILDER, str(folder), str(out), str(n_pieces), kill]
    environment = os.environ | {"PYTHONPATH": str(Path(corpus_build.__file__).parents[2])}
    reset = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also where tests run in the background of a shell
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, preexec_fn=reset, check=False
    )


def contents(path):
    with h5py.File(path) as file:
        pieces = [(name, dict(piece.attrs), piece[:].tobytes()) for name, piece in file["pieces"].items()]
        return {name: value for name, value in file.attrs.items()}, pieces


def test_a_copy_of_hard_links_goes_on_without_the_other(folder, tmp_path):
    broken_off(folder, tmp_path / "a.h5", 3)
    os.link(tmp_path / PART, tmp_path / "copy.part")
    before = (tmp_path / "copy.part").read_bytes()
    broken_off(folder, tmp_path / "a.h5", 1)
    assert (tmp_path / PART).stat().st_size > len(before)
    assert (tmp_path / "copy.part").read_bytes() == before


def test_a_killed_build_goes_on_to_the_same_bits(folder, tmp_path, decoded):
    whole = build(folder, tmp_path / "whole.h5")
    (tmp_path / "a.h5").write_bytes(b"an earlier corpus")
    assert killed(folder, tmp_path / "a.h5", 4).returncode == -signal.SIGKILL
    assert (tmp_path / "a.h5").read_bytes() == b"an earlier corpus"
    assert (tmp_path / PART).stat().st_size > 4 * 4 * RATE_HZ * 2 * 0.9
    del decoded[:]
    resumed = build(folder, tmp_path / "a.h5")
    assert decoded == ["e.wav", "f.wav"]
    assert contents(tmp_path / "a.h5") == contents(tmp_path / "whole.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert resumed.notes == (*whole.notes, "4 pieces were decoded by an earlier build, which was broken off")
    assert resumed.pieces == whole.pieces
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "music", "whole.h5"]  # nor the unfinished file of the killed one


def test_ctrl_c_names_the_file_to_go_on_from(folder, tmp_path, decoded):
    result = killed(folder, tmp_path / "a.h5", 2, "SIGINT")
    assert result.returncode != 0 and f"KeyboardInterrupt: {tmp_path / PART} keeps the 2 pieces" in result.stderr
    assert sorted(os.listdir(tmp_path)) == [PART, "music"]
    build(folder, tmp_path / "a.h5")
    assert len(decoded) == 4


def test_a_full_disk_keeps_what_was_decoded(folder, tmp_path, monkeypatch, decoded):
    append, n_kept = PartialFile._append, []

    def full(self, *arguments):
        if len(n_kept) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        n_kept.append(1)
        append(self, *arguments)

    monkeypatch.setattr(PartialFile, "_append", full)
    with pytest.raises(RnnaudioError, match=f"No space left on device.*{PART} keeps the 3 pieces"):
        build(folder, tmp_path / "a.h5")
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == [PART, "music"]
    assert "3 pieces were decoded by an earlier build" in build(folder, tmp_path / "a.h5").notes[-1]


def test_an_error_after_decoding_keeps_the_pieces(folder, tmp_path, decoded):
    (folder / "z.wav").write_text("Dear diary")
    with pytest.raises(RnnaudioError, match=r"(?s)--strict.*keeps the 6 pieces"):
        build(folder, tmp_path / "a.h5", strict=True)
    del decoded[:]
    build(folder, tmp_path / "a.h5")
    assert decoded == ["z.wav"]  # what cannot be used is tried again


def test_a_file_that_changed_is_decoded_again(folder, tmp_path, decoded):
    broken_off(folder, tmp_path / "a.h5", 4)
    del decoded[:]
    soundfile.write(folder / "a.wav", music(20, 5.0), RATE_HZ)  # another size
    content = (folder / "b.wav").read_bytes()
    (folder / "b.wav").write_bytes(content[:-2000] + bytes(2000))  # same size, other time
    os.utime(folder / "b.wav", ns=(0, 10**18))
    (folder / "c.wav").rename(folder / "cc.wav")
    build(folder, tmp_path / "a.h5")
    assert decoded == ["a.wav", "b.wav", "cc.wav", "e.wav", "f.wav"]
    build(folder, tmp_path / "whole.h5")
    assert contents(tmp_path / "a.h5") == contents(tmp_path / "whole.h5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float32"}, "dtype was int16, now it is float32"),
        ({"sample_rate_hz": 4000}, "sample_rate_hz was 8000, now it is 4000"),
        ({"cleaning": Cleaning(normalise=True)}, "normalise was False, now it is True"),
        ({"cleaning": Cleaning(trim_silence_db=None)}, "trim_silence_db was -60.0, now it is None"),
    ],
)
def test_pieces_of_other_settings_are_discarded(folder, tmp_path, decoded, options, words):
    broken_off(folder, tmp_path / "a.h5", 4)
    del decoded[:]
    summary = build(folder, tmp_path / "a.h5", **options)
    assert len(decoded) == 6 and words in summary.notes[-1] and "discarded" in summary.notes[-1]
    build(folder, tmp_path / "whole.h5", **options)
    assert contents(tmp_path / "a.h5") == contents(tmp_path / "whole.h5")


def test_pieces_of_the_new_settings_take_the_place_of_those_discarded(folder, tmp_path, decoded):
    broken_off(folder, tmp_path / "a.h5", 4)
    broken_off(folder, tmp_path / "a.h5", 3, dtype="float32")
    del decoded[:]
    summary = build(folder, tmp_path / "a.h5", dtype="float32")
    assert len(decoded) == 3 and summary.notes[-1].startswith("3 pieces were decoded by an earlier build")


def test_how_pieces_are_joined_changes_nothing_that_was_decoded(folder, tmp_path, decoded):
    broken_off(folder, tmp_path / "a.h5", 4)
    del decoded[:]
    build(folder, tmp_path / "a.h5", cleaning=Cleaning(join_seconds=0.0))
    assert len(decoded) == 2


def changed_sample(content):
    content[-100] ^= 1
    return content


def changed_hop(content):
    """In the last bytes lies the print of the last piece."""
    content[-1] ^= 1
    return content


@pytest.mark.parametrize(
    ("damage", "n_decoded", "words"),
    [
        (changed_sample, 3, "d.wav was damaged in"),
        (changed_hop, 3, "d.wav was damaged in"),
        (lambda content: content[:-1], 3, ""),
        (lambda content: content + b'{"path": "', 2, ""),
        (lambda content: content + b"[1]\n", 2, ""),
        (lambda content: content + b'{"path": "x", "size": 1, "mtime_ns": 1, "n_samples": 1e99}\n', 2, ""),
        (lambda content: b"x" + content, 6, "was damaged: it is discarded"),
        (lambda content: bytearray(b"\x89HDF\r\n\x1a\n" * 50), 6, "was damaged: it is discarded"),
        (lambda content: bytearray(), 6, ""),
    ],
)
def test_a_damaged_file_is_used_as_far_as_it_is_sound(folder, tmp_path, decoded, damage, n_decoded, words):
    broken_off(folder, tmp_path / "a.h5", 4)
    del decoded[:]
    (tmp_path / PART).write_bytes(damage(bytearray((tmp_path / PART).read_bytes())))
    summary = build(folder, tmp_path / "a.h5")
    assert len(decoded) == n_decoded
    assert words in "; ".join(summary.notes)
    build(folder, tmp_path / "whole.h5")
    assert contents(tmp_path / "a.h5") == contents(tmp_path / "whole.h5")
    assert not (tmp_path / PART).exists()


@pytest.mark.slow
def test_broken_off_twice(folder, tmp_path, decoded):
    killed(folder, tmp_path / "a.h5", 2)
    killed(folder, tmp_path / "a.h5", 3)  # of those that are left
    build(folder, tmp_path / "a.h5")
    assert decoded == ["f.wav"]


def test_two_builds_of_one_corpus_do_not_meet(folder, tmp_path):
    def meanwhile(*_):
        with pytest.raises(RnnaudioError, match=rf"a.h5 is being written by process {os.getpid()} on"):
            ThreadPool(1).apply(build, (folder, tmp_path / "a.h5"))
        raise KeyboardInterrupt

    (tmp_path / "f.wav").write_bytes((folder / "f.wav").read_bytes() + b" ")
    for name in ("a.h5", "b.h5"):
        build(folder, tmp_path / name, cleaning=Cleaning(join_seconds=0.0))
    for write in (
        lambda: build(folder, tmp_path / "a.h5"),
        lambda: add_to_corpus(tmp_path / "a.h5", [tmp_path / "f.wav"], progress=False),
        lambda: remove_from_corpus(tmp_path / "a.h5", ["f"], progress=False),
        lambda: merge_corpora(tmp_path / "a.h5", [tmp_path / "a.h5", tmp_path / "b.h5"], progress=False),
    ):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(corpus_build, "require_space", meanwhile)
            write()


def test_a_corpus_that_appears_meanwhile_is_not_replaced_unasked(folder, tmp_path, monkeypatch):
    """The second of two builds finds it when it gets the lock; a file of another program, when it is done."""
    build(folder, tmp_path / "a.h5", overwrite=False)
    before = (tmp_path / "a.h5").read_bytes()
    for write in (
        lambda: build(folder, tmp_path / "a.h5", overwrite=False),
        lambda: merge_corpora(tmp_path / "a.h5", [tmp_path / "a.h5", tmp_path / "b.h5"], overwrite=False),
    ):
        shutil.copy(tmp_path / "a.h5", tmp_path / "b.h5")
        with pytest.raises(RnnaudioError, match=r"a.h5 exists: .* --overwrite"):
            write()
    assert (tmp_path / "a.h5").read_bytes() == before
    (tmp_path / "a.h5").unlink()
    monkeypatch.setattr(corpus_build, "require_space", lambda *_: (tmp_path / "a.h5").write_text("mine"))
    with pytest.raises(RnnaudioError, match=rf"a.h5 exists: .* --overwrite; .*{PART} keeps the 6 pieces"):
        build(folder, tmp_path / "a.h5", overwrite=False)
    assert (tmp_path / "a.h5").read_text() == "mine"


def test_the_bar_counts_pieces_minutes_and_the_bytes_to_be_decoded(folder, tmp_path, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **options):
            self.options, self.texts, self.n = options, [], 0
            bars.append(self)

        def set_description_str(self, text, refresh):
            self.texts.append(text)

        def update(self, n):
            self.n += n

        def close(self):
            pass

    broken_off(folder, tmp_path / "a.h5", 4)
    monkeypatch.setattr(corpus_build, "bar", Bar)
    build(folder, tmp_path / "a.h5", progress=True)
    build(folder, tmp_path / "b.h5")
    sizes = [path.stat().st_size for path in sorted(folder.iterdir())]
    for bar, total in zip(bars, (sum(sizes[4:]), sum(sizes)), strict=True):
        assert bar.options["total"] == bar.n == total
        assert bar.texts[0] == "1 of 6 pieces, 0.1 min of sound" and bar.texts[-1] == "6 of 6 pieces, 0.3 min of sound"
    assert [bar.options["disable"] for bar in bars] == [False, True]
    assert all(word in bars[0].options["bar_format"] for word in ("{bar}", "{remaining}"))


def test_memory_stays_at_one_piece(tmp_path, folder):
    """Pieces that were kept are read one at a time, too."""
    for path in folder.iterdir():
        path.unlink()
    seconds, n_pieces = 60, 10
    for k in range(n_pieces):
        noise = np.random.default_rng(k).uniform(-0.1, 0.1, seconds * RATE_HZ)
        soundfile.write(folder / f"{'abcdefghij'[k]}.wav", noise, RATE_HZ)
    broken_off(folder, tmp_path / "a.h5", n_pieces - 1)
    tracemalloc.start()
    build(folder, tmp_path / "a.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 4 * seconds * RATE_HZ < n_pieces * 4 * seconds * RATE_HZ


def test_the_file_describes_itself(folder, tmp_path):
    broken_off(folder, tmp_path / "a.h5", 1)
    lines = (tmp_path / PART).read_bytes().split(b"\n")
    assert json.loads(lines[0])["format"] == "rnnaudio-partial"
    assert json.loads(lines[1])["path"] == str(folder / "a.wav")
    assert json.loads(lines[1])["notes"] == ["a constant offset (DC) of 0.100 was subtracted"]


# --- room on the disk


@pytest.fixture
def free_bytes(monkeypatch):
    """Function that sets the free space of the disk."""

    def set_free(n):
        monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: type("Usage", (), {"free": n}))

    return set_free


def test_a_disk_without_room_for_two_copies_is_refused_before_decoding(folder, tmp_path, decoded, free_bytes):
    """19 s of sound, 4 of 4 s and 2 of 1.5 s, of 2 bytes 8000 times a second: .304 MB, twice .608."""
    free_bytes(600_000)
    with pytest.raises(RnnaudioError, match=r"0\.0 hours of sound need 0\.62 MB .* and 0\.60 MB are free: make room"):
        build(folder, tmp_path / "a.h5")
    assert decoded == [] and sorted(os.listdir(tmp_path)) == ["music"]
    with pytest.raises(RnnaudioError, match=r"need 1\.24 MB"):
        build(folder, tmp_path / "a.h5", dtype="float32")
    free_bytes(625_000)
    build(folder, tmp_path / "a.h5")
    assert len(decoded) == 6


def test_pieces_that_were_decoded_before_need_room_once(folder, tmp_path, decoded, free_bytes):
    broken_off(folder, tmp_path / "a.h5", 4)  # 16 s are kept, 3 s are to be decoded: 22 s, .36 MB
    free_bytes(350_000)
    with pytest.raises(RnnaudioError, match=rf"need 0\.36 MB.*{PART} keeps the 4 pieces"):
        build(folder, tmp_path / "a.h5")
    free_bytes(365_000)
    build(folder, tmp_path / "a.h5")
    assert len(decoded) == 6


def test_a_corpus_that_is_changed_needs_room_once(folder, tmp_path, free_bytes):
    build(folder, tmp_path / "a.h5", cleaning=Cleaning(join_seconds=0.0))
    free_bytes(320_000)
    remove_from_corpus(tmp_path / "a.h5", ["e"], progress=False)
    free_bytes(200_000)
    with pytest.raises(RnnaudioError, match=r"need 0\.26 MB"):
        remove_from_corpus(tmp_path / "a.h5", ["f"], progress=False)


def test_files_are_asked_for_their_length_only_if_the_disk_may_be_too_full(tmp_path, free_bytes):
    asked = []
    (tmp_path / "a.wav").write_bytes(bytes(1000))  # two seconds at 4 kbit a second: at most .064 MB in two copies

    def seconds_of(path):
        asked.append(path)
        return 1e9  # a wrong header: cut to what the file can hold

    for free in (66_000, 65_000):
        free_bytes(free)
        if free > 65_280:
            disk_space.require_space(tmp_path / "a.h5", [tmp_path / "a.wav"], 0.0, seconds_of, 8000, "int16")
            assert not asked
        else:
            with pytest.raises(RnnaudioError, match="need 0.07 MB"):
                disk_space.require_space(tmp_path / "a.h5", [tmp_path / "a.wav"], 0.0, seconds_of, 8000, "int16")
    free_bytes(0)
    disk_space.require_space(tmp_path / "a.h5", [tmp_path / "a.wav"], 0.0, lambda path: None, 8000, "int16")
    assert disk_space.n_bytes(tmp_path / "a.wav") > 0 == disk_space.n_bytes(tmp_path / "missing.wav")
