"""Last week: the four checks of the blog's author, each with its evidence, and a fifth that he did not make.

    rnnaudio experiment run last-week-checks [--smoke]

"Check if the non-linearities were saturated; if the way I generated the batches was fine; if my implementation of
RMSprop was doing the same thing as other implementations; if everything is well linked in my LSTM and GRU. And
everything seems fine." The checks are made here on the models and settings of 2016
(experiments.blog_2016.models_2016).
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.blog_2016.models_2016 import gru_2016, memory_lstm_2016
from experiments.shared.on_corpus import CORPUS, Figures, full_or_tiny
from experiments.shared.records import record
from rnnaudio.data import AudioCorpus, Batch, fixed_windows
from rnnaudio.diagnostics import check_batch, check_gradients, probe
from rnnaudio.diagnostics.cost import Cost, cost_coverage
from rnnaudio.diagnostics.dynamics import Stepped, dynamics_figures
from rnnaudio.objectives import STRATEGIES
from rnnaudio.optimizers import SGD, RMSprop, RMSprop2016
from rnnaudio.runs.frames.build import build_model, build_strategy
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.training import TrainStep


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the checks."""

    corpus: Path = CORPUS
    smoke: bool = False  # on the piano in the package; nothing is recorded


MODELS = {"gru": gru_2016(200, 3, 40, 16), "memory-lstm": memory_lstm_2016(250, 128, 8)}
WRONG = 1e-5  # relative error of a gradient in float64

QUOTES = {
    "check if the non-linearities were saturated": "non-linearities",
    "check if the way I generated the batches was fine": "batches",
    "check if my implementation of RMSprop was doing the same thing as other implementations": "RMSprop",
    "check and double-check if everything is well linked": "wiring",
}


WHY = {
    "non-linearities": "the fault of the GRU lay elsewhere; in the LSTM saturation comes late, as the memory grows",
    "batches": "looked at before 3 April it shows the copied target; of the GRU's batches there was nothing to find",
    "RMSprop": "there were two classes: one divided, and the other one trained",
    "wiring": "right gradients of a cost that counts one step in forty",
}


# How checks are called when printed; records keep the names in the code of 2016.
PRINTED = {
    "not checked: memory": "not checked in 2016: state",
    "RMSprop, the class uRMSPROP": "RMSprop, the class that divides",
    "RMSprop, the class RMSPROP": "RMSprop, the class of the runs",
}


class Check(NamedTuple):
    what: str
    evidence: str
    verdict: str


def non_linearities(name: str, config: FramesConfig, frames: np.ndarray) -> Check:
    """Check how many gate values of the untrained model lie within 5 % of an end of their range.

    frames: (time, batch, n), piano scaled as in 2016. The check fails if they are more than 30 % of
    the values of any gate.
    """
    strategy = build_strategy(config)
    inside = probe(build_model(config), *strategy.split(frames))
    worst = max(inside.saturation, key=lambda gate: inside.saturation[gate].saturated)
    gate = worst.rpartition(".")[2].replace("_", " ")
    lags = inside.gradient_through_time
    evidence = (
        f"{100 * inside.saturation[worst].saturated:.1f} % saturated at most ({gate}); the gradient of the last step "
        f"goes from {lags[0]:.1e} to {lags[min(10, len(lags) - 1)]:.1e} within ten steps"
    )
    saturated = inside.saturation[worst].saturated > 0.3
    verdict = "NOT fine after 40 steps: what grows is the memory" if saturated else "fine"
    return Check(f"non-linearities, {name}", evidence, verdict)


def batches(name: str, config: FramesConfig, batch: Batch) -> Check:
    """Compare the measured shift of the target with the shift that the strategy declares."""
    promised = STRATEGIES[config.strategy].shift
    check = check_batch(build_strategy(config), batch)._replace(expected=promised)
    return Check(f"batches, {name}", str(check), "fine" if check.passed else "NOT fine: a predictor trained to copy")


def gradient_rms(config: FramesConfig, batch: Batch) -> float:
    """Root mean square of the gradient over all parameters of the untrained model."""
    step = TrainStep(build_model(config), build_strategy(config), SGD(1.0), seed=0)
    norms = step(batch, None, learning_rate=0.0, update=0).gradient_norms
    n_parameters = sum(value.get_value().size for value in step.parameters.values())
    return float(np.sqrt(sum(norm**2 for norm in norms.values()) / n_parameters))


