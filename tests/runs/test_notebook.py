"""What shows itself in a notebook; and the tutorial on it, run in a notebook's kernel."""

import base64
import io
import re
import shutil

import numpy as np
import pytest
import soundfile

from rnnaudio.audio.clip import Clip
from rnnaudio.data import AudioCorpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import LSTM, Dense, Sequential
from rnnaudio.runs.load import load
from tests.support.processes import ROOT
from tests.support.tiny_runs import tiny_run

CODE = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    tiny_run(folder, "run")
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return load(folder / "run")


def cells(page):
    """Texts of the cells of its tables."""
    return re.findall("<td[^>]*>(.*?)</td>", page)


def test_a_run_plays_and_is_shown_as_a_player(folder, run):
    clip = run.play(0.5, index=2)
    rate = run.sample_rate_hz
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        prime = corpus.restore(corpus.test.prime_at(2, 1.0))
        (result,) = run.continue_primes([corpus.test.prime_at(2, 1.0)], rate // 2)
    assert clip.sample_rate_hz == rate and len(clip.audio) == 1.5 * rate
    np.testing.assert_allclose(clip.audio, run.scale.restore(result.audio), atol=1e-6)
    np.testing.assert_array_equal(run.play(0.5, prime).audio, clip.audio)
    page = clip._repr_html_()
    audio, own_rate = soundfile.read(io.BytesIO(base64.b64decode(re.search('base64,([^"]*)"', page)[1])))
    assert own_rate == rate and len(audio) == len(clip.audio) and "1.00 s prime, then generated" in page
    assert repr(clip) == f"Clip(1.50 s at {rate} Hz: 1.00 s prime, then generated)"
    with pytest.raises(RnnaudioError):
        run.play(0.5, np.zeros(1, np.float32))


def test_a_run_a_model_and_a_corpus_show_what_they_are(folder, run):
    shown = cells(run._repr_html_())
    assert shown[:2] == ["run", "FramesRun"] and shown[shown.index("updates") + 1] == "2"
    assert shown[shown.index("parameters") + 1] == str(run.model.n_parameters)
    rng = np.random.default_rng(0)
    model = Sequential([LSTM(3, 4, rng=rng), Dense(4, 2, rng=rng)])
    shown = cells(model._repr_html_())
    expected = [(name, value.get_value()) for name, value in model.parameters().items()]
    assert shown[::3] == [name for name, _ in expected]
    assert list(map(int, shown[2::3])) == [value.size for _, value in expected]
    assert shown[1::3] == [" x ".join(map(str, value.shape)) for _, value in expected]
    with AudioCorpus.open(folder / "corpus.h5") as corpus:
        page = corpus._repr_html_()
        shown = [f"{split.seconds:.1f}" for split in (corpus.train, corpus.valid, corpus.test)]
    assert [f"{float(seconds):.1f}" for seconds in cells(page)[2::3]] == shown and "corpus.h5" in page


def test_words_of_a_clip_are_escaped():
    page = Clip(np.zeros(800, np.float32), 8000, "<script>\x1b")._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page and "\x1b" not in page


@pytest.mark.slow
def test_the_tutorial_runs_in_a_notebook(folder, tmp_path):
    """Every cell that ends in something that shows itself leaves HTML or a picture."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    from rnnaudio.runs.codes.config import CodesConfig
    from rnnaudio.runs.codes.recipe import CODES
    from rnnaudio.runs.fit import fit

    demo = tmp_path / "runs/demo"
    demo.mkdir(parents=True)
    shutil.copy(folder / "corpus.h5", demo)
    small = CodesConfig(n_units=16, n_codes=16, n_components=8, batch_size=8, n_steps=16, max_updates=4)
    fit(CODES, small, demo / "corpus.h5", demo / "codes")
    texts = CODE.findall((ROOT / "docs/tutorials/in-a-notebook.md").read_text(encoding="utf-8"))
    texts = [text.replace("minutes=1.0", "minutes=0.01").replace("seconds=10", "seconds=1") for text in texts]
    path = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in [path, *texts]])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [{kind for output in cell.outputs for kind in output.get("data", {})} for cell in notebook.cells[1:]]
    assert all(kind & {"text/html", "image/png"} for kind in kinds), kinds
    assert sum("image/png" in kind for kind in kinds) == 2
