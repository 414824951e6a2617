"""Exported runs play what the runs play, by the program of the documents; what is refused leaves nothing behind."""

import ast
import json
import os
import shutil
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rnnaudio import engine
from rnnaudio.data import ArrayPiece, Split
from rnnaudio.data.codec import Codec
from rnnaudio.data.quantize import Quantizer
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.codes import CodePlayer
from rnnaudio.generation.samples import SamplePlayer
from rnnaudio.generation.sampling import Sampling
from rnnaudio.nn import LSTM, Dense, Sequential, sample_model
from rnnaudio.readouts import Categorical, LogisticMixture
from rnnaudio.runs.codes.network import encoder_network
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.cells import CELLS
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.network import frames_network
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.load import load
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.samples.network import step_network
from tests.support import leaky_cell, spectra_recipe
from tests.support.gradient_cases import randomise
from tests.support.sounds import music

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from rnnaudio.export import file as onnx_file
from rnnaudio.runs.export import export
from tests.support.onnx_player import PROGRAM, Player, example

pytestmark = pytest.mark.skipif(engine.NAME != "pytensor", reason="graphs of PyTensor alone are exported")
OLD = Path(__file__).parents[1] / "support" / "old_runs"
RATE_HZ, N_PRIME, N_SAMPLES = 8000, 2000, 1000
LEAKY = next(name for name, kind in CELLS.items() if kind.cell is leaky_cell.Leaky)
FRAMES_RUNS = ("lstm", "gru-2016", "memory-lstm")


@pytest.fixture(scope="module")
def program():
    return example()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Files of the runs in tests/support/old_runs, by name."""
    folder = tmp_path_factory.mktemp("onnx")
    for name in (*FRAMES_RUNS, "codes", "samples"):
        export(OLD / name, folder / f"{name}.onnx")
    return folder


@pytest.fixture(scope="module")
def recorded():
    """What the runs generated after :func:`prime` when they were made, by an earlier version."""
    with np.load(OLD / "played.npz") as file:
        return dict(file)


def prime(n=N_PRIME):
    t = np.arange(n) / RATE_HZ
    tones = np.sin(2 * np.pi * 330.0 * t) + 0.5 * np.sin(2 * np.pi * 470.0 * t)
    return tones.astype(np.float32)


@pytest.mark.parametrize("name", [*FRAMES_RUNS, "samples"])
def test_samples_are_those_of_the_run(name, program, exported, recorded):
    """With noise, with the two functions of 2016, with each cell; primes of odd lengths, too."""
    played = program.played(exported / f"{name}.onnx", prime(), N_SAMPLES)
    np.testing.assert_allclose(played, recorded[name], rtol=0, atol=1e-6 * np.abs(recorded[name]).max())
    run, odd = load(OLD / name), prime(N_PRIME - 3)
    expected = np.concatenate(list(run.stream(odd, 500)))
    played = program.played(exported / f"{name}.onnx", odd, 500)
    np.testing.assert_allclose(played, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def codes_and_magnitudes(program, exported, sound, n_frames):
    network, encoder = (program.Network(exported / f"codes{ending}.onnx") for ending in ("", "-encoder"))
    codes, magnitudes = zip(*islice(program.codes(network, encoder, sound), n_frames), strict=True)
    return np.array(codes), np.array(magnitudes)


def test_codes_are_exactly_those_of_the_run_and_decode_to_its_magnitudes(program, exported):
    """After a prime of an odd length; the magnitudes are those of the frame before."""
    run, odd, n_frames = load(OLD / "codes"), prime(N_PRIME - 3), 200
    hop = run.codec.stft.hop_samples
    expected = np.concatenate([block.codes[0] for block in run.coded_blocks([odd], n_frames * hop)])[:n_frames]
    codes, magnitudes = codes_and_magnitudes(program, exported, odd, n_frames)
    np.testing.assert_array_equal(codes, expected)
    assert len(np.unique(codes[:, 0])) > 4 and len(np.unique(codes[:, 1])) > 4
    wanted = run.codec.magnitudes(codes)[1:-1]
    np.testing.assert_allclose(magnitudes[2:], wanted, rtol=1e-5, atol=1e-6 * wanted.max())


def test_codes_of_each_stream_are_those_of_its_player():
    """Two primes side by side, each with random numbers of its own."""
    run = load(OLD / "codes")
    primes = np.random.default_rng(1).integers(0, 8, (2, 5, 2))
    expected = CodePlayer(run.model, run.codec, primes, Sampling(0.9), detail_temperature=1.3, seed=4).frames(50)
    player, temperatures = Player(run.networks()[""], 2), np.array([0.9, 1.3])
    for frame in primes.swapaxes(0, 1)[:-1]:
        player(codes=frame, uniform=np.zeros((2, 2)), temperatures=temperatures)
    last, sources = primes[:, -1], [np.random.default_rng((4, k, 9)) for k in range(2)]
    for wanted in expected.swapaxes(0, 1):
        uniform = np.stack([source.random(2) for source in sources])
        last = player(codes=last, uniform=uniform, temperatures=temperatures)["next_codes"]
        np.testing.assert_array_equal(last, wanted)


def test_the_encoder_is_the_codecs():
    """That of the run, and one of 32 codes in two stages, of music."""
    sound = (20.0 * music(4.0, 3)).astype(np.float32)[: 4 * RATE_HZ]
    split = Split("train", [ArrayPiece(sound)], RATE_HZ)
    run = load(OLD / "codes")
    codec = Codec.fit(split, run.codec.stft, n_codes=32, n_stages=2, n_components=20)
    for one, audio in ((run.codec, prime()), (codec, sound)):
        n = one.stft.window_samples
        windows = np.lib.stride_tricks.sliding_window_view(audio, n)[:: one.stft.hop_samples]
        spectra = np.abs(one.stft.of_frames(windows)).astype(np.float32)
        np.testing.assert_array_equal(Player(encoder_network(one))(magnitudes=spectra)["codes"], one.encode(audio))


def test_sound_of_codes_has_their_magnitudes(program, exported):
    """By Griffin and Lim; a tenth of the magnitudes' norm is left, as no sound has exactly these."""
    played = program.played(exported / "codes.onnx", prime(), 8000)
    assert played.shape == (8000,) and np.isfinite(played).all()
    _, magnitudes = codes_and_magnitudes(program, exported, prime(), 60)
    n, hop = 256, 128
    windows = np.lib.stride_tricks.sliding_window_view(played, n)[::hop]
    got = np.abs(np.fft.rfft(windows * program.hann(n)))[5:50]
    error = np.linalg.norm(got - magnitudes[6:51]) / np.linalg.norm(magnitudes[6:51])
    assert error < 0.5


