"""Let a trained model continue a seed, to a WAV file."""

from pathlib import Path

import numpy as np

from rnnaudio.app.audio_run import LoadedRun, load_run
from rnnaudio.data import read_audio, write_wav
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation import Stepper, generate


def play(
    run_dir: Path,
    out: Path,
    corpus: Path | None = None,
    *,
    seed_file: Path | None,
    seed_seconds: float,
    seconds: float,
    seed_index: int,
) -> str:
    """Write seed and continuation to ``out``; a sentence on what was written. ``corpus``: where it is, if moved."""
    for name, value in (("seconds", seconds), ("seed_seconds", seed_seconds)):
        if not value > 0:
            raise RnnaudioError(f"{name} is {value}; expected more than 0")
    if seed_index < 0:
        raise RnnaudioError(f"seed_index is {seed_index}; expected 0 or more")
    if out.suffix.lower() != ".wav":
        raise RnnaudioError(f"{out}: expected a name that ends in .wav; convert the sound afterwards")
    run = load_run(run_dir)
    if seed_file is not None:
        seed = _beginning(run, seed_file, seed_seconds)
    else:
        with run.open_corpus(corpus) as opened:
            seed = opened.test.seed_at(seed_index, seed_seconds)
    result = generate(Stepper(run.model), seed, n_samples=round(seconds * run.sample_rate_hz), progress=True)
    n_clipped = write_wav(out, run.scale.restore(result.audio), run.sample_rate_hz)
    n_new = len(result.audio) - result.n_seed
    seed_s, new_s = result.n_seed / run.sample_rate_hz, n_new / run.sample_rate_hz
    text = f"wrote {out}: {seed_s:.2f} s seed + {new_s:.2f} s generated"
    text += f"; {n_clipped} samples clipped" if n_clipped else ""
    return text + (f"; stopped early: {result.stopped}" if result.stopped else "")


def _beginning(run: LoadedRun, path: Path, seconds: float) -> np.ndarray:
    """The first seconds of an audio file, standardised as the run's corpus is; RnnaudioError if it is shorter."""
    audio, rate = read_audio(path, run.sample_rate_hz)
    n_seed = round(seconds * rate)
    if len(audio) < n_seed:
        raise RnnaudioError(
            f"{path} is {len(audio) / rate:g} s long, shorter than the seed of {seconds:g} s: "
            "take a longer file or a lower --seed-seconds"
        )
    return run.scale.standardise(audio[:n_seed])
