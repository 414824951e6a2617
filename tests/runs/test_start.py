"""Runs that start from the parameters of others: what is taken, what means the same, what is refused, and resuming."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from rnnaudio.audio import write_wav
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus_build import build_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import BatchNorm, Dense, Sequential
from rnnaudio.runs import packs
from rnnaudio.runs.codes.model import load_codec
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.fit import fit, how_to_go_on, resumed_config
from rnnaudio.runs.frames.config import ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.outcome import write_outcome
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.start import BEGINNING, Start, begin_again, settings_of
from rnnaudio.training import checkpoint
from tests.support.sounds import music
from tests.support.thread_ranks import together

OLD = Path(__file__).parents[1] / "support" / "old_runs"
OLD_CORPUS = OLD / "corpus.hdf5"
RUNS = ("lstm", "gru-2016", "memory-lstm", "codes", "samples")
RATE_HZ = 8000
QUICK = (pytest.param("lstm", marks=pytest.mark.slow), "codes", pytest.param("samples", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Another corpus than that of the old runs."""
    folder = tmp_path_factory.mktemp("start")
    for seed in range(3):
        write_wav(folder / f"{seed}.wav", music(3.0, seed)[::2], RATE_HZ)
    build_corpus([folder], folder / "corpus.h5", sample_rate_hz=RATE_HZ)
    return folder / "corpus.h5"


def as_saved(name):
    """Recipe and config of an old run, limited to its updates."""
    recipe, config = saved_recipe(OLD / name)
    return recipe, dataclasses.replace(config, minutes=5.0)


def started(name, corpus, run_dir, start=None, **changes):
    recipe, config = as_saved(name)
    return fit(recipe, dataclasses.replace(config, **changes), corpus, run_dir, start=start or OLD / name)


def stopped_before_its_first_update(monkeypatch):
    """Training is what is tested elsewhere."""

    def trained(recipe, config, corpus, prepared, record, *_):
        return prepared, record

    monkeypatch.setattr("rnnaudio.runs.fit._trained", trained)


def learnt_by(name):
    """The parameters with which an old run plays, as its file has them under today's names."""
    playing = OLD / name / "playing.json"
    group = json.loads(playing.read_text())["parameters"] if playing.exists() else "best"
    return SavedRun.read(OLD / name).checkpoint.group(group)


# ---------------------------------------------------------------- what is taken


@pytest.mark.parametrize("name", RUNS)
def test_with_the_same_settings_all_is_taken_to_the_bit(name, corpus, tmp_path, monkeypatch, capsys):
    stopped_before_its_first_update(monkeypatch)
    prepared, record = started(name, corpus, tmp_path / "run")
    values, before = prepared.model.get_values(), learnt_by(name)
    assert values.keys() == before.keys()
    assert all(np.array_equal(values[key], before[key]) for key in before)
    n, n_updates = len(prepared.model.parameters()), load(OLD / name).record["n_updates"]
    assert record["start"] == {
        "run": str(OLD / name), "n_updates": n_updates, "taken": list(prepared.model.parameters()), "fresh": []
    }  # fmt: skip
    out = capsys.readouterr().out
    assert f"start: {n} of {n} parameters are those of {OLD / name} at update {n_updates}\n" in out
    assert "\nfresh: " not in out
    assert json.loads((tmp_path / "run/config.json").read_text())["start"] == record["start"]
    saved = checkpoint.load(tmp_path / "run" / BEGINNING).arrays
    assert saved.keys() == values.keys() and all(np.array_equal(saved[key], values[key]) for key in values)


