"""The demo: both runs, the page that compares them, and earlier demos in the same folder."""

import re

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs import demo
from rnnaudio.runs.config import to_dict
from rnnaudio.runs.load import load
from rnnaudio.runs.settings import chosen
from rnnaudio.training import checkpoint


@pytest.mark.slow
def test_it_tells_the_whole_story_and_is_replaced_by_the_next(tmp_path, capsys):
    page = demo.tell(tmp_path / "demo", minutes=0.1).read_text()
    assert page.count("<audio controls") == 3 and page.count("<img") == 2
    for words in ("the model of 2016", "the model that plays on", "min-max-scaling", "unscaled-rmsprop", "Advice:"):
        assert words in page, words
    results = re.search("<h2>Both runs</h2>.*?</table>", page, flags=re.DOTALL)[0]
    assert results.count("<tr>") == 3 and "frames" in results and "codes" in results
    assert "2 of 3: why it does not play" in capsys.readouterr().out
    for name, preset in demo.PRESETS.items():
        assert load(tmp_path / "demo" / name).history
        assert demo.is_of_a_demo(checkpoint.path_in(tmp_path / "demo" / name), chosen(preset=preset))
    before = (tmp_path / "demo/corpus.h5").stat().st_mtime_ns
    demo.tell(tmp_path / "demo", minutes=0.05)
    assert (tmp_path / "demo/corpus.h5").stat().st_mtime_ns != before


def saved_run(folder, preset, **changed):
    """A checkpoint without arrays, of a run with a preset's settings."""
    recipe, config = chosen(preset=preset)
    key = {"frames": "train", "codes": "music"}[recipe]
    folder.mkdir(parents=True)
    path = checkpoint.path_in(folder)
    checkpoint.save(path, checkpoint.Checkpoint({}, {"config": {key: to_dict(config) | changed}}))
    return path


def test_only_an_earlier_demo_is_replaced(tmp_path):
    settings = {name: chosen(preset=preset) for name, preset in demo.PRESETS.items()}
    paths = [saved_run(tmp_path / "old" / "2016", "gru-2016", minutes=7.0)]
    paths += [saved_run(tmp_path / "old" / "codes", "music", minutes=7.0, n_codes=256, max_updates=1000)]  # as decided
    demo.forget_earlier(tmp_path / "old", settings)
    assert not any(path.exists() for path in paths)
    mine = saved_run(tmp_path / "mine" / "2016", "gru-2016", batch_size=3)
    other = saved_run(tmp_path / "mine" / "codes", "music")
    with pytest.raises(
        RnnaudioError, match=r"mine/2016/checkpoint.safetensors is not a demo's: name another --run-dir"
    ):
        demo.forget_earlier(tmp_path / "mine", settings)
    assert mine.exists() and other.exists()
    run = saved_run(tmp_path / "run", "music")
    with pytest.raises(RnnaudioError, match="not a demo's"):
        demo.forget_earlier(tmp_path / "run", settings)
    assert run.exists()
