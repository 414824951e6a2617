"""Tiny runs for tests on several processes: python -m tests.support.shared_runs KIND CORPUS OUT DTYPE NAME...

Trains the runs NAME into folders OUT/NAME, with all processes or devices of --data-parallel KIND.
"""

import sys
from pathlib import Path

from rnnaudio import engine
from rnnaudio.cli.parallel import ranks_of
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.runs.frames.recipe import FRAMES
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.recipe import SAMPLES
from tests.support.spectra_recipe import SpectraConfig, SpectraRecipe

TINY = {"batch_size": 8, "max_updates": 50, "validate_every": 25}
CODE = {
    "window_samples": 256, "n_codes": 16, "n_units": 8, "head_units": 6, "n_stages": 2, "transpose": (), "n_steps": 6
}  # fmt: skip
FRAME = {"frame_size": 40, "n_steps": 6, "batches": "consecutive"}
NOISE = {"input_noise": 0.1, "state_noise": 0.1, "initial_state_noise": 0.1}
RUNS = {
    "frames": (FRAMES, FramesConfig(model=ModelConfig(n_units=8), **FRAME, **TINY)),
    "segments": (FRAMES, FramesConfig(model=ModelConfig(n_units=8), segment_steps=4, **FRAME, **TINY)),
    "noise": (FRAMES, FramesConfig(model=ModelConfig(n_units=8, **NOISE), **FRAME, **TINY)),
    "codes": (CODES, CodesConfig(dropout=0.0, **CODE, **TINY)),
    "dropout": (CODES, CodesConfig(dropout=0.3, own_share=0.3, input_noise=0.1, **CODE, **TINY)),
    "samples": (SAMPLES, SamplesConfig(frames=(8, 2), window=4, n_units=6, n_steps=16, n_valid=64, **TINY)),
    "spectra": (SpectraRecipe(), SpectraConfig(n_units=8, n_steps=6, batch_size=8, max_updates=50)),
}


def main(kind: str, corpus: Path, out: Path, dtype: str, *names: str) -> None:
    with ranks_of(kind) as ranks, engine.precision(dtype):
        for name in names:
            recipe, config = RUNS[name]
            fit(recipe, config, corpus, out / name, ranks=ranks)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
