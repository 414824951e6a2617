"""Test files that execute each line of the package, from a run of all tests under coverage.

A test that does not execute a line cannot notice a mistake in it, so only the test files that execute the line need to
be run. Whole files are run, not single tests, because the results of a fixture or a cached graph that one test
computes may be used by the other tests of its file. Coverage records neither code that Numba compiles, nor what a
child process of a test executes. A line that no test executes while it runs (a constant of a module, a compiled
kernel) is therefore attributed to all files that execute a function of its module or, for a kernel, of a kernel that
imports it.

A limitation: results cached by ``lru_cache`` are kept from one test file to the next, as long as a worker of pytest
runs. Lines of a cached function are therefore attributed only to the first file of a worker that calls the function;
if a mistake is planted in such a line, other test files that use the function may not be run.
"""

from collections.abc import Iterable
from pathlib import Path

from coverage import CoverageData

Lines = dict[str, list[str]]  # test files by line; a string, as in JSON


class Covering:
    """Test files by module and line: ``modules`` is {module: {line: test files}}; paths relative to the checkout."""

    def __init__(self, modules: dict[str, Lines]):
        self._modules = modules

    def files(self, module: str, line: int, importers: Iterable[str] = ()) -> set[str]:
        """Test files that execute this line of a module.

        If no test does, all test files that execute any line of the module or of ``importers``, other modules.
        """
        executing = self._modules.get(module, {}).get(str(line))
        if executing:
            return set(executing)
        every = (self._modules.get(name, {}).values() for name in (module, *importers))
        return {file for lines in every for files in lines for file in files}


def under_coverage(package: str) -> list[str]:
    """Options of pytest that record the lines of the package executed by each test."""
    return [f"--cov={package}", "--cov-context=test", "--cov-report=", "-n", "2", "--dist=loadfile"]


def lines_by_module(database: Path, root: Path) -> dict[str, Lines]:
    """Read the coverage database written by a test run in ``root`` with the options of :func:`under_coverage`."""
    data = CoverageData(str(database))
    data.read()
    modules = {}
    for name in data.measured_files():
        by_line = ((str(line), _test_files(contexts)) for line, contexts in data.contexts_by_lineno(name).items())
        modules[Path(name).relative_to(root).as_posix()] = {line: files for line, files in by_line if files}
    return modules


def _test_files(contexts: Iterable[str]) -> list[str]:
    """Files of contexts such as ``tests/a/test_b.py::test_c[1]|run``; none for code that runs outside of a test."""
    return sorted({context.partition("::")[0] for context in contexts if "::" in context})
