"""Where the time of a start goes: phases add up to the whole, and stand beside those of an earlier record."""

import json
import os
import subprocess
import sys
import time

import pytest

from experiments.benchmarks import start
from experiments.benchmarks.start import STARTS, as_table, by_kind, in_short, measure, rows_before
from experiments.benchmarks.start_probe import REST, Watch
from rnnaudio.errors import RnnaudioError

SECONDS = {
    "Python itself": 0.03, "import numpy": 0.1, "import re": 0.001, "import os": 0.002, "kernel lstm._forward": 0.5,
    "kernel product.pack": 0.01, "first update": 0.2, REST: 0.157,
}  # fmt: skip


def test_short_phases_are_added_up_by_kind_and_none_is_lost():
    short = in_short(SECONDS)
    assert sum(short.values()) == pytest.approx(sum(SECONDS.values())) == pytest.approx(1.0)
    assert list(short)[:2] == ["kernel lstm._forward", "first update"]
    assert short["import: 2 others"] == pytest.approx(0.003) and short["kernel: 1 others"] == pytest.approx(0.01)
    assert by_kind(SECONDS) == pytest.approx({"all of: import": 0.103, "all of: kernel": 0.51})


def test_the_table_has_the_goal_and_what_was_before():
    found = {"whole": 1.0, "seconds": SECONDS}
    table = as_table("first update, cold", found, 8.0, {"whole": 2.5, "seconds": {**SECONDS, "first update": 1.7}})
    rows = {" ".join(line.split()[:-2]): line.split()[-2:] for line in table.splitlines()}
    assert rows["whole"] == ["1.00", "2.50"] and rows["first update"] == ["0.20", "1.70"]
    assert "goal: 8 s, reached" in table and "goal: 0.3 s, missed" in as_table("help", found, 0.3, None)


def test_a_record_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"rows": [{"name": "x", "caches": "cold", "whole": 1.0, "seconds": {}}]}))
    assert rows_before(path) == {("x", "cold"): {"whole": 1.0, "seconds": {}}} and rows_before(None) == {}
    for wrong in ("{}", "[]", "no JSON"):
        path.write_text(wrong)
        with pytest.raises(RnnaudioError, match="is no record of rnnaudio bench --start"):
            rows_before(path)


def test_the_phases_of_a_real_start_add_up(tmp_path):
    found = measure(STARTS[0], tmp_path)
    assert sum(found["seconds"].values()) == pytest.approx(found["whole"])
    assert found["seconds"]["import tyro"] > 0.0 and "import numpy" not in found["seconds"]


def test_a_start_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(start.subprocess, "run", lambda *_, **__: None)
    with pytest.raises(RnnaudioError, match="rnnaudio --help failed; its errors are printed above"):
        measure(STARTS[0], tmp_path)


def test_kernels_are_counted_by_name_and_by_where_they_came_from():
    """A stand-in for numba's dispatcher, whose second kernel is loaded."""

    class Dispatcher:
        def __init__(self, function, hits):
            self.py_func, self.stats = function, type("Stats", (), {"cache_hits": {}})()
            self._hits = hits

        def compile(self, signature):
            self.stats.cache_hits[signature] = self._hits

    def one():
        pass

    one.__module__ = "rnnaudio.kernels.lstm"
    watch = Watch(time.monotonic(), os.devnull, until_update=False)
    compiled = watch._by_kernel(Dispatcher.compile)
    compiled(Dispatcher(one, 0), "f")
    compiled(Dispatcher(one, 1), "f")
    counts = {name: n for name, n in watch.laps.counts.items() if "," in name}
    assert counts == {"kernel lstm.one, compiled": 1, "kernel lstm.one, loaded": 1}


@pytest.mark.slow
@pytest.mark.long
def test_a_real_first_update_names_its_kernels(tmp_path):
    found = measure(STARTS[2], tmp_path)
    assert sum(found["seconds"].values()) == pytest.approx(found["whole"])
    kernels = {name for name in found["seconds"] if name.startswith("kernel ")}
    assert {"kernel lstm._forward", "kernel lstm._backward", "kernel product.product_at"} <= kernels
    assert found["seconds"]["building graphs"] > 0.0 and found["seconds"]["first update"] > 0.0


def test_the_probe_imports_nothing_that_it_measures():
    program = (
        "import sys; import experiments.benchmarks.start_probe;"
        "print(sorted({'numpy', 'numba', 'pytensor', 'tyro', 'rnnaudio.cli'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
