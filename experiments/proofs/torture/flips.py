"""Single bits flipped in a corpus or a checkpoint: the file must be refused, or a corpus read exactly as before."""

import random
from pathlib import Path

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.record import SavedRun


def flips(source: Path, folder: Path, n: int, seed: int = 0) -> Count:
    """Flip ``n`` bits of a corpus and ``n`` bits of a checkpoint, one at a time, and load the file each time."""
    rng, count = random.Random(seed), Count("flips")
    harmless = 0
    for _ in range(n):
        bit = rng.randrange(8 * (source / "corpus.h5").stat().st_size)
        fault = _flipped_corpus(toys.copied(source, folder / "flip", "corpus.h5"), bit, source)
        harmless += fault == "harmless"
        count.add(f"corpus, bit {bit}", "" if fault == "harmless" else fault)
    for _ in range(n):
        bit = rng.randrange(8 * (source / "frames" / "checkpoint.safetensors").stat().st_size)
        count.add(f"checkpoint, bit {bit}", _flipped_checkpoint(toys.copied(source, folder / "flip", "frames"), bit))
    count.figures["of the corpus, read as before"] = harmless
    return count


def _flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def _flipped_corpus(folder: Path, bit: int, source: Path) -> str:
    """Read a flipped corpus as a run does when it starts.

    Returns "" if it is refused, ``harmless`` if everything that is read is as before, else what is wrong.
    """
    _flip(folder / "corpus.h5", bit)
    try:
        with AudioCorpus.open(folder / "corpus.h5") as corpus:
            corpus.verify()
            found = _all_of(corpus)
    except RnnaudioError:
        return ""
    with AudioCorpus.open(source / "corpus.h5") as corpus:
        return "harmless" if _all_of(corpus) == found else "other content, not noticed"


def _all_of(corpus: AudioCorpus) -> list[object]:
    pieces = [(p.title, p.source, p.licence, p.split, p.read(0, p.n_samples).tobytes()) for p in corpus.pieces]
    return [corpus.mean, corpus.std, corpus.sample_rate_hz, *pieces]


def _flipped_checkpoint(folder: Path, bit: int) -> str:
    for path in (folder / "frames").glob("*previous*"):
        path.unlink()
    _flip(folder / "frames" / "checkpoint.safetensors", bit)
    try:
        SavedRun.read(folder / "frames")
    except RnnaudioError:
        return ""
    return "not noticed"
