"""Event files of TensorBoard: the curves, sounds and spectrograms of a run."""

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
    """Observer that writes event files of TensorBoard to ``RUN_DIR/tensorboard``.

    Scalars by update: losses, learning rate, norms of gradients, update ratios. :meth:`hear` adds a sound and its
    spectrogram. Of a run that was resumed from an earlier update, TensorBoard drops the events after it.

    RnnaudioError if the extra ``tensorboard`` is not installed; later, if the folder cannot be written.
    """

    def __init__(self, run_dir: Path):
        if SummaryWriter is None:
            raise RnnaudioError("--tensorboard needs an extra: pip install 'rnnaudio[tensorboard]'")
        self._folder, self._opened = Path(run_dir) / FOLDER, None

    def _writer(self, updates: int) -> Any:
        """The writer, opened at the first event."""
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
        """Add a sound and its spectrogram."""
        writer = self._writer(heard.updates)
        writer.add_audio("played", heard.audio[:, np.newaxis], heard.updates, heard.sample_rate_hz)
        with Image.open(heard.picture) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        writer.add_image("spectrogram", pixels, heard.updates, dataformats="HWC")
        writer.flush()
