"""Mutation testing: small mistakes are planted in the package, one at a time, and the tests have to notice them.

    rnnaudio experiment run mutants                      200 mistakes, two at a time; continues an interrupted run
    rnnaudio experiment run mutants --tier fast          run no slow tests
    rnnaudio experiment run mutants --n 30 --first-only  run only the tests that are likely to notice
    rnnaudio experiment run mutants --table              only print the table of the results so far

Each mistake is planted in a copy of the checkout in ``runs/mutants``, never in the checkout itself. All tests are
first run without a mistake, to find the tests that fail even so, and the lines that each test file executes
(:mod:`experiments.proofs.covering_tests`). Of the files that execute the line of a mistake, those that are likely to
notice it run first (:mod:`experiments.proofs.likely_tests`), then the others; of all of them first the fast tests,
then the slow ones. A mistake is caught if a test fails, or if the run takes much longer than without the mistake. If
no test notices a mistake, it survives: either the mutated code is equivalent (which the table cannot tell), or a test
is missing.

Compiled Numba kernels are cached under a hash of the sources of all kernels, so a mutated kernel never uses code that
was compiled without the mistake. Compiled kernels of modules that do not import the mutated one are copied instead of
compiled again.
"""

import dataclasses
import hashlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, Literal

import tyro
from tqdm import tqdm

from experiments.proofs.likely_tests import Imports
from experiments.proofs.mutant_runs import Baseline, Tree, importers
from experiments.proofs.mutations import Mutation, sample
from experiments.shared.records import record
from rnnaudio.atomic import break_links
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.errors import RnnaudioError, run_command
from rnnaudio.progress import bar
from rnnaudio.seeds import check_seed

ROOT = Path(__file__).parents[2]
MODULES = tuple(
    f"rnnaudio/{name}"
    for name in (
        "nn", "kernels", "ops", "training", "losses.py", "optimizers.py", "objectives.py", "objectives", "data",
        "audio", "metrics", "readouts",
    )
)  # fmt: skip
MOST_LIKELY = 12  # files of tests
LEFT_OUT = ("rnnaudio/kernels/compile.py",)  # where compiled kernels are kept: of speed alone


@dataclasses.dataclass(frozen=True)
class Options:
    """Plant small mistakes, run the tests, record which were caught."""

    n: int = 200  # mistakes
    seed: int = 2026
    tier: Literal["fast", "full"] = "full"  # fast: tests not marked slow
    jobs: int = 2  # mistakes at a time
    first_only: bool = False  # only by the tests that are likely to notice; nothing is recorded
    first_seconds: float = 60.0  # how long those may take without a mistake
    only: tuple[str, ...] = ()  # modules with one of these words in their path; nothing is recorded
    table: bool = False  # only the table of what was done so far
    folder: Path = Path("runs/mutants")  # copies of the checkout, and what was found

    def __post_init__(self) -> None:
        check_seed(self.seed)


