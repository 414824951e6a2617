"""Audio files, corpora, batches and MNIST: NumPy and h5py only, nothing of the engine."""

from rnnaudio.data.audio import Decoder, read_audio, resample, trim_silence, write_wav
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
from rnnaudio.data.scaling import (
    LogScale,
    MelScale,
    SpectralFrames,
    spectra_of_hops,
    spectral_batch,
    steps_for,
)
from rnnaudio.data.spectra import Magnitudes, MagnitudeScale
from rnnaudio.data.stft import STFT
from rnnaudio.data.timit import build_timit_corpus

__all__ = [
    "STFT",
    "ArrayPiece",
    "AudioCorpus",
    "Batch",
    "Batches",
    "ConsecutiveWindows",
    "CorpusSummary",
    "Decoder",
    "FrameOffsets",
    "ImageBatch",
    "ImageBatches",
    "LogScale",
    "MagnitudeScale",
    "Magnitudes",
    "MelScale",
    "Mnist",
    "MnistSplit",
    "PatchBatches",
    "PatchScale",
    "Piece",
    "PieceSummary",
    "RandomRuns",
    "RandomWindows",
    "Recording",
    "ShiftedWindows",
    "SpectralFrames",
    "Split",
    "binarised",
    "build_corpus",
    "build_timit_corpus",
    "checked_images",
    "fetch_mnist",
    "fixed_windows",
    "in_batches",
    "load_mnist",
    "nearest",
    "nearest_patches",
    "patches_at",
    "read_audio",
    "regular_patches",
    "resample",
    "rows_of_patches",
    "spectra_of_hops",
    "spectral_batch",
    "spectrograms",
    "steps_for",
    "trim_silence",
    "write_wav",
]
