"""The command `sweep`: many runs with settings chosen within ranges, by one process or by several."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rnnaudio.cli.app import command
from rnnaudio.cli.runs import RUNS, Corpus, Imports
from rnnaudio.errors import RnnaudioError
from rnnaudio.text import visible

if TYPE_CHECKING:
    from rnnaudio.runs.sweep.study import Study

MOST_JOBS, MOST_MINUTES = 1000, 100_000


@command("sweep", RUNS)
def sweep(
    space: Annotated[Positional[Path], arg(metavar="SPACE.toml")],
    corpus: Corpus,
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    jobs: Annotated[int, arg(metavar="N")] = 1,
    storage: Annotated[str, arg(metavar="URL")] = "",
    slurm: Annotated[int, arg(metavar="N")] = 0,
    slurm_minutes: int = 60,
    slurm_cores: int = 4,
    slurm_partition: str = "",
    imports: Imports = (),
) -> None:
    """Train many runs whose settings are chosen within ranges.

    Each trial is an ordinary run, OUT/trial-0000 and so on. OUT/sweep.html lists the trials, the best first, with
    links to their reports, and shows which settings matter. After Ctrl-C or a failure of the machine, the same command
    continues the sweep. Several such commands at once, also on machines with a common disk, share the work.
    Needs Optuna: pip install 'rnnaudio[sweep]'

    Example: rnnaudio sweep space.toml my.h5 runs/sweep --jobs 2

    Args:
        space: a TOML file: settings that are fixed as in a file for --config, ranges in [search], and in [sweep] the
            objective, the number of trials, the sampler and the pruner; see "Sweep settings" in the documentation.
        corpus: an HDF5 corpus made by `rnnaudio corpus build` or `make corpus`.
        out: a folder for the trials and the page; a new one, or one of the same space and corpus.
        jobs: number of processes, which share the threads of this machine.
        storage: URL of a database that keeps the study, for machines without a common disk, such as
            postgresql://user@host/sweeps. Default: a journal in OUT.
        slurm: number of jobs to submit to Slurm, each of which works on the sweep with --jobs processes; this command
            then ends. A job whose time is up is queued again and continues. It needs submitit:
            pip install 'rnnaudio[slurm]'
        slurm_minutes: time limit of each job, in minutes.
        slurm_cores: processor cores of each job.
        slurm_partition: partition of the jobs. Default: that of the cluster.
        imports: a Python file that registers a cell or a recipe of your own.
    """
    _check_number(jobs, "jobs")
    _check_number(slurm, "slurm", least=0)
    _check_number(slurm_minutes, "slurm-minutes", most=MOST_MINUTES)
    _check_number(slurm_cores, "slurm-cores")
    if importlib.util.find_spec("optuna") is None:
        raise RnnaudioError("`sweep` needs Optuna, which is not installed: pip install 'rnnaudio[sweep]'")
    from rnnaudio.cli.slurm import FOLDER, Request, submit
    from rnnaudio.runs.sweep.space import read_space
    from rnnaudio.runs.sweep.study import open_study

    study = open_study(read_space(space), corpus, out, storage)
    options = [f"--storage={storage}"] * bool(storage) + [f"--import={path}" for path in imports]
    words = ["sweep", str(space), str(corpus), str(out), *options]
    if slurm:
        request = Request(slurm_minutes, slurm_cores, slurm_partition)
        submitted = submit([*words, f"--jobs={jobs}"], out, slurm, request)
        print(f"submitted: {', '.join(job.job_id for job in submitted)}   output: {visible(out / FOLDER)}")
    else:
        _work_here(study, words, jobs)


def _work_here(study: "Study", words: list[str], jobs: int) -> None:
    """Do the trials in this process, or in ``jobs`` processes if more than 1, and print the outcome.

    words: the command that each of several processes runs. BrokeDown if all trials have failed.
    """
    from rnnaudio.cli.jobs import IN_A_JOB, run_jobs
    from rnnaudio.runs.sweep.work import check_any_complete, left_to_others, where, work

    if jobs > 1:
        run_jobs(words, jobs)
    else:
        work(study)
    if IN_A_JOB not in os.environ:
        print(left_to_others(study) or "all trials have ended")
        print(where(study))
        check_any_complete(study)


def _check_number(number: int, option: str, least: int = 1, most: int = MOST_JOBS) -> None:
    if not least <= number <= most:
        raise RnnaudioError(f"--{option} is {number}; expected {least} to {most}")
