"""Test runs in a copy of the checkout, with a mistake planted in one of its files, or without one."""

import ast
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.proofs.covering_tests import Covering, lines_by_module, under_coverage
from rnnaudio.errors import RnnaudioError

MARKS = {"fast": "not slow", "slow": "slow", "full": ""}  # the expression of marks
START_SECONDS = 60.0  # of a run, beside its tests
COMPILE_SECONDS = 400.0  # of all kernels, which a mistake in one compiles anew
SLOWER = 5.0  # a run that takes as many times as long hangs, or as good as
MOST_BYTES = 8 << 30  # of a process
ENDED = {0, 1, 5}  # statuses of pytest: passed, failed, no tests
# pytest, with a limit for a mistake that fills the memory.
LIMITED = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_DATA, ({MOST_BYTES}, {MOST_BYTES}))
runpy.run_module("pytest", run_name="__main__", alter_sys=True)
"""


class Outcome(NamedTuple):
    """The results of a test run."""

    seconds: dict[str, float]  # of each file
    failed: list[str]  # ids of tests
    ended: str  # "" as it should; why it did not


class Tree:
    """An up-to-date copy of the checkout in ``folder``, for test runs; compiled kernels are stored next to it."""

    def __init__(self, root: Path, folder: Path):
        self.folder, self._root = folder, root
        self._kept = folder.with_name(f"{folder.name}-kept")
        self._kept.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.files = sorted(path.relative_to(root) for path in _files(root))
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".pyc" and path.relative_to(folder) not in set(self.files):
                path.unlink()
        for name in self.files:
            self._copy(name)

    def _copy(self, name: Path) -> None:
        """Copy a file with its modification time, by which Python and Numba detect outdated compiled code."""
        source, target = self._root / name, self.folder / name
        if not target.exists() or target.stat().st_mtime_ns != source.stat().st_mtime_ns:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

    def state(self, test: str) -> str:
        """A hash of the test file and all Python files except other test files."""
        shared = (name for name in self.files if not name.name.startswith("test_") and name.suffix == ".py")
        sources = (name.as_posix().encode() + (self.folder / name).read_bytes() for name in (*shared, Path(test)))
        return hashlib.sha256(b"".join(sources)).hexdigest()[:16]

    def caught(self, path: str, mutated: str, files: list[str], baseline: "Baseline", tier: str) -> str:
        """Run the test files with the content ``mutated`` in the file at ``path``; returns the first test that fails.

        If none fails, returns why the run ended early, or "" if all tests pass. Tests that fail in the baseline anyway
        are not run. tier: the name of the selection of tests, see :meth:`run`.
        """
        if not files:
            return ""
        limit = START_SECONDS + SLOWER * sum(baseline.seconds[file] for file in files)
        limit += COMPILE_SECONDS if "/kernels/" in path else 0.0
        with self._planted(Path(path), mutated):
            without = [f"--deselect={test}" for test in baseline.failing]
            outcome = self.run(files, limit, tier, ["-x", *without])
        return outcome.failed[0] if outcome.failed else outcome.ended

    @contextlib.contextmanager
    def _planted(self, path: Path, mutated: str) -> Iterator[None]:
        target, compiled = self.folder / path, set(self._kernels())
        before = self._cache_of_kernels(path)
        try:
            target.write_text(mutated, encoding="utf-8")
            self._forget(target)
            self._reuse_kernels(before, path)
            yield
        finally:
            target.unlink()
            self._copy(path)
            self._forget(target)
            for folder in set(self._kernels()) - compiled if "kernels" in path.parts else ():
                shutil.rmtree(folder, ignore_errors=True)  # of this mistake

    @staticmethod
    def _forget(path: Path) -> None:
        """Delete a module's bytecode: Python misses a change that keeps the size and falls within the same second."""
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()

    def _kernels(self) -> Iterable[Path]:
        return (self._kept / "numba").glob("rnnaudio/kernels-*")

    def _cache_of_kernels(self, path: Path) -> Path | None:
        """The cache folder for kernels compiled from the current sources.

        None if the mistake is not in a kernel, or if the folder cannot be determined.
        """
        if "kernels" not in path.parts:
            return None
        command = [sys.executable, "-c", "from rnnaudio.kernels.compile import CACHE_FOLDER; print(CACHE_FOLDER)"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        return Path(done.stdout.strip()) if done.returncode == 0 else None

    def _reuse_kernels(self, before: Path | None, path: Path) -> None:
        """Copy to the new cache the kernels of modules that do not import the mutated one, directly or indirectly."""
        after = self._cache_of_kernels(path)
        if before is None or after is None or before == after:
            return
        reached = importers(self.folder / path)
        for file in before.glob("*/*"):
            if file.name.split(".")[0] not in reached:  # numba names it after module, function and line
                target = after / file.relative_to(before)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)

    def run(self, files: list[str], limit: float, tier: str = "full", options: Sequence[str] = ()) -> Outcome:
        """Run the tests of a tier in these files, for ``limit`` seconds at most; options: more options of pytest."""
        report = self._kept / "report.xml"
        report.unlink(missing_ok=True)
        command = [
            sys.executable, "-c", LIMITED, "-q", "-m", MARKS[tier], f"--junitxml={report}",
            "-o", "junit_family=xunit1", "-o", f"cache_dir={self._kept / 'pytest'}",
            f"--basetemp={self._kept / 'tmp'}", *options, *files,
        ]  # fmt: skip
        status = self._status(command, limit)
        if status is None:
            return Outcome({}, [], f"no end after {limit:.0f} s")
        seconds, failed = _read(report) if report.exists() else ({}, [])
        return Outcome(seconds, failed, "" if status in ENDED or failed else f"pytest ended with status {status}")

    def _status(self, command: list[str], limit: float) -> int | None:
        """The exit status of a process; None if it, with its children, was killed at the time limit."""
        with (self._kept / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.stop()

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(self.folder),  # before what the environment has installed
            "NUMBA_CACHE_DIR": str(self._kept / "numba"),
            "COVERAGE_FILE": str(self._kept / "coverage"),
        }

    def stop(self) -> None:
        """Kill the process that runs in this copy, with all its children."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def covering(self, package: str, files: list[str], tier: str = "full") -> Covering:
        """Find the lines of the package that each of the test files executes in a tier.

        They are measured by a run of all tests of the tier, which is repeated only when a source has changed. The
        results of this run also become the baseline of the files.
        """
        path, state = self.folder.with_name("covering.json"), " ".join([tier, *map(self.state, files)])
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if known.get("state") != state:
            minutes = {"full": "half an hour", "fast": "ten minutes"}[tier]
            print(f"running all tests under coverage, which takes {minutes} ...", flush=True)
            Baseline.measured(self, files, under_coverage(package), tier)
            known = {"state": state, "lines": lines_by_module(self._kept / "coverage", self.folder)}
            path.write_text(json.dumps(known), encoding="utf-8")
        return Covering(known["lines"])

    @property
    def output(self) -> str:
        """The end of the output of the last run."""
        return (self._kept / "output.txt").read_text(encoding="utf-8", errors="replace")[-2000:]


def importers(module: Path) -> set[str]:
    """Names of a module, and of all modules in its folder that import it, directly or indirectly."""
    imports = {path.stem: _imported_names(path) for path in module.parent.glob("*.py")}
    reached = {module.stem}
    while new := {name for name, used in imports.items() if used & reached} - reached:
        reached |= new
    return reached


def _imported_names(path: Path) -> set[str]:
    """The names that a file imports, and the last parts of the names of the modules they come from."""
    nodes = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    modules = {(node.module or "").split(".")[-1] for node in nodes}
    return modules | {alias.name for node in nodes for alias in node.names}


def _files(root: Path) -> Iterator[Path]:
    """All files that git tracks or does not ignore; without git, all files."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
        yield from (root / name for name in names if name and (root / name).is_file())
    else:
        yield from (path for path in root.rglob("*.*") if path.is_file() and path.suffix != ".pyc")


