"""Whatever asks a command to end, it ends in good order, in one line, with the status that says what it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnaudio import interrupt
from rnnaudio.errors import run_command
from rnnaudio.interrupt import BATCH_SYSTEMS, Interrupt
from tests.support.processes import ROOT, run_python

ASKING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    for name in BATCH_SYSTEMS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def usual_handlers():
    """Whoever runs these tests by `nohup` ignores some signals."""
    before = {number: signal.getsignal(number) for number in ASKING}
    for number in ASKING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ASKING)
def test_every_command_is_interrupted_as_by_ctrl_c(number, capsys):
    before, cleaned = [signal.getsignal(one) for one in ASKING], []

    def work():
        try:
            send(number)
        finally:
            cleaned.append(True)

    with pytest.raises(SystemExit) as end:
        run_command(work, "rnnaudio")
    assert end.value.code == 128 + number and cleaned == [True]
    assert capsys.readouterr().err == "\nrnnaudio: interrupted\n"
    assert [signal.getsignal(one) for one in ASKING] == before


def test_an_error_that_an_interruption_became_is_not_reported(capsys):
    def import_something():
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    with pytest.raises(SystemExit) as end:
        run_command(import_something, "rnnaudio")
    assert end.value.code == 143 and capsys.readouterr().err == "\nrnnaudio: interrupted\n"


def test_an_earlier_interruption_excuses_no_error():
    with pytest.raises(SystemExit):
        run_command(lambda: send(signal.SIGTERM), "rnnaudio")
    with pytest.raises(ImportError):
        run_command(lambda: __import__("no_such_module"), "rnnaudio")


@pytest.mark.parametrize("system", BATCH_SYSTEMS)
def test_warnings_of_a_batch_system_count_in_its_jobs_only(system, monkeypatch):
    with Interrupt() as outside:
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    monkeypatch.setenv(system, "17")
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        with Interrupt() as inside:
            send(number)
            assert inside.reason == f"interrupted ({number.name})" and interrupt.status() == 128 + number
    assert outside.reason == "" and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_signal_is_remembered_until_the_outermost_context_ends():
    """In a notebook, where no command runs, the next training must not take itself for interrupted."""
    with pytest.raises(SystemExit):
        run_command(lambda: send(signal.SIGTERM), "rnnaudio")
    assert interrupt.received() == 0 and not interrupt.was_raised()
    with interrupt.raised():
        with Interrupt():
            send(signal.SIGTERM)
        assert interrupt.received() == signal.SIGTERM
    with Interrupt():
        assert interrupt.received() == 0
        send(signal.SIGTERM)
        assert interrupt.received() == signal.SIGTERM
    assert interrupt.received() == 0


def test_what_nohup_ignores_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as one:
            send(signal.SIGHUP)
            send(signal.SIGTERM)  # after which SIGHUP is still ignored
            send(signal.SIGHUP)
        assert one.reason == "interrupted (SIGTERM)" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_message_that_cannot_be_written_costs_nothing(monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    with Interrupt() as one:
        send(signal.SIGINT)
    assert one.reason == "interrupted (Ctrl-C)"


def test_the_status_is_the_same_when_text_was_being_evaluated(tmp_path):
    (tmp_path / "module.py").write_text(
        "import os, signal\nfrom rnnaudio.errors import run_command\n"
        "run_command(lambda: exec('os.kill(os.getpid(), signal.SIGINT)'), 'rnnaudio')\n"
    )
    command, environment = [sys.executable, "-m", "module"], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "\nrnnaudio: interrupted\n")


SLEEPER = """
import sys, time
from rnnaudio import interrupt
from rnnaudio.errors import run_command
def work():
    with interrupt.Interrupt() if sys.argv[1] == "noted" else interrupt.at_once("rnnaudio"):
        print("ready", flush=True)
        while True:
            time.sleep(0.01)
run_command(work, "rnnaudio")
"""


def sleeper(how):
    child = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, how], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    return child


def test_the_second_signal_ends_a_process_at_once():
    child = sleeper("noted")
    child.send_signal(signal.SIGHUP)
    assert child.stderr.readline() + child.stderr.readline() == "\nstopping after this update and saving\n"
    child.send_signal(signal.SIGTERM)
    assert child.communicate(timeout=10)[1] == "" and child.returncode == -signal.SIGTERM


def test_while_modules_are_imported_one_signal_ends_the_process_in_one_line():
    child = sleeper("at once")
    child.send_signal(signal.SIGTERM)
    assert child.communicate(timeout=10)[1] == "\nrnnaudio: interrupted\n" and child.returncode == 143


def catches_sigterm(pid):
    """Whether a process has set its handlers, the first thing that the package does; Python itself sets none of it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(mask >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_ctrl_c_in_the_first_seconds_is_one_line():
    for k in range(16):
        child = subprocess.Popen(
            [sys.executable, "-m", "rnnaudio", "info"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        while not catches_sigterm(child.pid):
            time.sleep(0.001)
        time.sleep(0.1 * k)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert "Traceback" not in err
        assert child.returncode == 0 or (child.returncode == 130 and err == "\nrnnaudio: interrupted\n"), err


def test_an_error_after_a_signal_that_was_only_noted_is_reported():
    """A fault in the report must not pass for the Ctrl-C that has ended the training in good order."""

    def work():
        with Interrupt():
            send(signal.SIGINT)
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        run_command(work, "rnnaudio")


WAIT_SECONDS = 60.0
LOST = f"""
import os, signal, sys, time
from rnnaudio.errors import run_command

class Careless:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)  # raised here, where Python ignores it

def main():
    careless = Careless()
    del careless
    time.sleep({WAIT_SECONDS})
    print("went on to the end")

run_command(main, "x")
"""


def test_an_interrupt_that_python_ignores_is_raised_again():
    """Even while the main thread waits in a system call."""
    before = time.monotonic()
    status, output = run_python(LOST)
    assert status == 130 and output == "\nx: interrupted\n", output
    assert time.monotonic() - before < WAIT_SECONDS
