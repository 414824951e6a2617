"""Writing of a corpus file: open it without a chunk cache, measure the pieces, and write the attributes."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py

from rnnaudio.corpus_file.layout import FORMAT, LEAST_STD, VERSION, contents_sha256, set_texts, sha256_of
from rnnaudio.corpus_file.structure import MOST_PIECES
from rnnaudio.data.corpus_summary import Moments, PieceSummary, measure
from rnnaudio.data.sources import LeftOut
from rnnaudio.errors import RnnaudioError

MORE_LEFT_OUT = LeftOut("...", "further files, for whose names there was no room")
FAILED_WRITE = re.compile(r"write failed.*?errno = (\d+)", re.DOTALL)  # in a message of HDF5
MOST_NOTE_BYTES = 40_000  # HDF5 keeps attributes up to 64 KiB


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Context manager that opens a new HDF5 file for writing, without a chunk cache, and closes it at the end.

    On a full disk, HDF5 with a chunk cache fails to write cached chunks when it closes the file, and crashes the
    process. Without the cache, the write itself fails with an OSError. A RuntimeError that h5py raises for a failed
    write is replaced by an OSError with the same errno.
    """
    file = h5py.File(path, "w", rdcc_nbytes=0)
    try:
        yield file
        file.flush()
        file.close()
    except BaseException as error:
        with suppress(OSError, RuntimeError):  # an error while closing must not hide the first one
            file.close()
        failed = FAILED_WRITE.search(str(error)) if isinstance(error, RuntimeError) else None
        if failed is None:
            raise
        raise OSError(int(failed[1]), os.strerror(int(failed[1]))) from error


def measure_pieces(group: h5py.Group, sample_rate_hz: int) -> tuple[Moments, list[PieceSummary]]:
    """Read back every piece and store its SHA-256; returns (moments of the training samples, summaries of the pieces).

    Moments and summaries are on the scale -1 to 1, see :func:`measure`.
    """
    training = Moments(0, 0.0, 0.0)
    summaries = []
    for piece in group.values():
        set_texts(piece, {"sha256": sha256_of(piece)})
        moments, summary = measure(piece, sample_rate_hz)
        summaries.append(summary)
        if summary.split == "train":
            training = training.merged(moments)
    return training, summaries


def write_attributes(
    file: h5py.File,
    moments: Moments,
    left_out: Sequence[LeftOut],
    notes: Sequence[str],
    settings: Mapping[str, int | str],
) -> float:
    """Write the attributes of a corpus; returns the standard deviation of the training samples.

    ``contents_sha256`` is written last. moments: of the training samples, on the scale -1 to 1. settings:
    ``sample_rate_hz`` and ``dtype``. Lists too long for an HDF5 attribute are cut. RnnaudioError if the training
    samples are constant (standard deviation 1e-6 or less), or if there are more than 100,000 pieces.
    """
    std = (moments.squares / moments.n) ** 0.5
    if std <= LEAST_STD:
        raise RnnaudioError(
            f"the training pieces are constant (standard deviation {std:.3g}, expected more than {LEAST_STD:g}): "
            "add pieces with sound"
        )
    n_pieces = len(file["pieces"])
    if n_pieces > MOST_PIECES:
        raise RnnaudioError(f"{n_pieces} pieces, expected at most {MOST_PIECES}: join files, or use fewer")
    file.attrs.update(version=VERSION, sample_rate_hz=settings["sample_rate_hz"], mean=moments.mean, std=std)
    texts = {"left_out": _as_attribute(left_out, MORE_LEFT_OUT), "notes": _as_attribute(notes, "... and more")}
    set_texts(file, {"format": FORMAT, "dtype": str(settings["dtype"]), **texts})
    set_texts(file, {"contents_sha256": contents_sha256(file)})
    return std


def _as_attribute(entries: Sequence[str | LeftOut], more: str | LeftOut) -> str:
    """Format entries as a JSON list that fits into an HDF5 attribute; ``more`` takes the place of those cut."""
    kept: list[str | LeftOut] = []
    n_bytes = 0
    for entry in entries:
        n_bytes += len(json.dumps(entry)) + 2
        if n_bytes > MOST_NOTE_BYTES:
            kept.append(more)
            break
        kept.append(entry)
    return json.dumps(kept)
