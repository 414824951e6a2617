"""Generation: prime a model on audio, then run it on its own outputs."""

from rnnaudio.generation.frames import continue_frames
from rnnaudio.generation.generate import Generated, OutputNoise, continued_blocks, generate, generate_streams
from rnnaudio.generation.learnt_phase import LearntPhase, learnt_phases
from rnnaudio.generation.stepper import Stepper

__all__ = [
    "Generated",
    "LearntPhase",
    "OutputNoise",
    "Stepper",
    "continue_frames",
    "continued_blocks",
    "generate",
    "generate_streams",
    "learnt_phases",
]
