"""Phase from magnitudes: iterations in bulk and in a stream, differences and their integration."""

from rnnaudio.phase.differences import (
    Differences,
    magnitude_differences,
    phase_differences,
    wrapped,
)
from rnnaudio.phase.gradient import PhaseGradient
from rnnaudio.phase.griffin_lim import griffin_lim, starting_phases, with_phases
from rnnaudio.phase.integration import PhaseIntegrator, Settled, integrated
from rnnaudio.phase.learning import Hearing, PhaseBatch, PhaseBatches, phase_batch
from rnnaudio.phase.online import OnlineGriffinLim, streamed

__all__ = [
    "Differences",
    "Hearing",
    "OnlineGriffinLim",
    "PhaseBatch",
    "PhaseBatches",
    "PhaseGradient",
    "PhaseIntegrator",
    "Settled",
    "griffin_lim",
    "integrated",
    "magnitude_differences",
    "phase_batch",
    "phase_differences",
    "starting_phases",
    "streamed",
    "with_phases",
    "wrapped",
]
