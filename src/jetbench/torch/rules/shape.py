"""Operations that move, copy, select by position or repeat entries: linear, so every coefficient is moved alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, jointly_linear, linear, linear_many, primal
from jetbench.torch.registry import rule
from jetbench.torch.rules.powers import moved

aten = torch.ops.aten


def _moved(operation: Callable) -> None:
    @rule(operation)
    def apply(x: Jet, *args: object, **kwargs: object) -> Jet:
        return moved(lambda t: operation(t, *args, **kwargs), x)


def _linear_many(operation: Callable) -> None:
    @rule(operation)
    def apply(x: Jet, *args: object, **kwargs: object) -> tuple[Jet, ...]:
        return linear_many(lambda t: operation(t, *args, **kwargs), x)


for _operation in (
    aten.t.default,
    aten.transpose.int,
    aten.permute.default,
    aten.unsqueeze.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.select.int,
    aten.slice.Tensor,
    aten.clone.default,
    aten.alias.default,
    aten.repeat.default,
    aten.flip.default,
    aten.roll.default,
    aten.diagonal.default,
    aten.tril.default,
    aten.triu.default,
    aten.diag_embed.default,
    aten.unfold.default,
):
    _moved(_operation)

for _operation in (aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int):
    _linear_many(_operation)


@rule(aten.view.default, aten._unsafe_view.default, aten.reshape.default)
def view(x: Jet, size: Sequence[int]) -> Jet:
    return moved(lambda t: t.reshape(size), x, lambda t: t.reshape(t.shape[0], *_explicit(size, x.primal)))


def _explicit(size: Sequence[int], x: Tensor) -> Sequence[int]:
    """The new shape with −1 worked out, as the component axis would make it ambiguous."""
    return x.reshape(size).shape if -1 in size else size


@rule(aten.constant_pad_nd.default)
def constant_pad(x: Jet, padding: Sequence[int], value: float = 0) -> Jet:
    """The added entries do not depend on x, so that their coefficients are zero."""
    moved = linear(lambda t: aten.constant_pad_nd.default(t, padding), x)
    return Jet(x.algebra, aten.constant_pad_nd.default(x.primal, padding, value), rest=moved.rest, present=x.present)


@rule(aten.expand.default)
def expand(x: Jet, size: Sequence[int], implicit: bool = False) -> Jet:
    del implicit
    return moved(lambda t: t.expand(size), x)


@rule(aten._to_copy.default)
def to_copy(x: Jet, **options: object) -> Value:
    """A copy of another type; whole numbers and truth values have no derivatives."""
    dtype = options.get("dtype") or x.dtype
    if not dtype.is_floating_point and not dtype.is_complex:
        return aten._to_copy.default(x.primal, **options)
    if x.dtype.is_complex and not dtype.is_complex:
        x = linear(torch.real, x, torch.real)
    return moved(lambda t: t.to(dtype), x, lambda t: t.to(dtype))


@rule(aten.cat.default)
def cat(values: Sequence[Value], dim: int = 0) -> Jet:
    # the empty 1-d tensors that torch.cat ignores have no counterpart with a component axis
    values = [value for value in values if value.shape != (0,)] or list(values)
    return jointly_linear(lambda parts: torch.cat(parts, dim), values)


@rule(aten.stack.default)
def stack(values: Sequence[Value], dim: int = 0) -> Jet:
    return jointly_linear(lambda parts: torch.stack(parts, dim), values)


@rule(aten.slice_scatter.default)
def slice_scatter(
    x: Value, source: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Jet:
    positions = torch.arange(x.shape[dim], device=primal(x).device)[start:end:step]
    return jointly_linear(lambda parts: parts[0].index_copy(dim, positions, parts[1]), [x, source])


@rule(aten.select_scatter.default)
def select_scatter(x: Value, source: Value, dim: int, index: int) -> Jet:
    position = torch.tensor([index % x.shape[dim]], device=primal(x).device)
    return jointly_linear(lambda parts: parts[0].index_copy(dim, position, parts[1].unsqueeze(dim)), [x, source])


@rule(aten.copy.default)
def copy(x: Value, source: Value, non_blocking: bool = False) -> Value:
    """The values of `source` in the shape of x."""
    del non_blocking
    if not isinstance(source, Jet):
        return aten.copy.default(x.primal, source)
    target = x.primal if isinstance(x, Jet) else x
    moved = add(source, torch.zeros_like(target))
    return moved
