"""Players of several sounds on a page, and their spectrograms on a common axis of time.

A cursor on this axis follows the playing position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rnnaudio.audio.clip import Clip, player
from rnnaudio.audio.ogg import as_ogg
from rnnaudio.markup import data_uri, escape, paragraphs
from rnnaudio.plots import Levels, Strip, levels_of, spectrogram_strips

PIXELS_PER_SECOND = 40
MOST_PIXELS = 12_000  # of the axis of time: minutes of sound are drawn closer
APART_PIXELS = 50  # least distance of two labels of time
STEPS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
N_KEYS = 9
MARKS = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "excellent"}  # the scale of ITU-T P.800


class Pressed(NamedTuple):
    """A sound as it is embedded in a page.

    ogg
        the sound, compressed to the contents of an Ogg Vorbis file.
    levels
        levels of its spectrogram.
    words, wav
        as in :class:`Clip`.
    """

    ogg: bytes
    levels: Levels
    words: str = ""
    wav: str = ""


def pressed(clip: Clip) -> Pressed:
    """Compress a clip and compute the levels of its spectrogram.

    The result takes some 5 kB per second of sound; the samples of a clip at 16 kHz take 64 kB per second.
    """
    levels = levels_of(clip.audio, clip.sample_rate_hz)
    return Pressed(as_ogg(clip.audio, clip.sample_rate_hz), levels, clip.words, clip.wav)


class Deck(NamedTuple):
    """Sounds to be compared, by name. Those that are :class:`Pressed` need little memory.

    prime_seconds: length of the prime with which all sounds begin, marked by a line; None: no line. highest_hz: upper
    edge of the spectrograms; None: half the highest sample rate. ballot: identifier of the page if listeners are to
    vote; empty: no votes. With a ballot, the page saves votes and identifier as JSON, and shows no spectrograms,
    because these would reveal which sound is which.
    """

    clips: Mapping[str, Clip | Pressed]
    prime_seconds: float | None = None
    highest_hz: float | None = None
    ballot: str = ""

    @property
    def scripts(self) -> list[str]:
        """File names of the scripts that the page needs."""
        return ["players.js", "saving.js", "votes.js"] if self.ballot else ["players.js"]


def players(deck: Deck) -> Iterator[str]:
    """Yield the HTML of the players of a deck, and of its spectrograms or its ballot, in parts.

    The page needs the scripts of the deck. Without scripts, the players work, but the spectrograms do not follow the
    sound, and votes cannot be saved.
    """
    clips = {name: clip if isinstance(clip, Pressed) else pressed(clip) for name, clip in deck.clips.items()}
    yield f'<section class="deck">\n<p>{escape(_how_to_read(deck))}</p>\n<div class="players">\n'
    for k, (name, clip) in enumerate(clips.items(), 1):
        yield _player(k, name, clip, bool(deck.ballot))
    yield "</div>\n"
    if deck.ballot:
        yield ballot(deck.ballot)
    else:
        yield from _spectrograms(deck, {name: clip.levels for name, clip in clips.items()})
    yield "</section>"


def _spectrograms(deck: Deck, levels: Mapping[str, Levels]) -> Iterator[str]:
    """Yield the HTML of the spectrograms of ``levels``, one below the other, on a common axis of time."""
    highest = deck.highest_hz or max(one.sample_rate_hz for one in levels.values()) / 2
    strips = spectrogram_strips(list(levels.values()), highest_hz=highest)
    seconds = max(max(strip.seconds for strip in strips), 1e-3)
    pixels = min(PIXELS_PER_SECOND * seconds, MOST_PIXELS)
    yield f"""<div class="strips">
