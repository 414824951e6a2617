"""Commands that train and resume runs, report on a run, watch it, and diagnose why its sound is poor."""

import sys
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from rnnaudio.cli.app import command
from rnnaudio.cli.parallel import DataParallel
from rnnaudio.errors import RnnaudioError
from rnnaudio.lock import owned_folder
from rnnaudio.runs.settings import DEFAULT_RECIPE, Chosen
from rnnaudio.text import in_shell, visible

RUNS, HELP, OLDER = "Runs", "When it does not play", "Older names"
Corpus = Annotated[Positional[Path], arg(metavar="CORPUS.h5")]
Imports = Annotated[UseAppendAction[tuple[Path, ...]], arg(name="import", metavar="FILE.py")]
Minutes = Annotated[float, arg(metavar="MINUTES")]
StartFrom = Annotated[Path | None, arg(name="from", metavar="RUN")]
RunDir = Annotated[Positional[Path], arg(metavar="RUN_DIR")]
# The value itself is the recipe that the command line names: --recipe codes --help would call codes the default.
RecipeName = Annotated[
    str, arg(help_behavior_hint=f"(default: {DEFAULT_RECIPE}, or the recipe of --preset or --config)")
]


def register(start: Chosen) -> None:
    """Register the commands whose options are the settings of a recipe, with ``start`` as their default values."""
    for one in (_register_train, _register_preflight, _register_music):
        one(start, type(start.config))


def _register_train(start: Chosen, kind: Any) -> None:
    @command("train", RUNS)
    def train(
        corpus: Corpus,
        run_dir: RunDir,
        settings: OmitArgPrefixes[kind] = start.config,
        recipe: RecipeName = start.recipe,
        preset: str = "",
        config: Path | None = None,
        start_from: StartFrom = None,
        imports: Imports = (),
        resume: bool = False,
        diagnose: bool = True,
        listen_every: Minutes = 0.0,
        tensorboard: bool = False,
        data_parallel: DataParallel = "none",
    ) -> None:
        """Train a model on a corpus, then generate sound with it.

        The sound continues a prime from the test split. Training ends with a diagnosis, in the run's report.

        Example: rnnaudio train my.h5 runs/mine --recipe codes --minutes 30

        Args:
            corpus: an HDF5 corpus made by `rnnaudio corpus build` or `make corpus`.
            run_dir: a new folder for checkpoint, sound, pictures and report.
            recipe: frames (regression, as in 2016), codes (for music that goes on) or samples (SampleRNN). The
                options below are those of the recipe named; --recipe codes --help lists the options of codes.
            preset: settings that come with the package, by name; see the reference.
            config: a TOML file of settings; options on the command line override it.
            start_from: a run, as a folder or a pack, whose parameters the new run starts from, as far as they fit; its
                settings hold unless others are given.
            imports: a Python file that registers a cell or a recipe of your own.
            resume: continue the run in run_dir; all settings except its limits must be those of the run.
            diagnose: diagnose the trained run; `rnnaudio diagnose` does it later.
            listen_every: minutes of training between two sounds, with spectrograms, in RUN_DIR/listening; 0: none.
            tensorboard: write event files of TensorBoard to RUN_DIR/tensorboard.
            data_parallel: mpi: the processes that mpiexec has started each take a share of every batch. jax: in mode
                jax, all devices of one process, or of several, each take a share.
        """
        from rnnaudio.cli.training import Watched
        from rnnaudio.cli.training import train as train_and_report

        watched = Watched(diagnose, listen_every, tensorboard)
        chosen = Chosen(recipe, settings)
        train_and_report(
            chosen, corpus, run_dir, resume=resume, watched=watched, start=start_from, data_parallel=data_parallel
        )


