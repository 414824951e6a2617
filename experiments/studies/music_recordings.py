"""Results of `rnnaudio train --recipe codes` on recordings of each kind, and on all together.

    rnnaudio experiment run music-recordings --recordings DIR --minutes 2

Each recording is a corpus of its own, cut in time, except speech: recordings named as in LibriSpeech
(speaker-chapter-number) are one corpus together. All recordings together are another. Runs have the default settings
and choose the settings of generation on validation primes. The figures are measured on continuations of primes of the
test split, 30 s each, and on the recording itself for comparison. For a corpus that is refused, the error message is
recorded. With --only, nothing is recorded.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import tyro

from experiments.catalogue import find
from experiments.shared.recordings import is_speech
from experiments.shared.records import record
from rnnaudio.audio.arrays import Audio
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus, build_corpus
from rnnaudio.data.sources import find_audio
from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.generation.codes import decoded_audio
from rnnaudio.metrics import AliveLimits, alive_seconds, classifier_auc, in_range
from rnnaudio.metrics.prediction import FloatArray
from rnnaudio.metrics.windows import Windows, measure_windows
from rnnaudio.metrics.yardstick import cut
from rnnaudio.records import Record
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import limits_of_real_music
from rnnaudio.runs.load import load, saved_config
from rnnaudio.runs.outcome import write_outcome
from rnnaudio.runs.record import SavedRun
from rnnaudio.training import checkpoint

NAME = "music-recordings"
EXCERPT_SECONDS = 8.0  # of the recording, told apart from continuations cut to that length
LEAST_GROUPS = 4  # on either side; of fewer, an area says nothing


@dataclasses.dataclass(frozen=True)
class Options:
    """Train on each recording, and measure the sounds generated."""

    recordings: Path  # a folder of recordings of many kinds
    minutes: float = 2.0  # limit on each training
    primes: int = 6  # continuations of test primes
    seconds: float = 30.0  # length of each
    only: tuple[str, ...] = ()  # names of corpora, or parts of them, and nothing is recorded; none: all
    folder: Path = find("music-recordings").runs[0].folder  # for corpora, runs, sounds and pictures


def main() -> None:
    """Read the options, train and measure on each corpus, print and record the figures."""
    options: Options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    rows: dict[str, Record] = {}
    words = options.only or ("",)
    wanted = [(name, files) for name, files in kinds(options.recordings) if any(word in name for word in words)]
    for name, _ in wanted:
        check_minutes(options.folder / name / "run", options.minutes)
    for name, files in wanted:
        try:
            rows[name] = measured(name, files, options)
        except RnnaudioError as error:
            rows[name] = {"refused": str(error).replace(str(options.folder), "RUNS")}
        print(name, rows[name], flush=True)
    if not options.only:
        record(NAME, {"minutes": options.minutes, "seconds": options.seconds, "primes": options.primes, "rows": rows})


def check_minutes(run_dir: Path, minutes: float) -> None:
    """Raise RnnaudioError if the folder holds a run that was trained with another limit in minutes."""
    if checkpoint.path_in(run_dir).exists():
        before = saved_config(CODES, SavedRun.read(run_dir)).minutes
        if before != minutes:
            raise RnnaudioError(
                f"{run_dir} was trained with --minutes {before:g}, and {minutes:g} were asked for: "
                f"give --minutes {before:g}, or another --folder"
            )


def kinds(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Iterate over all corpora, as (name, files): single recordings, speech, all together.

    RnnaudioError if the folder holds no audio.
    """
    files = sorted(find_audio([folder]).files)
    speech = [path for path in files if is_speech(path.stem)]
    yield from ((path.stem, [path]) for path in files if path not in speech)
    if speech:
        yield "speech", speech
    yield "all together", files


def measured(name: str, files: Sequence[Path], options: Options) -> Record:
    """Build a corpus, train on it and measure continuations; what is finished in the folder is used again.

    RnnaudioError if the corpus does not suit the recipe, for example because it is too short.
    """
    place = options.folder / name
    path, run_dir = place / "corpus.h5", place / "run"
    place.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        build_corpus(files, path, progress=False)
    if not (run_dir / "report.html").exists():
        resume = checkpoint.path_in(run_dir).exists()
        fit(CODES, CodesConfig(minutes=options.minutes), path, run_dir, resume=resume)
        write_outcome(run_dir, path, seconds=options.seconds)
    run = load(run_dir, CodesRun)
    with AudioCorpus.open(path) as corpus:
        return {
            "train_seconds": round(corpus.train.seconds, 1),
            "updates": run.record["n_updates"],
            "of_updates": run.config.max_updates,
            "codes": run.codec.n_codes,
            "plays": f"{run.playing.parameters} at {run.playing.temperature:g}",
            **figures(run, corpus, options),
        }


