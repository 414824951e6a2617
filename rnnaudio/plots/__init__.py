"""The pictures of a run: plain numbers in, a PNG out.

Every public function writes one PNG whole or not at all and returns its path; the ``*_figure`` function beside it
makes the same picture as a matplotlib ``Figure`` that can be looked at without a file. pyplot is never imported and no
global setting of matplotlib is read on purpose or changed, so a user's own plots in the same process are left alone.

Values that are not finite are drawn as gaps and said so. Colours: Okabe and Ito's set, safe for colour-blind readers.
"""

from rnnaudio.plots.curves import learning_curve, learning_curve_figure
from rnnaudio.plots.diagnosis import confusion, confusion_figure, diagnosis, diagnosis_figure
from rnnaudio.plots.inside import (
    gradient_norms,
    gradient_norms_figure,
    saturation,
    saturation_figure,
    update_ratios,
    update_ratios_figure,
)
from rnnaudio.plots.painting import Rulers, beside_nearest, beside_nearest_figure, filling, filling_figure
from rnnaudio.plots.record import against_record, against_record_figure
from rnnaudio.plots.sound import (
    level_dbfs,
    spectrogram,
    spectrogram_dbfs,
    spectrogram_figure,
    spectrogram_sheet,
    spectrogram_sheet_figure,
)
from rnnaudio.plots.spectra import (
    Angles,
    error_by_horizon,
    error_by_horizon_figure,
    methods,
    methods_figure,
    spectral_panels,
    spectral_panels_figure,
)
from rnnaudio.plots.speed import growth, growth_figure, speed_ratios, speed_ratios_figure

__all__ = [
    "Angles",
    "Rulers",
    "against_record",
    "against_record_figure",
    "beside_nearest",
    "beside_nearest_figure",
    "confusion",
    "confusion_figure",
    "diagnosis",
    "diagnosis_figure",
    "error_by_horizon",
    "error_by_horizon_figure",
    "filling",
    "filling_figure",
    "gradient_norms",
    "gradient_norms_figure",
    "growth",
    "growth_figure",
    "learning_curve",
    "learning_curve_figure",
    "level_dbfs",
    "methods",
    "methods_figure",
    "saturation",
    "saturation_figure",
    "spectral_panels",
    "spectral_panels_figure",
    "spectrogram",
    "spectrogram_dbfs",
    "spectrogram_figure",
    "spectrogram_sheet",
    "spectrogram_sheet_figure",
    "speed_ratios",
    "speed_ratios_figure",
    "update_ratios",
    "update_ratios_figure",
]
