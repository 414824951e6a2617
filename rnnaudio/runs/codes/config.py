"""The settings of a run over codes."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import MOST_HALVINGS, require_at_most, require_more_than_zero, require_zero_or_more
from rnnaudio.seeds import check_seed

MOST_SEMITONES, MOST_LAYERS, MOST_ATTENTION_SECONDS = 24, 1000, 600
WINDOW_SECONDS, HOPS_PER_WINDOW = 0.128, 4
FRAMES_PER_CODE, FRAMES_PER_COMPONENT = 40, 8
LEAST_FRAMES_PER_CODE, FEW_CODES = 8, 256  # as long as there are few codes
N_EPOCHS = 10  # passes over the music in all its transpositions; early stopping may end them
LEAST_UPDATES, MOST_UPDATES = 1000, 4000
MUCH_SECONDS = 1200.0
PRIME_SECONDS, PRIME_SECONDS_OF_A_BEAT = 1.0, 8.0


@dataclass(frozen=True)
class CodesConfig:
    """All settings of a run over codes. If one of the first eight is 0, it follows from the duration of the music."""

    window_samples: int = 0  # window of the spectra; 0: 128 ms, rounded to a power of two
    hop_samples: int = 0  # hop between windows; 0: a quarter of the window
    n_components: int = 0  # principal components of the log-magnitudes; 0: up to 128
    n_codes: int = 0  # codes per stage; 0: up to 1,024
    n_units: int = 0  # units of each LSTM layer and of the dense layer before them; 0: up to 512
    head_units: int = 0  # hidden units of the output MLP of each stage; 0: half of n_units
    max_updates: int = 0  # limit on the number of updates; 0: 10 epochs, from 1,000 to 4,000
    n_stages: int = 0  # codes per frame; 0: two for twenty minutes of music or more, else one
    transpose: tuple[int, ...] = (-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5)  # semitones of transposed training copies
    gain_db: float = 0.0  # transposed copies are louder or softer by up to this many decibels
    join_pieces: bool = True  # join all pieces into one sequence, so that music follows the silence after a piece
    n_layers: int = 1  # LSTM layers
    attention_seconds: float = 0.0  # attention over the last so many seconds; 0: none
    dropout: float = 0.2  # dropout rate before LSTM layers and in the output MLPs
    own_share: float = 0.0  # share of training input frames replaced by the model's own samples; rises from 0 to this
    long_term: Literal["no", "body", "head", "both"] = "no"  # feed frames from whole beats back to LSTMs, first head
    lag_dropout: float = 0.0  # probability that such a frame is left out in training
    input_noise: float = 0.0  # std of training noise, relative to that of each component; noise can freeze free runs
    batch_size: int = 24  # sequences per update
    n_steps: int = 64  # frames per sequence, through which the gradient is propagated back
    learning_rate: float = 2e-3
    validate_every: int = 100  # updates between validations
    patience: int = 10  # validations without improvement after which training stops; 0: no early stopping
    minutes: float = 15.0  # limit on the training time
    checkpoint_minutes: float = 5.0  # training time that a crash may cost: a checkpoint is written at least so often
    choice_minutes: float = 5.0  # limit on choosing how to play and reporting; of the training time, a third at most
    preflight: bool = False  # try toy problems before training
    back_off: int = 0  # times that a run whose loss is not finite returns to its last validation, at half the rate
    seed: int = 2016  # seed of all random numbers of the run

    def __post_init__(self) -> None:
        object.__setattr__(self, "transpose", tuple(self.transpose))  # JSON has lists only
        require_more_than_zero(
            self, "n_layers", "batch_size", "n_steps", "learning_rate", "validate_every", "minutes",
            "checkpoint_minutes", "choice_minutes",
        )  # fmt: skip
        require_at_most(self, MOST_LAYERS, "n_layers")
        require_zero_or_more(
            self, "window_samples", "hop_samples", "n_components", "n_codes", "n_units", "head_units", "max_updates",
            "n_stages", "input_noise", "gain_db", "patience", "back_off", "attention_seconds",
        )  # fmt: skip
        require_at_most(self, MOST_ATTENTION_SECONDS, "attention_seconds")
        require_at_most(self, MOST_HALVINGS, "back_off")
        check_seed(self.seed)
        for name in ("dropout", "own_share", "lag_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}; expected 0 or more, and less than 1")
        if self.lag_dropout and self.long_term == "no":
            raise RnnaudioError("lag_dropout leaves out frames of long-term prediction: set long_term, too")
        if any(abs(semitones) > MOST_SEMITONES for semitones in self.transpose):
            raise RnnaudioError(f"transpose is {self.transpose}; expected semitones, {MOST_SEMITONES} at most")


def prime_seconds(config: CodesConfig) -> float:
    """Return the length in seconds of primes for report and diagnosis: 1, or 8 to find a beat with ``long_term``."""
    return PRIME_SECONDS if config.long_term == "no" else PRIME_SECONDS_OF_A_BEAT


def fitted(config: CodesConfig, seconds: float, sample_rate_hz: int) -> CodesConfig:
    """Return a config with its zeros replaced by values that suit ``seconds`` of training music.

    An hour of music gets the largest values. A minute at 16 kHz gets 128 codes, so that each code has 8 frames or
    more, and a smaller model that is trained for fewer updates.
    """
    window = config.window_samples or 2 ** round(np.log2(WINDOW_SECONDS * sample_rate_hz))
    hop = config.hop_samples or max(1, window // HOPS_PER_WINDOW)
    n_frames = max(1.0, seconds * sample_rate_hz / hop)
    few = min(FEW_CODES, n_frames / LEAST_FRAMES_PER_CODE)
    n_codes = 2 ** int(np.log2(max(16.0, few, n_frames / FRAMES_PER_CODE)))
    is_much = seconds >= MUCH_SECONDS
    n_units = 512 if is_much else 256 if seconds >= 240.0 else 128
    updates = round(N_EPOCHS * n_frames * (1 + len(config.transpose)) / (config.n_steps * config.batch_size))
    n_units = config.n_units or n_units
    return dataclasses.replace(
        config,
        window_samples=window,
        hop_samples=hop,
        n_components=config.n_components or int(min(128, window // 2 + 1, max(8, n_frames // FRAMES_PER_COMPONENT))),
        n_codes=config.n_codes or min(1024, n_codes),
        n_units=n_units,
        head_units=config.head_units or max(1, n_units // 2),
        max_updates=config.max_updates or min(MOST_UPDATES, max(LEAST_UPDATES, updates)),
        n_stages=config.n_stages or (2 if is_much else 1),
    )
