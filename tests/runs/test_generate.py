"""What `generate` writes of a model whose output is known: primes, levels, parts, and what is left after Ctrl-C."""

import os
import re
import shlex
import shutil
import signal
import tracemalloc
import wave
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import soundfile

from rnnaudio.audio import Decoder, write_wav
from rnnaudio.data.corpus import Scale
from rnnaudio.decoder import decode
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import calibrate, in_range
from rnnaudio.runs import generate as module
from rnnaudio.runs import primes
from rnnaudio.runs.continuing import LoadedRun, Watch
from rnnaudio.runs.generate import generate
from rnnaudio.runs.primes import Primes
from tests.support.sounds import RATE_HZ, music

STD = 0.1  # of the corpus, by which samples are multiplied when they are written
RECORD = {"config": {"corpus": {"path": "", "sample_rate_hz": RATE_HZ, "mean": 0.0, "std": STD}}}


@dataclass(frozen=True)
class Known(LoadedRun):
    """Plays ``sound(start, stop)``, standardised samples, to each prime, in blocks of ``n_block``."""

    sound: Any = None
    n_block: int = 4000

    def blocks(self, primes, n_samples, sampling, *, at_once):
        for start in range(0, n_samples, self.n_block):
            yield np.stack([self.sound(start, min(start + self.n_block, n_samples)) for _ in primes])


def known(sound, **options):
    return Known(config=None, model=None, record=RECORD, sound=sound, **options)


def sine(amplitude):
    return lambda start, stop: amplitude * np.sin(2.0 * np.pi * 440.0 * np.arange(start, stop) / RATE_HZ) / STD


@pytest.fixture
def prime(tmp_path):
    """A file of three seconds: -20 dBFS of noise that differs from second to second."""
    audio = 0.1 * np.sign(np.random.default_rng(0).standard_normal(3 * RATE_HZ))
    audio -= audio.mean()
    write_wav(tmp_path / "prime.wav", audio, RATE_HZ)
    return tmp_path / "prime.wav"


@pytest.fixture
def play(monkeypatch, tmp_path):
    """``play(run, prime file, seconds)``: the sentence on what was written to x.wav."""

    def play(run, file, seconds, **primes):
        monkeypatch.setattr(module, "load", lambda _: run)
        out = tmp_path / "x.wav"
        return generate(tmp_path, out, primes=Primes(file, **primes), seconds=seconds, overwrite=True)

    return play


