"""Rules for primitives that arrange entries: views, slices, concatenations, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from jetbench.collapse.arrange import numbered
from jetbench.collapse.graph import Node, is_inexact
from jetbench.jax.rewriting.emit import known
from jetbench.jax.rewriting.lower import Call, Lowering, lowering


@lowering("copy", "copy_p", "name", "optimization_barrier", "pvary")
def _same(low: Lowering, result: Any, *values: Node, **_: Any) -> Node | tuple[Node, ...]:
    """That a value may differ along an axis of a mesh is said again where it is used."""
    return values if isinstance(result, JaxprEqn) else values[0]


@lowering("reshape")
def _reshape(low: Lowering, aval: Any, x: Node, *, dimensions: Any = None, **_: Any) -> Node | None:
    return low.builder.reshape(x, aval.shape) if dimensions is None else None


@lowering("iota")
def _iota(low: Lowering, aval: Any, *dynamic: Node, dimension: int, **params: Any) -> Node | None:
    if dynamic:
        return None
    n, dtype = aval.shape[dimension], str(aval.dtype)
    call = Call(lax.iota_p, params | {"shape": (n,), "dimension": 0})
    counter = low.builder.graph.make("opaque", (), ("iota", (n, dtype)), (n,), dtype, call)
    return low.builder.view(counter, [0 if a == dimension else None for a in range(aval.ndim)], aval.shape)


@lowering("gather")
def _gather(
    low: Lowering, aval: Any, x: Node, index: Node, *, dimension_numbers: Any, slice_sizes: Sequence[int], **_: Any
) -> Node | None:
    """A diagonal, where the index counts along two axes at once."""
    pair = tuple(int(a) for a in dimension_numbers.collapsed_slice_dims)
    joined = len(pair) == 2 and tuple(dimension_numbers.start_index_map) == pair and is_inexact(x.dtype)
    if not joined or dimension_numbers.operand_batching_dims or x.shape[pair[0]] != x.shape[pair[1]]:
        return None
    n = x.shape[pair[0]]
    whole = [1 if a in pair else size for a, size in enumerate(x.shape)]
    if list(slice_sizes) != whole or index.shape != (n, 2) or (counted := known(index)) is None:
        return None
    if not (counted == np.arange(n)[:, None]).all():
        return None
    labels = numbered([pair[0] if a == pair[1] else a for a in range(x.ndim)])
    others = iter([label for label in range(x.ndim - 1) if label != labels[pair[0]]])
    offsets = dimension_numbers.offset_dims
    order = [next(others) if a in offsets else labels[pair[0]] for a in range(x.ndim - 1)]
    return low.builder.permute(low.builder.diagonal(x, labels), order)


@lowering("squeeze", "expand_dims")
def _squeeze(low: Lowering, aval: Any, x: Node, **_: Any) -> Node:
    return low.builder.reshape(x, aval.shape)


@lowering("transpose")
def _transpose(low: Lowering, aval: Any, x: Node, *, permutation: Sequence[int], **_: Any) -> Node:
    return low.builder.permute(x, [int(a) for a in permutation])


@lowering("broadcast_in_dim")
def _broadcast_in_dim(
    low: Lowering, aval: Any, x: Node, *dynamic: Node, broadcast_dimensions: Sequence[int], **_: Any
) -> Node | None:
    if dynamic:
        return None
    axes: list[int | None] = [None] * aval.ndim
    for a, target in enumerate(broadcast_dimensions):
        axes[int(target)] = a if x.shape[a] == aval.shape[int(target)] else None
    return low.builder.view(x, axes, aval.shape)


@lowering("slice")
def _slice(
    low: Lowering,
    aval: Any,
    x: Node,
    *,
    start_indices: Sequence[int],
    limit_indices: Sequence[int],
    strides: Any,
    **_: Any,
) -> Node:
    steps = strides or (1,) * x.ndim
    for axis, (start, stop, step) in enumerate(zip(start_indices, limit_indices, steps, strict=True)):
        x = low.builder.slice(x, axis, int(start), int(stop), int(step))
    return x


@lowering("split")
def _split(low: Lowering, eqn: Any, x: Node, *, sizes: Sequence[int], axis: int, **_: Any) -> list[Node]:
    parts, start = [], 0
    for size in sizes:
        parts.append(low.builder.slice(x, int(axis), start, start + int(size)))
        start += int(size)
    return parts


@lowering("concatenate")
def _concatenate(low: Lowering, aval: Any, *operands: Node, dimension: int, **_: Any) -> Node:
    return low.builder.concatenate(operands, int(dimension))


@lowering("pad")
def _pad(low: Lowering, aval: Any, x: Node, fill: Node, *, padding_config: Sequence, **_: Any) -> Node | None:
    if not fill.is_zero or any(low_ < 0 or high < 0 or inner for low_, high, inner in padding_config):
        return None
    for axis, (before, after, _) in enumerate(padding_config):
        if before or after:
            x = low.builder.along("pad", (x,), axis, x.shape[axis] + before + after, (int(before), int(after)))
    return x


@lowering("rev")
def _rev(low: Lowering, aval: Any, x: Node, *, dimensions: Sequence[int], **_: Any) -> Node:
    for axis in dimensions:
        x = low.builder.along("flip", (x,), int(axis), x.shape[int(axis)])
    return x


@lowering("cumsum")
def _cumsum(low: Lowering, aval: Any, x: Node, *, axis: int, reverse: bool, **_: Any) -> Node | None:
    if not is_inexact(x.dtype):
        return None
    return low.builder.along("cumsum", (x,), int(axis), x.shape[int(axis)], (bool(reverse),))
