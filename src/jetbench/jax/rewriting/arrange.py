"""Rules for primitives that arrange entries: views, slices, concatenations, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jetbench.collapse.graph import Node, is_inexact
from jetbench.jax.rewriting.lower import Lowering, lowering


@lowering("copy", "copy_p", "name", "optimization_barrier")
def _same(low: Lowering, aval: Any, x: Node, *_: Node, **__: Any) -> Node:
    return x


@lowering("reshape")
def _reshape(low: Lowering, aval: Any, x: Node, *, dimensions: Any = None, **_: Any) -> Node | None:
    return low.builder.reshape(x, aval.shape) if dimensions is None else None


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
