"""Generation: prime on a seed, then free-run."""

from rnnaudio.generation.generate import Generated, Stepper, generate

__all__ = ["Generated", "Stepper", "generate"]
