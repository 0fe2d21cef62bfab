"""What the pass did, in words: the computation before and after, and each sum with where it came to rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jetbench.collapse.contraction import is_matrix_product
from jetbench.collapse.cost import operations
from jetbench.collapse.draw import draw
from jetbench.collapse.graph import Node, live
from jetbench.collapse.ops import OPS, arranged, label
from jetbench.collapse.pull import Result
from jetbench.collapse.steps import Rest

SHOWN = 200


@dataclass(frozen=True)
class Explanation:
    """Of one computation; `str` of it is the whole text.

    Attributes:
        outputs: of the original computation.
        result: what the pass made of it.
        notes: what else was left as it is, and why, in sentences.
    """

    outputs: tuple[Node, ...]
    result: Result
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.summary(), *self.notes, "", *self.diagonals(), *self.sums(), "", "Before:", *lines(self.outputs)]
        return "\n".join([*parts, "", "After:", *lines(self.result.outputs, self.result.carriers)])

    def summary(self) -> str:
        """Operations and memory before and after, in a sentence."""
        before, after = self.result.before, self.result.after
        if not self.result.has_changed:
            return f"Nothing to collapse: {before.operations:,} operations, {before.products:,} in matrix products."
        return (
            f"Collapsed: {before.operations:,} → {after.operations:,} operations "
            f"({after.operations / before.operations:.2f}), {before.products:,} → {after.products:,} of them in matrix "
            f"products; peak memory {before.memory:,} → {after.memory:,} bytes."
        )

    def diagonals(self) -> list[str]:
        """One line for each diagonal and each place where it came to rest, or why it stayed."""
        found = [
            f"diagonal {_named(r.source)} is taken at {_named(r.node)}: {r.reason}." for r in self.result.diagonals
        ]
        return found + [f"diagonal {_named(r.source)} stays: {r.reason}." for r in self.result.left]

    def sums(self) -> list[str]:
        """One line for each sum and each place where it came to rest, or why it stayed."""
        found = [f"sum {_named(r.source)} rests at {_named(r.node)}: {r.reason}." for r in self.result.rests]
        return found + [f"sum {_named(r.source)} stays on {_named(r.node)}: {_why(r)}." for r in self.result.stayed]

    def draw(self, path: str | Path) -> None:
        """Draw both computations side by side, what carries a sum in colour; the format by the name's ending."""
        draw(self.outputs, self.result, Path(path))


def lines(outputs: Sequence[Node], marked: set[Node] = frozenset()) -> list[str]:
    """A computation, a line for each node that is more than an arrangement; those that carry a sum have a Σ."""
    nodes = [node for node in live(outputs) if OPS[node.op].is_shown]
    found = []
    for node in nodes[:SHOWN]:
        operands = ", ".join(_reference(o) for o in node.operands)
        cost = operations(node)
        counted = f"  {cost:,} operations" if is_matrix_product(node) else ""
        found.append(
            f"  {'Σ' if node in marked else ' '} %{node.index} {label(node)} {list(node.shape)} ← {operands}{counted}"
        )
    if len(nodes) > SHOWN:
        found.append(f"    … and {len(nodes) - SHOWN} more")
    return found


def _reference(node: Node) -> str:
    node = arranged(node)
    if node.op == "fill":
        return f"{node.attributes[0]:g}"
    if node.op == "identity":
        return f"identity{list(node.shape)}"
    return f"constant{list(node.shape)}" if node.op == "constant" else f"%{node.index}"


def _why(rest: Rest) -> str:
    if rest.limit is None:
        return rest.reason
    return f"it could be pulled up to {_named(rest.limit)}, which saves no operations; there, {rest.reason}"


def _named(node: Node) -> str:
    return f"%{node.index} ({label(node)} {list(node.shape)})"
