"""A run that is trained in a second or two, on the piano music of the demo."""

from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES

TINY = FramesConfig(
    model=ModelConfig(n_units=6), frame_size=40, n_steps=5, batch_size=4, max_updates=2, validate_every=2
)


def tiny_run(folder, name, config=TINY):
    """Train a run on the corpus in ``folder``, made if there is none; returns the run's folder, ``folder / name``."""
    if not (folder / "corpus.h5").exists():
        build_demo_corpus(folder / "corpus.h5")
    fit(FRAMES, config, folder / "corpus.h5", folder / name)
    return folder / name