@pytest.mark.parametrize("name", ["lstm", "codes", "samples"])
def test_all_ranks_prepare_what_the_first_has_read(name, corpus, tmp_path, monkeypatch):
    """The other needs no run to start from; scales, codec and linear path are those of the run."""

    def trained(recipe, config, corpus, prepared, *_):
        learnt = prepared.model.parameters()
        statistics = {key: value for key, value in prepared.model.get_values().items() if key not in learnt}
        return prepared.batches.batch(3), prepared.validation[0], statistics

    monkeypatch.setattr("rnnaudio.runs.fit._trained", trained)
    recipe, config = as_saved(name)

    def begun(rank):
        start = OLD / name if rank.is_first else None
        return fit(recipe, config, corpus, tmp_path / f"run-{rank.share.rank}", start=start, ranks=rank)

    ranks = together(2, begun)
    assert [path.name for path in tmp_path.iterdir()] == ["run-0"]
    expected = started(name, corpus, tmp_path / "alone")
    for batch, validation, statistics in ranks:
        for got, one in ((batch, expected[0]), (validation, expected[1])):
            for mine, its in zip(got, one, strict=True):
                np.testing.assert_array_equal(mine, its)
        assert statistics.keys() == expected[2].keys()
        for key, value in statistics.items():
            np.testing.assert_array_equal(value, expected[2][key])


def test_what_does_not_fit_starts_fresh_and_is_named(corpus, tmp_path, monkeypatch, capsys):
    """Two layers of 5 units with linear prediction: with three, the third is new; the read-out stays."""
    stopped_before_its_first_update(monkeypatch)
    recipe, config = as_saved("lstm")
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, n_layers=3))
    fresh, _ = fit(recipe, wider, corpus, tmp_path / "fresh")
    prepared, record = fit(recipe, wider, corpus, tmp_path / "run", start=OLD / "lstm")
    values, before, anew = prepared.model.get_values(), learnt_by("lstm"), fresh.model.get_values()
    new = [key for key in values if "noisy_3" in key and not key.endswith("std")]
    assert record["start"]["fresh"] == new and len(new) > 3
    assert f"fresh: {new[0]} {values[new[0]].shape}, " in capsys.readouterr().out
    assert all(np.array_equal(values[key], anew[key]) for key in new)
    assert all(np.array_equal(values[key], before[key]) for key in record["start"]["taken"])
    assert set(record["start"]["taken"]) | set(new) == set(prepared.model.parameters())


def test_of_another_shape_is_fresh_too(corpus, tmp_path, monkeypatch):
    stopped_before_its_first_update(monkeypatch)
    recipe, config = as_saved("samples")
    fewer = dataclasses.replace(config, n_components=3)
    _, record = fit(recipe, fewer, corpus, tmp_path / "run", start=OLD / "samples")
    assert record["start"]["fresh"] == ["samples.output.weight", "samples.output.bias"]


def test_noise_is_that_of_the_new_settings(corpus, tmp_path, monkeypatch):
    """Levels of noise are saved with the parameters, but not learnt."""
    stopped_before_its_first_update(monkeypatch)
    recipe, config = as_saved("lstm")
    assert config.model.input_noise == 0.1
    noisier = dataclasses.replace(config, model=dataclasses.replace(config.model, input_noise=0.25))
    prepared, _ = fit(recipe, noisier, corpus, tmp_path / "run", start=OLD / "lstm")
    stds = [value for key, value in prepared.model.get_values().items() if key.endswith(".std")]
    assert stds and all(std == np.float32(0.25) for std in stds)


def test_means_and_variances_of_normalisation_are_taken(tmp_path, capsys):
    def model(seed):
        return Sequential([Dense(3, 4, rng=np.random.default_rng(seed)), BatchNorm(4)])

    before, now = model(0), model(1)
    before.set_values({key: value + 0.5 for key, value in before.get_values().items()})
    run = dataclasses.replace(load(OLD / "lstm"), model=before)
    assert Start(tmp_path, tmp_path, run).give_to(now)["fresh"] == []
    values = now.get_values()
    assert all(np.array_equal(values[key], value) for key, value in before.get_values().items())
    assert "batch_norm.running_mean" in values


