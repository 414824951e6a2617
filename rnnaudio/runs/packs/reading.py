"""Reading of packs, which may come from anyone: names, sizes and sums are checked before anything is loaded."""

import contextlib
import errno
import hashlib
import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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
OF_ANY_RECIPE = {*ALWAYS, layout.README, layout.SETTINGS, layout.SUMMARY}


@contextlib.contextmanager
def run_folder(run: Path) -> Iterator[Path]:
    """Context with the folder of a run: ``run`` itself or, if that is a pack, a temporary folder with its files.

    The temporary folder is removed at the end. RnnaudioError if ``run`` is a file that is no pack, is damaged, or
    holds what a pack does not; errors of the block name the pack in place of the folder.
    """
    if not Path(run).is_file():
        yield Path(run)
        return
    with temporary_folder() as folder:
        try:
            _extract(Path(run), folder)
            yield folder
        except RnnaudioError as error:
            if str(folder) not in str(error):
                raise
            named = str(error).replace(f"{folder}{os.sep}", f"{run}: ").replace(str(folder), str(run))
            raise RnnaudioError(named) from error


def _extract(pack: Path, folder: Path) -> None:
    """Write the files of a pack to a folder, after all checks of the list, each compared with its SHA-256."""
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
        raise _damaged(pack, f"{type(error).__name__} {error}") from error


def _damaged(pack: Path, why: str) -> RnnaudioError:
    short = why if len(why) <= MOST_WORDS else f"{why[:MOST_WORDS]}..."
    return RnnaudioError(f"{pack} is damaged or no pack: {short}; get it anew from whoever packed it")


def _check_ends(pack: Path, file: BinaryIO) -> None:
    """RnnaudioError unless a file begins and ends like a pack, and its length and its list of entries are bounded."""
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
    """Return the entries by name; RnnaudioError for names twice, folders, links, and entries that may grow."""
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
    """RnnaudioError unless the files are those listed, of the listed sizes, and all of them known to the recipe."""
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
    """Copy an entry to a new file, and no more than its stated size; returns the SHA-256 in hexadecimal."""
    digest, left = hashlib.sha256(), entry.file_size
    with archive.open(entry) as source, open(path, "xb") as target:
        while part := source.read(min(CHUNK, left + 1)):
            left -= len(part)
            if left < 0:
                raise zipfile.BadZipFile(f"{entry.orig_filename!r} is longer than it states")
            digest.update(part)
            target.write(part)
    return digest.hexdigest()
