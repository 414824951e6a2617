"""Whole models against PyTorch: codes, DRAW with and without attention, MNIST, samples; time of an update or an epoch.

Both sides train the models of :mod:`experiments.benchmarks.models` from the same parameter values, with the same data,
loss and update rule. Before anything is timed, their losses without noise are compared: they must agree to 1e-4.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks.peers import ModelPeer, in_turns
from rnnaudio.errors import RnnaudioError

NAMES = {
    "codes": "an update of the model over codes, two stages",
    "draw": "an update of DRAW on images of 28 x 28",
    "draw-attention": "the same with attention",
    "mnist": "an epoch of 784-100-10",
    "mnist-better": "an epoch of 784-512-512-10 with normalisation, dropout, noise",
    "samples": "an update of SampleRNN in three tiers, GRU",
    "samples-lstm": "the same with LSTM",
}
EQUAL = 1e-4  # relative difference of two losses in float32 that are those of one model


def check(models: Sequence[str]) -> None:
    """Raise RnnaudioError for an unknown model."""
    for model in models:
        if model not in NAMES:
            raise RnnaudioError(f"the model is {model!r}; expected some of {', '.join(NAMES)}")


def check_losses(model: str, peers: Sequence[Any]) -> None:
    """Raise RnnaudioError if the loss of a peer differs from that of the first one by more than 1e-4 of it."""
    ours = peers[0].loss
    for peer in peers[1:]:
        if not abs(peer.loss - ours) <= EQUAL * abs(ours):
            raise RnnaudioError(
                f"{model}: the loss of {peer.name} is {peer.loss:.6g}, ours {ours:.6g}; expected the same within "
                f"{EQUAL:g} of it: these are two models, and their times cannot be compared"
            )


def compare(
    model: str, turns: int, turn_seconds: float, size: str = "full", make_peer: Callable[..., Any] = ModelPeer,
    names: Sequence[str] = ("rnnaudio", "torch"), device: str = "cpu",
) -> dict[str, Any]:
    """Measure a model and its peers, the first of which writes the setup; returns a row of the table."""  # fmt: skip
    with TemporaryDirectory() as folder:
        setup = Path(folder) / "setup.npz"
        makers = [partial(make_peer, name, model, size, setup, device) for name in names]
        return {"model": model} | in_turns(makers, turns, turn_seconds, partial(check_losses, model))


def line(row: dict[str, Any], names: Sequence[str] = ("rnnaudio", "torch")) -> str:
    """Format a row of the table."""
    first, *others = names
    ratios = "  ".join(f"{1e3 * row[name]['seconds']:9.1f} x{row[name]['ratio']:5.2f}" for name in others)
    return f"{row['model']:15} {1e3 * row[first]['seconds']:9.1f}  {ratios}  {NAMES[row['model']]}"


def compare_all(models: Sequence[str], turns: int, turn_seconds: float) -> list[dict[str, Any]]:
    """Compare all models with PyTorch, and print the table; returns its rows."""
    rows = []
    if models:
        print(f"{'model':15} {'ms':>9}  {'torch':>16}")
    for model in models:
        rows.append(compare(model, turns, turn_seconds))
        print(line(rows[-1]), flush=True)
    return rows
