"""Sums, means, products, extrema and norms over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Number

import torch
from torch import Tensor

from jetbench.torch.jet import Jet, Value, add, jointly_linear, linear, times
from jetbench.torch.registry import rule
from jetbench.torch.rules.piecewise import absolute
from jetbench.torch.rules.powers import power, rooted
from jetbench.torch.rules.precision import accumulated, in_type

aten = torch.ops.aten


def _linear(operation: object) -> None:
    @rule(operation)
    def apply(x: Jet, *args: object, **kwargs: object) -> Jet:
        return linear(lambda t: operation(t, *args, **kwargs), x)


for _operation in (
    aten.sum.default,
    aten.sum.dim_IntList,
    aten.mean.default,
    aten.mean.dim,
    aten.cumsum.default,
    aten.avg_pool1d.default,
    aten.avg_pool2d.default,
    aten.avg_pool3d.default,
    aten._adaptive_avg_pool2d.default,
    aten._adaptive_avg_pool3d.default,
):
    _linear(_operation)


def _axes(x: Jet, dims: Sequence[int] | int | None) -> tuple[int, ...]:
    """Axes as non-negative numbers; all of them where none is named."""
    if dims is None or (not isinstance(dims, int) and len(dims) == 0):
        return tuple(range(x.ndim))
    dims = (dims,) if isinstance(dims, int) else dims
    return tuple(d % x.ndim for d in dims) if x.ndim else ()


def _extremum(x: Jet, dims: Sequence[int] | None, keepdim: bool, value: Tensor) -> Jet:
    """The extreme entries; among equal ones PyTorch's derivative is their mean."""
    hit = x.primal == value
    count = hit.sum(dims, keepdim=keepdim)
    found = linear(lambda t: torch.where(hit, t, 0).sum(dims, keepdim=keepdim) / count, x)
    shaped = value if keepdim else value.reshape(found.shape)
    return Jet(x.algebra, shaped, rest=found.rest, present=x.present)


@rule(aten.amax.default)
def amax(x: Jet, dim: Sequence[int] = (), keepdim: bool = False) -> Jet:
    axes = _axes(x, dim)
    return _extremum(x, axes, keepdim, x.primal.amax(axes, keepdim=True))


@rule(aten.amin.default)
def amin(x: Jet, dim: Sequence[int] = (), keepdim: bool = False) -> Jet:
    axes = _axes(x, dim)
    return _extremum(x, axes, keepdim, x.primal.amin(axes, keepdim=True))


@rule(aten.max.default)
def max_all(x: Jet) -> Jet:
    return amax(x)


@rule(aten.min.default)
def min_all(x: Jet) -> Jet:
    return amin(x)


def _at(x: Jet, positions: Tensor, dim: int, keepdim: bool) -> tuple[Jet, Tensor]:
    kept = positions if keepdim else positions.unsqueeze(dim)

    def pick(t: Tensor) -> Tensor:
        found = t.gather(dim, kept)
        return found if keepdim else found.squeeze(dim)

    return linear(pick, x), positions


@rule(aten.max.dim)
def max_dim(x: Jet, dim: int, keepdim: bool = False) -> tuple[Jet, Tensor]:
    return _at(x, x.primal.max(dim, keepdim).indices, dim, keepdim)


@rule(aten.min.dim)
def min_dim(x: Jet, dim: int, keepdim: bool = False) -> tuple[Jet, Tensor]:
    return _at(x, x.primal.min(dim, keepdim).indices, dim, keepdim)


