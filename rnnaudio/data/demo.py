"""Piano music included in the package: a minute for examples and tests, and four and a half more for the demo.

``piano/README.md`` lists its sources.
"""

import io
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import soundfile

from rnnaudio.audio.arrays import Audio
from rnnaudio.data.corpus_build import Recording, build_corpus


def embedded_recordings(*, more: bool = False) -> list[Recording]:
    """List the excerpts included in the package, sorted by file name.

    The first word of the file name is the split; the excerpts of different splits are from different works. Title,
    source and licence are tags in the file. more: also list the longer excerpts on which the demo trains.
    """
    folder = files("rnnaudio.data").joinpath("piano")
    folders = [folder, folder.joinpath("more")] if more else [folder]
    flacs = [file for one in folders for file in one.iterdir() if file.name.endswith(".flac")]
    return [_recording(flac) for flac in sorted(flacs, key=lambda flac: flac.name)]


def build_demo_corpus(out: Path, *, more: bool = False) -> Path:
    """Write the excerpts included in the package to ``out``, as a corpus (16 kHz, int16); returns the path.

    more: see :func:`embedded_recordings`. The corpus holds 62 s of music, or 332 s with ``more``.

    RnnaudioError if the file cannot be written, see :func:`build_corpus`.
    """
    return build_corpus(embedded_recordings(more=more), Path(out), progress=False).path


def _recording(flac: Traversable) -> Recording:
    with soundfile.SoundFile(io.BytesIO(flac.read_bytes())) as file:
        return Recording(file.title, file.comment, file.license, flac.name.split("-")[0], _loader(flac))


def _loader(flac: Traversable) -> Callable[[], tuple[Audio, int]]:
    return lambda: soundfile.read(io.BytesIO(flac.read_bytes()), dtype="float32")
