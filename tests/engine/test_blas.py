"""OpenBLAS' kernels are chosen before NumPy is loaded, and never against the user."""

import os
import subprocess
import sys

import pytest

from rnnaudio import blas

FLAGS = blas.NEEDED | {"avx2"}


@pytest.mark.parametrize(
    ("environment", "flags", "numpy_is_loaded", "chosen"),
    [
        ({}, FLAGS, False, "SkylakeX"),
        ({}, FLAGS - {"avx512vl"}, False, None),
        ({}, FLAGS, True, None),
        ({blas.VARIABLE: "Haswell"}, FLAGS, False, "Haswell"),
        ({blas.VARIABLE: ""}, FLAGS, False, ""),
    ],
    ids=["avx512", "a part of it", "too late", "the user's", "the user's nothing"],
)
def test_what_is_chosen(environment, flags, numpy_is_loaded, chosen):
    before = dict(environment)
    done = blas.prefer_avx512(environment, flags, numpy_is_loaded)
    assert environment.get(blas.VARIABLE) == chosen
    assert done == (environment != before)


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, None),
        ({"RNNAUDIO_THREADS": "1"}, "1"),
        ({"RNNAUDIO_THREADS": "1", "OPENBLAS_NUM_THREADS": "4"}, "4"),
        ({"RNNAUDIO_THREADS": "1", "OMP_NUM_THREADS": "4"}, None),
        ({"RNNAUDIO_THREADS": "many"}, None),  # refused later, in words
    ],
)
def test_threads_hold_for_blas_too(environment, chosen):
    blas.follow_threads(environment)
    assert environment.get("OPENBLAS_NUM_THREADS") == chosen


def test_a_process_told_to_use_one_thread_has_one():
    """In a fresh process, as threadpoolctl sees its OpenBLAS."""
    code = "import rnnaudio, numpy, threadpoolctl; print(*[p['num_threads'] for p in threadpoolctl.threadpool_info()])"
    clean = {k: v for k, v in os.environ.items() if k not in (*blas.THREAD_VARIABLES, "MKL_NUM_THREADS")}
    said = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**clean, **threads}
        ).stdout.split()
        for threads in ({"RNNAUDIO_THREADS": "1"}, {"RNNAUDIO_THREADS": "2"})
    ]
    assert set(said[0]) <= {"1"} and len(said[0]) == len(said[1])


def test_flags_are_read_as_linux_writes_them(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f\n\nprocessor : 1\nflags : none\n")
    assert blas.processor_flags(path) == {"fpu", "avx2", "avx512f"}
    assert blas.processor_flags(tmp_path / "missing") == set()


def test_it_comes_before_numpy():
    """Whatever part of the package is imported first: a fresh process, in which importing blas finds no NumPy."""
    code = "import sys, rnnaudio.blas; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
