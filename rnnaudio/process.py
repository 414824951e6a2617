"""The identity of a process, by which others find out later whether it is still running.

A process id alone is given to another process sooner or later, and means nothing on another machine or in another
container. With the time of its start, and with the machine, its start and the container, it does not come again.
"""

import functools
import hashlib
import os
import socket
from pathlib import Path
from typing import NamedTuple

ENDED = ("Z", "X")  # states of a process that waits for its parent to notice


class Process(NamedTuple):
    """A process.

    pid
        its number.
    started
        when it started, in clock ticks after the machine did; 0 where the system does not tell.
    machine
        8 hexadecimal digits: hash of the start of the machine (its name, where the system does not tell) and of the
        container.
    """

    pid: int
    started: int
    machine: str

    def is_running(self) -> bool | None:
        """Whether it is still running; None if that cannot be known here, because it is of another machine."""
        if self.machine != machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):  # somebody else's
            pass
        return _start_of(self.pid) == self.started


def this_process() -> Process:
    """The calling process."""
    return Process(os.getpid(), _start_of(os.getpid()), machine())


@functools.cache
def host() -> str:
    """Name of this machine."""
    return socket.gethostname()


@functools.cache
def boot() -> str:
    """Identity of the running kernel, the same in all its containers; empty where the system does not tell."""
    return _text(Path("/proc/sys/kernel/random/boot_id"))


@functools.cache
def machine() -> str:
    """Identity of this machine since its start and, if there is one, of the container; see :class:`Process`."""
    try:
        container = os.readlink("/proc/self/ns/pid")
    except OSError:
        container = ""
    return hashlib.sha256(f"{boot() or host()} {container}".encode()).hexdigest()[:8]


def _start_of(pid: int) -> int:
    """Start of a process in clock ticks, field 22 of ``/proc/PID/stat``; 0 if it has ended, or that is unknown."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()  # the name, in parentheses, may hold anything
    return int(fields[19]) if len(fields) > 19 and fields[0] not in ENDED else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
