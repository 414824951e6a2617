"""Commands that build and inspect corpora."""

from pathlib import Path
from typing import Annotated, Literal, TypedDict

from tyro.conf import Positional, arg

from rnnaudio.cli.app import command
from rnnaudio.errors import RnnaudioError
from rnnaudio.text import visible

GROUP = "Corpora"
Corpus = Annotated[Positional[Path], arg(metavar="CORPUS.h5")]


@command("corpus build", GROUP)
def corpus_build(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR-OR-FILES OUT.h5")],
    sample_rate_hz: int = 16_000,
    dtype: Literal["int16", "float32"] = "int16",
    keep_silence: bool = False,
    drop_silence: bool = False,
    normalise: bool = False,
    keep_truncated: bool = False,
    group: Literal["name", "folder", "none"] = "name",
    valid: tuple[Path, ...] = (),
    test: tuple[Path, ...] = (),
    seed: int = 0,
    strict: bool = False,
    overwrite: bool = False,
) -> None:
    """Make a corpus from audio files, or folders of them.

    Reads all common audio and video formats, at any sample rate, with any number of channels. Files that cannot be
    used are left out and listed with the reason.

    Example: rnnaudio corpus build ~/Music/piano my.h5

    Args:
        paths: audio files, or folders to search for them, followed by the HDF5 file to write.
        sample_rate_hz: sample rate of the corpus; everything is resampled to it and mixed to mono.
        dtype: number format in which samples are stored.
        keep_silence: do not cut leading and trailing silence, and keep silent and very quiet files.
        drop_silence: shorten silences within a piece that are longer than 1 s to 1 s.
        normalise: scale every piece to an rms of -23 dBFS, or less where its peak would exceed full scale.
        keep_truncated: use the part that exists of files that end early, instead of leaving them out.
        group: which pieces of a folder stay in one split: those whose names differ only in the number of a part or
            copy (name), all of them (folder), or none. The same sound in two files stays together in any case.
        valid: files and folders for the validation split; pieces not given here or for test are split at random.
        test: files and folders for the test split.
        seed: random seed of the split into training, validation and test.
        strict: refuse to build if any file cannot be used; the error message names all files that cannot be used.
        overwrite: replace an existing file.
    """
    from rnnaudio.audio.cleaning import Cleaning
    from rnnaudio.data import Splitting, build_corpus

    *sources, out = paths or (Path(),)
    if not sources:
        raise RnnaudioError("corpus build got fewer than two paths; expected what to read, then the .h5 file to write")
    _check_corpus_name(out, overwrite)
    cleaning = Cleaning(None if keep_silence else -60.0, keep_truncated, drop_silence, normalise)
    splitting = Splitting(seed=seed, group=group, valid=valid, test=test)
    print(
        build_corpus(
            sources, out, sample_rate_hz=sample_rate_hz, dtype=dtype, cleaning=cleaning, splitting=splitting,
            strict=strict, overwrite=overwrite,
        )
    )  # fmt: skip


@command("corpus add", GROUP)
def corpus_add(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="OUT.h5 DIR-OR-FILES")],
    keep_silence: bool = False,
    drop_silence: bool = False,
    normalise: bool = False,
    keep_truncated: bool = False,
    group: Literal["name", "folder", "none"] = "name",
    valid: tuple[Path, ...] = (),
    test: tuple[Path, ...] = (),
    seed: int = 0,
    strict: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Add recordings to a corpus.

    Pieces in the corpus keep their splits; new pieces are assigned so that durations come near 80, 10 and 10 %. If a
    new file holds the same sound as an old piece, both are in one split. Files that are in the corpus already are
    skipped. Runs trained on the old corpus need it to be resumed or reported; --out keeps it, and
    `rnnaudio train LARGER.h5 NEW --from RUN` trains such a run on the larger one.

    Example: rnnaudio corpus add my.h5 ~/Music/more --out larger.h5

    Args:
        paths: the corpus, followed by audio files, or folders to search for them.
        keep_silence: do not cut leading and trailing silence, and keep silent and very quiet files.
        drop_silence: shorten silences within a new piece that are longer than 1 s to 1 s.
        normalise: scale every new piece to an rms of -23 dBFS, or less where its peak would exceed full scale.
        keep_truncated: use the part that exists of files that end early, instead of leaving them out.
        group: which new pieces of a folder stay in one split: those whose names differ only in the number of a part
            or copy (name), all of them (folder), or none.
        valid: new files and folders for the validation split.
        test: new files and folders for the test split.
        seed: random seed of the split of the new pieces.
        strict: add no file if any cannot be used; the error message names all files that cannot be used.
        out: write the larger corpus to this HDF5 file. Default: it replaces the old one.
        overwrite: replace an existing file at --out.
    """
    from rnnaudio.audio.cleaning import Cleaning
    from rnnaudio.data import Splitting, add_to_corpus

    path, *sources = paths or (Path(),)
    if not sources and not valid and not test:
        raise RnnaudioError("corpus add got fewer than two paths; expected the .h5 file, then what to add to it")
    cleaning = Cleaning(None if keep_silence else -60.0, keep_truncated, drop_silence, normalise)
    splitting = Splitting(seed=seed, group=group, valid=valid, test=test)
    changed = _changed(path, out, overwrite)
    print(add_to_corpus(path, sources, cleaning=cleaning, splitting=splitting, strict=strict, **changed))
    _note_on_runs(path, out)


@command("corpus remove", GROUP)
def corpus_remove(
    path: Corpus,
    titles: Annotated[Positional[tuple[str, ...]], arg(metavar="TITLES")],
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Remove pieces from a corpus.

    The other pieces keep their splits. It is an error if a split would be empty. Runs trained on the old corpus need
    it to be resumed or reported; --out keeps it.

    Example: rnnaudio corpus remove my.h5 "live*" interview

    Args:
        path: the HDF5 file.
        titles: titles of pieces, as `corpus list` prints them, or patterns: * stands for any text.
        out: write the smaller corpus to this HDF5 file. Default: it replaces the old one.
        overwrite: replace an existing file at --out.
    """
    from rnnaudio.data import remove_from_corpus

    print(remove_from_corpus(path, titles, **_changed(path, out, overwrite)))
    _note_on_runs(path, out)


