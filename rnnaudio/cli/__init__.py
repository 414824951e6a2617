"""The command line: ``rnnaudio COMMAND --help``.

Modules are imported inside the commands: the engine takes seconds to import, and says what is wrong with its settings
by an error that :func:`main` must catch.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.cli.experiments import COMMANDS
from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.runs.codes.config import MusicConfig
from rnnaudio.runs.frames.config import TrainConfig

app = tyro.extras.SubcommandApp()
corpus = tyro.extras.SubcommandApp()
RunDir = Annotated[Positional[Path], arg(metavar="RUN_DIR")]
app.command(corpus, name="corpus")
for experiment_command, function in COMMANDS.items():  # listed by --help; main() passes their arguments on unread
    app.command(name=experiment_command)(function)


def main() -> None:
    """Entry point."""
    name, *arguments = sys.argv[1:] or [""]
    if name in COMMANDS:
        run_command(lambda: COMMANDS[name](arguments), "rnnaudio")
        return
    description = "Recurrent networks that play raw audio."
    read = functools.partial(app.cli, prog="rnnaudio", description=description, registry=REGISTRY)
    run_command(lambda: parsed(read)(), "rnnaudio")


def command(name: str, of: tyro.extras.SubcommandApp = app) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command: tyro reads its arguments, :func:`main` runs it with them."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def with_arguments(*args: Any, **kwargs: Any) -> Callable[[], None]:
            return functools.partial(function, *args, **kwargs)

        of.command(name=name)(with_arguments)
        return function

    return add


@command("demo")
def demo(run_dir: Path = Path("runs/demo"), minutes: float = 2.0) -> None:
    """Train a small LSTM on a minute of real piano (no download) and let it play on; see RUN_DIR/report.html.

    Args:
        run_dir: where everything goes; an earlier demo there is replaced.
        minutes: of training, at most.
    """
    from rnnaudio.cli.demo import DEMO, forget_earlier_demo
    from rnnaudio.data.demo import build_demo_corpus

    forget_earlier_demo(run_dir)
    corpus_path = build_demo_corpus(run_dir / "corpus.h5")
    _train(dataclasses.replace(DEMO, minutes=minutes), corpus_path, run_dir, resuming=False)


@command("info")
def info() -> None:
    """What is used: engine, compile mode, BLAS, its threads and speed; and what would make it faster."""
    from rnnaudio.cli.info import report

    print(report())


@command("defects")
def defects(run_dir: Annotated[Positional[Path | None], arg(metavar="[RUN_DIR]")] = None) -> None:
    """The 24 defects of the 2016 experiments: what each was, and the settings of `train` that have and repair it.

    Args:
        run_dir: only those that this run has.
    """
    from rnnaudio.runs.diagnosis.defects import DEFECTS, as_text, present_in

    if run_dir is None:
        print(as_text(DEFECTS))
    else:
        from rnnaudio.runs.frames.recipe import load_run

        print(as_text(present_in(load_run(run_dir).config)))


@command("train")
def train(
    corpus: Annotated[Positional[Path], arg(metavar="CORPUS.h5")],
    run_dir: RunDir,
    config: OmitArgPrefixes[TrainConfig] = TrainConfig(),  # noqa: B008 (frozen)
    resume: bool = False,
) -> None:
    """Train a model on a corpus, then let it play on from a test seed.

    Args:
        corpus: an HDF5 corpus made by `rnnaudio corpus build` or `make corpus`.
        run_dir: a new folder for checkpoint, sound, pictures and report.
        resume: go on with the run in that folder; the settings must be the same.
    """
    _train(config, corpus, run_dir, resuming=resume)


@command("resume")
def resume(
    run_dir: RunDir, minutes: float | None = None, max_updates: int | None = None, corpus: Path | None = None
) -> None:
    """Go on with a run, with its own settings.

    Args:
        run_dir: the folder of the run.
        corpus: where the run's corpus is now, if it was moved.
        minutes: a new limit on the training time of all sittings together.
        max_updates: a new limit on the updates.
    """
    from rnnaudio.runs.frames.recipe import load_run

    run = load_run(run_dir)
    if run.record["stopping"]["should_stop"] and (run_dir / "report.html").exists():  # else it was broken off before
        raise RnnaudioError(
            f"{run_dir} ended because {run.record['stopping']['reason']}: more time changes nothing; "
            "train in another run directory with a higher --patience"
        )
    for name, asked, done in (
        ("minutes", minutes, run.record["seconds"] / 60.0),
        ("max-updates", max_updates, run.record["n_updates"]),
    ):
        if asked is not None and asked <= done:
            raise RnnaudioError(f"--{name} is {asked:g}, but {run_dir} has had {done:.4g} already: give more")
    config = dataclasses.replace(
        run.config,
        minutes=run.config.minutes if minutes is None else minutes,
        max_updates=run.config.max_updates if max_updates is None else max_updates,
    )
    with run.open_corpus(corpus) as opened:
        corpus = opened.path
    _train(config, corpus, run_dir, resuming=True)


@command("generate")
def generate(
    run_dir: RunDir,
    out: Annotated[Positional[Path], arg(metavar="OUT.wav")],
    seed_file: Path | None = None,
    seed_seconds: float = 1.0,
    seconds: float = 10.0,
    seed_index: int = 0,
    corpus: Path | None = None,
    streams: int = 1,
    overwrite: bool = False,
    temperature: tuple[float, ...] = (),
    top_k: int = 0,
    nucleus: float = 1.0,
    draw_seed: int | None = None,
) -> None:
    """Continue a second of sound with a trained model; writes a WAV with the seed in front.

    Args:
        run_dir: the folder of the run: of `train`, `music` or `rnnaudio experiment run samples`.
        out: the WAV file to write; - plays to standard output: rnnaudio generate RUN - --seconds 300 | aplay
        seed_file: take the seed from the beginning of this audio file instead of the corpus' test split.
        seed_seconds: length of the seed.
        seconds: length of what is generated after it.
        seed_index: which place of the test split.
        corpus: where the run's corpus is now, if it was moved.
        streams: continue so many places side by side, from seed_index on; writes OUT-1.wav, OUT-2.wav, ...
        overwrite: replace files of that name.
        temperature: of what is drawn: 1 as learnt, less is safer, more bolder. Several: from one to the next in the
            course of the piece. Default: as chosen for the run.
        top_k: draw from so many likeliest only; 0: from all.
        nucleus: draw from the likeliest whose probabilities reach this sum only.
        draw_seed: other random numbers, another piece; the same number, the same piece.
    """
    from rnnaudio.runs.generate import Seeds, play
    from rnnaudio.runs.players import How

    seeds, how = Seeds(seed_file, seed_seconds, seed_index, streams), How(temperature, top_k, nucleus, draw_seed)
    said = play(run_dir, out, corpus, seeds=seeds, seconds=seconds, how=how, overwrite=overwrite)
    print(said, file=sys.stderr if str(out) == "-" else sys.stdout)


@command("music")
def music(
    corpus: Annotated[Positional[Path], arg(metavar="CORPUS.h5")],
    run_dir: RunDir,
    config: OmitArgPrefixes[MusicConfig] = MusicConfig(),  # noqa: B008 (frozen)
    resume: bool = False,
) -> None:
    """Learn codes of spectra and play on: music that lasts. Then `rnnaudio generate RUN_DIR OUT.wav`.

    Args:
        corpus: an HDF5 corpus made by `rnnaudio corpus build` or `make corpus`: any genre, a minute or hours.
        run_dir: a new folder for checkpoint, sound, pictures and report.
        resume: go on with the run in that folder; the settings must be the same, but for --minutes.
    """
    from rnnaudio.runs.codes.choice import N_SEEDS, SECONDS
    from rnnaudio.runs.codes.outcome import headline, write_outcome
    from rnnaudio.runs.codes.recipe import train_music

    later = "with --resume it goes on, chooses how to play and writes the report; until then it plays as learnt"
    run = train_music(config, corpus, run_dir, resume=resume)
    if run.reason.startswith("interrupted"):  # a run that broke down would do so again: it plays as it was saved
        print(f"training ended: {run.reason}; {later}")
        return
    each = f"each temperature plays {N_SEEDS} x {SECONDS:g} s from validation seeds"
    print(f"training ended: {run.reason}; choosing how to play ({each}), then a report ...", flush=True)
    try:
        summary = write_outcome(run_dir, corpus)
    except KeyboardInterrupt:
        print(f"\nthe model is saved: {later}", file=sys.stderr)
        raise
    print(headline(summary))
    print(f"listen: {run_dir / 'generated.wav'}   look: {run_dir / 'report.html'}")


@command("diagnose")
def diagnose(run_dir: RunDir, corpus: Path | None = None, preflight: bool = False) -> None:
    """Why does a run not play? Measures everything that trained and plays it, and ranks the causes found.

    Prints them and writes RUN_DIR/diagnosis.json and RUN_DIR/diagnosis.png.

    Args:
        run_dir: the folder of the run, finished or broken off.
        corpus: where the run's corpus is now, if it was moved.
        preflight: then also try toy problems with the run's settings.
    """
    from rnnaudio.runs.diagnosis.diagnose import as_text, diagnose_run, write_diagnosis
    from rnnaudio.runs.diagnosis.preflight import preflight as try_toy_problems
    from rnnaudio.runs.frames.recipe import load_run

    found, config = diagnose_run(run_dir, corpus), load_run(run_dir).config
    print(as_text(found, config))
    text, picture = write_diagnosis(run_dir, found)
    print(f"look: {picture}   figures: {text}")
    if preflight:
        try_toy_problems(config)


@command("preflight")
def preflight(config: OmitArgPrefixes[TrainConfig] = TrainConfig()) -> None:  # noqa: B008 (frozen)
    """Toy problems before training: a sine, two sines, a chirp, a clip of piano; needs no corpus.

    Stops at the first that the settings (those of `train`) do not learn, and names the cause; exit status 1.
    """
    from rnnaudio.runs.diagnosis.preflight import preflight as try_toy_problems

    if not try_toy_problems(config):
        raise SystemExit(1)


@command("build", of=corpus)
def corpus_build(
    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR-OR-FILES OUT.h5")],
    sample_rate_hz: int = 16_000,
    dtype: Literal["int16", "float32"] = "int16",
    keep_silence: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Make a corpus from audio files (wav, flac, ogg, mp3; any rate, any channels) or folders of them.

    Args:
        paths: audio files, or folders that are searched for them; last the HDF5 file to write.
        sample_rate_hz: of the corpus; everything is resampled to it and mixed to mono.
        dtype: how samples are stored.
        keep_silence: do not cut leading and trailing silence.
        seed: draws which piece goes to training, validation and test.
        overwrite: replace a corpus of that name.
    """
    from rnnaudio.data import build_corpus

    *sources, out = paths or (Path(),)
    if not sources:
        raise RnnaudioError("corpus build got fewer than two paths; expected what to read, then the .h5 file to write")
    _check_corpus_name(out, overwrite)
    trim = None if keep_silence else -60.0
    print(build_corpus(sources, out, sample_rate_hz=sample_rate_hz, dtype=dtype, trim_silence_db=trim, seed=seed))


