"""Event files of TensorBoard with the curves, sounds and spectrograms of a run."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.observing import Heard
from rnnaudio.training.history import Row

try:
    from tensorboardX import SummaryWriter
except ImportError:  # said when it is needed
    SummaryWriter = None

FOLDER = "tensorboard"


class EventFiles:
    """Observer of a training that writes event files of TensorBoard to ``RUN_DIR/tensorboard``.

    A call with a row of the training history writes its scalars: losses, learning rate, norms of gradients, update
    ratios. :meth:`hear` writes a sound and its spectrogram. If a run is resumed from an earlier update, TensorBoard
    drops the old events after that update.

    RnnaudioError if the extra ``tensorboard`` is not installed, and at the first event if the folder cannot be
    written.
    """

    def __init__(self, run_dir: Path):
        if SummaryWriter is None:
            raise RnnaudioError("--tensorboard needs an extra: pip install 'rnnaudio[tensorboard]'")
        self._folder, self._opened = Path(run_dir) / FOLDER, None

    def _writer(self, updates: int) -> Any:
        """Return the writer; the first call opens it, so that old events from update ``updates`` on are dropped."""
        if self._opened is None:
            try:
                self._opened = SummaryWriter(str(self._folder), purge_step=updates)
            except OSError as error:
                raise RnnaudioError(f"cannot write {self._folder}: {error.strerror}; resume without it") from error
        return self._opened

    def __call__(self, row: Row) -> None:
        writer = self._writer(row["updates"])
        named = {"loss/train": row["train"], "loss/valid": row["valid"], "learning_rate": row["learning_rate"]}
        for group, entry in (("gradient_norm", "gradient_norms"), ("update_ratio", "update_ratios")):
            named |= {f"{group}/{name}": value for name, value in row[entry].items()}
        for name, value in named.items():
            writer.add_scalar(name, value, row["updates"])
        writer.flush()

    def hear(self, heard: Heard) -> None:
        """Write a sound and its spectrogram as events of their update."""
        writer = self._writer(heard.updates)
        writer.add_audio("played", heard.audio[:, np.newaxis], heard.updates, heard.sample_rate_hz)
        with Image.open(heard.picture) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        writer.add_image("spectrogram", pixels, heard.updates, dataformats="HWC")
        writer.flush()
