"""Processes that run training steps on demand, and measurement of their times in turns."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rnnaudio.errors import RnnaudioError

THEANO_PYTHON = ".venv-theano/bin/python"  # of `make theano`
CHOICES = ("RNNAUDIO_KERNEL", "RNNAUDIO_MODE")  # a peer has those of OURS, else the defaults
#: peers that are rnnaudio itself, by their environment
OURS: dict[str, dict[str, str]] = {
    "rnnaudio": {},
    "scan": {"RNNAUDIO_KERNEL": "scan", "RNNAUDIO_MODE": "c"},
    "theano": {"RNNAUDIO_KERNEL": "scan", "RNNAUDIO_MODE": "c", "RNNAUDIO_ENGINE": "theano"},
    "rnnaudio-jax": {"RNNAUDIO_MODE": "jax"},
}


def command_of(name: str, module: str, arguments: Sequence[str]) -> list[str]:
    """The command that starts a peer, by its name and the module of ``experiments.benchmarks`` that serves it."""
    python = THEANO_PYTHON if name == "theano" else sys.executable
    return [python, "-m", f"experiments.benchmarks.{module}", "rnnaudio" if name in OURS else name, *arguments]


def environment_of(name: str) -> dict[str, str]:
    """The environment of a peer: that of this process, with the peer's own mode, kernel and engine."""
    return {key: value for key, value in os.environ.items() if key not in CHOICES} | OURS.get(name, {})


class Process:
    """A process that prints a line, ``ready`` and further words, and then runs steps on demand.

    module: the module of ``experiments.benchmarks`` that it runs; arguments: those after the peer's name.
    RnnaudioError if it does not start.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str]):
        self._process = subprocess.Popen(
            command_of(name, module, arguments), env=environment_of(name), text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self.name = name
        ready, *self.words = self._read().split() or [""]
        if ready != "ready":
            raise RnnaudioError(f"the peer {name} did not start; its errors are printed above")

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def seconds(self, n_steps: int) -> float:
        """The median duration of a step, in seconds, over ``n_steps`` steps."""
        assert self._process.stdin
        self._process.stdin.write(f"{n_steps}\n")
        self._process.stdin.flush()
        return float(np.median(json.loads(self._read())))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


class ModelPeer(Process):
    """A process that trains a model of :mod:`experiments.benchmarks.models`.

    setup: the file with parameter values and data, which the peer ``rnnaudio`` writes and the others read. ``loss`` is
    the loss of those values, without noise and dropout.
    """

    def __init__(self, name: str, model: str, size: str, setup: Path, device: str = "cpu"):
        super().__init__(name, "model_peers", [model, size, str(setup), device])
        self.loss = float(self.words[0])


class Timed(Protocol):
    """A peer as :func:`in_turns` needs it."""

    name: str

    def seconds(self, n_steps: int) -> float: ...
    def close(self) -> None: ...


def in_turns(
    makers: Sequence[Callable[[], Any]], turns: int, turn_seconds: float, check: Callable[[Sequence[Any]], None] | None
) -> dict[str, dict[str, float]]:
    """Time steps of several peers in turns; returns their figures by name.

    A turn of a peer takes about ``turn_seconds``. check: function that is called with all peers before they are timed;
    it may raise an error. See :func:`figures_of` for the figures.
    """
    with ExitStack() as stack:
        peers: list[Timed] = []
        for make in makers:
            peers.append(make())
            stack.callback(peers[-1].close)
        if check:
            check(peers)
        steps = {peer.name: max(2, round(turn_seconds / peer.seconds(3))) for peer in peers}
        rounds = [{peer.name: peer.seconds(steps[peer.name]) for peer in peers} for _ in range(turns)]
    return figures_of(rounds)


def figures_of(rounds: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The figures of each peer, by name, from the seconds per step of each peer in each turn.

    ``seconds``, ``lowest`` and ``highest`` are median, minimum and maximum over the turns; ``ratio`` is the median of
    the peer's time over that of the first peer in the same turn.
    """
    first, *_ = rounds[0]
    figures = {}
    for name in rounds[0]:
        times = [one[name] for one in rounds]
        figures[name] = {"seconds": float(np.median(times)), "lowest": min(times), "highest": max(times)}
        figures[name]["ratio"] = float(np.median([one[name] / one[first] for one in rounds]))
    return figures
