"""Commands that put runs beside each other: list and compare them, and let listeners judge their sounds."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rnnaudio.cli.app import command
from rnnaudio.cli.runs import RUNS, Imports
from rnnaudio.text import visible


@command("runs", RUNS)
def runs(
    folder: Annotated[Positional[Path], arg(metavar="[DIR]")] = Path("runs"),
    sort: Literal["name", "validation", "alive", "updates", "saved"] = "name",
    as_json: Annotated[bool, arg(name="json")] = False,
    imports: Imports = (),
) -> None:
    """List the runs in a folder: how far they came, how they differ.

    Prints a line for each run in DIR or below it, followed by the settings in which it differs from the other runs of
    its recipe. Seconds alive are those of the run's report, if that is no older than its last checkpoint.

    Example: rnnaudio runs runs --sort alive

    Args:
        folder: a folder with runs.
        sort: order of the list: by name; by recipe, and within a recipe by validation loss, lowest first; by seconds
            alive or updates, most first; by time of the last checkpoint, latest first.
        as_json: print a JSON array with all figures and all settings.
        imports: a Python file that registers a cell or recipe of runs, if it is your own.
    """
    from rnnaudio.runs import listing

    rows = listing.rows_in(folder, sort)
    print(listing.as_json(rows) if as_json else listing.as_table(rows))


@command("compare", RUNS)
def compare(
    places: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN", help_behavior_hint="")],
    out: Annotated[Path, arg(aliases=["-o"], metavar="PAGE.html")],
    prime_file: Path | None = None,
    prime_seconds: float | None = None,
    prime_index: int = 0,
    prime_start: float | Literal["end"] = 0.0,
    seconds: float = 20.0,
    sampling_seed: int | None = None,
    blind: bool = False,
    overwrite: bool = False,
    imports: Imports = (),
) -> None:
    """Put several runs on one page, to listen, look and compare.

    Each run continues the same prime, and all are equally loud. The page has players with keys to switch between them,
    spectrograms on one axis of time, learning curves, settings that differ, and diagnoses.

    Example: rnnaudio compare runs/a runs/b -o ab.html

    Args:
        places: folders of runs, or folders with runs.
        out: the page to write.
        prime_file: an audio file, of which an excerpt is the prime. Default: an excerpt of the test split of the first
            run.
        prime_seconds: length of the prime in seconds. Default: as long as the recipes of the runs ask for.
        prime_index: number of the excerpt of the test split, counted from 0.
        prime_start: where in prime_file the prime begins, in seconds, or end, as in `generate`.
        seconds: length of each continuation in seconds.
        sampling_seed: random seed of the sampling. Default: each run's own.
        blind: hide the names, and let listeners vote; PAGE.key.json says which is which. See `votes`.
        overwrite: replace an existing page.
        imports: a Python file that registers a cell or recipe of runs, if it is your own.
    """
    from rnnaudio.runs.comparing.compare import compare as write_page
    from rnnaudio.runs.comparing.sounds import Asked
    from rnnaudio.runs.primes import Primes

    prime = Primes(prime_file, place=prime_index, start=prime_start)
    asked = Asked(prime, prime_seconds, seconds, sampling_seed, blind)
    print(write_page(places, out, asked, overwrite=overwrite))


@command("listen", RUNS)
def listen(
    folder: Annotated[Positional[Path], arg(metavar="DIR")],
    out: Annotated[Path, arg(aliases=["-o"], metavar="PAGE.html")],
    seconds: float = 10.0,
    start: float = 0.0,
    minutes: float = 10.0,
    seed: int = 2016,
    overwrite: bool = False,
    imports: Imports = (),
) -> None:
    """Make a blind listening test: which sound of a pair is better?

    Writes one page to send to listeners, and PAGE.key.json, which says which is which and stays with you. Both sounds
    of a pair are equally loud. The page saves votes as a file; `votes` counts them.

    Example: rnnaudio listen sounds -o test.html

    Args:
        folder: a folder with a folder of sounds for each condition (sounds/ours, sounds/music, ...): sounds of the
            same file name make a pair. Or a folder with runs, which then continue the same primes of the test split,
            beside the recording.
        out: the page to write.
        seconds: length of each sound; both of a pair are cut to the shorter one.
        start: where in each file the sound begins, in seconds.
        minutes: time that the test may take a listener; it limits the number of pairs.
        seed: random seed: the choice of pairs, their order and sides follow from it.
        overwrite: replace an existing page.
        imports: a Python file that registers a cell or recipe of runs, if it is your own.
    """
    from rnnaudio.runs.listening.listen import Settings
    from rnnaudio.runs.listening.listen import listen as write_test

    print(write_test(folder, out, Settings(seconds, start, minutes, seed), overwrite=overwrite))


@command("votes", RUNS)
def votes(
    key: Annotated[Positional[Path], arg(metavar="PAGE.key.json")],
    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="VOTES.json", help_behavior_hint="")],
    as_json: Annotated[bool, arg(name="json")] = False,
) -> None:
    """Count the votes on a blind comparison or listening test.

    Prints, for a comparison, the mean vote on each sound; for a listening test, the share of pairs that each condition
    has won, with a 95 % interval.

    Example: rnnaudio votes ab.key.json votes-*.json

    Args:
        key: the key that `compare --blind` or `listen` wrote with the page.
        files: votes that the page saved, one file for each listener.
        as_json: print JSON.
    """
    from rnnaudio.runs import voting

    counted = voting.count(key, files)
    for reason in counted.left_out:
        print(f"left out: {visible(reason)}", file=sys.stderr)
    for note in counted.notes:
        print(f"note: {visible(note)}", file=sys.stderr)
    print(counted.as_json() if as_json else counted.as_table())
