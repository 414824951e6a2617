"""The model of ``experiments.studies.samples`` in PyTorch, trained for the same time: its speed and bits per sample.

    rnnaudio experiment run bench-samples [--minutes 15] [--tiers 3] [--readout logistic] [--smoke]

It has the same sizes, batches, learning rate, read-out and number of threads, but layers of torch.nn (whose GRU
applies the reset gate after the product).
"""

import importlib.util
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from experiments.shared.on_corpus import full_or_tiny
from experiments.shared.options import Figures
from experiments.shared.records import record
from experiments.studies.samples import SEGMENT, TINY, Options, config_of
from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import CodeBatch, CodeStreams
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import threads
from rnnaudio.nn import SampleModel
from rnnaudio.runs.bits import warmup_cosine
from rnnaudio.runs.config import from_dict
from rnnaudio.runs.recipe import Prepared
from rnnaudio.runs.samples.config import SamplesConfig
from rnnaudio.runs.samples.model import Facts, windows_of
from rnnaudio.runs.samples.recipe import SAMPLES, quantizer_of


def main() -> None:
    """Train, measure and record; RnnaudioError if PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise RnnaudioError("PyTorch is not installed: it comes with the extra bench (pip install 'rnnaudio[bench]')")
    full_or_tiny(Options, TINY, run, keep)


def keep(options: Options, figures: Figures) -> None:
    """Record the figures of a full run."""
    record(f"{options.name}-torch", figures)


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train the model in PyTorch and test it; returns the figures."""
    import torch

    from experiments.benchmarks.torch_samples import SampleRNN

    torch.set_num_threads(threads.n_threads())
    config = config_of(options)
    torch.manual_seed(config.seed)
    task = SAMPLES.prepare(config, corpus)
    assert isinstance(task.model, SampleModel)
    facts, n_context = from_dict(Facts, task.measured["facts"]), task.model.n_context
    model = SampleRNN(config, facts, n_context)
    n_updates, seconds = trained(model, config, task)
    quantizer = quantizer_of(config, facts)
    batches = windows_of(corpus.test, quantizer, n_context, options.test_samples, options.test_stretches)
    figures = {
        "settings": asdict(config),
        "updates": n_updates,
        "minutes": round(seconds / 60.0, 2),
        "samples_per_second": round(n_updates * config.batch_size * config.n_steps / seconds),
        "bits_a_sample": round(bits(model, batches, n_context, min(SEGMENT, options.test_samples)), 3),
    }
    print({name: value for name, value in figures.items() if name != "settings"})
    return figures


def trained(model: Any, config: SamplesConfig, task: Prepared) -> tuple[int, float]:
    """Train for the minutes or the updates of the config; returns the number of updates and the seconds."""
    import torch

    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    rate, state, update, started = warmup_cosine(config.learning_rate, config.max_updates), None, 0, time.monotonic()
    assert isinstance(task.batches, CodeStreams)
    while update < config.max_updates and time.monotonic() - started < 60.0 * config.minutes:
        batch = task.batches.batch(update)
        loss, state = model(torch.from_numpy(batch.codes[..., 0].astype(np.int64)), state, torch.tensor(batch.resets))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate(update)
        optimizer.step()
        state = [leaf.detach() for leaf in state]
        update += 1
    return update, time.monotonic() - started


def bits(model: Any, batches: list[CodeBatch], n_context: int, segment: int) -> float:
    """Mean bits per sample over the batches, computed ``segment`` samples at a time."""
    import torch

    total, n = 0.0, 0
    with torch.inference_mode():
        for batch in batches:
            codes, state = torch.from_numpy(batch.codes[..., 0].astype(np.int64)), None
            for start in range(0, len(codes) - n_context, segment):
                part = codes[start : start + n_context + segment]
                loss, state = model(part, state, None)
                size = (len(part) - n_context) * part.shape[1]
                total, n = total + float(loss) * size, n + size
    return total / n