def test_from_a_pack_as_from_the_folder(corpus, tmp_path, monkeypatch):
    packs.pack(OLD / "lstm", tmp_path / "lstm.zip", OLD_CORPUS)
    stopped_before_its_first_update(monkeypatch)
    prepared, record = started("lstm", corpus, tmp_path / "run", tmp_path / "lstm.zip")
    values, before = prepared.model.get_values(), learnt_by("lstm")
    assert all(np.array_equal(values[key], before[key]) for key in before)
    assert record["start"]["run"] == str(tmp_path / "lstm.zip")


START = {"run": "/home/anna/runs/first", "n_updates": 4, "taken": ["a"], "fresh": []}


def with_start(run_dir, entry=START):
    """An old run, as if it had started from another."""
    shutil.copytree(OLD / "lstm", run_dir)
    saved = SavedRun.read(run_dir).checkpoint
    saved.record["config"]["start"] = entry
    checkpoint.save(run_dir / checkpoint.NAME, saved)
    return run_dir


def test_a_pack_names_no_folder_that_its_run_started_from(tmp_path):
    packs.pack(with_start(tmp_path / "run"), tmp_path / "x.zip", OLD_CORPUS)
    with packs.run_folder(tmp_path / "x.zip") as folder:
        assert SavedRun.read(folder).settings["start"] == START | {"run": "first"}


def test_its_record_is_data_not_trust(tmp_path):
    with pytest.raises(RnnaudioError, match=r"start\.taken is 3; expected a list"):
        load(with_start(tmp_path / "run", START | {"taken": 3}))


# ---------------------------------------------------------------- what gives parameters their meaning


def test_codes_keep_the_codec_and_say_what_it_loses(corpus, tmp_path, monkeypatch, capsys):
    stopped_before_its_first_update(monkeypatch)
    prepared, _ = started("codes", corpus, tmp_path / "run")
    before, now = load_codec(OLD / "codes"), load_codec(tmp_path / "run")
    for key, array in before.as_arrays().items():
        assert np.array_equal(now.as_arrays()[key], array)
    with AudioCorpus.open(corpus) as opened:
        lost = before.lost_of(opened.train)
        piece = opened.valid.pieces[0]
        codes = before.encode(piece.read(0, piece.n_samples))
    assert np.array_equal(prepared.validation[0].codes[:, 0], codes[: len(prepared.validation[0].codes)])
    assert now.lost == pytest.approx(lost) and lost != pytest.approx(before.lost, rel=0.01)
    out = capsys.readouterr().out
    assert f"leave {100 * lost:.0f} % of the variance" in out
    note = f"note: the codec of the run leaves {100 * lost:.0f} % of the variance of this music, and of its own "
    assert (note in out) == (lost > 1.5 * before.lost)
    assert f"kept: codec.safetensors of {OLD / 'codes'}, which gives its parameters their meaning\n" in out


def test_what_a_codec_loses_of_the_music_that_it_was_fitted_to():
    """As it was measured when it was fitted, by other code."""
    codec = load_codec(OLD / "codes")
    with AudioCorpus.open(OLD_CORPUS) as opened:
        assert codec.lost_of(opened.train) == pytest.approx(codec.lost, rel=1e-3)


def test_samples_keep_quantiser_and_linear_path(corpus, tmp_path, monkeypatch, capsys):
    """The music is of other loudness and colour: measured anew, all four would differ."""
    stopped_before_its_first_update(monkeypatch)
    _, record = started("samples", corpus, tmp_path / "run")
    known = SavedRun.read(OLD / "samples").settings["facts"]
    assert json.loads(json.dumps(record["facts"])) == known
    with AudioCorpus.open(corpus) as opened:
        peak = max(np.abs(piece.read(0, piece.n_samples)).max() for piece in opened.train.pieces)
    words = f"note: the loudest sample is {peak / known['peak']:.3g} times the peak that the run quantises"
    assert (words in capsys.readouterr().out) == (peak > known["peak"])
    recipe, config = as_saved("samples")
    _, fresh = fit(recipe, config, corpus, tmp_path / "fresh")
    assert all(fresh["facts"][key] != known[key] for key in ("peak", "deviation", "unit", "taps"))


