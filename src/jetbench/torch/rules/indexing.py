"""Selection by index tensors and by mask, and sorting: linear once the indices are fixed by the primal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.errors import MissingRule
from jetbench.torch.jet import Jet, Value, jointly_linear, linear, primal
from jetbench.torch.rules.registry import rule

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


@rule(aten.scatter.value)
def scatter_value(x: Jet, dim: int, positions: Tensor, value: float) -> Jet:
    zeroed = linear(lambda t: t.scatter(dim, positions, 0), x)
    return Jet(x.algebra, x.primal.scatter(dim, positions, value), rest=zeroed.rest, present=x.present)


@rule(aten.scatter_reduce.two)
def scatter_reduce(
    x: Value, dim: int, positions: Tensor, source: Value, reduce: str, *, include_self: bool = True
) -> Jet:
    if reduce not in ("sum", "mean"):
        raise MissingRule(
            f"scatter_reduce has a rule for sum and mean, not for {reduce}. Write it with torch.where, or extend the "
            "rule in jetbench/torch/rules/indexing.py."
        )
    return jointly_linear(
        lambda parts: parts[0].scatter_reduce(dim, positions, parts[1], reduce, include_self=include_self), [x, source]
    )


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
