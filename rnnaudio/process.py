"""Identities of processes, by which one process can find out later whether another is still running.

A process id alone is reused by the system sooner or later, and means nothing on another machine or in another
container. Together with the start of the process, the machine, its boot and the container, it is unique.
"""

import functools
import hashlib
import os
import socket
from pathlib import Path
from typing import NamedTuple

ENDED = ("Z", "X")  # states of a process that has ended, but whose parent has not noticed yet


class Process(NamedTuple):
    """Identity of a process.

    pid
        process id.
    started
        start of the process, in clock ticks after the boot of the machine; 0 where the system does not provide it.
    machine
        8 hexadecimal digits that identify machine, boot and container; see :func:`machine`.
    """

    pid: int
    started: int
    machine: str

    def is_running(self) -> bool | None:
        """Return whether the process is still running; None if its machine or container is another one.

        A process of this machine from before its last boot counts as one of another machine.
        """
        if self.machine != machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            pass  # another user's process, which may not be signalled, or no possible number: its start decides
        return _start_of(self.pid) == self.started


def this_process() -> Process:
    """Return the identity of the calling process."""
    return Process(os.getpid(), _start_of(os.getpid()), machine())


@functools.cache
def host() -> str:
    """Return the host name of this machine."""
    return socket.gethostname()


@functools.cache
def boot() -> str:
    """Return the identifier of this machine's last boot, the same in all containers; empty if the system has none."""
    return _text(Path("/proc/sys/kernel/random/boot_id"))


def uptime() -> float:
    """Return the seconds since this machine was booted; 0 if unknown."""
    words = _text(Path("/proc/uptime")).split()
    return float(words[0]) if words else 0.0


@functools.cache
def machine() -> str:
    """Return 8 hexadecimal digits that identify this machine, its last boot, and the container, if any.

    They differ after a reboot. If the system has no identifier of the boot, the host name takes its place.
    """
    try:
        container = os.readlink("/proc/self/ns/pid")
    except OSError:
        container = ""
    return hashlib.sha256(f"{boot() or host()} {container}".encode()).hexdigest()[:8]


def _start_of(pid: int) -> int:
    """Return the start of a process in clock ticks, field 22 of ``/proc/PID/stat``; 0 if ended or unknown."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()  # the name, in parentheses, may hold anything
    return int(fields[19]) if len(fields) > 19 and fields[0] not in ENDED else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
