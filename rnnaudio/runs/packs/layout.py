"""What a pack holds: the names of its files, its list of them, and the limits of sizes.

A pack is a zip file whose entries are stored, not compressed: parameters hardly shrink, and what is stored cannot
grow when it is read. Its entries are files of the names below, and files that the recipe names.
"""

from typing import Annotated, TypedDict

from rnnaudio.schema import Between

FORMAT = "rnnaudio-pack-1"
MANIFEST, README, SETTINGS, SUMMARY = "pack.json", "README.txt", "config.toml", "summary.json"
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
    """The list in ``pack.json``: format of the pack, name of the recipe, and the other files by name.

    For people it also has ``trained_by`` and ``packed_by`` (versions), ``corpus`` (which music) and ``prime``.
    """

    format: str
    recipe: str
    files: dict[str, FileEntry]
