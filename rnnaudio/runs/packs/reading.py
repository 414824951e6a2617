"""Reading of packs, which may come from anyone: names, sizes and checksums are checked before anything is loaded."""

import contextlib
import errno
import functools
import hashlib
import os
import stat
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rnnaudio import models
from rnnaudio.atomic import temporary_folder
from rnnaudio.errors import RnnaudioError
from rnnaudio.records import parsed
from rnnaudio.runs.packs import layout
from rnnaudio.runs.packs.layout import FORMAT, MANIFEST, Manifest
from rnnaudio.runs.recipes import RECIPES, recipe_named
from rnnaudio.schema import checked, shown
from rnnaudio.training import checkpoint

CHUNK = 1 << 20
MOST_WORDS = 200  # characters of a reason, which may hold names of any length
END = struct.Struct("<4s4H2LH")  # of a zip file: mark, disks, entries, size and place of their list, comment's length
END_MARK, LONG_MARK, LONG_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
MOST_LIST_BYTES = 100 * layout.MOST_FILES + 4096  # an entry of ours has 46 bytes and its name
ENCRYPTED = 1
# What zipfile raises for files that are damaged or made to harm.
UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, LookupError, NotImplementedError, RuntimeError, ValueError)
ALWAYS = {checkpoint.NAME, layout.PRIME}
OF_ANY_RECIPE = {*ALWAYS, layout.README, layout.SETTINGS, layout.SUMMARY, layout.LICENCES}


@contextlib.contextmanager
def run_folder(run: Path) -> Iterator[Path]:
    """Context manager that yields the folder of a run, or for a pack a temporary folder with its files.

    run: the folder, the pack, or the name of a model that comes with the package (:mod:`rnnaudio.models`); a file or a
    run of that name in the working directory comes first. The temporary folder is removed at the end.

    RnnaudioError if ``run`` is a file that is not a pack, is damaged, or holds files that a pack does not have, or if
    it is a name for which nothing is found. RnnaudioErrors raised in the block name the pack instead of the folder.
    """
    place = shipped(run) or Path(run)
    models.check(place)
    if not place.is_file():
        yield place
        return
    with temporary_folder() as folder:
        try:
            _extract(place, folder)
            yield folder
        except RnnaudioError as error:
            if str(folder) not in str(error):
                raise
            named = str(error).replace(f"{folder}{os.sep}", f"{run}: ").replace(str(folder), str(run))
            raise RnnaudioError(named) from error


def shipped(run: Path) -> Path | None:
    """Return the pack of the model that comes with the package if ``run`` names one; else None.

    A file or a run of that name in the working directory comes first, and the result is None. A folder of that name
    without a run is ignored, with a note on stderr. RnnaudioError if the pack is missing from the package.
    """
    run = Path(run)
    pack = models.named(run)
    if pack is None or run.is_file() or (run.is_dir() and checkpoint.exists(run)):
        return None
    if not pack.is_file():
        raise RnnaudioError(f"{pack} is missing, the model {run}, which comes with rnnaudio: install rnnaudio anew")
    if run.is_dir():
        _note(f"the folder {run} holds no run: {run} is the model that comes with rnnaudio")
    return pack


@functools.cache
def _note(text: str) -> None:
    """Print a note to stderr, only once for each text."""
    print(f"note: {text}", file=sys.stderr)


def _extract(pack: Path, folder: Path) -> None:
    """Check a pack, write its files to a folder, and compare each file with its SHA-256."""
    try:
        with open(pack, "rb") as file:
            _check_ends(pack, file)
            with zipfile.ZipFile(file) as archive:
                entries = _checked_entries(pack, archive)
                manifest = _manifest(pack, archive, entries)
                _check_listed(pack, manifest, entries)
                for name, listed in manifest["files"].items():
                    if _copied(archive, entries[name], folder / name) != listed["sha256"]:
                        raise _damaged(pack, f"the SHA-256 of {name} is not the one in {MANIFEST}")
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a place before the file
            raise RnnaudioError(f"cannot unpack {pack} to {folder.parent}: {error.strerror}; mend this") from error
        raise _damaged(pack, str(error) if type(error) is ValueError else f"{type(error).__name__} {error}") from error


def _damaged(pack: Path, why: str) -> RnnaudioError:
    short = why if len(why) <= MOST_WORDS else f"{why[:MOST_WORDS]}..."
    return RnnaudioError(f"{pack} is damaged or no pack: {short}; get it anew from whoever packed it")


