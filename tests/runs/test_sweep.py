"""A sweep: as many trials as asked for, each once, whoever runs them; what ended them is told; another is refused."""

import json
import math
import os
import re
import shutil
import signal
import threading
from types import SimpleNamespace

import pytest

from rnnaudio.errors import RnnaudioError, Unsuitable
from rnnaudio.lock import owned_file, owned_folder
from rnnaudio.runs.listing import rows_in
from rnnaudio.runs.record import SavedRun
from tests.support.corpora import build, noise, recording

pytest.importorskip("optuna")

from optuna.trial import TrialState

from rnnaudio.runs.sweep import trial, work
from rnnaudio.runs.sweep.page import rows_of, summary_of
from rnnaudio.runs.sweep.space import read_space
from rnnaudio.runs.sweep.storage import JOURNAL
from rnnaudio.runs.sweep.study import open_study

SPACE = """
recipe = "frames"
frame_size = 40
n_steps = 5
batch_size = 4
max_updates = 2
validate_every = 1

[search]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
model.n_units = { low = 4, high = 12 }

[sweep]
n_trials = 3
sampler = "random"
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "a.h5"
    build(path, [recording(split, noise(k, 1.0), split) for k, split in enumerate(("train", "valid", "test"))])
    return path


@pytest.fixture
def opened(corpus, tmp_path):
    """``opened(old, new, ...)``: the study of SPACE, with texts replaced, in the folder ``out``."""

    def at(*replaced, out="out", url="", corpus=corpus):
        text = SPACE
        for old, new in zip(replaced[::2], replaced[1::2], strict=True):
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "space.toml").write_text(text)
        return open_study(read_space(tmp_path / "space.toml"), corpus, tmp_path / out, url)

    return at


class Training:
    """Stands in for training and reporting: what each trial does is in ``does``, by number; losses 3, 2, 1 if not."""

    def __init__(self):
        self.does, self.runs, self.lock = {}, [], threading.Lock()

    def fit(self, recipe, config, corpus, folder, *, resume, observers):
        number = int(folder.name.removeprefix("trial-"))
        with self.lock:
            self.runs.append((number, resume, config))
        does = self.does.get(number, [3.0, 2.0, 1.0])
        if isinstance(does, BaseException):
            raise does
        rows = []
        for k, loss in enumerate(does if isinstance(does, list) else []):
            rows.append({"updates": 10 * (k + 1), "valid": loss})
            (folder / "checkpoint.safetensors").write_text(json.dumps(rows))
            for observer in observers:
                observer(rows[-1])
        interrupted = does == "interrupted"
        if interrupted:
            (folder / "checkpoint.safetensors").write_text("[]")
        return SimpleNamespace(is_interrupted=interrupted, reason="the loss is not finite")

    @staticmethod
    def write_outcome(folder, corpus):
        losses = [row["valid"] for row in json.loads((folder / "checkpoint.safetensors").read_text())]
        trouble = "the training diverged" if losses[-1] > 100.0 else ""
        lowest = min(filter(math.isfinite, losses))
        return {"best_validation_loss": lowest, "alive_seconds": losses[0], "trouble": trouble}

    @staticmethod
    def read(folder):
        history = json.loads((folder / "checkpoint.safetensors").read_text())
        return SimpleNamespace(record={"history": history}, settings={"blank_loss": 2.0})

    @property
    def numbers(self):
        return [number for number, _, _ in self.runs]


@pytest.fixture
def training(monkeypatch):
    one = Training()
    monkeypatch.setattr(trial.fit, "fit", one.fit)
    monkeypatch.setattr(trial.outcome, "write_outcome", one.write_outcome)
    monkeypatch.setattr(trial.outcome, "headline", lambda summary: "")
    monkeypatch.setattr(trial.SavedRun, "read", one.read)
    monkeypatch.setattr(work, "write_page", lambda study: None)
    return one


def ends(study):
    """State, value and reason of each trial, by number."""
    rows = sorted(rows_of(study), key=lambda row: row["number"])
    return [(row["state"], row["value"], row["reason"]) for row in rows]


@pytest.mark.parametrize("mark", ["checkpoint.safetensors", "sweep.json"])
def test_a_folder_of_other_runs_is_not_taken_for_a_sweep(opened, tmp_path, mark):
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine" / mark).write_text("x")
    with pytest.raises(RnnaudioError, match=r"holds other runs \(mine\): name a new folder, such as .*runs/sweep"):
        opened(out="runs")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"]


# ---------------------------------------------------------------- real runs


@pytest.mark.slow
def test_each_trial_is_a_run_and_the_page_has_the_best_first(opened, tmp_path, capsys):
    study = opened("n_trials = 3", "n_trials = 2")
    work.work(study)
    out, rows = tmp_path / "out", rows_in(tmp_path / "out")
    assert [row.name for row in rows] == ["trial-0000", "trial-0001"]
    assert all(row.state == "complete" and row.alive_seconds is not None for row in rows)
    assert {*rows[0].differing} == {"learning_rate", "model.n_units"}
    of_study = {row["number"]: row for row in rows_of(study)}
    for number, row in enumerate(rows):
        history = SavedRun.read(out / row.name).record["history"]
        assert of_study[number]["value"] == min(one["valid"] for one in history)
        assert of_study[number]["settings"] == row.differing
    page = (out / "sweep.html").read_text()
    order = sorted(of_study, key=lambda number: of_study[number]["value"])
    at = [page.index(f'href="trial-000{number}/report.html"') for number in order]
    assert at == sorted(at) and "2 trials: 2 complete" in page and page.count("data:image/png") == 6
    assert re.search(r"<td[^>]*>-?[0-9.]+ dB</td><td[^>]*>[0-9.]+ of 10 s", page)
    assert page.count("data:audio/ogg") == 1 and "http" not in page.partition("<body>")[2]
    assert f"The best is trial-000{order[0]}, validation " in summary_of(study, rows_of(study))
    capsys.readouterr()
    content = (out / JOURNAL).read_bytes()
    work.work(opened("n_trials = 3", "n_trials = 2"))  # nothing is left
    assert capsys.readouterr().out == "" and (out / JOURNAL).read_bytes() == content


def test_a_trial_whose_process_was_killed_goes_on_with_its_checkpoint(opened, tmp_path, monkeypatch):
    """Killed after its first validation: no more than the lock and the checkpoint tell of it."""

    class Killed(BaseException):
        pass

    def kill(self, row):
        raise Killed

    study = opened("max_updates = 2", "max_updates = 3")
    monkeypatch.setattr(trial.Reporter, "__call__", kill)
    with pytest.raises(Killed):
        work.work(study)
    folder = tmp_path / "out/trial-0000"
    before = SavedRun.read(folder).record
    assert before["n_updates"] == 1 and [one.number for one in study.trials() if one.state.name == "RUNNING"] == [0]
    monkeypatch.undo()
    monkeypatch.setattr(work, "write_page", lambda study: None)
    monkeypatch.setattr(trial.outcome, "headline", lambda summary: "")
    monkeypatch.setattr(trial.outcome, "write_outcome", lambda *_: {"best_validation_loss": 0.5, "trouble": ""})
    again = opened("max_updates = 2", "max_updates = 3")
    values = again.trials()[0].params
    work._run(again, 0)
    after = SavedRun.read(folder).record
    assert after["n_updates"] == 3 and after["history"][0] == before["history"][0]
    told = again.trials()[0]
    assert told.state.name == "COMPLETE" and told.params == values
    assert told.intermediate_values == {k + 1: row["valid"] for k, row in enumerate(after["history"])}


# ---------------------------------------------------------------- what is told


def test_values_and_directions(opened, training):
    training.does = {0: [2.0, 5.0], 1: [4.0, 3.0], 2: [9.0, 1.0]}
    lowest, longest = opened(), opened("n_trials = 3", 'n_trials = 3\nobjective = "seconds_alive"', out="other")
    for study in (lowest, longest):
        work.work(study)
    assert [(row["number"], row["value"]) for row in rows_of(lowest)] == [(2, 1.0), (0, 2.0), (1, 3.0)]
    assert [(row["number"], row["value"]) for row in rows_of(longest)] == [(2, 9.0), (1, 4.0), (0, 2.0)]
    assert lowest.trials()[1].intermediate_values == {1: 4.0, 2: 3.0}
    assert longest.trials()[1].intermediate_values == {}


def test_it_is_said_if_the_best_trial_has_learnt_nothing(opened, training):
    """A model that has learnt nothing has a loss of 2 here."""
    training.does = {0: [2.5, 2.0], 1: [4.0], 2: [9.0]}
    useless = opened()
    work.work(useless)
    words = "That is no better than a model that has learnt nothing (3.01 dB)."
    assert words in summary_of(useless, rows_of(useless))
    training.does = {0: [2.5, 1.9], 1: [4.0], 2: [9.0]}
    useful = opened(out="other")
    work.work(useful)
    assert "learnt nothing" not in summary_of(useful, rows_of(useful))


def test_a_trial_that_is_behind_the_median_is_pruned(opened, training):
    """Losses at the second validation are 2, 3, 4 and 6 before the last trial: their median is 3.5."""
    training.does = {0: [9.0, 2.0], 1: [9.0, 4.0], 2: [9.0, 6.0], 3: [8.0, 3.0], 4: [9.0, 3.6, 0.0]}
    study = opened("n_trials = 3", 'n_trials = 5\npruner = "median"\nstartup_trials = 3\nwarmup_validations = 1')
    work.work(study)
    assert ends(study)[3:] == [("complete", 3.0, ""), ("pruned", 3.6, "at validation 2, update 20")]
    assert (study.folder(4) / "checkpoint.safetensors").exists()


def test_successive_halving_keeps_the_best_quarter(opened, training):
    """The first trial says how long trials are, and the second is the first that others are compared with."""
    training.does = {number: [loss] * 8 for number, loss in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 0.5))}
    study = opened("n_trials = 3", 'n_trials = 6\npruner = "successive_halving"')
    work.work(study)
    assert [(state, value) for state, value, _ in ends(study)] == [
        ("complete", 1.0), ("complete", 2.0), ("pruned", 3.0), ("pruned", 4.0), ("pruned", 5.0), ("complete", 0.5)
    ]  # fmt: skip


def test_without_a_pruner_none_is_pruned(opened, training):
    training.does = {number: [float(number)] for number in range(8)}
    study = opened("n_trials = 3", "n_trials = 8")
    work.work(study)
    assert [state for state, _, _ in ends(study)] == ["complete"] * 8


def test_what_breaks_down_is_told_with_its_reason_and_the_sweep_goes_on(opened, training):
    training.does = {0: "none", 1: [500.0], 2: Unsuitable("too large for the memory"), 3: [math.nan, 2.0]}
    study = opened("n_trials = 3", "n_trials = 5")
    work.work(study)
    assert ends(study) == [
        ("failed", None, "the loss is not finite, and no model was kept, as it was never validated"),
        ("failed", None, "the training diverged"),
        ("failed", None, "too large for the memory"),
        ("complete", 2.0, ""),
        ("complete", 1.0, ""),
    ]


GRID = (
    "learning_rate = { low = 1e-4, high = 1e-1, log = true }\n", "", "model.n_units = { low = 4, high = 12 }",
    "n_steps = [5, 4]\nburn_in = [0, 4]", "n_steps = 5\n", "", "n_trials = 3\n", "", '"random"', '"grid"',
)  # fmt: skip


def test_settings_that_do_not_go_together_fail_and_leave_no_folder(opened, training):
    """A grid of which one point, 4 steps of which 4 are left out, cannot be, though each of its values can."""
    study = opened(*GRID)
    work.work(study)
    assert [tuple(row["settings"].values()) for row in sorted(rows_of(study), key=lambda row: row["number"])] == [
        (5, 0), (5, 4), (4, 0), (4, 4)
    ]  # fmt: skip
    assert [state for state, _, _ in ends(study)] == ["complete"] * 3 + ["failed"]
    assert ends(study)[3][2] == "a burn_in of 4 of 4 steps leaves no cost: lower it" and training.numbers == [0, 1, 2]
    assert not study.folder(3).exists()


def test_an_error_that_is_not_of_the_settings_ends_the_sweep_and_the_trial_goes_on(opened, training):
    training.does = {1: RnnaudioError("the disk is full")}
    study = opened()
    with pytest.raises(RnnaudioError, match="the disk is full"):
        work.work(study)
    assert [state for state, _, _ in ends(study)] == ["complete", "begun", "waiting"]
    training.does = {}
    work.work(opened())
    assert [state for state, _, _ in ends(study)] == ["complete"] * 3 and training.numbers == [0, 1, 1, 2]
    assert training.runs[1][2] == training.runs[2][2]


def test_after_an_interruption_the_trial_goes_on(opened, training):
    training.does = {1: "interrupted"}
    with pytest.raises(KeyboardInterrupt, match="2 of 3 trials are left: the same command goes on"):
        work.work(opened())
    training.does = {}
    study = opened()
    assert study.unfinished() == [1, 2]
    work.work(study)
    assert [(number, resumed) for number, resumed, _ in training.runs] == [
        (0, False), (1, False), (1, True), (2, False)
    ]  # fmt: skip
    assert [state for state, _, _ in ends(study)] == ["complete"] * 3


def test_validations_that_were_saved_and_not_reported_are_reported_once(opened, training):
    """Killed between the checkpoint and the report of the second validation."""
    study = opened("n_trials = 3", 'n_trials = 3\npruner = "median"')
    training.does = {0: RnnaudioError("killed")}
    with pytest.raises(RnnaudioError, match="killed"):
        work.work(study)
    rows = [{"updates": 10, "valid": 7.0}, {"updates": 20, "valid": 5.0}]
    study.folder(0).mkdir()
    study._study._storage.set_trial_intermediate_value(study.trials()[0]._trial_id, 1, 7.5)
    training.does = {0: "none"}  # nothing is left to train
    (study.folder(0) / "checkpoint.safetensors").write_text(json.dumps(rows))
    work._run(study, 0)
    assert study.trials()[0].intermediate_values == {1: 7.5, 2: 5.0}


def test_a_signal_waits_until_the_study_is_written(opened, training, monkeypatch):
    study = opened()
    tell = study._study.tell

    def signalled(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        tell(*arguments, **options)

    monkeypatch.setattr(study._study, "tell", signalled)
    with pytest.raises(KeyboardInterrupt, match="2 of 3 trials are left"):
        work.work(study)
    assert [state for state, _, _ in ends(study)] == ["complete", "waiting", "waiting"]


# ---------------------------------------------------------------- several processes


def test_every_trial_is_run_once_however_many_take_part(opened, training):
    """Threads with studies of their own: locks are those of threads, too."""
    studies = [opened("n_trials = 3", "n_trials = 12") for _ in range(4)]
    threads = [threading.Thread(target=work.work, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(training.numbers) == list(range(12))
    assert [state for state, _, _ in ends(opened("n_trials = 3", "n_trials = 12"))] == ["complete"] * 12


def test_values_depend_on_the_trial_and_not_on_who_runs_it(opened, training):
    studies = [opened(out="a"), opened(out="b")]
    work.work(studies[0])
    for number in (2, 0, 1):
        assert work._run(studies[1], number)
    values = [[one.params for one in study.trials()] for study in studies]
    assert values[0] == values[1] and len({str(one) for one in values[0]}) == 3


def test_what_another_runs_is_left_to_it(opened, training):
    study, inside, leave = opened(), threading.Event(), threading.Event()

    def own():
        with owned_folder(study.folder(0), make=True):
            study.claim(0)
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=own)
    other.start()
    inside.wait(10)
    work.work(study)
    assert training.numbers == [1, 2] and study.unfinished() == [0]
    assert "trial-0000 is run by process" in work.left_to_others(study)
    leave.set()
    other.join()
    assert work.left_to_others(study) == "trial-0000 is begun, and nobody runs it: the same command goes on"
    assert not work._run(study, 1)  # it has ended
    work.work(study)
    assert training.numbers == [1, 2, 0] and work.left_to_others(study) == ""


def test_a_study_of_a_database_is_shared_by_folders_of_one_name(opened, training, tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    here, there = opened(out="a/mine", url=url), opened(out="b/mine", url=url)
    assert work._run(here, 0) and not work._run(there, 0)
    training.does = {1: RnnaudioError("killed")}
    with pytest.raises(RnnaudioError, match="killed"):
        work.work(here)
    training.does = {}
    work.work(there)
    assert training.numbers == [0, 1, 2]  # 1 is begun, and its checkpoint would be on the other disk
    assert work.left_to_others(there) == "1 are begun in another folder of this study, on another disk"
    work.work(here)
    assert training.numbers == [0, 1, 2, 1] and there.unfinished() == []
    with pytest.raises(RnnaudioError, match="is of another sweep: fixed.n_steps was 5, now it is 6"):
        opened("n_steps = 5", "n_steps = 6", out="c/mine", url=url)
    assert not (tmp_path / "c").exists()
    opened("n_steps = 5", "n_steps = 6", out="c/other", url=url)
    with pytest.raises(RnnaudioError, match="is in a database: name it with --storage"):
        opened(out="a/mine")
    opened(out="own")
    with pytest.raises(RnnaudioError, match=r"study\.journal: leave out --storage"):
        opened(out="own", url=url)


def test_a_trial_whose_process_did_not_say_where_it_is_may_be_taken_after_a_minute(opened, tmp_path, monkeypatch):
    """Killed between two entries in a database; before that, it may be one that is just beginning elsewhere."""
    study = opened(url=f"sqlite:///{tmp_path}/studies.db")
    study._storage.set_trial_state_values(study.trials()[1]._trial_id, TrialState.RUNNING)
    assert study.unfinished() == [0, 2] and study.n_elsewhere() == 1 and study.claim(1) is None
    monkeypatch.setattr("rnnaudio.runs.sweep.study.UNSIGNED_SECONDS", 0.0)
    assert study.unfinished() == [1, 0, 2]
    assert study.claim(1).number == 1 and study.n_elsewhere() == 0


def test_a_page_that_another_keeps_to_itself_is_noted(opened, tmp_path, monkeypatch, capsys):
    study, inside, leave = opened(), threading.Event(), threading.Event()

    def own():
        with owned_file(tmp_path / "out/sweep.html"):
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=own)
    other.start()
    inside.wait(10)
    monkeypatch.setattr("rnnaudio.runs.sweep.study.TURN_SECONDS", 0.0)
    work._write_page(study)
    leave.set()
    other.join()
    assert "note: the page is as it was: " in capsys.readouterr().err and not (tmp_path / "out/sweep.html").exists()


# ---------------------------------------------------------------- what is refused


def test_another_space_or_corpus_is_refused_with_the_difference(opened, training, tmp_path):
    work.work(opened())
    other = tmp_path / "other.h5"
    build(other, [recording(split, noise(9 + k, 1.0), split) for k, split in enumerate(("train", "valid", "test"))])
    content = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for arguments, options, words in (
        (("low = 1e-4", "low = 1e-5"), {}, "search.learning_rate.low was 0.0001, now it is 1e-05"),
        (("n_steps = 5", "n_steps = 6"), {}, "fixed.n_steps was 5, now it is 6"),
        (("n_steps = 5\n", ""), {}, "fixed.n_steps was 5, and is not set"),
        (("n_steps = 5", "n_steps = 5\nminutes = 3.0"), {}, "fixed.minutes is 3.0, and was not set"),
        (("n_trials = 3", "seed = 1"), {}, "sweep.seed was 2016, now it is 1"),
        ((), {"corpus": other}, "corpus.mean was"),
    ):
        with pytest.raises(RnnaudioError, match="the study 'out' in .* is of another sweep: ") as refused:
            opened(*arguments, **options)
        assert f"is of another sweep: {words}" in str(refused.value)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == content


def test_more_trials_go_on_and_fewer_end_earlier(opened, training):
    work.work(opened())
    work.work(opened("n_trials = 3", "n_trials = 5"))
    assert training.numbers == [0, 1, 2, 3, 4]
    fewer = opened("n_trials = 3", "n_trials = 7", out="other")
    assert fewer.unfinished() == list(range(7))
    fewer = opened("n_trials = 3", "n_trials = 2", out="other")
    work.work(fewer)
    assert training.numbers == [0, 1, 2, 3, 4, 0, 1] and fewer.unfinished() == []
    assert summary_of(fewer, rows_of(fewer)).startswith("2 trials: 2 complete. The best is trial-0000")


def test_a_folder_of_others_and_a_corpus_that_is_missing(opened, training, tmp_path, corpus):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoint.safetensors").write_text("x")
    with pytest.raises(RnnaudioError, match="checkpoint.safetensors is there, but no sweep.json: it is not of a"):
        opened(out="run")
    with pytest.raises(RnnaudioError, match="no such corpus file"):
        opened(corpus=tmp_path / "none.h5")
    work.work(opened())
    mark = tmp_path / "out/sweep.json"
    for content in ("{", "[]", '{"study": "x"}', '{"study": "x", "folder": "y", "storage": "tape"}'):
        mark.write_text(content)
        with pytest.raises(RnnaudioError, match=r"sweep\.json is damaged"):
            opened()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RnnaudioError, match="cannot make the folder"):
        opened(out="file")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "out", "space.toml", "file"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("studies.db", "--storage is 'studies.db'; expected the URL of a database"),
        ("sqlite:////no/folder/x.db", "the study in sqlite:////no/folder/x.db cannot be read or written: .*unable to"),
        ("foo://me:secret@host/x", "the study in foo://me:.*@host/x cannot be read or written"),
    ],
)
def test_a_storage_that_cannot_be_used(opened, tmp_path, url, words):
    with pytest.raises(RnnaudioError, match=words) as refused:
        opened(url=url)
    assert "secret" not in str(refused.value) and not (tmp_path / "out").exists()


# ---------------------------------------------------------------- a damaged journal


def test_an_unfinished_last_line_is_cut_with_a_note(opened, training, tmp_path, capsys):
    work.work(opened())
    journal = tmp_path / "out" / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":6,"tri')
    study = opened("n_trials = 3", "n_trials = 4")
    assert "study.journal: the unfinished last line of 17 bytes is cut" in capsys.readouterr().err
    work.work(study)
    assert training.numbers == [0, 1, 2, 3] and journal.read_bytes().startswith(whole)


def test_a_copy_of_hard_links_goes_on_without_the_other(opened, training, tmp_path):
    work.work(opened())
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=os.link)
    before = (tmp_path / "copy" / JOURNAL).read_bytes()
    work.work(opened("n_trials = 3", "n_trials = 4"))
    assert training.numbers == [0, 1, 2, 3]
    assert len((tmp_path / "out" / JOURNAL).read_bytes()) > len(before)
    assert (tmp_path / "copy" / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(
    "line", [b"\xff\x00", b"{", b"[]", b"3", b"{}", b'{"op_code": 99}', b'{"op_code": 6}', b'{"op_code": 4, "x": []}']
)
def test_a_damaged_journal_is_refused(opened, training, tmp_path, line):
    work.work(opened())
    journal = tmp_path / "out" / JOURNAL
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([*lines[:5], line, *lines[5:]]))
    with pytest.raises(RnnaudioError, match=r"study\.journal is damaged: .*; put back a copy of that file, or begin"):
        opened()


def test_a_journal_that_lost_entries_is_noticed_by_the_runs_that_are_there(opened, training, tmp_path):
    """Cut after the trials were made, none of which it takes for begun."""
    work.work(opened())
    journal = tmp_path / "out" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    claimed = next(k for k, line in enumerate(lines) if b'"op_code":6' in line)
    journal.write_bytes(b"".join(lines[:claimed]))
    study = opened()
    with pytest.raises(RnnaudioError, match="trial-0000 holds a run, but the study in .* has not begun that trial"):
        work.work(study)


# ---------------------------------------------------------------- the command


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return path


def test_the_command(space_file, corpus, tmp_path, command, training):
    status, out, _ = command("sweep", space_file, corpus, tmp_path / "out")
    assert status == 0 and out.splitlines()[-2:] == [
        "all trials have ended",
        f"look: {tmp_path}/out/sweep.html   list: rnnaudio runs {tmp_path}/out",
    ]
    assert training.numbers == [0, 1, 2] and (tmp_path / "out/space.toml").read_text() == SPACE
    training.does = {3: "interrupted"}
    space_file.write_text(SPACE.replace("= 3", "= 5"))
    status, out, err = command("sweep", space_file, corpus, tmp_path / "out")
    assert status == 130 and "what was trained is saved, and 2 of 5 trials are left: the same command goes on" in err


def test_what_the_command_refuses_leaves_nothing(space_file, corpus, tmp_path, command, monkeypatch):
    out = tmp_path / "out"
    for words, message in (
        ((space_file, corpus, out, "--jobs", 0), "--jobs is 0; expected 1 to 1000"),
        ((tmp_path / "no.toml", corpus, out), "cannot read"),
        ((space_file, tmp_path / "no.h5", out), "no such corpus file"),
    ):
        status, printed, err = command("sweep", *words)
        assert (status, printed, len(err.splitlines())) == (2, "", 1) and message in err
    assert not out.exists()


def test_a_sweep_of_which_every_trial_fails_says_so(space_file, corpus, tmp_path, command, training):
    training.does = dict.fromkeys(range(3), "none")
    status, out, err = command("sweep", space_file, corpus, tmp_path / "out")
    assert status == 3 and "all trials have ended" in out
    assert err == (
        "rnnaudio: all 3 trials failed; the first: the loss is not finite, and no model was kept, as it was never "
        "validated\n"
    )


def test_a_run_that_the_corpus_is_too_short_for_fails_and_leaves_nothing(opened):
    """By the training itself: the second point of a grid, 100,000 steps of 40 samples, is 500 s."""
    study = opened(
        "learning_rate = { low = 1e-4, high = 1e-1, log = true }\n", "", "model.n_units = { low = 4, high = 12 }",
        "n_steps = [5, 100_000]", "n_steps = 5\n", "", "n_trials = 3\n", "", '"random"', '"grid"',
    )  # fmt: skip
    assert work._run(study, 1)
    state, value, reason = ends(study)[1]
    assert (state, value) == ("failed", None) and "the longest training piece has 1 s (8000 samples)" in reason
    assert not study.folder(1).exists()
