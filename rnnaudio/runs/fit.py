"""Training of a run of any recipe: checks, preparation, saving of the settings, and the training itself."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rnnaudio import engine
from rnnaudio.atomic import write_atomically
from rnnaudio.data import AudioCorpus
from rnnaudio.diagnostics.diagnose import causes_in_music
from rnnaudio.errors import RnnaudioError, Unsuitable
from rnnaudio.lock import owned_folder
from rnnaudio.parallel import ALONE, Ranks
from rnnaudio.runs import back_off, lengths, sharing
from rnnaudio.runs.config import as_toml, to_dict
from rnnaudio.runs.diagnosis.actions import longer, on_the_corpus
from rnnaudio.runs.diagnosis.preflight import require
from rnnaudio.runs.load import saved_config
from rnnaudio.runs.recipe import C, Prepared, Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import Record, SavedRun, description
from rnnaudio.runs.resumable import check_resumable
from rnnaudio.runs.start import BEGINNING, begin_again, beginning, starting_from
from rnnaudio.text import in_shell
from rnnaudio.training import Constant, Run, checkpoint, train
from rnnaudio.training.history import Row
from rnnaudio.training.progress import duration

Observer = Callable[[Row], None]  # called with each new row of the history
OF_THE_RUN_BEFORE = ("diagnosis.json", "diagnosis.png", "diagnosis-narrow.png")


def fit(
    recipe: Recipe[C],
    config: C,
    corpus_path: Path,
    run_dir: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    observers: Sequence[Observer] = (),
    ranks: Ranks = ALONE,
) -> Run:
    """Train a run on a corpus, or resume it; returns its progress, see :func:`rnnaudio.training.train`.

    The checkpoint, the settings as JSON and TOML, and the files of the recipe are written to ``run_dir``; files there
    that are then outdated (a diagnosis and, for a new run, ``playing.json``) are deleted. No other process can write
    to the folder meanwhile (:mod:`rnnaudio.lock`).

    recipe, config
        the kind of run, and its settings.
    corpus_path, run_dir
        the corpus file, and the folder of the run, which is made if necessary.
    resume
        True to continue the run in ``run_dir``, if there is one; False for a new run.
    start
        the folder or the pack of another run, from whose parameters a new run starts (:mod:`rnnaudio.runs.start`);
        None: from newly initialised parameters. If the run is resumed, ``start`` is not read.
    observers
        functions called with each new row of the history, once it is saved and printed; an exception in one of them
        ends the training.
    ranks
        the processes that train the run together, all of which call this function with the same arguments. Only the
        first needs ``run_dir`` and ``start``, writes files, prints, and calls the observers.

    Errors raised before anything is written:

    RnnaudioError
        if the corpus or ``start`` cannot be read; if another process writes to the folder; if the folder holds a run
        and ``resume`` is False; if the run to resume has other settings or another corpus, or did not start from
        another run although ``start`` is given; if the ranks have different settings or corpora, or batches that
        cannot be divided evenly among them.
    Unsuitable
        if the corpus or the settings do not fit the recipe or ``start``; if the run does not fit into memory; if
        ``config.preflight`` is on, the run is new, and its model fails a toy problem.

    Later errors are those of ``train``.
    """
    with owned_folder(run_dir, make=True) if ranks.is_first else contextlib.nullcontext():
        sharing.check_preflight(ranks, config)
        saved = _begun(run_dir, resume, start) if ranks.is_first else None
        with recipe.open_corpus(corpus_path, config) as corpus, corpus.verified_for_training():
            with _suitable():
                config = recipe.completed(config, corpus)
            record: Record = {recipe.key: to_dict(config), "corpus": description(corpus)}
            sharing.check_same(ranks, record)
            if ranks.is_first:
                prepared, more = _checked(recipe, config, corpus, Path(run_dir), saved, start)
                sharing.check_divisible(ranks, prepared)
                record |= more
                _write(Path(run_dir), recipe, prepared, record, saved is not None)
                resumed = sharing.published(ranks, prepared, record, saved is not None)
            else:
                prepared, resumed = sharing.prepared_like_first(ranks, recipe, config, corpus)
            return _trained(recipe, config, corpus, prepared, record, Path(run_dir), resumed, observers, ranks)


def _begun(run_dir: Path, resume: bool, start: Path | None) -> SavedRun | None:
    """Read the run to resume; returns None for a new run. Prints a hint if another mode of the engine would be faster.

    RnnaudioError if the folder holds a run and ``resume`` is False, if it cannot be written to, or if ``start`` is
    given for a run that did not start from another run.
    """
    checkpoint.path_to_write(run_dir, resume)
    saved = SavedRun.read(run_dir) if checkpoint.exists(run_dir) else None
    if saved and start and "start" not in saved.settings:
        raise RnnaudioError(f"{run_dir} did not start from another run, and has begun: leave --from out")
    _print_cost_of_mode()
    return saved


def _checked(
    recipe: Recipe[C], config: C, corpus: AudioCorpus, run_dir: Path, saved: SavedRun | None, start: Path | None
) -> tuple[Prepared, Record]:
    """Check and prepare a training; returns the preparation, and the entries of the record except settings and corpus.

    saved: the run in ``run_dir``, which is resumed; None: a new one. Other arguments and errors are those of
    :func:`fit`.
    """
    record: Record = {}
    if saved:
        check_resumable(recipe, config, description(corpus), saved)
        record |= {name: saved.settings[name] for name in ("start",) if name in saved.settings}
    with starting_from(None if saved else start) as source, _suitable():
        if source:
            source.check(recipe, config, corpus)
        usable = _usable(recipe, config, corpus)
        if not saved:
            _print_faults(corpus)
        prepared = _prepared(recipe, config, corpus, run_dir if saved else source.folder if source else None)
        if config.preflight and not saved:
            require(recipe, config)
        if source:
            record["start"] = source.give_to(prepared.model)
            if prepared.files:
                print(f"kept: {', '.join(prepared.files)} of {source.run}, which gives its parameters their meaning")
            prepared = dataclasses.replace(prepared, files={**prepared.files, BEGINNING: beginning(prepared.model)})
        elif "start" in record:
            begin_again(prepared.model, run_dir)
    return prepared, record | prepared.measured | {"usable": usable, "blank_loss": prepared.blank_loss}


@contextlib.contextmanager
def _suitable() -> Iterator[None]:
    """Context manager that turns an RnnaudioError of its block into Unsuitable, with the same message."""
    try:
        yield
    except RnnaudioError as error:
        raise Unsuitable(error) from error


def _trained(
    recipe: Recipe[C],
    config: C,
    corpus: AudioCorpus,
    prepared: Prepared,
    record: Record,
    run_dir: Path,
    resume: bool,
    observers: Sequence[Observer],
    ranks: Ranks,
) -> Run:
    """Train a prepared run, backing off as often as the config allows; returns its progress.

    record: settings and measurements to save in the checkpoint. resume: True if the run has a checkpoint.
    """
    fitting = prepared.fitting
    limits = dataclasses.replace(fitting.limits, save_every_seconds=60.0 * config.checkpoint_minutes)
    schedule = fitting.schedule or Constant(fitting.optimizer.learning_rate)

    def attempt(halvings: int, resume: bool, on_update: Callable[[int], None] | None) -> Run:
        return train(
            prepared.model,
            prepared.objective,
            prepared.batches,
            prepared.validation,
            optimizer=fitting.optimizer,
            stopping=fitting.stopping,
            run_dir=run_dir,
            limits=limits,
            schedule=lambda update: 0.5**halvings * schedule(update),
            seed=fitting.seed,
            segment_steps=fitting.segment_steps,
            judging=fitting.judging,
            resume=resume,
            config=record | ({"halvings": halvings} if halvings else {}),
            on_update=_stopped_by_damage(corpus, on_update),
            on_validation=_shown_to(observers, recipe),
            before_save=corpus.verification.wait,
            ranks=ranks,
        )

    halved = SavedRun.read(run_dir).settings.get("halvings", 0) if resume and ranks.is_first else 0
    return back_off.trained(
        attempt,
        prepared.model,
        run_dir,
        most=getattr(config, "back_off", 0),
        halvings=ranks.from_first(halved),
        validate_every=fitting.limits.validate_every or prepared.batches.batches_per_epoch,
        resume=resume,
        on_update=fitting.on_update,
        ranks=ranks,
    )


def _shown_to(observers: Sequence[Observer], recipe: Recipe[Any]) -> Observer:
    """Make an observer that prints each row of the history, then calls ``observers`` with it."""

    def call(row: Row) -> None:
        tqdm.write(describe_row(recipe, row))
        for observer in observers:
            observer(row)

    return call


def _stopped_by_damage(corpus: AudioCorpus, on_update: Callable[[int], None] | None) -> Callable[[int], None]:
    """Make a function (update) that raises RnnaudioError if samples are damaged, and otherwise calls ``on_update``.

    Damaged samples are found by a check of the corpus in the background. on_update: None: nothing is called.
    """

    def call(update: int) -> None:
        corpus.verification.raise_fault()
        if on_update:
            on_update(update)

    return call


def _usable(recipe: Recipe[C], config: C, corpus: AudioCorpus) -> Record:
    """Print and return how much of the corpus the run can use, see :func:`rnnaudio.runs.lengths.record_of`.

    Prints a note if all test pieces are shorter than the usual prime. RnnaudioError if all pieces for training or for
    validation are shorter than a window, or if all test pieces are shorter than the shortest possible prime.
    """
    needs = recipe.needs(config, corpus)
    lengths.check(needs, corpus.path)
    usable = lengths.record_of(needs)
    print(lengths.in_words(usable))
    wanted = recipe.prime_seconds(config, corpus.sample_rate_hz)
    found = recipe.prime_length(config, corpus.test)  # the report needs it
    if found < wanted:
        print(f"note: no test piece has {wanted:g} s: the report continues a prime of {found:.3g} s")
    return dict(usable)


def _print_faults(corpus: AudioCorpus) -> None:
    """Print the causes of bad sound that a diagnosis finds in the music alone, with advice and commands."""
    pieces, held_out = corpus.train.pieces, corpus.valid.pieces
    for cause in causes_in_music(pieces, corpus.sample_rate_hz, held_out, full_scale=1.0 / corpus.std):
        lines = [f"{cause.name}: {cause.evidence}", cause.advice, *on_the_corpus(cause, in_shell(corpus.path))]
        print("note: " + "; ".join(lines))


def _prepared(recipe: Recipe[C], config: C, corpus: AudioCorpus, run_dir: Path | None) -> Prepared:
    """Prepare the run by :meth:`Recipe.prepare`; RnnaudioError if it does not fit into memory."""
    try:
        return recipe.prepare(config, corpus, run_dir)
    except MemoryError as error:
        raise RnnaudioError(f"the run is larger than the memory ({error}): lower its sizes") from error


def resumed_config(run_dir: Path, **limits: float | int | None) -> tuple[Recipe[Any], Any]:
    """Return the recipe and the config with which a saved run is to be resumed.

    limits: new values of ``minutes`` and ``max_updates``, counted from the beginning of the run; None: the old value.

    RnnaudioError if the run has already reached a new limit; if early stopping or a limit has ended it and its report
    is written, so that nothing is left to do; or if the run was unpacked from a pack.
    """
    saved = SavedRun.read(run_dir)
    saved.refuse_if_packed()
    recipe = recipe_in(saved.settings, saved.path)
    stopping, is_reported = saved.record["stopping"], _is_reported(saved)  # not reported: resuming writes the report
    if stopping["should_stop"] and is_reported:
        raise RnnaudioError(
            f"{run_dir} ended because {stopping['reason']}: more time changes nothing; "
            f"train in another run directory with a higher --patience: {how_to_go_on(run_dir)}"
        )
    done = {"minutes": saved.record["seconds"] / 60.0, "max_updates": saved.record["n_updates"]}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in given.items():
        if limit <= done[name]:
            option = name.replace("_", "-")
            raise RnnaudioError(f"--{option} is {limit:g}, but {run_dir} has had {done[name]:.4g} already: give more")
    config = dataclasses.replace(saved_config(recipe, saved), **given)
    if is_reported:
        _refuse_if_complete(recipe, config, saved)
    return recipe, config


def _refuse_if_complete(recipe: Recipe[C], config: C, saved: SavedRun) -> None:
    """Raise RnnaudioError, with the command that trains for longer, if the run has reached a limit of the config."""
    if 0 < config.max_updates <= saved.record["n_updates"]:
        may_change = "max_updates" in recipe.may_change(config)
        raise RnnaudioError(
            f"{saved.run_dir} is complete: all its {config.max_updates} updates are done; "
            + ("raise the limit: " if may_change else "its learning rate has fallen over them, so there are no more: ")
            + ("" if may_change else "train in another run directory with a higher --max-updates: ")
            + how_to_go_on(saved.run_dir)
        )
    if saved.record["seconds"] >= 60.0 * config.minutes:
        raise RnnaudioError(
            f"{saved.run_dir} is complete: its limit of {config.minutes:g} minutes is reached; "
            f"raise the limit: {how_to_go_on(saved.run_dir)}"
        )


def how_to_go_on(run_dir: Path) -> str:
    """Return the command that trains a saved run for longer; see :func:`rnnaudio.runs.diagnosis.actions.longer`."""
    saved = SavedRun.read(run_dir)
    recipe = recipe_in(saved.settings, saved.path)
    return longer(recipe, saved_config(recipe, saved), saved)


def _is_reported(saved: SavedRun) -> bool:
    """Return True if the run has a report that is no older than its checkpoint."""
    report = saved.run_dir / "report.html"
    return report.exists() and saved.path.exists() and report.stat().st_mtime >= saved.path.stat().st_mtime


def _write(run_dir: Path, recipe: Recipe[Any], prepared: Prepared, record: Record, resumed: bool) -> None:
    """Write the record, the settings and, for a new run, the recipe's files to ``run_dir``; remove outdated files."""
    for name in OF_THE_RUN_BEFORE:
        (run_dir / name).unlink(missing_ok=True)
    if not resumed:
        for name in ("playing.json", BEGINNING):
            (run_dir / name).unlink(missing_ok=True)
        for name, content in prepared.files.items():
            checkpoint.save(run_dir / name, content)
    write_atomically(run_dir / "config.json", json.dumps(record, indent=2).encode() + b"\n")
    resolved = as_toml({"recipe": recipe.name, **record[recipe.key]})
    write_atomically(run_dir / "config.toml", resolved.encode())
    print("compiling ...", flush=True)  # output that cannot be written fails now, not after the training


def describe_row(recipe: Recipe[Any], row: Row) -> str:
    """Format a row of the training history as one line of progress: epoch, updates, time, losses."""
    best = "  * best" if row["is_best"] else ""
    losses = f"train {recipe.in_words(row['train'])}  valid {recipe.in_words(row['valid'])}"
    return f"epoch {row['epoch']:7.2f}  {row['updates']:6d} updates  {duration(row['seconds']):>9s}  {losses}{best}"


def _print_cost_of_mode() -> None:
    """Print a hint if another mode of the engine would be faster; `rnnaudio info` has the details."""
    if engine.MODE == "python" and engine.kernel() == "scan":
        print("scan in mode python: an update takes a minute and more; unset RNNAUDIO_KERNEL, or install g++ or clang")
    elif engine.MODE == "python" and not engine.HAS_COMPILER:
        print("no C++ compiler found: what the kernels do not compute runs in NumPy, up to a third slower")
    elif engine.MODE == "numba":
        print("mode numba: the start takes a minute; mode c or python takes seconds")
    elif engine.devices() == ["cpu"]:
        print("mode jax on a processor: without a GPU, unset RNNAUDIO_MODE for the fused kernels")
