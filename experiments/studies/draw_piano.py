"""The blog's plan of 28 March 2016, D.R.A.W., applied to the blog's subject: patches of piano spectrograms.

    rnnaudio experiment run draw-piano [--attention] [--minutes 20] [--resume] [--smoke]

A patch is an image: 16 frames (a quarter of a second) of the lowest 128 bins (0 to 2 kHz) of a log-amplitude
spectrogram with Hann windows. DRAW generates it in steps; its pixels are Gaussian, with a single trained width. The
result is the negative variational bound on all adjoining patches of the test pieces, with one sample of the latent
codes for each, in nats per patch and in bits per value; a value is a log-amplitude over the standard deviation of the
training data. The baselines, in closed form and on the same patches, are a Gaussian with independent values, and
probabilistic PCA with as many components as DRAW has latent numbers per step, or with the number that is best on
validation. Generated patches are converted to sound by fast Griffin-Lim; recorded patches, converted in the same way,
are the upper limit.
"""

import dataclasses
import math
import shutil
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from experiments.shared.on_corpus import CORPUS, full_or_tiny
from experiments.shared.options import Figures
from experiments.shared.records import FOLDER, record
from experiments.studies import drawing
from experiments.studies.drawing import Subject
from experiments.studies.piano_patches import Patches, closed_forms, patches_of, prepared, sounded
from rnnaudio import plots
from rnnaudio.audio import write_wav
from rnnaudio.data import AudioCorpus, PatchBatches, nearest_patches
from rnnaudio.generation.painting import reconstruct_images, sample_images
from rnnaudio.metrics.gaussian import PrincipalGaussian
from rnnaudio.metrics.spectra import spectral_convergence_db
from rnnaudio.nn import Draw
from rnnaudio.objectives import Bound
from rnnaudio.runs.config import require_more_than_zero
from rnnaudio.training import Run

PICTURES = ("curve", "canvas", "samples", "convergence")


@dataclasses.dataclass(frozen=True)
class Options(drawing.Options):
    """Options of DRAW on log-amplitudes of piano."""

    stem: ClassVar[str] = "draw-piano"
    corpus: Path = CORPUS
    window_s: float = 0.064  # the hop is a quarter
    n_bins: int = 128  # the lowest
    n_frames: int = 16  # of a patch
    batch_size: int = 64
    n_valid: int = 1000
    n_places: int = 6  # of the test split that are made into sound
    seconds: float = 4.0  # at each, and of samples

    def __post_init__(self) -> None:
        super().__post_init__()
        require_more_than_zero(self, "window_s", "n_bins", "n_frames", "n_places", "seconds")


TINY = {
    "window_s": 0.016,
    "n_bins": 12,
    "n_frames": 6,
    "n_steps": 3,
    "n_units": 8,
    "n_codes": 4,
    "n_read": 2,
    "n_write": 3,
    "batch_size": 8,
    "updates": 4,
    "n_warmup": 1,
    "n_valid": 40,
    "n_places": 2,
    "seconds": 0.5,
}


def main() -> None:
    """Train, measure, plot, generate, record."""
    full_or_tiny(Options, TINY, run, keep)


def run(options: Options, corpus: AudioCorpus) -> Figures:
    """Train, measure and generate; returns the figures. Curve, pictures and sounds go to the run's folder."""
    started = time.perf_counter()
    patches = prepared(corpus, options.window_s, options.n_bins, options.n_frames)
    audios = excerpts(options, patches, corpus)
    gaussians, baselines = closed_forms(patches, options.n_codes)
    for name, nats in baselines.items():
        print(f"{name}: {nats['test']:.1f} nats a patch ({nats['valid']:.1f} in validation)", flush=True)
    print(f"until training ends nats are of pixels; those of values are {patches.nats_of_unit:.1f} more", flush=True)
    order = np.random.default_rng((options.seed, 0, 11)).permutation(len(patches.valid))  # 11: the purpose
    subject = Subject(
        PatchBatches(patches.training, options.n_frames, options.batch_size, options.seed),
        patches.valid[order],  # so that the first ones, which are the validation set, are of all pieces
        patches.test,
        lambda: drawing.model_of(options, patches.size, patches.moments.mean, std=patches.scale.deviation / 2),
        Bound(options.n_steps, "gaussian"),
    )
    model, done = drawing.learn(subject, options, options.folder)
    found = drawing.bounds(model, subject, options)
    figures = bounds_of_patches(model, found, patches) | {
        "baselines_nats": {name: {k: round(v, 1) for k, v in nats.items()} for name, nats in baselines.items()},
        **drawing.course(model, subject, options, done),
    }
    plot_curve(done, options, patches, {name: nats["valid"] for name, nats in baselines.items()})
    plot_patches(model, options, patches)
    figures["convergence_db"] = sound_of_excerpts(model, gaussians, patches, audios, options, corpus)
    play_samples(model, gaussians, patches, audios.shape[1], options, corpus)
    figures["whole_command_seconds"] = round(time.perf_counter() - started, 1)
    figures["curve"] = drawing.curve(done)
    drawing.print_figures(figures)
    return figures