def samples(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        audio = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert path.stat().st_size == 44 + 2 * len(audio)
    return audio


def test_what_is_written_is_what_was_played_whatever_the_blocks(play, prime, tmp_path):
    expected = np.rint(32768.0 * 0.3 * np.sin(2.0 * np.pi * 440.0 * np.arange(2 * RATE_HZ) / RATE_HZ))
    for n_block in (333, 10**6):
        said = play(known(sine(0.3), n_block=n_block), prime, 2.0)
        audio = samples(tmp_path / "x.wav")
        np.testing.assert_array_equal(audio[:RATE_HZ], samples(prime)[:RATE_HZ])
        np.testing.assert_allclose(audio[RATE_HZ:], expected, atol=1)
        assert "1.00 s prime + 2.00 s generated" in said and "beyond" not in said


def test_peaks_are_limited_and_levels_that_differ_are_told(play, prime, tmp_path):
    """A sine of amplitude 2 after -20 dBFS: rms +3.0 dBFS. Halved, it keeps its form; where it begins it is softer."""
    said = play(known(sine(2.0)), prime, 2.0)
    audio = samples(tmp_path / "x.wav")[RATE_HZ:] / 32768.0
    later = slice(RATE_HZ // 5, -RATE_HZ // 5)
    np.testing.assert_allclose(audio[later], (STD * sine(1.0)(0, 2 * RATE_HZ))[later], atol=1e-4)
    assert "peaks beyond full scale limited, by 6.0 dB at most" in said
    assert "23.0 dB louder than the prime (rms 3.0 dBFS after -20.0 dBFS)" in said
    softer = play(known(sine(0.05)), prime, 2.0)
    assert "9.0 dB softer than the prime (rms -29.0 dBFS after -20.0 dBFS)" in softer and "beyond" not in softer
    assert "than the prime" not in play(known(sine(0.2)), prime, 2.0)  # 3 dB


def test_a_stream_that_is_no_longer_finite_ends_there(play, prime, tmp_path):
    def breaks(start, stop):
        audio = np.full(stop - start, 0.5)
        audio[max(0, 10_000 - start) :] = np.nan
        return audio

    said = play(known(breaks), prime, 2.0)
    assert "stopped early: not finite after 0.62 s" in said
    assert len(samples(tmp_path / "x.wav")) == RATE_HZ + 10_000


def test_an_hour_takes_no_more_memory_than_a_minute(play, prime, tmp_path):
    second = sine(0.3)(0, RATE_HZ).astype(np.float32)
    peaks = []
    for seconds in (60.0, 3600.0):
        tracemalloc.start()
        play(known(lambda start, stop: second[: stop - start], n_block=RATE_HZ), prime, seconds)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] and peaks[0] < 10e6
    assert (tmp_path / "x.wav").stat().st_size == 44 + 2 * 3601 * RATE_HZ


def test_what_was_played_before_ctrl_c_is_kept(play, prime, tmp_path):
    def interrupted(start, stop):
        if start == 8000:
            os.kill(os.getpid(), signal.SIGINT)
        return sine(0.3)(start, stop)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"1.00 s prime \+ 0.75 s generated.*--prime-start end"):
        play(known(interrupted), prime, 3600.0)
    audio = samples(tmp_path / "x.wav")
    assert len(audio) == RATE_HZ + 12_000
    np.testing.assert_allclose(audio[RATE_HZ:], 32768.0 * STD * sine(0.3)(0, 12_000), atol=1)
    assert signal.getsignal(signal.SIGINT) is before
    assert not list(tmp_path.glob(".*"))


def test_ctrl_c_in_the_last_block_is_no_interruption_for_nothing_is_missing(play, prime, tmp_path):
    def interrupted(start, stop):
        if stop == RATE_HZ:
            os.kill(os.getpid(), signal.SIGINT)
        return sine(0.3)(start, stop)

    assert "1.00 s prime + 1.00 s generated" in play(known(interrupted), prime, 1.0)
    assert len(samples(tmp_path / "x.wav")) == 2 * RATE_HZ


def test_each_of_several_streams_can_be_gone_on_with(monkeypatch, tmp_path):
    """The options as a shell takes them, although a folder has a space in its name."""

    played = []

    def interrupted(start, stop):
        if not played:
            os.kill(os.getpid(), signal.SIGINT)
        played.append(start)
        return sine(0.3)(start, stop)

    (tmp_path / "a run").mkdir()
    monkeypatch.setattr(module, "load", lambda _: known(interrupted))
    monkeypatch.setattr(Primes, "read", lambda *_: [sine(0.1)(0, RATE_HZ)] * 2)
    with pytest.raises(KeyboardInterrupt) as end:
        generate(tmp_path, tmp_path / "a run/x.wav", primes=Primes(streams=2), seconds=60.0)
    options = str(end.value).partition("to go on, one at a time: ")[2]
    expected = [["--prime-file", str(tmp_path / f"a run/x-{k}.wav"), "--prime-start", "end"] for k in (1, 2)]
    assert shlex.split(options) == [*expected[0], "or", *expected[1]]


