"""The ops of the form that the pass works on, one record each: value, operations, text, and how a node is made again.

The rules of sums are in `rules`, those of diagonals in `diagonal`; both accept only ops of this table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from jetbench.collapse.contraction import contracted_sizes, is_matrix_product, weighing
from jetbench.collapse.graph import Node

CUT = "cut"  # a map that only keeps derivatives from passing
MOVING = frozenset({"slice", "concatenate", "pad", "gather", "flip"})  # maps of an axis that compute nothing

#: (builder, node, operands) → the node with these operands in place of its own, of the same shapes.
Rebuild = Callable[[Any, Node, Sequence[Node]], Node]


def _as_it_was(b: Any, node: Node, operands: Sequence[Node]) -> Node:
    return b.graph.make(node.op, operands, node.attributes, node.shape, node.dtype, node.payload)


def _of_size(node: Node) -> int:
    return node.size


def _none(node: Node) -> int:
    del node
    return 0


@dataclass(frozen=True)
class Op:
    """One op.

    Attributes:
        name: as in `Node.op`.
        value: what a node of it is.
        operations: operations on numbers that a node costs.
        rebuild: makes a node again with other operands.
        label: a node in a word or two.
        reason: why a sum without a rule for it rests at a node.
        is_free: whether its value takes no memory of its own.
        is_arrangement: whether it only arranges the entries of its operand.
        is_given: whether it comes from outside or is a number, so that there is nothing before it.
        is_shown: whether it gets a line or a box of its own where a computation is shown.
    """

    name: str
    value: str
    operations: Callable[[Node], int] = _of_size
    rebuild: Rebuild = _as_it_was
    label: Callable[[Node], str] = lambda node: node.op
    reason: str = "nothing is known of how this operation treats the axis"
    is_free: bool = False
    is_arrangement: bool = False
    is_given: bool = False
    is_shown: bool = True


def _given(name: str, value: str, is_shown: bool = False) -> Op:
    nothing = "there is nothing before it"
    return Op(name, value, _none, _as_it_was, _numbered, nothing, is_free=True, is_given=True, is_shown=is_shown)


def _arrangement(name: str, value: str, rebuild: Rebuild) -> Op:
    return Op(name, value, _none, rebuild, is_free=True, is_arrangement=True, is_shown=False)


def _numbered(node: Node) -> str:
    return f"{node.op} {node.attributes[0]}" if node.op in ("input", "part") else node.op


def _product_operations(node: Node) -> int:
    contracted = contracted_sizes(node)
    return 2 * node.size * prod(contracted) if contracted else node.size


def _product_label(node: Node) -> str:
    if is_matrix_product(node):
        return "matrix product"
    return "product, summed" if contracted_sizes(node) else "product"


def _combine_label(node: Node) -> str:
    def factor(value: complex, signed: bool) -> str:
        sign = ("− " if value.real < 0 else "+ ") if signed else ("−" if value.real < 0 else "")
        return sign if abs(value) == 1 else f"{sign}{abs(value):g}"

    return f"{factor(node.attributes[0], False)}a {factor(node.attributes[1], True)}b"


def _function_name(node: Node) -> str:
    return str(node.attributes[0]).removeprefix("aten.").removesuffix(".default").removesuffix(".Tensor")


def _rebuilt_product(b: Any, node: Node, operands: Sequence[Node]) -> Node:
    left, right, n_out = node.attributes
    return b.contract([(operands[0], left), (operands[1], right)], range(n_out))


def _rebuilt_map(b: Any, node: Node, operands: Sequence[Node]) -> Node:
    function, static, linear = node.attributes
    return b.map(function, operands, node.dtype, static, linear, node.payload)


def _rebuilt_along(b: Any, node: Node, operands: Sequence[Node]) -> Node:
    kind, axis, static, linear = node.attributes
    if kind == "slice":
        return b.slice(operands[0], axis, *static)
    if kind == "concatenate":
        return b.concatenate(operands, axis)
    return b.along(kind, operands, axis, node.shape[axis], static, linear, node.payload)


def _reshaped(b: Any, node: Node, operands: Sequence[Node]) -> Node:
    return b.reshape(operands[0], node.shape)


_ALL = (
    _given("input", "given from outside, a value at each call", is_shown=True),
    _given("constant", "given from outside, the same value at every call"),
    _given("fill", "one number, shape ()"),
    _given("identity", "1 where both of its axes have the same index, 0 elsewhere"),
    _arrangement(
        "view",
        "axes permuted, inserted as repetitions, or dropped where their length is 1",
        lambda b, node, operands: b.view(operands[0], node.attributes[0], node.shape),
    ),
    _arrangement("split", "an axis into several", _reshaped),
    _arrangement("merge", "several axes into one", _reshaped),
    _arrangement("reshape", "anything else that keeps the order of entries", _reshaped),
    Op(
        "scale",
        "factor · x",
        rebuild=lambda b, node, operands: b.scale(operands[0], node.attributes[0]),
        label=lambda node: f"{node.attributes[0]:g}·",
    ),
    Op(
        "combine",
        "factor · x + factor · y",
        operations=lambda node: node.size * (1 + sum(abs(factor) != 1 for factor in node.attributes)),
        rebuild=lambda b, node, operands: b.combine(*operands, *node.attributes),
        label=_combine_label,
    ),
    Op(
        "product",
        "Σ over contracted axes of x · y, axes named by labels; without contraction an elementwise product",
        operations=_product_operations,
        rebuild=_rebuilt_product,
        label=_product_label,
    ),
    Op(
        "reduce",
        "sum over axes",
        operations=lambda node: node.operands[0].size,
        rebuild=lambda b, node, operands: b.reduce(operands[0], node.attributes[0]),
        label=lambda node: "sum",
    ),
    Op(
        "weigh",
        "Σ_r weights_r x_r along one axis, with numbers as weights",
        operations=lambda node: weighing(node.attributes[1], node.operands[0].size),
        rebuild=lambda b, node, operands: b.weigh(operands[0], *node.attributes),
        label=lambda node: "weighted sum",
    ),
    Op(
        "map",
        "a function entry by entry of operands of one shape; linear in some of them together, or in none",
        operations=lambda node: 0 if node.attributes[0] == CUT else node.size,
        rebuild=_rebuilt_map,
        label=_function_name,
        reason="this function is not linear in the operand that has the axis",
    ),
    Op(
        "diagonal",
        "axes that share a label become one: those entries where their indices agree",
        operations=_none,
        rebuild=lambda b, node, operands: b.diagonal(operands[0], node.attributes[0]),
    ),
    Op(
        "along",
        "a linear map of some axes, the same for every index of the others: slice, concatenate, pad, gather, …",
        operations=lambda node: 0 if node.attributes[0] in MOVING else node.size,
        rebuild=_rebuilt_along,
        label=lambda node: node.attributes[0],
    ),
    Op(
        "solve",
        "the solution of linear systems, the same matrices for every index of the axes behind theirs",
        operations=lambda node: node.size * node.shape[node.attributes[1]] * (2 if len(node.operands) > 2 else 1),
        rebuild=lambda b, node, operands: b.solve(operands[:-1], operands[-1], *node.attributes, node.payload),
        label=lambda node: f"{node.attributes[0]} solve",
    ),
    Op("opaque", "an operation of the framework that nothing is known of", label=_function_name),
    Op("part", "one of the several results of an opaque operation", _none, label=_numbered, is_free=True),
)
OPS = {op.name: op for op in _ALL}


def label(node: Node) -> str:
    """What a node does, in a word or two."""
    return OPS[node.op].label(node)


def arranged(node: Node) -> Node:
    """The value that a node only arranges, or the node itself."""
    while OPS[node.op].is_arrangement:
        node = node.operands[0]
    return node