def test_louder_music_than_the_quantiser_takes_is_told(tmp_path, monkeypatch, capsys):
    stopped_before_its_first_update(monkeypatch)
    for seed in range(3):
        audio = music(3.0, seed)[::2].copy()
        audio[1000:1003] = 0.99
        write_wav(tmp_path / f"{seed}.wav", audio, RATE_HZ)
    build_corpus([tmp_path], tmp_path / "loud.h5", sample_rate_hz=RATE_HZ)
    started("samples", tmp_path / "loud.h5", tmp_path / "run")
    words = r"note: the loudest sample is [\d.]+ times the peak that the run quantises: it is clipped"
    assert re.search(words, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("codes", {"n_codes": 9}, "n_codes was 8, now it is 9 (the codec is fitted: a code would mean another"),
        ("codes", {"hop_samples": 64}, "hop_samples was 128, now it is 64 (the codec"),
        ("samples", {"law": "linear"}, "law was mu, now it is linear (samples are quantised by it"),
        ("samples", {"readout": "categorical"}, "readout was logistic, now it is categorical (the parameters were"),
        ("samples", {"n_taps": 2}, "n_taps was 4, now it is 2 (the linear path is fitted"),
        ("lstm", {"scaling": "min_max_2016"}, "scaling was standard, now it is min_max_2016 (the parameters were"),
    ],
)
def test_settings_that_give_parameters_their_meaning_cannot_change(name, changes, words, corpus, tmp_path):
    with pytest.raises(RnnaudioError) as error:
        started(name, corpus, tmp_path / "run", **changes)
    assert str(error.value).startswith(f"training cannot start from {OLD / name} so: {words}")
    assert str(error.value).endswith("; keep these settings, or train from nothing, without --from")
    assert not list(tmp_path.iterdir())


def test_another_recipe_is_refused(corpus, tmp_path):
    with pytest.raises(RnnaudioError, match="codes is a run over codes: its parameters mean nothing to a run over fr"):
        started("lstm", corpus, tmp_path / "run", OLD / "codes")
    assert not list(tmp_path.iterdir())


