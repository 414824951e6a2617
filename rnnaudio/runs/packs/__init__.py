"""Packs: one zip file with what is needed to play a run and to reproduce it, for somebody who has no corpus."""

from rnnaudio.runs.packs.prime import packed_prime
from rnnaudio.runs.packs.reading import run_folder
from rnnaudio.runs.packs.writing import pack

__all__ = ["pack", "packed_prime", "run_folder"]
