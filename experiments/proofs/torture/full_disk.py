"""Full disks: each command that writes runs out of space at 20 file sizes.

The command must end with status 2 and no traceback, leave the existing file as it was, and leave no temporary file
behind. A limit on the size of files (RLIMIT_FSIZE) stands in for a full disk: writing beyond it fails in the same way,
with EFBIG instead of ENOSPC, at any offset and without a separate file system. A report consists of several files;
those written before the limit is reached may be new.
"""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count
from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.runs.record import SavedRun

N_OFFSETS = 20
LEAST_BYTES = 2_000  # for what the command prints, which goes to a file, too


class Writer(NamedTuple):
    """A command that replaces the file ``target``. needs: files in its folder at the start. read: reads the target."""

    name: str
    needs: tuple[str, ...]
    words: list[object]
    target: str
    read: Callable[[Path], object]


def _read_corpus(path: Path) -> None:
    with AudioCorpus.open(path) as corpus:
        corpus.verify()


def _read_run(path: Path) -> None:
    SavedRun.read(path.parent)


WRITERS = (
    Writer(
        "corpus build", ("corpus.h5", "sounds"), toys.build_words("corpus.h5", "--overwrite", "--seed", 1),
        "corpus.h5", _read_corpus,
    ),
    Writer(
        "resume", ("corpus.h5", "frames"),
        ["resume", "frames", "--max-updates", 2 * toys.N_UPDATES, "--import", toys.SHORTENED],
        "frames/checkpoint.safetensors", _read_run,
    ),
    Writer(
        "generate", ("corpus.h5", "samples", "out.wav"),
        ["generate", "samples", "out.wav", "--seconds", 3, "--overwrite", "--import", toys.SHORTENED], "out.wav",
        read_audio,
    ),
    Writer(
        "report", ("corpus.h5", "codes"), ["report", "codes", "--import", toys.SHORTENED], "codes/report.html",
        Path.read_bytes,
    ),
)  # fmt: skip


def full_disk(source: Path, folder: Path, n_offsets: int = N_OFFSETS) -> Count:
    """Run each writer with ``n_offsets`` limits on file size, between 2000 bytes and the size of its target."""
    count = Count("full disk")
    for writer in WRITERS:
        size = (source / writer.target).stat().st_size
        for k in range(n_offsets):
            offset = max(LEAST_BYTES, size * k // n_offsets)
            fault = _limited(writer, toys.copied(source, folder / "full", *writer.needs), offset)
            count.add(f"{writer.name}, {offset} bytes", fault)
    return count


def _limited(writer: Writer, folder: Path, offset: int) -> str:
    before, names = (folder / writer.target).read_bytes(), toys.names_in(folder)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (offset, offset))

    ended = toys.run(writer.words, folder, limits=limit)
    if ended.has_traceback or ended.status != 2:
        return f"status {ended.status}: {ended.output[-300:]}"
    if (folder / writer.target).read_bytes() != before:
        return f"{writer.target} has changed"
    writer.read(folder / writer.target)
    left = {name for name in toys.names_in(folder) - names if name.endswith(".part") and "pieces" not in name}
    return f"left behind: {', '.join(sorted(left))}" if left else ""
