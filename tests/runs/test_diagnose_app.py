"""`rnnaudio diagnose` and `rnnaudio preflight`: what they are given, what they say, what they leave."""

import dataclasses
import json
import shutil
from functools import partial
from operator import attrgetter

import numpy as np
import pytest

from rnnaudio.data import Batch
from rnnaudio.data.corpus_build import Recording
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Generated
from rnnaudio.objectives import STRATEGIES
from rnnaudio.report.page import write_report
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CodesRecipe
from rnnaudio.runs.defects import DEFECTS, in_words, present_in
from rnnaudio.runs.diagnosis import diagnose as app
from rnnaudio.runs.diagnosis import preflight
from rnnaudio.runs.diagnosis.diagnose import as_text, diagnose_run, free_run
from rnnaudio.runs.diagnosis.preflight import Reached, attempts, spread
from rnnaudio.runs.diagnosis.saved import HEADING, measurements, plain, write_diagnosis
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames import recipe as frames_recipe
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES, FramesRecipe, FramesRun, frame_player
from rnnaudio.runs.frames.remedies import remedy
from rnnaudio.runs.load import load
from rnnaudio.runs.outcome import cut_off, headline, write_outcome
from rnnaudio.runs.toys import PROBLEMS
from rnnaudio.training import checkpoint as checkpoints
from tests.support.command_line import typed
from tests.support.corpora import build
from tests.support.sounds import music

