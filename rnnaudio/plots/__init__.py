"""Plots of runs and measurements, made from plain numbers and written as PNG files.

A function whose name ends in ``_figure`` returns a plot as a matplotlib ``Figure``; the function of the same name
without this ending writes the plot as a PNG, atomically, and returns the path. ``rendered`` draws a figure in memory.
pyplot is never imported, and global settings of matplotlib are neither read nor changed, so that other plots in the
same process are not affected.

Values that are not finite appear as gaps, which are noted in the plot. Colours: Okabe and Ito's colour-blind safe set.
"""

from rnnaudio.plots.canvas import rendered
from rnnaudio.plots.curves import compared_curves_figure, learning_curve, learning_curve_figure
from rnnaudio.plots.diagnosis import confusion, confusion_figure, diagnosis, diagnosis_figure
from rnnaudio.plots.inside import (
    gradient_norms,
    gradient_norms_figure,
    saturation,
    saturation_figure,
    update_ratios,
    update_ratios_figure,
)
from rnnaudio.plots.painting import Rulers, beside_nearest, beside_nearest_figure, canvas_steps, canvas_steps_figure
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
from rnnaudio.plots.speed import growth, growth_figure, soak, soak_figure, speed_ratios, speed_ratios_figure
from rnnaudio.plots.strip import Levels, Strip, levels_of, spectrogram_strips
from rnnaudio.plots.sweep import (
    Coordinate,
    importances,
    importances_figure,
    objective_history,
    objective_history_figure,
    parallel_coordinates,
    parallel_coordinates_figure,
)
from rnnaudio.plots.widths import Drawn, drawn, for_page, narrow_path

__all__ = [
    "Angles",
    "Coordinate",
    "Drawn",
    "Levels",
    "Rulers",
    "Strip",
    "against_record",
    "against_record_figure",
    "beside_nearest",
    "beside_nearest_figure",
    "canvas_steps",
    "canvas_steps_figure",
    "compared_curves_figure",
    "confusion",
    "confusion_figure",
    "diagnosis",
    "diagnosis_figure",
    "drawn",
    "error_by_horizon",
    "error_by_horizon_figure",
    "for_page",
    "gradient_norms",
    "gradient_norms_figure",
    "growth",
    "growth_figure",
    "importances",
    "importances_figure",
    "learning_curve",
    "learning_curve_figure",
    "level_dbfs",
    "levels_of",
    "methods",
    "methods_figure",
    "narrow_path",
    "objective_history",
    "objective_history_figure",
    "parallel_coordinates",
    "parallel_coordinates_figure",
    "rendered",
    "saturation",
    "saturation_figure",
    "soak",
    "soak_figure",
    "spectral_panels",
    "spectral_panels_figure",
    "spectrogram",
    "spectrogram_dbfs",
    "spectrogram_figure",
    "spectrogram_sheet",
    "spectrogram_sheet_figure",
    "spectrogram_strips",
    "speed_ratios",
    "speed_ratios_figure",
    "update_ratios",
    "update_ratios_figure",
]
