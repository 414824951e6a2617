"""The model of the time of a shared update, against sums worked out by hand; the measurement in its tiny form."""

import pytest

from experiments.benchmarks.data_parallel import Costs, main, most_nodes, overlap_saves, seconds

# A millisecond a row, half a millisecond for the update, and a gradient that takes a second to send once.
COSTS = Costs(lambda rows: 1e-3 * rows, 0.5e-3, 1_000_000)


def test_the_time_of_an_update():
    assert seconds(COSTS, 8, 1, 1e6, 0.01) == pytest.approx(0.0085)  # alone, nothing is sent
    assert seconds(COSTS, 4, 2, 1e6, 0.01) == pytest.approx(0.0045 + 1.0 + 4 * 0.01)
    assert seconds(COSTS, 2, 4, 1e6, 0.01) == pytest.approx(0.0025 + 1.5 + 4 * 0.02)


def test_how_far_it_scales():
    """Strong with bandwidth without end: 8.5 ms alone; 2 nodes 4.5 ms, 94 %; 4 nodes 2.5 ms, 85 %; 8: 1.5 ms, 71 %."""
    assert most_nodes(COSTS, 8, 1e15, 0.0, weak=False) == 4
    assert most_nodes(COSTS, 8, 1e15, 0.0, weak=True) == 4096
    # Weak at 8.5 ms alone: 80 % are left to 2.1 ms of sending, 1 MB x 2 (n - 1) / n at 0.8 GB/s: 1.25 ms, 1.9, 2.2.
    assert most_nodes(COSTS, 8, 0.8e9, 0.0, weak=True) == 4
    assert most_nodes(COSTS, 8, 0.1e9, 0.0, weak=True) == 1


def test_what_overlap_could_save():
    """Two nodes, four rows each: 4 ms of gradients, of which 2.67 backward, 0.5 ms of update, 1 MB to send."""
    assert overlap_saves(COSTS, 8, 2, 1e9, 0.0) == pytest.approx(1.0 / 5.5)  # all of the sending
    assert overlap_saves(COSTS, 8, 2, 1e8, 0.0) == pytest.approx((8 / 3) / 14.5)  # as long as there is work to do


@pytest.mark.slow
@pytest.mark.long
def test_the_measurement_in_its_tiny_form(monkeypatch, capsys):
    pytest.importorskip("mpi4py", reason="needs the extra mpi")
    monkeypatch.setattr("sys.argv", ["data-parallel", "--smoke"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "LSTM, 8 units: 0.00 MB an update" and sum("processes: update" in line for line in lines) == 2
    assert sum("Gbit/s, by the model" in line for line in lines) == 3
