"""Type aliases for NumPy arrays, named after their contents; comments give the axes where these are fixed.

Batches of sequences have the axes (time, batch, feature). The aliases state the kind of number only; docstrings add
shape, unit and, where needed, the exact dtype.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # numbers of any kind
Floats: TypeAlias = NDArray[np.floating]
Whole: TypeAlias = NDArray[np.integer]  # counts, indices, positions
Flags: TypeAlias = NDArray[np.bool_]

Audio: TypeAlias = NDArray[np.floating]  # (n_samples,), or (n_streams, n_samples)
Frames: TypeAlias = NDArray[np.floating]  # adjoining frames of samples or features, (time, batch, n) or (n_frames, n)
Spectra: TypeAlias = NDArray[np.complexfloating]  # (..., n_frames, n_bins)
Magnitudes: TypeAlias = NDArray[np.floating]  # |X|, (..., n_bins), not negative
Phases: TypeAlias = NDArray[np.floating]  # angles or their differences, (..., n_bins), radians
Features: TypeAlias = NDArray[np.floating]  # scaled values that a model takes or predicts, (..., n_features)
Codes: TypeAlias = NDArray[np.integer]  # codes (..., n_frames, n_stages), or quantisation levels (..., n_samples)
Images: TypeAlias = NDArray[np.floating]  # (n_images, n_pixels), the pixels of each image row by row
