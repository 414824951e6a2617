"""The 24 defects of the 2016 experiments, each expressed as a choice of settings.

A defect has two sets of settings: ``faithful``, with the defect as in 2016, and ``repaired``, without it. There are
no defective versions of layers or loops: settings alone make the difference. :func:`with_defect` returns a config with
a defect, :func:`without` a config with the defect repaired; :func:`present_in` lists the defects of a config. A run
over frames records this list.

The descriptions of the defects come from reading the public code to which the blog of 2016 refers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

from rnnaudio.errors import RnnaudioError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance as Settings  # any dataclass

Config = TypeVar("Config", bound="Settings")


@dataclass(frozen=True)
class Defect:
    """A mistake of 2016: the settings that cause it, and those that repair it. Model settings are ``model.<name>``.

    number, name
        its number, 1 to 24, and the name by which it is looked up.
    weight
        severity: 3 decisive, 2 grave, 1 slight.
    mechanism
        description of what goes wrong.
    evidence
        the command that measures the effect of the defect, or the reason why there is no such command.
    faithful, repaired
        values of settings by name: those of 2016, with the defect, and those without it.
    of
        the kind of run that has these settings: ``audio`` (:class:`rnnaudio.runs.frames.config.FramesConfig`),
        ``fourier`` or ``mnist`` (experiments of the blog of 2016).
    where
        values of settings by name; the defect applies only to a config that has all of them.
    present
        function (config) -> True if the config has the defect, for a defect that other settings can cause, too; None:
        only the faithful settings cause it.
    """

    number: int
    name: str
    weight: int
    mechanism: str
    evidence: str
    faithful: Mapping[str, Any]
    repaired: Mapping[str, Any]
    of: str = "audio"
    where: Mapping[str, Any] = field(default_factory=dict)
    present: Callable[[Any], bool] | None = None

    def is_in(self, config: Settings) -> bool:
        """Return True if the config has the defect, False also if it lacks the settings of the defect."""
        if not (_has(config, self.faithful) and _fits(config, self.where)):
            return False
        return self.present(config) if self.present else _fits(config, self.faithful)


ABLATION = "rnnaudio experiment run ablation"

DEFECTS = (
    Defect(
        1, "target-is-input", 3,
        "the batcher returned the current input as the target: a predictor that was trained to copy",
        ABLATION, {"target_shift": 0}, {"target_shift": None}, where={"strategy": "predict_next"},
    ),
    Defect(
        2, "unscaled-rmsprop", 3,
        "RMSprop computed the mean square r and stepped with the unscaled gradient: a day of training barely moves",
        ABLATION, {"optimizer": "rmsprop_2016"}, {"optimizer": "rmsprop"},
    ),
    Defect(
        3, "last-step-cost", 3, "the cost counted the last step of a sequence only",
        ABLATION, {"cost": "last_step"}, {"cost": "all_steps"},
    ),
    Defect(
        4, "noiseless-feedback", 3,
        "squared error predicts the mean, which has less energy than the sound; fed back it shrinks at each step",
        ABLATION, {"generation_noise": False}, {"generation_noise": True},
    ),
    Defect(
        5, "unbounded-memory", 3,
        "the memory-only LSTM grows from step to step whatever its input, which hardly affects it",
        "rnnaudio experiment run week-21-march",
        {"model.options.bounded_memory": False, "model.learn_initial_state": False},
        {"model.options.bounded_memory": True, "model.initial_state_noise": 0.0, "model.learn_initial_state": True},
        where={"model.cell": "memory-lstm"}, present=lambda config: not config.model.options.bounded_memory,
    ),
    Defect(
        6, "forget-bias-in-hidden", 2, "the forget bias of 2 stood on the hidden relu layer of the gate's MLP too",
        ABLATION, {"model.options.forget_bias_hidden": 2.0}, {"model.options.forget_bias_hidden": 0.0},
        where={"model.cell": "memory-lstm"}, present=lambda config: config.model.options.forget_bias_hidden > 0.0,
    ),
    Defect(
        7, "noise-in-readout", 2, "noise s in the last layer of the read-out puts a floor of s^2 under the cost",
        ABLATION, {"model.readout_noise": 0.05}, {"model.readout_noise": 0.0},
        present=lambda config: config.model.readout_noise > 0.0,
    ),
    Defect(
        8, "judged-by-training-cost", 2, "the best parameters were chosen by the cost of training batches, noise on",
        ABLATION, {"judged_by": "train"}, {"judged_by": "valid"},
    ),
    Defect(
        9, "validation-is-training", 2, "the validation batcher called the training batcher",
        ABLATION, {"validation": "training"}, {"validation": "split"},
    ),
    Defect(
        10, "two-functions", 2,
        "generation called k = f(k, h); h = f2(k, h): each frame consumed twice, memory one frame ahead",
        ABLATION, {"generation": "two_functions_2016"}, {"generation": "one_function"},
    ),
    Defect(
        11, "no-end-layer", 2,
        "the top h of the GRU was the prediction: a leaky average within -1 and 1, without a memory of its own",
        ABLATION, {"model.readout": "none"}, {"model.readout": "linear"},
    ),
    Defect(
        12, "small-readout", 2, "read-out weights 4.9 times smaller than Glorot's, through a tanh",
        ABLATION, {"model.readout": "tanh", "model.readout_weights": "rand_2016"},
        {"model.readout": "linear", "model.readout_weights": "glorot"},
        present=lambda config: config.model.readout == "tanh" or (
            config.model.readout == "linear" and config.model.readout_weights == "rand_2016"
        ),
    ),
    Defect(
        13, "min-max-scaling", 2,
        "lowest sample to -1, highest to 1: a click sets the scale, silence is not 0, any error looks tiny",
        ABLATION, {"scaling": "min_max_2016"}, {"scaling": "standard"},
    ),
    Defect(
        14, "no-clipping", 2, "gradients were not clipped",
        ABLATION, {"max_gradient_norm": None}, {"max_gradient_norm": 1.0},
    ),
    Defect(
        15, "always-reset", 2, "trained from a fresh state on short windows, then run on and on in generation",
        ABLATION, {"batches": "random"}, {"batches": "consecutive"},
        present=lambda config: config.batches != "consecutive",
    ),
    Defect(
        16, "shifted-batch", 2, "a batch was one window moved by 0..B-1 samples: an effective batch of about one",
        "rnnaudio experiment run last-day", {"batches": "shifted"}, {"batches": "random"},
    ),
    Defect(
        17, "same-piece-validation", 1, "validation was the end of the piece trained on; there was no test set",
        ABLATION, {"validation": "same_pieces"}, {"validation": "split"},
    ),
    Defect(
        18, "history-cut", 1, "what was saved ended at the best point of the curve",
        "a test alone: it changes what is known of a run, not the run",
        {"saved_history": "until_best"}, {"saved_history": "all"},
    ),
    Defect(
        19, "raw-fourier-frames", 1,
        "frames of the Fourier runs: magnitudes min/max scaled, no window, no overlap, phase dropped",
        "rnnaudio experiment run fourier --frames samples",
        {"frames": "magnitudes_2016"}, {"frames": "samples"}, of="fourier",
    ),
    Defect(
        20, "product-cross-entropy", 1, "-log(max(y p)): wrong for soft labels, not a number on underflow",
        "rnnaudio experiment run mnist --setting february",
        {"loss": "cross_entropy_2016"}, {"loss": "cross_entropy"}, of="mnist",
    ),
    Defect(
        21, "noise-on-logits", 1, "normalisation, dropout and noise on the logits too; dropout before the bias",
        "rnnaudio experiment run mnist --setting march",
        {"order": "2016"}, {"order": "usual"}, of="mnist",
    ),
    Defect(
        22, "noise-in-evaluation", 1, "noise stayed on in validation and generation",
        ABLATION, {"noise_in_evaluation": True}, {"noise_in_evaluation": False},
    ),
    Defect(
        23, "shared-depth", 1, "one set of gates for all depths, which sees sound below and memory above",
        ABLATION, {"model.shared_depth": True}, {"model.shared_depth": False},
        present=lambda config: config.model.shares_depth and config.model.n_layers > 1,
    ),
    Defect(
        24, "no-toy-problem", 1, "no sine, no two sines, no single clip was ever tried first",
        "rnnaudio preflight", {"preflight": False}, {"preflight": True},
    ),
)  # fmt: skip


def named(name: str) -> Defect:
    """Return the defect called ``name``; RnnaudioError, listing all names, if there is no such defect."""
    for defect in DEFECTS:
        if defect.name == name:
            return defect
    raise RnnaudioError(f"unknown defect {name!r}; known are {', '.join(defect.name for defect in DEFECTS)}")


def with_defect(config: Config, name: str) -> Config:
    """Return a copy of a config that has the named defect.

    RnnaudioError if there is no such defect, or if the config lacks the defect's settings or rejects their values.
    """
    return _replaced(config, named(name), named(name).faithful)


def without(config: Config, name: str) -> Config:
    """Return a copy of a config with the named defect repaired; raises the errors of :func:`with_defect`."""
    return _replaced(config, named(name), named(name).repaired)


def present_in(config: Settings) -> list[Defect]:
    """List the defects that the config has, in the order of their numbers."""
    return [defect for defect in DEFECTS if defect.is_in(config)]


def that_apply_to(config: Settings) -> list[Defect]:
    """List the defects that the config can have: it has their settings and meets their condition ``where``."""
    return [defect for defect in DEFECTS if _has(config, defect.faithful) and _fits(config, defect.where)]


def as_text(defects: Iterable[Defect] = DEFECTS) -> str:
    """Format defects for printing, three lines each: name and severity; mechanism; settings and evidence."""
    return "\n".join(
        f"{d.number:2d} {d.name} {'*' * d.weight}\n   {d.mechanism}\n"
        f"   2016: {in_words(d.faithful, d.of)}; repaired: {in_words(d.repaired, d.of)}; see {d.evidence}"
        for d in defects
    )


def in_words(settings: Mapping[str, Any], of: str = "audio") -> str:
    """Format settings, values by name, as options of ``rnnaudio train``; ``name=value`` if ``of`` is not ``audio``."""
    if of != "audio":
        return ", ".join(f"{name}={value}" for name, value in settings.items())
    return " ".join(_option(path.rpartition(".")[2].replace("_", "-"), v) for path, v in settings.items())


def _option(name: str, value: object) -> str:
    if isinstance(value, bool) and name != "shared-depth":  # this one may be None too, so the option takes a value
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def _has(config: Settings, settings: Mapping[str, Any]) -> bool:
    try:
        for path in settings:
            _get(config, path)
    except AttributeError:  # settings of another kind of run
        return False
    return True


def _fits(config: Settings, settings: Mapping[str, Any]) -> bool:
    return _has(config, settings) and all(_get(config, path) == value for path, value in settings.items())


def _get(config: Settings, path: str) -> Any:
    return reduce(getattr, path.split("."), config)


def _replaced(config: Config, defect: Defect, settings: Mapping[str, Any]) -> Config:
    """Return a copy of a config with all of ``settings`` replaced at once, because a config checks them together.

    RnnaudioError if the config lacks one of the settings or rejects their values.
    """
    if not _has(config, settings):
        raise RnnaudioError(f"{defect.name} is a defect of {defect.of} runs, not of {type(config).__name__}")
    return _with(config, {tuple(path.split(".")): value for path, value in settings.items()})


def _with(config: Config, settings: Mapping[tuple[str, ...], Any]) -> Config:
    """Return a copy of a nested config with new values for some settings, by path: ``("model", "cell")``."""
    flat = {path[0]: value for path, value in settings.items() if len(path) == 1}
    for name in {path[0] for path in settings if len(path) > 1}:
        below = {path[1:]: value for path, value in settings.items() if path[0] == name and len(path) > 1}
        flat[name] = _with(getattr(config, name), below)
    return dataclasses.replace(config, **flat)
