"""Corpora, batches, codecs and data sets; nothing here depends on the engine or builds symbolic graphs."""

from rnnaudio.data.batches import (
    Batch,
    Batches,
    ConsecutiveWindows,
    FrameOffsets,
    RandomRuns,
    RandomWindows,
    ShiftedWindows,
    fixed_windows,
)
from rnnaudio.data.corpus import ArrayPiece, AudioCorpus, Piece, Split
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.data.corpus_edit import add_to_corpus, merge_corpora, remove_from_corpus, summary_of
from rnnaudio.data.corpus_splits import Splitting
from rnnaudio.data.corpus_summary import CorpusSummary, PieceSummary
from rnnaudio.data.images import ImageBatch, ImageBatches, binarised, checked_images, in_batches, nearest
from rnnaudio.data.mnist import Mnist, MnistSplit, fetch_mnist, load_mnist
from rnnaudio.data.patches import (
    PatchBatches,
    PatchScale,
    nearest_patches,
    patches_at,
    regular_patches,
    rows_of_patches,
    spectrograms,
)
from rnnaudio.data.phase_batches import PhaseBatch, PhaseBatches, PhaseContext, phase_batch
from rnnaudio.data.spectral_batches import MagnitudeFrames, SpectralFrames, spectra_of_hops, spectral_batch, steps_for
from rnnaudio.data.timit import build_timit_corpus

__all__ = [
    "ArrayPiece",
    "AudioCorpus",
    "Batch",
    "Batches",
    "ConsecutiveWindows",
    "CorpusSummary",
    "FrameOffsets",
    "ImageBatch",
    "ImageBatches",
    "MagnitudeFrames",
    "Mnist",
    "MnistSplit",
    "PatchBatches",
    "PatchScale",
    "PhaseBatch",
    "PhaseBatches",
    "PhaseContext",
    "Piece",
    "PieceSummary",
    "RandomRuns",
    "RandomWindows",
    "Recording",
    "ShiftedWindows",
    "SpectralFrames",
    "Split",
    "Splitting",
    "add_to_corpus",
    "binarised",
    "build_corpus",
    "build_timit_corpus",
    "checked_images",
    "fetch_mnist",
    "fixed_windows",
    "in_batches",
    "load_mnist",
    "merge_corpora",
    "nearest",
    "nearest_patches",
    "patches_at",
    "phase_batch",
    "regular_patches",
    "remove_from_corpus",
    "rows_of_patches",
    "spectra_of_hops",
    "spectral_batch",
    "spectrograms",
    "steps_for",
    "summary_of",
]
