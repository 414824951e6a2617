"""Packs: zip files with all that is needed to play a run without its corpus, and to reproduce it."""

from rnnaudio.runs.packs.prime import packed_prime
from rnnaudio.runs.packs.reading import run_folder, shipped
from rnnaudio.runs.packs.writing import Form, pack

__all__ = ["Form", "pack", "packed_prime", "run_folder", "shipped"]