def test_more_than_a_wav_holds_is_refused_before_the_work(play, prime, tmp_path, monkeypatch):
    def works(start, stop):
        raise AssertionError("it played")

    with pytest.raises(RnnaudioError, match=r"a WAV file holds 2147467625 at most \(37.3 hours\): ask for less"):
        play(known(works), prime, 40 * 3600.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(RnnaudioError, match=r"x.wav: 0.12 GB are needed, 0.00 GB are free"):
        play(known(works), prime, 3600.0)
    assert {path.name for path in tmp_path.iterdir()} == {"prime.wav"}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"seconds": 1e308}, "seconds is 1e+308; expected more than 0, and 1e+09 at most"),
        ({"seconds": 1e-9}, "no sample at"),
        ({"prime_seconds": 1e308}, "prime_seconds is 1e+308; expected"),
        ({"prime_seconds": 1e-320}, "no sample at"),
        ({"prime_start": -1e308}, "prime_start is -1e+308; expected a number of seconds, or end"),
        ({"out": "prime.wav", "overwrite": True}, "is the file to continue"),
        ({"out": "link.wav", "overwrite": True}, "is the file to continue"),
    ],
)
def test_lengths_beyond_any_use_and_the_prime_as_output_are_refused(monkeypatch, prime, tmp_path, options, words):
    monkeypatch.setattr("rnnaudio.runs.generate.load", lambda _: known(sine(0.3)))
    (tmp_path / "link.wav").hardlink_to(prime)
    before = prime.read_bytes()
    primes = Primes(prime, options.pop("prime_seconds", 1.0), start=options.pop("prime_start", 0.0))
    out = prime.with_name(options.pop("out", "new.wav"))
    with pytest.raises(RnnaudioError, match=re.escape(words)):
        generate(tmp_path / "run", out, primes=primes, **{"seconds": 1.0, **options})
    assert prime.read_bytes() == before and not (tmp_path / "new.wav").exists()


def test_a_prime_begins_where_it_is_told(play, prime, tmp_path, capsys):
    whole, run = samples(prime), known(sine(0.1))
    for start, first in ((0.5, 0.5), (2.0, 2.0), (-3.0, 0.0), (-1.25, 1.75), ("end", 2.0)):
        play(run, prime, 0.1, start=start)
        audio = samples(tmp_path / "x.wav")[:RATE_HZ]
        np.testing.assert_array_equal(audio, whole[round(first * RATE_HZ) :][:RATE_HZ])
    for start in (2.5, -0.5, -3.5):
        with pytest.raises(RnnaudioError, match=f"--prime-start {start:g} .*: expected -3.000 to 2.000, or end"):
            play(run, prime, 0.1, start=start)
    for start, message in ((float("nan"), "prime_start is nan"), (float("inf"), "prime_start is inf")):
        with pytest.raises(RnnaudioError, match=message):
            play(run, prime, 0.1, start=start)
    with pytest.raises(RnnaudioError, match="--prime-start 1.0 is a place in a file, and there is none"):
        play(run, None, 0.1, start=1.0)
    assert not capsys.readouterr().err


def test_of_a_long_file_only_the_surroundings_of_the_prime_are_read(play, tmp_path, capsys, monkeypatch):
    """Hours of FLAC in small: as by reading all of it, where a constant offset is the same everywhere."""
    audio = 0.1 * np.sign(np.random.default_rng(3).standard_normal(20 * RATE_HZ))
    soundfile.write(tmp_path / "long.x", audio - audio.mean() + 0.25, RATE_HZ, format="FLAC")
    run, n_read, decode, written = known(sine(0.1)), [], Decoder.decode, {}

    def counted(self, *arguments, **more):
        decoded = decode(self, *arguments, **more)
        n_read.append(len(decoded.audio))
        return decoded

    monkeypatch.setattr(Decoder, "decode", counted)
    monkeypatch.setattr(primes, "MARGIN_SECONDS", 2.0)
    for long_seconds in (600.0, 10.0):
        monkeypatch.setattr(primes, "LONG_SECONDS", long_seconds)
        for start in (7.3, -19.5, "end"):
            play(run, tmp_path / "long.x", 0.1, start=start)
            written.setdefault(start, []).append(samples(tmp_path / "x.wav")[:RATE_HZ].astype(int))
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 3 and all("a constant offset (DC) of 0.2" in line for line in said)
    assert n_read[:3] == [20 * RATE_HZ] * 3 and max(n_read[3:]) <= 6 * RATE_HZ
    for whole, part in written.values():
        assert np.abs(whole - part).max() < 0.01 * 32768 and np.std(whole - part) < 1.0
    with pytest.raises(RnnaudioError, match=r"--prime-start 19.5 .*: expected -20.000 to 19.000, or end"):
        play(run, tmp_path / "long.x", 0.1, start=19.5)


