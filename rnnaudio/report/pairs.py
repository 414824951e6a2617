"""Page for a listening test with pairs of sounds.

The page shows one pair at a time, and the listener votes for the sound of the pair that is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rnnaudio.atomic import write_atomically
from rnnaudio.audio.clip import Clip
from rnnaudio.audio.ogg import as_ogg
from rnnaudio.markup import data_uri, escape, paragraphs
from rnnaudio.report.frame import page
from rnnaudio.report.players import ballot

SCRIPTS = ("saving.js", "pairs.js")
A, B, TIE = "A", "B", "tie"  # votes, as the page saves them
KEYS = (
    "Keys: 1 and 2 play A and B, space pauses and plays, the arrows move by 2 s; a and b vote for the better sound, t "
    "for a tie, Backspace goes back."
)


class PairOfClips(NamedTuple):
    """Two sounds of about the same length and loudness."""

    a: Clip
    b: Clip


def write_pairs(path: Path, *, title: str, summary: str, pairs: Sequence[PairOfClips], identifier: str) -> Path:
    """Write a page with a listening test of pairs to ``path``, atomically, and return the path.

    title, summary: plain text, shown above the test. identifier: identifies the page in the file of votes. The page
    saves this file as JSON: the identifier, the name of the listener, and for each pair, by its number from "1", the
    vote A, B or tie. The page does not name the sounds. Without scripts it shows only a remark that it needs them.
    Raises RnnaudioError if the page cannot be written.
    """
    body = [f"<h1>{escape(title)}</h1>", *paragraphs(summary), _test(pairs, identifier)]
    return write_atomically(path, (part.encode() for part in page(title, ["\n".join(body)], SCRIPTS)))


def _test(pairs: Sequence[PairOfClips], identifier: str) -> str:
    n = len(pairs)
    return f"""<noscript><p class="missing">This page needs scripts: allow them for this file.</p></noscript>
<section class="test" aria-label="Listening test">
<p><label for="progress"><span id="where" role="status">Pair 1 of {n}</span></label>
<progress id="progress" max="{n}" value="0">0 of {n}</progress></p>
<div class="sides">
{_side(A, 1)}{_side(B, 2)}</div>
<p><label class="place">Place, in seconds <input type="range" id="place" min="0" max="1" step="0.1" value="0"></label>
</p>
<div class="sides three" role="group" aria-label="Which sounds better?">
{_vote(A, "A is better", "a")}{_vote(TIE, "Equally good", "t")}{_vote(B, "B is better", "b")}</div>
<p><button id="back" disabled>Back</button> <span id="hint" role="status"></span></p>
<p class="quiet">{escape(KEYS)}</p>
{"".join(map(_pair, pairs))}{ballot(identifier)}</section>"""


def _side(name: str, key: int) -> str:
    return (
        f'<button class="choose side" data-side="{name}" aria-pressed="false" aria-keyshortcuts="{key}" '
        f'aria-label="Play {name}"><strong>{name}</strong> <span class="quiet">play</span></button>'
        f'<audio data-side="{name}" preload="auto" aria-label="Sound {name}"></audio>\n'
    )


def _vote(value: str, words: str, key: str) -> str:
    return (
        f'<button class="vote" data-vote="{value}" aria-pressed="false" aria-keyshortcuts="{key}" disabled>'
        f"{words}</button>\n"
    )


def _pair(pair: PairOfClips) -> str:
    a, b = (data_uri(as_ogg(clip.audio, clip.sample_rate_hz), "audio/ogg") for clip in pair)
    return f'<div class="pair" hidden data-a="{a}" data-b="{b}"></div>\n'
