"""Generation: prime on a seed, then free-run."""

from rnnaudio.generation.generate import Generated, OutputNoise, generate, generate_streams
from rnnaudio.generation.stepper import Stepper

__all__ = ["Generated", "OutputNoise", "Stepper", "generate", "generate_streams"]
