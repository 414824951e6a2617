"""Phase retrieval from magnitudes: Griffin-Lim, offline and streaming; phase differences and their integration."""

from rnnaudio.audio.phase.differences import (
    Differences,
    magnitude_differences,
    phase_differences,
    wrapped,
)
from rnnaudio.audio.phase.gradient import PhaseGradient
from rnnaudio.audio.phase.griffin_lim import griffin_lim, starting_phases, with_phases
from rnnaudio.audio.phase.integration import PhasedFrame, PhaseIntegrator, integrated
from rnnaudio.audio.phase.online import OnlineGriffinLim, streamed

__all__ = [
    "Differences",
    "OnlineGriffinLim",
    "PhaseGradient",
    "PhaseIntegrator",
    "PhasedFrame",
    "griffin_lim",
    "integrated",
    "magnitude_differences",
    "phase_differences",
    "starting_phases",
    "streamed",
    "with_phases",
    "wrapped",
]