def bounds_of_patches(model: Draw, found: dict[str, dict[str, float]], patches: Patches) -> Figures:
    """The bounds in nats per patch and in bits per value, the trained width, and properties of the patches.

    Nats and width are of values, not of pixels. ``share_of_test_values_cut`` is the share of test values that were
    clipped because they exceed the range of the training data.
    """
    added, test = patches.nats_of_unit, found["test"]
    return {
        "test_bound_nats": round(test["bound"] + added, 2),
        "test_bound_bits_a_value": round((test["bound"] + added) / patches.n_values / math.log(2), 4),
        "test_reconstruction_nats": round(test["reconstruction"] + added, 2),
        "test_kl_nats": round(test["kl"], 2),
        "valid_bound_nats": round(found["valid"]["bound"] + added, 2),
        "width_of_a_value": round(math.exp(float(model.get_values()["log_std"])) / patches.scale.deviation, 4),
        "n_values_a_patch": patches.n_values,
        "share_of_test_values_cut": float(np.mean(patches.test >= 1.0)),
    }


def plot_curve(done: Run, options: Options, patches: Patches, baselines: dict[str, float]) -> None:
    """Plot the learning curve in nats per patch, together with the baselines on the validation patches."""
    added = patches.nats_of_unit
    history = [{**row, "train": row["train"] + added, "valid": row["valid"] + added} for row in done.history]
    plots.learning_curve(
        history,
        options.folder / "curve.png",
        quantity="Negative bound (nats a patch)",
        baselines=baselines,
        title=f"DRAW on log-amplitudes of piano, {options.kind}; lines: Gaussians in closed form, validation",
    )


def plot_patches(model: Draw, options: Options, patches: Patches) -> None:
    """Plot the canvas of test patches after each step, and samples beside their nearest training patches."""
    n, rulers = options.n_steps, sides(patches)
    shown = patches.test[np.linspace(0, len(patches.test) - 1, 8).astype(int)[1:-1]]
    canvases, boxes = drawing.canvases_shown(reconstruct_images(model, shown, n, options.seed))
    plots.canvas_steps(
        as_pictures(shown, patches), as_pictures(canvases, patches), options.folder / "canvas.png", **boxes,
        rulers=rulers, title=f"DRAW {options.kind}: log-amplitudes of test patches, and the canvas after step ...",
    )  # fmt: skip
    final = sample_images(model, 16, n, options.seed).canvases[-1]
    plots.beside_nearest(
        as_pictures(final, patches),
        as_pictures(nearest_patches(final, patches.training, patches.n_frames), patches),
        options.folder / "samples.png",
        rulers=rulers,
        title=f"DRAW {options.kind}: log-amplitudes from codes drawn from the prior",
    )


def as_pictures(images: np.ndarray, patches: Patches) -> np.ndarray:
    """Images (..., pixels) as grey levels (..., height, width) from 0 to 1, brightened for display.

    .8 of full scale is white, because most patches are far below full scale.
    """
    return np.minimum(images.reshape(*images.shape[:-1], *patches.size) / 0.8, 1.0)


