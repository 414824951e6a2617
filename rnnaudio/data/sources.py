"""Search for audio files in folders: which files are to be read, and which are left out and why."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rnnaudio.errors import RnnaudioError
from rnnaudio.text import visible

# Suffixes of audio and video files. How a file is decoded depends on its contents only.
AUDIO_SUFFIXES = frozenset(
    [
        ".aac",
        ".ac3",
        ".aif",
        ".aifc",
        ".aiff",
        ".amr",
        ".ape",
        ".au",
        ".avi",
        ".caf",
        ".dsf",
        ".flac",
        ".m4a",
        ".m4b",
        ".m4p",
        ".m4r",
        ".m4v",
        ".mka",
        ".mkv",
        ".mov",
        ".mp2",
        ".mp3",
        ".mp4",
        ".mpc",
        ".mpeg",
        ".mpg",
        ".nist",
        ".oga",
        ".ogg",
        ".ogv",
        ".opus",
        ".ra",
        ".rf64",
        ".rm",
        ".snd",
        ".sph",
        ".tta",
        ".voc",
        ".w64",
        ".wav",
        ".wave",
        ".webm",
        ".wma",
        ".wmv",
        ".wv",
    ]
)
BEGINNINGS = (
    b"fLaC",
    b"OggS",
    b"ID3",
    b"caff",
    b".snd",
    b"NIST_1A",
    b"wvpk",
    b"MAC ",
    b"TTA1",
    b"riff\x2e\x91\xcf\x11",
)
SYSTEM_FOLDERS = frozenset(("__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"))
# Reasons for which something is left out on purpose.
HIDDEN, SYSTEM, SEARCHED, SAME_FILE = (
    "a hidden file",
    "a hidden or system folder",
    "a folder that was",
    "the same file",
)
NO_AUDIO, IN_THE_CORPUS = "no audio by name or contents", "in the corpus already"
MOST_SUFFIXES = 6  # named in the note on other files


class LeftOut(NamedTuple):
    """A file or folder that is not used for the corpus, and the reason.

    ``is_fault`` is True for files and folders that cannot be used (damaged, not readable, silent), and False for those
    left out on purpose: hidden, already listed under another name, already in the corpus, or not audio.
    """

    name: str
    reason: str
    is_fault: bool = True


class Sources(NamedTuple):
    """Result of :func:`find_audio`.

    files
        the files to decode, in the order in which they were found, each once.
    left_out
        files and folders that are not used, with reasons.
    """

    files: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]


def find_audio(sources: Sequence[Path]) -> Sources:
    """List the audio files among ``sources`` and in the folders among them, sorted within each folder.

    Folders are searched with all subfolders, including linked ones, but each only once. A file in a folder is listed
    if its suffix or its first bytes are those of an audio or video format; a file given in ``sources`` is listed
    whatever its suffix and contents. Hidden files and folders, those of the operating system, and files already listed
    under another name are left out.

    RnnaudioError, naming the sources, for sources that do not exist, and for folders in which nothing is found: no
    file to list, and nothing to leave out except files that are not audio.
    """
    missing = [source for source in sources if not os.path.lexists(source)]
    if missing:
        raise RnnaudioError(f"no such file or folder: {', '.join(map(visible, missing))}; check the names")
    search, empty = _Search(), []
    for source in sources:
        n_before = len(search.files) + len(search.left_out)
        search.add(Path(source))
        if len(search.files) + len(search.left_out) == n_before:
            empty.append(visible(source))
    if empty:
        one = len(empty) == 1
        which, others = ("this folder", "another folder") if one else ("these folders", "other folders")
        raise RnnaudioError(f"{', '.join(empty)}: no audio file in {which}; name {others}")
    return Sources(tuple(search.files), tuple(search.all_left_out()))


class _Search:
    def __init__(self) -> None:
        self.files: list[Path] = []
        self.left_out: list[LeftOut] = []
        self._names: dict[Path, Path] = {}  # real path -> name under which it was found
        self._folders: set[tuple[int, int]] = set()
        self._others: Counter[str] = Counter()

    def add(self, source: Path) -> None:
        if source.is_dir():
            self._add_folder(source)
        else:
            self._add_file(source)

    def all_left_out(self) -> Iterator[LeftOut]:
        yield from self.left_out
        if self._others:
            kinds = [f"{suffix or 'no ending'} {n}" for suffix, n in self._others.most_common(MOST_SUFFIXES)]
            more = ", ..." if len(self._others) > MOST_SUFFIXES else ""
            total = sum(self._others.values())
            yield LeftOut(f"{total} other files", f"{NO_AUDIO} ({', '.join(kinds)}{more})", False)

    def _leave_out(self, path: Path, reason: str, *, is_fault: bool = True) -> None:
        self.left_out.append(LeftOut(visible(path), reason, is_fault))

    def _add_folder(self, folder: Path) -> None:
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._leave_out(folder, f"the folder cannot be read: {error.strerror}; check its permissions")
            return
        if (status.st_dev, status.st_ino) in self._folders:
            self._leave_out(folder, f"{SEARCHED} searched already, by another name", is_fault=False)
            return
        self._folders.add((status.st_dev, status.st_ino))
        for entry in entries:
            try:
                self._add_entry(folder / entry.name)
            except OSError as error:
                self._leave_out(folder / entry.name, f"cannot be examined: {error.strerror}; check its permissions")

    def _add_entry(self, path: Path) -> None:
        is_hidden = path.name.startswith(".") or path.name in SYSTEM_FOLDERS
        is_audio = path.suffix.lower() in AUDIO_SUFFIXES
        if path.is_dir():
            if is_hidden:
                self._leave_out(path, SYSTEM, is_fault=False)
            else:
                self._add_folder(path)
        elif is_hidden:
            if is_audio:
                self._leave_out(path, HIDDEN, is_fault=False)
        elif not path.exists():
            self._leave_out(path, "a link to nothing")
        elif is_audio or _begins_as_audio(path):
            self._add_file(path)
        else:
            self._others[path.suffix.lower()] += 1

    def _add_file(self, path: Path) -> None:
        real = path.resolve()
        if real in self._names:
            reason = f"{SAME_FILE} as {visible(self._names[real])}"
            self._leave_out(path, reason, is_fault=False)
            return
        self._names[real] = path
        self.files.append(path)


def _begins_as_audio(path: Path) -> bool:
    if not path.is_file():  # opening a named pipe would block
        return False
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    is_riff = head[:4] in (b"RIFF", b"RF64", b"FORM") and head[8:12] in (b"WAVE", b"AIFF", b"AIFC")
    return is_riff or head.startswith(BEGINNINGS) or head[4:12] in (b"ftypM4A ", b"ftypM4B ")


def as_lines(left_out: Iterable[LeftOut]) -> list[str]:
    """Format each file or folder left out as a line ``NAME: REASON``; returns the list of lines."""
    return [f"{name}: {reason}" for name, reason, _ in left_out]
