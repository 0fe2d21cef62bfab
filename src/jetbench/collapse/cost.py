"""What a computation costs: operations on numbers, those within matrix products, and the largest memory in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from jetbench.collapse.contraction import is_matrix_product
from jetbench.collapse.graph import Node, live
from jetbench.collapse.ops import OPS, arranged


@dataclass(frozen=True)
class Cost:
    """Of a whole computation.

    Attributes:
        operations: additions, multiplications and calls of functions, one for each entry that is computed.
        products: those among them that belong to matrix products, 2 for each multiplication with its addition.
        memory: peak bytes of values in use when they are computed in order, without inputs and constants.
    """

    operations: int
    products: int
    memory: int


def operations(node: Node) -> int:
    """Operations that the node itself costs."""
    return OPS[node.op].operations(node)


def of(outputs: Sequence[Node]) -> Cost:
    """The cost of computing the outputs."""
    nodes = live(outputs)
    total = sum(operations(node) for node in nodes)
    products = sum(operations(node) for node in nodes if is_matrix_product(node))
    return Cost(total, products, _peak(nodes, outputs))


def itemsize(dtype: str) -> int:
    """Bytes of one entry."""
    digits = "".join(c for c in dtype if c.isdigit())
    return max(1, int(digits) // 8) if digits else 1


def _peak(nodes: Sequence[Node], outputs: Iterable[Node]) -> int:
    """Peak memory with each value freed after its last use; what only arranges entries shares memory."""
    home: dict[Node, Node] = {}
    for node in nodes:
        shares = OPS[node.op].is_free and node.operands
        home[node] = home[node.operands[0]] if shares else node
    last: dict[Node, int] = {}
    for position, node in enumerate(nodes):
        for operand in node.operands:
            last[home[operand]] = position
    for node in outputs:
        last[home[node]] = len(nodes)
    freed: dict[int, list[Node]] = {}
    for node, position in last.items():
        freed.setdefault(position, []).append(node)
    in_use = highest = 0
    for position, node in enumerate(nodes):
        if home[node] is node and not OPS[node.op].is_free:
            in_use += node.size * itemsize(node.dtype)
            highest = max(highest, in_use)
        for dead in freed.get(position, ()):
            if not OPS[dead.op].is_free:
                in_use -= dead.size * itemsize(dead.dtype)
    return highest


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
        if is_own and arranged(node).operands:
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
