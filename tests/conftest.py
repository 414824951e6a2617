"""Settings of every test, made before rnnaudio.engine is imported; what the environment already says wins."""

import gc
import os
import sys

import pytest
from hypothesis import settings

# Small graphs are built much more often than they are run. A gradient through an LSTM, measured on two cores: 2 s
# with no compiler at all, 18 to 30 s in C the first time and 3 s from the cache. `make test-modes` runs C and numba,
# `make test-jax` JAX.
os.environ.setdefault("RNNAUDIO_MODE", "python")

# Tests run in parallel on arrays too small for threads: BLAS threads would only wait for each other.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

os.environ.setdefault("RNNAUDIO_THREADS", "2")  # so that more than one is tested, but not one per core and worker

# In C a compile directory admits one process at a time: a worker of its own has one of its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER and os.environ["RNNAUDIO_MODE"] == "c":
    for engine_name in ("pytensor", "theano"):
        variable, default = f"{engine_name.upper()}_FLAGS", os.path.expanduser(f"~/.{engine_name}")
        given = [flag for flag in os.environ.get(variable, "").split(",") if flag]
        kept = next((flag.partition("=")[2] for flag in given if flag.startswith("base_compiledir=")), default)
        others = [flag for flag in given if not flag.startswith("base_compiledir=")]
        os.environ[variable] = ",".join([*others, f"base_compiledir={os.path.join(kept, WORKER)}"])

settings.register_profile("full", derandomize=True, deadline=None, database=None)
settings.register_profile("fast", settings.get_profile("full"), max_examples=25)


def pytest_configure(config):
    """Generated cases: 25 a test in the fast tier, 100 in the full one."""
    settings.load_profile("fast" if "not slow" in config.getoption("markexpr") else "full")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Twins by scan, which compile for ten times as long, are slow unless marked both_kernels."""
    for item in items:
        by_scan = hasattr(item, "callspec") and item.callspec.params.get("kernel_name") == "scan"
        if by_scan and not item.get_closest_marker("both_kernels"):
            item.add_marker(pytest.mark.slow)


# Graphs are cycles of many small objects: collected as Python does by default, they took a third of the tests' time.
OBJECTS_BETWEEN_COLLECTIONS = 2_000_000


def collect_garbage():
    """What is still in use, most of it imported or cached, is not looked at again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """From here on garbage is collected between tests only."""
    collect_garbage()
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown():
    if gc.get_count()[0] > OBJECTS_BETWEEN_COLLECTIONS:
        collect_garbage()


@pytest.fixture(scope="module", params=["fused", "scan"])
def kernel_name(request):
    """For fixtures of a whole file, which enter the kernel themselves: left open, it would reach tests without one."""
    from rnnaudio import engine

    if request.param == "fused" and engine.MODE == "jax":
        pytest.skip("JAX cannot call the compiled kernels")
    return request.param


@pytest.fixture
def kernel(kernel_name):
    """The test runs twice: recurrences and products by compiled kernels, and by the engine's own."""
    from rnnaudio import engine

    with engine.using_kernel(kernel_name):
        yield kernel_name


@pytest.fixture
def use_threads():
    """Sets the number of the kernels' threads; afterwards it is as before."""
    from rnnaudio.kernels import threads

    before = threads.n_threads()
    yield threads.set_n_threads
    threads.set_n_threads(before)


COMMANDS = ("cli", "runs", "experiments", "diagnostics")  # folders of tests of what also leaves pictures


@pytest.fixture(scope="module", autouse=True)
def quick_pictures(request):
    """Commands leave pictures of one pixel in the fast tier: drawn, they would take a third of the commands' time.

    They are drawn in the full tier, by the tests of plots, and wherever a file overrides this fixture.
    """
    from tests.support.pictures import draw_pixels_if_fast

    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in COMMANDS:
            draw_pixels_if_fast(request, patch)
        yield


@pytest.fixture(scope="module", autouse=True)
def no_diagnosis_after_training(request):
    """`train` and `resume` end without their diagnosis, which takes as long as all else in a tiny run.

    tests/runs/test_saved_diagnosis.py tests that part alone.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in COMMANDS:
            patch.setattr("rnnaudio.cli.training.diagnosed", lambda run_dir, corpus: None)
        yield


@pytest.fixture
def command(monkeypatch, capsys):
    """``command("train", ...)``: (exit status, stdout, stderr) of ``rnnaudio train ...``."""
    from rnnaudio.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rnnaudio", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return run
