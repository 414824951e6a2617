"""Gradient descent as pure functions.

A rule is a frozen dataclass of settings, with

* ``slots``: the names of the arrays that it keeps per parameter, initially zero;
* ``step(parameter, gradient, slots, learning_rate, n)``: the new parameter and slots at the n-th update (n = 1, 2,
  ...), for NumPy arrays and symbolic variables alike.

In the equations of the rules p is a parameter, g its gradient, and eta the learning rate.

A rule may also have a compiled ``kernel`` that computes its step in one pass (:mod:`rnnaudio.kernels.elementwise`),
and a method ``constants(n)``, which returns the constants to pass to the kernel; without them, the engine computes
``step``.

:func:`updates` applies a rule to a symbolic loss, :func:`updates_from` to gradients. :class:`OptimizerState` holds the
slots.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeGuard

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Array, SharedVariable, Symbolic, tt
from rnnaudio.kernels import elementwise
from rnnaudio.ops.update import CompiledRule


class Optimizer(Protocol):
    """Interface of all rules; ``max_gradient_norm`` is the limit of :func:`clipping_factor`, None for no clipping."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def max_gradient_norm(self) -> float | None: ...

    @property
    def slots(self) -> tuple[str, ...]: ...

    def step(
        self, p: Array, g: Array, slots: tuple[Array, ...], learning_rate: Array | float, n: Array | float
    ) -> tuple[Array, tuple[Array, ...]]:
        """Compute the n-th update, n = 1, 2, ..., of a parameter p with gradient g; return (new p, new slots)."""
        ...


@dataclass(frozen=True)
class SGD:
    """Plain gradient descent, p <- p - eta g, with parameter p, its gradient g and learning rate eta."""

    learning_rate: float = 0.1
    max_gradient_norm: float | None = None
    slots = ()
    kernel = staticmethod(elementwise.sgd)

    def constants(self, n: int) -> tuple[float, ...]:
        return ()

    def step(
        self, p: Array, g: Array, slots: tuple[Array, ...], learning_rate: Array | float, n: Array | float
    ) -> tuple[Array, tuple[Array, ...]]:
        return p - learning_rate * g, ()


@dataclass(frozen=True)
class Momentum:
    """Gradient descent with momentum: v <- mu v - eta g;  p <- p + v. Polyak (1964).

    p: parameter, g: its gradient, eta: ``learning_rate``, mu: ``momentum``, v: the slot ``velocity``.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    max_gradient_norm: float | None = None
    slots = ("velocity",)
    kernel = staticmethod(elementwise.momentum)

    def constants(self, n: int) -> tuple[float, ...]:
        return (self.momentum,)

    def step(
        self, p: Array, g: Array, slots: tuple[Array, ...], learning_rate: Array | float, n: Array | float
    ) -> tuple[Array, tuple[Array, ...]]:
        v = self.momentum * slots[0] - learning_rate * g
        return p + v, (v,)


@dataclass(frozen=True)
class RMSprop:
    """RMSprop: r <- rho r + (1 - rho) g^2;  p <- p - eta g / sqrt(r + epsilon). Tieleman and Hinton (2012).

    p: parameter, g: its gradient, eta: ``learning_rate``, r: the slot ``mean_square``. epsilon is inside the root, as
    in the code of the blog of 2016; PyTorch adds it outside.
    """

    learning_rate: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    max_gradient_norm: float | None = None
    slots = ("mean_square",)
    kernel = staticmethod(elementwise.rmsprop)

    def constants(self, n: int) -> tuple[float, ...]:
        return self.rho, 1.0 - self.rho, self.epsilon

    def step(
        self, p: Array, g: Array, slots: tuple[Array, ...], learning_rate: Array | float, n: Array | float
    ) -> tuple[Array, tuple[Array, ...]]:
        r = self.rho * slots[0] + (1.0 - self.rho) * g * g
        return p - learning_rate * g / (r + self.epsilon) ** 0.5, (r,)


@dataclass(frozen=True)
class RMSprop2016:
    """The RMSprop of the blog of 2016, which does not divide by sqrt(r): r <- rho r + (1 - rho) g^2;  p <- p - eta g.

    p: parameter, g: its gradient, eta: ``learning_rate``, r: the slot ``mean_square``, which does not affect p: this
    is plain gradient descent. With the small gradients of a mean squared error its steps are thousands of times
    smaller than those of :class:`RMSprop`.
    """

    learning_rate: float = 1e-3
    rho: float = 0.9
    max_gradient_norm: float | None = None
    slots = ("mean_square",)

    def step(
        self, p: Array, g: Array, slots: tuple[Array, ...], learning_rate: Array | float, n: Array | float
    ) -> tuple[Array, tuple[Array, ...]]:
        r = self.rho * slots[0] + (1.0 - self.rho) * g * g
        return p - learning_rate * g, (r,)


@dataclass(frozen=True)
class Adam:
    """Adam: steps computed from running means of the gradient and of its square. Kingma and Ba (2015).

        m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - eta m^ / (sqrt(v^) + epsilon)

    with m^ = m / (1 - b1^n) and v^ = v / (1 - b2^n), which correct the bias, at the n-th update, n = 1, 2, ...
    p: parameter, g: its gradient, eta: ``learning_rate``, m, v: the slots ``mean`` and ``mean_square``; b1, b2:
    ``beta1`` and ``beta2``.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    max_gradient_norm: float | None = None
    slots = ("mean", "mean_square")
    kernel = staticmethod(elementwise.adam)

    def constants(self, n: int) -> tuple[float, ...]:
        b1, b2 = self.beta1, self.beta2
        return b1, 1.0 - b1, 1.0 - b1**n, b2, 1.0 - b2, 1.0 - b2**n, self.epsilon

    def step(
        self, p: Array, g: Array, slots: tuple[Array, ...], learning_rate: Array | float, n: Array | float
    ) -> tuple[Array, tuple[Array, ...]]:
        m = self.beta1 * slots[0] + (1.0 - self.beta1) * g
        v = self.beta2 * slots[1] + (1.0 - self.beta2) * g * g
        unbiased_m, unbiased_v = m / (1.0 - self.beta1**n), v / (1.0 - self.beta2**n)
        return p - learning_rate * unbiased_m / (unbiased_v**0.5 + self.epsilon), (m, v)


