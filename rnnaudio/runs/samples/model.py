"""Construction of the quantised data and of the model of a run over samples, from its settings and a corpus."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rnnaudio.data.code_batches import CodeBatch, fixed_code_windows
from rnnaudio.data.corpus import Split
from rnnaudio.data.quantize import Quantizer
from rnnaudio.data.sample_batches import Levels, levels_of, stretches
from rnnaudio.diagnostics.baselines import linear_prediction
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import SampleModel, sample_model
from rnnaudio.readouts import Categorical, LevelReadout, LogisticMixture
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.schema import Between, Finite

FIT_SAMPLES, FIT_STRETCHES = 16384, 48  # length and number of the stretches that the linear path is fitted to


@dataclass(frozen=True)
class Facts:
    """Measurements of the training split, saved with the run.

    peak
        largest magnitude of a standardised sample, which the :class:`Quantizer` scales to 1.
    deviation
        standard deviation of the quantised samples, as values from -1 to 1.
    unit
        standard deviation of the residual of the linear path; ``deviation`` if there is no linear path.
    taps
        coefficients of the linear path, as in :func:`linear_path`; empty if there is none.
    """

    peak: Annotated[float, Between(1e-12)]
    deviation: Annotated[float, Between(1e-12)]
    unit: Annotated[float, Between(1e-12)]
    taps: tuple[Finite, ...] = ()


def readout_of(config: SamplesConfig, unit: float) -> LevelReadout:
    """Make the read-out that the config names; unit: scale of a logistic read-out, see :class:`Facts`."""
    if config.readout == "categorical":
        return Categorical(config.n_levels)
    return LogisticMixture(config.n_components, config.n_levels, unit)


def build_model(config: SamplesConfig, facts: Facts, rng: np.random.Generator | None = None) -> SampleModel:
    """Build the model with the linear path and the scale in ``facts``.

    rng: generator of the initial parameters; None: one seeded with the config's seed.
    """
    return sample_model(
        config.frames,
        config.window,
        config.n_units,
        readout_of(config, facts.unit),
        rng=rng or np.random.default_rng((config.seed, 0, 2)),
        cell=config.cell,
        deviation=facts.deviation,
        taps=np.array(facts.taps) if facts.taps else None,
    )


def measured_facts(levels: Levels, quantizer: Quantizer, n_taps: int) -> Facts:
    """Measure the quantised training split ``levels``, and fit a linear path to it; returns the measurements.

    quantizer: the quantiser of ``levels``. n_taps: number of past samples from which the linear path predicts; 0: no
    linear path. RnnaudioError if all samples have the same level, or if ``n_taps`` is too large.
    """
    values, share = quantizer.values(np.arange(quantizer.n_levels)), levels.counts / levels.counts.sum()
    mean = float(share @ values)
    deviation = float(np.sqrt(share @ (values - mean) ** 2))
    if not deviation:
        raise RnnaudioError("all training samples have one level: sound is needed")
    if not n_taps:
        return Facts(quantizer.peak, deviation, deviation)
    shortest = min(FIT_SAMPLES, max(map(len, levels.sequences)))
    parts = stretches(levels.sequences, shortest, FIT_STRETCHES)
    v = np.stack([quantizer.values(part) for part in parts], axis=1)
    found = linear_prediction([(v[:-1], v[1:])], n_frames=n_taps)
    if found is None:
        raise RnnaudioError(f"n_taps is {n_taps}: that many cannot be fitted, lower it")
    taps = np.append(found.weight[:, 0], found.bias)
    left = v[n_taps:, :, 0] - linear_path(v[:, :, 0], taps)
    return Facts(quantizer.peak, deviation, float(max(left.std(), 1e-6)), tuple(map(float, taps)))


def linear_path(values: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Predict each value v except the first p from the p values before it: (time, ...) -> (time - p, ...).

        a_0 v_{t-1} + ... + a_{p-1} v_{t-p} + a_p

    taps: (p + 1,), the coefficients a_0, ..., a_p, that of the latest value first, the constant last.
    """
    p, n = len(taps) - 1, len(values)
    return np.asarray(taps[p] + sum(taps[k] * values[p - 1 - k : n - 1 - k] for k in range(p)))


def windows_of(split: Split, quantizer: Quantizer, n_context: int, n_steps: int, most: int) -> list[CodeBatch]:
    """Make the validation windows, at most ``most``, spread evenly over a split; returns a list with one batch.

    A window has ``n_context`` samples of context and ``n_steps`` samples to predict. RnnaudioError if no piece is long
    enough for a window.
    """
    parts = stretches(levels_of(split, quantizer).sequences, n_context + n_steps, most)
    return fixed_code_windows(parts, n_steps, len(parts), n_context)
