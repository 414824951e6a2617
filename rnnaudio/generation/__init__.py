"""Generation: prime on a seed, then free-run."""

from rnnaudio.generation.generate import Generated, generate, generate_streams
from rnnaudio.generation.stepper import Stepper

__all__ = ["Generated", "Stepper", "generate", "generate_streams"]