class _Changed(TypedDict):
    out: Path | None
    overwrite: bool


def _changed(path: Path, out: Path | None, overwrite: bool) -> _Changed:
    """Check the path to which a changed corpus is written; return the options ``out`` and ``overwrite`` for it.

    If ``out`` is None or ``path`` itself, the corpus is replaced. RnnaudioError as of :func:`_check_corpus_name`.
    """
    if out is not None and out.resolve() != path.resolve():
        _check_corpus_name(out, overwrite)
        return {"out": out, "overwrite": overwrite}
    return {"out": None, "overwrite": True}


def _note_on_runs(path: Path, out: Path | None) -> None:
    if out is None or out.resolve() == path.resolve():
        print(
            f"note: runs trained on {visible(path)} as it was cannot be resumed or reported with it; train new ones "
            "with --from RUN, and next time name another file with --out"
        )


@command("corpus merge", GROUP)
def corpus_merge(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="OUT.h5 CORPORA.h5")],
    sample_rate_hz: int | None = None,
    overwrite: bool = False,
) -> None:
    """Make one corpus of several.

    Every piece keeps its split.

    Example: rnnaudio corpus merge all.h5 piano.h5 organ.h5

    Args:
        paths: the HDF5 file to write, followed by two or more corpora.
        sample_rate_hz: sample rate of the result, to which all pieces are resampled. Default: the rate of the first
            corpus.
        overwrite: replace an existing file.
    """
    from rnnaudio.data import merge_corpora

    if len(paths) < 3:
        raise RnnaudioError("corpus merge got fewer than three paths; expected the .h5 file to write, then corpora")
    out, *corpora = paths
    _check_corpus_name(out, overwrite, place="first")
    print(merge_corpora(out, corpora, sample_rate_hz=sample_rate_hz, overwrite=overwrite))


@command("corpus timit", GROUP)
def corpus_timit(
    folder: Annotated[Positional[Path], arg(metavar="DIR")],
    out: Annotated[Positional[Path], arg(metavar="OUT.h5")],
    overwrite: bool = False,
) -> None:
    """Make a corpus from your own copy of TIMIT.

    Reads the NIST SPHERE files of LDC93S1. The splits are the standard ones: TRAIN, the development set of 50 speakers
    and the core test set.

    Example: rnnaudio corpus timit /data/TIMIT timit.h5

    Args:
        folder: the folder that holds TRAIN and TEST, directly or in a subfolder TIMIT; names in upper or lower case.
        out: the HDF5 file to write.
        overwrite: replace an existing file.
    """
    from rnnaudio.data import build_timit_corpus

    _check_corpus_name(out, overwrite)
    print(build_timit_corpus(folder, out, overwrite=overwrite))


@command("corpus list", GROUP)
def corpus_list(path: Corpus, verify: bool = False) -> None:
    """List the pieces of a corpus.

    Prints the whole table of `corpus build` again: split, duration and level of each piece, notes, and the files that
    were left out.

    Example: rnnaudio corpus list my.h5

    Args:
        path: the HDF5 file.
        verify: first read all samples and compare the checksum of each piece with the stored one.
    """
    from rnnaudio.data import AudioCorpus, summary_of

    if verify:
        with AudioCorpus.open(path) as opened:
            opened.verify()
    print(summary_of(path).table())


@command("corpus info", GROUP)
def corpus_info(path: Positional[Path], verify: bool = False) -> None:
    """Print sources and licences of the pieces of a corpus.

    Also prints its sample rate, mean and standard deviation.

    Example: rnnaudio corpus info my.h5 --verify

    Args:
        path: the HDF5 file.
        verify: first read all samples and compare the checksum of each piece with the stored one.
    """
    from rnnaudio.data import AudioCorpus

    with AudioCorpus.open(path) as opened:
        if verify:
            opened.verify()
        print(f"{opened.sample_rate_hz} Hz, mean {opened.mean:.5f}, standard deviation {opened.std:.5f}")
        for piece in opened.pieces:
            print(piece.about(opened.sample_rate_hz))


def _check_corpus_name(out: Path, overwrite: bool, place: str = "last") -> None:
    """Raise RnnaudioError unless ``out`` ends in .h5 or .hdf5, and does not exist or may be overwritten."""
    from rnnaudio.data.corpus_build import check_free

    if out.suffix.lower() not in (".h5", ".hdf5"):
        raise RnnaudioError(f"the {place} path is the corpus to write, expected a name that ends in .h5; got {out}")
    check_free(out, overwrite)
