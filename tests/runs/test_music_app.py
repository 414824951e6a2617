"""Music over codes from a corpus to sound: what is saved, chosen and refused; the yardstick in one row."""

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from rnnaudio.audio import read_audio, write_wav
from rnnaudio.cli import main
from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus import Scale
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.diagnostics.causes import causes
from rnnaudio.diagnostics.subject import Figures, Measurements
from rnnaudio.errors import RnnaudioError
from rnnaudio.metrics import Alive, alive_seconds, calibrate, frechet_distance, in_range, log_mel
from rnnaudio.metrics.likeness import loop_score
from rnnaudio.metrics.music import structure
from rnnaudio.metrics.yardstick import FIELDS, Yardstick, most_looped
from rnnaudio.runs.codes import ceiling, choice
from rnnaudio.runs.codes.budget import Plan
from rnnaudio.runs.codes.choice import choose, health, healthiest, played
from rnnaudio.runs.codes.config import CodesConfig, fitted
from rnnaudio.runs.codes.model import encoded, training_codes, transposed
from rnnaudio.runs.codes.page import RULE, codes_page, score_rows, valid_bits
from rnnaudio.runs.codes.playing import Playing, load_playing, save_playing
from rnnaudio.runs.codes.recipe import CODES, CodesRecipe
from rnnaudio.runs.codes.run import CodesRun, loaded
from rnnaudio.runs.continuing import Monitor, SamplingOptions, Watch, gathered
from rnnaudio.runs.fit import fit
from rnnaudio.runs.generate import watched
from rnnaudio.runs.judging import Sound, limits_of_real_music
from rnnaudio.runs.listing import row_of
from rnnaudio.runs.load import load
from rnnaudio.runs.outcome import n_epochs, write_outcome
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import EarlyStopping, Evaluation, Run
from tests.support.sounds import RATE_HZ, music, noise, sine

TINY = CodesConfig(
    n_components=8, n_codes=12, transpose=(), n_units=8, n_steps=16, batch_size=4, max_updates=4, validate_every=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's corpus and a run of four updates on it."""
    folder = tmp_path_factory.mktemp("music")
    build_demo_corpus(folder / "corpus.h5")
    fit(CODES, TINY, folder / "corpus.h5", folder / "run")
    return folder


@pytest.fixture(scope="module")
def seeds(folder):
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        return [corpus.test.prime_at(k, 1.0) for k in range(2)]


def test_a_run_is_loaded_and_plays_the_same_again(folder, seeds):
    runs = [load(folder / "run") for _ in range(2)]
    first, again = (played(run, seeds, 24_000) for run in runs)
    for a, b in zip(first, again, strict=True):
        assert a.shape == (24_000,) and np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)
    last = loaded(runs[0].config, SavedRun.read(folder / "run"), "model")
    assert last.config == fitted(TINY, 1.0, RATE_HZ) and last.codec.n_codes == 12


def test_it_plays_the_same_in_blocks_and_frame_by_frame(folder, seeds):
    run = load(folder / "run")
    one, many = (
        np.concatenate([block.audio for block in run.coded_blocks(seeds, 9_000, n_at_once=n)], axis=1) for n in (1, 50)
    )
    np.testing.assert_array_equal(one, many)
    other = np.concatenate([block.audio for block in run.coded_blocks(seeds, 9_000, seed=1)], axis=1)
    assert (other != one).any()


@pytest.mark.parametrize(
    ("seconds", "rate", "found"),
    [
        (60.0, 16_000, (2048, 512, 128, 128, 128, 64, 1000, 1)),
        (600.0, 44_100, (4096, 1024, 128, 512, 256, 128, 2019, 1)),
        (3600.0, 16_000, (2048, 512, 128, 1024, 512, 256, 4000, 2)),
        (0.5, 8_000, (1024, 256, 8, 16, 128, 64, 1000, 1)),
    ],
)
def test_sizes_come_from_the_duration(seconds, rate, found):
    """Worked out by hand: frames = seconds rate / hop; a power of two of codes of 8 frames, above 256 of 40."""
    c = fitted(CodesConfig(), seconds, rate)
    assert found[:4] == (c.window_samples, c.hop_samples, c.n_components, c.n_codes)
    assert found[4:] == (c.n_units, c.head_units, c.max_updates, c.n_stages)
    assert fitted(c, 9.0, 8_000) == c  # what is set stays


