"""Plot the rooms of a package and what each imports, from the import graph itself.

    python docs/_ext/architecture.py [OUT.svg [rnnaudio.runs]]

A room is a module or package directly below ``rnnaudio``, or below the package that is named. It stands one floor
above the highest room that it imports, so every arrow points downwards. That needs a graph without circles: one is an
error, and the exit status is 1.
"""

import sys
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "rnnaudio"
Graph = Mapping[str, frozenset[str]]
Arrow = tuple[str, str]

BOX_WIDTH, BOX_HEIGHT = 104.0, 34.0
BEND_WIDTH = 12.0  # room for an arrow that passes a floor
GAP, FLOOR_HEIGHT, MARGIN = 22.0, 82.0, 16.0
SWEEPS = 24
STYLE = """
  .room rect { fill: var(--color-background-secondary, #f4f6f8); stroke: var(--color-brand-primary, #0072b2); }
  .room text { fill: var(--color-foreground-primary, #111); font: 13px ui-monospace, monospace; text-anchor: middle; }
  .ground rect { stroke-dasharray: 4 3; }
  .arrow { fill: none; stroke: var(--color-foreground-muted, #667); stroke-width: 1.2; }
  .arrow-head { fill: var(--color-foreground-muted, #667); }
"""


# ---------------------------------------------------------------- the graph


def rooms(within: str = PACKAGE) -> Graph:
    """Each room of a package with the rooms that it imports, imports inside functions included."""
    modules = grimp.build_graph(within.partition(".")[0])
    imported: dict[str, set[str]] = {}
    for module in modules.modules:
        if room := _room(module, within):
            found = modules.find_modules_directly_imported_by(module)
            imported.setdefault(room, set()).update(filter(None, (_room(other, within) for other in found)))
    return {room: frozenset(others - {room}) for room, others in sorted(imported.items())}


def _room(module: str, within: str) -> str:
    """``nn`` for ``rnnaudio.nn.layer`` within ``rnnaudio``; empty for the package itself and for what is outside."""
    return module.removeprefix(f"{within}.").partition(".")[0] if module.startswith(f"{within}.") else ""


def circles(graph: Graph) -> list[list[str]]:
    """Groups of rooms that import each other, directly or not; empty where imports point one way only."""
    beyond = {room: _reachable(graph, room) for room in graph}
    groups = {frozenset(other for other in beyond[room] if room in beyond[other]) for room in graph}
    return sorted(sorted(group) for group in groups if group)


def _reachable(graph: Graph, start: str) -> set[str]:
    """Rooms at the end of a path of one import or more."""
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        room = waiting.pop()
        if room not in found:
            found.add(room)
            waiting += graph.get(room, ())
    return found


def floors(graph: Graph) -> list[list[str]]:
    """Rooms by floor, the lowest first; ValueError for a circle, which has no floor."""
    if found := circles(graph):
        raise ValueError("imports run in a circle: " + "; ".join(" -> ".join([*c, c[0]]) for c in found))
    height: dict[str, int] = {}

    def height_of(room: str) -> int:
        if room not in height:
            height[room] = 1 + max(map(height_of, graph[room]), default=-1)
        return height[room]

    levels: list[list[str]] = [[] for _ in range(1 + max(map(height_of, graph)))]
    for room in graph:
        levels[height[room]].append(room)
    return levels


def needed_arrows(graph: Graph) -> list[Arrow]:
    """Imports that no longer path implies: the picture has fewer arrows and the same paths."""
    return [
        (room, other)
        for room, others in graph.items()
        for other in sorted(others)
        if not any(other in _reachable(graph, between) for between in others - {other})
    ]


def ground_of(graph: Graph) -> list[str]:
    """Single files that import nothing but each other: anyone may import them, so their arrows are left out."""
    files = {room for room in graph if (ROOT / PACKAGE / f"{room}.py").is_file()}
    while outside := {room for room in files if not graph[room] <= files}:
        files -= outside
    return sorted(files)


# ---------------------------------------------------------------- the picture


class Bend(NamedTuple):
    """Where an arrow passes a floor on its way down."""

    arrow: Arrow
    floor: int


Node = str | Bend


