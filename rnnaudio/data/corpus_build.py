"""Corpus builder: writes recordings to one HDF5 file with checksums, a piece at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from rnnaudio.atomic import replacing
from rnnaudio.audio.arrays import Array, Audio, Whole
from rnnaudio.audio.files import AUDIO_SUFFIXES, Decoder, check_audio, resample, to_int16, trim_silence
from rnnaudio.data.corpus_format import FORMAT, SAMPLE_SCALE, SPLITS, VERSION, sha256_of
from rnnaudio.data.corpus_summary import SILENCE_DBFS, CorpusSummary, Moments, PieceSummary, measure
from rnnaudio.errors import RnnaudioError

MIN_SECONDS = 0.1
N_ORDERS = 200


@dataclass(frozen=True)
class Recording:
    """A recording to be stored in a corpus.

    `load` is the path of an audio file, or a function that returns ((n_samples,) audio on the scale -1 to 1, sample
    rate in Hz). `split` is train, valid or test; None leaves the choice to `build_corpus`.
    """

    title: str
    source: str
    licence: str
    split: str | None
    load: Path | Callable[[], tuple[Audio, int]]


def build_corpus(
    sources: Sequence[Path | Recording],
    out: Path,
    *,
    sample_rate_hz: int = 16_000,
    dtype: str = "int16",
    trim_silence_db: float | None = -60.0,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    progress: bool = True,
) -> CorpusSummary:
    """Write a corpus file and return its summary; memory use is bounded by the longest piece.

    Args:
        sources: audio files, folders (searched recursively for wav, flac, ogg and mp3, sorted), and Recordings.
        out: the HDF5 file; it appears, or replaces an earlier one, only when complete.
        sample_rate_hz: sample rate of the corpus; every piece is resampled to it.
        dtype: sample format in the file, "int16" or "float32".
        trim_silence_db: threshold relative to the peak of each piece, in dB; leading and trailing silence below it is
            cut. None keeps the silence.
        seed: random seed for assigning splits to pieces without one.
        fractions: target shares of train, valid and test in the total duration, which the assigned splits approximate.
            If there are fewer than three pieces, none with a given split, each is cut in time into all three parts.
        progress: show a progress bar (on a terminal only).

    Pieces that are silent (peak below -60 dBFS) or shorter than 0.1 s are skipped and noted in the summary.

    Raises RnnaudioError for an unusable file, no usable audio, an empty split, a constant training signal, a full disk
    or a lack of permission. An existing file at `out` is then left unchanged, also after Ctrl-C.
    """
    _check_settings(dtype, fractions)
    recordings = _gather(sources)
    with replacing(Path(out)) as temporary, _new_hdf5(temporary) as file:
        group = file.create_group("pieces")
        notes = _write_pieces(group, recordings, sample_rate_hz, dtype, trim_silence_db, progress)
        notes += _set_splits(group, fractions, seed)
        moments, summaries = _measure_pieces(group, sample_rate_hz)
        std = (moments.squares / moments.n) ** 0.5
        if std == 0.0:
            raise RnnaudioError("the training pieces are constant (standard deviation 0): add pieces with sound")
        file.attrs.update(
            format=FORMAT, version=VERSION, sample_rate_hz=sample_rate_hz, dtype=dtype, mean=moments.mean, std=std
        )
    return CorpusSummary(Path(out), sample_rate_hz, dtype, moments.mean, std, tuple(summaries), tuple(notes))


def _check_settings(dtype: str, fractions: tuple[float, float, float]) -> None:
    if dtype not in SAMPLE_SCALE:
        raise RnnaudioError(f"dtype: got {dtype!r}, expected 'int16' or 'float32'")
    if len(fractions) != 3 or min(fractions) <= 0.0 or abs(sum(fractions) - 1.0) > 1e-6:
        raise RnnaudioError(
            f"fractions: got {fractions}, expected three positive numbers (train, valid, test) that sum to 1"
        )


def _gather(sources: Sequence[Path | Recording]) -> list[Recording]:
    """Expand the sources to Recordings; a file that occurs twice is included once."""
    recordings: list[Recording] = []
    seen: set[Path] = set()
    for source in sources:
        if isinstance(source, Recording):
            recordings.append(source)
            continue
        for path in _audio_files(Path(source)):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                recordings.append(Recording(printable(path.stem), printable(path), "not stated", None, path))
    wrong = {recording.split for recording in recordings} - {None, *SPLITS}
    if wrong:
        raise RnnaudioError(f"split: got {wrong.pop()!r}, expected one of {', '.join(SPLITS)} or None")
    return recordings


def _audio_files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    paths = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise RnnaudioError(f"{source}: no {', '.join(AUDIO_SUFFIXES)} file in this folder; name another folder")
    return paths


def printable(name: Path | str) -> str:
    """The name as a string that can be encoded in UTF-8; characters that cannot are replaced by question marks."""
    return str(name).encode("utf-8", "replace").decode()  # HDF5 rejects strings that are not valid UTF-8


@contextmanager
def _new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Create an HDF5 file without a chunk cache, and close it at the end.

    If the disk is full, HDF5 fails to write cached chunks when it closes the file, and crashes the process. Without
    the cache, the write itself fails, with an OSError.
    """
    file = h5py.File(path, "w", rdcc_nbytes=0)
    try:
        yield file
        file.flush()
    except BaseException:
        with suppress(OSError, RuntimeError):  # an error while closing must not hide the first one
            file.close()
        raise
    file.close()