TINY = FramesConfig(
    model=ModelConfig(n_units=6), frame_size=40, n_steps=5, batch_size=4, max_updates=8, validate_every=4
)
FOUND = Diagnosis(
    (
        Cause("unscaled-rmsprop", 0.9, "An update is 1e-4 of what the rule promises. " * 5, "Divide by sqrt(r)."),
        Cause("last-step-cost", 0.4, "31 of 32 steps have no gradient.", "Count all steps."),
    ),
    Measurements(
        echo=np.array([1.0, np.nan]),
        level_db=np.array([-20.0] * 4 + [-30.0] * 20 + [-np.inf] * 10),
        n_prime_frames=4,
        step_sizes={"lstm.w_hidden": (1e-8, 1e-4)},
        errors={"this model": 0.5},
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's corpus, and a run of a few updates on it, with noise that is annealed."""
    folder = tmp_path_factory.mktemp("diagnose")
    build_demo_corpus(folder / "corpus.h5")
    model = dataclasses.replace(TINY.model, input_noise=0.1)
    config = dataclasses.replace(TINY, model=model, anneal_noise_over=16, generation_noise=True)
    fit(FRAMES, config, folder / "corpus.h5", folder / "run")
    return folder


@pytest.fixture
def found(monkeypatch):
    """Diagnoses are FOUND; the subjects that were asked about."""
    subjects = []

    def diagnose(subject):
        subjects.append(subject)
        return FOUND

    monkeypatch.setattr(app, "diagnose", diagnose)
    monkeypatch.setattr(preflight, "diagnose", diagnose)
    return subjects


def test_the_subject_trains_plays_and_is_judged_as_the_run(folder, found):
    assert diagnose_run(folder / "run") is FOUND
    (subject,) = found
    assert subject.objective == STRATEGIES["predict_next"] and subject.learning_rate == TINY.learning_rate
    assert len(subject.history) == 2 and 0 < subject.best_loss < 10
    assert len(subject.validation) > 4 and subject.validation[0].frames.shape == (6, 4, 40)
    assert sum(piece.n_samples for piece in subject.pieces) > 16_000
    noisy = next(layer for _, layer in subject.model.layers() if hasattr(layer, "set_std"))
    values = {name: v.get_value() for name, v in noisy.statistics().items()}
    assert any(np.allclose(value, 0.05) for value in values.values()), values  # 8 of 16 updates


def test_a_step_and_a_free_run_of_the_subject(folder, monkeypatch):
    """Used while the corpus is open, as a diagnosis does."""
    seen = {}

    def use(subject):
        before = {name: v.get_value() for name, v in subject.model.parameters().items()}
        step = subject.make_step(subject.model)
        seen["result"] = step(subject.batches.batch(0), None, learning_rate=1e-3, update=0)
        seen["moved"] = {n: np.any(v.get_value() != before[n]) for n, v in subject.model.parameters().items()}
        true = subject.validation[0].frames[:, 0]
        seen["played"] = subject.play(true, 7)
        seen["again"] = subject.play(true, 7)
        return FOUND

    monkeypatch.setattr(app, "diagnose", use)
    diagnose_run(folder / "run", folder / "corpus.h5")
    assert np.isfinite(seen["result"].loss) and all(seen["moved"].values())
    assert seen["played"].shape == (7, 40) and np.isfinite(seen["played"]).all()
    np.testing.assert_array_equal(seen["played"], seen["again"])


def test_a_free_run_that_overflows_is_filled_up_with_nan(folder, monkeypatch):
    loaded = load(folder / "run")
    block = np.append(np.ones(40, np.float32), np.full(40, np.nan, np.float32))[None]
    monkeypatch.setattr(frames_recipe, "continued_blocks", lambda *_, **__: iter([block]))
    played = frame_player(loaded)(np.ones((2, 40), np.float32), 3)
    np.testing.assert_array_equal(np.isfinite(played).all(axis=1), [True, False, False])


def test_the_errors_of_a_diagnosis_are_those_of_the_report(folder):
    """To the digit: over all validation windows, and of the baselines that the run recorded."""
    found = diagnose_run(folder / "run", folder / "corpus.h5")
    run = load(folder / "run")
    recorded = run.record["config"]["baselines"]
    assert recorded.keys() == {"predict zero", "persistence", "linear prediction"}
    assert {name: found.measured.errors[name] for name in recorded} == pytest.approx(recorded, rel=1e-12)
    assert found.measured.errors["this model"] == pytest.approx(run.best_validation_loss, rel=1e-4)


RATE_HZ = 16_000
PLAYED = {  # 5 s on the scale of the recording: what is planted, and what it dies of
    "silence": (np.zeros(5 * RATE_HZ), "fell silent"),
    "hiss": (np.random.default_rng(0).normal(0.0, 0.05, 5 * RATE_HZ), "turned into noise"),
    "tone": (0.1 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE_HZ) / RATE_HZ), "froze"),
    "music": (music(5.0, 3), ""),
    "music, then silence": (np.append(music(2.0, 3), np.zeros(3 * RATE_HZ)), "fell silent"),
}


@pytest.mark.parametrize(("sound", "death"), PLAYED.values(), ids=PLAYED)
def test_report_and_diagnosis_say_the_same_of_the_same_sound(folder, monkeypatch, sound, death):
    """The same seconds and the same reason, to the digit, in the report, in the diagnosis and in its words."""

    def continue_primes(self, primes, n_samples, sampling=None):
        played = ((sound - self.scale.mean) / self.scale.std).astype(np.float32)
        return [Generated(np.append(prime, played[:n_samples]), len(prime), "") for prime in primes]

    monkeypatch.setattr(FramesRun, "continue_primes", continue_primes)
    monkeypatch.setattr("rnnaudio.diagnostics.diagnose.FREE_FRAMES", (64, 2000))
    summary = write_outcome(folder / "run", folder / "corpus.h5", seconds=5.0)
    found = diagnose_run(folder / "run", folder / "corpus.h5")
    life = found.measured.life
    assert (life.seconds, life.reason) == (summary["alive_seconds"], summary["death"])
    assert life.reason.startswith(death) and bool(life.reason) == bool(death)
    words = f"it kept sounding like music for {life.seconds:.1f} of 5 s after validation music"
    assert words in as_text(found, FRAMES, TINY)
    assert words.removeprefix("it ").removesuffix("validation music") in headline(summary)
    assert plain(measurements(found))["life"]["seconds"] == life.seconds == found.measured.figures["alive_seconds"]


