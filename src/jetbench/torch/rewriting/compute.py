"""Rules for operations that compute: sums, products, matrix products, and functions entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from jetbench.collapse.graph import Node, is_inexact
from jetbench.torch.rewriting.lower import Lowering, dtype_name, lowering

aten = torch.ops.aten


def _operand(low: Lowering, value: Tensor, x: object) -> Node | None:
    """An argument as a value of the shape and type of the result; None where its type is another one."""
    name = dtype_name(value.dtype)
    if not is_inexact(name) or isinstance(x, complex):
        return None
    if isinstance(x, (int, float)):
        return low.builder.full(float(x), value.shape, name)
    if not isinstance(x, Node) or x.dtype != name:
        return None
    return low.builder.broadcast(x, value.shape)


@lowering(aten.add.Tensor, aten.add.Scalar)
def _add(low: Lowering, value: Tensor, x: object, y: object, alpha: float = 1) -> Node | None:
    x, y = _operand(low, value, x), _operand(low, value, y)
    return None if x is None or y is None else low.builder.combine(x, y, 1, alpha)


@lowering(aten.sub.Tensor, aten.sub.Scalar)
def _sub(low: Lowering, value: Tensor, x: object, y: object, alpha: float = 1) -> Node | None:
    return _add(low, value, x, y, -alpha)


@lowering(aten.rsub.Scalar, aten.rsub.Tensor)
def _rsub(low: Lowering, value: Tensor, x: object, y: object, alpha: float = 1) -> Node | None:
    return _add(low, value, y, x, -alpha)


@lowering(aten.neg.default)
def _neg(low: Lowering, value: Tensor, x: Node) -> Node | None:
    return low.builder.scale(x, -1) if is_inexact(x.dtype) else None


@lowering(aten.mul.Tensor, aten.mul.Scalar)
def _mul(low: Lowering, value: Tensor, x: object, y: object) -> Node | None:
    x, y = _operand(low, value, x), _operand(low, value, y)
    return None if x is None or y is None else low.builder.multiply(x, y)


@lowering(aten.div.Tensor, aten.div.Scalar)
def _div(low: Lowering, value: Tensor, x: object, y: object) -> Node | None:
    numerator, denominator = _operand(low, value, x), _operand(low, value, y)
    if numerator is None or denominator is None:
        return None
    core = denominator.operands[0] if denominator.op == "view" else denominator
    if core.op == "fill" and core.attributes[0] != 0:
        return low.builder.scale(numerator, 1 / core.attributes[0])
    return low.mapped(aten.div.Tensor, value, (numerator, denominator), linear=(0,))


@lowering(aten.where.self)
def _where(low: Lowering, value: Tensor, mask: Node, x: object, y: object) -> Node | None:
    x, y = _operand(low, value, x), _operand(low, value, y)
    return None if x is None or y is None else low.mapped(aten.where.self, value, (mask, x, y), linear=(1, 2))


def _reduced(low: Lowering, value: Tensor, x: Node, axes: Sequence[int] | None) -> Node | None:
    if not is_inexact(x.dtype) or x.dtype != dtype_name(value.dtype):
        return None
    axes = range(x.ndim) if not axes else [a % x.ndim for a in axes]
    return low.builder.reshape(low.builder.reduce(x, axes), value.shape)


@lowering(aten.sum.dim_IntList, aten.sum.default)
def _sum(
    low: Lowering, value: Tensor, x: Node, axes: Sequence[int] | None = None, keepdim: bool = False, **_: object
) -> Node | None:
    return _reduced(low, value, x, axes)


@lowering(aten.mean.dim, aten.mean.default)
def _mean(
    low: Lowering, value: Tensor, x: Node, axes: Sequence[int] | None = None, keepdim: bool = False, **_: object
) -> Node | None:
    total = _reduced(low, value, x, axes)
    count = prod(x.shape) // max(1, value.numel())
    return None if total is None or count == 0 else low.builder.scale(total, 1 / count)


@lowering(aten.mm.default)
def _mm(low: Lowering, value: Tensor, x: Node, y: Node) -> Node | None:
    return _contracted(low, x, "ik", y, "kj", "ij")


@lowering(aten.bmm.default)
def _bmm(low: Lowering, value: Tensor, x: Node, y: Node) -> Node | None:
    return _contracted(low, x, "bik", y, "bkj", "bij")


@lowering(aten.mv.default)
def _mv(low: Lowering, value: Tensor, x: Node, y: Node) -> Node | None:
    return _contracted(low, x, "ik", y, "k", "i")


@lowering(aten.dot.default)
def _dot(low: Lowering, value: Tensor, x: Node, y: Node) -> Node | None:
    return _contracted(low, x, "k", y, "k", "")


@lowering(aten.addmm.default)
def _addmm(
    low: Lowering, value: Tensor, bias: Node, x: Node, y: Node, beta: float = 1, alpha: float = 1
) -> Node | None:
    product = _mm(low, value, x, y)
    bias = _operand(low, value, bias)
    return None if product is None or bias is None else low.builder.combine(product, bias, alpha, beta)


@lowering(aten.baddbmm.default)
def _baddbmm(
    low: Lowering, value: Tensor, bias: Node, x: Node, y: Node, beta: float = 1, alpha: float = 1
) -> Node | None:
    product = _bmm(low, value, x, y)
    bias = _operand(low, value, bias)
    return None if product is None or bias is None else low.builder.combine(product, bias, alpha, beta)


def _contracted(low: Lowering, x: Node, x_labels: str, y: Node, y_labels: str, out: str) -> Node | None:
    if not is_inexact(x.dtype) or x.dtype != y.dtype:
        return None
    return low.builder.contract([(x, tuple(x_labels)), (y, tuple(y_labels))], tuple(out))


def _entry_by_entry(*names: str) -> None:
    """Functions of one or more operands that work entry by entry, known by name so that nothing else passes for one."""
    for name in names:
        for overload in getattr(aten, name).overloads():
            operation = getattr(getattr(aten, name), overload)
            if "out" not in overload and not operation._schema.is_mutable and overload not in ("dim", "names_dim"):

                @lowering(operation)
                def _(low: Lowering, value: Tensor, *args: object, _operation: object = operation, **kwargs: object):
                    if any(isinstance(v, Node) for v in kwargs.values()):
                        return None
                    return low.mapped(_operation, value, args, kwargs)


_entry_by_entry(
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "clamp", "clamp_max", "clamp_min", "cos",
    "cosh", "digamma", "elu", "eq", "erf", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "hardtanh", "le",
    "leaky_relu", "lgamma", "log", "log10", "log1p", "log2", "logical_and", "logical_not", "logical_or", "lt",
    "maximum", "minimum", "ne", "pow", "reciprocal", "relu", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt",
    "square", "tan", "tanh", "trunc",
)  # fmt: skip