def _register_preflight(start: Chosen, kind: Any) -> None:
    @command("preflight", HELP)
    def preflight(
        settings: OmitArgPrefixes[kind] = start.config,
        recipe: RecipeName = start.recipe,
        preset: str = "",
        config: Path | None = None,
        imports: Imports = (),
    ) -> None:
        """Try toy problems with the settings of `train`.

        Trains on a sine, two sines, a chirp and a clip of piano (recipe codes: two notes, a scale and the clip); needs
        no corpus. Stops at the first problem that is not learnt, names the likely cause, and exits with status 1.

        Example: rnnaudio preflight --n-layers 2 --n-units 300

        Args:
            recipe: frames, codes or samples.
            preset: settings that come with the package, by name; see the reference.
            config: a TOML file of settings; options on the command line override it.
            imports: a Python file that registers a cell or a recipe of your own.
        """
        from rnnaudio.runs.diagnosis.preflight import preflight as try_toy_problems
        from rnnaudio.runs.recipes import recipe_named

        if not try_toy_problems(recipe_named(recipe), settings):
            raise SystemExit(1)


def _register_music(start: Chosen, kind: Any) -> None:
    @command("music", OLDER)
    def music(
        corpus: Corpus, run_dir: RunDir, settings: OmitArgPrefixes[kind] = start.config, resume: bool = False
    ) -> None:
        """Train with --recipe codes: an older name of `train`.

        Example: rnnaudio train my.h5 runs/mine --recipe codes

        Args:
            corpus: an HDF5 corpus.
            run_dir: a new folder.
            resume: continue the run in that folder.
        """
        from rnnaudio.cli.training import Watched
        from rnnaudio.cli.training import train as train_and_report

        train_and_report(Chosen("codes", settings), corpus, run_dir, resume=resume, watched=Watched())


@command("demo", RUNS)
def demo(run_dir: Path = Path("runs/demo"), minutes: float = 2.0) -> None:
    """Train a model of 2016, diagnose it, train one that plays.

    Uses piano music that comes with the package; takes about three minutes. Afterwards open RUN_DIR/report.html: it
    has three sounds, their spectrograms, and the causes of the failure.

    Example: rnnaudio demo --minutes 5

    Args:
        run_dir: folder to write to; an earlier demo in it is replaced.
        minutes: limit on the training time of both models together.
    """
    from rnnaudio.runs.demo import run_demo

    print(f"listen and look: {visible(run_demo(run_dir, minutes))}")


@command("resume", RUNS)
def resume(
    run_dir: RunDir,
    minutes: float | None = None,
    max_updates: int | None = None,
    corpus: Path | None = None,
    imports: Imports = (),
    diagnose: bool = True,
    listen_every: Minutes = 0.0,
    tensorboard: bool = False,
    data_parallel: DataParallel = "none",
) -> None:
    """Continue the training of a run, with its own settings.

    Example: rnnaudio resume runs/mine --minutes 60

    Args:
        run_dir: the folder of the run.
        corpus: where the run's corpus is now, if it was moved.
        minutes: a new limit on the run's total training time in minutes, earlier sessions included.
        max_updates: a new limit on the run's total number of updates; for recipe frames without cosine schedule.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
        diagnose: diagnose the trained run; `rnnaudio diagnose` does it later.
        listen_every: minutes of training between two sounds, with spectrograms, in RUN_DIR/listening; 0: none.
        tensorboard: write event files of TensorBoard to RUN_DIR/tensorboard.
        data_parallel: as for train; the number of processes may differ from before.
    """
    from rnnaudio.cli.training import Watched
    from rnnaudio.cli.training import resume as resume_and_report

    limits = {"minutes": minutes, "max_updates": max_updates}
    watched = Watched(diagnose, listen_every, tensorboard)
    resume_and_report(run_dir, corpus, limits, watched=watched, data_parallel=data_parallel)


