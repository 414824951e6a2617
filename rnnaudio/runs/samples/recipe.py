"""Runs over samples: quantise a corpus, fit a linear path, train a :class:`SampleModel`, generate by sampling."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import CodeStreams
from rnnaudio.data.quantize import Quantizer
from rnnaudio.data.sample_batches import fitted_quantizer, levels_of
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Network
from rnnaudio.generation.samples import SamplePlayer
from rnnaudio.kernels.samples import SAMPLERS
from rnnaudio.nn import SampleModel
from rnnaudio.objectives import NextSamples
from rnnaudio.runs.bits import BitsRecipe, bits_by_counts, check_fits, fitting
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.continuing import LoadedRun, SamplingOptions
from rnnaudio.runs.lengths import Need, Needs
from rnnaudio.runs.recipe import Prepared
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.fixed import FIXED
from rnnaudio.runs.samples.model import Facts, build_model, measured_facts, windows_of
from rnnaudio.runs.samples.network import step_network
from rnnaudio.runs.toys import WAVES
from rnnaudio.training import checkpoint
from rnnaudio.training.resuming import set_model

BLOCK_SAMPLES = 1024  # per block of generated sound, about


@dataclass(frozen=True)
class SamplesRun(LoadedRun):
    """A trained run over samples, with the quantiser of its samples."""

    config: SamplesConfig
    model: SampleModel
    quantizer: Quantizer

    @property
    def temperature(self) -> float:
        """The default sampling temperature: 1, which leaves the distributions as learnt."""
        return 1.0

    def blocks(
        self, primes: Sequence[np.ndarray], n_samples: int, sampling: SamplingOptions, *, at_once: bool
    ) -> Iterator[np.ndarray]:
        """Continue each prime, see the base class; with ``at_once``, each block is a frame of the lowest frame tier.

        RnnaudioError if ``n_samples`` is less than 1.
        """
        if n_samples < 1:
            raise RnnaudioError(f"asked for {n_samples} samples; expected 1 or more")
        schedule = sampling.schedule(self.temperature)
        seed = self.config.seed if sampling.seed is None else sampling.seed
        context = np.stack([self.quantizer.levels(prime) for prime in primes])
        player = SamplePlayer(self.model, context, schedule.at(0.0), seed=seed)
        frame = self.config.frames[-1]
        n_block = frame if at_once else max(frame, BLOCK_SAMPLES // frame * frame)
        for done in range(0, n_samples, n_block):
            levels = []
            for now in range(done, min(done + n_block, n_samples), frame):
                player.sampling = schedule.at(now / n_samples)
                levels.append(next(player))
            yield self.quantizer.samples(np.concatenate(levels, axis=1)[:, : n_samples - done])

    def networks(self) -> dict[str, Network]:
        network = step_network(self.model, self.quantizer)
        network.about = {
            "frame_size": self.config.frames[0],
            "n_context": self.model.n_context,
            "n_uniform": SAMPLERS[self.model.samples.readout.kernel],
            **dataclasses.asdict(self.quantizer),
            "temperature": self.temperature,
            "random": [self.config.seed, 0, 11],
        }
        return {"": network}


class SamplesRecipe(BitsRecipe[SamplesConfig]):
    """The recipe of runs over samples: SampleRNN, a hierarchical model, generates one sample at a time."""

    name = "samples"
    key = "samples"
    Config = SamplesConfig
    quantity = "bits a sample"
    seconds = 5.0
    problems = WAVES
    fixed: ClassVar = FIXED
    meaning: ClassVar = {"readout", "n_taps", "n_levels", "law"}

    def needs(self, config: SamplesConfig, corpus: AudioCorpus) -> Needs:
        n_context = config.n_context
        return Needs(
            Need(corpus.train, n_context + config.n_steps, "n_steps"),
            Need(corpus.valid, n_context + config.n_valid, "n_valid"),
        )

    def least_prime_samples(self, config: SamplesConfig) -> int:
        return config.n_context

    def prepare(self, config: SamplesConfig, corpus: AudioCorpus, run_dir: Path | None = None) -> Prepared:
        """Prepare a training: quantise the music, fit the linear path, build the model.

        With ``run_dir``, quantiser and linear path are those of the run in it. RnnaudioError for silent or too short
        music, or if a training step needs more memory than is available.
        """
        quantizer, known = fitted_quantizer(corpus.train, config.n_levels, config.law), facts_in(run_dir)
        if known:
            _print_clipping(quantizer.peak, known.peak)
            quantizer = quantizer_of(config, known)
        levels = levels_of(corpus.train, quantizer)
        facts = known or measured_facts(levels, quantizer, config.n_fitted_taps)
        model, training = build_model(config, facts), fitting(config)
        n_context = model.n_context
        check_fits(model, NextSamples(n_context), training, config)
        batches = CodeStreams(levels.sequences, config.n_steps, config.batch_size, config.seed, n_context)
        validation = windows_of(corpus.valid, quantizer, n_context, config.n_valid, config.valid_stretches)
        return Prepared(
            model,
            NextSamples(n_context),
            batches,
            validation,
            training,
            corpus.train.pieces,
            bits_by_counts(levels.sequences, validation, n_context),
            {"facts": dataclasses.asdict(facts)},
        )

    def load(self, config: SamplesConfig, saved: SavedRun) -> SamplesRun:
        facts = from_dict(Facts, saved.settings.get("facts", {}))
        model = build_model(config, facts, saved.sparing_generator())
        set_model(model, saved.parameters(), saved.path)
        return SamplesRun(config, model, saved.record, quantizer_of(config, facts))


SAMPLES = SamplesRecipe()


def facts_in(run_dir: Path | None) -> Facts | None:
    """Read the measurements saved with the run in a folder; None if there is no run, or it has none."""
    saved = SavedRun.read(run_dir).settings.get("facts") if run_dir and checkpoint.exists(run_dir) else None
    return None if saved is None else from_dict(Facts, saved)


def _print_clipping(peak: float, most: float) -> None:
    """Print a note if ``peak``, the largest magnitude of the samples, exceeds ``most``, the quantiser's peak."""
    if peak > most:
        print(f"note: the loudest sample is {peak / most:.3g} times the peak that the run quantises: it is clipped")


def quantizer_of(config: SamplesConfig, facts: Facts) -> Quantizer:
    """Make the quantiser with which a run was trained."""
    return Quantizer(facts.peak, config.n_levels, config.law)
