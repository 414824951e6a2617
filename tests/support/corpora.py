"""Small corpora of noise."""

from pathlib import Path

import h5py
import numpy as np

from rnnaudio.audio.cleaning import Cleaning
from rnnaudio.corpus_file.layout import PIECE_TEXTS, contents_sha256, set_texts, text_of
from rnnaudio.data.corpus_build import Recording, build_corpus

RATE_HZ = 8000


def noise(seed: int, seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-level, level, round(seconds * RATE_HZ)).astype(np.float32)


def recording(title: str, audio: np.ndarray, split: str | None = None) -> Recording:
    return Recording(title, f"source of {title}", "CC0", split, lambda: (audio, RATE_HZ))


def build(out: Path, recordings: list, **options):
    defaults = {"sample_rate_hz": RATE_HZ, "progress": False, "cleaning": Cleaning(join_seconds=0.0)}
    return build_corpus(recordings, out, **defaults | options)


def with_texts(path: Path, change) -> None:
    """Change an open corpus by ``change(file)``, and make the sum of what it states anew."""
    with h5py.File(path, "a") as file:
        change(file)
        set_texts(file, {"contents_sha256": contents_sha256(file)})


def as_version_1(path: Path, **texts: str) -> None:
    """Give a corpus the texts of variable length that version 1 had; texts: of its first piece."""
    with h5py.File(path, "a") as file:
        names = ("format", "dtype", "left_out", "notes")
        file.attrs.update({name: text_of(file, name) for name in names}, version=1)
        del file.attrs["contents_sha256"]
        for piece in file["pieces"].values():
            piece.attrs.update({name: text_of(piece, name) for name in PIECE_TEXTS} | texts)
            texts = {}


def texts_in(owner) -> dict:
    """The attributes of a corpus or a piece, texts decoded."""
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in owner.attrs.items()}