@command("report", RUNS)
def report(
    run_dir: RunDir,
    corpus: Path | None = None,
    seconds: float | None = None,
    prime_index: int = 0,
    imports: Imports = (),
) -> None:
    """Rewrite the sound, pictures and report of a trained run.

    Example: rnnaudio report runs/mine --seconds 30 --prime-index 3

    Args:
        run_dir: the folder of the run.
        corpus: where the run's corpus is now, if it was moved.
        seconds: length of the generated sound in seconds. Default: the recipe's own.
        prime_index: number of the excerpt of the test split to continue, counted from 0. An excerpt is chosen so that
            the recording continues for `seconds` after it, if any piece is long enough. `generate` does not require
            this, so the same number may select another excerpt there.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    from rnnaudio.cli.training import where
    from rnnaudio.runs.outcome import headline, write_outcome

    print(headline(write_outcome(run_dir, corpus, seconds=seconds, prime_index=prime_index)))
    print(where(run_dir))


@command("watch", RUNS)
def watch(run_dir: RunDir, every: Annotated[float, arg(metavar="SECONDS")] = 5.0, imports: Imports = ()) -> None:
    """Watch a run that another process trains.

    On a terminal it shows the curve of the losses and the last validations, elsewhere it prints a line for each
    validation, until no process writes to the run any more. Works across machines that share a disk, too. Ctrl-C ends
    the watching, not the training.

    Example: rnnaudio watch runs/mine

    Args:
        run_dir: the folder of the run.
        every: seconds between two looks.
        imports: a Python file that registers the recipe of the run, if it is your own.
    """
    from rnnaudio.runs import watching

    if not 0.0 < every <= 86_400.0:
        raise RnnaudioError(f"--every is {every:g}; expected more than 0 s, and a day at most")
    watching.watch(run_dir, every, on_terminal=sys.stdout.isatty())


@command("diagnose", HELP)
def diagnose(run_dir: RunDir, corpus: Path | None = None, preflight: bool = False, imports: Imports = ()) -> None:
    """Find out why a run's sound is poor: causes and measurements.

    Measures the run's data, model, training and generation, ranks the causes found, prints them and writes
    RUN_DIR/diagnosis.json and RUN_DIR/diagnosis.png.

    Example: rnnaudio diagnose runs/mine

    Args:
        run_dir: the folder of the run, finished or interrupted.
        corpus: where the run's corpus is now, if it was moved.
        preflight: also try the toy problems of `preflight` with the run's settings.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    with owned_folder(run_dir):
        _diagnose(run_dir, corpus, preflight)


def _diagnose(run_dir: Path, corpus: Path | None, preflight: bool) -> None:
    from rnnaudio.runs.diagnosis.diagnose import as_text, diagnose_run
    from rnnaudio.runs.diagnosis.preflight import preflight as try_toy_problems
    from rnnaudio.runs.diagnosis.saved import write_diagnosis
    from rnnaudio.runs.load import saved_recipe
    from rnnaudio.runs.record import SavedRun

    found = diagnose_run(run_dir, corpus)
    recipe, config = saved_recipe(run_dir)
    advice = as_text(found, recipe, config, SavedRun.read(run_dir))
    print(advice)
    text, picture = write_diagnosis(run_dir, found)
    options = [line for line in advice.splitlines() if "train with:" in line and "--recipe" not in line]
    if options and (run_dir / "config.toml").exists():
        settings = in_shell(run_dir / "config.toml")
        print(f"keep the other settings: rnnaudio train CORPUS.h5 NEW_RUN --config {settings} ...")
    print(f"look: {visible(picture)}   figures: {visible(text)}")
    if preflight:
        try_toy_problems(recipe, config)


@command("defects", HELP)
def defects(
    run_dir: Annotated[Positional[Path | None], arg(metavar="[RUN_DIR]")] = None, imports: Imports = ()
) -> None:
    """List the 24 defects of the 2016 experiments, or those of a run.

    Shows, for each defect, the settings of `train` that reproduce it and those that repair it.

    Example: rnnaudio defects runs/mine

    Args:
        run_dir: list only the defects that this run has.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    from rnnaudio.runs.defects import DEFECTS, as_text, present_in

    if run_dir is None:
        print(as_text(DEFECTS))
    else:
        from rnnaudio.runs.load import saved_recipe

        print(as_text(present_in(saved_recipe(run_dir)[1])))
