"""What reaches the sound card, what keys do to it, how it ends; the card is one of tests/support/sound_cards.py."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnaudio.audio import card as card_module
from rnnaudio.audio import write_wav
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import play as module
from rnnaudio.runs.continuing import AS_TRAINED, LoadedRun, SamplingOptions
from rnnaudio.runs.load import load
from rnnaudio.runs.play import Dial, joined, play
from rnnaudio.runs.primes import Primes
from tests.support.sound_cards import FakeCard, FakeKeys, FakeSoundDevice

OLD = Path(__file__).parents[1] / "support" / "old_runs"
RATE_HZ = 8000
RECORD = {"config": {"corpus": {"path": "", "sample_rate_hz": RATE_HZ, "mean": 0.0, "std": 0.1}}}
N_BLOCK = 80  # samples of a block; a look for keys is every 400
SECOND = RATE_HZ


@dataclass(frozen=True)
class Known(LoadedRun):
    """Plays ``sound(start, stop)``; ``seen`` gets the temperature of each block; None: it samples nothing."""

    sound: Any = None
    seen: Any = None
    own: Any = 1.0

    @property
    def temperature(self):
        return self.own

    def blocks(self, primes, n_samples, sampling, *, at_once):
        assert at_once
        schedule = sampling.schedule(self.own or 1.0)
        for start in range(0, n_samples, N_BLOCK):
            if self.seen is not None:
                self.seen.append(schedule.at(start / n_samples))
            yield self.sound(start, min(start + N_BLOCK, n_samples))[None]


def quiet(start, stop):
    """A ramp within full scale, by which places can be told apart."""
    return 1.5 * (np.arange(start, stop) % 8000) / 8000.0


@pytest.fixture
def prime(tmp_path):
    write_wav(tmp_path / "prime.wav", 0.1 * np.sign(np.arange(2 * RATE_HZ) % 7 - 3.0), RATE_HZ)
    return Primes(tmp_path / "prime.wav")


@pytest.fixture
def start(monkeypatch, prime):
    """``start(card, keys, **options of Known)``: play such a run; returns what is said in the end."""

    def start(card, keys=None, *, seconds=None, sampling=AS_TRAINED, **options):
        run = Known(config=None, model=None, record=RECORD, **{"sound": quiet} | options)
        monkeypatch.setattr(module, "load", lambda run_dir: run)
        keys = keys or FakeKeys()
        options = {"primes": prime, "open_card": card, "keys": keys, "seconds": seconds, "sampling": sampling}
        return play(prime.file.with_name("run"), **options)

    return start


@pytest.mark.parametrize("name", ["memory-lstm", "codes", "samples"])
def test_the_card_gets_what_the_run_generates(name, tmp_path):
    """The prime first, as it was recorded; the quarter of a second after it as `generate` makes it."""
    card, primes, run = FakeCard(), Primes(None, 0.25), load(OLD / name)
    corpus = OLD / "corpus.hdf5"
    said = play(OLD / name, corpus, primes=primes, open_card=card, keys=FakeKeys(), seconds=0.25, sampling=AS_TRAINED)
    (prime,) = primes.read(run, corpus)
    new = np.concatenate(list(run.stream(prime, 2000)))
    expected = run.scale.restore(np.concatenate([prime, new]))
    assert card.rate == RATE_HZ and np.abs(expected).max() <= 1.0  # or the limiter would change it
    np.testing.assert_allclose(card.audio, expected, rtol=0, atol=1e-6)
    assert said.startswith("played 0.25 s prime + 0.25 s generated") and card.log == ["open", "close"]


def test_it_has_no_end_but_q(start, capsys):
    """After 200 looks, of 400 samples each, 10 s were played."""
    card = FakeCard()
    said = start(card, FakeKeys({200: "q"}))
    assert said == "played 1.00 s prime + 9.00 s generated" and len(card.audio) == 10 * SECOND
    np.testing.assert_allclose(card.audio[SECOND:], 0.1 * quiet(0, 9 * SECOND), atol=1e-6)
    assert "run: + and - turn the temperature, now 1.00; space pauses, q ends" in capsys.readouterr().err


def test_q_within_the_prime(start):
    card = FakeCard()
    assert start(card, FakeKeys({5: "q"})) == "played 0.25 s prime + 0.00 s generated"
    assert len(card.audio) == 2000


def test_keys_turn_the_temperature_of_what_is_generated_next(start, capsys):
    seen = []
    said = start(FakeCard(), FakeKeys({30: "+", 31: "++", 60: "-", 90: "q"}), seen=seen, own=1.1)
    assert said.startswith("played 1.00 s prime + ")
    temperatures = [round(sampling.temperature, 2) for sampling in seen]
    assert [t for k, t in enumerate(temperatures) if k == 0 or t != temperatures[k - 1]] == [1.1, 1.15, 1.25, 1.2]
    err = capsys.readouterr().err
    assert re.findall(r"^temperature (\S+)$", err, flags=re.MULTILINE) == ["1.15", "1.20", "1.25", "1.20"]


def test_the_dial_ends_somewhere():
    dial = Dial(1.0)
    assert dial.turn(1000) == "temperature 5.00" and dial.turn(-1000) == "temperature 0.05"
    assert dial.turn(-1) == "temperature 0.05"


def test_options_of_sampling_are_kept_while_the_dial_turns(start):
    seen = []
    start(FakeCard(), FakeKeys({40: "-", 60: "q"}), seen=seen, sampling=SamplingOptions((0.5,), 7, 0.9, 3))
    assert {(round(s.temperature, 2), s.top_k, s.nucleus) for s in seen} == {(0.5, 7, 0.9), (0.45, 7, 0.9)}


def test_a_run_that_samples_nothing_has_no_temperature(start, capsys):
    start(FakeCard(), FakeKeys({30: "+", 40: "q"}), own=None)
    err = capsys.readouterr().err
    assert "turn the temperature" not in err and "this run samples nothing: it has no temperature" in err


def test_space_pauses_and_goes_on_without_a_sample_lost(start, capsys):
    """At look 50; three looks later it goes on; in between the temperature is turned."""
    card, keys, seen = FakeCard(), FakeKeys({50: " ", 52: "+", 53: " ", 100: "q"}), []
    start(card, keys, seen=seen)
    assert card.log == ["open", "pause after 50", "close"] and keys.n_waits == 3
    n = len(card.audio) - SECOND
    np.testing.assert_allclose(card.audio[SECOND:], 0.1 * quiet(0, n), atol=1e-6)
    assert re.findall(r"^(paused; space goes on|playing|temperature 1.05)$", capsys.readouterr().err, re.M) == [
        "paused; space goes on", "temperature 1.05", "playing",
    ]  # fmt: skip
    assert seen[-1].temperature == 1.05


def test_q_and_ctrl_c_end_a_pause(start):
    card = FakeCard()
    assert start(card, FakeKeys({50: " ", 60: "q"})) and len(card.written) == 50

    class Interrupting(FakeKeys):
        def pressed(self, wait_seconds=0.0):
            if wait_seconds and self.n_waits == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return super().pressed(wait_seconds)

    with pytest.raises(KeyboardInterrupt, match="played 1.00 s prime"):
        start(card, Interrupting({50: " "}))


def test_ctrl_c_ends_in_good_order_and_says_what_was_played(start):
    card = FakeCard(on_write=lambda number: number == 79 and os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=r"^played 1.00 s prime \+ 3.00 s generated$"):
        start(card)
    assert card.log == ["open", "close"]


def test_a_second_ctrl_c_ends_it_at_once(start):
    card = FakeCard(on_write=lambda number: number == 79 and [os.kill(os.getpid(), signal.SIGINT) for _ in "12"])
    with pytest.raises(KeyboardInterrupt):
        start(card)
    assert card.log == ["open", "abort"]


# ---------------------------------------------------------------- gaps


class Clock:
    """Of a model that takes ``seconds`` for each block of 10 ms."""

    def __init__(self, monkeypatch, seconds):
        self.now, self._seconds = 0.0, seconds
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)

    def sound(self, start, stop):
        self.now += self._seconds
        return quiet(start, stop)


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (0.02, "slower than real time, it makes 0.50 s of sound a second; rnnaudio generate writes the same"),
        (0.002, "the sound had a gap, though the model makes 5.0 s of sound a second: the machine is busy"),
    ],
)
def test_gaps_are_told_once_with_their_reason_and_counted(start, monkeypatch, capsys, seconds, why):
    clock = Clock(monkeypatch, seconds)
    card = FakeCard(gaps=range(100, 110))
    said = start(card, FakeKeys({150: "q"}), sound=clock.sound)
    err = capsys.readouterr().err
    assert err.count("note: the sound") == 1 and why in err
    assert said.endswith("generated, 10 gaps")


def test_a_gap_in_the_prime_is_not_the_models(start, capsys):
    assert start(FakeCard(gaps=[3]), FakeKeys({30: "q"})).startswith("played 1.00 s prime + 0.50 s generated, 1 gap")
    assert "note: the sound had a gap in the prime: the machine is busy" in capsys.readouterr().err


def test_parts_are_joined_to_a_least_length():
    parts = [np.arange(start, start + 3) for start in range(0, 15, 3)]
    got = list(joined(iter(parts), 5))
    assert [len(part) for part in got] == [6, 6, 3] and np.array_equal(np.concatenate(got), np.arange(15))
    assert list(joined(iter([]), 5)) == []


# ---------------------------------------------------------------- other ends, and what is refused


def test_sound_that_is_no_longer_finite_ends(start):
    def breaks(start, stop):
        audio = quiet(start, stop)
        audio[max(0, 6000 - start) :] = np.nan
        return audio

    card = FakeCard()
    said = start(card, sound=breaks)
    assert said == "played 1.00 s prime + 0.75 s generated, then the sound was no longer finite"
    assert len(card.audio) == SECOND + 6000


def test_limited_peaks_are_noted(start):
    card = FakeCard()
    said = start(card, seconds=2.0, sound=lambda start, stop: 20.0 * quiet(start, stop))
    assert "peaks beyond full scale limited" in said and np.abs(card.audio).max() <= 1.0


def test_without_a_terminal_there_are_no_keys(start, capsys):
    start(FakeCard(), FakeKeys({0: "q"}, are_read=False))
    assert "standard input is no terminal, so there are no keys: Ctrl-C ends it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0.0}, "seconds is 0.0; expected more than 0"),
        ({"sampling": SamplingOptions((0.0,))}, "the temperature is 0.0: expected more than 0"),
        ({"sampling": SamplingOptions((1.0,), -1)}, "top_k is -1"),
    ],
)
def test_wrong_options_raise_before_any_sound(start, options, message):
    card = FakeCard()
    with pytest.raises(RnnaudioError, match=message):
        start(card, **options)
    assert not card.log


def test_a_run_over_frames_takes_no_options_of_sampling():
    card = FakeCard()
    with pytest.raises(RnnaudioError, match="samples nothing: leave --temperature"):
        play(
            OLD / "memory-lstm", OLD / "corpus.hdf5", primes=Primes(None, 0.25), open_card=card, keys=FakeKeys(),
            sampling=SamplingOptions((1.0,)),
        )  # fmt: skip
    assert not card.log


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(RnnaudioError, match="no run|no checkpoint"):
        play(tmp_path, primes=Primes(), open_card=FakeCard(), keys=FakeKeys(), sampling=AS_TRAINED)


@pytest.fixture
def package(monkeypatch):
    fake = FakeSoundDevice()
    monkeypatch.setattr(card_module, "sounddevice", fake, raising=False)
    monkeypatch.setattr(card_module, "MISSING", None)
    return fake


RUN = ("play", OLD / "samples", "--corpus", OLD / "corpus.hdf5", "--prime-seconds", 0.25, "--seconds", 0.25)


def test_the_command(command, package):
    status, out, err = command(*RUN)
    assert status == 0 and out.startswith("played 0.25 s prime + 0.25 s generated, 1 gap")
    assert "standard input is no terminal" in err
    assert sum(map(len, package.streams[0].written)) == 4000 and package.streams[0].log == ["start", "stop", "close"]


def test_the_command_names_what_is_missing(command, package, monkeypatch):
    status, _, err = command(*RUN, "--device", "Headphones")
    assert status == 2 and "No output device matching 'Headphones'" in err and err.count("cannot play") == 1
    assert command(*RUN, "--device", "0")[0] == 0
    monkeypatch.setattr(card_module, "MISSING", ModuleNotFoundError("No module named 'sounddevice'"))
    status, _, err = command(*RUN)
    assert status == 2 and "pip install 'rnnaudio[play]'" in err and err.count("\n") == 1


def test_the_command_after_ctrl_c(command, package, monkeypatch):
    stop = package.OutputStream

    def interrupted(**settings):
        stream = stop(**settings)
        os.kill(os.getpid(), signal.SIGINT)
        return stream

    monkeypatch.setattr(package, "OutputStream", interrupted)
    status, _, err = command(*RUN)
    assert status == 130 and "interrupted" in err
