"""What a computation costs: operations on numbers, those within matrix products, and the largest memory in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from jetbench.collapse.graph import Node, live

FREE = frozenset({"input", "constant", "fill", "identity", "view", "split", "merge", "reshape", "part", "numbers"})

CUT = "cut"  # a map that only keeps derivatives from passing


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


def contracted_sizes(node: Node) -> tuple[int, ...]:
    """The lengths of the axes that a product is summed over."""
    labels, _, n_out = node.attributes
    return tuple(n for label, n in zip(labels, node.operands[0].shape, strict=True) if label >= n_out)


def is_matrix_product(node: Node) -> bool:
    """Whether a product that sums over an axis runs as a matrix product.

    It does where both operands have axes of their own, and for a matrix times a vector; others multiply and add up.
    """
    if node.op != "product" or not contracted_sizes(node):
        return False
    left, right, n_out = (*map(set, node.attributes[:2]), node.attributes[2])
    has_batch = any(label < n_out for label in left & right)
    return left != right and not (has_batch and (left < right or right < left))


def summing_order(node: Node) -> list[int]:
    """Labels in the order in which a product that is no matrix product has its axes before they are summed.

    Those that stay are in the order of the result; those that go lie where the larger operand has them.
    """
    left, right, n_out = node.attributes
    larger = left if len(left) >= len(right) else right
    kept = iter(range(n_out))
    return [label if label >= n_out else next(kept) for label in larger]


def weighing(weights: tuple[float, ...], size: int) -> int:
    """Operations of a sum with numbers as weights of a value with `size` entries: none for one entry alone."""
    entries = sum(w != 0 for w in weights)
    scaled = sum(abs(w) != 1 for w, _, _ in runs(weights))
    return size // len(weights) * (max(0, entries - 1) + scaled)


def runs(weights: Sequence[float]) -> list[tuple[float, int, int]]:
    """Neighbouring equal weights: (weight, start, stop), without those that are zero."""
    found: list[tuple[float, int, int]] = []
    for i, w in enumerate(weights):
        if found and found[-1][0] == w:
            found[-1] = (w, found[-1][1], i + 1)
        else:
            found.append((w, i, i + 1))
    return [run for run in found if run[0]]


def operations(node: Node) -> int:
    """Operations that the node itself costs."""
    if node.op in FREE or (node.op == "map" and node.attributes[0] == CUT):
        return 0
    if node.op == "product":
        contracted = contracted_sizes(node)
        return 2 * node.size * prod(contracted) if contracted else node.size
    if node.op == "combine":
        return node.size * (1 + sum(abs(factor) != 1 for factor in node.attributes))
    if node.op == "reduce":
        return node.operands[0].size
    if node.op == "weigh":
        return weighing(node.attributes[1], node.operands[0].size)
    if node.op == "diagonal":
        return 0
    if node.op == "along":
        return 0 if node.attributes[0] in ("slice", "concatenate", "pad", "gather", "flip") else node.size
    if node.op == "solve":
        return node.size * node.shape[node.attributes[1]] * (2 if len(node.operands) > 2 else 1)
    return node.size


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
        shares = node.op in FREE and node.operands
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
        if home[node] is node and node.op not in FREE:
            in_use += node.size * itemsize(node.dtype)
            highest = max(highest, in_use)
        for dead in freed.get(position, ()):
            if dead.op not in FREE:
                in_use -= dead.size * itemsize(dead.dtype)
    return highest