def test_the_healthiest_is_chosen(folder, monkeypatch):
    rows = [
        {"dead_for_good": 1, "frechet": 2.0, "in_range": 1.0},
        {"dead_for_good": 0, "frechet": 5.0, "in_range": 0.99},
        {"dead_for_good": 0, "frechet": 4.7, "in_range": 0.90},
        {"dead_for_good": 0, "frechet": 4.0, "in_range": 0.80},
    ]
    assert healthiest(rows) == rows[2]
    monkeypatch.setattr(choice, "REFERENCE_SECONDS", 1.0)  # the demo's validation music is shorter than a minute
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        chosen = choose(folder / "run", corpus, temperatures=(0.8, 1.2), n_primes=1, seconds=2.0)
    history = load(folder / "run").record["history"]
    both = {"model"} if history[-1]["is_best"] else {"best", "model"}
    assert {(r["parameters"], r["temperature"]) for r in chosen.scores} == {(p, t) for p in both for t in (0.8, 1.2)}
    best = healthiest(chosen.scores)
    assert (chosen.parameters, chosen.temperature) == (best["parameters"], best["temperature"])
    assert {row["detail_temperature"] for row in chosen.scores} == {1.0}  # codes of one stage have no detail
    assert load(folder / "run").playing == chosen
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        training, valid = (
            np.concatenate(
                [log_mel(corpus.restore(piece.read(0, piece.n_samples)), RATE_HZ) for piece in split.pieces]
            )
            for split in (corpus.train, corpus.valid)
        )
    assert chosen.training_frechet == pytest.approx(frechet_distance(training, valid), abs=0.01)
    rows, page = score_rows(chosen), RULE.format(scale="")
    assert [row for row in rows if row["chosen"]] == [best | {"chosen": "yes"}]
    assert all(column in page for column in ("dead_for_good", "frechet", "in_range"))


@pytest.fixture
def scored(folder, monkeypatch, tmp_path):
    """A copy of the run, and the temperatures at which it was played: 2 dies least, of the others 1.5 is the best."""
    shutil.copytree(folder / "run", tmp_path / "run", ignore=shutil.ignore_patterns("playing.json"))
    tried = []

    def scores(sounds, rate, limits, real, primes=()):
        dead = {1.0: 2, 1.5: 1, 2.0: 0}[tried[-1]]
        return {"dead_for_good": dead, "in_range": 1.0} | ({} if real is None else {"frechet": 1.0})

    monkeypatch.setattr(choice, "played", lambda run, *_: tried.append(run.temperature))
    monkeypatch.setattr(choice, "health", scores)
    return tmp_path / "run", tried


def test_training_music_does_not_choose_where_validation_music_is_short(folder, scored, capsys):
    rows = [{"dead_for_good": 1, "in_range": 1.0}, *({"dead_for_good": 0, "in_range": k} for k in (0.8, 0.9, 0.9))]
    assert healthiest(rows) is rows[2]
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        assert corpus.valid.seconds < 60.0
        chosen = choose(scored[0], corpus, temperatures=(1.0, 2.0), n_primes=1, seconds=1.0)
    assert chosen.training_frechet is None and all("frechet" not in row for row in chosen.scores)
    said = capsys.readouterr().out
    assert "less than 60 s of validation music: what is alive is chosen by the share in range" in said
    assert health([music(4.0, 1)], RATE_HZ, None, None) == {"dead_for_good": 0, "in_range": 1.0}


def test_where_nothing_tells_settings_apart_the_run_plays_as_learnt_and_says_so(folder, scored, monkeypatch, capsys):
    """The limits of real music do not suit the corpus, and there is no minute of music to compare spectra with."""
    monkeypatch.setattr(choice, "usable_limits", lambda corpus, music: None)
    run_dir, tried = scored
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        chosen = choose(run_dir, corpus, temperatures=(2.0, 1.5, 1.0), details=(0.9, 0.8), n_primes=1, seconds=1.0)
    assert tried == [1.0] and chosen[:3] == ("model", 1.0, 1.0) and len(chosen.scores) == 1 and chosen.limits is None
    assert "nothing tells settings apart, and the run plays as it has learnt" in capsys.readouterr().out


