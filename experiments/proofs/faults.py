"""Runs with one planted fault each: small models on synthetic sound, built from parts of the package.

A fault consists of a change to the plan of a healthy run, and the cause that a diagnosis should find.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from experiments.proofs.fault_parts import (
    RATE_HZ,
    Around,
    Masked,
    Size,
    breath,
    clipped,
    forgetful,
    gru,
    gru_alone,
    lstm,
    memory_lstm,
    min_max_with_click,
    music,
    never_reset,
    noisy_readout,
    padded,
    small_tanh_readout,
    spoilt,
    standardised,
    swapped,
    with_relu,
)
from rnnaudio import optimizers
from rnnaudio.data import ConsecutiveWindows, RandomWindows, ShiftedWindows, fixed_windows
from rnnaudio.data.corpus import ArrayPiece, Split
from rnnaudio.diagnostics import linear_prediction
from rnnaudio.diagnostics.subject import Subject
from rnnaudio.generation import OutputNoise, Stepper, generate
from rnnaudio.nn import Layer
from rnnaudio.objectives import Strategy, predict_next, reconstruct_current
from rnnaudio.runs.frames.recipe import start_from_linear_prediction
from rnnaudio.training.step import Evaluation, TrainStep

N_TRAIN, N_VALID = 8, 3
RIDGE = 1e-2  # keeps the linear prediction stable on its own output


# ---------------------------------------------------------------- a run


RMSPROP = optimizers.RMSprop(max_gradient_norm=1.0)


@dataclass(frozen=True)
class Plan:
    """The parts of a run. ``claimed`` is the update rule that its settings name, if another one is used."""

    sound: Callable[[np.random.Generator, float], np.ndarray] = music
    scale: Callable[..., Any] = standardised
    batches: Callable[..., Any] = RandomWindows
    around: Callable[[Any], Any] = lambda batches: batches
    model: Callable[[Size, np.random.Generator], Layer] = lstm
    objective: Any = predict_next
    optimizer: Any = RMSPROP
    claimed: Any = None
    learning_rate: float = 2e-3
    frozen: str = ""
    validate_on_training: bool = False
    judged_by: str = "valid"
    noise: bool = True
    two_functions: bool = False


class Frozen:
    """A training step that leaves the parameters of one layer unchanged."""

    def __init__(self, model: Layer, step: Any, name: str):
        self._variables = [v for path, v in model.parameters().items() if name in path]
        assert self._variables, name
        self._step = step

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        before = [v.get_value() for v in self._variables]
        result = self._step(*arguments, **options)
        for variable, value in zip(self._variables, before, strict=True):
            variable.set_value(value)
        return result


def subject_of(plan: Plan, size: Size, seed: int) -> Subject:
    """Train a run as planned; returns the subject for a diagnosis."""
    rng = np.random.default_rng((seed, 77))
    sound = [[plan.sound(rng, size.seconds) for _ in range(n)] for n in (N_TRAIN, N_VALID)]
    train, valid = (
        Split(name, [ArrayPiece(a.astype(np.float32)) for a in part], RATE_HZ)
        for name, part in zip(("train", "valid"), plan.scale(*sound), strict=True)
    )
    sizes: dict[str, int] = {"frame_size": size.frame, "n_steps": size.steps, "batch_size": size.items}
    batches = plan.around(plan.batches(train, seed=seed, **sizes))
    validation = fixed_windows(train if plan.validate_on_training else valid, **sizes)
    model = plan.model(size, rng)
    plain = RandomWindows(train, seed=seed, **sizes)
    pairs = (predict_next.split(plain.batch(k).frames) for k in range(16))
    start_from_linear_prediction(model, linear_prediction(pairs, ridge=RIDGE))

    def make_step(model: Layer) -> Any:
        step = TrainStep(model, plan.objective, plan.optimizer, seed=seed)
        return Frozen(model, step, plan.frozen) if plan.frozen else step

    history, best_loss = run(plan, size, model, make_step(model), batches, validation)
    subject = Subject(
        model,
        plan.objective,
        plan.claimed or plan.optimizer,
        plan.learning_rate,
        batches,
        validation,
        train.pieces,
        make_step,
        None,
        history,
        best_loss,
    )
    return dataclasses.replace(subject, play=player(plan, model, validation, seed))


def run(
    plan: Plan, size: Size, model: Layer, step: Any, batches: Any, validation: Any
) -> tuple[list[dict[str, Any]], float]:
    """Train in a small loop with six validations; returns (history, loss by which the parameters were selected).

    ``plan.judged_by`` is the loss of a row that selects the parameters: ``valid`` or ``train``. The model is left with
    the selected ones. Training ends early at a loss or parameter that is not finite.
    """
    evaluate = Evaluation(model, predict_next)
    history: list[dict[str, Any]] = []
    best_loss, best, carried = float("inf"), model.get_values(), None
    every, losses = max(1, size.updates // 6), []
    for update in range(size.updates):
        before = model.get_values()
        result = step(batches.batch(update), carried, learning_rate=plan.learning_rate, update=update)
        if not np.isfinite(result.loss) or not all(np.isfinite(v).all() for v in model.get_values().values()):
            model.set_values(before)
            break
        carried = result.state if batches.carries_state else None
        losses.append(result.values["normalised_mse"])
        if (update + 1) % every == 0:
            train = sum(a for a, _ in losses) / sum(b for _, b in losses)
            row = {"updates": update + 1, "train": train, "valid": evaluate(validation)["normalised_mse"]}
            history.append(row)
            losses = []
            if row[plan.judged_by] < best_loss:
                best_loss, best = row[plan.judged_by], model.get_values()
    model.set_values(best)
    return history, best_loss


def player(plan: Plan, model: Layer, validation: Any, seed: int) -> Callable[[np.ndarray, int], np.ndarray]:
    """Make the planned function of generation: (frames of a prime (time, n), n_frames) -> frames (n_frames, n).

    Its noise, if planned, has the variance of the validation error.
    """
    power = float(np.mean([np.mean(np.square(batch.frames[1:])) for batch in validation]))
    std = float(np.sqrt(power * Evaluation(model, predict_next)(validation)["normalised_mse"]))
    stepper = Stepper(model)

    def play(frames: np.ndarray, n_frames: int) -> np.ndarray:
        noise = OutputNoise(std, seed) if plan.noise and np.isfinite(std) else None
        n = frames.shape[1]
        options: dict[str, Any] = {"noise": noise, "two_functions": plan.two_functions}
        played = generate(stepper, frames.ravel(), n_samples=n_frames * n, **options)
        new = played.audio[played.n_prime :]
        return new[: len(new) // n * n].reshape(-1, n)

    return play


# ---------------------------------------------------------------- faults


class Fault(NamedTuple):
    """A planted fault, the cause that a diagnosis should find, and the plan of the run."""

    name: str
    cause: str
    plan: Plan


MASKED: dict[str, Any] = {"around": lambda inner: Around(inner, padded)}
HEALTHY = (
    Plan(),
    Plan(model=gru),
    Plan(batches=ConsecutiveWindows),
    Plan(sound=breath),
    Plan(optimizer=optimizers.Adam(max_gradient_norm=1.0), learning_rate=1e-3),
    Plan(objective=Masked("predict_next", 1), **MASKED),
    Plan(objective=reconstruct_current),
    Plan(objective=Strategy("predict_next", 1, first_scored=8)),
    Plan(optimizer=optimizers.SGD(max_gradient_norm=1.0), learning_rate=0.2),
    Plan(sound=lambda rng, seconds: 0.02 * music(rng, seconds)),
)

FAULTS = (
    Fault("target is the input", "target-is-input", Plan(objective=Strategy("predict_next", shift=0))),
    Fault(
        "RMSprop that does not divide", "unscaled-rmsprop",
        Plan(optimizer=optimizers.RMSprop2016(max_gradient_norm=1.0), claimed=RMSPROP),
    ),
    Fault("cost on the last step", "last-step-cost", Plan(objective=Strategy("predict_next", 1, first_scored=-1))),
    Fault("feedback without noise", "noiseless-feedback", Plan(sound=breath, noise=False)),
    Fault("memory that grows", "unbounded-memory", Plan(model=memory_lstm, learning_rate=1e-5)),
    Fault("noise after the read-out", "noise-in-readout", Plan(model=noisy_readout)),
    Fault("judged by training cost", "judged-by-training-cost", Plan(judged_by="train")),
    Fault("validation from training", "validation-is-training", Plan(validate_on_training=True)),
    Fault("two functions play", "two-functions", Plan(two_functions=True)),
    Fault("GRU without read-out", "bounded-output", Plan(model=gru_alone)),
    Fault("small tanh read-out", "bounded-output", Plan(model=small_tanh_readout)),
    Fault("min/max scaling, one click", "min-max-scaling", Plan(scale=min_max_with_click)),
    Fault("one window, shifted", "shifted-batch", Plan(batches=ShiftedWindows)),
    Fault("learning rate x 100", "learning-rate-too-high", Plan(learning_rate=0.2)),
    Fault("learning rate SGD 20", "learning-rate-too-high", Plan(optimizer=optimizers.SGD(), learning_rate=20.0)),
    Fault("learning rate / 10000", "learning-rate-too-low", Plan(learning_rate=2e-7)),
    Fault("frozen read-out", "frozen-layer", Plan(frozen="dense")),
    Fault("axes swapped", "axes-swapped", Plan(around=lambda inner: Around(inner, swapped))),
    Fault(
        "mask inverted", "cost-on-padding", Plan(objective=Masked("predict_next", 1, inverted=True), **MASKED)
    ),
    Fault(
        "state never reset", "state-not-reset",
        Plan(batches=ConsecutiveWindows, around=lambda inner: Around(inner, never_reset, True)),
    ),
    Fault("clipped sound", "clipped-data", Plan(scale=clipped)),
    Fault("dead relu", "dead-units", Plan(model=spoilt(with_relu, "dense.bias", lambda b: b - 10.0))),
    Fault("weights x 20", "saturated-gates", Plan(model=spoilt(lstm, "lstm.w_input", lambda w: 20.0 * w))),
    Fault("forget bias -5", "vanishing-gradient", Plan(model=spoilt(lstm, "lstm.bias", forgetful))),
)  # fmt: skip