@pytest.mark.parametrize("is_alike", [True, False])
def test_a_report_says_if_the_recording_itself_fails_its_measure(tmp_path, is_alike):
    """In a mixed corpus it can: nothing then follows from a generated sound that fails."""
    hiss = np.random.default_rng(1).normal(0.0, 0.05, 6 * RATE_HZ)
    pieces = {"train": music(20.0, 0), "valid": music(6.0, 1), "test": music(6.0, 2) if is_alike else hiss}
    sounds = {name: (audio.astype(np.float32), RATE_HZ) for name, audio in pieces.items()}
    recordings = [Recording(name, "", "CC0", name, partial(sounds.get, name)) for name in sounds]
    build(tmp_path / "a.h5", recordings, sample_rate_hz=RATE_HZ)
    fit(FRAMES, dataclasses.replace(TINY, max_updates=1), tmp_path / "a.h5", tmp_path / "run")
    summary = write_outcome(tmp_path / "run", seconds=4.0)
    words = "By the same measure, the recording itself does so for"
    if is_alike:
        assert summary["original_death"] == "" and words not in headline(summary)
        assert summary["original_alive_seconds"] == summary["original_seconds"] == 4.0
    else:
        assert summary["original_death"].startswith("turned into noise") and summary["original_alive_seconds"] < 3.0
        assert f"{words} {summary['original_alive_seconds']:.1f} of 4.0 s (turned into noise" in headline(summary)
        assert words in (tmp_path / "run/report.html").read_text()


def test_the_report_says_that_the_limit_of_time_ended_the_training(folder):
    """Also where early stopping, or a limit of updates, would have done so later."""
    run = load(folder / "run")

    def clause(seconds, max_updates, stopped=False):
        record = {**run.record, "n_updates": 7, "seconds": seconds}
        record["stopping"] = {**record["stopping"], "should_stop": stopped}
        config = dataclasses.replace(run.config, minutes=2.0, max_updates=max_updates)
        return cut_off(dataclasses.replace(run, record=record, config=config))

    assert clause(120.0, 10) == "ended by its limit of time after 7 of 10 updates"
    assert clause(121.0, 1_000_000) == clause(121.0, 7) == "ended by its limit of time after 7 updates"
    assert clause(119.0, 7) == clause(121.0, 10, stopped=True) == ""


def subject_with(run_dir, **settings):
    """The subject of a run, were it trained with other settings."""
    run = load(run_dir)
    with run.open_corpus() as corpus:
        return FRAMES.subject(dataclasses.replace(run, config=dataclasses.replace(run.config, **settings)), corpus)


def test_the_rule_of_2016_claims_to_be_rmsprop(folder):
    """What it is believed to do is what its steps are held against; the steps are its own."""
    subject = subject_with(folder / "run", optimizer="rmsprop_2016")
    assert type(subject.optimizer).__name__ == "RMSprop" and subject.optimizer.learning_rate == 1e-3
    step = subject.make_step(subject.model)
    ones = np.ones((6, 4, 40), np.float32)
    result = step(Batch(ones, np.ones(4, bool)), None, learning_rate=1e-3, update=0)
    assert np.median(list(result.update_ratios.values())) < 1e-4  # RMSprop moves weights by about 1e-2


def test_segments_train_in_segments(folder):
    from rnnaudio.training import SegmentedTrainStep, TrainStep

    for segment_steps, kind in ((0, TrainStep), (2, SegmentedTrainStep)):
        subject = subject_with(folder / "run", segment_steps=segment_steps)
        assert isinstance(subject.make_step(subject.model), kind)