LOGISTIC, CATEGORICAL = LogisticMixture(2, 11, 0.2), Categorical(11)
SAMPLE_MODELS = {
    "two tiers, categorical": ((4,), CATEGORICAL, None, "lstm", "linear"),
    "three tiers, logistic": ((6, 2), LOGISTIC, None, "lstm", "mu"),
    "four tiers, about a linear prediction": ((8, 4, 2), LOGISTIC, np.array([1.2, -0.5, 0.1, 0.02]), "gru", "mu"),
}


@pytest.mark.parametrize("name", SAMPLE_MODELS)
def test_levels_are_exactly_those_of_the_player_in_each_stream(name):
    """Two streams side by side, 50 frames of the top tier, at another temperature."""
    frames, readout, taps, cell, law = SAMPLE_MODELS[name]
    rng = np.random.default_rng(1)
    model = sample_model(frames, 3, 5, readout, rng=rng, cell=cell, deviation=0.4, taps=taps)
    randomise(model, rng, 0.3)
    if taps is not None:
        model.taps.set_value(taps.astype(np.float32))
    quantizer, size = Quantizer(2.0, 11, law), frames[0]
    primes = rng.integers(0, 11, (2, model.n_context + 3 * size))
    sampler = SamplePlayer(model, primes, Sampling(0.8), seed=5)
    expected = sampler.levels(50 * size)
    player = Player(step_network(model, quantizer), 2)
    player.state["history"] = primes[:, : model.n_context]
    n_uniform = 1 if readout is CATEGORICAL else 2
    temperature = np.array(0.8)
    for known in np.split(primes[:, model.n_context :], 3, axis=1):
        result = player(known=known, uniform=np.zeros((2, size, n_uniform)), temperature=temperature)
        np.testing.assert_array_equal(result["levels"], known)
    sources = [np.random.default_rng((5, k, 11)) for k in range(2)]
    for wanted in np.split(expected, 50, axis=1):
        uniform = np.stack([source.random((size, n_uniform)) for source in sources])
        result = player(known=np.full((2, size), -1), uniform=uniform, temperature=temperature)
        np.testing.assert_array_equal(result["levels"], wanted)
        np.testing.assert_allclose(result["samples"], quantizer.samples(wanted), rtol=1e-6)
    assert len(np.unique(expected)) > 5