def global_norm(gradients: Iterable[Array]) -> Array:
    """Compute the square root of the sum of squares of all elements of all gradients, a scalar."""
    return sum((g * g).sum() for g in gradients) ** 0.5


def clipping_factor(norm: Symbolic, limit: float | None) -> Symbolic:
    """Compute limit / max(norm, limit), the factor by which gradients are clipped; 1 if ``limit`` is None.

    norm: the :func:`global_norm` of the gradients. The norm of the scaled gradients is at most ``limit``; their
    direction does not change. Pascanu et al. (2013).
    """
    one = np.asarray(1.0, norm.dtype)
    return tt.as_tensor_variable(one) if limit is None else limit / tt.maximum(norm, one * limit)


class OptimizerState:
    """The slots of a rule and the number of updates done, as shared variables.

    A slot is an array that a rule keeps for each parameter, such as a mean of squared gradients. ``arrays`` holds the
    slots by the name ``<parameter>/<slot>``; initially they are zero.
    """

    def __init__(self, optimizer: Optimizer, parameters: Mapping[str, SharedVariable]):
        self.arrays = {
            f"{name}/{slot}": engine.shared(np.zeros_like(p.get_value(borrow=True)), f"{name}/{slot}")
            for name, p in parameters.items()
            for slot in optimizer.slots
        }
        self.n_updates = engine.shared(np.asarray(0, "int64"), "n_updates")

    def variables(self) -> dict[str, SharedVariable]:
        """Return all variables that a checkpoint must hold, by name."""
        return self.arrays | {"n_updates": self.n_updates}


class Step(NamedTuple):
    """A symbolic update, and the L2 norms of its gradients and changes.

    pairs
        (variable, its new value) for each parameter, slot and counter.
    gradient_norms
        norm of each parameter's gradient by name, before clipping.
    update_ratios
        norm of each parameter's change over that of the parameter, by name.
    """

    pairs: list[tuple[SharedVariable, Symbolic]]  # (variable, its new value)
    gradient_norms: dict[str, Symbolic]  # per parameter, before clipping
    update_ratios: dict[str, Symbolic]  # |change| / |parameter|, per parameter


def updates(
    optimizer: Optimizer,
    loss: Symbolic,
    parameters: Mapping[str, SharedVariable],
    state: OptimizerState,
    learning_rate: Symbolic | float,
) -> Step:
    """Build the graph of a descent step on ``loss``, a symbolic scalar; nothing is updated yet.

    The gradients are clipped to the rule's ``max_gradient_norm``, if any. parameters: the parameters by name. state:
    the :class:`OptimizerState` of this rule and these parameters. learning_rate: the rate of this step, in place of
    the rule's.
    """
    gradients = dict(zip(parameters, engine.gradient(loss, list(parameters.values())), strict=True))
    return updates_from(optimizer, gradients, parameters, state, learning_rate)


def updates_from(
    optimizer: Optimizer,
    gradients: Mapping[str, Symbolic],
    parameters: Mapping[str, SharedVariable],
    state: OptimizerState,
    learning_rate: Symbolic | float,
) -> Step:
    """Build the step of :func:`updates` from symbolic gradients by parameter name, instead of from a loss.

    The gradients are clipped here.
    """
    squares = {name: ops.sum_of_squares(g) for name, g in gradients.items()}
    clip = clipping_factor(sum(squares.values()) ** 0.5, optimizer.max_gradient_norm)
    n = state.n_updates + 1
    pairs, ratios = [(state.n_updates, n)], {}
    for name, p in parameters.items():
        old = [state.arrays[f"{name}/{slot}"] for slot in optimizer.slots]
        if engine.kernel() == "fused" and _is_compiled(optimizer):
            new_p, change, size, *new = ops.Update(optimizer, p.ndim)(p, gradients[name], clip, learning_rate, n, *old)
        else:
            new_p, new = optimizer.step(p, gradients[name] * clip, tuple(old), learning_rate, tt.cast(n, p.dtype))
            change, size = ops.sum_of_squares(new_p - p), ops.sum_of_squares(p)
        pairs += [(v, tt.cast(value, v.dtype)) for v, value in zip([p, *old], [new_p, *new], strict=True)]
        ratios[name] = (change / size) ** 0.5  # not finite where the parameter is zero
    return Step(pairs, {name: square**0.5 for name, square in squares.items()}, ratios)


def _is_compiled(optimizer: object) -> TypeGuard[CompiledRule]:
    """Return True if the rule's own class has a kernel; a subclass may change the equation, so it inherits none."""
    return "kernel" in vars(type(optimizer))