def test_another_sample_rate_is_refused(tmp_path):
    for seed in range(3):
        write_wav(tmp_path / f"{seed}.wav", music(2.0, seed), 16_000)
    other = build_corpus([tmp_path], tmp_path / "other.h5", sample_rate_hz=16_000)
    assert other
    with pytest.raises(RnnaudioError, match=r"lstm has sound at 8000 Hz, .*other.h5 at 16000 Hz: .*-hz 8000$"):
        started("lstm", tmp_path / "other.h5", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_nothing_fits_it_is_refused(corpus, tmp_path):
    config = dataclasses.replace(as_saved("lstm")[1], model=ModelConfig.of(cell="gru", n_units=3))
    with pytest.raises(RnnaudioError) as error:
        fit(FRAMES, config, corpus, tmp_path / "run", start=OLD / "lstm")
    assert f"no parameter of {OLD / 'lstm'} fits the model: it has " in str(error.value)
    assert ", the model gru.w_input (8, 9), " in str(error.value) and not list(tmp_path.iterdir())


def test_what_is_no_run_is_refused(corpus, tmp_path):
    with pytest.raises(RnnaudioError, match="no checkpoint at"):
        started("lstm", corpus, tmp_path / "run", tmp_path / "none")
    with pytest.raises(RnnaudioError, match="is a file; expected the folder of a run, or a pack"):
        started("lstm", corpus, tmp_path / "run", corpus)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- resuming


@pytest.mark.parametrize("name", QUICK)
def test_resumed_it_has_the_bits_of_one_that_was_not_broken_off_and_reads_the_other_no_more(name, corpus, tmp_path):
    source = shutil.copytree(OLD / name, tmp_path / "source")
    started(name, corpus, tmp_path / "whole", source)
    started(name, corpus, tmp_path / "parts", source, minutes=1e-6)
    whole, part = (SavedRun.read(tmp_path / folder) for folder in ("whole", "parts"))
    assert part.record["n_updates"] == 1 < whole.record["n_updates"]
    shutil.rmtree(source)
    recipe, config = resumed_config(tmp_path / "parts", minutes=5.0)
    for start in (None, source):  # named again, as in a job that is submitted again, it is not read
        fit(recipe, config, corpus, tmp_path / "parts", resume=True, start=start)
    part = SavedRun.read(tmp_path / "parts")
    arrays, expected = part.checkpoint.arrays, whole.checkpoint.arrays
    assert arrays.keys() == expected.keys() and all(np.array_equal(arrays[key], expected[key]) for key in expected)
    assert part.settings["start"] == whole.settings["start"]
    assert part.settings.get("facts") == whole.settings.get("facts")
    losses = [[row["valid"] for row in run.record["history"][-1:]] for run in (part, whole)]
    assert losses[0] == losses[1]


def test_a_resumed_run_that_backs_off_to_its_beginning_starts_from_the_same(tmp_path, monkeypatch):
    """Its model is what it was before its first update when training goes on, until the checkpoint is read."""
    stopped_before_its_first_update(monkeypatch)
    run_dir = with_start(tmp_path / "run")
    expected = {key: value + 1.0 for key, value in learnt_by("lstm").items()}
    checkpoint.save(run_dir / BEGINNING, checkpoint.Checkpoint(expected, {}))
    recipe, config = resumed_config(run_dir, max_updates=9)
    for there in (True, False):  # needed only then
        prepared, record = fit(recipe, config, OLD_CORPUS, run_dir, resume=True)
        values = prepared.model.get_values()
        assert all(np.allclose(values[key], expected[key], rtol=1e-6) for key in expected) == there
        assert record["start"] == START
        (run_dir / BEGINNING).unlink(missing_ok=True)
    shutil.copy(OLD / "samples" / checkpoint.NAME, run_dir / BEGINNING)
    with pytest.raises(RnnaudioError, match=r"start.safetensors was trained with another architecture"):
        begin_again(prepared.model, run_dir)


def test_a_new_run_has_no_beginning_of_the_one_before(corpus, tmp_path, monkeypatch):
    stopped_before_its_first_update(monkeypatch)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / BEGINNING).write_bytes(b"")
    recipe, config = as_saved("lstm")
    _, record = fit(recipe, config, corpus, tmp_path / "run")
    assert "start" not in record and not (tmp_path / "run" / BEGINNING).exists()


def test_a_run_that_has_begun_from_nothing_cannot_start_from_another(tmp_path):
    run_dir = shutil.copytree(OLD / "lstm", tmp_path / "run")
    recipe, config = as_saved("lstm")
    with pytest.raises(RnnaudioError, match="did not start from another run, and has begun: leave --from out"):
        fit(recipe, config, OLD_CORPUS, run_dir, resume=True, start=OLD / "lstm")
    with pytest.raises(RnnaudioError, match="exists: continue it"):
        fit(recipe, config, OLD_CORPUS, run_dir, start=OLD / "lstm")


def test_the_command_for_longer_starts_from_the_same_run(tmp_path):
    """Early stopping ended it, so that a new run has to be trained."""
    run_dir = with_start(tmp_path / "run", START | {"run": "a run.zip"})
    saved = SavedRun.read(run_dir).checkpoint
    saved.record["stopping"]["should_stop"] = True
    checkpoint.save(run_dir / checkpoint.NAME, saved)
    assert f"{run_dir}-2 --config {run_dir}/config.toml --from 'a run.zip' --patience 40" in how_to_go_on(run_dir)


@pytest.mark.slow
@pytest.mark.long
def test_the_report_says_what_it_started_from(tmp_path):
    run_dir = with_start(tmp_path / "run")
    assert write_outcome(run_dir, OLD_CORPUS, seconds=0.1)["start"] == "first at update 4"
    page = (run_dir / "report.html").read_text()
    assert "started from the parameters of first at update 4" in page and "/home/anna" not in page
    assert "start" not in write_outcome(shutil.copytree(OLD / "lstm", tmp_path / "b"), OLD_CORPUS, seconds=0.1)


