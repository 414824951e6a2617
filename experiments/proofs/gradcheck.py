"""Numerical checks of gradients, kernels, engines and optimisers; prints each error with its limit.

    rnnaudio gradcheck

1. every layer, loss and stack, with each kernel: symbolic gradients against central differences in float64;
2. each kernel against plain NumPy loops: outputs, final states and back-propagated gradients of every cell;
3. this engine, in the compile mode of training, against the recorded one (PyTensor) after 50 updates of each model;
4. the optimisers against recorded trajectories of PyTorch's optimisers over 100 updates.

The exit status is 1 if any error is NaN or above its limit. The oracles are those of the tests and are stored with
them. All checks except 3 are compiled in python mode, which takes minutes instead of an hour; `make test-modes`
compares the other modes with it. To compare the engines, run the command in Theano's environment:

    RNNAUDIO_ENGINE=theano .venv-theano/bin/rnnaudio gradcheck
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from experiments.shared.options import command
from rnnaudio import engine
from tests.support import agreement, gradient_cases
from tests.support.golden import make_engine_runs

N_ENTRIES = 8


class Line(NamedTuple):
    """An error, its limit, and the case in which it was measured."""

    what: str
    error: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.error <= self.limit  # False for NaN

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'} {self.error:9.1e} (limit {self.limit:.0e})  {self.what}"


def gradients() -> Iterator[Line]:
    """Check the gradients of every layer, loss and stack, with each kernel."""
    for kernel, case in product(engine.KERNELS, gradient_cases.CASES):
        with engine.using_kernel(kernel):
            report = gradient_cases.check(case, N_ENTRIES, mode="python")
        worst = max(report.arrays, key=lambda array: array.error)
        yield Line(f"{kernel}, {case.label}: {len(report.arrays)} arrays, worst {worst.name}", report.largest, 1e-6)


def recurrences() -> Iterator[Line]:
    """Check outputs, final states and gradients of every cell, with each kernel."""
    settings = product(engine.KERNELS, agreement.KINDS, (False, True), (None, 3))
    for kernel, kind, masked, truncate in settings:
        if kernel == "fused" and truncate:
            continue  # computed by scan: the kernels cut no gradients
        with engine.using_kernel(kernel):
            errors = agreement.recurrence(kind, masked=masked, truncate=truncate, mode="python")
        cut = f", gradient cut at {truncate}" if truncate else ""
        worst = max(errors, key=lambda name: errors[name])
        what = f"{kernel}, {kind}, {'masked' if masked else 'unmasked'}{cut}: {len(errors)} arrays, worst {worst}"
        yield Line(what, errors[worst], 1e-10)


def engines() -> Iterator[Line]:
    """Compare the parameters of every model after 50 updates with the recorded ones."""
    golden = make_engine_runs.read_golden()
    there = ", ".join(f"{name} {version}" for name, version in golden["versions"].items())
    for name in make_engine_runs.RUNS:
        error = make_engine_runs.largest_difference(make_engine_runs.replay(name), golden["runs"][name])
        yield Line(f"{name}: {engine.NAME} {engine.VERSION} here, {there} recorded", error, 1e-8)


def optimisers() -> Iterator[Line]:
    """Compare the trajectories of every optimiser with the recorded ones."""
    for case in agreement.golden_optimizers()["cases"]:
        error = max(agreement.optimizer_errors(case, mode="python").values())
        yield Line(f"{case}: parameters after 1, 10 and 100 updates", error, 1e-6)


PROOFS = {
    "Gradients against central differences (float64, relative)": gradients,
    "Kernels against NumPy loops, outputs and gradients (float64, relative)": recurrences,
    "This engine against the recorded one, 50 updates (float64, absolute)": engines,
    "Optimisers against PyTorch (float64, absolute)": optimisers,
}


def prove_all() -> int:
    """Print every error; returns the exit status, 1 if an error is NaN or above its limit, else 0."""
    lines: list[Line] = []
    for title, proof in PROOFS.items():
        print(f"\n{title}", flush=True)
        here = []
        for line in proof():
            print(line, flush=True)
            here.append(line)
        print(f"     {max(line.error for line in here):9.1e} is the largest of {len(here)}")
        lines += here
    failed = [line for line in lines if not line.holds]
    print(f"\n{len(lines) - len(failed)} of {len(lines)} hold")
    return 1 if failed else 0


main = command(prove_all)
