"""Rules for operations that arrange entries: views, slices, concatenations, indexing, and constant tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.collapse.arrange import numbered
from jetbench.collapse.graph import Node, is_inexact
from jetbench.torch.rewriting.lower import Lowering, dtype_name, lowering

aten = torch.ops.aten


def _axis(axis: int, ndim: int) -> int:
    return axis % ndim if ndim else 0


@lowering(
    aten.alias.default,
    aten.alias_copy.default,
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.detach_copy.default,
    aten._conj.default,
)
def _same(low: Lowering, value: Tensor, x: Node, **_: object) -> Node | None:
    return None if x.dtype.startswith("complex") else x


@lowering(aten.lift_fresh.default, aten.lift_fresh_copy.default)
def _fresh(low: Lowering, value: Tensor, x: Node) -> Node:
    return low.fixed(x)


@lowering(aten._to_copy.default, torch.ops.prims.convert_element_type.default)
def _convert(low: Lowering, value: Tensor, x: Node, *args: object, **kwargs: object) -> Node | None:
    if value.device != low.device:
        return None
    if dtype_name(value.dtype) == x.dtype:
        return x
    if x.op == "identity" and value.dtype.is_floating_point:
        return low.builder.identity(x.shape[0], dtype_name(value.dtype))
    return low.mapped(torch.ops.prims.convert_element_type.default, value, (x, value.dtype))


@lowering(aten.copy.default)
def _copy(low: Lowering, value: Tensor, x: Node, source: Node, *_: object) -> Node | None:
    return low.builder.broadcast(source, value.shape) if source.dtype == x.dtype else None


@lowering(
    aten.view.default,
    aten.view_copy.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten._reshape_alias.default,
    aten._reshape_copy.default,
)
def _reshape(low: Lowering, value: Tensor, x: Node, *_: object) -> Node | None:
    return low.builder.reshape(x, value.shape) if x.dtype == dtype_name(value.dtype) else None


def _joined(low: Lowering, x: Node, offset: int, first: int, second: int) -> Node | None:
    """The diagonal of two axes of one length, as the last axis."""
    first, second = sorted((_axis(first, x.ndim), _axis(second, x.ndim)))
    if offset or x.shape[first] != x.shape[second] or not is_inexact(x.dtype):
        return None
    labels = numbered([first if a == second else a for a in range(x.ndim)])
    found = low.builder.diagonal(x, labels)
    return low.builder.permute(found, [*(a for a in range(found.ndim) if a != labels[first]), labels[first]])


@lowering(aten.diagonal.default, aten.diagonal_copy.default)
def _diagonal(low: Lowering, value: Tensor, x: Node, offset: int = 0, first: int = 0, second: int = 1) -> Node | None:
    return _joined(low, x, offset, first, second)


@lowering(aten.trace.default)
def _trace(low: Lowering, value: Tensor, x: Node) -> Node | None:
    found = _joined(low, x, 0, 0, 1)
    return None if found is None else low.builder.reduce(found, (0,))


@lowering(aten.diagonal_scatter.default)
def _diagonal_scatter(
    low: Lowering, value: Tensor, x: Node, source: Node, offset: int = 0, first: int = 0, second: int = 1
) -> Node | None:
    """Ones on the diagonal of zeros: how `jacfwd` makes its directions."""
    first, second = _axis(first, x.ndim), _axis(second, x.ndim)
    core = source.operands[0] if source.op == "view" else source
    if offset or not x.is_zero or x.shape[first] != x.shape[second] or core.op != "fill" or core.attributes[0] != 1:
        return None
    axes = [0 if a == first else 1 if a == second else None for a in range(x.ndim)]
    return low.builder.view(low.builder.identity(x.shape[first], x.dtype), axes, x.shape)


@lowering(aten.eye.default, aten.eye.m)
def _eye(low: Lowering, value: Tensor, *_: object, **__: object) -> Node | None:
    if not _is_here(low, value) or value.shape[0] != value.shape[1]:
        return None
    return low.builder.identity(value.shape[0], dtype_name(value.dtype))


@lowering(aten.expand.default, aten.expand_copy.default)
def _expand(low: Lowering, value: Tensor, x: Node, *_: object, **__: object) -> Node:
    return low.builder.broadcast(x, value.shape)


@lowering(aten.permute.default, aten.permute_copy.default)
def _permute(low: Lowering, value: Tensor, x: Node, order: Sequence[int]) -> Node:
    return low.builder.permute(x, [_axis(a, x.ndim) for a in order])


@lowering(aten.t.default, aten.t_copy.default)
def _t(low: Lowering, value: Tensor, x: Node) -> Node:
    return low.builder.permute(x, range(x.ndim)[::-1])


@lowering(aten.transpose.int, aten.transpose_copy.int)
def _transpose(low: Lowering, value: Tensor, x: Node, first: int, second: int) -> Node:
    order = list(range(x.ndim))
    first, second = _axis(first, x.ndim), _axis(second, x.ndim)
    order[first], order[second] = second, first
    return low.builder.permute(x, order)


@lowering(
    aten.unsqueeze.default,
    aten.unsqueeze_copy.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.squeeze_copy.default,
    aten.squeeze_copy.dim,
    aten.squeeze_copy.dims,
)
def _squeeze(low: Lowering, value: Tensor, x: Node, *_: object) -> Node:
    return low.builder.reshape(x, value.shape)


@lowering(aten.select.int, aten.select_copy.int)
def _select(low: Lowering, value: Tensor, x: Node, axis: int, index: int) -> Node:
    axis = _axis(axis, x.ndim)
    index = index % x.shape[axis]
    return low.builder.squeeze(low.builder.slice(x, axis, index, index + 1), (axis,))


@lowering(aten.slice.Tensor, aten.slice_copy.Tensor)
def _slice(
    low: Lowering,
    value: Tensor,
    x: Node,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Node:
    axis = _axis(axis, x.ndim)
    start, stop, step = slice(start, stop, step).indices(x.shape[axis])
    return low.builder.slice(x, axis, start, max(start, stop), step)


@lowering(aten.split.Tensor, aten.split_with_sizes.default)
def _split(low: Lowering, value: Sequence[Tensor], x: Node, _: object, axis: int = 0) -> tuple[Node, ...]:
    axis, parts, start = _axis(axis, x.ndim), [], 0
    for part in value:
        parts.append(low.builder.slice(x, axis, start, start + part.shape[axis]))
        start += part.shape[axis]
    return tuple(parts)


@lowering(aten.unbind.int)
def _unbind(low: Lowering, value: Sequence[Tensor], x: Node, axis: int = 0) -> tuple[Node, ...]:
    return tuple(_select(low, part, x, axis, i) for i, part in enumerate(value))


@lowering(aten.cat.default)
def _cat(low: Lowering, value: Tensor, tensors: Sequence[Node], axis: int = 0) -> Node | None:
    kept = [x for x in tensors if x.ndim == value.ndim]
    if any(x.dtype != dtype_name(value.dtype) for x in kept) or not kept:
        return None
    return low.builder.concatenate(kept, _axis(axis, value.ndim))


@lowering(aten.stack.default)
def _stack(low: Lowering, value: Tensor, tensors: Sequence[Node], axis: int = 0) -> Node | None:
    if any(x.dtype != dtype_name(value.dtype) for x in tensors):
        return None
    axis = _axis(axis, value.ndim)
    return low.builder.concatenate([low.builder.unsqueeze(x, axis) for x in tensors], axis)


@lowering(aten.constant_pad_nd.default)
def _pad(low: Lowering, value: Tensor, x: Node, widths: Sequence[int], fill: float = 0) -> Node | None:
    if fill != 0 or any(w < 0 for w in widths):
        return None
    for i in range(len(widths) // 2):
        before, after = widths[2 * i : 2 * i + 2]
        axis = x.ndim - 1 - i
        if before or after:
            x = low.builder.along("pad", (x,), axis, x.shape[axis] + before + after, (before, after))
    return x


@lowering(aten.index_select.default)
def _index_select(low: Lowering, value: Tensor, x: Node, axis: int, index: Node) -> Node:
    axis = _axis(axis, x.ndim)
    return low.builder.along("gather", (x, index), axis, value.shape[axis], linear=(0,))


@lowering(aten.index.Tensor)
def _index(low: Lowering, value: Tensor, x: Node, indices: Sequence[Node | None]) -> Node | None:
    given = [(a, index) for a, index in enumerate(indices) if index is not None]
    if len(given) != 1 or given[0][1].ndim != 1 or given[0][1].dtype == "bool":
        return None
    axis, index = given[0]
    return low.builder.along("gather", (x, index), axis, index.shape[0], linear=(0,))


@lowering(aten.flip.default)
def _flip(low: Lowering, value: Tensor, x: Node, axes: Sequence[int]) -> Node:
    for axis in axes:
        axis = _axis(axis, x.ndim)
        x = low.builder.along("flip", (x,), axis, x.shape[axis])
    return x


@lowering(aten.cumsum.default)
def _cumsum(low: Lowering, value: Tensor, x: Node, axis: int, **kwargs: object) -> Node | None:
    if not is_inexact(x.dtype) or x.dtype != dtype_name(value.dtype) or x.ndim == 0:
        return None
    axis = _axis(axis, x.ndim)
    return low.builder.along("cumsum", (x,), axis, x.shape[axis])


@lowering(aten._efficientzerotensor.default, aten.zeros.default, aten.zeros_like.default, aten.new_zeros.default)
def _zeros(low: Lowering, value: Tensor, *_: object, **__: object) -> Node | None:
    return low.builder.full(0.0, value.shape, dtype_name(value.dtype)) if _is_here(low, value) else None


@lowering(aten.ones.default, aten.ones_like.default, aten.new_ones.default)
def _ones(low: Lowering, value: Tensor, *_: object, **__: object) -> Node | None:
    return low.builder.full(1.0, value.shape, dtype_name(value.dtype)) if _is_here(low, value) else None


@lowering(aten.full.default, aten.full_like.default, aten.new_full.default)
def _full(low: Lowering, value: Tensor, _: object, fill: float, *__: object, **___: object) -> Node | None:
    if not isinstance(fill, (int, float)) or not _is_here(low, value):
        return None
    return low.builder.full(float(fill), value.shape, dtype_name(value.dtype))


@lowering(aten.scalar_tensor.default)
def _scalar(low: Lowering, value: Tensor, fill: float, **_: object) -> Node | None:
    return _full(low, value, None, fill)


def _is_here(low: Lowering, value: Tensor) -> bool:
    return value.device == low.device and value.dtype.is_floating_point
