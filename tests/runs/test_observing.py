"""What is heard and seen of a run while it trains: sounds at intervals, events for TensorBoard, an undisturbed run."""

import dataclasses
import io
import struct

import numpy as np
import pytest
import soundfile

from rnnaudio.audio import read_audio
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import event_files, observing
from rnnaudio.runs.event_files import EventFiles
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.load import load
from rnnaudio.runs.observing import Listener
from rnnaudio.runs.record import SavedRun
from tests.support.tiny_runs import TINY, tiny_run

LONGER = dataclasses.replace(TINY, max_updates=6, validate_every=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of six updates and three validations, watched by nobody."""
    folder = tmp_path_factory.mktemp("observing")
    tiny_run(folder, "alone", LONGER)
    return folder


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(observing, "SECONDS", 0.5)


def events_in(folder):
    """Values of event files by tag: [(step, value), ...]; records framed by length and checksums, as TFRecord is."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = {}
    for path in sorted(folder.iterdir()):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def row(seconds, updates=2):
    return {"seconds": seconds, "updates": updates}


@pytest.mark.usefixtures("brief")
def test_a_run_that_is_watched_is_the_same_run_and_leaves_sounds_and_events(folder, tmp_path):
    pytest.importorskip("tensorboardX")
    run_dir, corpus = tmp_path / "watched", folder / "corpus.h5"
    events = EventFiles(run_dir)
    listener = Listener(run_dir, corpus, 0.05, [events.hear])
    listener._every = 0.0  # at each validation
    fit(FRAMES, LONGER, corpus, run_dir, observers=[events, listener])
    watched, alone = SavedRun.read(run_dir), SavedRun.read(folder / "alone")
    for name, array in alone.parameters().items():
        np.testing.assert_array_equal(watched.parameters()[name], array)
    names = sorted(path.name for path in (run_dir / "listening").iterdir())
    assert names == [f"update-{k:08d}.{kind}" for k in (2, 4, 6) for kind in ("png", "wav")]
    run = load(run_dir)
    audio, rate = read_audio(run_dir / "listening/update-00000006.wav")
    with AudioCorpus.open(corpus) as opened:
        prime = opened.restore(opened.valid.prime_at(0, 1.0))
    assert rate == run.sample_rate_hz and len(audio) == len(prime) + rate // 2
    np.testing.assert_allclose(audio[: len(prime)], prime, atol=2**-15)

    found = events_in(run_dir / "tensorboard")
    for tag, entry in (("loss/train", "train"), ("loss/valid", "valid"), ("learning_rate", "learning_rate")):
        got = [(step, value.simple_value) for step, value in found[tag]]
        np.testing.assert_allclose(got, [(r["updates"], r[entry]) for r in run.history], rtol=1e-6)
    last = run.history[-1]
    for group, entry in (("gradient_norm", "gradient_norms"), ("update_ratio", "update_ratios")):
        for name, value in last[entry].items():
            assert found[f"{group}/{name}"][-1][1].simple_value == pytest.approx(value, rel=1e-6)
    (step, played), spectrogram = found["played"][-1], found["spectrogram"][-1][1].image
    heard, rate_of_it = soundfile.read(io.BytesIO(played.audio.encoded_audio_string))
    assert step == 6 and rate_of_it == rate and len(heard) == len(audio)
    np.testing.assert_allclose(heard, audio, atol=2**-14)
    assert spectrogram.encoded_image_string.startswith(b"\x89PNG")


def test_sounds_are_as_far_apart_as_asked(folder, tmp_path, monkeypatch):
    listener = Listener(folder / "alone", folder / "corpus.h5", 2.0)
    played = []
    monkeypatch.setattr(Listener, "_played", lambda self, updates: played.append(updates))
    for k, seconds in enumerate((1.0, 100.0, 121.5, 200.0, 300.0)):
        listener(row(seconds, k))
    assert played == [0, 2, 4]


@pytest.mark.parametrize("minutes", [0.01, -1.0, float("nan"), float("inf")])
def test_intervals_out_of_range_are_refused(folder, command, tmp_path, minutes):
    with pytest.raises(RnnaudioError, match="listen_every is"):
        Listener(tmp_path, folder / "corpus.h5", minutes)
    status, _, err = command("train", folder / "corpus.h5", tmp_path / "run", "--listen-every", minutes)
    assert status == 2 and "listen_every is" in err and not list(tmp_path.iterdir())


@pytest.mark.usefixtures("brief")
def test_what_cannot_be_played_or_written_is_a_note(folder, tmp_path, capsys):
    Listener(tmp_path / "none", folder / "corpus.h5", 1.0)(row(0.0))
    assert "note: nothing to listen to at update 2: " in capsys.readouterr().out
    (folder / "alone/listening").write_text("in the way")
    Listener(folder / "alone", folder / "corpus.h5", 1.0)(row(0.0))
    assert "note: nothing to listen to at update 2: " in capsys.readouterr().out
    (folder / "alone/listening").unlink()


def test_without_the_extra_it_is_named_and_nothing_begins(folder, command, tmp_path, monkeypatch):
    monkeypatch.setattr(event_files, "SummaryWriter", None)
    status, _, err = command("train", folder / "corpus.h5", tmp_path / "run", "--tensorboard")
    assert status == 2 and "pip install 'rnnaudio[tensorboard]'" in err and not list(tmp_path.iterdir())


def test_events_that_cannot_be_written_end_the_run_with_its_checkpoint(folder, tmp_path):
    pytest.importorskip("tensorboardX")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "tensorboard").write_text("in the way")
    with pytest.raises(RnnaudioError, match=r"cannot write .*/tensorboard: .*; resume without it"):
        fit(FRAMES, LONGER, folder / "corpus.h5", run_dir, observers=[EventFiles(run_dir)])
    assert SavedRun.read(run_dir).record["n_updates"] == 2