def rmsprop(rms: float, n_steps: int = 200, learning_rate: float = 1e-3) -> list[Check]:
    """Compare both classes of 2016 with the rule in plain NumPy, on random gradients.

    rms: root mean square of the gradients, which are normally distributed. The distances that 100 parameters move in
    ``n_steps`` steps are compared; a relative difference of 1e-6 or more fails the check.
    """
    rng = np.random.default_rng(2016)
    gradients = rms * rng.standard_normal((n_steps, 100))
    checks = []
    for name, rule in (("uRMSPROP", RMSprop()), ("RMSPROP", RMSprop2016())):
        p, q, r = np.ones(100), np.ones(100), np.zeros(100)
        memory: tuple[np.ndarray, ...] = (np.zeros(100),)
        for n, g in enumerate(gradients, 1):
            p, memory = rule.step(p, g, memory, learning_rate, n)
            r = 0.9 * r + 0.1 * g**2
            q = q - learning_rate * g / np.sqrt(r + 1e-8)
        distance, right = (float(np.sqrt(np.mean((value - 1.0) ** 2))) for value in (p, q))
        same = abs(distance / right - 1.0) < 1e-6  # the same sums, in the same precision
        evidence = f"gradients of {rms:.1e}: moved {distance:.2e} in {n_steps} steps, the rule in NumPy {right:.2e}"
        checks.append(Check(f"RMSprop, the class {name}", evidence, "fine" if same else "NOT fine: it never divided"))
    return checks


def wiring(name: str, config: FramesConfig, frames: np.ndarray) -> Check:
    """Compare gradients with central differences in float64, and count the steps that the cost covers.

    Two entries of each parameter are compared, on four frames of two sequences. frames: (time, batch, n).
    """
    strategy, rng = build_strategy(config), np.random.default_rng(0)
    cut = Batch(frames[:4, :2].astype(np.float64), np.ones(2, bool))
    report = check_gradients(build_model(config), strategy, cut, rng=rng, training=False, n_entries=2)
    whole = Batch(frames[:, :2], np.ones(2, bool))
    counted = np.any(cost_coverage(Cost(build_model(config), strategy), whole, rng) > 0.0, axis=1)
    evidence = (
        f"gradients differ from differences by {report.largest:.1e} at most; the cost counts {counted.sum()} of "
        f"{len(counted)} steps"
    )
    if not report.largest < WRONG:
        return Check(f"wiring, {name}", evidence, "NOT fine: a gradient is wrong")
    return Check(f"wiring, {name}", evidence, "fine" if counted.all() else "fine, of a cost that is not")


def memory(name: str, config: FramesConfig, frames: np.ndarray) -> Check:
    """Measure whether the state stays bounded, forgets its start and depends on the input; not checked in 2016.

    The verdict concerns the input only: the check fails if negating the last frame changes the state by less than 2 %.
    """
    figures = dynamics_figures(Stepped(build_model(config)), frames[:32], np.random.default_rng(0))
    driven, silent = figures.growth_with_input, figures.growth_without
    evidence = (
        f"rms of the state {driven[0]:.2f} after 1 step, {driven[15]:.2f} after 16, {driven[31]:.2f} after 32; with "
        f"silence {silent[31]:.2f} after 32; two starts, one input: distance {figures.echo[31]:.2f} after 32 steps; "
        f"turning the last frame round changes it by {100 * figures.flip:.2g} %"
    )
    ignores_input = figures.flip < 0.02
    verdict = "NOT fine: it grows whatever the input" if ignores_input else "it depends on its input"
    return Check(f"not checked: memory, {name}", evidence, verdict)


def main() -> None:
    """Make all checks, print and record them."""
    full_or_tiny(Options, {}, run, lambda _, figures: record("last-week-checks", figures))


def run(_: Options, corpus: AudioCorpus) -> Figures:
    """Make and print the checks; returns the figures with their claims."""
    checks = []
    for check in every(corpus):
        print(f"{in_words(check.what):34s} {check.evidence}\n{'':34s} {check.verdict}", flush=True)
        checks.append(check)
    return {"claims": claims(checks), "checks": [check._asdict() for check in checks]}


def in_words(what: str) -> str:
    """Format the name of a check for printing."""
    known = next((name for name in PRINTED if what.startswith(name)), "")
    return PRINTED.get(known, known) + what.removeprefix(known)


def every(standard: AudioCorpus) -> Iterator[Check]:
    """Iterate over the checks of each model; a line is printed before each, because compilation takes a while."""
    corpus = standard.min_max_2016()
    for name, config in MODELS.items():
        sizes = {"frame_size": config.frame_size, "n_steps": min(config.n_steps, 40), "batch_size": 8}
        batch = fixed_windows(corpus.train, **sizes)[0]
        print(f"{name}: compiling, then looking at its non-linearities ...", flush=True)
        yield non_linearities(name, config, batch.frames)
        print(f"{name}: comparing targets with inputs ...", flush=True)
        yield batches(name, config, batch)
        print(f"{name}: comparing gradients with finite differences ...", flush=True)
        yield wiring(name, config, batch.frames)
        print(f"{name}: following its state ...", flush=True)
        yield memory(name, config, batch.frames)
        if name == "gru":
            print("RMSprop: 200 steps by both classes of 2016 ...", flush=True)
            yield from rmsprop(gradient_rms(config, batch))


def claims(checks: list[Check]) -> list[dict[str, str]]:
    """The author's four checks as rows of the claims table; the fifth, which he did not make, has no row."""
    rows = []
    for says, kind in QUOTES.items():
        mine = [check for check in checks if check.what.startswith(kind)]
        ours = "; ".join(f"{check.what.removeprefix(f'{kind}, ')}: {check.verdict}" for check in mine)
        rows.append({"says": says, "2016": "everything seems fine", "ours": ours, "why": WHY[kind]})
    return rows
