"""The form of a computation that the pass works on: nodes with operands, shape and dtype, each value only once.

A node is one of

| op | value |
| --- | --- |
| `input`, `constant` | given from outside |
| `fill` | one number, shape () |
| `identity` | 1 where both of its axes have the same index, 0 elsewhere |
| `view` | axes permuted, inserted as repetitions, or dropped where their length is 1 |
| `scale` | factor · x |
| `combine` | factor · x + factor · y |
| `product` | Σ over contracted axes of x · y, axes named by labels; without contraction an elementwise product |
| `reduce` | sum over axes |
| `map` | a function entry by entry of operands of one shape; linear in some of them together, or in none |
| `diagonal` | axes that share a label become one: those entries where their indices agree |
| `split`, `merge`, `reshape` | an axis into several, several into one, anything else that keeps the order of entries |
| `along` | a linear map of some axes, the same for every index of the others: slice, concatenate, pad, gather, … |
| `solve` | the solution of linear systems, the same matrices for every index of the axes behind theirs |
| `weigh` | Σ_r weights_r x_r along one axis, with numbers as weights |
| `opaque`, `part` | an operation of the framework that nothing is known of, and one of its several results |
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import prod


@dataclass(eq=False, slots=True)
class Node:
    """One value; two nodes of a graph with the same op, operands and attributes are the same object.

    Attributes:
        op: one of those above.
        operands: the values that it is computed from.
        attributes: what else defines it; see the methods of `Builder`.
        shape, dtype: of the value; the dtype by name, as "float32".
        index: place in the order of creation, so that operands come first.
        payload: what the framework needs to run it.
    """

    op: str
    operands: tuple[Node, ...]
    attributes: tuple
    shape: tuple[int, ...]
    dtype: str
    index: int
    payload: object = None

    @property
    def size(self) -> int:
        """Number of entries."""
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_zero(self) -> bool:
        """Whether all entries are known to be zero."""
        node = self.operands[0] if self.op == "view" else self
        return node.op == "fill" and node.attributes[0] == 0

    def __repr__(self) -> str:
        return f"%{self.index}: {self.op}{list(self.shape)}"


@dataclass
class Graph:
    """All nodes made so far, in order; the outputs say which of them matter."""

    nodes: list[Node] = field(default_factory=list)
    outputs: tuple[Node, ...] = ()
    _known: dict[Hashable, Node] = field(default_factory=dict)

    def make(
        self,
        op: str,
        operands: Sequence[Node],
        attributes: tuple,
        shape: Sequence[int],
        dtype: str,
        payload: object = None,
    ) -> Node:
        """The node with these properties, a new one if there is none yet."""
        shape = tuple(int(n) for n in shape)
        key = (op, tuple(operand.index for operand in operands), attributes, shape, dtype)
        if key in self._known:
            return self._known[key]
        node = Node(op, tuple(operands), attributes, shape, dtype, len(self.nodes), payload)
        self.nodes.append(node)
        self._known[key] = node
        return node


def live(outputs: Iterable[Node]) -> list[Node]:
    """All nodes that the outputs depend on, operands first."""
    found: dict[int, Node] = {}
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.index not in found:
            found[node.index] = node
            waiting.extend(node.operands)
    return [found[index] for index in sorted(found)]


def computed_apart(x: Node, y: Node, most: int = 100) -> int | None:
    """In how many steps x is computed, where these are at most so many and none is one of those of y; None if not."""
    # From the last node to the first, the ways to x and to y together: what they share is met as soon as both reach it.
    of_x, of_y = {x.index}, {y.index}
    waiting = {node.index: node for node in (x, y)}
    heap = [-index for index in waiting]
    heapify(heap)
    steps = 0
    while not of_x.isdisjoint(waiting):
        node = waiting.pop(-heappop(heap))
        is_own = node.index in of_x
        if is_own and not _is_given(node):
            steps += 1
            if node.index in of_y or steps > most:
                return None
        elif is_own:
            continue
        for operand in node.operands:
            (of_x if is_own else of_y).add(operand.index)
            if operand.index not in waiting:
                waiting[operand.index] = operand
                heappush(heap, -operand.index)
    return steps


def _is_given(node: Node) -> bool:
    """Whether a value comes from outside, or only arranges what does."""
    while node.op in ("view", "split", "merge", "reshape"):
        node = node.operands[0]
    return not node.operands


def users(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """For each node, those among `nodes` that it is an operand of; once for each time."""
    found: dict[Node, list[Node]] = {}
    for node in nodes:
        found.setdefault(node, [])
        for operand in node.operands:
            found.setdefault(operand, []).append(node)
    return found


def is_inexact(dtype: str) -> bool:
    """Whether values of this type are real or complex numbers in floating point."""
    return "float" in dtype or dtype.startswith("complex")
