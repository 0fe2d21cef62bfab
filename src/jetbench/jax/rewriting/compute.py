"""Rules for primitives that compute: sums, products, matrix products, and functions entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import lax
from jax.extend.core import primitives

from jetbench.collapse.graph import Node, is_inexact
from jetbench.jax.rewriting.lower import Lowering, behind, counted_axis, lowering


def _operands(low: Lowering, aval: Any, *operands: Node) -> list[Node] | None:
    """Values of the shape and type of the result; None where the type is not one of floating point."""
    if not is_inexact(str(aval.dtype)) or any(x.dtype != str(aval.dtype) for x in operands):
        return None
    return [low.builder.broadcast(x, aval.shape) for x in operands]


@lowering("add", "add_any")
def _add(low: Lowering, aval: Any, x: Node, y: Node, **_: Any) -> Node | None:
    if _is_number(y) and not y.payload and x.shape == aval.shape and x.dtype == y.dtype:
        return x
    found = _operands(low, aval, x, y)
    return None if found is None else low.builder.combine(*found)


def _is_number(x: Node) -> bool:
    """Whether this is a number that is no real number in floating point; those are filled in."""
    return x.op == "constant" and not x.shape and isinstance(x.payload, np.ndarray)


@lowering("sub")
def _sub(low: Lowering, aval: Any, x: Node, y: Node, **_: Any) -> Node | None:
    found = _operands(low, aval, x, y)
    return None if found is None else low.builder.combine(*found, 1, -1)


@lowering("neg")
def _neg(low: Lowering, aval: Any, x: Node, **_: Any) -> Node | None:
    return low.builder.scale(x, -1) if is_inexact(x.dtype) else None


@lowering("mul")
def _mul(low: Lowering, aval: Any, x: Node, y: Node, **_: Any) -> Node | None:
    found = _operands(low, aval, x, y)
    return None if found is None else low.builder.multiply(*found)


@lowering("div")
def _div(low: Lowering, aval: Any, x: Node, y: Node, **params: Any) -> Node | None:
    found = _operands(low, aval, x, y)
    if found is None:
        return None
    core = y.operands[0] if y.op == "view" else y
    if core.op == "fill" and core.attributes[0] != 0:
        return low.builder.scale(found[0], 1 / core.attributes[0])
    return low.mapped(lax.div_p, aval, found, params, linear=(0,))


@lowering("select_n")
def _select_n(low: Lowering, aval: Any, which: Node, *cases: Node, **params: Any) -> Node | None:
    found = _operands(low, aval, *cases)
    if found is None:
        return None
    if len(found) == 2 and found[0].is_zero and behind(which).op == "identity":
        mask = low.builder.broadcast(_converted(low, which, str(aval.dtype)), aval.shape)
        return low.builder.multiply(mask, found[1])
    linear = tuple(range(1, 1 + len(cases)))
    return low.mapped(lax.select_n_p, aval, (low.builder.broadcast(which, aval.shape), *found), params, linear)


@lowering("reduce_sum")
def _reduce_sum(low: Lowering, aval: Any, x: Node, *, axes: Sequence[int], **_: Any) -> Node | None:
    return low.builder.reduce(x, [int(a) for a in axes]) if is_inexact(x.dtype) else None


@lowering("dot_general")
def _dot_general(
    low: Lowering,
    aval: Any,
    x: Node,
    y: Node,
    *,
    dimension_numbers: Any,
    precision: Any,
    out_sharding: Any = None,
    **_: Any,
) -> Node | None:
    if not is_inexact(x.dtype) or not x.dtype == y.dtype == str(aval.dtype) or not low.precisions.accepts(precision):
        return None
    (x_summed, y_summed), (x_batch, y_batch) = dimension_numbers
    x_labels = [("x", a) for a in range(x.ndim)]
    y_labels = [("y", a) for a in range(y.ndim)]
    for left, right in zip((*x_summed, *x_batch), (*y_summed, *y_batch), strict=True):
        y_labels[right] = x_labels[left]
    batch = [x_labels[a] for a in x_batch]
    summed = [x_labels[a] for a in x_summed]
    free = [label for label in (*x_labels, *y_labels) if label not in batch and label not in summed]
    found = low.builder.contract([(x, x_labels), (y, y_labels)], [*batch, *dict.fromkeys(free)])
    low.precisions.note(found, precision)
    return found


@lowering("convert_element_type")
def _convert(low: Lowering, aval: Any, x: Node, **params: Any) -> Node:
    if x.dtype == str(aval.dtype):
        return x
    if behind(x).op == "identity":
        return _converted(low, x, str(aval.dtype))
    if behind(x).op == "fill" and is_inexact(str(aval.dtype)):
        return low.builder.full(behind(x).attributes[0], aval.shape, str(aval.dtype))
    if _is_number(x) and is_inexact(str(aval.dtype)):
        return low.constant(x.payload.astype(aval.dtype)[()])
    return low.mapped(lax.convert_element_type_p, aval, (x,), params)


def _converted(low: Lowering, x: Node, dtype: str) -> Node:
    """A view of an identity matrix, of another type."""
    matrix = low.builder.identity(behind(x).shape[0], dtype)
    return low.builder.view(matrix, x.attributes[0], x.shape) if x.op == "view" else matrix


@lowering("eq")
def _eq(low: Lowering, aval: Any, x: Node, y: Node, **params: Any) -> Node:
    """An index compared with one along another axis is an identity matrix."""
    first, second = counted_axis(x), counted_axis(y)
    if None not in (first, second) and first != second and x.shape == y.shape and x.shape[first] == x.shape[second]:
        axes: list[int | None] = [None] * aval.ndim
        axes[first], axes[second] = 0, 1
        return low.builder.view(low.builder.identity(x.shape[first], "bool"), axes, aval.shape)
    return low.mapped(lax.eq_p, aval, (x, y), params)


def _entry_by_entry(*names: str) -> None:
    """Primitives that work entry by entry, known by name so that nothing else passes for one."""
    for name in names:
        primitive = getattr(primitives, f"{name}_p")

        @lowering(primitive.name)
        def _(low: Lowering, aval: Any, *operands: Node, _primitive: Any = primitive, **params: Any) -> Node:
            return low.mapped(_primitive, aval, operands, params)


_entry_by_entry(
    "abs", "acos", "acosh", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp", "cos", "cosh",
    "digamma", "erf", "erfc", "erf_inv", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite",
    "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "ne", "not", "or", "pow", "rem", "round", "rsqrt",
    "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "xor",
    *(["log2"] if hasattr(primitives, "log2_p") else []),  # since JAX 0.11
)  # fmt: skip
