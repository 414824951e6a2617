"""Measurement of the memory (RAM) available to this process."""

import os
from pathlib import Path

MEMORY_INFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/proc/self/cgroup")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# For versions 1 and 2 of control groups: the files of limit and usage, and the entry of memory.stat for inactive file
# caches.
FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
SECOND_VERSION = ("memory.max", "memory.current", "inactive_file")


def available_bytes() -> int | None:
    """Return the memory, in bytes, that is available without swapping; None if unknown.

    The limits of this process's control groups are taken into account. On systems without /proc/meminfo, such as
    macOS, the result is the total memory of the machine.
    """
    limits = [left for left in (_left_of_the_machine(), *_left_of_the_groups()) if left is not None]
    return min(limits) if limits else None


def _left_of_the_machine() -> int | None:
    for line in _lines(MEMORY_INFO):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _left_of_the_groups() -> list[int]:
    """Return limit minus usage, in bytes, of each control group of this process, and of its parents, that has a limit.

    Inactive file caches do not count as usage, because they are reclaimed on demand.
    """
    left = []
    for folder, limit, usage, cache in _groups():
        most = _number(folder / limit)
        if most is not None:
            statistics = {line.split()[0]: int(line.split()[1]) for line in _lines(folder / "memory.stat")}
            left.append(max(0, most - (_number(folder / usage) or 0) + statistics.get(cache, 0)))
    return left


def _groups() -> list[tuple[Path, str, str, str]]:
    """Return the control group of this process and all its parents, as tuples (folder, limit, usage, cache).

    ``folder`` is the folder of the group; the others are the names of the files with its limit and usage and the name
    of its entry for inactive file caches. All parents are included because in a container the process's own group may
    be mounted as the root, although /proc/self/cgroup contains another path.
    """
    found = []
    for line in _lines(CONTROL_GROUP):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = CONTROL_GROUPS / controllers
        own = root / path.strip("/")
        folders = [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]
        found += [(folder, *(FIRST_VERSION if controllers else SECOND_VERSION)) for folder in folders]
    return found


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)[:1]).strip()
    return int(text) if text.isdecimal() else None  # "max": no limit


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
