"""A process is known by more than its number."""

import os
import subprocess
import sys

import pytest

from rnnaudio.process import Process, machine, this_process


def test_this_process_is_running():
    assert this_process().is_running() is True
    assert this_process().pid == os.getpid() and machine() == this_process().machine


def test_a_process_that_has_ended_is_not_even_while_its_parent_has_not_noticed():
    child = subprocess.Popen(
        [sys.executable, "-c", "print(open('/proc/self/stat').read()); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    fields = child.stdout.readline().split()
    process = Process(child.pid, int(fields[21]), machine())
    assert process.is_running() is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still in the table
    assert process.is_running() is False
    child.communicate()
    assert process.is_running() is False


@pytest.mark.parametrize(
    ("other", "is_running"),
    [
        ({"started": 1}, False),  # its number was given to another one
        ({"pid": 2**40}, False),
        ({"machine": "0" * 8}, None),
    ],
)
def test_a_number_alone_is_no_process(other, is_running):
    assert this_process()._replace(**other).is_running() is is_running