def test_what_is_to_be_known_is_in_the_file(program, exported):
    for name, recipe in (("lstm", "frames"), ("codes", "codes"), ("samples", "samples")):
        run, about = load(OLD / name), program.Network(exported / f"{name}.onnx").about
        assert (about["format"], about["recipe"], about["sample_rate_hz"]) == (1, recipe, RATE_HZ)
        assert (about["mean"], about["std"]) == (run.scale.mean, run.scale.std)
    assert program.Network(exported / "codes.onnx").about["temperatures"] == [1.1, load(OLD / "codes").playing[2]]
    assert program.Network(exported / "lstm.onnx").about["output_noise_std"] == load(OLD / "lstm").output_noise_std
    learnt = {s["name"]: s["initial"] for s in program.Network(exported / "gru-2016.onnx").about["states"]}
    values = load(OLD / "gru-2016").model.get_values()
    initial = [value for name, value in values.items() if ".initial_" in name]
    assert len(initial) == 2 and all(map(np.array_equal, map(np.float32, learnt.values()), initial))


def test_the_program_plays_from_a_file_to_a_file(program, exported, tmp_path):
    """A tenth of a second after the prime, on the scale of the recording."""
    about = program.Network(exported / "gru-2016.onnx").about
    soundfile.write(tmp_path / "prime.wav", 0.1 * prime(), RATE_HZ, subtype="FLOAT")
    program.main(str(exported / "gru-2016.onnx"), tmp_path / "prime.wav", tmp_path / "out.wav", "0.1")
    audio, rate = soundfile.read(tmp_path / "out.wav")
    run = load(OLD / "gru-2016")
    continued = np.concatenate(list(run.stream(run.scale.standardise(0.1 * prime()), 800)))
    assert (rate, len(audio)) == (RATE_HZ, N_PRIME + 800)
    np.testing.assert_allclose(audio[N_PRIME:], continued * about["std"] + about["mean"], atol=1e-4)
    soundfile.write(tmp_path / "fast.wav", prime(), 2 * RATE_HZ)
    with pytest.raises(SystemExit, match="has 16000 Hz; expected 8000"):
        program.main(str(exported / "gru-2016.onnx"), tmp_path / "fast.wav", tmp_path / "out.wav", "0.1")


def test_the_program_needs_nothing_of_the_package():
    nodes = list(ast.walk(ast.parse(PROGRAM.read_text(encoding="utf-8"))))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert modules - sys.stdlib_module_names == {"numpy", "onnxruntime", "soundfile"}


def test_runs_of_ones_own_cell_and_recipe(tmp_path):
    """The cell by its equation; the recipe, which says nothing of exporting, by the step of its model."""
    corpus = OLD / "corpus.hdf5"
    small = {"frame_size": 40, "n_steps": 4, "batch_size": 4, "max_updates": 2, "validate_every": 1}
    fit(FRAMES, FramesConfig(model=ModelConfig.of(cell=LEAKY, n_units=5), **small), corpus, tmp_path / "leaky")
    said = export(tmp_path / "leaky", tmp_path / "leaky.onnx")
    assert said.startswith(f"wrote {tmp_path / 'leaky.onnx'} (0.00 MB): frame -> next_frame, and 1 state")
    sound = prime(400)
    expected = np.concatenate(list(load(tmp_path / "leaky").stream(sound, 200)))
    np.testing.assert_allclose(example().played(tmp_path / "leaky.onnx", sound, 200), expected, rtol=0, atol=1e-5)
    run = tmp_path / "spectra"
    fit(recipe_named("spectra"), spectra_recipe.SpectraConfig(max_updates=2), corpus, run)
    assert ": x -> y, and 1 state" in export(run, tmp_path / "spectra.onnx")


# ---------------------------------------------------------------- what is refused


def refused(message, run_dir, out, **options):
    """The export fails with one clear message, and no file is left or changed."""
    before = {path: path.read_bytes() for path in out.parent.iterdir() if path.is_file()}
    with pytest.raises(RnnaudioError, match=message):
        export(run_dir, out, **options)
    assert {path: path.read_bytes() for path in out.parent.iterdir() if path.is_file()} == before