def _check_ends(pack: Path, file: BinaryIO) -> None:
    """Raise RnnaudioError unless a file begins and ends like a pack, with limited length and list of entries."""
    size = os.fstat(file.fileno()).st_size
    if file.read(len(layout.START)) != layout.START:
        raise RnnaudioError(f"{pack} is a file; expected the folder of a run, or a pack, as `rnnaudio pack` writes it")
    if size > layout.MOST_BYTES:
        raise RnnaudioError(f"{pack} has {size} bytes; a pack has {layout.MOST_BYTES} at most: take another")
    file.seek(-min(size, END.size + LONG_BYTES), os.SEEK_END)
    last = file.read()
    if len(last) < END.size + LONG_BYTES or not last[LONG_BYTES:].startswith(END_MARK):
        raise _damaged(pack, "its end is cut off")
    *_, n_here, n_entries, n_list_bytes, _, n_comment = END.unpack(last[LONG_BYTES:])
    if last.startswith(LONG_MARK) or n_comment or n_here != n_entries:
        raise _damaged(pack, "it is a zip file of another layout")
    if n_entries > layout.MOST_FILES or n_list_bytes > MOST_LIST_BYTES:
        raise _damaged(pack, f"it lists {n_entries} files in {n_list_bytes} bytes, more than any pack")


def _checked_entries(pack: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name; RnnaudioError for repeated names, folders, links, and compressed entries."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name, mode = entry.orig_filename, entry.external_attr >> 16
        if name in entries:
            raise _damaged(pack, f"it holds {shown(name)} twice")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or "/" in name or "\\" in name or "\0" in name:
            raise _damaged(
                pack, f"it holds {shown(name)}, which is a link or in a folder; a pack has plain files alone"
            )
        is_stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        if not is_stored or entry.flag_bits & ENCRYPTED:
            raise _damaged(pack, f"{shown(name)} is compressed or encrypted, which files of a pack are not")
        entries[name] = entry
    if sum(entry.file_size for entry in entries.values()) > os.stat(pack).st_size:
        raise _damaged(pack, "its files are larger than it is itself")
    return entries


def _manifest(pack: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> Manifest:
    """Read and check ``pack.json``; RnnaudioError if it is missing, wrong or of another version."""
    if MANIFEST not in entries:
        raise _damaged(pack, f"it has no {MANIFEST}")
    if entries[MANIFEST].file_size > layout.MOST_MANIFEST_BYTES:
        raise _damaged(pack, f"its {MANIFEST} has {entries[MANIFEST].file_size} bytes")
    content = parsed(archive.read(entries[MANIFEST]).decode())
    try:
        manifest: Manifest = checked(content, Manifest, "")
    except RnnaudioError as error:
        raise _damaged(pack, f"in its {MANIFEST} {error}") from error
    if manifest["format"] != FORMAT:
        found = shown(manifest["format"])
        raise RnnaudioError(
            f"{pack} has format {found}, expected {FORMAT!r}; use the version of rnnaudio that wrote it"
        )
    return manifest


def _check_listed(pack: Path, manifest: Manifest, entries: dict[str, zipfile.ZipInfo]) -> None:
    """Raise RnnaudioError unless the pack holds the listed files, in the listed sizes, all known to the recipe."""
    name = manifest["recipe"]
    if name not in list(RECIPES):
        raise RnnaudioError(
            f"{pack} is of the recipe {shown(name)}, which is not known: register it with --import FILE.py"
        )
    known = OF_ANY_RECIPE | set(recipe_named(name).files)
    for listed in (entries.keys() - {MANIFEST}) | manifest["files"].keys():
        if listed not in known:
            raise _damaged(pack, f"it holds {shown(listed)}, which a pack of a run over {name} has not")
        if listed not in entries or listed not in manifest["files"]:
            raise _damaged(pack, f"{listed} is {'missing' if listed not in entries else f'not in its {MANIFEST}'}")
        if entries[listed].file_size != manifest["files"][listed]["bytes"]:
            raise _damaged(pack, f"{listed} has {entries[listed].file_size} bytes, other than in {MANIFEST}")
    for missing in sorted(ALWAYS - entries.keys()):
        raise _damaged(pack, f"{missing} is missing")


def _copied(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> str:
    """Copy an entry to a new file; return its SHA-256 in hexadecimal. BadZipFile if it is longer than stated."""
    digest, left = hashlib.sha256(), entry.file_size
    with archive.open(entry) as source, open(path, "xb") as target:
        while part := source.read(min(CHUNK, left + 1)):
            left -= len(part)
            if left < 0:
                raise zipfile.BadZipFile(f"{entry.orig_filename!r} is longer than it states")
            digest.update(part)
            target.write(part)
    return digest.hexdigest()