def sides(patches: Patches) -> plots.Rulers:
    """Rulers in seconds and hertz for pictures of patches, which are plotted twice as high as wide."""
    stft, (height, width) = patches.scale.stft, patches.size
    frames_a_second = stft.rate() / stft.hop_samples
    step = 10.0 ** math.floor(math.log10(width / frames_a_second))
    seconds = [k * step for k in range(1, 10) if k * step < 0.95 * width / frames_a_second]
    hertz = stft.frequencies_hz()[: patches.scale.n_bins]
    return plots.Rulers(
        "Time (s)",
        {s * frames_a_second: f"{s:.1g}" for s in seconds},
        "Frequency (Hz)",
        {k + 0.5: f"{hertz[k]:.0f}" for k in (0, height // 2)},
        2.0 * width / height,
    )


def excerpts(options: Options, patches: Patches, corpus: AudioCorpus) -> np.ndarray:
    """Excerpts of test pieces, (places, n_samples) float64 standardised, each a whole number of patches, two or more.

    RnnaudioError if no piece is as long as an excerpt.
    """
    stft = patches.scale.stft
    n_patches = max(2, round(options.seconds * stft.rate() / stft.hop_samples / patches.n_frames))
    seconds = stft.n_samples(n_patches * patches.n_frames) / stft.rate()
    return np.stack([corpus.test.prime_at(place, seconds) for place in range(options.n_places)]).astype(np.float64)


def sound_of_excerpts(
    model: Draw,
    gaussians: dict[str, PrincipalGaussian],
    patches: Patches,
    audios: np.ndarray,
    options: Options,
    corpus: AudioCorpus,
) -> dict[str, float]:
    """Mean spectral convergence in dB of reconstructed excerpts, by method.

    audios: the excerpts, (places, n_samples). The sounds of the first two places and a plot go to the run's folder.
    """
    stft = patches.scale.stft
    true = np.abs(stft.forward(audios))
    images = np.concatenate([patches_of(magnitudes, patches) for magnitudes in true])
    back = {
        "true patches (the ceiling)": images,
        "DRAW": reconstruct_images(model, images, options.n_steps, options.seed).canvases[-1],
        **{name: np.clip(gaussian.reconstructed(images), 0.0, 1.0) for name, gaussian in gaussians.items()},
    }
    places: dict[str, list[float]] = {}
    for name, found in {"the recording": None, **back}.items():
        for k, audio in enumerate(audios):
            sound = audio
            if found is not None:
                sound = sounded(np.array_split(found, len(audios))[k], patches, audio.size)
                places.setdefault(name, []).append(spectral_convergence_db(true[k], np.abs(stft.forward(sound))))
            if k < 2:
                write_sound(options.folder / f"place-{k + 1}-{name}.wav", sound, corpus)
    plots.methods(
        places,
        options.folder / "convergence.png",
        quantity="spectral convergence (dB)",
        title=f"Sound of test patches given back, {len(audios)} times {audios.shape[1] / stft.rate():.1f} s",
    )
    return {name: round(float(np.mean(row)), 2) for name, row in places.items()}


def play_samples(
    model: Draw,
    gaussians: dict[str, PrincipalGaussian],
    patches: Patches,
    n_samples: int,
    options: Options,
    corpus: AudioCorpus,
) -> None:
    """Write the sounds of patches sampled from the prior of each model and joined in time."""
    n = patches.scale.stft.n_frames(n_samples) // patches.n_frames
    made = {"DRAW": sample_images(model, n, options.n_steps, options.seed).canvases[-1]}
    rng = np.random.default_rng((options.seed, 0, 12))  # 12: the purpose
    made |= {name: np.clip(gaussian.sampled(n, rng), 0.0, 1.0) for name, gaussian in gaussians.items()}
    for name, images in made.items():
        write_sound(options.folder / f"samples-{name}.wav", sounded(images, patches, n_samples), corpus)


def write_sound(path: Path, sound: np.ndarray, corpus: AudioCorpus) -> None:
    """Write a standardised sound, (n,), at its original scale.

    In the file's name, spaces are replaced by hyphens, and commas and brackets are removed.
    """
    path = path.with_stem(path.stem.translate(str.maketrans(" ", "-", ",()")))
    write_wav(path, corpus.restore(sound), corpus.sample_rate_hz)


def claim(options: Options, figures: Figures) -> dict[str, str]:
    """The row of the table of claims."""
    beside = "; ".join(f"{name} {nats['test']:.0f}" for name, nats in figures["baselines_nats"].items())
    db = figures["convergence_db"]
    return {
        "says": "If it's not enough try a more powerful model such as D.R.A.W. (on amplitudes of piano)",
        "2016": "a plan, not tried",
        "ours": f"{figures['test_bound_nats']:.0f} nats a patch {options.kind} ({beside}); given back as sound "
        f"{db['DRAW']} dB, {db['true patches (the ceiling)']} dB at best",
        "why": "a Gaussian of full covariance says more of a patch than ten strokes of "
        f"{options.n_units} units do after so short a training",
    }


def keep(options: Options, figures: Figures) -> None:
    """Record the figures and the pictures of a full run."""
    record(options.name, figures | {"claims": [claim(options, figures)]})
    for picture in PICTURES:
        shutil.copy(options.folder / f"{picture}.png", FOLDER / "pictures" / f"{options.name}-{picture}.png")
