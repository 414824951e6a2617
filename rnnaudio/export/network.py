"""Networks to export: the graph of one time step, with the state as inputs and outputs, and metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Symbolic
from rnnaudio.export.graph import Graph, Length, Value
from rnnaudio.export.translate import applied
from rnnaudio.nn import Context, Layer
from rnnaudio.nn.layer import flatten, leaf_names, unflatten
from rnnaudio.schema import Plain

STREAMS = "streams"  # the axis of independent sequences, which may have any length


class State(NamedTuple):
    """One array of a network's state, which the graph takes as an input and returns, updated, as an output.

    name, after
        names of the input and of the output.
    initial
        value before the first step, (width,), the same for each stream.
    """

    name: str
    after: str
    initial: np.ndarray

    def record(self) -> dict[str, Plain]:
        """Return name, after, dtype and initial value as values that JSON can store."""
        kind = {"dtype": str(self.initial.dtype), "initial": self.initial.tolist()}
        return {"name": self.name, "after": self.after, **kind}


@dataclass
class Network:
    """A graph of one time step, its states, and ``about``: metadata for its users, as values that JSON can store."""

    graph: Graph
    states: list[State] = field(default_factory=list)
    about: Mapping[str, Plain] = field(default_factory=dict)

    def record(self) -> dict[str, Plain]:
        """Return the metadata to store with the graph: ``about``, and names and initial values of all states."""
        return {**self.about, "states": [state.record() for state in self.states]}


def network_of(model: Layer) -> Network:
    """Make a network with an empty graph, which will store the model's parameters under their names in the model."""
    names = {variable: name for name, variable in (model.parameters() | model.statistics()).items()}
    return Network(Graph(names))


def initial_rows(layer: Layer) -> list[np.ndarray]:
    """Compute the layer's initial state for one sequence: (width,) for each leaf of the state."""
    with engine.using_kernel("scan"), engine.precision("float32"):
        n = engine.tt.lscalar("batch_size")
        leaves = flatten(layer.initial_state(n))
        return [np.asarray(leaf)[0] for leaf in engine.function([n], leaves)(1)] if leaves else []


def state_inputs(network: Network, layer: Layer, prefix: str) -> list[Value]:
    """Declare an input for each array of a layer's state, and list it in ``network.states``; returns the inputs.

    The name of an input is ``prefix``, an underscore and the name of :func:`rnnaudio.nn.layer.leaf_names`.
    """
    names = [f"{prefix}_{name}".rstrip("_") for name in leaf_names(layer.state_sizes)]
    values = []
    for name, row in zip(names, initial_rows(layer), strict=True):
        network.states.append(State(name, f"{name}_after", row))
        values.append(network.graph.input(name, "float32", (STREAMS, len(row))))
    return values


def state_outputs(network: Network, names: list[str], values: list[Value]) -> None:
    """Declare ``values``, the states after the step, as outputs; ``names`` are the names of their inputs."""
    by_name = {state.name: state for state in network.states}
    for name, value in zip(names, values, strict=True):
        shape: tuple[Length, ...] = (STREAMS, len(by_name[name].initial))
        network.graph.output(by_name[name].after, value, shape)


def stepped(network: Network, layer: Layer, x: Value, old: list[Value]) -> tuple[Value, list[Value]]:
    """Add one step of a layer to a network, as in evaluation: without noise and dropout.

    x (streams, n_in); ``old``: the leaves of the layer's state, (streams, width) each. Returns y (streams, n_out) and
    the leaves of the new state.
    """

    def step(x: Symbolic, *leaves: Symbolic) -> list[Symbolic]:
        y, new = layer.step(x, unflatten(layer.state_sizes, leaves), Context.evaluation())
        return [y, *flatten(new)]

    y, *new = applied(network.graph, step, x, *old)
    return y, new


def layer_network(model: Layer, x_name: str, y_name: str) -> Network:
    """Make the network of one step of a model: inputs ``x_name`` (streams, n_in) and its state, output ``y_name``."""
    network = network_of(model)
    x = network.graph.input(x_name, "float32", (STREAMS, model.n_in))
    old = state_inputs(network, model, "state")
    y, new = stepped(network, model, x, old)
    network.graph.output(y_name, y, (STREAMS, model.n_out))
    state_outputs(network, [value.name for value in old], new)
    return network
