"""Nodes again, with other operands of the same shapes."""

from __future__ import annotations

from collections.abc import Sequence

from jetbench.collapse.build import Builder
from jetbench.collapse.cost import contracted_sizes, is_matrix_product
from jetbench.collapse.graph import Node, live, users


def rebuilt(b: Builder, node: Node, operands: Sequence[Node]) -> Node:
    """The node with `operands` in place of its own; itself where they are its own."""
    if all(new is old for new, old in zip(operands, node.operands, strict=True)):
        return node
    attributes = node.attributes
    match node.op:
        case "view":
            return b.view(operands[0], attributes[0], node.shape)
        case "scale":
            return b.scale(operands[0], attributes[0])
        case "combine":
            return b.combine(*operands, *attributes)
        case "product":
            left, right, n_out = attributes
            return b.contract([(operands[0], left), (operands[1], right)], range(n_out))
        case "reduce":
            return b.reduce(operands[0], attributes[0])
        case "weigh":
            return b.weigh(operands[0], *attributes)
        case "map":
            return b.map(attributes[0], operands, node.dtype, attributes[1], attributes[2], node.payload)
        case "diagonal":
            return b.diagonal(operands[0], attributes[0])
        case "split" | "merge" | "reshape":
            return b.reshape(operands[0], node.shape)
        case "along":
            kind, axis, static, linear = attributes
            if kind == "slice":
                return b.slice(operands[0], axis, *static)
            if kind == "concatenate":
                return b.concatenate(operands, axis)
            return b.along(kind, operands, axis, node.shape[axis], static, linear, node.payload)
        case "solve":
            return b.solve(operands[:-1], operands[-1], *attributes, node.payload)
        case _:
            return b.graph.make(node.op, operands, attributes, node.shape, node.dtype, node.payload)


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