# ---------------------------------------------------------------- the command


@pytest.fixture
def trained_with(monkeypatch):
    """The arguments with which `train` trains, in place of training."""
    calls = []

    def train(*arguments, watched, data_parallel, **more):
        calls.append((*arguments, more))

    monkeypatch.setattr("rnnaudio.cli.training.train", train)
    return calls


@pytest.mark.parametrize("name", RUNS)
def test_the_settings_of_a_run_are_read_back(name):
    recipe, config = saved_recipe(OLD / name)
    settings = settings_of(OLD / name)
    assert settings.pop("recipe") == recipe.name and from_dict(recipe.Config, settings) == config


def test_its_settings_hold_unless_others_are_given(trained_with, command, tmp_path):
    (tmp_path / "mine.toml").write_text('seed = 5\npatience = 3\n[model]\nn_layers = 3\n')
    options = ["--config", tmp_path / "mine.toml", "--patience", 4]
    status, _, err = command("train", "a.h5", tmp_path / "new", "--from", OLD / "lstm", *options)
    assert status == 0, err
    ((recipe, config), corpus, run_dir, more) = trained_with[0]
    _, before = saved_recipe(OLD / "lstm")
    model = dataclasses.replace(before.model, n_layers=3)
    assert config == dataclasses.replace(before, seed=5, patience=4, model=model)
    assert (recipe, corpus, run_dir) == ("frames", Path("a.h5"), tmp_path / "new")
    assert more == {"resume": False, "start": OLD / "lstm"}
    command("train", "a.h5", tmp_path / "new", "--from", OLD / "codes")
    assert trained_with[1][0] == ("codes", saved_recipe(OLD / "codes")[1])


def test_the_options_of_another_cell_are_left_out(trained_with, command):
    """Peepholes of an LSTM, which a GRU does not know."""
    status, _, err = command("train", "a.h5", "new", "--from", OLD / "lstm", "--cell", "gru")
    assert status == 0, err
    before = saved_recipe(OLD / "lstm")[1]
    model = trained_with[0][0].config.model
    assert before.model.options.peepholes and model.options == ModelConfig(cell="gru").options
    assert (model.cell, model.n_layers, model.linear_skip) == ("gru", before.model.n_layers, before.model.linear_skip)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "codes"], "--from is a run over frames, whose parameters mean nothing to another recipe, but "
         "--recipe names 'codes': leave one of the two out"),
        (["--preset", "music"], "music.toml names 'codes': leave one of the two out"),
        (["--from", "nowhere"], "nowhere: no such folder or file, and no model that comes with rnnaudio"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it_is_refused(trained_with, command, options, words):
    status, _, err = command("train", "a.h5", "new", "--from", OLD / "lstm", *options)
    assert status == 2 and words in err and len(err.splitlines()) == 1 and not trained_with


@pytest.mark.parametrize("order", [False, True])
def test_the_same_job_again_goes_on_without_the_other_run(trained_with, command, tmp_path, order):
    """With the settings of the run that has begun; fit, too, reads no other run then."""
    new, gone = with_start(tmp_path / "new"), ["--from", tmp_path / "gone"]
    job = [*gone, OLD_CORPUS, new] if order else [OLD_CORPUS, new, *gone]
    status, _, err = command("train", *job, "--resume", "--max-updates", 9)
    assert status == 0, err
    before = dataclasses.replace(saved_recipe(OLD / "lstm")[1], max_updates=9)
    assert trained_with == [(("frames", before), OLD_CORPUS, new, {"resume": True, "start": tmp_path / "gone"})]
    status, _, err = command("train", *job)
    assert status == 2 and f"no checkpoint at {tmp_path / 'gone'}" in err