def test_diagnose_prints_causes_and_leaves_json_and_picture(folder, found, command):
    write_report(folder / "run/report.html", title="Run", summary="", tables={}, pictures={})
    for _ in range(2):
        status, out, err = command("diagnose", folder / "run")
    assert status == 0, err
    page = (folder / "run/report.html").read_text()
    assert page.count(f"<h2>{HEADING}</h2>") == page.count("What to do: Divide by sqrt(r).") == page.count("<img") == 1
    assert page.index("<h1>") < page.index("unscaled-rmsprop (severity 0.90)") < page.index("last-step-cost")
    first, second = out.index("1. unscaled-rmsprop (severity 0.90)"), out.index("2. last-step-cost (severity 0.40)")
    assert first < out.index("advice: Divide by sqrt(r).") < second < out.index("31 of 32 steps")
    assert "errors on validation windows: this model -3.01 dB" in out
    assert "free run of 30 frames: prime -20.0 dB, beginning -30.0 dB, end not finite" in out
    assert all(len(line) <= 100 or line.startswith("look") for line in out.splitlines())
    read = json.loads((folder / "run/diagnosis.json").read_text())
    assert [cause["name"] for cause in read["causes"]] == ["unscaled-rmsprop", "last-step-cost"]
    assert read["measured"]["echo"] == [1.0, None] and read["measured"]["flip"] is None
    assert read["measured"]["step_sizes"] == {"lstm.w_hidden": [1e-8, 1e-4]}
    assert (folder / "run/diagnosis.png").read_bytes()[:4] == b"\x89PNG"
    assert not list((folder / "run").glob(".*"))


def test_a_sound_run_and_one_that_was_not_played():
    text = as_text(Diagnosis((), Measurements()), FRAMES, TINY)
    assert text.startswith("no mistake was found in how it was trained") and "not examined" not in text
    assert "asks for the mean" in text and text.endswith("to play on, train with: --recipe codes")
    text = as_text(Diagnosis((), Measurements()), CodesRecipe(), CodesConfig())
    assert "mean" not in text and text.endswith("it needs more music, more training or a larger model")
    assert free_run(Measurements(level_db=np.zeros(3), n_prime_frames=3)) == ""
    level = free_run(Measurements(level_db=np.full(4, -0.04), n_prime_frames=2))
    assert "prime 0.0 dB, beginning 0.0 dB, end 0.0 dB" in level  # not -0.0


def test_advice_comes_as_options_of_train():
    """Each remedy, typed behind `rnnaudio train`, gives a config that has the defect no more."""
    faithful = dataclasses.replace(TINY, optimizer="rmsprop_2016", cost="last_step", max_gradient_norm=None)
    for cause in ("unscaled-rmsprop", "last-step-cost"):
        repaired = typed(remedy(cause, faithful).split())
        assert cause not in {defect.name for defect in present_in(repaired)}
    assert "train with: --optimizer rmsprop\n" in as_text(FOUND, FRAMES, faithful)
    assert "train with" not in as_text(FOUND, FRAMES, TINY)  # these are no settings of that run
    assert remedy("learning-rate-too-high", TINY, 0.1) == "--learning-rate 0.0001"
    tiny_rate = dataclasses.replace(TINY, learning_rate=1e-6)
    assert remedy("learning-rate-too-low", tiny_rate, 100.0) == "--learning-rate 0.0001"
    assert remedy("learning-rate-too-low", tiny_rate, 10.0) == "--learning-rate 1e-05"  # not 9.999999999999999e-06
    assert remedy("exploding-gradient", faithful) == "--max-gradient-norm 1.0"
    assert remedy("exploding-gradient", TINY) == remedy("axes-swapped", TINY) == ""
    for cell, bias, option in (
        ("lstm", -5.0, "--forget-bias 2.0"),
        ("lstm", 1.0, "--forget-bias 2.0"),
        ("lstm", 2.0, "--forget-bias 4.0"),
        ("lstm", 4.0, ""),
        ("gru", None, ""),
    ):
        model = ModelConfig.of(cell=cell, **({} if bias is None else {"forget_bias": bias}))
        assert remedy("vanishing-gradient", dataclasses.replace(TINY, model=model)) == option
    gaussian = dataclasses.replace(TINY, model=ModelConfig(cell="gru", weights="gaussian_2016"))
    assert remedy("vanishing-gradient", gaussian) == "--weights usual"
    assert remedy("noiseless-feedback", TINY) == "--recipe codes"  # not noise, which turns music into hiss


