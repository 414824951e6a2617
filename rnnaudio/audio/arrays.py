"""Names for the NumPy arrays that the package passes around: what they hold, and along which axes.

Sequences run along the first axis: (time, batch, feature). A name states the kind of number; docstrings add shape,
unit and, where needed, the exact dtype.
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
Codes: TypeAlias = NDArray[np.integer]  # codes or levels, (..., n_frames, n_stages) or (..., n_samples)
Images: TypeAlias = NDArray[np.floating]  # (n, n_pixels), row by row