def figures(run: CodesRun, corpus: AudioCorpus, options: Options) -> Record:
    """Figures of continuations of test primes and, for comparison, of the recording and of its codec.

    The figures are those of the functions below, ``alive_seconds`` and ``deaths`` of each continuation, and the level
    relative to that of the recording.
    """
    rate, limits = corpus.sample_rate_hz, limits_of_real_music(corpus)
    seconds = corpus.test.prime_length(1.0)
    primes = [corpus.test.prime_at(k, seconds) for k in range(options.primes)]
    results = run.continue_primes(primes, round(options.seconds * rate))
    played = [np.asarray(corpus.restore(result.audio[result.n_prime :]), np.float64) for result in results]
    alive = [
        alive_seconds(audio, rate, limits, corpus.restore(prime)) for audio, prime in zip(played, primes, strict=True)
    ]
    reasons = Counter(one.reason.split(" (")[0] for one in alive if one.reason)
    pieces = [np.asarray(corpus.restore(piece.read(0, piece.n_samples)), np.float64) for piece in corpus.pieces]
    long = [piece for piece in pieces if len(piece) >= rate]
    unseen = [audio for audio, piece in zip(pieces, corpus.pieces, strict=True) if piece.split != "train"]
    unseen = [audio for audio in unseen if len(audio) >= rate]
    real = excerpts_by_piece(unseen, rate)
    coded = [[_through_codec(excerpt, run, corpus) for excerpt in group] for group in real]
    return {
        "alive_seconds": sorted(round(one.seconds, 2) for one in alive),
        "deaths": dict(reasons),
        "in_range": in_range_share(played, rate, limits, [corpus.restore(prime) for prime in primes]),
        "in_range_of_recording": in_range_share(unseen, rate, limits),
        "dead_air": dead_air(played, rate, limits),
        "dead_air_of_recording": dead_air(long, rate, limits),
        "loop_share": loop_share(played, rate, limits),
        "loop_share_of_recording": loop_share(long, rate, limits),
        "level_db": round(level_db(played) - level_db(long), 2),
        "told_apart": told_apart(real, excerpts_by_piece(played, rate), rate),
        "told_apart_codec": told_apart(real, coded, rate),
    }


def _through_codec(excerpt: FloatArray, run: CodesRun, corpus: AudioCorpus) -> FloatArray:
    decoded = decoded_audio(run.codec, run.codec.encode(corpus.standardise(excerpt)))
    return np.asarray(corpus.restore(decoded), np.float64)


def excerpts_by_piece(sounds: Sequence[FloatArray], rate: int) -> list[list[FloatArray]]:
    """Cut each sound into excerpts of 8 s; returns one list of excerpts per sound of 8 s or more."""
    groups = (list(cut(sound, round(EXCERPT_SECONDS * rate))) for sound in sounds)
    return [group for group in groups if group]


def in_range_share(
    sounds: Sequence[FloatArray], rate: int, limits: AliveLimits, primes: Sequence[Audio] = ()
) -> float:
    """Share of windows of 1 s without a fault, mean over the sounds.

    If it is low for the recording itself, the limits do not suit the recording. primes: the prime of each sound;
    (): there are none.
    """
    pairs = zip_longest(sounds, primes)
    return round(float(np.mean([in_range(sound, rate, limits, prime).fraction for sound, prime in pairs])), 4)


def dead_air(sounds: Sequence[FloatArray], rate: int, limits: AliveLimits) -> float:
    """Share of windows of 1 s that are silent by the limits of the corpus."""
    threshold = max(limits.silence_dbfs, limits.median_dbfs + limits.quiet_db)
    return _share([windows.level < threshold for windows in _windows(sounds, rate)])


def loop_share(sounds: Sequence[FloatArray], rate: int, limits: AliveLimits) -> float:
    """Share of windows of 1 s that belong to a loop by the limits of the corpus."""
    return _share([windows.recurrence < limits.repeated for windows in _windows(sounds, rate)])


def _windows(sounds: Sequence[FloatArray], rate: int) -> Iterator[Windows]:
    return (measure_windows(sound, rate) for sound in sounds)


def _share(is_so: Sequence[np.ndarray]) -> float:
    return round(float(np.mean(np.concatenate(is_so))), 4)


def level_db(sounds: Sequence[FloatArray]) -> float:
    """Root mean square of all sounds together, in dB relative to full scale (1)."""
    return 10.0 * float(np.log10(np.mean(np.square(np.concatenate(list(sounds)), dtype=np.float64))))


def told_apart(
    real: Sequence[Sequence[FloatArray]], others: Sequence[Sequence[FloatArray]], rate: int
) -> float | None:
    """Area under the ROC curve of a classifier of real against other sounds, .5 at chance; None for too few groups.

    real, others: excerpts of 8 s, grouped by piece, because the classifier must not be tested on neighbours of
    excerpts on which it was trained; see `classifier_auc`. ``real`` excludes pieces on which the model was trained.
    """
    if min(len(real), len(others)) < LEAST_GROUPS:
        return None
    return round(classifier_auc(real, others, rate), 3)


if __name__ == "__main__":
    run_command(main, NAME)