@pytest.mark.parametrize("defect", [d for d in DEFECTS if d.of == "audio"], ids=lambda d: d.name)
def test_settings_of_defects_are_options_of_train(defect):
    for settings in (defect.faithful, defect.repaired):
        config = typed(in_words({**defect.where, **settings}).split())
        assert {path: attrgetter(path)(config) for path in settings} == settings


def test_both_files_or_neither(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run/diagnosis.json").unlink(missing_ok=True)
    (tmp_path / "run/diagnosis.png").unlink(missing_ok=True)
    (tmp_path / "run/diagnosis.png").mkdir()
    with pytest.raises(RnnaudioError, match="diagnosis.png: it is a folder"):
        write_diagnosis(tmp_path / "run", FOUND)
    assert not (tmp_path / "run/diagnosis.json").exists() and not list((tmp_path / "run").glob(".*"))


def test_bad_runs_give_one_line_and_status_2(folder, found, tmp_path, command):
    shutil.copytree(folder / "run", tmp_path / "damaged")
    checkpoint = tmp_path / "damaged/checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    (tmp_path / "damaged" / checkpoints.PREVIOUS).unlink()
    shutil.copytree(folder / "run", tmp_path / "moved")
    saved = checkpoints.load(folder / "run/checkpoint.safetensors")
    saved.record["config"]["corpus"]["path"] = str(tmp_path / "gone.h5")
    checkpoints.save(tmp_path / "moved/checkpoint.safetensors", saved)
    for arguments, expected in (
        ([tmp_path / "none"], "no checkpoint at"),
        ([folder / "corpus.h5"], "is a file; expected the folder of a run"),
        ([tmp_path / "damaged"], "is damaged or no checkpoint"),
        ([tmp_path / "moved"], "give its path with --corpus"),
        ([folder / "run", "--corpus", checkpoint], "checkpoint.safetensors"),
    ):
        status, _, err = command("diagnose", *arguments)
        assert status == 2 and expected in err and len(err.splitlines()) == 1, err
    status, out, _ = command("diagnose", tmp_path / "moved", "--corpus", folder / "corpus.h5")
    assert status == 0 and "unscaled-rmsprop" in out


def test_spread_takes_batches_from_everywhere():
    assert spread(list(range(12)), 4) == [0, 3, 6, 9] and spread([1, 2], 4) == [1, 2]


# --- preflight ------------------------------------------------------------------------------------------------------
FAST = dataclasses.replace(
    TINY, model=ModelConfig(n_units=24), frame_size=16, optimizer="adam", learning_rate=0.01, max_updates=1_000_000
)


def test_a_small_model_passes_what_is_linear():
    made = list(attempts(FRAMES, FAST, PROBLEMS[:2]))
    assert [one.passed for one in made] == [True, True], [str(one) for one in made]
    assert all(one.n_updates <= one.problem.max_updates for one in made)


def test_a_linear_skip_passes_at_once():
    config = dataclasses.replace(FAST, model=ModelConfig(n_units=4, linear_skip=2))
    assert [one.n_updates for one in attempts(FRAMES, config, PROBLEMS[:2])] == [20, 20]


@pytest.mark.parametrize(
    "planted",
    [{"target_shift": 0}, {"optimizer": "rmsprop_2016", "learning_rate": 1e-3}],
    ids=["target-is-input", "unscaled-rmsprop"],
)
def test_faults_of_2016_fail_on_the_sine_and_are_diagnosed(planted, found):
    """A copier reaches its own target in no time; it is judged by the target that it promises."""
    made = list(attempts(FRAMES, dataclasses.replace(FAST, **planted)))
    assert [one.passed for one in made] == [False] and made[0].diagnosis.causes == FOUND.causes
    assert made[0].problem.name == "sine"
    (subject,) = found
    assert 1 <= len(subject.validation) <= 4
    assert subject.play(subject.validation[0].frames[:, 0], 2).shape == (2, 16)


def test_a_cause_that_is_by_design_is_not_named(found):
    problem = PROBLEMS[0]._replace(pass_share=0.0, max_updates=2, by_design=("unscaled-rmsprop",))
    (made,) = attempts(FRAMES, FAST, (problem,))
    assert [cause.name for cause in made.diagnosis.causes] == ["last-step-cost"]


def test_no_frame_is_its_neighbour_in_any_toy_tone():
    for frame_size in (1, 7, 40, 200, 400, 2000):
        sine, _ = PROBLEMS[0].sound(frame_size, 10 * frame_size + 1000)
        before, after = sine[:1000], sine[frame_size : frame_size + 1000]
        for guess in (before, -before):
            assert np.mean((after - guess) ** 2) > 0.2 * np.mean(after**2)


def test_the_threshold_stops_the_training():
    rule = Reached(0.1)
    state = rule.update(rule.update(rule.initial(), 0.5), 0.6)
    assert not state.improved and state.best_loss == 0.5 and not state.should_stop
    assert rule.update(state, 0.1).should_stop


def test_preflight_says_how_each_problem_went(monkeypatch, found, command):
    arguments = ["--frame-size", 16, "--n-steps", 5, "--batch-size", 4, "--n-units", 24, "--optimizer", "adam"]
    monkeypatch.setattr(FramesRecipe, "problems", PROBLEMS[:1])
    status, out, _ = command("preflight", *arguments, "--learning-rate", 0.01)
    assert status == 0 and "sine       passed: -" in out and out.endswith("preflight passed\n")
    status, out, _ = command("preflight", *arguments, "--target-shift", 0)
    assert status == 1 and "sine       FAILED" in out and "1. unscaled-rmsprop" in out and "passed" not in out
    status, _, err = command("preflight", "--cell", "gru", "--peepholes")
    assert status == 2 and "Unrecognized options: --peepholes" in err


def test_a_failed_preflight_trains_nothing(folder, found, monkeypatch, command):
    """Asked for by train: after its own checks, before anything is written."""
    monkeypatch.setattr(FramesRecipe, "problems", PROBLEMS[:1])
    out_dir = folder / "refused"
    arguments = ["--frame-size", 16, "--n-steps", 5, "--batch-size", 4, "--n-units", 4, "--max-updates", 2]
    train = ["train", folder / "corpus.h5", out_dir, *arguments, "--preflight"]
    status, out, err = command(*train, "--optimizer", "rmsprop_2016")
    assert status == 2 and "FAILED" in out and "leave out --preflight" in err and not out_dir.exists()


def test_diagnose_with_preflight(folder, found, monkeypatch, command):
    monkeypatch.setattr(FramesRecipe, "problems", PROBLEMS[:1])
    status, out, _ = command("diagnose", folder / "run", "--preflight")
    assert status == 0 and out.index("look: ") < out.index("preflight: toy problems")


def test_ctrl_c_ends_the_toy_problems(monkeypatch):
    from rnnaudio.training import Run
    from rnnaudio.training.stopping import StoppingState

    stopped = Run(StoppingState(), is_interrupted=True)
    monkeypatch.setattr(preflight, "train", lambda *_, **__: stopped)
    with pytest.raises(KeyboardInterrupt):
        list(attempts(FRAMES, FAST, PROBLEMS[:1]))
