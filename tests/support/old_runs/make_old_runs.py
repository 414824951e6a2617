"""Writes the runs of this folder; to be run in a checkout of commit 0fe59cb, the last before runs had recipes.

    python tests/support/old_runs/make_old_runs.py FOLDER

Options and imports are those of that commit. What each run generated after the same prime, standardised, is in
``played.npz``; the norms of its parameters after one update more are in ``resumed.json``. Runs over codes and samples
were broken off by their limit after one update of two, so that they can go on with their own settings.
"""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from rnnaudio.runs.players import How, load_player

from rnnaudio.audio import write_wav
from rnnaudio.cli import main
from rnnaudio.runs.codes import choice
from rnnaudio.runs.samples.recipe import SamplesConfig, train_samples
from rnnaudio.training import checkpoint as checkpoints
from tests.support.sounds import music

RATE_HZ, N_PRIME, N_SAMPLES = 8000, 2000, 1000
LIMITS = ["--n-steps", "5", "--batch-size", "2", "--max-updates", "4", "--validate-every", "2"]
FRAMES = {
    "lstm": [
        "--frame-size", "8", "--n-units", "5", "--n-layers", "2", "--peepholes", "--forget-bias", "2.0",
        "--input-noise", "0.1", "--linear-skip", "2", "--generation-noise", "--optimizer", "adam",
    ],
    "gru-2016": [
        "--cell", "gru", "--frame-size", "8", "--n-units", "8", "--n-layers", "2", "--weights", "iso_2016",
        "--readout", "none", "--cost", "last_step", "--scaling", "min_max_2016", "--optimizer", "rmsprop_2016",
        "--max-gradient-norm", "None", "--validation", "same_pieces", "--judged-by", "train",
        "--generation", "two_functions_2016", "--learn-initial-state",
    ],
    "memory-lstm": [
        "--cell", "memory-lstm", "--frame-size", "8", "--n-layers", "2", "--layer-noise", "0.005",
        "--bounded-memory", "--forget-bias-hidden", "0.5", "--readout-units", "8",
    ],
}  # fmt: skip
CODES = [
    "--window-samples", "256", "--hop-samples", "128", "--n-components", "4", "--n-codes", "8", "--n-stages", "2",
    "--n-units", "8", "--transpose", "--n-steps", "8", "--batch-size", "4", "--max-updates", "2",
    "--validate-every", "1",
]  # fmt: skip
SAMPLES = SamplesConfig(
    frames=(16, 4), window=4, n_units=8, n_components=2, n_taps=4, batch_size=4, n_steps=64, max_updates=2,
    validate_every=1, n_valid=256, valid_stretches=3, minutes=1e-6,
)  # fmt: skip
KEPT = ("checkpoint.safetensors", "history.jsonl", "codec.safetensors", "playing.json")


def prime():
    """Two tones, standardised."""
    t = np.arange(N_PRIME) / RATE_HZ
    tones = np.sin(2 * np.pi * 330.0 * t) + 0.5 * np.sin(2 * np.pi * 470.0 * t)
    return tones.astype(np.float32)


def command(*arguments):
    sys.argv = ["rnnaudio", *map(str, arguments)]
    main()


def make(folder):
    sounds, corpus = folder / "sounds", folder / "corpus.hdf5"
    sounds.mkdir(parents=True)
    for seed, seconds in enumerate((2.0, 1.2, 1.2)):
        write_wav(sounds / f"{seed}.wav", music(seconds, seed)[::2], RATE_HZ)
    command("corpus", "build", sounds, corpus, "--sample-rate-hz", RATE_HZ)
    for name, settings in FRAMES.items():
        command("train", corpus, folder / name, *settings, *LIMITS)
    choice.SECONDS, choice.N_SEEDS = 1.0, 1
    command("music", corpus, folder / "codes", *CODES, "--minutes", "1e-6")
    train_samples(SAMPLES, corpus, folder / "samples")
    played = {}
    for name in (*FRAMES, "codes", "samples"):
        (result,) = load_player(folder / name).continue_seeds([prime()], N_SAMPLES, How())
        played[name] = result.audio[N_PRIME:]
        for path in (folder / name).iterdir():
            if path.name not in KEPT:
                path.unlink()
    resumed = {name: resume(name, folder, corpus) for name in played}
    (folder / "resumed.json").write_text(json.dumps(resumed, indent=1) + "\n")
    np.savez_compressed(folder / "played.npz", **played)


def resume(name, folder, corpus):
    """The norm of each parameter after one update more, which a copy of the run is trained for."""
    copy = shutil.copytree(folder / name, folder / "resumed" / name)
    if name == "codes":
        command("music", corpus, copy, *CODES, "--minutes", "5", "--resume")
    elif name == "samples":
        train_samples(dataclasses.replace(SAMPLES, minutes=5.0), corpus, copy, resume=True)
    else:
        command("resume", copy, "--max-updates", "5")
    arrays = checkpoints.load(copy / "checkpoint.safetensors").group("model")
    return {parameter: float(np.linalg.norm(array)) for parameter, array in arrays.items()}


if __name__ == "__main__":
    make(Path(sys.argv[1]))
