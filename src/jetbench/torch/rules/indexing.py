"""Selection by index tensors and by mask, and sorting: linear once the indices are fixed by the primal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, algebra_of, jointly_linear, linear, primal, times
from jetbench.torch.registry import rule
from jetbench.torch.rules.piecewise import where

aten = torch.ops.aten


@rule(aten.index.Tensor)
def index(x: Value, indices: Sequence[Value | None]) -> Value:
    fixed = [None if i is None else primal(i) for i in indices]
    if not isinstance(x, Jet):
        return aten.index.Tensor(x, fixed)
    return linear(lambda t: aten.index.Tensor(t, fixed), x)


@rule(aten.gather.default)
def gather(x: Value, dim: int, positions: Value, sparse_grad: bool = False) -> Value:
    del sparse_grad
    positions = primal(positions)
    return linear(lambda t: t.gather(dim, positions), x) if isinstance(x, Jet) else x.gather(dim, positions)


@rule(aten.index_select.default)
def index_select(x: Jet, dim: int, positions: Tensor) -> Jet:
    return linear(lambda t: t.index_select(dim, positions), x)


@rule(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def masked_fill(x: Value, mask: Value, value: object) -> Value:
    mask = primal(mask)
    if isinstance(value, Jet):
        return jointly_linear(lambda parts: torch.where(mask, parts[1], parts[0]), [x, value])
    if not isinstance(x, Jet):
        return x.masked_fill(mask, value)
    zeroed = linear(lambda t: t.masked_fill(mask, 0), x)
    return Jet(x.algebra, x.primal.masked_fill(mask, value), rest=zeroed.rest, present=x.present)


@rule(aten.scatter.src)
def scatter(x: Value, dim: int, positions: Tensor, source: Value) -> Jet:
    return jointly_linear(lambda parts: parts[0].scatter(dim, positions, parts[1]), [x, source])


@rule(aten.diagonal_scatter.default)
def diagonal_scatter(x: Value, source: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Jet:
    """x with a diagonal replaced, as in the backward pass of `diagonal`."""
    return jointly_linear(lambda parts: torch.diagonal_scatter(*parts, offset, dim1, dim2), [x, source])


@rule(aten.scatter.value)
def scatter_value(x: Jet, dim: int, positions: Tensor, value: float) -> Jet:
    zeroed = linear(lambda t: t.scatter(dim, positions, 0), x)
    return Jet(x.algebra, x.primal.scatter(dim, positions, value), rest=zeroed.rest, present=x.present)


@rule(aten.scatter_reduce.two)
def scatter_reduce(
    x: Value, dim: int, positions: Tensor, source: Value, reduce: str, *, include_self: bool = True
) -> Jet:
    if reduce in ("amax", "amin"):
        return _scattered_extremum(x, dim, positions, source, reduce, include_self)
    if reduce == "prod":
        return _scattered_product(x, dim, positions, source, include_self)
    return jointly_linear(
        lambda parts: parts[0].scatter_reduce(dim, positions, parts[1], reduce, include_self=include_self), [x, source]
    )


def _scattered_extremum(x: Value, dim: int, positions: Tensor, source: Value, reduce: str, include_self: bool) -> Jet:
    """The extreme entries of each place; among equal ones PyTorch's derivative is their mean."""
    source = _cut(source, positions.shape)
    best = primal(x).scatter_reduce(dim, positions, primal(source), reduce, include_self=include_self)
    own = primal(x) == best
    if not include_self:
        own = own & (torch.ones_like(best).scatter(dim, positions, 0) != 0)
    hit = primal(source) == best.gather(dim, positions)
    count = own.to(best.dtype).scatter_add(dim, positions, hit.to(best.dtype))

    def mean(parts: list[Tensor]) -> Tensor:
        chosen = torch.where(own, parts[0], 0), torch.where(hit, parts[1], 0)
        return chosen[0].scatter_add(dim, positions, chosen[1]) / count

    found = jointly_linear(mean, [x, source])
    return Jet(found.algebra, best, rest=found.rest, present=found.present)


def _scattered_product(x: Value, dim: int, positions: Tensor, source: Value, include_self: bool) -> Jet:
    """One factor after the other, which is right for zeros too: each of those at one position along `dim` has a place
    of its own."""
    algebra = algebra_of(x, source)
    result = x if isinstance(x, Jet) else Jet(algebra, x)
    source = _cut(source if isinstance(source, Jet) else Jet(algebra, source), positions.shape)
    if not include_self:
        ones = torch.ones_like(result.primal)
        result = where(ones.scatter(dim, positions, 0) != 0, result, ones)
    for n in range(positions.shape[dim]):
        place = positions.narrow(dim, n, 1)
        factor = linear(lambda t, n=n: t.narrow(dim, n, 1), source)
        result = scatter(result, dim, place, times(gather(result, dim, place), factor))
    return result


def _cut(source: Value, shape: Sequence[int]) -> Value:
    """The first entries of each axis, as many as there are positions."""

    def cut(t: Tensor) -> Tensor:
        for axis, size in enumerate(shape):
            t = t.narrow(axis, 0, size)
        return t

    return linear(cut, source) if isinstance(source, Jet) else cut(source)


@rule(aten.index_reduce.default)
def index_reduce(
    x: Value, dim: int, positions: Tensor, source: Value, reduce: str, *, include_self: bool = True
) -> Jet:
    shape = [-1 if axis == dim % primal(x).ndim else 1 for axis in range(primal(x).ndim)]
    spread = positions.reshape(shape).expand(source.shape)
    return scatter_reduce(x, dim, spread, source, reduce, include_self=include_self)


@rule(aten.scatter_add.default)
def scatter_add(x: Value, dim: int, positions: Tensor, source: Value) -> Jet:
    return jointly_linear(lambda parts: parts[0].scatter_add(dim, positions, parts[1]), [x, source])


@rule(aten.index_add.default)
def index_add(x: Value, dim: int, positions: Tensor, source: Value, *, alpha: float = 1) -> Jet:
    return jointly_linear(lambda parts: parts[0].index_add(dim, positions, parts[1], alpha=alpha), [x, source])


@rule(aten.index_put.default)
def index_put(x: Value, indices: Sequence[Tensor | None], values: Value, accumulate: bool = False) -> Jet:
    return jointly_linear(lambda parts: aten.index_put.default(parts[0], indices, parts[1], accumulate), [x, values])


@rule(aten.sort.default, aten.sort.stable)
def sort(x: Jet, *args: object, **kwargs: object) -> tuple[Jet, Tensor]:
    dim = kwargs.get("dim", next((a for a in args if isinstance(a, int) and not isinstance(a, bool)), -1))
    descending = kwargs.get("descending", any(a is True for a in args[1:]) if "stable" not in kwargs else False)
    positions = torch.sort(x.primal, dim=dim, descending=descending, stable=True).indices
    return linear(lambda t: t.gather(dim, positions), x), positions


@rule(aten.topk.default)
def topk(x: Jet, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Jet, Tensor]:
    positions = torch.topk(x.primal, k, dim, largest, sorted).indices
    return linear(lambda t: t.gather(dim, positions), x), positions
