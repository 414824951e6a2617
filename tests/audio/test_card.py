"""The sound card, with a stand-in for the package sounddevice: what is written, gaps, pauses, what can be missing."""

import numpy as np
import pytest

from rnnaudio.audio import card as module
from rnnaudio.audio.card import SoundCard
from rnnaudio.errors import RnnaudioError
from tests.support.sound_cards import FakeSoundDevice


@pytest.fixture
def package(monkeypatch):
    fake = FakeSoundDevice()
    monkeypatch.setattr(module, "sounddevice", fake, raising=False)
    monkeypatch.setattr(module, "MISSING", None)
    return fake


def test_samples_are_written_in_order_and_a_start_is_no_gap(package):
    """The stand-in says at each start, and at its fourth write, that it ran dry."""
    parts = [np.full(5, k / 10) for k in range(5)]
    with SoundCard(16000) as card:
        assert [card.write(part) for part in parts] == [False, False, False, True, False]
    (stream,) = package.streams
    np.testing.assert_array_equal(np.concatenate(stream.written), np.float32(np.concatenate(parts)))
    assert stream.log == ["start", "stop", "close"]


def test_a_pause_plays_what_is_left_and_the_next_write_starts_again(package):
    with SoundCard(8000, "Speak") as card:
        card.pause()  # before any sound there is nothing to stop
        assert [card.write(np.zeros(3)) for _ in range(2)] == [False, False]
        card.pause()
        card.pause()
        assert not card.write(np.zeros(3))
        card.pause()
    assert package.streams[0].log == ["start", "stop", "start", "stop", "close"]


def test_an_exception_ends_the_sound_at_once(package):
    with pytest.raises(KeyboardInterrupt), SoundCard(8000) as card:
        card.write(np.zeros(3))
        raise KeyboardInterrupt
    assert package.streams[0].log == ["start", "abort", "close"]


def test_a_card_that_fails_is_one_error(package):
    package.fails_after = 1
    failed = "the sound card failed: .*Device unavailable.*is it still there"
    with pytest.raises(RnnaudioError, match=failed), SoundCard(8000) as card:
        card.write(np.zeros(3))
        card.write(np.zeros(3))
    assert package.streams[0].log == ["start", "abort", "close"]


@pytest.mark.parametrize(
    ("rate", "device", "message"),
    [
        (44100, None, "cannot play on the default sound card at 44100 Hz: .*Invalid sample rate"),
        (8000, "Headphones", "cannot play on the sound card 'Headphones' at 8000 Hz: No output device matching"),
        (8000, 7, "sound card 7 at 8000 Hz.*`python -m sounddevice` lists what there is, choose with --device"),
    ],
)
def test_no_such_card(package, rate, device, message):
    with pytest.raises(RnnaudioError, match=message), SoundCard(rate, device):
        pass
    assert not package.streams


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (ModuleNotFoundError("No module named 'sounddevice'"), r"pip install 'rnnaudio\[play\]'"),
        (OSError("PortAudio library not found"), "library not found, which plays: install it .libportaudio2"),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch, missing, message):
    monkeypatch.setattr(module, "MISSING", missing)
    with pytest.raises(RnnaudioError, match=message):
        SoundCard(16000)
