"""Foreign text: control characters are visible on every stream, in errors, reports and pictures."""

import io
import os
import shlex
import shutil
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.plots.canvas import new_figure, save
from rnnaudio.report import write_report
from rnnaudio.text import SURROGATES, VisibleStream, in_shell, visible

EVIL = "evil\x1b[2J\x1b]0;owned\x07\r\nrnnaudio: fake\x9b\u202etxt\u2066\u2028\udce9"
BASH = shutil.which("bash")
TEXTS = st.text(st.characters(codec=None, exclude_categories=()))


def obeyed(text, keep=""):
    """Characters that a terminal may obey, by their Unicode category: controls, separators, marks of direction."""
    bidi = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    return {
        c for c in text
        if c not in keep
        and (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in bidi)
    }  # fmt: skip


@given(TEXTS)
@example(EVIL)
def test_nothing_is_left_to_obey_and_the_rest_stays(text):
    assert not obeyed(visible(text))
    assert visible(visible(text)) == visible(text)
    if not obeyed(text):
        assert visible(text) == text or any(c in text for c in "\u061c\u200e\u200f")


def test_each_is_shown_as_its_escape():
    assert visible("a\x1b\n\u202e\x85\udce9") == r"a\x1b\n\u202e\x85\udce9"
    assert visible("a\nb\tc", keep="\n\t") == "a\nb\tc"


@pytest.mark.parametrize(
    "text", ["", "plain", "a b", "it's", "a\nb'c\\d $HOME `x` !1", EVIL, "\x1b1\x7f2\u202e3\udce94\U0001f3b5", "-x\r"]
)
@pytest.mark.skipif(BASH is None, reason="bash is not installed")
def test_a_shell_reads_a_quoted_word_back(text):
    word = in_shell(text)
    assert not obeyed(word) and word.isprintable()
    done = subprocess.run([BASH, "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout == os.fsencode(text)


@given(TEXTS)
def test_a_quoted_word_has_nothing_to_obey(text):
    assert not obeyed(in_shell(text))
    if visible(text) == text:
        assert in_shell(text) == shlex.quote(text)


@given(TEXTS)
@example(EVIL)
@example("\x1b[A\x1b[2A")
def test_a_stream_keeps_lines_and_progress_bars_alone(text):
    plain = io.StringIO()
    assert VisibleStream(plain).write(text) == len(text)
    assert not obeyed(plain.getvalue().replace("\x1b[A", ""), "\n\t\r" + SURROGATES)


@given(TEXTS)
@example(EVIL)
def test_a_command_shows_an_error_in_one_line(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out := io.StringIO())
        patch.setattr(sys, "stderr", err := io.StringIO())

        def main():
            print(text)
            raise RnnaudioError(f"{text} is no corpus")

        with pytest.raises(SystemExit) as end:
            run_command(main, "rnnaudio")
    assert end.value.code == 2
    assert not obeyed(out.getvalue().replace("\x1b[A", ""), "\n\t\r" + SURROGATES)
    assert not obeyed(err.getvalue()[:-1]) and err.getvalue().endswith(" is no corpus\n")


def test_a_report_and_a_picture_show_them(tmp_path):
    rows = [{"title": EVIL}]
    page = write_report(
        tmp_path / "x.html", title=EVIL, summary=EVIL, tables={EVIL: rows}, pictures={}, notes=[EVIL]
    )
    text = page.read_text(encoding="utf-8")
    assert not obeyed(text, "\n") and text.count(r"owned\x07") == 6
    figure = new_figure(2.0, 1.0)
    figure.suptitle(EVIL)
    assert save(figure, tmp_path / "x.png").exists() and not obeyed(figure.get_suptitle(), "\n")
