"""Check one corpus file, and print the result as a line of JSON.

``check FILE SECONDS`` checks everything except the samples, in at most SECONDS of processor time. The result is
{"unusable": reason}, or {"samples": [[start, stop], ...], "sha256": text}: byte ranges of the samples in the file, and
the SHA-256 of everything else. ``samples FILE`` compares the samples of a checked file with their SHA-256 sums; the
result is {"fault": text}, with an empty text if all are right.
"""

import contextlib
import json
import os
import resource
import sys
from pathlib import Path

from rnnaudio.corpus_file import extents, structure
from rnnaudio.corpus_file.samples import fault_in

MOST_BYTES = 400_000_000  # beyond what the interpreter and its libraries take


def main(command: str, path: str, seconds: str = "0") -> None:
    """Run a command, ``check`` or ``samples``, on the file ``path``, and print its result as a line of JSON.

    seconds: processor time allowed for ``check``.
    """
    if command == "samples":
        os.nice(10)  # a training may be running
        with structure.opened(path) as file:
            print(json.dumps({"fault": fault_in(file)}))
        return
    _limit(int(seconds))
    try:
        samples = structure.check(path)
        print(json.dumps({"samples": samples, "sha256": extents.sha256_outside(path, samples)}))
    except structure.Unusable as error:
        print(json.dumps({"unusable": str(error)}))


def _limit(seconds: int) -> None:
    """Limit the processor time, in seconds, and the memory of this process, and disable core files after a crash."""
    limits = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_CORE: 0}
    with contextlib.suppress(OSError):  # not on macOS, which does not enforce a limit of memory either
        n_pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = n_pages * resource.getpagesize() + MOST_BYTES
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(which, (most, hard))


if __name__ == "__main__":
    main(*sys.argv[1:])
