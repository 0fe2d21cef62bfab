"""The form of a computation that the pass works on: nodes with operands, shape and dtype, each value only once.

What the ops mean is in `ops`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod


@dataclass(eq=False, slots=True)
class Node:
    """One value; two nodes of a graph with the same op, operands and attributes are the same object.

    Attributes:
        op: a name in `ops.OPS`.
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
