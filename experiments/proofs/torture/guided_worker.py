"""A process that fuzzes one target, guided by coverage; it ends with a nonzero status at the first failure.

    python -m experiments.proofs.torture.guided_worker FOLDER TARGET KEPT WORK -runs=1000 ...

FOLDER has the toys. Inputs that reach new code are written to KEPT. WORK is an empty folder for the files to be read;
it is not removed, because libFuzzer ends the process without running Python's cleanup. The options are libFuzzer's.
"""

import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["rnnaudio"], enable_loader_override=False):
    from rnnaudio.decoder import checksums, flac
    from rnnaudio.decoder.mixing import Unusable
    from rnnaudio.errors import RnnaudioError
    from rnnaudio.runs.load import load
    from rnnaudio.runs.settings import chosen
    from rnnaudio.training import checkpoint

import soundfile

from experiments.proofs.torture import toys
from experiments.proofs.torture.mutation import mutated_record, mutated_text
from rnnaudio.audio import read_audio

RECIPES = ("frames", "codes", "samples")
Mutator = Callable[[bytes, int, int], bytes]


class Target:
    """A reader under test.

    :meth:`seeds` returns the first inputs, and :meth:`read` reads an input. ``mutated`` is a function (input, maximum
    length, seed) -> mutated input; None: libFuzzer's own mutations.
    """

    mutated: Mutator | None = None

    def __init__(self, source: Path, folder: Path):
        self.source, self.folder = source, folder

    def seeds(self) -> list[bytes]:
        """Valid inputs."""
        raise NotImplementedError

    def read(self, content: bytes) -> None:
        """Read an input; RnnaudioError or Unusable if it is refused."""
        raise NotImplementedError

    def file(self, name: str, content: bytes) -> Path:
        """Write a file; returns its path."""
        path = self.folder / name
        path.write_bytes(content)
        return path


class Record(Target):
    """The record of a checkpoint; an input is the first letter of a recipe's name, followed by JSON."""

    def __init__(self, source: Path, folder: Path):
        super().__init__(source, folder)
        self.saved = {}
        for name in RECIPES:
            shutil.copytree(source / name, folder / name)
            self.saved[name] = checkpoint.load(checkpoint.path_in(folder / name))

    def seeds(self) -> list[bytes]:
        return [
            name[:1].encode() + json.dumps({**saved.record, "history": saved.extent._asdict()}).encode()
            for name, saved in self.saved.items()
        ]

    def read(self, content: bytes) -> None:
        name = next((name for name in RECIPES if content[:1] == name[:1].encode()), "frames")
        path = checkpoint.path_in(self.folder / name)
        toys.write_checkpoint(path, self.saved[name].arrays, content[1:].decode(errors="replace"))
        load(self.folder / name)

    def mutated(self, content: bytes, most: int, seed: int) -> bytes:
        try:
            record: Any = json.loads(content[1:])
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not record:
            return atheris.Mutate(content, most)
        made = content[:1] + mutated_record(record, random.Random(seed)).encode(errors="replace")
        return made if len(made) <= most else atheris.Mutate(content, most)


class Settings(Target):
    """A file of settings."""

    def seeds(self) -> list[bytes]:
        return [(self.source / name / "config.toml").read_bytes() for name in RECIPES]

    def read(self, content: bytes) -> None:
        chosen(config=self.file("config.toml", content))

    def mutated(self, content: bytes, most: int, seed: int) -> bytes:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = ""
        made = mutated_text(text, random.Random(seed)) if text.strip() else b""
        return made if 0 < len(made) <= most else atheris.Mutate(content, most)


class Ogg(Target):
    """The checksums of the pages of an Ogg file, and the format that a file states."""

    ending, formats = "ogg", (("OGG", "VORBIS"), ("OGG", "OPUS"))

    def seeds(self) -> list[bytes]:
        audio, rate = read_audio(self.source / "sounds" / "0.wav")
        found = []
        for container, subtype in self.formats:
            path = self.folder / "seed"
            soundfile.write(path, audio[:800], rate, format=container, subtype=subtype)
            found.append(path.read_bytes())
        return found

    def read(self, content: bytes) -> None:
        path = str(self.file(f"sound.{self.ending}", content))
        checksums.format_without(path)
        checksums.require_intact(path)


class Flac(Ogg):
    """The reader of a FLAC file's header."""

    ending, formats = "flac", (("FLAC", "PCM_16"), ("FLAC", "PCM_24"))

    def read(self, content: bytes) -> None:
        super().read(content)
        with self.file("sound.flac", content).open("rb") as file:
            flac.stated_by(file)


TARGETS: dict[str, type[Target]] = {"record": Record, "settings": Settings, "ogg": Ogg, "flac": Flac}


def main() -> None:
    """Fuzz the target named on the command line."""
    source, name, kept, work, *options = sys.argv[1:]
    target = TARGETS[name](Path(source), Path(work))
    for k, seed in enumerate(target.seeds()):
        (Path(kept) / f"seed-{k}").write_bytes(seed)

    def test_one(content: bytes) -> None:
        try:
            target.read(content)
        except (RnnaudioError, Unusable) as error:
            assert "\n" not in str(error), "an error of several lines"

    further = {"custom_mutator": target.mutated} if target.mutated else {}
    atheris.Setup([sys.argv[0], *options, kept], test_one, **further)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