def test_files_that_exist_are_kept_unless_told_otherwise(tmp_path):
    out = tmp_path / "out.onnx"
    out.write_text("mine")
    refused("out.onnx exists: choose another name, or replace it with --overwrite", OLD / "lstm", out)
    assert "wrote" in export(OLD / "lstm", out, overwrite=True) and out.stat().st_size > 1000
    out.unlink()
    (tmp_path / "out-encoder.onnx").write_text("mine")
    refused("out-encoder.onnx exists", OLD / "codes", out)
    said = export(OLD / "codes", out, overwrite=True).splitlines()
    assert len(said) == 2 and said[1].endswith("magnitudes -> codes")


def test_other_names_and_folders_without_a_run(tmp_path):
    refused("out.wav: expected a name that ends in .onnx", OLD / "lstm", tmp_path / "out.wav")
    refused("no run|no checkpoint", tmp_path, tmp_path / "out.onnx")


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(RnnaudioError, match="cannot write .*nowhere/out.onnx: No such file or directory"):
        export(OLD / "lstm", tmp_path / "nowhere" / "out.onnx")
    (tmp_path / "out-encoder.onnx").mkdir()
    refused("out-encoder.onnx: it is a folder", OLD / "codes", tmp_path / "out.onnx", overwrite=True)


def test_a_disk_that_fills_leaves_nothing(tmp_path, monkeypatch):
    """After the first file of two."""
    written = []

    def write(path, content):
        written.append(path)
        if len(written) > 1:
            raise OSError(28, os.strerror(28))
        return len(content)

    monkeypatch.setattr(Path, "write_bytes", write)
    refused("No space left on device; nothing was changed", OLD / "codes", tmp_path / "out.onnx")
    assert len(written) == 2


def test_a_run_that_plays_with_the_noise_of_training():
    model = Sequential([LSTM(4, 3, rng=np.random.default_rng(0)), Dense(3, 4, rng=np.random.default_rng(0))])
    with pytest.raises(RnnaudioError, match="generates with the noise and dropout of training .*: train one without"):
        frames_network(model, FramesConfig(frame_size=4, noise_in_evaluation=True), 0.0)


def test_a_model_without_a_step():
    run = load(OLD / "samples")
    with pytest.raises(RnnaudioError, match="a SampleModel has no step.*give it a method networks"):
        super(type(run), run).networks()


def test_a_readout_without_a_sampler():
    readout = Categorical(11, kernel="")
    model = sample_model((4,), 3, 5, readout, rng=np.random.default_rng(0))
    with pytest.raises(RnnaudioError, match="read-out Categorical cannot be exported: use categorical or logistic"):
        step_network(model, Quantizer(1.0, 11))


def test_networks_beyond_what_a_file_can_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 1000)
    refused("an ONNX file holds 0.00 GB: train a smaller model", OLD / "lstm", tmp_path / "out.onnx")


def test_a_network_that_breaks_a_rule(tmp_path, monkeypatch):
    """An operator that ONNX does not have."""
    network = load(OLD / "lstm").networks()[""]
    network.graph.nodes[3] = network.graph.nodes[3]._replace(op="Nonsense")
    with pytest.raises(RnnaudioError, match="breaks a rule of ONNX .*rewrite its layer more simply"):
        onnx_file.as_bytes(network)


def test_the_command(command, tmp_path):
    status, out, _ = command("export", OLD / "memory-lstm", tmp_path / "out.onnx")
    assert status == 0 and out.startswith("wrote ") and out.count("\n") == 1
    status, _, err = command("export", OLD / "memory-lstm", tmp_path / "out.onnx")
    assert status == 2 and "exists" in err and err.count("\n") == 1


def test_without_the_extra_it_is_named(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for module in ("rnnaudio.runs.export", "rnnaudio.export.file"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    status, _, err = command("export", OLD / "lstm", tmp_path / "out.onnx")
    assert status == 2 and "pip install 'rnnaudio[onnx]'" in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_how_a_run_plays_that_was_never_chosen_is_noted(program, tmp_path):
    shutil.copytree(OLD / "codes", tmp_path / "run")
    (tmp_path / "run/playing.json").unlink()
    export(tmp_path / "run", tmp_path / "out.onnx")
    about = program.Network(tmp_path / "out.onnx").about
    assert about["note"].startswith("how this run plays was not chosen yet") and about["temperatures"] == [1.0, 1.0]
    assert json.dumps(about)