def _read(report: Path) -> tuple[dict[str, float], list[str]]:
    """Read a JUnit report; returns (seconds by test file, ids of the tests that failed)."""
    seconds: dict[str, float] = {}
    failed = []
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("file", "")
        seconds[file] = seconds.get(file, 0.0) + float(case.get("time", 0.0))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(_id(case, file))
    return seconds, failed


def _id(case: ElementTree.Element, file: str) -> str:
    """The id of a test as in pytest, tests/a/test_b.py::Class::test_c[1]; after a failed import, file and remark."""
    folder = file.removesuffix(".py").replace("/", ".")
    if case.get("name") == folder:
        return f"{file} (cannot be imported)"
    group = case.get("classname", "").removeprefix(folder).strip(".")
    return "::".join(filter(None, [file, *group.split("."), case.get("name")]))


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Results of test files without a planted mistake: seconds by file, and the tests that fail even so."""

    seconds: dict[str, float]
    failing: list[str]

    @staticmethod
    def of(tree: Tree, files: list[str]) -> "Baseline":
        """Return the baseline of the given test files, after running the files that are new or have changed."""
        path = tree.folder.with_name("baseline.json")
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        new = [file for file in files if known.get(file, {}).get("state") != tree.state(file)]
        if new:
            print(f"measuring {len(new)} files of tests without a mistake ...", flush=True)
            known = Baseline.measured(tree, new)
        figures = [known[file] for file in files]
        return Baseline(
            {file: row["seconds"] for file, row in zip(files, figures, strict=True)},
            [test for row in figures for test in row["failing"]],
        )

    @staticmethod
    def measured(tree: Tree, files: list[str], options: Sequence[str] = (), tier: str = "full") -> dict[str, Any]:
        """Run the tests of a tier in these files and save their results; returns all saved results, by file.

        RnnaudioError if the run takes longer than a day, or pytest ends with an unexpected status.
        """
        path = tree.folder.with_name("baseline.json")
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        outcome = tree.run(files, 24 * 3600.0, tier, options)
        if outcome.ended:
            raise RnnaudioError(f"the tests do not run: {outcome.ended}\n{tree.output}")
        for file in files:
            failing = [test for test in outcome.failed if test.split("::")[0] == file]
            known[file] = {"state": tree.state(file), "seconds": outcome.seconds.get(file, 0.0), "failing": failing}
        path.write_text(json.dumps(known, indent=1), encoding="utf-8")
        return known

    def within(self, files: list[str], seconds: float) -> list[str]:
        """Choose files, in their order, that together take at most ``seconds``, skipping longer ones; at least one."""
        chosen: list[str] = []
        for file in files:
            if sum(self.seconds[f] for f in [*chosen, file]) <= seconds:
                chosen.append(file)
        return chosen or files[:1]