@rule(aten.prod.dim_int)
def prod_dim(x: Jet, dim: int, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Jet:
    """A balanced tree of products, which is right for zero entries too."""
    x = x if dtype is None else in_type(x, dtype)
    width = x.shape[dim]
    if width == 0:
        return Jet(x.algebra, x.primal.prod(dim, keepdim=keepdim))
    while width > 1:
        half = width // 2
        first = linear(lambda t, n=half: t.narrow(dim, 0, n), x)
        second = linear(lambda t, n=half: t.narrow(dim, n, n), x)
        product = times(first, second)
        if width % 2:
            last = linear(lambda t, n=width: t.narrow(dim, n - 1, 1), x)
            product = jointly_linear(lambda parts: torch.cat(parts, dim), [product, last])
        x, width = product, half + width % 2
    return x if keepdim else linear(lambda t: t.squeeze(dim), x)


@rule(aten.prod.default)
def prod_all(x: Jet, *, dtype: torch.dtype | None = None) -> Jet:
    return prod_dim(linear(lambda t: t.reshape(-1), x), 0, dtype=dtype)


def centered(x: Jet, axes: tuple[int, ...]) -> Jet:
    """x minus its mean over the axes."""
    return linear(lambda t: t - t.mean(axes, keepdim=True), x)


@accumulated
def variance(x: Jet, axes: tuple[int, ...], correction: Number, keepdim: bool) -> Jet:
    """Σ|x − mean|²/(n − correction) over the axes."""
    if x.dtype.is_complex:
        parts = (linear(part, x, part) for part in (torch.real, torch.imag))
        return add(*(variance(part, axes, correction, keepdim) for part in parts))
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    deviation = centered(x, axes)
    square = power(deviation, 2)
    return linear(lambda t: t.sum(axes, keepdim=keepdim) / (count - correction), square)


@rule(aten.var.correction)
def var(x: Jet, dim: Sequence[int] | None = None, *, correction: Number | None = None, keepdim: bool = False) -> Jet:
    return variance(x, _axes(x, dim), 1 if correction is None else correction, keepdim)


@rule(aten.std.correction)
@accumulated
def std(x: Jet, dim: Sequence[int] | None = None, *, correction: Number | None = None, keepdim: bool = False) -> Jet:
    return power(var(x, dim, correction=correction, keepdim=keepdim), 0.5)


@rule(aten.linalg_vector_norm.default)
def vector_norm(
    x: Jet, order: Number = 2, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: object = None
) -> Value:
    """(Σ|x_i|^p)^(1/p); the largest or least modulus for p = ±∞, the number of entries other than 0 for p = 0."""
    x = x if dtype is None else in_type(x, dtype)
    axes = _axes(x, dim)
    if order == 0 or any(x.shape[axis] == 0 for axis in axes):
        return torch.linalg.vector_norm(x.primal, order, axes, keepdim)
    if math.isinf(order):
        return (amax if order > 0 else amin)(absolute(x), axes, keepdim)
    if order == 1:
        return linear(lambda t: t.sum(axes, keepdim=keepdim), absolute(x))

    return rooted(_norm(x, order, axes, keepdim), lambda: _sum_of_powers(x, order, axes, keepdim), order)


def _sum_of_powers(x: Jet, order: Number, axes: tuple[int, ...], keepdim: bool) -> Jet:
    """Σ|x_i|^p."""
    base = x if order % 2 == 0 and not x.dtype.is_complex else absolute(x)
    return linear(lambda t: t.sum(axes, keepdim=keepdim), power(base, order))


@accumulated
def _norm(x: Jet, order: Number, axes: tuple[int, ...], keepdim: bool) -> Jet:
    """s·(Σ|x_i/s|^p)^(1/p) with the largest modulus s, as powers of very large or small entries are out of range."""
    size = torch.linalg.vector_norm(x.primal.detach(), torch.inf, axes, keepdim=True)
    size = torch.where((size > 0) & size.isfinite(), size, 1)
    root = power(_sum_of_powers(linear(lambda t: t / size, x), order, axes, keepdim), 1 / order)
    size = size if keepdim else size.reshape(root.shape)
    return linear(lambda t: t * size, root)


@rule(aten.var_mean.correction)
def var_mean(
    x: Jet, dim: Sequence[int] | None = None, *, correction: Number | None = None, keepdim: bool = False
) -> tuple[Jet, Jet]:
    axes = _axes(x, dim)
    return var(x, dim, correction=correction, keepdim=keepdim), linear(lambda t: t.mean(axes, keepdim=keepdim), x)


@rule(aten.median.dim, aten.nanmedian.dim)
def median_dim(x: Jet, dim: int, keepdim: bool = False) -> tuple[Jet, Tensor]:
    return _at(x, x.primal.median(dim, keepdim).indices, dim, keepdim)


@rule(aten.mode.default)
def mode(x: Jet, dim: int = -1, keepdim: bool = False) -> tuple[Jet, Tensor]:
    return _at(x, x.primal.mode(dim, keepdim).indices, dim, keepdim)


@rule(aten.kthvalue.default)
def kthvalue(x: Jet, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Jet, Tensor]:
    return _at(x, x.primal.kthvalue(k, dim, keepdim).indices, dim, keepdim)


@rule(aten.cummax.default)
def cummax(x: Jet, dim: int) -> tuple[Jet, Tensor]:
    positions = x.primal.cummax(dim).indices
    return linear(lambda t: t.gather(dim, positions), x), positions


@rule(aten.cummin.default)
def cummin(x: Jet, dim: int) -> tuple[Jet, Tensor]:
    positions = x.primal.cummin(dim).indices
    return linear(lambda t: t.gather(dim, positions), x), positions


@rule(aten.cumprod.default)
def cumprod(x: Jet, dim: int, *, dtype: torch.dtype | None = None) -> Jet:
    """One product after the other, which is right for zero entries too."""
    x = x if dtype is None else in_type(x, dtype)
    found = [linear(lambda t: t.narrow(dim, 0, 1), x)] if x.shape[dim] else []
    for n in range(1, x.shape[dim]):
        found.append(times(found[-1], linear(lambda t, n=n: t.narrow(dim, n, 1), x)))
    return jointly_linear(lambda parts: torch.cat(parts, dim), found) if found else x


@rule(aten._cdist_forward.default)
def cdist(a: Value, b: Value, order: Number, mode: int | None) -> Jet:
    """|a_i − b_j| in the p-norm, for rows a_i and b_j."""
    del mode
    left = linear(lambda t: t.unsqueeze(-2), a) if isinstance(a, Jet) else a.unsqueeze(-2)
    right = linear(lambda t: t.unsqueeze(-3), b) if isinstance(b, Jet) else b.unsqueeze(-3)
    return vector_norm(add(left, right, -1), order, (-1,))
