"""A run is watched from another process: every validation once, the curve where its losses lie, the end told."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_folder
from rnnaudio.runs.fit import describe_row
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.watching import CLEAR, Follower, Limits, as_text, curve, watch
from rnnaudio.training.progress import duration
from tests.support.tiny_runs import TINY, tiny_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = dataclasses.replace(TINY, max_updates=3, validate_every=1)
    return tiny_run(tmp_path_factory.mktemp("watching"), "run", config)


@pytest.fixture
def run_dir(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def rows(valid, train=None):
    both = zip(valid, train or valid, strict=True)
    return [{"updates": 10 * (k + 1), "valid": v, "train": t} for k, (v, t) in enumerate(both)]


def test_the_curve_has_each_loss_at_its_place():
    """Of the training losses, two lie beyond the range, under the validation losses at its edges."""
    drawn = curve(rows([4.0, 3.0, 1.0, 2.0], train=[9.0, 2.0, 0.5, 1.0]), columns=41, lines=4)
    at = [" " * n for n in (10, 20, 30, 40)]
    assert [line[12:] for line in drawn[:4]] == [
        f"{at[0]}*", f"{at[1]}*", f"{at[1]}.{' ' * 19}*", f"{at[2]}*{' ' * 9}.",
    ]  # fmt: skip
    assert drawn[0].startswith("         4 |") and drawn[3].startswith("         1 |")
    assert drawn[4] == " " * 11 + "+" + "-" * 41 and drawn[5] == " " * 12 + "0" + "40 updates".rjust(40)


def test_the_first_tenth_of_many_losses_does_not_flatten_the_rest():
    drawn = curve(rows([100.0, 50.0, *np.linspace(2.0, 1.0, 18)], train=[1.5] * 20), columns=41, lines=4)
    assert drawn[0].startswith("         2 |") and drawn[3].startswith("         1 |")
    assert drawn[0][12:15].strip() == "*"  # at the edge


def test_losses_that_are_equal_or_not_finite_are_drawn_as_far_as_they_can_be():
    assert [line for line in curve(rows([2.0]), 20, 5) if "*" in line] == [" " * 11 + "|" + " " * 19 + "*"]
    nan = curve(rows([float("nan"), 1.0, 2.0], train=[float("inf"), 1.0, 1.0]), 30, 5)
    assert sum(line.count("*") for line in nan) == 2
    assert not any("*" in line for line in curve(rows([float("nan")]), 20, 5))


def test_losses_whose_difference_is_too_large_are_drawn():
    drawn = curve(rows([1e308, -1e308]), 20, 5)
    assert sum(line.count("*") for line in drawn) == 2


def test_a_pipe_is_no_history(run_dir):
    (run_dir / "history.jsonl").unlink()
    os.mkfifo(run_dir / "history.jsonl")
    with pytest.raises(RnnaudioError, match="cannot read .*: it is no regular file"):
        Follower(run_dir).read()


def test_rows_are_read_once_and_whole_and_anew_after_a_resumption(run_dir):
    path = run_dir / "history.jsonl"
    content = path.read_bytes()
    first, second, _ = content.splitlines(keepends=True)
    follower = Follower(run_dir)
    for written, expected in (
        (b"", []),
        (first, [1]),
        (first + second[:30], []),
        (content, [2, 3]),
        (content, []),
        (first, [1]),
    ):
        path.write_bytes(written)
        assert [row["updates"] for row in follower.read()] == expected
    assert [row["updates"] for row in follower.rows] == [1]
    path.unlink()
    assert Follower(run_dir).read() == []


@pytest.mark.parametrize("line", [b"{}\n", b"[1, 2]\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_what_is_no_row_is_refused(run_dir, line):
    (run_dir / "history.jsonl").write_bytes(line)
    with pytest.raises(RnnaudioError, match=r"history\.jsonl holds a line that is no row") as refused:
        Follower(run_dir).read()
    assert len(str(refused.value)) < 500 + len(str(run_dir))


def test_each_validation_is_a_line_until_the_owner_ends(run_dir, capsys):
    path = run_dir / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    waits = []

    def wait(seconds):
        waits.append(seconds)
        with path.open("ab") as file:
            file.write(lines[len(waits)] if len(waits) < 3 else b"")
        if len(waits) == 3:
            owner.__exit__(None, None, None)

    owner = owned_folder(run_dir)
    owner.__enter__()
    watch(run_dir, 0.5, on_terminal=False, wait=wait)
    expected = [describe_row(FRAMES, json.loads(line)) for line in lines]
    *printed, end = capsys.readouterr().out.splitlines()
    assert printed == expected and waits == [0.5] * 3
    lowest = min(json.loads(line)["valid"] for line in lines)
    assert end == f"{run_dir}: complete; validation {10 * np.log10(lowest):.2f} dB"


def test_the_end_of_a_run_with_a_report_tells_how_long_its_sound_lived(run_dir, capsys):
    summary = {"alive_seconds": 0.8, "of_seconds": 10.0, "death": "fell silent", "validation_loss": 0.1}
    (run_dir / "summary.json").write_text(json.dumps(summary))
    watch(run_dir, 1.0, on_terminal=False)
    end = "validation -10.00 dB; its sound stays alive for 0.8 of 10 s, then it fell silent"
    assert capsys.readouterr().out.splitlines()[-1] == f"{run_dir}: complete; {end}"


def test_losses_in_decibels_are_drawn_at_their_logarithms():
    drawn = curve(rows([1.0, 0.1, 0.01]), columns=41, lines=3, in_decibel=True)
    at = [next(k for k, mark in enumerate(line) if mark == "*") - 12 for line in drawn[:3]]
    assert at == [13, 27, 40] and drawn[0].startswith("      0 dB |") and drawn[2].startswith("    -20 dB |")


def test_on_a_terminal_the_state_is_drawn(run_dir, capsys):
    watch(run_dir, 1.0, on_terminal=True)
    out = capsys.readouterr().out
    follower = Follower(run_dir)
    text = as_text(run_dir, FRAMES, follower.read(), 80, 24, Limits(3, TINY.minutes))
    assert out.startswith(f"{CLEAR}{text}\n{run_dir}: complete; validation ")
    assert "no process writes to it" in text and "3 validations; lowest: " in text
    assert re.search(rf"^update 3 of 3 after .* s of {duration(60 * TINY.minutes)}, 3 validations", text, re.MULTILINE)
    without = as_text(run_dir, FRAMES, follower.rows, 80, 24, Limits(0, np.inf))
    assert re.search(r"^update 3 after [^ ]+ s, 3 validations", without, re.MULTILINE)
    assert text.count("updates  ") == 3 and max(map(len, text.splitlines()[1:9])) <= 80
    (run_dir / "history.jsonl").unlink()
    assert as_text(run_dir, FRAMES, [], 80, 24, Limits(3, 1.0)).endswith("no validation yet")


def test_a_choice_of_how_to_play_is_shown_while_it_goes_on(run_dir):
    (run_dir / "playing.json").write_text('{"untried": 7}')
    with owned_folder(run_dir):
        text = as_text(run_dir, FRAMES, [], 80, 24, Limits(3, 1.0))
        assert "\nchoosing how to play: 7 settings are left to try\n" in text
        for none in ('{"untried": 0}', "[]", "{", '{"untried": "x"}'):
            (run_dir / "playing.json").write_text(none)
            assert "choosing" not in as_text(run_dir, FRAMES, [], 80, 24, Limits(3, 1.0))
    (run_dir / "playing.json").write_text('{"untried": 7}')
    assert "choosing" not in as_text(run_dir, FRAMES, [], 80, 24, Limits(3, 1.0))  # nobody chooses


def test_the_command(run_dir, tmp_path, command):
    status, out, _ = command("watch", run_dir)
    assert status == 0 and f"\n{run_dir}: complete; validation " in out and out.count("updates") == 3
    every = (run_dir, "--every")
    bad = {(tmp_path,): "holds no run", (*every, 0): "--every is 0; expected more", (*every, "inf"): "a day at most"}
    for arguments, words in bad.items():
        status, out, err = command("watch", *arguments)
        assert (status, out, len(err.splitlines())) == (2, "", 1) and words in err


@pytest.mark.parametrize("content", ["[" * 100_000, "3", "[]", "{}", "x", '{"train": {}'])
def test_settings_that_are_none_are_refused(run_dir, command, content):
    (run_dir / "config.json").write_text(content)
    status, out, err = command("watch", run_dir)
    assert (status, out, len(err.splitlines())) == (2, "", 1) and len(err) < 400 + len(str(run_dir))


def test_a_run_that_ended_before_its_first_checkpoint(run_dir, capsys):
    for path in run_dir.glob("checkpoint*"):
        path.unlink()
    watch(run_dir, 1.0, on_terminal=False)
    assert capsys.readouterr().out.endswith(f"{run_dir}: no checkpoint was saved\n")
