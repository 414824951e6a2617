"""The demo: both runs, the page that compares them, and earlier demos in the same folder."""

import re

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import demo
from rnnaudio.runs.load import load
from rnnaudio.training import checkpoint


@pytest.mark.slow
def test_it_leaves_a_page_on_both_runs_and_is_replaced_by_the_next(tmp_path, capsys, monkeypatch):
    page = demo.run_demo(tmp_path / "demo", minutes=0.1).read_text()
    assert page.count("<audio controls") == 3 and page.count("<img") == 4
    for words in ("the model of 2016", "the model that plays on", "min-max-scaling", "unscaled-rmsprop", "What to do"):
        assert words in page, words
    results = re.search("<h2>Both runs</h2>.*?</table>", page, flags=re.DOTALL)[0]
    assert results.count("<tr>") == 3 and "frames" in results and "codes" in results
    assert "2 of 3: why it does not play" in capsys.readouterr().out
    assert all(load(tmp_path / "demo" / name).history for name in demo.PRESETS)
    before = (tmp_path / "demo/corpus.h5").stat().st_mtime_ns


    def broken_off(*_):
        raise RnnaudioError("enough")

    monkeypatch.setattr(demo, "trained", broken_off)
    with pytest.raises(RnnaudioError, match="enough"):
        demo.run_demo(tmp_path / "demo", minutes=0.05)
    assert (tmp_path / "demo/corpus.h5").stat().st_mtime_ns != before
    assert not checkpoint.path_in(tmp_path / "demo" / demo.LASTING).exists()


def leave_run(folder, minutes):
    """A checkpoint without arrays, of a run with this limit; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint.path_in(folder)
    checkpoint.save(path, checkpoint.Checkpoint({}, {"config": {"music": {"minutes": minutes}}}))
    return path


LIMITS = {"2016": 0.5, "codes": 1.5}


def test_an_earlier_demo_is_replaced_unless_it_was_trained_further(tmp_path):
    demo.replace_earlier(tmp_path, LIMITS)
    paths = [leave_run(tmp_path / name, minutes) for name, minutes in LIMITS.items()]
    (tmp_path / "corpus.h5").write_bytes(b"of the demo")
    demo.replace_earlier(tmp_path, {"2016": 2.0, "codes": 6.0})
    assert not any(path.exists() for path in paths)
    further = leave_run(tmp_path / "codes", 60.0)
    with pytest.raises(RnnaudioError, match=r"codes/checkpoint.safetensors was trained further after the demo"):
        demo.replace_earlier(tmp_path, LIMITS)
    assert further.exists()
    further.write_bytes(b"damaged")
    demo.replace_earlier(tmp_path, LIMITS)
    assert not further.exists()


@pytest.mark.parametrize("place", [".", "2016", "codes", "corpus"])
def test_what_is_not_a_demo_s_is_kept(tmp_path, place):
    """Even a run with the very settings of the demo: its corpus may be another."""
    path = tmp_path / "corpus.h5" if place == "corpus" else leave_run(tmp_path / place, LIMITS["codes"])
    if place == "corpus":
        path.write_bytes(b"forty hours")
    before = path.read_bytes()
    with pytest.raises(
        RnnaudioError, match=f"{path.name} is not a demo's, or that of an earlier version: name another"
    ):
        demo.replace_earlier(tmp_path, LIMITS)
    assert path.read_bytes() == before and not (tmp_path / demo.MARK).exists()
