"""The settings of a run over samples."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import MOST_HALVINGS, require_at_most, require_more_than_zero, require_zero_or_more
from rnnaudio.seeds import check_seed

MOST_LEVELS = 65_536


@dataclass(frozen=True)
class SamplesConfig:
    """All settings of a run over samples."""

    frames: tuple[int, ...] = (128, 16)  # samples per frame of each tier above the sample tier; the longest first
    window: int = 16  # past samples that are the input of the lowest tier
    n_units: int = 256  # units of each tier
    cell: Literal["gru", "lstm"] = "gru"  # recurrent cell of the tiers of frames
    readout: Literal["logistic", "categorical"] = "logistic"  # distribution of a sample
    n_components: int = 4  # components of the mixture of logistics
    n_taps: int = 16  # past samples that the linear path predicts from, logistic only; 0: none
    n_levels: int = 256  # quantisation levels of a sample
    law: Literal["mu", "linear"] = "mu"  # spacing of the levels: mu-law or equal
    batch_size: int = 32  # sequences per update
    n_steps: int = 512  # samples per sequence; the state is carried on to the next batch
    learning_rate: float = 2e-3
    max_updates: int = 2400  # limit on the number of updates
    validate_every: int = 200  # updates between validations
    n_valid: int = 4096  # samples of each validation stretch
    valid_stretches: int = 24  # number of validation stretches, at most
    minutes: float = 15.0  # limit on the training time
    checkpoint_minutes: float = 5.0  # training time that a crash may cost: a checkpoint is written at least so often
    preflight: bool = False  # try toy problems before training
    back_off: int = 0  # times that a run whose loss is not finite returns to its last validation, at half the rate
    seed: int = 2016  # seed of all random numbers of the run

    @property
    def n_fitted_taps(self) -> int:
        """Number of past samples from which the linear path predicts; 0 for a categorical read-out, which has none."""
        return 0 if self.readout == "categorical" else self.n_taps

    @property
    def n_context(self) -> int:
        """Number of samples before the first predicted one, as ``n_context`` of :class:`rnnaudio.nn.SampleModel`."""
        return max(self.frames[0], self.window, self.n_fitted_taps)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", tuple(self.frames))  # JSON has lists only
        require_more_than_zero(
            self, "window", "n_units", "n_components", "batch_size", "learning_rate", "max_updates", "validate_every",
            "valid_stretches", "minutes", "checkpoint_minutes",
        )  # fmt: skip
        require_zero_or_more(self, "n_taps", "back_off")
        require_at_most(self, MOST_HALVINGS, "back_off")
        check_seed(self.seed)
        if not 2 <= self.n_levels <= MOST_LEVELS:
            raise RnnaudioError(f"n_levels is {self.n_levels}; expected 2 to {MOST_LEVELS}")
        if self.frames and min(self.frames) < 1:
            raise RnnaudioError(f"frames are {self.frames}; expected more than 0 samples each")
        sizes = [*self.frames, 1]
        if not self.frames or any(a % b or a == b for a, b in pairwise(sizes)):
            raise RnnaudioError(f"frames are {self.frames}: each must hold a whole number of the next, two at least")
        for name in ("n_steps", "n_valid"):
            if getattr(self, name) < 1 or getattr(self, name) % self.frames[0]:
                got = f"{name} is {getattr(self, name)}"
                raise RnnaudioError(f"{got}: expected a whole number of frames of {self.frames[0]} samples")
