"""A minute of piano music included in the package; ``piano/README.md`` lists its sources."""

import io
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import soundfile

from rnnaudio.audio.arrays import Audio
from rnnaudio.data.corpus_build import Recording, build_corpus


def embedded_recordings() -> list[Recording]:
    """The excerpts that come with the package, sorted by file name; train, valid and test are from different works.

    The split is the first word of the file name; title, source and licence are tags in the file.
    """
    flacs = [file for file in files("rnnaudio.data").joinpath("piano").iterdir() if file.name.endswith(".flac")]
    return [_recording(flac) for flac in sorted(flacs, key=lambda flac: flac.name)]


def build_demo_corpus(out: Path) -> Path:
    """Write the excerpts that come with the package to ``out``, as a corpus (16 kHz, int16, 62 s); returns the path.

    Raises RnnaudioError if the file cannot be written; see `build_corpus`.
    """
    return build_corpus(embedded_recordings(), Path(out), progress=False).path


def _recording(flac: Traversable) -> Recording:
    with soundfile.SoundFile(io.BytesIO(flac.read_bytes())) as file:
        return Recording(file.title, file.comment, file.license, flac.name.split("-")[0], _loader(flac))


def _loader(flac: Traversable) -> Callable[[], tuple[Audio, int]]:
    return lambda: soundfile.read(io.BytesIO(flac.read_bytes()), dtype="float32")
