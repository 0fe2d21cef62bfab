"""Pictures of a computation before and after the pass, side by side, with what carries a sum in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jetbench.collapse.contraction import is_matrix_product
from jetbench.collapse.graph import Node, live
from jetbench.collapse.ops import OPS, arranged, label
from jetbench.collapse.pull import Result
from jetbench.collapse.rules import candidate
from jetbench.errors import needing

PLAIN, PRODUCT, SUM = "#DDDDDD", "#9FC5E8", "#009E73"
MOST = 400


def draw(outputs: Sequence[Node], result: Result, path: Path) -> None:
    """Write the picture; its format follows from the name's ending."""
    summed = _above_sums(outputs, result)
    columns = [("before", outputs, summed), ("after", result.outputs, result.carriers)]
    rows = max(len(_layers(nodes)) for _, nodes, _ in columns)
    with needing("bench", "A picture of a computation"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(16, max(4, 0.45 * rows)), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, (title, nodes, coloured) in zip(axes, columns, strict=True):
        cost = result.before if title == "before" else result.after
        axis.set_title(f"{title}: {cost.operations:,} operations", fontsize=10)
        _draw_one(axis, nodes, coloured)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _above_sums(outputs: Sequence[Node], result: Result) -> set[Node]:
    """The sums that were moved, in the original computation, and what lies between them and where they rest."""
    moved = {rest.source for rest in (*result.rests, *result.diagonals)} & set(live(outputs))
    reached: set[Node] = set(moved)
    resting = {rest.node for rest in (*result.rests, *result.diagonals)}
    for node in reversed(live(outputs)):
        if node in reached and node not in resting:
            axes = candidate(node)
            operands = (axes[0],) if axes is not None and node in moved else node.operands
            reached |= {o for o in operands if _leads_to(o, resting)}
    return reached


def _leads_to(node: Node, targets: set[Node]) -> bool:
    return node in targets or not targets.isdisjoint(live([node]))


def _layers(outputs: Sequence[Node]) -> list[list[Node]]:
    """Nodes that are more than an arrangement, by the length of the longest way to them."""
    depth: dict[Node, int] = {}
    layers: list[list[Node]] = []
    for node in live(outputs)[:MOST]:
        below = max((depth[o] for o in node.operands if o in depth), default=-1)
        depth[node] = below + OPS[node.op].is_shown
        if OPS[node.op].is_shown:
            while len(layers) <= depth[node]:
                layers.append([])
            layers[depth[node]].append(node)
    return layers


def _draw_one(axis: Any, outputs: Sequence[Node], coloured: set[Node]) -> None:
    places: dict[Node, tuple[float, float]] = {}
    for level, nodes in enumerate(_layers(outputs)):
        for i, node in enumerate(nodes):
            places[node] = ((i + 1) / (len(nodes) + 1), -level)
    for node, (x, y) in places.items():
        for operand in node.operands:
            above = arranged(operand)
            if above in places:
                edge = SUM if node in coloured and above in coloured else "#999999"
                axis.plot([places[above][0], x], [places[above][1], y], color=edge, linewidth=0.8, zorder=1)
    for node, (x, y) in places.items():
        colour = SUM if node in coloured else PRODUCT if is_matrix_product(node) else PLAIN
        text = f"{label(node)} {'×'.join(map(str, node.shape))}"
        box = {"boxstyle": "round,pad=0.2", "facecolor": colour, "edgecolor": "none"}
        axis.text(x, y, text, fontsize=6, ha="center", va="center", bbox=box, zorder=2)
    axis.set_xlim(0, 1)
    axis.set_ylim(-max((-y for _, y in places.values()), default=0) - 0.7, 0.7)
    axis.set_axis_off()