def _write_pieces(
    group: h5py.Group,
    recordings: list[Recording],
    sample_rate_hz: int,
    dtype: str,
    trim_silence_db: float | None,
    progress: bool,
) -> list[str]:
    notes = []
    with Decoder() as decoder:
        for recording in tqdm(recordings, unit="piece", disable=None if progress else True):
            audio = _load(recording, decoder, sample_rate_hz)
            if trim_silence_db is not None:
                audio = trim_silence(audio, sample_rate_hz, trim_silence_db)
            if np.abs(audio).max(initial=0.0) < 10.0 ** (SILENCE_DBFS / 20.0):
                notes.append(f"skipped {recording.title!r}: silent (peak below {SILENCE_DBFS:g} dBFS)")
            elif audio.size < MIN_SECONDS * sample_rate_hz:
                notes.append(f"skipped {recording.title!r}: shorter than {MIN_SECONDS:g} s")
            else:
                samples = to_int16(audio) if dtype == "int16" else audio
                texts = {"title": recording.title, "source": recording.source, "licence": recording.licence}
                _write_piece(group, samples, sample_rate_hz, texts | {"split": recording.split or ""})
    if not len(group):
        raise RnnaudioError("no usable audio: " + ("; ".join(notes) or "no sources were given"))
    return notes


def _load(recording: Recording, decoder: Decoder, sample_rate_hz: int) -> Audio:
    if isinstance(recording.load, Path):
        return decoder.read(recording.load, sample_rate_hz)[0]
    try:
        audio, rate_hz = recording.load()
    except OSError as error:
        raise RnnaudioError(f"{recording.title!r} cannot be loaded: {error}") from error
    audio = check_audio(audio, repr(recording.title))
    return np.clip(audio if rate_hz == sample_rate_hz else resample(audio, rate_hz, sample_rate_hz), -1.0, 1.0)


def _write_piece(group: h5py.Group, samples: Array, sample_rate_hz: int, texts: dict[str, str]) -> None:
    dataset = group.create_dataset(
        f"{len(group):06d}",
        data=samples,
        chunks=(min(sample_rate_hz, samples.size),),
        maxshape=samples.shape,
        fletcher32=True,
    )
    dataset.attrs.update(texts)
    group.file.flush()


