"""Norms, variances, distances, products and sums over axes.

A norm is a root of a sum: where it vanishes, its derivatives are not finite (see `roots`). PyTorch gives 0 there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor
from torch.nn import functional

from jetbench.torch.corrected.formulas import formula
from jetbench.torch.corrected.ranges import logaddexp
from jetbench.torch.corrected.roots import root

aten = torch.ops.aten


def _squared_modulus(x: Tensor) -> Tensor:
    return torch.view_as_real(x).square().sum(-1) if x.is_complex() else x.square()


def p_norm(x: Tensor, p: float, axes: Sequence[int] | None, keepdim: bool = False) -> Tensor:
    """(Σ |x|^p)^(1/p) over the axes, all of them by default."""
    axes = tuple(range(x.ndim)) if not axes else tuple(axes)
    if p == 2:
        return root(_squared_modulus(x).sum(axes, keepdim=keepdim))
    modulus = _squared_modulus(x).sqrt() if x.is_complex() else x.abs()
    if abs(p) == inf:
        return (torch.amax if p > 0 else torch.amin)(modulus, axes, keepdim=keepdim)
    if p == 0:
        return (modulus != 0).to(modulus.dtype).sum(axes, keepdim=keepdim)
    if p == 1:
        return modulus.sum(axes, keepdim=keepdim)
    power = _squared_modulus(x) ** (p // 2) if p % 2 == 0 and p > 0 else modulus**p
    return power.sum(axes, keepdim=keepdim) ** (1 / p)


@formula(aten.linalg_vector_norm.default)
def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    return p_norm(x if dtype is None else x.to(dtype), ord, dim, keepdim)


@formula(aten.norm.Scalar, aten.norm.ScalarOpt_dtype, aten.norm.ScalarOpt_dim, aten.norm.ScalarOpt_dim_dtype)
def norm(
    x: Tensor,
    p: float | None = 2,
    dim: Sequence[int] = (),
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    return vector_norm(x, 2 if p is None else p, dim, keepdim, dtype=dtype)


@formula(aten.dist.default)
def dist(x: Tensor, other: Tensor, p: float = 2) -> Tensor:
    return p_norm(x - other, p, None)


@formula(aten._cdist_forward.default)
def cdist(x1: Tensor, x2: Tensor, p: float, compute_mode: int | None = None) -> Tensor:
    """|x1_i − x2_j| in the p-norm."""
    del compute_mode
    return p_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, (-1,))


@formula(aten._euclidean_dist.default)
def euclidean_dist(x1: Tensor, x2: Tensor) -> Tensor:
    return cdist(x1, x2, 2.0)


@formula(aten._pdist_forward.default)
def pdist(x: Tensor, p: float = 2.0) -> Tensor:
    """|x_i − x_j| for i < j."""
    first, second = torch.triu_indices(len(x), len(x), 1, device=x.device)
    return p_norm(x.index_select(0, first) - x.index_select(0, second), p, (-1,))


@formula(aten.renorm.default)
def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along an axis whose norm is larger than the largest allowed, scaled down to it."""
    axes = [axis for axis in range(x.ndim) if axis != dim % x.ndim]
    large = torch.linalg.vector_norm(x.detach(), p, axes, keepdim=True) > maxnorm
    lengths = p_norm(torch.where(large, x, 1), p, axes, keepdim=True)
    return torch.where(large, x * (maxnorm / (lengths + 1e-7)), x)


def _moments(x: Tensor, dim: Sequence[int] | None, correction: float | None, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    axes = tuple(range(x.ndim)) if not dim else tuple(dim)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    mean = x.mean(axes, keepdim=True)
    total = _squared_modulus(x - mean).sum(axes, keepdim=keepdim)
    variance = total / max(count - (1 if correction is None else correction), 0)
    return variance, mean if keepdim else mean.squeeze(axes)


@formula(aten.var.correction)
def var(x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False):
    return _moments(x, dim, correction, keepdim)[0]


@formula(aten.std.correction)
def std(x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False):
    return root(_moments(x, dim, correction, keepdim)[0])


@formula(aten.var_mean.correction)
def var_mean(x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False):
    return _moments(x, dim, correction, keepdim)


@formula(aten.std_mean.correction)
def std_mean(x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False):
    variance, mean = _moments(x, dim, correction, keepdim)
    return root(variance), mean


@formula(aten.prod.default, aten.prod.dim_int)
def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """Products of pairs, products of pairs of these, and so on, which is right for zero entries too."""
    x = x if dtype is None else x.to(dtype)
    factors = (x.reshape(-1) if dim is None else x.movedim(dim, -1)) if x.ndim else x.reshape(1)
    if not factors.shape[-1]:
        factors = factors.new_ones(*factors.shape[:-1], 1)
    while factors.shape[-1] > 1:
        half = factors.shape[-1] // 2
        pairs = factors[..., :half] * factors[..., half : 2 * half]
        factors = torch.cat([pairs, factors[..., 2 * half :]], -1)
    return factors.movedim(-1, dim) if keepdim and x.ndim else factors.squeeze(-1)


@formula(aten.cumprod.default)
def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """One product after the other, which is right for zero entries too."""
    x = x if dtype is None else x.to(dtype)
    factors = x.unbind(dim) if x.ndim else ()
    return torch.stack(list(itertools.accumulate(factors, torch.mul)), dim) if factors else x.clone()


@formula(aten.logcumsumexp.default)
def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """One sum after the other, each shifted by its own maximum."""
    terms = x.unbind(dim) if x.ndim else ()
    return torch.stack(list(itertools.accumulate(terms, logaddexp)), dim) if terms else x.clone()


@formula(aten.scatter_reduce.two)
def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Products by a table of which source belongs to which place; the other reductions as they are."""
    if reduce != "prod" or not x.ndim:
        return aten.scatter_reduce.two(x, dim, index, src, reduce, include_self=include_self)
    for axis, length in enumerate(index.shape):
        src = src.narrow(axis, 0, length)
    belongs = index.movedim(dim, -1)[..., None] == torch.arange(x.shape[dim], device=x.device)
    factors = prod(torch.where(belongs, src.movedim(dim, -1)[..., None], 1), -2)
    met = belongs.any(-2)
    missing = [n - m for n, m in zip(x.movedim(dim, -1).shape, met.shape, strict=True)]
    padding = [length for lack in reversed(missing) for length in (0, lack)]
    factors, met = functional.pad(factors, padding, value=1.0), functional.pad(met, padding, value=False)
    own = x.movedim(dim, -1)
    return ((own if include_self else torch.where(met, 1, own)) * factors).movedim(-1, dim)


@formula(aten.index_reduce.default)
def index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    if reduce != "prod" or not x.ndim:
        return aten.index_reduce.default(x, dim, index, source, reduce, include_self=include_self)
    shape = [1] * x.ndim
    shape[dim] = -1
    places = index.reshape(shape).expand(source.shape)
    return scatter_reduce(x, dim, places, source, reduce, include_self=include_self)
