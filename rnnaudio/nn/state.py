"""States of layers: nested tuples of symbolic variables, of their widths, or of arrays."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

from rnnaudio.engine import Symbolic

State: TypeAlias = Symbolic | tuple["State", ...]
"""Variables (batch, n), or (time, batch, n) for all steps, nested in tuples and NamedTuples; ``()`` for no state."""

StateSizes: TypeAlias = int | tuple["StateSizes", ...]
"""The widths n of a state's arrays, nested as the state is."""

Leaf = TypeVar("Leaf")  # of a NamedTuple: a state's variables, or their widths


def parts_of(state: State) -> tuple[State, ...]:
    """Return the state of a stack unchanged, but typed as a tuple, which holds the states of the stack's children."""
    return cast("tuple[State, ...]", state)


@overload
def flatten(nested: StateSizes) -> list[int]: ...  # type: ignore[overload-overlap]  # () fits both
@overload
def flatten(nested: State) -> list[Symbolic]: ...
def flatten(nested: StateSizes | State) -> list[Any]:
    """List the leaves (all items that are not tuples) of nested tuples, depth first."""
    if isinstance(nested, tuple):
        return [leaf for item in nested for leaf in flatten(item)]
    return [nested]


def leaf_names(nested: StateSizes) -> list[str]:
    """List a name for each leaf, such as ``hidden`` or ``frames_0``, in the order of :func:`flatten`.

    The name joins the field names and the positions in tuples that lead to the leaf; it is empty for a single width.
    """
    if not isinstance(nested, tuple):
        return [""]
    keys = getattr(nested, "_fields", range(len(nested)))
    return [f"{key}_{below}".rstrip("_") for key, item in zip(keys, nested, strict=True) for below in leaf_names(item)]


def unflatten(like: StateSizes | State, leaves: Sequence[object]) -> Any:
    """Return ``leaves`` nested in tuples and NamedTuples as ``like`` is: the inverse of :func:`flatten`."""
    remaining = iter(leaves)

    def build(node: object) -> object:
        if not isinstance(node, tuple):
            return next(remaining)
        make = getattr(node, "_make", tuple)  # `_make` of a NamedTuple, or a plain tuple
        return make(build(item) for item in node)

    return build(like)
