"""What a run over codes leaves to see and hear: how it was chosen to play, sound, pictures, one page."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rnnaudio import plots
from rnnaudio.runs.codes.recipe import Musician, load_music
from rnnaudio.runs.codes.choice import SECONDS as CHOOSING_SECONDS
from rnnaudio.runs.codes.choice import choose, played
from rnnaudio.runs.frames.outcome import judge
from rnnaudio.atomic import write_atomically
from rnnaudio.data import AudioCorpus
from rnnaudio.audio import write_wav
from rnnaudio.generation.codes import sound
from rnnaudio.report.page import write_report

SECONDS, SEED_SECONDS = 30.0, 1.0
ABOUT = (
    "The model hears a spectrum every few hundredths of a second as one of some codes, and draws the next code from "
    "the probabilities that it says. 'The codec alone' is the recording through the same codes: no model of them can "
    "sound better. Seconds alive are counted until the sound leaves the limits of the training music for two seconds. "
    "None of these figures hears: listen."
)


def write_outcome(
    run_dir: Path, corpus_path: Path, *, seconds: float = SECONDS, choosing_seconds: float = CHOOSING_SECONDS
) -> dict[str, Any]:
    """Choose how the run plays, let it play, write sounds, pictures, ``summary.json`` and ``report.html``."""
    run_dir = Path(run_dir)
    with AudioCorpus.open(corpus_path) as corpus:
        playing = choose(run_dir, corpus, seconds=choosing_seconds)
        musician = load_music(run_dir)
        longest = max(piece.n_samples for piece in corpus.test.pieces) / corpus.sample_rate_hz
        stretch = corpus.test.seed_at(0, min(SEED_SECONDS + seconds, longest))
        heard, ahead = np.split(stretch, [round(SEED_SECONDS * corpus.sample_rate_hz)])
        (generated,) = played(musician, [heard], round(seconds * corpus.sample_rate_hz))
        alive = judge(generated, corpus, "")
        sounds = {
            "generated": np.concatenate([corpus.restore(heard), generated]),
            "original": corpus.restore(stretch),
            "codec alone": corpus.restore(sound(musician.codec, musician.codec.encode(stretch))),
        }
        rate, ahead = corpus.sample_rate_hz, corpus.restore(ahead)
    files = {name: run_dir / f"{name.replace(' ', '_')}.wav" for name in sounds}
    for name, audio in sounds.items():
        write_wav(files[name], audio, rate)
    summary = {
        "codes": musician.codec.n_codes,
        "share_of_variance_lost_by_the_codec": round(musician.codec.lost, 3),
        "valid_bits_a_frame": valid_bits(musician),
        "bits_of_a_guess": round(musician.codec.n_stages * math.log2(musician.codec.n_codes), 2),
        "training_minutes": round(musician.record["seconds"] / 60.0, 2),
        "parameters": playing.parameters,
        "limits_known": playing.limits is not None,
        "temperature": playing.temperature,
        "detail_temperature": playing.detail_temperature,
        "alive_seconds": round(alive.seconds, 2),
        "of_seconds": seconds,
        "death": alive.reason,
    }
    write_atomically(run_dir / "summary.json", json.dumps(summary, indent=2).encode() + b"\n")
    write_report(
        run_dir / "report.html",
        title=f"Music over {musician.codec.n_codes} codes",
        summary=f"{headline(summary)}\n\n{ABOUT}",
        tables={
            "Played on validation seeds": playing.scores,
            "Settings": {name: str(value) for name, value in musician.config.__dict__.items()},
        },
        pictures=draw(musician, sounds["original"][: len(heard)], generated, ahead, run_dir),
        sounds=files,
    )
    return summary


def valid_bits(musician: Musician) -> float | None:
    """At the last validation of the parameters that play; None if there was none."""
    rows = musician.record["history"]
    if musician.playing.parameters == "best":
        rows = [row for row in rows if row["is_best"]]
    return round(rows[-1]["valid"], 3) if rows else None


def draw(
    musician: Musician, heard: np.ndarray, generated: np.ndarray, ahead: np.ndarray, folder: Path
) -> dict[str, Path]:
    """Spectrogram and learning curve, by caption."""
    rate = musician.sample_rate_hz
    pictures = {"Spectrogram": plots.spectrogram(heard, generated, ahead, rate, folder / "spectrogram.png")}
    if musician.record["history"]:
        pictures["Learning curve"] = plots.learning_curve(
            musician.record["history"], folder / "learning_curve.png", quantity="bits a frame"
        )
    return pictures


def headline(summary: dict[str, Any]) -> str:
    """Two sentences on a summary."""
    bits = summary["valid_bits_a_frame"]
    guess = f"a guess among all codes: {summary['bits_of_a_guess']}"
    figure = "never validated" if bits is None else f"{bits} bits a frame of validation music ({guess})"
    trained = f"{summary['training_minutes']:.1f} minutes of training: {figure}."
    why = f" ({summary['death']})" if summary["death"] else ""
    if not summary["limits_known"]:
        why += (
            "; but this corpus' own validation music lies outside the limits of real music, so they say little of it"
        )
    return (
        f"{trained} It kept sounding like music for {summary['alive_seconds']:.1f} of {summary['of_seconds']:.0f} s "
        f"after the seed{why}."
    )
