"""A process that is timed from its start to its first update or end; :mod:`experiments.benchmarks.start` starts it.

    python -m experiments.benchmarks.start_probe STARTED OUTCOME.json end|update [ARGUMENT ...]

STARTED is the time of its start by ``time.monotonic``. Without arguments for ``rnnaudio`` it runs the step of the
experiment compile-times. As imports are measured, too, only the standard library and :mod:`rnnaudio.laps` are imported
before the measurement begins.
"""

import builtins
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

from rnnaudio.laps import Laps

PYTHON, IMPORTS, GRAPH, COMPILING, KERNEL, FIRST, REST = (
    "Python itself", "import", "building graphs", "compiling graphs", "kernel", "first update", "everything else",
)  # fmt: skip
ENGINES = {"pytensor", "theano", "numba", "llvmlite", "jax"}


class Watch:
    """Timer of the phases of this process: those named above, with imports by package and kernels by name.

    It also counts how many kernels were compiled and how many loaded from the cache. started: when the process was
    started, by ``time.monotonic``, whose clock all processes share. outcome: the file to write to. until_update:
    whether to end this process after its first update.
    """

    def __init__(self, started: float, outcome: str, *, until_update: bool):
        self.laps = Laps(time.monotonic)
        self.laps.seconds[PYTHON] = time.monotonic() - started
        self._started, self._outcome, self._until_update = started, outcome, until_update
        self._import, self._is_patched = builtins.__import__, False

    def imported(self, name: str, *arguments: Any, **options: Any) -> ModuleType:
        """Import a module, as ``__import__`` does, and count the time as that of its package."""
        package = name.partition(".")[0]
        level = options.get("level", arguments[3] if len(arguments) > 3 else 0)
        if level or name in sys.modules or threading.current_thread() is not threading.main_thread():
            module = self._import(name, *arguments, **options)
        else:
            with self.laps.phase(f"{IMPORTS} {package}"):
                module = self._import(name, *arguments, **options)
        if not self._is_patched and "rnnaudio.training" in sys.modules:
            self._patch()
        return module

    def _patch(self) -> None:
        """Time what the engine and numba compile, and the first update, once engine and training are imported."""
        training, engine = sys.modules["rnnaudio.training"], sys.modules.get("rnnaudio.engine")
        if not (hasattr(training, "TrainStep") and hasattr(engine, "function")):
            return  # still being imported
        self._is_patched = True
        dispatcher = self._import("numba.core.dispatcher", fromlist=["Dispatcher"]).Dispatcher
        dispatcher.compile = self._by_kernel(dispatcher.compile)
        engine.function = self.laps.around(COMPILING, engine.function)  # type: ignore[union-attr]
        for step in (training.TrainStep, training.SegmentedTrainStep):
            step.__init__ = self.laps.around(GRAPH, step.__init__)
            step.__call__ = self._first(self.laps.around(FIRST, step.__call__))
        training.Evaluation.__init__ = self.laps.around(GRAPH, training.Evaluation.__init__)

    def _by_kernel(self, compile_one: Callable[..., Any]) -> Callable[..., Any]:
        def compiled(dispatcher: Any, signature: Any) -> Any:
            hits = sum(dispatcher.stats.cache_hits.values())
            name = f"{KERNEL} {dispatcher.py_func.__module__.rpartition('.')[2]}.{dispatcher.py_func.__name__}"
            with self.laps.phase(name):
                result = compile_one(dispatcher, signature)
            how = "loaded" if sum(dispatcher.stats.cache_hits.values()) > hits else "compiled"
            self.laps.counts[f"{name}, {how}"] = self.laps.counts.get(f"{name}, {how}", 0) + 1
            return result

        return compiled

    def _first(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            if self._until_update:
                self.write()
                os._exit(0)  # what would follow is not of interest, and some of it would take minutes
            return result

        return called

    def write(self) -> None:
        """Write the seconds of the phases and of the whole, and the counts, as JSON."""
        whole = time.monotonic() - self._started
        seconds = {**self.laps.seconds, REST: whole - self.laps.total()}
        with open(self._outcome, "w", encoding="utf-8") as file:
            json.dump({"whole": whole, "seconds": seconds, "counts": self.laps.counts}, file)


def watch(started: str, outcome: str, until: str, *arguments: str) -> None:
    """Run ``rnnaudio`` with these arguments and write the seconds of each phase to the file ``outcome``.

    Without arguments, the step of the experiment compile-times is run. started: by ``time.monotonic``. until: "end" or
    "update", at which the process ends.
    """
    one = Watch(float(started), outcome, until_update=until == "update")
    builtins.__import__ = one.imported
    with suppress(SystemExit):
        if arguments:
            sys.argv = ["rnnaudio", *arguments]
            importlib.import_module("rnnaudio.cli").main()
        else:
            importlib.import_module("experiments.benchmarks.compile_times").measure_here()
    one.write()


if __name__ == "__main__":
    watch(*sys.argv[1:])
