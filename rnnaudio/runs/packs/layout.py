"""Contents of a pack: names of its files, format of its list of files, and limits on sizes.

A pack is a zip file whose entries are stored, not compressed: parameters hardly shrink, and a stored entry cannot
expand when it is read. Its entries are the files named below, and those that the recipe names.
"""

from typing import Annotated, TypedDict

from rnnaudio.schema import Between

FORMAT = "rnnaudio-pack-1"
MANIFEST, README, SETTINGS, SUMMARY = "pack.json", "README.txt", "config.toml", "summary.json"
LICENCES = "LICENCES.txt"
PRIME = "prime.safetensors"
MOST_BYTES = 2**31 - 1  # of a pack: beyond, zip files have another layout
MOST_FILES, MOST_MANIFEST_BYTES = 32, 100_000
START = b"PK\x03\x04"  # of a zip file that is not empty
DATE = (1980, 1, 1, 0, 0, 0)  # of each entry: the first that a zip file can state


class FileEntry(TypedDict):
    """A file of a pack: the SHA-256 of its content in hexadecimal, and its length in bytes."""

    sha256: str
    bytes: Annotated[int, Between(0, MOST_BYTES)]


class Manifest(TypedDict):
    """The content of ``pack.json``: format of the pack, name of the recipe, and the other files by name.

    The file also has entries for people to read: ``trained_by`` and ``packed_by`` (software and its versions),
    ``corpus`` (the music of the training) and ``prime`` (length and origin of the prime).
    """

    format: str
    recipe: str
    files: dict[str, FileEntry]
