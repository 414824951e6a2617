"""Kinds of recordings in a folder, by their names: the readings of LibriSpeech make one corpus of speech."""

import re

READING = re.compile(r"\d+-\d+-\d{4}")


def is_speech(stem: str) -> bool:
    """Return whether a file is a reading of LibriSpeech, by its name without suffix: speaker-chapter-number."""
    return READING.fullmatch(stem) is not None
