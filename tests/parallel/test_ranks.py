"""Ranks without MPI: shares of batches and cores, silence, and errors before anything is exchanged."""

import io
import sys

import pytest

from rnnaudio import engine
from rnnaudio.cli.parallel import silence_others
from rnnaudio.engine.device_ranks import DeviceRanks, n_started
from rnnaudio.errors import RnnaudioError
from rnnaudio.interrupt import Interrupt
from rnnaudio.parallel import ALONE, Share, share_of_cores
from rnnaudio.parallel.ranks import Cores
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.sharing import check_preflight
from tests.support.processes import run_python


def test_shares_are_all_rows_in_order():
    assert [row for rank in range(3) for row in range(12)[Share(rank, 3).rows(12)]] == list(range(12))
    assert ALONE.share.rows(5) == slice(0, 5)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([("a", range(8))] * 4, [2, 2, 2, 2]),
        ([("a", range(2))] * 4, [1, 1, 1, 1]),
        ([("a", range(8))] * 3, [2, 2, 2]),
        ([("a", range(4)), ("a", range(4, 8)), ("b", range(4)), ("b", range(4))], [4, 4, 2, 2]),
        ([("a", range(4)), ("a", range(2))], [3, 1]),
    ],
)
def test_cores_are_shared_by_those_that_may_use_them(ranks, expected):
    """Free ranks share all cores of their machine; those that a launcher has bound have their own."""
    ranks = [Cores(machine, frozenset(numbers)) for machine, numbers in ranks]
    assert [share_of_cores(ranks, rank) for rank in range(len(ranks))] == expected


def test_only_other_ranks_of_a_shared_training_are_silent(monkeypatch):
    shared = ["train", "a.h5", "run", "--data-parallel", "mpi"]
    cases = [({}, shared), ({"PMI_RANK": "0"}, shared), ({"PMI_RANK": "1"}, ["train", "a.h5", "run"])]
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    for variables, arguments in cases:
        silence_others(arguments, variables)
        assert (sys.stdout, sys.stderr) == (out, err)
    for variables in ({"PMI_RANK": "1"}, {"OMPI_COMM_WORLD_RANK": "3"}, {"SLURM_PROCID": "2"}):
        monkeypatch.setattr(sys, "stdout", out)
        silence_others(["train", "--data-parallel=mpi"], variables)
        print("words")
        assert sys.stdout is not out and sys.stderr is sys.stdout
    assert out.getvalue() == err.getvalue() == ""


def test_the_number_of_processes_is_that_of_the_launcher():
    assert n_started({}) == n_started({"SLURM_NTASKS": "many"}) == 1
    assert n_started({"SLURM_NTASKS": "4"}) == 4
    assert n_started({"SLURM_NTASKS": "4", "PMI_SIZE": "1"}) == 1  # mpiexec -n 1 in a job of four


@pytest.mark.skipif(engine.MODE == "jax", reason="is about the other modes")
def test_devices_share_batches_in_mode_jax_only():
    with pytest.raises(RnnaudioError, match=f"needs mode jax, got {engine.MODE}: set RNNAUDIO_MODE=jax"):
        DeviceRanks()


def test_several_processes_that_share_each_step_cannot_compute_a_preflight():
    config = FramesConfig(preflight=True)
    several = type("Several", (), {"size": 2, "share": Share(0, 1)})()
    with pytest.raises(RnnaudioError, match="a preflight is computed by one process.*try `rnnaudio preflight` first"):
        check_preflight(several, config)
    check_preflight(ALONE, config)


def test_a_signal_of_another_rank_is_taken_over(capsys):
    with Interrupt() as interrupt:
        assert interrupt.adopted(0) == "" and interrupt.number == 0
        assert interrupt.adopted(15) == "interrupted (SIGTERM)" and interrupt.number == 15
        assert interrupt.adopted(0) == ""  # one on which the others do not agree yet has to wait
    assert capsys.readouterr().err == ""


def test_a_missing_extra_is_named():
    code = """
import sys
sys.modules["mpi4py"] = None
from rnnaudio.cli import main
sys.argv[1:] = ["train", "no.h5", "no", "--data-parallel", "mpi"]
main()
"""
    status, output = run_python(code, RNNAUDIO_ENGINE=engine.NAME)
    assert status == 2 and output.startswith("rnnaudio: --data-parallel mpi needs MPI")
    assert "pip install 'rnnaudio[mpi]'" in output and "Traceback" not in output