def main() -> None:
    """Read the options, run the search, and print and record the table."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    rows = Search(ROOT, MODULES, options).run()
    print("\n".join(table(rows)))
    if not (options.first_only or options.only or options.table):
        record("mutants", {**summary(rows), "seed": options.seed, "tier": options.tier, "rows": rows})


class Search:
    """Search for surviving mistakes: plants a sample of them and appends the result of each to ``found.jsonl``."""

    def __init__(self, root: Path, modules: tuple[str, ...], options: Options):
        self._root, self._options, self._lock = root, options, threading.Lock()
        paths = [path for module in modules for path in _python_files(root / module)]
        sources = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}
        wanted = {path: source for path, source in sources.items() if path not in LEFT_OUT}
        if options.only:
            wanted = {path: source for path, source in wanted.items() if any(w in path for w in options.only)}
        if not wanted:
            raise RnnaudioError(f"no module of {', '.join(modules)} has {' or '.join(options.only)} in its path")
        self._package = modules[0].split("/")[0]
        self._sources, self._imports = wanted, Imports(root, (self._package, "tests"))
        self._log = options.folder / "found.jsonl"

    def run(self) -> list[dict[str, Any]]:
        """Test the mistakes that have no result yet; returns the rows of all, in the order of the sample."""
        mutants = [(path, mutation, self._key(path, mutation)) for path, mutation in self._sample()]
        done = self._done()
        left = [mutant for mutant in mutants if mutant[2] not in done]
        if left and not self._options.table:
            self._search(left, len(mutants))
            done = self._done()
        return [done[key] for _, _, key in mutants if key in done]

    def _sample(self) -> list[tuple[str, Mutation]]:
        return sample(self._sources, self._options.n, self._options.seed)

    def _key(self, path: str, mutation: Mutation) -> str:
        """Key of a result: a hash of the mistake, the file's content and the options, but not of the tests."""
        how = f"{self._options.tier} {self._options.first_only}"
        return hashlib.sha256(f"{path} {mutation} {self._sources[path]} {how}".encode()).hexdigest()[:16]

    def _done(self) -> dict[str, dict[str, Any]]:
        """Earlier results by key."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return {row["key"]: row for row in map(json.loads, lines)}

    def _search(self, mutants: list[tuple[str, Mutation, str]], n_all: int) -> None:
        """Test the mistakes, in parallel in as many copies of the checkout as there are jobs."""
        folder = self._options.folder.absolute()
        trees: Queue[Tree] = Queue()
        for k in range(self._options.jobs):
            trees.put(Tree(self._root, folder / f"copy-{k + 1}"))
        if not self._options.first_only:
            self._covering = trees.queue[0].covering(self._package, self._every_test, self._options.tier)
        shown = bar(total=n_all, initial=n_all - len(mutants), desc="mistakes")

        def look(mutant: tuple[str, Mutation, str]) -> None:
            tree = trees.get()
            try:
                row = self._looked_for(tree, *mutant)
            finally:
                trees.put(tree)
            with self._lock:
                break_links(self._log)
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(row) + "\n")
                tqdm.write(in_words(row))
                sys.stdout.flush()  # the next line may come minutes later
                shown.update()

        with shown, ThreadPoolExecutor(self._options.jobs) as pool:
            try:
                list(pool.map(look, mutants))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for tree in list(trees.queue):
                    tree.stop()
                raise

    def _looked_for(self, tree: Tree, path: str, mutation: Mutation, key: str) -> dict[str, Any]:
        """Plant a mistake and run the tests that may notice it, in order; returns the row of the result."""
        mutated, started = mutation.applied(self._sources[path]), time.monotonic()
        caught, among, quick = "", "", set[str]()
        for among, tier, files in self._stages(tree, path, mutation.line):
            files = [file for file in files if tier == "slow" or file not in quick]
            with self._lock:
                baseline = Baseline.of(tree, files)
            if among == "likely":
                files = baseline.within(files, self._options.first_seconds)
            quick.update(files)
            caught = tree.caught(path, mutated, files, baseline, tier)
            if caught:
                break
        return {
            "key": key, "path": path, "line": mutation.line, "kind": mutation.kind,
            "diff": mutation.diff(self._sources[path]), "caught": bool(caught), "by": caught,
            "among": among if caught else "", "seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip

    def _stages(self, tree: Tree, path: str, line: int) -> Iterator[tuple[str, str, list[str]]]:
        """(name, tier, test files) of the test runs for a mistake in this line, in order.

        They are the ``likely`` ones of the fast tier, all others of it (``fast``), and the ``slow`` ones.
        """
        likely = self._imports.likely(path)
        if self._options.first_only:
            yield "likely", "fast", likely[:MOST_LIKELY]
            return
        executing = self._covering.files(path, line, self._importers(tree, path))
        likely = [file for file in likely if file in executing]
        others = sorted(executing - set(likely))
        if likely:
            yield "likely", "fast", likely[:MOST_LIKELY]
        yield "fast", "fast", [*likely, *others]
        if self._options.tier == "full":
            yield "slow", "slow", [*likely, *others]

    @staticmethod
    def _importers(tree: Tree, path: str) -> list[str]:
        """Paths of the kernels that import the kernel at ``path``; none for other modules."""
        if "kernels" not in Path(path).parts:
            return []
        return [str(Path(path).with_name(f"{name}.py")) for name in importers(tree.folder / path)]

    @property
    def _every_test(self) -> list[str]:
        return sorted(str(file.relative_to(self._root)) for file in (self._root / "tests").rglob("test_*.py"))


def in_words(row: Mapping[str, Any]) -> str:
    """Describe a result in a line; below it, if the mistake survived, the mistake."""
    verdict = f"caught by {row['by']}" if row["caught"] else "SURVIVED"
    line = f"{row['path']}:{row['line']} {row['kind']}: {verdict} ({row['seconds']:.0f} s)"
    return line if row["caught"] else f"{line}\n{row['diff']}"


def _python_files(path: Path) -> Iterator[Path]:
    """The file itself, or all Python files below a folder except ``__init__.py``."""
    if path.suffix == ".py":
        yield from [path] if path.exists() else []
    else:
        yield from (file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py")


# ---------------------------------------------------------------- the table


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers of planted and caught mistakes: in total, by module and by kind."""

    def counts(name: str) -> dict[str, tuple[int, int]]:
        planted, caught = Counter(map(_of(name), rows)), Counter(_of(name)(row) for row in rows if row["caught"])
        return {key: (caught[key], planted[key]) for key in sorted(planted)}

    n_caught, n_fast = (
        sum(row["caught"] and row["among"] not in without for row in rows) for without in ((), ("slow",))
    )
    return {
        "n": len(rows),
        "n_caught": n_caught,
        "n_caught_fast": n_fast,
        "by_module": counts("module"),
        "by_kind": counts("kind"),
    }


def _of(name: str) -> Any:
    """Function that gives the ``kind`` of a row, or its module: the first two parts of its path."""
    return (lambda row: row["kind"]) if name == "kind" else (lambda row: "/".join(row["path"].split("/")[:2]))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of text: numbers of caught and planted mistakes by module and by kind, and all survivors."""
    if not rows:
        return ["nothing was planted yet"]
    figures = summary(rows)
    lines = [f"{figures['n_caught']} of {figures['n']} mistakes were caught, {figures['n_caught_fast']} by fast tests"]
    for name in ("by_module", "by_kind"):
        lines += ["", *(f"{key:28s} {caught:4d} of {n:4d}" for key, (caught, n) in figures[name].items())]
    for row in rows:
        if not row["caught"]:
            lines += ["", f"{row['path']}:{row['line']} {row['kind']}, survived:", row["diff"]]
    return lines


if __name__ == "__main__":
    run_command(main, "mutants")
