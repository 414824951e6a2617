"""Opening of corpus files (:mod:`rnnaudio.corpus_file`), which a child process checks first if they are unchecked.

A checked file is recognised by the SHA-256 of everything in it except the samples, whose bytes cannot mislead HDF5.
Size, modification time and inode are not enough: they can be set, and they stay the same when a disk flips a bit. A
checksum of the whole file would take a second per gigabyte. The checksums are kept in the user's cache folder, by the
path of the file.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py

from rnnaudio.audio.files import child_environment
from rnnaudio.caches import cache_folder
from rnnaudio.corpus_file import extents, structure
from rnnaudio.corpus_file.extents import Extent
from rnnaudio.corpus_file.structure import Unusable
from rnnaudio.errors import MissingCorpus, RnnaudioError

CHILD = (sys.executable, "-P", "-m", "rnnaudio.corpus_file")  # -P: files in the current folder shadow no module
CHECKED_BY = f"check 1, HDF5 {h5py.version.hdf5_version}"  # files checked by another version are checked again
# Processor time; a check takes .3 s and 1 ms per piece, and a piece at least some kilobytes.
SECONDS, MOST_SECONDS, BYTES_PER_EXTRA_SECOND = 4, 300, 4_000_000
WAITING_SECONDS = 30.0  # allowed beyond ten times that, on a slow disk or a busy machine
MOST_KNOWN = 1000
MOST_HASHED_BYTES = 1 << 28  # of a file besides its samples; one with more is not remembered


def open_checked(path: Path) -> h5py.File:
    """Open a corpus read-only; returns the open file.

    Everything except the samples is checked first, unless the file has passed this check before. RnnaudioError if the
    file is missing, cannot be read, is truncated, is not HDF5, is not a corpus, has an unknown version, lacks an
    attribute or a split, or fails another check of :mod:`rnnaudio.corpus_file.structure`.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingCorpus(path)
    try:
        if not _is_known(path):
            _remember(path, *_checked_by_child(path))
        return structure.opened(path)
    except Unusable as error:
        raise RnnaudioError(
            f"{path} is not a usable corpus: {error}; build it again with 'rnnaudio corpus build'"
        ) from error
    except OSError as error:
        raise RnnaudioError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error


def remember_own(path: Path) -> None:
    """Record that the corpus at ``path``, which this process has just written, needs no check."""
    with structure.opened(path) as file:
        samples = extents.of_samples(file)
    _remember(path, samples, extents.sha256_outside(path, samples))


def _checked_by_child(path: Path) -> tuple[list[Extent], str]:
    """Check a file in a child process; returns (extents of the samples, SHA-256 of everything else).

    Unusable if the file does not pass, or if the child crashes or takes too long.
    """
    seconds = min(MOST_SECONDS, SECONDS + path.stat().st_size // BYTES_PER_EXTRA_SECOND)
    with start_child("check", path, str(seconds)) as child:
        try:
            output, _ = child.communicate(timeout=10.0 * seconds + WAITING_SECONDS)
            result = json.loads(output)
        except (subprocess.TimeoutExpired, ValueError) as error:
            is_slow = isinstance(error, subprocess.TimeoutExpired) or child.returncode == -signal.SIGXCPU
            reason = f"took longer than {seconds} s" if is_slow else "crashed"
            raise Unusable(f"damaged, or made to do harm (the HDF5 library {reason} on it)") from error
        finally:
            child.kill()
    if "unusable" in result:
        raise Unusable(result["unusable"])
    return [(start, stop) for start, stop in result["samples"]], result["sha256"]


def start_child(command: str, path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a child process that runs a command of :mod:`rnnaudio.corpus_file` on a file; returns the process.

    command: ``check`` or ``samples``. The child writes its result to its standard output as a line of JSON.
    """
    return subprocess.Popen(
        [*CHILD, command, os.path.abspath(path), *arguments],
        env=child_environment() | {"OPENBLAS_NUM_THREADS": "1"},  # its threads reserve memory
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C is for this process, which ends the child
    )  # fmt: skip


# ---------------------------------------------------------------- what is known


def _record(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return cache_folder() / "rnnaudio" / "corpora" / f"{name}.json"


def _is_known(path: Path) -> bool:
    """Return True if the file has passed the check before and has not changed since.

    Size and SHA-256 of everything except the samples are compared, and the versions of the check and of HDF5.
    """
    try:
        known = json.loads(_record(path).read_text())
        return (
            known["checked_by"] == CHECKED_BY
            and known["n_bytes"] == path.stat().st_size
            and known["sha256"] == extents.sha256_outside(path, known["samples"])
        )
    except (OSError, ValueError, KeyError, TypeError):  # none, or half written by a process that was killed
        return False


def _remember(path: Path, samples: list[Extent], sha256: str) -> None:
    """Record in the cache folder that a file has passed the check.

    samples: extents of the samples. sha256: of everything else. Nothing is recorded if the folder cannot be written,
    or if more than 256 MiB of the file are not samples; the file is then checked each time that it is opened.
    """
    n_bytes = path.stat().st_size
    if n_bytes - sum(stop - start for start, stop in samples) > MOST_HASHED_BYTES:
        return
    known = {
        "checked_by": CHECKED_BY, "path": os.fsdecode(path), "n_bytes": n_bytes, "samples": samples, "sha256": sha256
    }  # fmt: skip
    record = _record(path)
    with contextlib.suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(known))
        _forget_oldest(record.parent)


def _forget_oldest(folder: Path) -> None:
    """Remove the 500 oldest records in the folder if it holds more than 1000."""
    records = list(folder.glob("*.json"))
    if len(records) > MOST_KNOWN:
        for record in sorted(records, key=lambda one: one.stat().st_mtime_ns)[: MOST_KNOWN // 2]:
            record.unlink(missing_ok=True)
