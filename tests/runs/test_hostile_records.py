"""Records of runs that are wrong but well-formed: each is refused in a line or harmless, at once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from rnnaudio.data import ArrayPiece, RandomWindows, Split, fixed_windows
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import LSTM, Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import RMSprop
from rnnaudio.runs.fit import how_to_go_on, resumed_config
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.outcome import n_epochs
from rnnaudio.runs.record import trouble
from rnnaudio.training import EarlyStopping, Limits, checkpoint, train
from tests.support.hostile_records import fault_of, mutated

OLD = Path(__file__).parents[1] / "support" / "old_runs"
RUNS = ("lstm", "gru-2016", "memory-lstm", "codes", "samples")


def rewritten(path, text):
    """Replace the record in a checkpoint by a text, with a checksum that fits."""
    with safetensors.safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    metadata = {"format": checkpoint.FORMAT, "record": text, "checksum": checkpoint.checksum(text, arrays)}
    path.write_bytes(safetensors.numpy.save(arrays, metadata))


def record_in(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["record"])


def used(run_dir):
    """What the commands do with a saved run, but for the corpus: load it, play on, say how to go on."""
    run = load(run_dir)
    n_prime = max(saved_recipe(run_dir)[0].least_prime_samples(run.config), 2048)
    run.continue_primes([np.zeros(n_prime, np.float32)], 400)
    assert isinstance(trouble(run.record), str) and n_epochs(run) >= 0.0
    how_to_go_on(run_dir)
    resumed_config(run_dir, minutes=None, max_updates=None)


FILES = [(name, "checkpoint.safetensors") for name in RUNS]
FILES += [("codes", "codec.safetensors"), ("codes", "playing.json")]


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 100), marks=pytest.mark.slow)], ids=["3", "97"])
def test_a_wrong_record_is_refused_in_a_line_or_harmless(tmp_path, name, file, seeds):
    run_dir = shutil.copytree(OLD / name, tmp_path / "run")
    used(run_dir)  # compiles what is compiled once
    path = run_dir / file
    record = json.loads(path.read_text()) if path.suffix == ".json" else record_in(path)
    faults = []
    for seed in seeds:
        what, text = mutated(record, seed)
        if path.suffix == ".json":
            path.write_text(text)
        else:
            rewritten(path, text)
        fault = fault_of(lambda: used(run_dir))
        faults += [f"{seed}: {what}\n{fault}"] if fault else []
    assert not faults, "\n".join(faults)


def resumed(folder, *, resume=True):
    t = np.arange(1000, dtype=np.float32)
    split, sizes = (
        Split("train", (ArrayPiece(np.sin(t / 5)),), 16000),
        {"frame_size": 4, "n_steps": 5, "batch_size": 3},
    )
    rng = np.random.default_rng(0)
    model = Sequential([LSTM(4, 3, rng=rng), Dense(3, 4, rng=rng)])
    return train(
        model, predict_next, RandomWindows(split, seed=1, **sizes), fixed_windows(split, **sizes)[:2],
        optimizer=RMSprop(0.01), stopping=EarlyStopping(3), run_dir=folder, limits=Limits(4, validate_every=2),
        resume=resume, on_validation=lambda row: None,
    )  # fmt: skip


@pytest.mark.slow
def test_training_goes_on_from_a_wrong_record_or_refuses_it(tmp_path):
    resumed(tmp_path / "run", resume=False)
    record, faults = record_in(tmp_path / "run" / "checkpoint.safetensors"), []
    for seed in range(40):
        run_dir = shutil.copytree(tmp_path / "run", tmp_path / str(seed))
        (run_dir / checkpoint.PREVIOUS).unlink()
        what, text = mutated(record, seed)
        rewritten(run_dir / "checkpoint.safetensors", text)
        fault = fault_of(lambda run_dir=run_dir: resumed(run_dir), 60.0)  # it compiles
        faults += [f"{seed}: {what}\n{fault}"] if fault else []
    assert not faults, "\n".join(faults)


def test_the_harness_notices_a_traceback_and_a_hang():
    assert "KeyError" in fault_of(lambda: {}["x"]) and "took over 0.01 s" in fault_of(
        lambda: [0 for _ in iter(int, 1)], 0.01
    )


def change(record, place, value):
    *before, last = place
    for key in before:
        record = record[key]
    record[last] = value


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        (
            "lstm",
            ("config", "train", "model", "n_units"),
            10**7,
            "a larger model than the [0-9]+ values that it holds",
        ),
        ("lstm", ("config", "train", "frame_size"), 10**7, "a larger model than"),
        ("lstm", ("config", "train", "model", "linear_skip"), 9999, "a larger model than"),
        ("lstm", ("config", "train", "model", "n_layers"), 10**9, "n_layers is 1000000000; expected 1000 at most"),
        ("gru-2016", ("config", "train", "model", "n_units"), 10**7, "a larger model than"),
        ("memory-lstm", ("config", "train", "frame_size"), 10**7, "a larger model than"),
        ("codes", ("config", "music", "n_units"), 10**7, "a larger model than"),
        ("codes", ("config", "music", "head_units"), 10**9, "a larger model than"),
        ("samples", ("config", "samples", "n_units"), 10**7, "a larger model than"),
        ("samples", ("config", "samples", "n_components"), 10**9, "a larger model than"),
        ("lstm", ("n_updates",), float("nan"), "n_updates is nan; expected a whole number"),
        ("lstm", ("config", "corpus"), [], r"config\.corpus is \[\]; expected a table"),
        ("lstm", ("config",), {"train": {}}, r"config\.corpus is missing; expected a table"),
        (
            "lstm",
            ("stopping", "best_loss"),
            "low",
            r"stopping\.best_loss is 'low'; expected a number, not infinite or",
        ),
        ("lstm", ("config", "train", "learning_rate"), float("inf"), "learning_rate is inf; expected more than 0"),
        ("samples", ("config", "facts", "peak"), -1.0, "peak is -1.0; expected a number of 1e-12 or more"),
    ],
)
def test_a_wrong_entry_is_named_before_anything_is_built(tmp_path, name, place, value, message):
    run_dir = shutil.copytree(OLD / name, tmp_path / "run")
    path = run_dir / "checkpoint.safetensors"
    record = record_in(path)
    change(record, place, value)
    rewritten(path, json.dumps(record))

    def refused():
        with pytest.raises(RnnaudioError, match=message) as error:
            load(run_dir)
        assert str(path) in str(error.value)

    assert not fault_of(refused, 1.0)
