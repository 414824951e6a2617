"""A trained run over codes, which continues sound by sampling codes of spectra."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnnaudio.data.codec import Codec
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Network
from rnnaudio.generation.codes import Block, continue_audio
from rnnaudio.generation.sampling import SamplingSchedule
from rnnaudio.metrics import AliveLimits
from rnnaudio.nn import CodeModel
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.model import CODEC, build_model, load_codec
from rnnaudio.runs.codes.network import encoder_network, step_network
from rnnaudio.runs.codes.playing import Playing, load_playing, playing_path
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.record import SavedRun, rate_of
from rnnaudio.training.resuming import set_model

FRAMES_AT_ONCE = 32


@dataclass(frozen=True)
class CodesRun(LoadedRun):
    """A trained run over codes; ``playing`` holds the settings with which it generates, see :func:`load_playing`."""

    config: CodesConfig
    model: CodeModel
    codec: Codec
    playing: Playing

    @property
    def temperature(self) -> float:
        return self.playing.temperature

    @property
    def limits(self) -> AliveLimits | None:
        return self.playing.limits

    @property
    def note(self) -> str:
        scores, untried = self.playing.scores, self.playing.untried
        if not scores and untried:
            return "how this run plays was not chosen, as its training was short: it plays as learnt, at temperature 1"
        if not scores:
            return "how this run plays was not chosen yet: `rnnaudio report` does"
        if untried:
            n = f"{len(scores)} of {len(scores) + untried}"
            return f"how this run plays was chosen from {n} settings: `rnnaudio report` tries the rest"
        return ""

    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue each prime, in blocks (see the base class); with ``at_once`` a block is one frame, else 32."""
        schedule, n = sampling.schedule(self.temperature), 1 if at_once else FRAMES_AT_ONCE
        blocks = self.coded_blocks(primes, n_samples, schedule, seed=sampling.seed, n_at_once=n)
        return (block.audio for block in blocks)

    def coded_blocks(
        self,
        primes: Sequence[np.ndarray],
        n_samples: int,
        schedule: SamplingSchedule | None = None,
        *,
        seed: int | None = None,
        n_at_once: int = FRAMES_AT_ONCE,
    ) -> Iterator[Block]:
        """Continue the primes, (n,) standardised samples each, of equal length; yield blocks (:func:`continue_audio`).

        schedule: sampling over the continuation; None: the run's chosen temperature throughout. Stages after the first
        are always sampled at the run's chosen detail temperature. seed: random seed of the sampling; None: the run's
        own. n_at_once: frames per block.
        """
        return continue_audio(
            self.model,
            self.codec,
            np.stack(primes),
            n_samples,
            (schedule or SamplingSchedule((self.temperature,))).at,
            detail_temperature=self.playing.detail_temperature,
            seed=self.config.seed if seed is None else seed,
            n_at_once=n_at_once,
        )

    def networks(self) -> dict[str, Network]:
        """Make the networks to export: "" samples a frame, "-encoder" encodes a prime; see the base class.

        RnnaudioError for a run with long-term prediction.
        """
        if self.model.long_term is not None:
            raise RnnaudioError(
                f"the run has long_term {self.config.long_term!r}: it predicts from frames whole beats back, and the "
                "beat is found outside its network, by a program that ONNX does not hold; play it with `rnnaudio "
                "generate`, or export a run with long_term 'no'"
            )
        step, stft = step_network(self.model, self.codec), self.codec.stft
        names = ("window_samples", "hop_samples", "window")
        later = [self.playing.detail_temperature] * (self.model.n_stages - 1)
        step.about = {
            **{name: getattr(stft, name) for name in names},
            "temperatures": [self.temperature, *later],
            "random": [self.config.seed, 0, 9],
        }
        return {"": step, "-encoder": encoder_network(self.codec)}

    def playing_as(self, playing: Playing) -> "CodesRun":
        """Return a copy of the run that generates with the settings ``playing``; its parameters stay as loaded."""
        return replace(self, playing=playing)


def loaded(config: CodesConfig, saved: SavedRun, parameters: str | None = None) -> CodesRun:
    """Load a saved run with its parameters ``best`` (lowest validation loss) or ``model`` (the last).

    parameters: one of these names; None: the parameters that were chosen after training. RnnaudioError if codec or
    chosen settings are missing, damaged, or of another run.
    """
    codec, playing = load_codec(saved.run_dir), load_playing(saved.run_dir, saved.record["n_updates"])
    _check_parts(config, codec, playing, saved)
    model = build_model(config, codec, saved.sparing_generator())
    set_model(model, saved.parameters(parameters or playing.parameters), saved.path)
    return CodesRun(config, model, saved.record, codec, playing)


def _check_parts(config: CodesConfig, codec: Codec, playing: Playing, saved: SavedRun) -> None:
    """Raise RnnaudioError if codec or limits, which are files beside the checkpoint, belong to another run."""
    rate, stft = rate_of(saved.record), codec.stft
    wanted = config.window_samples, config.hop_samples, rate
    got = stft.window_samples, stft.hop_samples, stft.sample_rate_hz or rate
    if got != wanted:
        raise RnnaudioError(f"{saved.run_dir / CODEC} has window, hop and rate {got}, its run {wanted}: copy both")
    if playing.limits and playing.limits.sample_rate_hz != rate:
        raise RnnaudioError(f"{playing_path(saved.run_dir)} is of another sample rate: delete it to choose again")
