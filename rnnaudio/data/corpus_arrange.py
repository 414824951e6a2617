"""Arrangement of the pieces in a new corpus: assign the splits, cut in time, join short pieces."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from rnnaudio.audio.arrays import Array
from rnnaudio.corpus_file.layout import SPLITS, set_texts, text_of
from rnnaudio.data import corpus_splits
from rnnaudio.data.corpus_splits import Splitting
from rnnaudio.data.corpus_summary import same_note
from rnnaudio.data.landmarks import Print
from rnnaudio.data.likeness import alike

GAP_SECONDS = 0.25  # of silence between short pieces that are joined
JOINED_SECONDS = 60.0  # length at which another joined piece begins


class Written(NamedTuple):
    """Properties of a piece already written to the corpus file; they determine its split.

    file
        the audio file that the piece was read from; None: it was read from no file.
    split
        the split given for the piece; None: not given.
    print
        fingerprint of the sound, see :func:`rnnaudio.data.likeness.print_of`.
    origin
        path of the earlier corpus that the piece was taken from; empty: none.
    """

    file: Path | None  # the file that the piece was read from; None: no file
    split: str | None  # the split given for the piece; None: not given
    print: Print
    origin: str  # the earlier corpus that the piece was taken from; empty: none


def write_piece(group: h5py.Group, samples: Array, sample_rate_hz: int, texts: dict[str, str]) -> None:
    """Write samples (n_samples,) as the next dataset of the group, with ``texts`` as its text attributes.

    The dataset has chunks of one second (one chunk if the piece is shorter), each with a Fletcher-32 checksum.
    """
    dataset = group.create_dataset(
        f"{len(group):06d}",
        data=samples,
        chunks=(min(sample_rate_hz, samples.size),),
        maxshape=samples.shape,
        fletcher32=True,
    )
    set_texts(dataset, texts)
    group.file.flush()


def set_splits(group: h5py.Group, written: Sequence[Written], splitting: Splitting, sample_rate_hz: int) -> list[str]:
    """Store the split of every piece in ``group`` as the attribute ``split``; returns notes for the summary.

    Pieces that ``splitting.group`` relates, or that hold the same sound, form a group. All pieces of a group get one
    split, except those for which another split is given. If no split is given for any piece, and there are fewer than
    three groups, each piece is instead cut in time into three parts, one for each split; the parts replace the piece
    in ``group``.

    written: properties of the pieces, in the order of ``group``. RnnaudioError if a split would be empty.
    """
    pieces = list(group.values())
    n_samples, given = [len(piece) for piece in pieces], [one.split for one in written]
    origins = [one.origin for one in written]
    # Splits that are all given need no comparison, except where corpora meet.
    same = [] if all(given) and len(set(origins)) < 2 else alike([one.print for one in written], origins)
    alone = corpus_splits.united([str(k) for k in range(len(pieces))], same)
    groups = corpus_splits.united(_keys(written, splitting), same)
    notes = []
    why = "" if groups == alone else corpus_splits.uninformative(groups, n_samples, given)
    if why:
        notes.append(f"pieces were not kept together by {splitting.group}, for {why}")
        groups = alone
    if not any(given) and len(set(groups)) < len(SPLITS):
        return [*notes, *_notes_on_same(pieces, same), _cut_all(group, splitting.fractions)]
    least = round(splitting.least_seconds * sample_rate_hz)
    splits = corpus_splits.assign_groups(n_samples, given, groups, splitting, least)
    for piece, split in zip(pieces, splits, strict=True):
        set_texts(piece, {"split": split})
    notes += _notes_on_same(pieces, same)
    if len(set(groups)) < len(pieces):
        notes.append(f"{len(pieces)} pieces form {len(set(groups))} groups, each in one split")
    return notes


def _keys(written: Sequence[Written], splitting: Splitting) -> list[str]:
    """Return the name of the group of each piece, by its file and ``splitting.group`` (:func:`corpus_splits.key_of`).

    A piece without a file forms a group of its own. So does a piece from an earlier corpus, if the pieces of earlier
    corpora with the same group name are in different splits.
    """
    keys = [
        f"{k}" if one.file is None else corpus_splits.key_of(Path(os.path.abspath(one.file)), splitting.group)
        for k, one in enumerate(written)
    ]
    earlier = defaultdict(set)
    for key, one in zip(keys, written, strict=True):
        if one.origin:
            earlier[key].add(one.split)
    return [
        f"{k}" if one.origin and len(earlier[key]) > 1 else key
        for k, (key, one) in enumerate(zip(keys, written, strict=True))
    ]


def _notes_on_same(pieces: Sequence[h5py.Dataset], pairs: Sequence[tuple[int, int]]) -> list[str]:
    groups = corpus_splits.united([str(k) for k in range(len(pieces))], pairs)
    members = defaultdict(list)
    for piece, own in zip(pieces, groups, strict=True):
        members[own].append(piece)
    notes = []
    for one in members.values():
        if len(one) > 1:
            sources = [Path(text_of(piece, "source")) for piece in one]
            is_unique = len({source.name for source in sources}) == len(sources)
            names = [source.name if is_unique else str(source) for source in sources]
            notes.append(same_note(names, [text_of(piece, "split") for piece in one]))
    return notes


def _cut_all(group: h5py.Group, fractions: tuple[float, float, float]) -> str:
    pieces = list(group.values())
    for piece in pieces:
        _cut_in_time(group, piece, fractions)
    return (
        f"only {len(pieces)} piece{'s' * (len(pieces) > 1)}: cut in time into train, valid and test, so these "
        "come from the same recording"
    )


def _cut_in_time(group: h5py.Group, piece: h5py.Dataset, fractions: tuple[float, float, float]) -> None:
    """Cut a piece in time into training, validation and test parts, in this order; the piece keeps the first.

    The validation and test parts become new pieces at the end of ``group``. fractions: shares of the three parts, in
    that order.
    """
    n_train, n_valid_end = (round(len(piece) * share) for share in np.cumsum(fractions)[:2])
    texts = {name: text_of(piece, name) for name in ("title", "source", "licence")}
    title = texts["title"]
    for split, start, stop in (("valid", n_train, n_valid_end), ("test", n_valid_end, len(piece))):
        write_piece(
            group, piece[start:stop], piece.chunks[0], texts | {"title": f"{title} ({split} part)", "split": split}
        )
    piece.resize((n_train,))
    set_texts(piece, {"title": f"{title} (train part)", "split": "train"})


def join_short_pieces(group: h5py.Group, kept: int, shorter_than: float, sample_rate_hz: int) -> list[str]:
    """Join the pieces that are shorter than ``shorter_than`` seconds; returns notes for the summary.

    In each split that has at least two such pieces, joined pieces of about a minute replace them, with .25 s of
    silence between the parts. kept: number of pieces at the beginning of ``group`` that stay as they are, however
    short.
    """
    notes, replaced = [], []
    candidates = list(group)[kept:]
    for split in SPLITS:
        names = [
            name
            for name in candidates
            if text_of(group[name], "split") == split and len(group[name]) < shorter_than * sample_rate_hz
        ]
        if len(names) < 2:
            continue
        gap = np.zeros(round(GAP_SECONDS * sample_rate_hz), group[names[0]].dtype)
        parts: list[Array] = []
        n_joined = 0
        for name in [*names, None]:
            if name is None or sum(map(len, parts)) > JOINED_SECONDS * sample_rate_hz:
                n_joined += 1
                texts = {"title": f"short pieces ({split}, {n_joined})", "source": f"{len(parts) // 2} short files"}
                licences = {text_of(group[n], "licence") for n in names}
                texts |= {"licence": "; ".join(sorted(licences)), "split": split}
                write_piece(group, np.concatenate(parts[:-1]), sample_rate_hz, texts)
                parts = []
            if name is not None:
                parts += [group[name][:], gap]
        seconds = sum(len(group[name]) for name in names) / sample_rate_hz
        replaced += names
        notes.append(
            f"{len(names)} pieces of {split} shorter than {shorter_than:g} s, {seconds:.1f} s in all, were joined "
            f"with {GAP_SECONDS:g} s of silence between them"
        )
    for name in replaced:  # last, for pieces are numbered by their count
        del group[name]
    return notes
