"""The order of the loop: what is called, exchanged and saved, update by update."""

import numpy as np

from rnnaudio.data import ArrayPiece, Batch, RandomWindows, Split, fixed_windows
from rnnaudio.nn import Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.parallel import Alone
from rnnaudio.training import EarlyStopping, Limits, checkpoint, train

SIZES = {"frame_size": 4, "n_steps": 5, "batch_size": 3}
UPDATE = ["update", "meet: error", "meet: seconds", "meet: signal"]
VALIDATION = ["gather: validation", "before save", "save", "row"]


class Recorder(Alone):
    """A rank that writes down what it exchanges."""

    def __init__(self):
        self.events = []

    def note(self, event):
        return lambda *_: self.events.append(event)

    def meet(self, seconds=None, signal=None):
        about = "error" if seconds is signal is None else "signal" if seconds is None else "seconds"
        self.events.append(f"meet: {about}")
        return super().meet(seconds or 0.0, signal or 0)

    def gather(self, value):
        self.events.append("gather: validation" if isinstance(value, list) else "gather: breakdown")
        return super().gather(value)


class Spoilt:
    """Batches of which one, if any, has a NaN."""

    batches_per_epoch, carries_state = 5, False

    def __init__(self, batches, index):
        self._batches, self._index = batches, index

    def batch(self, index):
        frames, resets = self._batches.batch(index)
        return Batch(frames * np.float32("nan") if index == self._index else frames, resets)


def events(folder, monkeypatch, *, n_updates, spoil=None, **limits):
    """What happens in a training; batch ``spoil``, if any, is NaN."""
    recorder, save = Recorder(), checkpoint.save
    split = Split("train", (ArrayPiece(np.sin(np.arange(900) / 5).astype("float32")),), 16000)
    def saved(*arguments, **options):
        recorder.events.append("save")
        save(*arguments, **options)

    monkeypatch.setattr(checkpoint, "save", saved)
    model = Sequential([Dense(4, 4, rng=np.random.default_rng(0))])
    batches, validation = Spoilt(RandomWindows(split, seed=1, **SIZES), spoil), fixed_windows(split, **SIZES)[:1]
    train(
        model,
        predict_next,
        batches,
        validation,
        optimizer=SGD(0.01),
        stopping=EarlyStopping(9),
        run_dir=folder,
        limits=Limits(n_updates, **limits),
        on_update=recorder.note("update"),
        on_validation=recorder.note("row"),
        before_save=recorder.note("before save"),
        ranks=recorder,
    )
    return recorder.events


def test_the_order_of_a_training(tmp_path, monkeypatch):
    """Validated after two updates of three: saved before the row is shown, and once more at the end."""
    assert events(tmp_path, monkeypatch, n_updates=3, validate_every=2) == [
        *UPDATE, *UPDATE[:3], *VALIDATION, UPDATE[3], *UPDATE, "before save", "save", "meet: signal",
    ]  # fmt: skip


def test_a_limit_before_the_first_validation_validates(tmp_path, monkeypatch):
    assert events(tmp_path, monkeypatch, n_updates=1, validate_every=5) == [
        *UPDATE[:3], *VALIDATION, UPDATE[3], "before save", "save", "meet: signal",
    ]  # fmt: skip


def test_a_checkpoint_by_the_clock_comes_after_each_update(tmp_path, monkeypatch):
    saved = [*UPDATE[:3], "before save", "save", UPDATE[3]]
    assert events(tmp_path, monkeypatch, n_updates=3, validate_every=9, save_every_seconds=0.0)[:12] == saved * 2


def test_a_breakdown_ends_the_loop_at_once_and_is_noted_in_the_last_checkpoint(tmp_path, monkeypatch):
    assert events(tmp_path, monkeypatch, n_updates=3, validate_every=1, spoil=1) == [
        *UPDATE[:3], *VALIDATION, UPDATE[3],
        "update", "meet: error", "meet: signal", "gather: breakdown", "save",
    ]  # fmt: skip
    assert "not finite at update 2" in checkpoint.newest(tmp_path).record["broke_down"]
