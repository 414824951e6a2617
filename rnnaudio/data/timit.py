"""Building of a corpus from a user's own copy of TIMIT (LDC93S1): search for its files, and its standard splits.

    DIR[/TIMIT]/TRAIN/DR1/FCJF0/SX37.WAV      part, dialect region, speaker, sentence; upper or lower case

The files are NIST SPHERE, 16 kHz, 16 bits, which the audio reader supports. The training split is TRAIN (3,696
utterances), the test split the core test set (192), the validation split the development set of 50 other speakers of
TEST (400). No split includes the two SA sentences, which every speaker reads.

Sources: J. S. Garofolo et al., DARPA TIMIT, NISTIR 4930 (1993), table of the core test set; A. K. Halberstadt, MIT
thesis (1998), the development set, as in the list of Kaldi's recipe (egs/timit/s5/conf/dev_spk.list).
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.audio.files import Decoder
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.data.corpus_summary import CorpusSummary
from rnnaudio.errors import RnnaudioError
from rnnaudio.text import visible

RATE_HZ = 16_000
_CORE_TEST = """
    MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0
    MBPM0 MKLT0 FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0"""
_DEVELOPMENT = """
    FAKS0 FDAC1 FJEM0 MGWT0 MJAR0 MMDB1 MMDM2 MPDF0 FCMH0 FKMS0 MBDG0 MBWM0 MCSH0 FADG0 FDMS0 FEDW0 MGJF0
    MGLB0 MRTK0 MTAA0 MTDT0 MTHC0 MWJG0 FNMR0 FREW0 FSEM0 MBNS0 MMJR0 MDLS0 MDLF0 MDVC0 MERS0 FMAH0 FDRW0
    MRCS0 MRJM4 FCAL1 MMWH0 FJSJ0 MAJC0 MJSW0 MREB0 FGJD0 FJMG0 MROA0 MTEB0 MJFC0 MRJR0 FMML0 MRWS1"""
CORE_TEST, DEVELOPMENT = frozenset(_CORE_TEST.split()), frozenset(_DEVELOPMENT.split())
WHOLE = {"train": 3696, "valid": 400, "test": 192}  # utterances of a complete copy
DIALECT, SPEAKER, SENTENCE = r"DR[1-8]", r"[FM][A-Z]{3}\d", r"S[AIX]\d+\.WAV"


class Utterance(NamedTuple):
    """A sentence read by a speaker, with its file."""

    part: str  # TRAIN or TEST
    speaker: str  # FCJF0
    sentence: str  # SX37
    path: Path

    @property
    def split(self) -> str | None:
        """The split: train, valid or test; None for SA sentences, and for speakers of TEST that no split includes."""
        if self.sentence.startswith("SA"):
            return None
        if self.part == "TRAIN":
            return "train"
        return "test" if self.speaker in CORE_TEST else "valid" if self.speaker in DEVELOPMENT else None


def find_utterances(folder: Path) -> list[Utterance]:
    """Find all utterances in a copy of TIMIT, sorted by part, speaker and sentence.

    RnnaudioError if there are none, or if the folder does not exist or has no subfolders TRAIN and TEST.
    """
    utterances = sorted(_walk(_root(Path(folder))))
    if not utterances:
        raise RnnaudioError(
            f"{folder}: TRAIN and TEST hold no file such as DR1/FCJF0/SX37.WAV: name the folder of an unpacked copy"
        )
    return utterances


def build_timit_corpus(folder: Path, out: Path, *, overwrite: bool = True, progress: bool = True) -> CorpusSummary:
    """Write the corpus file ``out`` from a copy of TIMIT in ``folder``, without trimming silence; returns its summary.

    The notes of the summary count missing utterances. Raises the errors of `find_utterances` and `build_corpus`, and
    RnnaudioError if a split is empty, or if a file is truncated, has a wrong length in its header, is compressed with
    shorten, or has a sample rate other than 16 kHz.
    """
    utterances = find_utterances(folder)
    notes = _notes(utterances, Path(folder))
    with Decoder() as decoder:
        recordings = [_recording(utterance, decoder) for utterance in utterances if utterance.split]
        summary = build_corpus(
            recordings, out, sample_rate_hz=RATE_HZ, cleaning=AS_IT_IS, overwrite=overwrite, progress=progress
        )
    return dataclasses.replace(summary, notes=(*summary.notes, *notes))


def _root(folder: Path) -> Path:
    """Return the folder that holds TRAIN and TEST: ``folder`` or its subfolder TIMIT; RnnaudioError if neither."""
    if not folder.is_dir():
        raise RnnaudioError(f"{folder}: no such folder; name the folder of your copy of TIMIT with TRAIN and TEST")
    for root in (folder, *_children(folder, "TIMIT")):
        if all(any(_children(root, part)) for part in ("TRAIN", "TEST")):
            return root
    raise RnnaudioError(
        f"{folder} holds no folders TRAIN and TEST, nor does a subfolder TIMIT; name the folder that holds them"
    )


def _walk(root: Path) -> Iterator[Utterance]:
    for part in ("TRAIN", "TEST"):
        for above in _children(root, part):
            for region in _children(above, DIALECT):
                for speaker in _children(region, SPEAKER):
                    for path in _children(speaker, SENTENCE):
                        yield Utterance(part, speaker.name.upper(), path.stem.upper(), path)


def _children(folder: Path, pattern: str) -> list[Path]:
    """List the entries of the folder whose whole names match the regular expression, ignoring case."""
    return [path for path in folder.iterdir() if re.fullmatch(pattern, path.name, re.IGNORECASE)]


def _notes(utterances: list[Utterance], folder: Path) -> list[str]:
    """Make a note that counts the utterances of an incomplete copy; returns it in a list, [] for a complete copy.

    RnnaudioError if a split is empty.
    """
    counts = Counter(utterance.split for utterance in utterances)
    speakers = {utterance.speaker for utterance in utterances if utterance.part == "TEST"}
    for split, origin in (
        ("train", "in TRAIN"),
        ("valid", f"of the 50 speakers of the development set ({_some(DEVELOPMENT)})"),
        ("test", f"of the 24 speakers of the core test set ({_some(CORE_TEST)})"),
    ):
        if not counts[split]:
            raise RnnaudioError(
                f"{folder}: no SI or SX sentence {origin}: the split {split} is empty; copy these folders too"
            )
    if all(counts[split] == n for split, n in WHOLE.items()):
        return []
    present = ", ".join(f"{split} {counts[split]} of {n}" for split, n in WHOLE.items())
    return [
        f"incomplete copy of TIMIT, utterances: {present}; core test set: {len(speakers & CORE_TEST)} of 24 "
        f"speakers, development set: {len(speakers & DEVELOPMENT)} of 50"
    ]


def _some(speakers: frozenset[str]) -> str:
    return f"{', '.join(sorted(speakers)[:3])}, ..."


def _recording(utterance: Utterance, decoder: Decoder) -> Recording:
    title = f"{utterance.speaker} {utterance.sentence}"
    licence = "TIMIT is the LDC's (LDC93S1): not to be redistributed"
    source = visible(utterance.path)
    return Recording(title, source, licence, utterance.split, partial(_read, decoder, utterance.path))


def _read(decoder: Decoder, path: Path) -> tuple[Audio, int]:
    audio, rate_hz = decoder.read(path)
    if rate_hz != RATE_HZ:
        raise RnnaudioError(f"{path}: {rate_hz} Hz, expected {RATE_HZ} Hz, the rate of TIMIT: use an original copy")
    return audio, rate_hz
