"""Nodes again, with other operands of the same shapes."""

from __future__ import annotations

from collections.abc import Sequence

from jetbench.collapse.build import Builder
from jetbench.collapse.contraction import contracted_sizes, is_matrix_product
from jetbench.collapse.graph import Node, live, users
from jetbench.collapse.ops import OPS


def rebuilt(b: Builder, node: Node, operands: Sequence[Node]) -> Node:
    """The node with `operands` in place of its own; itself where they are its own."""
    if all(new is old for new, old in zip(operands, node.operands, strict=True)):
        return node
    return OPS[node.op].rebuild(b, node, operands)


def without_summed_products(b: Builder, outputs: Sequence[Node]) -> tuple[Node, ...]:
    """Sums of products that nothing else uses as single nodes: as many operations, and no product is written down."""
    nodes = live(outputs)
    used = users(nodes)
    new: dict[Node, Node] = {}
    for node in nodes:
        operands = [new[operand] for operand in node.operands]
        new[node] = rebuilt(b, node, operands)
        if node.op == "reduce" and node.operands[0] not in outputs and len(used[node.operands[0]]) == 1:
            new[node] = _as_contraction(b, operands[0], node.attributes[0]) or new[node]
    return tuple(new[node] for node in outputs)


def _as_contraction(b: Builder, x: Node, axes: Sequence[int]) -> Node | None:
    """The sum over axes of an elementwise product; None where x is none, or would become a matrix product."""
    if x.op != "product" or contracted_sizes(x):
        return None
    terms = list(zip(x.operands, x.attributes[:2], strict=True))
    found = b.contract(terms, [a for a in range(x.ndim) if a not in axes])
    return None if any(is_matrix_product(node) for node in (found, *found.operands)) else found