<div class="pitch" aria-hidden="true">{"".join(_pitch(k, highest) for k in range(1, len(levels) + 1))}</div>
<div class="scroll" tabindex="0" role="group" aria-label="Spectrograms">
<div class="time" data-seconds="{seconds:.6g}" style="width:max(100%, {pixels:.0f}px)">
"""
    for name, strip in zip(levels, strips, strict=True):
        yield _lane(name, strip, seconds)
    yield f"""<div class="axis" aria-hidden="true">{_times(seconds, pixels)}</div>
{_prime(deck, seconds)}<div class="cursor"></div>
</div></div></div>
"""


def _prime(deck: Deck, seconds: float) -> str:
    if deck.prime_seconds is None:
        return ""
    return f'<div class="prime" style="left:{_share(deck.prime_seconds, seconds)}"></div>'


def _how_to_read(deck: Deck) -> str:
    n = min(len(deck.clips), N_KEYS)
    keys = f"1 to {n} choose the sound and keep the time, " if n > 1 else ""
    if deck.ballot:
        return f"Keys: space plays and pauses, {keys}the arrows move by 2 s."
    line = ", up to the dashed line all are the prime" if deck.prime_seconds is not None else ""
    return (
        f"Keys: space plays and pauses, {keys}the arrows move by 2 s. In the spectrograms time runs to the right, "
        f"pitch upwards, brighter is louder, over 80 dB{line}; a click goes there."
    )


def _player(number: int, name: str, clip: Pressed, is_voted_on: bool) -> str:
    key = f' <span class="quiet">key {number}</span>' if number <= N_KEYS else ""
    wav = f'<p><a href="{escape(clip.wav)}" download>{escape(clip.wav)}</a></p>' if clip.wav else ""
    return (
        f'<figure class="player"><figcaption><button class="choose" aria-pressed="false">'
        f"<strong>{escape(name)}</strong>{key}</button></figcaption>"
        f"{player(name, clip.ogg)}"
        f"{''.join(paragraphs(clip.words))}{wav}"
        f"{_vote(name) if is_voted_on else ''}</figure>\n"
    )


def _vote(name: str) -> str:
    one = f'<label><input type="radio" name="vote {escape(name)}" data-clip="{escape(name)}" value='
    marks = "".join(f'{one}"{mark}"> {word}</label>' for mark, word in MARKS.items())
    question = f"How good is {escape(name)}?"
    return f'<div class="votes"><fieldset><legend>{question}</legend>{marks}</fieldset></div>'


def ballot(page: str) -> str:
    """Make the HTML of a field for the listener's name and a button that saves the votes; needs ``saving.js``.

    page: identifier of the page, which is saved with the votes.
    """
    return (
        f'<p class="votes" data-page="{escape(page)}"><label>Your name or initials, if you like: '
        '<input type="text" id="voter" maxlength="60"></label> <button id="save-votes">Save the votes</button> '
        '<span id="saved" role="status"></span></p>\n'
    )


def _lane(name: str, strip: Strip, seconds: float) -> str:
    width = _share(strip.seconds, seconds)
    source = data_uri(strip.png, "image/png")
    return f'<div class="lane"><img alt="Spectrogram: {escape(name)}" style="width:{width}" src="{source}"></div>\n'


def _pitch(number: int, highest_hz: float) -> str:
    marks = ((0, f"{highest_hz / 1000:g} kHz"), (50, f"{highest_hz / 2000:g}"), (100, "0"))
    spans = (f'<span style="top:{top}%;transform:translateY(-{top}%)">{text}</span>' for top, text in marks)
    return f"<div><b>{number}</b>{''.join(spans)}</div>"


def _times(seconds: float, pixels: float) -> str:
    apart = APART_PIXELS * seconds / pixels
    step = next((step for step in STEPS_SECONDS if step >= apart), STEPS_SECONDS[-1])
    marks = (k * step for k in range(int(seconds / step) + 1))
    return "".join(f'<span style="left:{_share(mark, seconds)}">{mark:g} s</span>' for mark in marks)


def _share(of_seconds: float, seconds: float) -> str:
    return f"{100.0 * of_seconds / seconds:.4g}%"