def test_what_the_codec_alone_makes_of_music_is_measured_as_its_windows_are(folder, monkeypatch):
    run = load(folder / "run")
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        limits = limits_of_real_music(corpus)
        pieces = [corpus.restore(piece.read(0, piece.n_samples)) for piece in corpus.valid.pieces]
        within = [in_range(audio[: 20 * RATE_HZ // len(pieces)], RATE_HZ, limits).fraction for audio in pieces]
        for turned_into, coded in ((lambda audio: audio, np.mean(within)), (np.zeros_like, 0.0)):
            monkeypatch.setattr(type(run.codec), "encode", lambda self, audio: audio)
            monkeypatch.setattr(ceiling, "decoded_audio", lambda codec, audio, to=turned_into: to(audio))
            assert ceiling.in_range_through(run.codec, corpus) == pytest.approx((np.mean(within), coded), abs=0.02)


def test_a_codec_that_spoils_the_music_is_named_by_the_report_and_the_diagnosis(folder, monkeypatch):
    run = load(folder / "run")
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        for coded, is_named in ((0.8, False), (0.4, True)):
            for module in ("page", "recipe"):
                monkeypatch.setattr(f"rnnaudio.runs.codes.{module}.in_range_through", lambda *_, c=coded: (0.95, c))
            prime = corpus.restore(corpus.test.prime_at(0, 2.0))
            page = codes_page(run, corpus, Sound(prime, prime, prime, Alive(1.0, ""), "", Alive(1.0, "")))
            assert ("95 % of the seconds of validation music are within the limits of real music; coded and decoded, "
                    "without any model, 40 % are" in page.about) == is_named  # fmt: skip
            assert page.summary["validation_music_in_range_coded"] == coded
            subject = CODES.subject(run, corpus, folder / "run")
            measured = Measurements(figures=Figures(dict(zip(
                ("recorded_in_range", "coded_in_range"), subject.through_codec(), strict=True))))  # fmt: skip
            assert [cause.name for cause in causes(measured)] == ["codec-spoils-the-music"] * is_named


def test_a_choice_goes_on_with_what_was_tried_alike_and_is_asked_for(folder, scored):
    """Two of three settings were tried for 1 s: they are not tried again for 1 s, but for 2 s, or with a Frechet
    distance; and the choice is among the settings that are asked for, even if all of them were tried."""
    run_dir, tried = scored
    n_updates = SavedRun.read(run_dir).record["n_updates"]

    def broken_off(**more):
        rows = [
            {"parameters": "model", "temperature": t, "detail_temperature": 1.0, "primes": 1, "seconds": 1.0}
            | {"dead_for_good": dead, "in_range": 1.0}
            | more
            for t, dead in ((1.0, 2), (2.0, 0))
        ]
        save_playing(Playing("model", 2.0, 1.0, rows, None, untried=1), run_dir, n_updates)

    def again(temperatures, seconds=None):
        tried.clear()
        with AudioCorpus.open(folder / "corpus.h5") as corpus:
            return choose(run_dir, corpus, temperatures=temperatures, n_primes=1, seconds=seconds)

    for seconds, temperatures, expected, chosen in (
        (None, (1.0, 1.5, 2.0), [1.5], 2.0),
        (1.0, (1.0, 1.5), [1.5], 1.5),
        (2.0, (1.0, 2.0), [1.0, 2.0], 2.0),
        (None, (1.0,), [], 1.0),
    ):
        broken_off()
        playing = again(temperatures, seconds)
        assert (tried, playing.temperature, playing.untried) == (expected, chosen, 0)
        assert {row["seconds"] for row in playing.scores} == {seconds or 1.0}
        assert [row["temperature"] for row in playing.scores] and load(run_dir).playing == playing
    broken_off(frechet=3.0)  # of a version that measured it by other music
    assert again((1.0, 2.0), 1.0).temperature == 2.0 and tried == [1.0, 2.0]


def test_a_choice_that_is_broken_off_goes_on_where_it_was(folder, monkeypatch, command, tmp_path):
    """Ctrl-C at the third of four settings: two are kept, play with a note, and are not tried again by the report."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    for name in ("checkpoint.safetensors", "history.jsonl", "codec.safetensors"):
        shutil.copy(folder / "run" / name, run_dir)
    monkeypatch.setattr(CodesRecipe, "seconds", 2.0)
    monkeypatch.setattr(choice, "N_PRIMES", 2)
    monkeypatch.setattr(choice, "_affordable", lambda *_: Plan(4, 2, 1.5))
    monkeypatch.setattr(choice, "budget_seconds", lambda *_: 600.0)  # however slow the machine
    monkeypatch.setattr(choice.choose, "__kwdefaults__", choice.choose.__kwdefaults__ | {"temperatures": (1, 2, 3, 4)})
    tried = []

    def broken_off(run, primes, n_samples, seed):
        tried.append(run.temperature)
        if tried == [1, 2, 3]:
            raise KeyboardInterrupt
        return played(run, primes, n_samples, seed)

    monkeypatch.setattr(choice, "played", broken_off)
    status, _, _ = command("report", run_dir)
    kept = load(run_dir).playing
    assert status == 130 and kept.untried == 2 and [row["temperature"] for row in kept.scores] == [1, 2]
    assert kept.temperature == healthiest(kept.scores)["temperature"]
    status, _, err = command("generate", run_dir, tmp_path / "x.wav", "--seconds", 0.3)
    assert (
        status == 0 and "how this run plays was chosen from 2 of 4 settings: `rnnaudio report` tries the rest" in err
    )
    status, out, err = command("report", run_dir)
    whole = load(run_dir).playing
    assert status == 0 and tried == [1, 2, 3, 3, 4] and "2 of them before" in out, err
    assert whole.scores[:2] == kept.scores and whole.untried == 0 and len(whole.scores) == 4
    assert whole.scores[0]["seconds"] == 1.5 and whole.scores[0]["primes"] == 2 and load(run_dir).note == ""


def test_the_figure_is_that_of_the_parameters_that_play(folder, tmp_path, monkeypatch):
    """A run of 5 updates, validated after 2 and 4: its last parameters are validated for the report."""
    fit(CODES, dataclasses.replace(TINY, max_updates=5), folder / "corpus.h5", tmp_path / "run")
    run = load(tmp_path / "run")
    assert [row["updates"] for row in run.history] == [2, 4] and run.playing.parameters == "model"
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        prepared = CODES.prepare(run.config, corpus, tmp_path / "run")
        prepared.model.set_values(SavedRun.read(tmp_path / "run").parameters("model"))
        measured = Evaluation(prepared.model, prepared.objective)(prepared.validation)["bits"]
        assert valid_bits(run, corpus) == pytest.approx(measured, abs=1e-3)
        as_best = run.playing_as(run.playing._replace(parameters="best"))
        expected = next(row["valid"] for row in reversed(run.history) if row["is_best"])
        assert valid_bits(as_best, corpus) == pytest.approx(expected, abs=1e-3)
    assert measured != pytest.approx(run.history[-1]["valid"], abs=1e-6)
    summary = write_outcome(tmp_path / "run", folder / "corpus.h5", seconds=0.3, finish=False)
    assert summary["validation_loss"] == round(measured, 3) == row_of(tmp_path / "run", "").validation_loss
    assert n_epochs(run) == pytest.approx(5 / prepared.batches.batches_per_epoch)


def test_what_was_never_chosen_plays_as_learnt(tmp_path):
    as_learnt = Playing("model", 1.0, 1.0, [], None)
    assert load_playing(tmp_path, 7) == as_learnt
    chosen = Playing("best", 1.1, 0.9, [{"b": 1.0}], calibrate([music(4.0, 0)], RATE_HZ))
    save_playing(chosen, tmp_path, 7)
    assert load_playing(tmp_path, 7) == chosen and load_playing(tmp_path, 8) == as_learnt  # the run went on since
    record = json.loads((tmp_path / "playing.json").read_text())
    (tmp_path / "playing.json").write_text(json.dumps({k: v for k, v in record.items() if k != "n_updates"}))
    assert load_playing(tmp_path, 9) == chosen  # as runs of before have it
    whole = {"parameters": "worst", "temperature": 1.0, "scores": [], "limits": None}
    wrong_ones = {"{}": "parameters is missing", "[1, 2]": "a table", "": "not JSON", json.dumps(whole): "'worst'"}
    for wrong, words in wrong_ones.items():
        (tmp_path / "playing.json").write_text(wrong)
        with pytest.raises(RnnaudioError, match=f"is no record of how it plays .*{words}"):
            load_playing(tmp_path, 7)


@pytest.fixture
def choosing_is_short(monkeypatch):
    """One prime of a second for each choice, a report of two seconds."""
    monkeypatch.setattr("rnnaudio.runs.codes.budget.SECONDS", 1.0)
    monkeypatch.setattr("rnnaudio.runs.codes.choice.N_PRIMES", 1)
    monkeypatch.setattr(CodesRecipe, "seconds", 2.0)


@pytest.mark.usefixtures("choosing_is_short")
def test_a_run_leaves_a_page_and_sounds(folder):
    summary = write_outcome(folder / "run", folder / "corpus.h5", seconds=3.0)
    names = {path.name for path in (folder / "run").iterdir()}
    assert {"generated.wav", "original.wav", "codec_alone.wav", "spectrogram.png", "report.html"} <= names
    assert json.loads((folder / "run/summary.json").read_text()) == json.loads(json.dumps(summary))
    assert "codec alone" in (folder / "run/report.html").read_text()


# ---------------------------------------------------------------- what generate plays


def generate(monkeypatch, *arguments):
    """The exit status of ``rnnaudio generate``."""
    monkeypatch.setattr(sys, "argv", ["rnnaudio", "generate", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


def test_generate_streams_a_whole_wav_to_a_pipe(folder, monkeypatch, capsysbinary, tmp_path):
    arguments = ("--seconds", 0.7, "--temperature", 0.9, "--sampling-seed", 4)
    assert generate(monkeypatch, folder / "run", "-", *arguments) == 0
    out, err = capsysbinary.readouterr()
    with wave.open(io.BytesIO(out)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        assert file.getnframes() == round(1.7 * RATE_HZ)
        sent = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(sent) == round(1.7 * RATE_HZ) and b"1.00 s prime + 0.70 s generated" in err
    assert generate(monkeypatch, folder / "run", tmp_path / "x.wav", *arguments) == 0
    written, _ = read_audio(tmp_path / "x.wav")
    np.testing.assert_array_equal(written, sent / np.float32(32768))


def test_generate_from_a_file_of_another_rate_says_so(folder, monkeypatch, capsys, tmp_path):
    write_wav(tmp_path / "prime.wav", 0.1 * sine(440.0, 2.0), 22_050)
    prime = ("--prime-file", tmp_path / "prime.wav", "--seconds", 0.3)
    assert generate(monkeypatch, folder / "run", tmp_path / "x.wav", *prime) == 0
    assert "has 22050 Hz, the run 16000 Hz: it is resampled" in capsys.readouterr().err
    assert len(read_audio(tmp_path / "x.wav")[0]) == round(1.3 * RATE_HZ)


def test_options_go_by_their_names_of_before_too(folder, monkeypatch, tmp_path):
    write_wav(tmp_path / "prime.wav", 0.1 * sine(440.0, 1.0), RATE_HZ)
    names = ("--prime-file", "--prime-seconds", "--sampling-seed"), ("--seed-file", "--seed-seconds", "--draw-seed")
    for k, (file, seconds, seed) in enumerate(names):
        arguments = (file, tmp_path / "prime.wav", seconds, 0.5, seed, 4, "--seconds", 0.3)
        assert generate(monkeypatch, folder / "run", tmp_path / f"{k}.wav", *arguments) == 0
    assert (tmp_path / "0.wav").read_bytes() == (tmp_path / "1.wav").read_bytes()
    assert len(read_audio(tmp_path / "0.wav")[0]) == round(0.8 * RATE_HZ)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "0"], "the temperature is 0.0: expected more than 0"),
        (["--temperature", "1", "nan"], "the temperature is nan"),
        (["--seconds", "0"], "seconds is 0"),
        (["--seconds", "inf"], "seconds is inf"),
        (["--sampling-seed", "-1"], "sampling_seed is -1"),
        (["--draw-seed", "-1"], "sampling_seed is -1"),
        (["--nucleus", "0"], "nucleus 0"),
        (["--prime-seconds", "0.05"], "800 samples hold no frame of 2048: give more audio"),
    ],
)
def test_wishes_that_are_refused_write_nothing(folder, monkeypatch, capsys, tmp_path, arguments, message):
    assert generate(monkeypatch, folder / "run", tmp_path / "x.wav", *arguments) == 2
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if not line.startswith("note: how this run plays")]
    assert message in line and not list(tmp_path.iterdir())


def test_who_listens_to_a_pipe_is_told_of_a_death_once(capsys):
    limits = calibrate([music(20.0, seed) for seed in range(8)], RATE_HZ)
    audio = np.concatenate([music(20.0, 4), np.zeros(30 * RATE_HZ)]).astype(np.float32)
    parts = [audio[k : k + 512] for k in range(0, len(audio), 512)]
    passed = np.concatenate(list(watched(iter(parts), Watch(limits, Scale(0.0, 1.0)))))
    np.testing.assert_array_equal(passed, audio)
    said = capsys.readouterr().err
    assert said.startswith("note: fell silent") and said.count("\n") == 1


@pytest.mark.slow
def test_a_closed_pipe_ends_it_quietly(folder):
    code = "import sys; from rnnaudio.cli import main; sys.argv = sys.argv[1:]; main()"
    command = [sys.executable, "-c", code, "rnnaudio", "generate", str(folder / "run"), "-", "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(100)[:4] == b"RIFF"
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 141


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_a_pipe_is_told_in_a_line(folder):
    code = "import sys; from rnnaudio.cli import main; sys.argv = sys.argv[1:]; main()"
    command = [sys.executable, "-c", code, "rnnaudio", "generate", str(folder / "run"), "-", "--seconds", "1"]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2 and "cannot write to standard output: No space left" in ended.stderr
    assert "Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr


@pytest.mark.parametrize("name", ["missing/x.wav", "folder.wav"])
def test_a_sound_that_cannot_be_written_is_not_played_first(folder, monkeypatch, capsys, tmp_path, name):
    def played(*_):
        raise AssertionError("it was played")

    (tmp_path / "folder.wav").mkdir()
    monkeypatch.setattr(CodesRun, "blocks", played)
    assert generate(monkeypatch, folder / "run", tmp_path / name, "--overwrite") == 2
    assert "cannot write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


def test_streams_do_not_fit_in_a_pipe(folder, monkeypatch, capsys):
    assert generate(monkeypatch, folder / "run", "-", "--streams", 2) == 2
    assert "cannot all go to standard output" in capsys.readouterr().err


def test_a_loaded_player_continues_and_streams_the_same(folder, seeds):
    player = load(folder / "run")
    sampling = SamplingOptions(temperatures=(0.8, 1.2), seed=3)
    (whole,) = player.continue_primes(seeds[:1], 8_000, sampling)
    streamed = np.concatenate(list(player.stream(seeds[0], 8_000, sampling)))
    assert whole.n_prime == 16_000 and len(whole.audio) == 24_000 and not whole.stopped
    np.testing.assert_array_equal(streamed, whole.audio[16_000:])
    with pytest.raises(RnnaudioError, match="more than 0"):
        player.continue_primes(seeds, 800, SamplingOptions(temperatures=(1.0, 0.0)))


def test_a_stream_that_dies_is_cut_and_says_when():
    """20 s of music, then silence: after ten seconds of it the stream ends; the other goes on."""
    rate, limits = RATE_HZ, calibrate([music(20.0, seed) for seed in range(8)], RATE_HZ)
    alive = np.concatenate([music(20.0, seed) for seed in (1, 2, 3)])
    dying = np.concatenate([music(20.0, 4), np.zeros(40 * rate)])
    blocks = (np.stack([alive, dying])[:, k : k + 16_384] for k in range(0, 60 * rate, 16_384))
    monitor = Monitor([Watch(limits, Scale(0.0, 1.0)) for _ in range(2)], rate)
    results = gathered([np.zeros(10)] * 2, blocks, 60 * rate, monitor)
    assert results[0].stopped == "" and len(results[0].audio) == 10 + 60 * rate
    assert "fell silent" in results[1].stopped
    assert 30.0 <= (len(results[1].audio) - 10) / rate <= 34.0
    died = float(results[1].stopped.split("from ")[1].split(" s")[0])
    assert died == pytest.approx(20.0, abs=1.5)


def test_a_place_that_cannot_be_written_is_told_before_the_work(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnaudio.runs.codes.recipe.fitted_codec", lambda *arguments: pytest.fail("it worked first"))
    text = tmp_path / "a.txt"
    text.write_text("no folder")
    with pytest.raises(RnnaudioError, match="a.txt is a file, not a folder; name another run directory"):
        fit(CODES, TINY, folder / "corpus.h5", text / "run")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(RnnaudioError, match="is not writable; name another run directory"):
        fit(CODES, TINY, folder / "corpus.h5", tmp_path / "new" / "run")


def test_a_finished_run_is_not_overwritten(folder):
    with pytest.raises(RnnaudioError, match="exists: continue it"):
        fit(CODES, TINY, folder / "corpus.h5", folder / "run")
    run = fit(CODES, dataclasses.replace(TINY, max_updates=4), folder / "corpus.h5", folder / "run", resume=True)
    assert run.n_updates == 4


@pytest.mark.usefixtures("choosing_is_short")
def test_an_interrupted_run_plays_as_learnt_until_a_report_chooses(folder, monkeypatch, command, tmp_path):
    run_dir = tmp_path / "run"

    def broken_off(*_, **__):
        for name in ("checkpoint.safetensors", "history.jsonl", "codec.safetensors"):
            shutil.copy(folder / "run" / name, run_dir / name)
        return Run(EarlyStopping(3).initial(), reason="interrupted (Ctrl-C)", is_interrupted=True)

    monkeypatch.setattr("rnnaudio.runs.fit.fit", broken_off)
    status, out, err = command("music", folder / "corpus.h5", run_dir)
    assert status == 130 and "training ended: interrupted (Ctrl-C); playing on" in out, err
    assert f"it plays as trained so far: `rnnaudio resume {run_dir}` continues" in err
    summary = json.loads((run_dir / "summary.json").read_text())
    assert (run_dir / "report.html").exists() and not (run_dir / "playing.json").exists()
    assert summary["parameters"] == "model" and summary["limits_known"] is None and summary["temperature"] == 1.0
    status, _, err = command("generate", run_dir, tmp_path / "x.wav", "--seconds", 0.3)
    assert status == 0 and err.count("note: how this run plays was not chosen yet: `rnnaudio report` does") == 1

    status, out, err = command("report", run_dir)
    assert status == 0 and "It kept sounding like music" in out, err
    assert load(run_dir).playing.scores == json.loads((run_dir / "playing.json").read_text())["scores"] != []
    status, _, err = command("generate", run_dir, tmp_path / "y.wav", "--seconds", 0.3)
    assert status == 0 and "not chosen" not in err


def test_a_report_that_is_broken_off_says_how_to_write_it_later(folder, monkeypatch, command, tmp_path):
    def ended(*_, **__):
        raise KeyboardInterrupt

    run = Run(EarlyStopping(3).initial(), reason="the loss (nan) or its gradient is not finite at update 7")
    monkeypatch.setattr("rnnaudio.runs.fit.fit", lambda *_, **__: run)
    monkeypatch.setattr("rnnaudio.training.checkpoint.path_in", lambda run_dir: folder / "corpus.h5")  # as if saved
    monkeypatch.setattr("rnnaudio.runs.outcome.write_outcome", ended)
    status, out, err = command("train", folder / "corpus.h5", tmp_path / "run", "--recipe", "codes")
    assert status == 130 and "training ended: the loss (nan)" in out
    assert "the model is saved" in err and f"`rnnaudio report {tmp_path / 'run'}` goes on from here and writes" in err
    assert "interrupted" in err


@pytest.mark.parametrize(
    ("reason", "finish"), [("interrupted (Ctrl-C)", False), ("the loss (nan) is not finite", True)]
)
def test_a_run_that_broke_down_is_judged_as_it_was_saved(folder, monkeypatch, command, tmp_path, reason, finish):
    """Only Ctrl-C leaves the choice for later: what broke down would do so again."""
    asked = []

    def write_outcome(*_, **options):
        asked.append(options)
        raise KeyboardInterrupt

    run = Run(EarlyStopping(3).initial(), reason=reason, is_interrupted=not finish)
    monkeypatch.setattr("rnnaudio.runs.fit.fit", lambda *_, **__: run)
    monkeypatch.setattr("rnnaudio.training.checkpoint.path_in", lambda run_dir: folder / "corpus.h5")  # as if saved
    monkeypatch.setattr("rnnaudio.runs.outcome.write_outcome", write_outcome)
    command("music", folder / "corpus.h5", tmp_path / "run")
    assert [options["finish"] for options in asked] == [finish]


def test_who_plays_a_run_before_its_choice_is_told(folder, tmp_path):
    for name in ("checkpoint.safetensors", "history.jsonl", "codec.safetensors"):
        shutil.copy(folder / "run" / name, tmp_path / name)
    run = load(tmp_path)
    assert "was not chosen yet" in run.note
    assert run.playing_as(run.playing._replace(scores=[{"frechet": 1.0}])).note == ""


def test_what_is_no_run_over_codes_is_refused(folder, tmp_path):
    with pytest.raises(RnnaudioError, match="no checkpoint"):
        load(tmp_path)
    with pytest.raises(RnnaudioError, match="lower n_steps"):
        fit(CODES, dataclasses.replace(TINY, n_steps=10_000), folder / "corpus.h5", tmp_path / "long")
    assert not list(tmp_path.iterdir())
    with pytest.raises(RnnaudioError, match="n_units was 8, now it is 9 .the model's shape"):
        fit(CODES, dataclasses.replace(TINY, n_units=9), folder / "corpus.h5", folder / "run", resume=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_steps", 0, "n_steps is 0; expected more than 0"),
        ("batch_size", -1, "batch_size is -1"),
        ("minutes", float("nan"), "minutes is nan"),
        ("n_units", -3, "n_units is -3; expected 0 or more"),
        ("seed", -1, "seed is -1"),
        ("dropout", 1.0, "dropout is 1.0; expected 0 or more, and less than 1"),
        ("transpose", (0, 99), "expected semitones, 24 at most"),
    ],
)
def test_settings_that_are_refused(name, value, message):
    with pytest.raises(RnnaudioError, match=message):
        CodesConfig(**{name: value})


@pytest.mark.parametrize("semitones", [-5, 0, 7])
def test_transposition_moves_pitch_and_time(semitones):
    audio = sine(440.0, 4.0).astype(np.float32)
    moved = transposed(audio, semitones)
    factor = 2.0 ** (semitones / 12)
    assert len(moved) == pytest.approx(len(audio) / factor, rel=1e-3)
    spectrum = np.abs(np.fft.rfft(moved * np.hanning(len(moved))))
    assert np.argmax(spectrum) * RATE_HZ / len(moved) == pytest.approx(440.0 * factor, rel=2e-3)


def test_copies_are_joined_transposed_and_louder_or_softer(folder):
    run = load(folder / "run")
    config = dataclasses.replace(run.config, transpose=(-12, 12), gain_db=6.0)
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        pieces = [piece.read(0, piece.n_samples) for piece in corpus.train.pieces]
        joined = training_codes(corpus.train, run.codec, config)
        apart = training_codes(corpus.train, run.codec, dataclasses.replace(config, join_pieces=False))
    assert len(joined) == 3 and len(apart) == 3 * len(pieces)
    np.testing.assert_array_equal(joined[0], np.concatenate([run.codec.encode(piece) for piece in pieces]))
    np.testing.assert_array_equal(np.concatenate(joined), np.concatenate(apart))
    copies = [
        np.concatenate([run.codec.encode(transposed(p * np.float32(10 ** (db / 20)), s)) for p in pieces])
        for s, db in ((-12, 6.0), (-12, -6.0))
    ]
    assert any(np.array_equal(joined[1], copy) for copy in copies) and not np.array_equal(*copies)


def test_each_piece_is_encoded_in_each_transposition(folder):
    codec = load(folder / "run").codec
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        codes = list(encoded(corpus.train, codec, (0, 12)))
        assert len(codes) == 2 * len(corpus.train.pieces)
        assert len(codes[1]) == pytest.approx(len(codes[0]) / 2, abs=4)


@pytest.mark.slow
def test_the_yardstick_puts_music_near_and_noise_far():
    training, unseen = ([music(12.0, seed) for seed in seeds] for seeds in (range(70, 74), range(74, 78)))
    yardstick = Yardstick.of(training, unseen, RATE_HZ, 6.0)
    near = yardstick.measure([music(12.0, seed) for seed in range(78, 82)])
    far = yardstick.measure([noise(12.0, 0.05, seed) for seed in range(4)])
    assert near["frechet_ratio"] < 6.0 < far["frechet_ratio"]
    assert near["jensen_shannon"] < far["jensen_shannon"] and near["in_range"] > 0.8 > far["in_range"]
    assert far["dead_for_good"] == 4 and far["deaths"] == ["turned into noise"]
    assert far["told_from_real"] > 0.95 > near["told_from_real"]
    with pytest.raises(RnnaudioError, match="shorter excerpts"):
        Yardstick.of(training, unseen, RATE_HZ, 60.0)


def test_of_much_training_music_equal_parts_from_the_middle_of_each_piece_are_used(monkeypatch):
    pieces, unseen = [music(12.0, 70), music(12.0, 71)], [music(6.0, 74)]
    limits = calibrate(pieces, RATE_HZ)
    middles = [piece[4 * RATE_HZ : 8 * RATE_HZ] for piece in pieces]
    expected = Yardstick.of(middles, unseen, RATE_HZ, 6.0, limits)
    monkeypatch.setattr("rnnaudio.metrics.yardstick.MOST_SECONDS", 8.0)
    assert Yardstick.of(pieces, unseen, RATE_HZ, 6.0, limits).distance == expected.distance


@pytest.mark.slow
def test_long_continuations_are_also_compared_by_structure():
    yardstick = Yardstick.of([music(12.0, 70), music(12.0, 71)], [music(12.0, 74), music(12.0, 75)], RATE_HZ, 6.0)
    longer = [music(21.0, seed) for seed in (78, 79, 80)]
    row = yardstick.measure(longer)
    for name, of_each in zip(FIELDS, zip(*(structure(one, RATE_HZ) for one in longer), strict=True), strict=True):
        assert row[name] == pytest.approx(np.median(of_each), abs=1e-3)
    assert not set(FIELDS) & set(yardstick.measure([longer[0][: 19 * RATE_HZ]]))


@pytest.mark.slow
def test_a_loop_that_begins_late_is_found():
    alive = np.concatenate([music(20.0, seed) for seed in range(90, 96)])
    stuck = np.concatenate([alive, np.tile(alive[:RATE_HZ], 40)])
    assert loop_score(stuck, RATE_HZ) < 0.7 < 0.95 < most_looped(stuck, RATE_HZ)
    assert most_looped(alive, RATE_HZ) < 0.8
    assert most_looped(alive[: 10 * RATE_HZ], RATE_HZ) == loop_score(alive[: 10 * RATE_HZ], RATE_HZ)


def test_a_piece_shorter_than_a_stretch_moves_no_other_ones_twin():
    """The unseen music judged as itself: every window meets its own twin on the other side, so .5 exactly."""
    pieces = [music(length, seed) for length, seed in ((5.0, 80), (12.0, 81), (12.0, 82), (2.0, 83))]
    yardstick = Yardstick.of(pieces[1:], pieces, RATE_HZ, 6.0)
    stretches = [pieces[k][: 12 * RATE_HZ] for k in (0, 1, 2, 3)]
    assert [len(group) for group in yardstick.real] == [0, 2, 2, 0]
    cut_alike = [(k, part) for k in (1, 2) for part in (stretches[k][: 6 * RATE_HZ], stretches[k][6 * RATE_HZ :])]
    numbers, parts = zip((0, stretches[0]), *cut_alike, (3, stretches[3]), strict=True)
    assert yardstick.measure(parts, numbers)["told_from_real"] == 0.5


def test_continuations_are_silent_relative_to_their_primes_as_in_a_report():
    """The same sound, 38 dB below its prime, is dead after this one and alive after one as soft as itself."""
    limits, soft = calibrate([music(20.0, seed) for seed in range(4)], RATE_HZ), 0.05 * music(20.0, 2)
    loud, real = music(20.0, 2)[:RATE_HZ] * 4.0, log_mel(music(20.0, 3), RATE_HZ)
    after = [health([soft], RATE_HZ, limits, real, [prime])["dead_for_good"] for prime in (loud, soft[:RATE_HZ])]
    report = [bool(alive_seconds(soft, RATE_HZ, limits, prime).reason) for prime in (loud, soft[:RATE_HZ])]
    assert after == [1, 0] and report == [True, False]