def as_svg(graph: Graph, within: str = PACKAGE) -> str:
    """The picture. Colours follow the theme of the page that includes it."""
    ground = ground_of(graph) if within == PACKAGE else []  # a part of the package is nearly all single files
    upper = {room: others - set(ground) for room, others in graph.items() if room not in ground}
    arrows = needed_arrows(upper)
    levels, paths = _with_bends(floors(upper), arrows)
    centre = _placed(levels, [pair for path in paths for pair in pairwise(path)])
    ends = [(x - _width(node) / 2, x + _width(node) / 2) for node, x in centre.items()]
    left, right = min(end for end, _ in ends) - MARGIN, max(end for _, end in ends) + MARGIN
    lacking = max(0.0, len(ground) * (BOX_WIDTH + GAP) - GAP + 2 * MARGIN - (right - left))  # for the ground's boxes
    left, width = left - lacking / 2, right - left + lacking
    n = len(levels)
    top = {node: MARGIN + (n - 1 - k) * FLOOR_HEIGHT for k, level in enumerate(levels) for node in level}
    at = {node: (x - left, top[node]) for node, x in centre.items()}
    bottom = MARGIN + (n if ground else n - 1) * FLOOR_HEIGHT
    on_ground = {room: width / 2 + (k - (len(ground) - 1) / 2) * (BOX_WIDTH + GAP) for k, room in enumerate(ground)}
    boxes = [_box(node, *place, "room") for node, place in at.items() if isinstance(node, str)]
    boxes += [_box(room, x, bottom, "room ground") for room, x in on_ground.items()]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom + BOX_HEIGHT + MARGIN:.0f}" '
        f'role="img" class="architecture"><title>Rooms of {within} and their imports</title><style>{STYLE}</style>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="arrow-head" d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        *(_curve([at[node] for node in path]) for path in paths),
        *boxes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _with_bends(levels: list[list[str]], arrows: Sequence[Arrow]) -> tuple[list[list[Node]], list[list[Node]]]:
    """Floors with a bend wherever an arrow passes one, and each arrow as its nodes from top to bottom."""
    floor = {room: k for k, level in enumerate(levels) for room in level}
    filled: list[list[Node]] = [list(level) for level in levels]
    paths: list[list[Node]] = []
    for arrow in arrows:
        bends = [Bend(arrow, k) for k in range(floor[arrow[0]] - 1, floor[arrow[1]], -1)]
        for bend in bends:
            filled[bend.floor].append(bend)
        paths.append([arrow[0], *bends, arrow[1]])
    return filled, paths


def _placed(levels: list[list[Node]], links: Sequence[tuple[Node, Node]]) -> dict[Node, float]:
    """The middle of each node: near its neighbours, in an order with few crossings, and apart from the next one."""
    neighbours: dict[Node, list[Node]] = {}
    for upper, lower in links:
        neighbours.setdefault(upper, []).append(lower)
        neighbours.setdefault(lower, []).append(upper)
    x = {node: k * (BOX_WIDTH + GAP) for level in levels for k, node in enumerate(level)}
    for sweep in range(SWEEPS):
        for level in levels if sweep % 2 else reversed(levels):
            wanted = {node: _mean([x[other] for other in neighbours.get(node, [node])]) for node in level}
            level.sort(key=wanted.__getitem__)
            x |= _apart(level, wanted)
    return x


def _apart(level: Sequence[Node], wanted: Mapping[Node, float]) -> dict[Node, float]:
    """Places in this order, no two too near: pushed to the right and pushed to the left, the mean of both."""
    right = _pushed(level, wanted, 1.0)
    left = _pushed(list(reversed(level)), wanted, -1.0)
    return {node: (right[node] + left[node]) / 2 for node in level}


def _pushed(level: Sequence[Node], wanted: Mapping[Node, float], side: float) -> dict[Node, float]:
    placed = {level[0]: wanted[level[0]]}
    for before, node in pairwise(level):
        nearest = placed[before] + side * ((_width(before) + _width(node)) / 2 + GAP)
        placed[node] = max(wanted[node], nearest) if side > 0 else min(wanted[node], nearest)
    return placed


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _width(node: Node) -> float:
    return BEND_WIDTH if isinstance(node, Bend) else BOX_WIDTH


def _box(room: str, x: float, y: float, kind: str) -> str:
    return (
        f'<g class="{kind}"><rect x="{x - BOX_WIDTH / 2:.1f}" y="{y:.1f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
        f'rx="5"/><text x="{x:.1f}" y="{y + BOX_HEIGHT / 2 + 4.5:.1f}">{escape(room)}</text></g>'
    )


def _curve(path: Sequence[tuple[float, float]]) -> str:
    """From the lower edge of the first node through the bends, straight past their floors, to the last one's top."""
    (x, y), *others = path
    parts = [f"M{x:.1f} {y + BOX_HEIGHT:.1f}"]
    y += BOX_HEIGHT
    for k, (next_x, next_y) in enumerate(others, 1):
        middle = (y + next_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y + BOX_HEIGHT
        parts += [f"V{y:.1f}"] if k < len(others) else []
    return f'<path class="arrow" marker-end="url(#head)" d="{" ".join(parts)}"/>'


def as_table(graph: Graph) -> str:
    """What each room imports, the highest first: a Markdown table."""
    rows = [(room, sorted(graph[room])) for level in reversed(floors(graph)) for room in level]
    lines = ["| room | imports |", "|---|---|"]
    lines += [f"| `{room}` | {', '.join(f'`{other}`' for other in others) or '-'} |" for room, others in rows]
    return "\n".join(lines) + "\n"


def main(out: str = "architecture.svg", within: str = PACKAGE) -> None:
    """Write the picture; SystemExit with a message if there is a circle."""
    sys.path.insert(0, str(ROOT))
    try:
        Path(out).write_text(as_svg(rooms(within), within), encoding="utf-8")
    except ValueError as error:
        raise SystemExit(f"architecture: {error}") from None
    print(f"wrote {out}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
