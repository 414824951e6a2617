"""Write optimizers.json: where PyTorch's optimisers are after 1, 10 and 100 steps of a small, badly scaled problem.

    python tests/support/golden/make_optimizers.py        (needs torch; the tests that read the file do not)

The problem, float64, parameters w (3, 4) and b (4,):

    cost(w, b) = 1/2 sum_j stiffness_j sum_i w_ij^2 + 1/2 sum (tanh(x w + b) - y)^2

with x (6, 3), y (6, 4) and stiffness (4,) from 1e-3 to 30, so that curvatures differ by four decades. With
z = tanh(x w + b) and d = (z - y) (1 - z^2) its gradient is (stiffness * w + x' d, sum of d over the rows).
All numbers stand in the file, with the first cost and gradient, so it can be replayed without torch.

Two of PyTorch's formulas are not the package's; the settings are such that this does not show:
- RMSprop divides by sqrt(r) + epsilon, the package (as the 2016 code) by sqrt(r + epsilon). Here PyTorch's is 1e-16
  and the package's, "epsilon_inside_root", 1e-32, its square: beside sqrt(r) >= 1e-3, as on this path, both are
  nothing.
- clip_grad_norm_ divides by the norm + 1e-6; so clipping is done here by the plain formula, in torch.
Momentum is SGD(momentum=mu), v <- mu v + g; p <- p - eta v: the same path as v <- mu v - eta g; p <- p + v.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch

RECORDED_STEPS = (1, 10, 100)
CASES = {
    "sgd": {"learning_rate": 0.01},
    "sgd_clipped": {"learning_rate": 0.05, "max_gradient_norm": 1.0},
    "momentum": {"learning_rate": 0.005, "momentum": 0.9},
    "rmsprop": {"learning_rate": 0.003, "decay": 0.9, "epsilon_outside_root": 1e-16, "epsilon_inside_root": 1e-32},
    "adam": {"learning_rate": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}


def make_problem() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2016)
    return {
        "x": rng.normal(size=(6, 3)),
        "y": rng.uniform(-1, 1, size=(6, 4)),
        "stiffness": np.array([1e-3, 0.1, 1.0, 30.0]),
        "w": rng.normal(size=(3, 4)),
        "b": rng.normal(size=4),
    }


def make_optimizer(case: str, settings: dict[str, float], parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    rate = settings["learning_rate"]
    if case == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=settings["decay"], eps=settings["epsilon_outside_root"])
    if case == "adam":
        betas = (settings["beta1"], settings["beta2"])
        return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=settings["epsilon"])
    return torch.optim.SGD(parameters, lr=rate, momentum=settings.get("momentum", 0.0))


def cost_of(problem: dict[str, np.ndarray], w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x, y, stiffness = (torch.tensor(problem[name]) for name in ("x", "y", "stiffness"))
    return 0.5 * (stiffness * w**2).sum() + 0.5 * ((torch.tanh(x @ w + b) - y) ** 2).sum()


def start(problem: dict[str, np.ndarray]) -> list[torch.Tensor]:
    return [torch.tensor(problem[name], requires_grad=True) for name in ("w", "b")]


def run(problem: dict[str, np.ndarray], case: str, settings: dict[str, float]) -> dict[str, dict[str, list]]:
    """{"1": {"w": ..., "b": ...}, ...}: the parameters after the recorded steps."""
    w, b = parameters = start(problem)
    optimizer = make_optimizer(case, settings, parameters)
    recorded = {}
    for step in range(1, max(RECORDED_STEPS) + 1):
        optimizer.zero_grad()
        cost_of(problem, w, b).backward()
        if "max_gradient_norm" in settings:
            norm = torch.cat([p.grad.ravel() for p in parameters]).norm()
            for p in parameters:
                p.grad.mul_(torch.clamp(settings["max_gradient_norm"] / norm, max=1.0))
        optimizer.step()
        if step in RECORDED_STEPS:
            recorded[str(step)] = {"w": w.tolist(), "b": b.tolist()}
    return recorded


def main() -> None:
    problem = make_problem()
    w, b = start(problem)
    cost = cost_of(problem, w, b)
    cost.backward()
    golden = {
        "made_by": "make_optimizers.py: the problem, the gradient and the settings are explained there",
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
        "problem": {name: value.tolist() for name, value in problem.items()},
        "first": {"cost": cost.item(), "gradient": {"w": w.grad.tolist(), "b": b.grad.tolist()}},
        "cases": {
            case: {"settings": settings, "parameters_after": run(problem, case, settings)}
            for case, settings in CASES.items()
        },
    }
    path = Path(__file__).with_name("optimizers.json")
    temporary = path.with_suffix(".partial")
    with temporary.open("w") as file:
        file.write(json.dumps(golden, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