def _set_splits(group: h5py.Group, fractions: tuple[float, float, float], seed: int) -> list[str]:
    """Assign a split to every piece; returns notes for the summary."""
    pieces = list(group.values())
    given = [piece.attrs["split"] or None for piece in pieces]
    if len(pieces) < len(SPLITS) and not any(given):
        for piece in pieces:
            _cut_in_time(group, piece, fractions)
        return [
            f"only {len(pieces)} piece{'s' * (len(pieces) > 1)}: cut in time into train, valid and test, so these "
            "come from the same recording"
        ]
    splits = assign_splits([len(piece) for piece in pieces], given, fractions, seed)
    for piece, split in zip(pieces, splits, strict=True):
        piece.attrs["split"] = split
    return []


def _cut_in_time(group: h5py.Group, piece: h5py.Dataset, fractions: tuple[float, float, float]) -> None:
    """Copy the last parts of a piece to new pieces for validation and test, and shorten the piece to the rest."""
    n_train, n_valid_end = (round(len(piece) * share) for share in np.cumsum(fractions)[:2])
    texts, title = dict(piece.attrs), piece.attrs["title"]
    for split, start, stop in (("valid", n_train, n_valid_end), ("test", n_valid_end, len(piece))):
        _write_piece(
            group, piece[start:stop], piece.chunks[0], texts | {"title": f"{title} ({split} part)", "split": split}
        )
    piece.resize((n_train,))
    piece.attrs.update(title=f"{title} (train part)", split="train")


def assign_splits(
    n_samples: Sequence[int], given: Sequence[str | None], fractions: Sequence[float], seed: int
) -> list[str]:
    """Choose a split for every piece: the given one, else a random one; durations approximate the fractions.

    Tries 200 random orders of the pieces without a given split. Each order is divided into test, validation and
    training pieces where the cumulative durations are nearest to the durations still missing; the order with the
    smallest deviation is taken. Raises RnnaudioError if a split would be empty.
    """
    wanted = {split: share * sum(n_samples) for split, share in zip(SPLITS, fractions, strict=True)}
    lacking = {
        split: wanted[split] - sum(n for n, own in zip(n_samples, given, strict=True) if own == split)
        for split in SPLITS
    }
    least = {split: int(split not in given) for split in SPLITS}
    free = np.array([number for number, split in enumerate(given) if split is None], int)
    if free.size < sum(least.values()):
        empty = " and ".join(split for split in SPLITS if least[split])
        raise RnnaudioError(f"no piece is left for {empty}: give more pieces, or other splits")
    rng = np.random.default_rng(seed)
    best: tuple[float, Whole, int, int] | None = None
    for _ in range(N_ORDERS):
        order = rng.permutation(free)
        sums = np.concatenate([[0], np.cumsum(np.asarray(n_samples)[order])])
        n_test = _nearest(sums, lacking["test"], least["test"], free.size - least["valid"] - least["train"])
        n_both = _nearest(sums, sums[n_test] + lacking["valid"], n_test + least["valid"], free.size - least["train"])
        durations = {"test": sums[n_test], "valid": sums[n_both] - sums[n_test], "train": sums[-1] - sums[n_both]}
        deviation = float(sum(abs(durations[split] - lacking[split]) for split in SPLITS))
        if best is None or deviation < best[0]:
            best = deviation, order, n_test, n_both
    assert best is not None
    _, order, n_test, n_both = best
    splits = {
        number: "test" if place < n_test else "valid" if place < n_both else "train"
        for place, number in enumerate(order)
    }
    return [split or splits[number] for number, split in enumerate(given)]


def _nearest(sums: Whole, target: float, least: int, most: int) -> int:
    """Index from `least` to `most` whose sum is nearest to the target."""
    return least + int(np.argmin(np.abs(sums[least : most + 1] - target)))


def _measure_pieces(group: h5py.Group, sample_rate_hz: int) -> tuple[Moments, list[PieceSummary]]:
    """Read back every piece and store its checksum; returns (moments of the training split, summary per piece)."""
    training = Moments(0, 0.0, 0.0)
    summaries = []
    for piece in group.values():
        piece.attrs["sha256"] = sha256_of(piece)
        moments, summary = measure(piece, sample_rate_hz)
        summaries.append(summary)
        if summary.split == "train":
            training = training.merged(moments)
    return training, summaries
