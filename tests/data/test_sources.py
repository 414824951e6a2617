"""A folder as people have it: what is read, and what is passed over and why."""

import os

import pytest

from rnnaudio.data.sources import find_audio
from rnnaudio.errors import RnnaudioError

FLAC = b"fLaC" + bytes(20)


def put(path, content=FLAC):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left_out(found, root):
    return {os.path.relpath(one.name, root): (one.reason, one.is_fault) for one in found.left_out if "/" in one.name}


def test_files_are_found_by_ending_or_contents_sorted_and_in_subfolders(tmp_path):
    for name in ("b.WAV", "a.opus", "deeper/c.m4a", "no ending", "kana-\u304b.flac"):
        put(tmp_path / name)
    put(tmp_path / "notes.txt", b"text")
    put(tmp_path / "cover.jpg", b"\xff\xd8\xff\xe0")
    put(tmp_path / "other.txt", b"text")
    found = find_audio([tmp_path])
    names = [os.path.relpath(path, tmp_path) for path in found.files]
    assert names == ["a.opus", "b.WAV", "deeper/c.m4a", "kana-\u304b.flac", "no ending"]
    (other,) = found.left_out
    assert (other.name, other.reason) == ("3 other files", "no audio by name or contents (.txt 2, .jpg 1)")
    assert not other.is_fault


def test_names_of_any_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    put(tmp_path / name)
    assert [path.name for path in find_audio([tmp_path]).files] == [name]


def test_hidden_and_system_folders_are_named_and_not_searched(tmp_path):
    for name in (".Trash-1000/files/x.wav", ".ipynb_checkpoints/x.wav", "__MACOSX/x.wav", "._a.wav", "a.wav"):
        put(tmp_path / name)
    put(tmp_path / ".DS_Store", b"x")
    found = find_audio([tmp_path])
    assert [path.name for path in found.files] == ["a.wav"]
    assert set(left_out(found, tmp_path)) == {".Trash-1000", ".ipynb_checkpoints", "__MACOSX", "._a.wav"}
    assert not any(is_fault for _, is_fault in left_out(found, tmp_path).values())


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path):
    put(tmp_path / "elsewhere" / "a.wav")
    music = tmp_path / "music"
    put(music / "b.wav")
    (music / "link").symlink_to(tmp_path / "elsewhere")
    (music / "again").symlink_to(tmp_path / "elsewhere")
    (music / "loop").symlink_to(music)
    (music / "same.wav").symlink_to(music / "b.wav")
    (music / "gone.wav").symlink_to(tmp_path / "nothing")
    found = find_audio([music])
    assert [os.path.relpath(path, music) for path in found.files] == ["again/a.wav", "b.wav"]
    reasons = left_out(found, music)
    assert "searched already" in reasons["link"][0] and "searched already" in reasons["loop"][0]
    assert reasons["gone.wav"] == ("a link to nothing", True)
    assert "the same file as" in reasons["same.wav"][0] and not reasons["same.wav"][1]


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    put(tmp_path / "a.wav")
    put(tmp_path / "closed" / "b.wav")
    scandir = os.scandir

    def forbidding(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)  # root may read everything, so the mode would not do
    found = find_audio([tmp_path])
    assert [path.name for path in found.files] == ["a.wav"]
    assert left_out(found, tmp_path)["closed"] == (
        "the folder cannot be read: Permission denied; check its permissions", True,
    )  # fmt: skip


def test_a_folder_without_audio_is_named_whatever_else_was_left_out(tmp_path):
    """A hidden folder in the first source says nothing about the others."""
    put(tmp_path / "music" / "a.wav")
    put(tmp_path / "music" / ".hidden" / "b.wav")
    for name in ("empty", "text"):
        put(tmp_path / name / "notes.txt", b"text")
    with pytest.raises(RnnaudioError, match=r"/empty: no audio file in this folder; name another folder"):
        find_audio([tmp_path / "music", tmp_path / "empty"])
    with pytest.raises(RnnaudioError, match=r"/empty, .*/text: no audio file in these folders; name other folders"):
        find_audio([tmp_path / "empty", tmp_path / "music", tmp_path / "text"])
    assert len(find_audio([tmp_path / "music", tmp_path / "music"]).files) == 1  # named twice, with a reason


def test_all_missing_sources_are_named_at_once(tmp_path):
    with pytest.raises(RnnaudioError, match=r"no such file or folder: .*a.wav, .*b.wav"):
        find_audio([tmp_path / "a.wav", tmp_path, tmp_path / "b.wav"])


def test_a_file_named_by_itself_is_read_whatever_its_name(tmp_path):
    path = put(tmp_path / "a.bin", b"not known")
    assert find_audio([path, path]).files == (path,)
    with pytest.raises(RnnaudioError, match="no audio file in this folder"):
        find_audio([tmp_path])
