"""Writing of the page of a listening test and of its key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnaudio.atomic import replacing
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.loudness import at_loudness, loudness_lufs
from rnnaudio.records import Record
from rnnaudio.report.pairs import PairOfClips, write_pairs
from rnnaudio.runs.listening.pairs import Pair
from rnnaudio.runs.listening.sounds import Excerpt
from rnnaudio.text import visible

FADE_SECONDS = 0.01  # where an excerpt is cut, so that it does not click
UNEQUAL_DB = 1.0  # a difference in loudness that is worth a note
TITLE = "Which sounds better?"
ABOUT = (
    "Listen to A and B, as often as you like, and say which sounds better. Both are about equally loud, and changing "
    "from one to the other keeps the time. There is no right answer. At the end save your votes, and send the file "
    "back to whoever gave you this page: nothing leaves it by itself."
)


class Test(NamedTuple):
    """A listening test: pairs in order, excerpts by condition and name, and the seed that chose the pairs."""

    pairs: Sequence[Pair]
    excerpts: Mapping[str, Mapping[str, Excerpt]]
    seed: int


def write_test(out: Path, key: Path, test: Test) -> list[str]:
    """Write the page and its key, both or neither; return remarks on sounds that cannot be made as loud as the others.

    All sounds are brought to the median loudness, with a gain of 12 dB at most. The key holds condition, name and file
    of each sound. RnnaudioError if page or key cannot be written.
    """
    cut = [_cut(*(test.excerpts[side.condition][side.sound] for side in pair)) for pair in test.pairs]
    loud = [loudness_lufs(one.audio, one.sample_rate_hz) for both in cut for one in both]
    target = float(np.median([value for value in loud if np.isfinite(value)] or [-np.inf]))
    clips = [PairOfClips(*(_clip(one, target) for one in both)) for both in cut]
    content = _key(test, cut)
    with replacing(key) as place:
        place.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_pairs(out, title=TITLE, summary=ABOUT, pairs=clips, identifier=content["page"])
    files = [one.file for both in cut for one in both]
    levels = {file: loudness for file, loudness in zip(files, _levels(clips), strict=True)}
    return [
        f"{visible(file)} is {'silent' if not np.isfinite(value) else f'{abs(value - target):.1f} dB off'}: it cannot "
        "be made as loud as the others"
        for file, value in levels.items()
        if not abs(value - target) <= UNEQUAL_DB
    ]


def _levels(clips: Sequence[PairOfClips]) -> list[float]:
    return [loudness_lufs(clip.audio, clip.sample_rate_hz) for pair in clips for clip in pair]


def _cut(a: Excerpt, b: Excerpt) -> tuple[Excerpt, Excerpt]:
    """Cut two excerpts to the length of the shorter one, and fade their ends so that they do not click."""
    seconds = min(a.seconds, b.seconds)
    return _faded(a, seconds), _faded(b, seconds)


def _faded(excerpt: Excerpt, seconds: float) -> Excerpt:
    rate = excerpt.sample_rate_hz
    audio = np.array(excerpt.audio[: round(seconds * rate)], np.float32)
    ramp = np.linspace(0.0, 1.0, max(1, round(FADE_SECONDS * rate)), dtype=np.float32)
    audio[: len(ramp)] *= ramp
    audio[-len(ramp) :] *= ramp[::-1]
    return excerpt._replace(audio=audio)


def _clip(excerpt: Excerpt, target_lufs: float) -> Clip:
    audio, _ = at_loudness(excerpt.audio, excerpt.sample_rate_hz, target_lufs)
    return Clip(audio, excerpt.sample_rate_hz)


def _key(test: Test, cut: Sequence[tuple[Excerpt, Excerpt]]) -> Record:
    """Make the content of the key; ``page`` is a digest that identifies the seed, the pairs and the sounds."""
    pairs = {
        str(number): {
            side: {"condition": of.condition, "sound": of.sound, "file": excerpt.file}
            for side, of, excerpt in zip("AB", pair, both, strict=True)
        }
        for number, (pair, both) in enumerate(zip(test.pairs, cut, strict=True), 1)
    }
    digest = hashlib.sha256(json.dumps([test.seed, pairs]).encode())
    for excerpt in (excerpt for both in cut for excerpt in both):
        digest.update(_bytes(excerpt.audio))
    return {"page": digest.hexdigest()[:16], "seed": test.seed, "pairs": pairs}


def _bytes(audio: Audio) -> bytes:
    return np.ascontiguousarray(audio, "<f4").tobytes()