def test_a_long_file_that_can_only_be_read_as_a_whole_is_refused(monkeypatch, tmp_path):
    """MP3; an hour is the most, here 5 s."""
    soundfile.write(tmp_path / "x.mp3", 0.1 * sine(1.0)(0, 10 * RATE_HZ) * STD, RATE_HZ, format="MP3")
    whole = decode.decode(str(tmp_path / "x.mp3"), None, (2.0, 3.0))
    assert not whole.is_part and sum(map(len, whole.blocks)) > 9 * RATE_HZ
    monkeypatch.setattr(decode, "MOST_WHOLE_SECONDS", 5.0)
    with pytest.raises(decode.Unusable, match=r"0.0 hours of a format that can only be read as a whole"):
        decode.decode(str(tmp_path / "x.mp3"), None, (2.0, 3.0))


def test_a_continuation_is_gone_on_with(play, prime, tmp_path):
    play(known(sine(0.1)), prime, 1.5)
    os.replace(tmp_path / "x.wav", tmp_path / "first.wav")
    play(known(sine(0.1)), tmp_path / "first.wav", 1.0, start="end")
    np.testing.assert_array_equal(samples(tmp_path / "x.wav")[:RATE_HZ], samples(tmp_path / "first.wav")[-RATE_HZ:])


def test_what_was_corrected_in_the_file_of_a_prime_is_told(play, prime, tmp_path, capsys):
    """A constant offset of .3, as in a corpus; a header that states more than there is."""
    audio = samples(prime) / 32768.0
    write_wav(tmp_path / "offset.wav", audio + 0.3, RATE_HZ)
    play(known(sine(0.1)), tmp_path / "offset.wav", 0.1)
    assert "offset.wav: a constant offset (DC) of 0.300 was subtracted" in capsys.readouterr().err
    np.testing.assert_allclose(samples(tmp_path / "x.wav")[:RATE_HZ] / 32768.0, audio[:RATE_HZ], atol=2e-4)
    (tmp_path / "cut.wav").write_bytes(prime.read_bytes()[: 44 + 2 * 2 * RATE_HZ])
    play(known(sine(0.1)), tmp_path / "cut.wav", 0.1, start="end")
    assert "cut.wav: truncated: " in capsys.readouterr().err
    np.testing.assert_array_equal(samples(tmp_path / "x.wav")[:RATE_HZ], samples(prime)[RATE_HZ : 2 * RATE_HZ])


def test_a_watch_that_forgets_dates_a_death_like_one_that_does_not(monkeypatch):
    """30 s of music, then silence, with 15 s kept: dated as on all of it by `in_range`."""
    monkeypatch.setattr("rnnaudio.runs.continuing.KEPT_SECONDS", 15.0)
    limits = calibrate([music(10.0, seed) for seed in range(3)], RATE_HZ)
    audio = np.concatenate([music(10.0, seed) for seed in range(3)] + [np.zeros(12 * RATE_HZ)])
    watch, n_pushed = Watch(limits, Scale(0.0, 1.0)), 0
    for start in range(0, len(audio), 3000):
        n_pushed = start + len(audio[start : start + 3000])
        if death := watch.push(audio[start : start + 3000]):
            break
    expected = in_range(audio[:n_pushed], RATE_HZ, limits).dead_from_s
    assert 29.0 <= expected <= 31.5 and death.startswith("fell silent") and f"from {expected:.1f} s on" in death
