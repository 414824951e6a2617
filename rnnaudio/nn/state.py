"""States of layers: nested tuples of symbolic variables, and functions on such tuples."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

from rnnaudio.engine import Symbolic

State: TypeAlias = Symbolic | tuple["State", ...]
"""Variables (batch, n), or (time, batch, n) for all steps, in nested tuples or NamedTuples; ``()`` for no state."""

StateSizes: TypeAlias = int | tuple["StateSizes", ...]
"""The widths n of a state's arrays, in the same nesting as the state."""

Leaf = TypeVar("Leaf")  # of a NamedTuple: a state's variables, or their widths


def parts_of(state: State) -> tuple[State, ...]:
    """Return the state of a stack unchanged, with the static type of a tuple: the states of the stack's children."""
    return cast("tuple[State, ...]", state)


@overload
def flatten(nested: StateSizes) -> list[int]: ...  # type: ignore[overload-overlap]  # () fits both
@overload
def flatten(nested: State) -> list[Symbolic]: ...
def flatten(nested: StateSizes | State) -> list[Any]:
    """Return a list of the leaves (all items that are not tuples) of nested tuples, depth first."""
    if isinstance(nested, tuple):
        return [leaf for item in nested for leaf in flatten(item)]
    return [nested]


def stored_leaves(nested: StateSizes) -> list[bool]:
    """Return one bool for each leaf, in the order of :func:`flatten`: True if the leaf is a copy of past values.

    This holds for all leaves of a NamedTuple whose attribute ``is_stored`` is True, such as
    :class:`rnnaudio.nn.past_attention.PastState`. All other leaves are computed by a recurrence.
    """
    if not isinstance(nested, tuple):
        return [False]
    if getattr(nested, "is_stored", False):
        return [True] * len(flatten(nested))
    return [is_stored for item in nested for is_stored in stored_leaves(item)]


def leaf_names(nested: StateSizes) -> list[str]:
    """Return a name for each leaf, such as ``hidden`` or ``frames_0``, in the order of :func:`flatten`.

    The name consists of the field names and the indices in tuples that lead to the leaf, joined by ``_``. It is empty
    if ``nested`` is a single width.
    """
    if not isinstance(nested, tuple):
        return [""]
    keys = getattr(nested, "_fields", range(len(nested)))
    return [f"{key}_{below}".rstrip("_") for key, item in zip(keys, nested, strict=True) for below in leaf_names(item)]


def unflatten(like: StateSizes | State, leaves: Sequence[object]) -> Any:
    """Return ``leaves`` in the tuples and NamedTuples of ``like``: the inverse of :func:`flatten`."""
    remaining = iter(leaves)

    def build(node: object) -> object:
        if not isinstance(node, tuple):
            return next(remaining)
        make = getattr(node, "_make", tuple)  # `_make` of a NamedTuple, or a plain tuple
        return make(build(item) for item in node)

    return build(like)
