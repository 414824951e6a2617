"""The command line as its users meet it: a whole small run, and every kind of bad input."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from rnnaudio.audio import read_audio, write_wav
from rnnaudio.cli import main
from rnnaudio.runs import outcome
from rnnaudio.runs.explanations import EXPLANATIONS, OF_FRAMES
from rnnaudio.runs.frames import recipe as frames_recipe
from rnnaudio.training import checkpoint as checkpoints
from rnnaudio.training import memory
from tests.support.pictures import draw_pixels_if_fast

RATE = 8000
SMALL = ["--frame-size", "40", "--n-steps", "5", "--batch-size", "2", "--n-units", "6", "--validate-every", "4"]


def notes(seconds, seed):
    """Decaying notes: something with onsets, at a moderate level."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    audio = np.zeros_like(t)
    for onset in np.arange(0, seconds, 0.25):
        after = np.maximum(t - onset, 0)
        audio += (t >= onset) * np.exp(-4 * after) * np.sin(2 * np.pi * rng.integers(200, 900) * after)
    return 0.1 * audio


@pytest.fixture(scope="module", autouse=True)
def quick_pictures():
    """Those of the run that the tests share are drawn."""


@pytest.fixture(autouse=True)
def quick_pictures_of_each_test(request, monkeypatch):
    draw_pixels_if_fast(request, monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three recordings, their corpus, and a run trained on it."""
    folder = tmp_path_factory.mktemp("cli")
    for k in range(3):
        write_wav(folder / f"{k}.wav", notes(4.0, k), RATE)
    with pytest.MonkeyPatch.context() as patch:
        for arguments in (
            ["corpus", "build", folder, folder / "corpus.h5", "--sample-rate-hz", RATE],
            ["train", folder / "corpus.h5", folder / "run", *SMALL, "--max-updates", 8],
        ):
            patch.setattr(sys, "argv", ["rnnaudio", *map(str, arguments)])
            main()
    return folder


PICTURES = ("saturation", "learning_curve", "gradients", "update_ratios")


def test_a_run_leaves_sound_pictures_and_figures(folder):
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        "checkpoint.safetensors",
        "checkpoint.previous.safetensors",
        "history.jsonl",
        "config.json",
        "config.toml",
        "generated.wav",
        "original.wav",
        "summary.json",
        "report.html",
        "spectrogram.png",
        *(f"{name}{form}.png" for name in PICTURES for form in ("", "-narrow")),
    }
    for name in ("config.json", "summary.json"):
        text = (folder / "run" / name).read_text()
        assert json.loads(text) and text.endswith("}\n")
    summary = json.loads((folder / "run/summary.json").read_text())
    assert summary["updates"] == 8 and summary["baselines_decibel"]["predict zero"] == 0.0
    generated, rate = read_audio(folder / "run/generated.wav")
    original, _ = read_audio(folder / "run/original.wav")
    assert rate == RATE
    assert len(generated) == 11 * RATE
    np.testing.assert_allclose(generated[:RATE], original[:RATE], atol=2 / 32768)


def test_every_figure_and_table_of_the_report_is_explained(folder):
    page = (folder / "run/report.html").read_text()
    named = re.findall(r"<figcaption><strong>(.*?)</strong><p>.+?</p></figcaption>", page)
    key = "(?: <span[^>]*>key .</span>)?"
    named += re.findall(rf"<strong>([^<]*)</strong>{key}</button></figcaption><audio[^>]*></audio><p>.+?</p>", page)
    named += [heading for heading in re.findall(r"<h2>(.*?)</h2>\n<p>", page) if heading != "Sounds"]
    assert sorted(named) == sorted({*EXPLANATIONS, *OF_FRAMES} - {"codec alone"})  # which runs over codes have
    assert page.count("<figure>") == 4 and page.count('<figure class="player">') == 2 and page.count("<table>") == 3


def test_resume_goes_on(folder, command):
    status, out, _ = command("resume", folder / "run", "--max-updates", 12)
    assert status == 0 and "12 updates" in out


def test_resume_writes_the_report_of_a_run_that_was_broken_off_before_it(folder, tmp_path, command):
    run_dir = tmp_path / "run"
    shutil.copytree(folder / "run", run_dir)
    checkpoint = checkpoints.load(checkpoints.path_in(run_dir))
    checkpoint.record["stopping"] |= {"should_stop": True, "reason": "patience is at an end"}
    checkpoints.save(checkpoints.path_in(run_dir), checkpoint)
    report = run_dir / "report.html"
    report.touch()
    status, _, error = command("resume", run_dir)
    assert status == 2 and "more time changes nothing" in error
    os.utime(report, (0, 0))  # of the run as it was before
    status, out, _ = command("resume", run_dir)
    assert status == 0 and "patience is at an end" in out and report.stat().st_mtime > 0


def test_generate_from_the_corpus_and_from_a_file_of_another_rate(folder, tmp_path, command):
    stereo = np.stack([notes(1.5, 9), notes(1.5, 8)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 44_100)
    for arguments in ([], ["--prime-file", tmp_path / "stereo.wav", "--prime-seconds", 0.1]):
        out = tmp_path / "out.wav"
        arguments = [*arguments, "--overwrite"] if out.exists() else arguments
        status, text, _ = command("generate", folder / "run", out, "--seconds", 0.5, *arguments)
        assert status == 0 and "0.50 s generated" in text
        seconds = (0.1 if arguments else 1.0) + 0.5
        assert len(read_audio(out)[0]) == round(seconds * RATE)


def test_generate_many_streams(folder, tmp_path, command):
    """Each from its own place of the test split, to the same sound as alone; all files or none."""
    generate = ["generate", folder / "run", tmp_path / "out.wav", "--seconds", 0.5, "--prime-index", 2]
    status, text, _ = command(*generate, "--streams", 3)
    names = [f"out-{k}.wav" for k in (1, 2, 3)]
    assert status == 0 and sorted(path.name for path in tmp_path.iterdir()) == names
    assert "out-1.wav to out-3.wav: 1.00 s prime + 0.50 s generated each" in text
    assert re.search(r"generated each, [0-9.]+ times faster than real time in all", text)
    played = [(tmp_path / name).read_bytes() for name in names]
    assert len(set(played)) == 3
    status, text, _ = command("generate", *generate[1:-1], 3)
    assert re.search(r"generated, [0-9.]+ times faster than real time", text) and "in all" not in text
    assert (tmp_path / "out.wav").read_bytes() == played[1]

    (tmp_path / "out-1.wav").unlink()
    status, _, error = command(*generate, "--streams", 3)
    assert status == 2 and "out-2.wav exists: choose another name" in error
    (tmp_path / "out-3.wav").unlink()
    (tmp_path / "out-3.wav").mkdir()
    status, _, error = command(*generate, "--streams", 3, "--seconds", 0.1, "--overwrite")
    assert status == 2 and "out-3.wav: it is a folder" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-2.wav", "out-3.wav", "out.wav"]
    assert (tmp_path / "out-2.wav").read_bytes() == played[1]


def test_corpus_info_verifies(folder, command):
    status, out, _ = command("corpus", "info", folder / "corpus.h5", "--verify")
    assert status == 0 and out.count("train") + out.count("valid") + out.count("test") >= 3


def test_info_names_engine_and_speed(command):
    status, out, _ = command("info")
    assert status == 0
    for word in ("engine", "mode", "BLAS", "GFLOP/s"):
        assert word in out


def bad_inputs(folder, tmp):
    text = tmp / "text.wav"
    text.write_text("this is not audio at all, it only says so\n" * 10)
    cut = tmp / "cut.h5"
    cut.write_bytes((folder / "corpus.h5").read_bytes()[:3000])
    short = tmp / "short.wav"
    write_wav(short, 0.1 * np.resize([1.0, -1.0], 20), RATE)
    silent = tmp / "silent"
    silent.mkdir()
    write_wav(silent / "s.wav", np.zeros(RATE), RATE)
    empty = tmp / "empty"
    empty.mkdir()
    corpus, trained, out = folder / "corpus.h5", folder / "run", tmp / "out"
    return {
        "missing corpus": (["train", tmp / "no.h5", out], "no such"),
        "truncated corpus": (["train", cut, out], "cut.h5"),
        "not a corpus": (["train", text, out], "text.wav"),
        "run exists": (["train", corpus, trained, *SMALL], "--resume"),
        "other settings": (["train", corpus, trained, *SMALL, "--n-units", "7", "--resume"], "model"),
        "frame longer than a piece": (["train", corpus, out, "--n-units", "6", "--frame-size", "99999"], "frame_size"),
        "no sense": (["train", corpus, out, "--batch-size", "0"], "batch_size"),
        "unknown setting": (["train", corpus, out, "--n-unit", "7"], "--n-units"),
        "no whole number": (["train", corpus, out, "--n-units", "x"], "--n-units: got 'x', expected a whole number"),
        "no number": (["resume", trained, "--minutes", "x"], "--minutes: got 'x', expected a number or None"),
        "no such choice": (
            ["train", corpus, out, "--readout", "relu"],
            "'relu' for argument '--readout'. Expected one of",
        ),
        "no such batches": (
            ["train", corpus, out, "--batches", "shift"],
            "unknown batcher 'shift'; did you mean 'shifted'",
        ),
        "no such recipe": (["train", corpus, out, "--recipe", "code"], "unknown recipe 'code'; did you mean 'codes'?"),
        "no such preset": (["train", corpus, out, "--preset", "lstn"], "unknown preset 'lstn'; did you mean 'lstm'?"),
        "nothing like a cell": (
            ["train", corpus, out, "--cell", "xyz"],
            "unknown cell 'xyz'; known are lstm, gru, gru",
        ),
        "no such cell": (["train", corpus, out, "--cell", "lstmm"], "unknown cell 'lstmm'; did you mean 'lstm'?"),
        "argument missing": (["train", corpus], "rnnaudio: train needs RUN_DIR; --help"),
        "option missing": (["compare", trained], "rnnaudio: compare needs --out PAGE.html; --help"),
        "all missing": (["sweep"], "rnnaudio: sweep needs SPACE.toml and CORPUS.h5 and OUT; --help"),
        "value missing": (["resume", trained, "--minutes"], "Missing value for argument '--minutes'"),
        "no such command": (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        "no such subcommand": (["corpus", "bild"], "bild; Available subcommands: build, add, "),
        "no subcommand": (["corpus"], "Expected one of {build, add, remove, merge, timit, list, info}"),
        "text as wav": (["corpus", "build", text, tmp / "x.h5"], "text.wav"),
        "empty folder": (["corpus", "build", empty, tmp / "x.h5"], "empty"),
        "no output named": (["corpus", "build", silent / "s.wav", silent / "s.wav"], ".h5"),
        "corpus exists": (["corpus", "build", silent, corpus], "--overwrite"),
        "output of another kind": (["generate", trained, tmp / "x.mp3"], ".wav"),
        "only silence": (["corpus", "build", silent, tmp / "x.h5"], "silen"),
        "no run": (["generate", empty, tmp / "x.wav"], "no checkpoint"),
        "output exists": (["generate", trained, text], "exists: choose another name"),
        "peepholes of a gru": (
            ["train", corpus, tmp / "gru", "--cell", "gru", "--peepholes"],
            "Unrecognized options: --peepholes",
        ),
        "corpus as run": (["generate", corpus, tmp / "x.wav"], f"{corpus} is a file; expected the folder of a run"),
        "corpus as run to resume": (["resume", corpus], "corpus.h5 is a file; expected the folder of a run"),
        "corpus as run to train": (["train", corpus, corpus], "corpus.h5 is a file; expected the folder of a run"),
        "wav as demo": (["demo", "--run-dir", text], "text.wav is a file; expected the folder of a run"),
        "seed shorter than a frame": (
            ["generate", trained, tmp / "x.wav", "--prime-file", short, "--prime-seconds", 20 / RATE],
            "the prime has 20 samples, less than one frame of 40",
        ),
        "seed file shorter than the seed": (
            ["generate", trained, tmp / "x.wav", "--prime-file", folder / "0.wav", "--prime-seconds", "4.5"],
            "the prime is to have 4.5 s: take a longer file or a lower --prime-seconds",
        ),
        "seed is text": (["generate", trained, tmp / "x.wav", "--prime-file", text], "text.wav"),
        "no place to write": (["generate", trained, tmp / "no/x.wav", "--seconds", "0.1"], "x.wav"),
        "no such place": (["generate", trained, tmp / "x.wav", "--prime-index", "-1"], "prime_index is -1"),
        "no streams": (["generate", trained, tmp / "x.wav", "--streams", "0"], "streams is 0; expected 1 or more"),
        "streams of one seed file": (
            ["generate", trained, tmp / "x.wav", "--streams", "2", "--prime-file", folder / "0.wav"],
            "--streams 2 from one --prime-file would all sound the same",
        ),
        "no length": (["generate", trained, tmp / "x.wav", "--seconds", "0"], "seconds"),
    }


def test_bad_input_gives_one_clear_line_and_status_2(folder, tmp_path, command):
    for name, (arguments, expected) in bad_inputs(folder, tmp_path).items():
        status, _, err = command(*arguments)
        assert status == 2, f"{name}: status {status}, {err}"
        assert expected in err, f"{name}: {err}"
        assert "Traceback" not in err
        assert err.startswith("rnnaudio: ") and len(err.strip().splitlines()) == 1, f"{name}: {err}"
    assert not list(tmp_path.glob("x.*")) and not list(tmp_path.glob("**/*.part"))


def test_a_corpus_that_was_moved_is_named_and_known_again(folder, tmp_path, command):
    shutil.copytree(folder / "run", tmp_path / "run")
    shutil.copy(folder / "corpus.h5", tmp_path)
    checkpoint = tmp_path / "run/checkpoint.safetensors"
    saved = checkpoints.load(checkpoint)
    saved.record["config"]["corpus"]["path"] = str(tmp_path / "gone.h5")
    checkpoints.save(checkpoint, saved)
    write_wav(tmp_path / "other.wav", notes(9.0, 7), RATE)
    build = ["corpus", "build", tmp_path / "other.wav", tmp_path / "other.h5", "--sample-rate-hz", RATE]
    assert command(*build)[0] == 0
    generate = ["generate", tmp_path / "run", tmp_path / "x.wav", "--seconds", 0.1]
    resume = ["resume", tmp_path / "run", "--max-updates", 13]
    for arguments in (generate, resume):
        status, _, err = command(*arguments)
        assert status == 2 and "gone.h5" in err and "--corpus" in err
        status, _, err = command(*arguments, "--corpus", tmp_path / "other.h5")
        assert status == 2 and "other.h5 is not the corpus of the run: mean was" in err
    assert not (tmp_path / "x.wav").exists()
    assert command(*generate, "--corpus", tmp_path / "corpus.h5")[0] == 0
    assert command(*resume, "--corpus", tmp_path / "corpus.h5")[0] == 0
    assert checkpoints.load(checkpoint).record["config"]["corpus"]["path"] == str(tmp_path / "corpus.h5")
    assert command(*generate, "--overwrite")[0] == 0  # it is known there from now on


@pytest.mark.slow
def test_silent_validation_is_refused_and_a_silent_seed_is_played(tmp_path, command):
    """One recording is cut in time: 80 % to train on, 10 % to validate, 10 % to test."""
    for name, seconds, expected in (("valid", 7.9, 2), ("test", 8.95, 0)):
        sound = np.concatenate([notes(seconds, 1), np.zeros(round((10 - seconds) * RATE))])
        write_wav(tmp_path / f"{name}.wav", sound, RATE)
        build = ["corpus", "build", tmp_path / f"{name}.wav", tmp_path / f"{name}.h5", "--sample-rate-hz", RATE]
        assert command(*build, "--keep-silence")[0] == 0
        train = ["train", tmp_path / f"{name}.h5", tmp_path / name, *SMALL, "--max-updates", 4]
        status, out, err = command(*train)
        assert status == expected, err
        assert "nan" not in out and ("validation pieces of" in err and "are silent" in err) == (status == 2)
    assert not (tmp_path / "valid").exists()
    seed, _ = read_audio(tmp_path / "test/generated.wav")
    assert not seed[:RATE].any()


def test_a_refused_run_leaves_the_earlier_one_as_it_was(folder, command):
    before = {path.name: path.read_bytes() for path in (folder / "run").iterdir()}
    status, _, _ = command("train", folder / "corpus.h5", folder / "run", *SMALL, "--n-units", "9")
    assert status == 2
    assert {path.name: path.read_bytes() for path in (folder / "run").iterdir()} == before


def test_demo_refuses_a_folder_with_another_run(folder, command):
    before = {path.name for path in (folder / "run").iterdir()}
    status, _, err = command("demo", "--run-dir", folder / "run")
    assert status == 2 and "not a demo's" in err
    assert {path.name for path in (folder / "run").iterdir()} == before


def test_a_model_that_explodes_still_leaves_its_results(folder, monkeypatch, tmp_path):
    """A free run that overflows after a few frames gives less than a second of sound; it is judged and shown too."""

    def explode(stepper, primes, **_):
        (prime,) = primes
        yield np.append(0.1 * prime[:80], np.full(40, np.nan, np.float32))[None]

    shutil.copytree(folder / "run", tmp_path / "run")
    monkeypatch.setattr(frames_recipe, "continued_blocks", explode)
    summary = outcome.write_outcome(tmp_path / "run", folder / "corpus.h5")
    assert summary["generated_seconds"] == 80 / RATE and summary["death"] == f"not finite after {80 / RATE:.2f} s"
    assert (tmp_path / "run/report.html").exists()


@pytest.mark.parametrize(
    "every",
    [pytest.param(4, id="a loss of training"), pytest.param(1, id="a loss of validation", marks=pytest.mark.slow)],
)
def test_training_that_breaks_down_at_once_is_told_in_one_line_with_its_causes(folder, command, tmp_path, every):
    words = ["train", folder / "corpus.h5", tmp_path / "run", *SMALL, "--max-updates", 8, "--learning-rate", "1e30"]
    status, out, err = command(*words, "--validate-every", every)
    assert status == 3 and len(err.splitlines()) == 1 and "Traceback" not in err
    assert "is not finite" in err and "the learning rate (1e+30) is too high; lower --learning-rate" in err
    assert f"rnnaudio corpus info {folder / 'corpus.h5'} --verify" in err
    assert "playing on" not in out and not (tmp_path / "run/checkpoint.safetensors").exists()
    assert command(*words, "--learning-rate", 1e-3)[0] == 0  # the folder is not taken


@pytest.mark.slow
def test_training_that_diverges_in_finite_numbers_says_so_and_ends_with_status_3(folder, command, tmp_path):
    words = [*SMALL, "--max-updates", 4, "--validate-every", 2, "--learning-rate", 1000, "--optimizer", "sgd"]
    status, out, err = command("train", folder / "corpus.h5", tmp_path / "run", *words, "--max-gradient-norm", 1e9)
    last = err.splitlines()[-1]
    assert status == 3 and last.startswith("rnnaudio: the training diverged: at update 4 the validation loss was"), err
    assert "train in another run directory with a lower --learning-rate than 1000" in last
    assert "The training diverged: at update 4" in out
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["trouble"] and "The training diverged" in (tmp_path / "run/report.html").read_text()
    (tmp_path / "run/checkpoint.safetensors").write_bytes(b"torn")
    status, out, err = command("report", tmp_path / "run")
    assert status == 0 and "is damaged or no checkpoint" in err and err.count("taken instead") == 1


@pytest.mark.parametrize("recipe", ["codes", "samples"])
def test_a_step_of_codes_or_samples_that_does_not_fit_is_refused(folder, monkeypatch, command, recipe):
    monkeypatch.setattr(memory, "available_bytes", lambda: 8_000_000_000)
    out = folder / "too-large"
    status, _, err = command("train", folder / "corpus.h5", out, "--recipe", recipe, "--batch-size", 1_000_000)
    assert status == 2 and not out.exists()
    assert re.search(r"needs about [\d.]+ GB.*8.0 GB are available: lower --batch-size \(1000000\) or --n-steps", err)
    assert "segment" not in err and len([line for line in err.splitlines() if line.startswith("rnnaudio:")]) == 1


def test_memory_that_runs_out_ends_a_command_with_one_line(folder, monkeypatch, command):
    def exhausted(*arguments, **options):
        return np.empty(1 << 55)

    monkeypatch.setattr("rnnaudio.runs.listing.rows_in", exhausted)
    status, out, err = command("runs", folder)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("rnnaudio: out of memory (Unable to allocate") and err.endswith("or free memory\n")


def test_a_step_that_does_not_fit_is_refused_before_anything_is_written(folder, monkeypatch, command):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    out = folder / "too-large"
    status, _, err = command("train", folder / "corpus.h5", out, *SMALL)
    assert status == 2 and not out.exists()
    assert len(err.splitlines()) == 1
    assert re.search(r"needs about \d+ MB.*1 MB are available: lower --batch-size \(2\) or --n-steps \(5\)", err)


@pytest.mark.slow
def test_training_in_segments_says_what_a_step_needs(folder, command):
    arguments = ["train", folder / "corpus.h5", folder / "segments", *SMALL, "--segment-steps", 2, "--max-updates", 2]
    status, out, _ = command(*arguments)
    assert status == 0 and re.search(r"a step needs about \d+ MB of memory\n", out)
    assert json.loads((folder / "segments/config.json").read_text())["train"]["segment_steps"] == 2


def test_a_model_larger_than_the_memory_is_refused(folder, monkeypatch, command):
    def too_large(config):
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(frames_recipe, "build_model", too_large)
    status, _, err = command("train", folder / "corpus.h5", folder / "too-large", *SMALL)
    assert status == 2 and not (folder / "too-large").exists()
    assert "larger than the memory (Unable to allocate 7 TiB): lower n_units or n_layers" in err


def test_a_reader_that_has_seen_enough():
    """`rnnaudio defects | head -1`: no traceback."""
    command = [sys.executable, "-c", "from rnnaudio.cli import main; main()", "defects"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == (b"", 141)
    child.stderr.close()


def test_a_silent_seed_file_is_played_and_named(folder, tmp_path, command):
    write_wav(tmp_path / "silent.wav", np.zeros(2 * RATE), RATE)
    files = [tmp_path / "x.wav", "--prime-file", tmp_path / "silent.wav"]
    status, _, err = command("generate", folder / "run", *files, "--seconds", 0.1)
    assert status == 0 and "silent.wav is silent in the prime" in err and (tmp_path / "x.wav").exists()
