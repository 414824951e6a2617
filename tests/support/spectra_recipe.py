"""A recipe of its own in one file: a GRU that predicts log-magnitudes of the next spectrum, played by Griffin-Lim."""

from dataclasses import dataclass

import numpy as np

from rnnaudio.audio import STFT, LogScale
from rnnaudio.audio.phase import griffin_lim
from rnnaudio.data import RandomWindows, SpectralFrames, fixed_windows, spectral_batch, steps_for
from rnnaudio.generation import Stepper, continue_frames
from rnnaudio.nn import GRU, Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import Adam
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.recipe import Fitting, Prepared, Recipe
from rnnaudio.runs.recipes import RECIPES, Entry
from rnnaudio.training import EarlyStopping, Limits
from rnnaudio.training.checkpoint import Checkpoint, load
from rnnaudio.training.resuming import set_model


@dataclass(frozen=True)
class SpectraConfig:
    window_samples: int = 256
    n_units: int = 24
    n_steps: int = 8
    batch_size: int = 8
    learning_rate: float = 1e-2
    minutes: float = 1.0
    max_updates: int = 40
    checkpoint_minutes: float = 5.0
    preflight: bool = False
    seed: int = 2016


@dataclass(frozen=True)
class SpectraRun(LoadedRun):
    log_scale: LogScale

    def blocks(self, primes, n_samples, sampling, *, at_once):
        stft = self.log_scale.stft
        true = self.log_scale.scaled(np.abs(stft.forward(np.stack(primes)))).swapaxes(0, 1)
        n_frames = n_samples // stft.hop_samples + 3
        played = continue_frames(Stepper(self.model), true, n_frames).swapaxes(0, 1)
        sounds = [griffin_lim(self.log_scale.magnitudes(one), stft, n_iterations=4) for one in played]
        yield np.stack(sounds)[:, :n_samples].astype(np.float32)


def model_of(config, scale):
    rng, n = np.random.default_rng(config.seed), scale.n_features
    return Sequential([GRU(n, config.n_units, rng=rng), Dense(config.n_units, n, rng=rng)])


class SpectraRecipe(Recipe):
    name, key, Config, quantity, seconds = "spectra", "spectra", SpectraConfig, "normalised MSE of spectra", 1.5
    files = ("scale.safetensors",)

    def prepare(self, config, corpus, run_dir=None):
        stft = STFT(config.window_samples, config.window_samples // 2)
        scale = LogScale.fit(corpus.train, stft)
        n_steps, limits = steps_for(config.n_steps, stft), Limits(config.max_updates, 60 * config.minutes, 10)
        sizes = {"frame_size": stft.hop_samples, "n_steps": n_steps, "batch_size": config.batch_size}
        validation = [spectral_batch(window, scale) for window in fixed_windows(corpus.valid, **sizes)]
        fitting = Fitting(Adam(config.learning_rate), EarlyStopping(20), limits, config.seed)
        batches = SpectralFrames(RandomWindows(corpus.train, seed=config.seed, **sizes), scale)
        files = {"scale.safetensors": Checkpoint({"mean": scale.mean}, {"deviation": scale.deviation})}
        model, pieces = model_of(config, scale), corpus.train.pieces
        return Prepared(model, predict_next, batches, validation, fitting, pieces, 1.0, files=files)

    def load(self, config, saved):
        kept = load(saved.run_dir / "scale.safetensors")
        stft = STFT(config.window_samples, config.window_samples // 2)
        scale = LogScale(stft, 30.0, kept.arrays["mean"], kept.record["deviation"])
        model = model_of(config, scale)
        set_model(model, saved.parameters(), saved.path)
        return SpectraRun(config, model, saved.record, scale)


RECIPES.add("spectra", Entry("spectra", SpectraRecipe(), SpectraConfig))
