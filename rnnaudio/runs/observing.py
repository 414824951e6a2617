"""Observer of a training: at intervals, it lets the run generate sound.

An observer is a function that is called with each new row of the training history, after the checkpoint is saved. This
one does not affect the training: if no sound can be generated, it prints a note.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from rnnaudio import plots
from rnnaudio.atomic import write_atomically
from rnnaudio.audio import write_wav
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.levels import limited
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.load import load
from rnnaudio.runs.recipe import Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import SavedRun, open_known
from rnnaudio.text import visible
from rnnaudio.training.history import Row

FOLDER = "listening"
SECONDS = 5.0  # of each sound, after its prime
LEAST_MINUTES = 0.05


class Heard(NamedTuple):
    """Sound of a run at an update of its training.

    updates
        number of updates so far.
    audio
        prime and continuation, (n,) samples on the scale of the recording.
    wav, picture
        paths of the sound as a WAV file and of its spectrogram as a PNG file.
    """

    updates: int
    audio: Audio
    sample_rate_hz: int
    wav: Path
    picture: Path


class Listener:
    """Observer that lets the run play at intervals of training time.

    Each time, the run continues the first validation prime for five seconds: with the best parameters so far or, in
    runs over codes, with the last. The result is written to ``RUN_DIR/listening/update-00001200.wav`` and
    ``.png``. Loading and playing take seconds, which count as training time.

    run_dir, corpus
        the folder of the run, and the path of its corpus.
    every_minutes
        training time between two sounds, in minutes.
    and_then
        functions called with each sound.

    RnnaudioError for an interval below .05 minutes or an infinite one.
    """

    def __init__(
        self,
        run_dir: Path,
        corpus: Path,
        every_minutes: float,
        and_then: Sequence[Callable[[Heard], None]] = (),
    ):
        if not LEAST_MINUTES <= every_minutes < np.inf:
            raise RnnaudioError(f"listen_every is {every_minutes:g} minutes; expected {LEAST_MINUTES:g} or more")
        self._run_dir, self._corpus, self._every = Path(run_dir), corpus, 60.0 * every_minutes
        self._and_then, self._next = and_then, 0.0

    def __call__(self, row: Row) -> None:
        if row["seconds"] < self._next:
            return
        self._next = row["seconds"] + self._every
        try:
            heard = self._played(row["updates"])
            for call in self._and_then:
                call(heard)
        except (RnnaudioError, OSError) as error:
            tqdm.write(f"note: nothing to listen to at update {row['updates']}: {visible(error)}")

    def _played(self, updates: int) -> Heard:
        saved, run = SavedRun.read(self._run_dir), load(self._run_dir)
        prime = self._prime(recipe_in(saved.settings, saved.path), run)
        (result,) = run.continue_primes([prime], round(SECONDS * run.sample_rate_hz))
        whole, _ = limited(run.scale.restore(result.audio), run.sample_rate_hz)
        folder = self._run_dir / FOLDER
        folder.mkdir(exist_ok=True)
        wav, picture = (folder / f"update-{updates:08d}{ending}" for ending in (".wav", ".png"))
        write_wav(wav, whole, run.sample_rate_hz)
        figure = plots.spectrogram_sheet_figure(
            {f"update {updates}": whole}, run.sample_rate_hz, prime_seconds=len(prime) / run.sample_rate_hz
        )
        write_atomically(picture, plots.rendered(figure))
        return Heard(updates, whole, run.sample_rate_hz, wav, picture)

    def _prime(self, recipe: Recipe[Any], run: LoadedRun) -> Audio:
        """Read the first prime of the validation split, (n,) standardised samples."""
        with open_known(run.record["config"]["corpus"], self._corpus) as corpus:
            seconds = recipe.prime_length(run.config, corpus.valid)
            return corpus.valid.prime_at(0, seconds)