@command("timit", of=corpus)
def corpus_timit(
    folder: Annotated[Positional[Path], arg(metavar="DIR")],
    out: Annotated[Positional[Path], arg(metavar="OUT.h5")],
    overwrite: bool = False,
) -> None:
    """Make a corpus of your own copy of TIMIT (LDC93S1, NIST SPHERE files), in its usual splits.

    Args:
        folder: the one with TRAIN and TEST, or TIMIT above them; capitals or not.
        out: the HDF5 file to write.
        overwrite: replace a corpus of that name.
    """
    from rnnaudio.data import build_timit_corpus

    _check_corpus_name(out, overwrite)
    print(build_timit_corpus(folder, out))


@command("info", of=corpus)
def corpus_info(path: Positional[Path], verify: bool = False) -> None:
    """What a corpus holds.

    Args:
        path: the HDF5 file.
        verify: also read every sample and compare its checksum.
    """
    from rnnaudio.data import AudioCorpus

    with AudioCorpus.open(path) as opened:
        if verify:
            opened.verify()
        print(f"{opened.sample_rate_hz} Hz, mean {opened.mean:.5f}, standard deviation {opened.std:.5f}")
        for piece in opened.pieces:
            seconds = piece.n_samples / opened.sample_rate_hz
            print(f"{piece.split:6s} {seconds:8.1f} s  {piece.title}  ({piece.source}; {piece.licence})")


def _check_corpus_name(out: Path, overwrite: bool) -> None:
    """RnnaudioError if the file to write has another ending, or is there and may not be replaced."""
    if out.suffix.lower() not in (".h5", ".hdf5"):
        raise RnnaudioError(f"the last path is the corpus to write, expected a name that ends in .h5; got {out}")
    if out.exists() and not overwrite:
        raise RnnaudioError(f"{out} exists: choose another name, or replace it with --overwrite")


def _train(config: TrainConfig, corpus_path: Path, run_dir: Path, *, resuming: bool) -> None:
    from rnnaudio.runs.frames.outcome import headline, write_outcome
    from rnnaudio.runs.frames.recipe import train_on_corpus

    run = train_on_corpus(config, corpus_path, run_dir, resume=resuming)
    print(f"training ended: {run.reason}; playing on and writing the report ...", flush=True)
    summary = write_outcome(run_dir, corpus_path)
    print(headline(summary))
    print(f"listen: {run_dir / 'generated.wav'}   look: {run_dir / 'report.html'}")
