"""Tiny trainings of several processes: their options, how they end, and when two are equal."""

import numpy as np
import pytest

from rnnaudio.training import checkpoint

TOLERANCE = {"float32": 1e-6, "float64": 1e-10}  # relative, for all that a checkpoint holds
TINY = ["--n-units", "6", "--frame-size", "40", "--n-steps", "5", "--batches", "consecutive", "--batch-size", "4"]


def ended(process, seconds=300):
    """(exit status, output) of a process, which is killed if it takes longer."""
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, output


def shown(output):
    """The lines of an error, without those of the launcher."""
    return [line for line in output.splitlines() if line.startswith("rnnaudio:")]


def assert_equal(run_dir, expected_dir, tolerance):
    """All that a checkpoint holds is equal, relative to the size of each array."""
    got, expected = checkpoint.newest(run_dir), checkpoint.newest(expected_dir)
    assert got.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        difference = np.linalg.norm(got.arrays[name].astype(float) - array)
        assert difference <= tolerance * np.linalg.norm(array.astype(float)), name
    for row, other in zip(got.record["history"], expected.record["history"], strict=True):
        assert row["updates"] == other["updates"] and row["is_best"] == other["is_best"]
        assert row["valid"] == pytest.approx(other["valid"], rel=10 * tolerance)
        assert row["train"] == pytest.approx(other["train"], rel=10 * tolerance)
    assert got.record["n_updates"] == expected.record["n_updates"]
