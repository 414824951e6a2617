"""Settings that cannot change when a run is resumed are refused one by one, each with its reason."""

import dataclasses

import pytest

from rnnaudio.audio import write_wav
from rnnaudio.data.corpus_build import build_corpus
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.config import flat, to_dict
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.reasons import UNINTERRUPTED
from rnnaudio.runs.resumable import refusals, why
from rnnaudio.runs.samples.recipe import SAMPLES
from rnnaudio.training import checkpoint
from tests.support.sounds import RATE_HZ, music

TINY = FramesConfig(
    model=ModelConfig(n_units=6), frame_size=40, n_steps=5, batch_size=4, max_updates=2, validate_every=2
)
COSINE = dataclasses.replace(FramesConfig(max_updates=9), schedule="cosine")  # max_updates may not change


@pytest.mark.parametrize(
    ("recipe", "config"), [(FRAMES, COSINE), (CODES, CODES.Config()), (SAMPLES, SAMPLES.Config())], ids=lambda x: ""
)
def test_every_setting_may_change_or_has_its_own_reason(recipe, config):
    """And no reason is of a setting that is none, or may change."""
    names = set(flat(to_dict(config))) - recipe.may_change(config)
    assert [name for name in names if why(name, recipe.fixed) == UNINTERRUPTED] == []
    tables = {name.rpartition(".")[0] for name in names} | {"model"}
    assert recipe.fixed.keys() <= names | tables


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumable")
    build_demo_corpus(folder / "corpus.h5")
    fit(FRAMES, TINY, folder / "corpus.h5", folder / "run")
    return folder


def resumed(folder, config, corpus="corpus.h5"):
    before = checkpoint.path_in(folder / "run").read_bytes()
    with pytest.raises(RnnaudioError) as error:
        fit(FRAMES, config, folder / corpus, folder / "run", resume=True)
    assert checkpoint.path_in(folder / "run").read_bytes() == before
    return str(error.value)


def test_all_that_differ_are_named_each_with_its_reason(trained):
    model = ModelConfig.of(n_units=7, input_noise=0.1, peepholes=True)
    message = resumed(trained, dataclasses.replace(TINY, model=model, batch_size=5, burn_in=2, minutes=3.0))
    head, *between = message.partition("checkpoint.safetensors cannot go on so: ")[2].split("; ")
    assert sorted([head, *between[:-1]]) == [
        "batch_size was 4, now it is 5 (the order of the batches follows from it: some music would be trained on "
        "twice, some never)",
        "burn_in was 0, now it is 2 (it changes what the loss measures: losses before and after could not be "
        "compared)",
        "model.input_noise was 0.0, now it is 0.1 (the noise of every update follows from it, of those so far too)",
        "model.n_units was 6, now it is 7 (the model's shape follows from it, and the saved parameters have the old "
        "one)",
        "model.options.peepholes was False, now it is True (the parameters were trained for the model's old equation)",
    ]
    assert between[-1].endswith(f"rnnaudio train CORPUS.h5 NEW_RUN --from {trained / 'run'}") and "{" not in message


def test_options_of_another_cell_are_not_listed(trained):
    message = resumed(trained, dataclasses.replace(TINY, model=ModelConfig.of(cell="gru", n_units=6)))
    assert "model.cell was lstm, now it is gru" in message and "options" not in message


def test_another_corpus_is_refused_beside_settings(trained, tmp_path):
    for seed in range(3):
        write_wav(tmp_path / f"{seed}.wav", music(2.0, seed), RATE_HZ)
    build_corpus([tmp_path], trained / "other.h5", sample_rate_hz=RATE_HZ)
    message = resumed(trained, TINY, "other.h5")
    assert "cannot go on so: the corpus is another one, whose mean was" in message
    message = resumed(trained, dataclasses.replace(TINY, seed=1), "other.h5")
    assert "seed was 2016, now it is 1 (batches, noise and initial" in message
    assert "the corpus is another one, whose train_seconds was" in message


def test_lists_and_what_is_none_are_written_plainly():
    before = dataclasses.replace(CODES.Config(), transpose=(-1, 2))
    assert refusals(before, dataclasses.replace(before, transpose=()), {})[0].startswith(
        "transpose was [-1, 2], now it is [] ("
    )
    assert "target_shift was none, now it is 0" in refusals(TINY, dataclasses.replace(TINY, target_shift=0), {})[0]


def test_a_limit_that_sets_the_learning_rate_says_so(trained, tmp_path):
    cosine = dataclasses.replace(TINY, schedule="cosine")
    fit(FRAMES, cosine, trained / "corpus.h5", tmp_path / "run")
    with pytest.raises(RnnaudioError, match=r"max_updates was 2, now it is 4 \(the cosine schedule lets"):
        fit(FRAMES, dataclasses.replace(cosine, max_updates=4), trained / "corpus.h5", tmp_path / "run", resume=True)
