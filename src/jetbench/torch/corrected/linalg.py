"""Determinants, linear systems and triangular factors, by elimination or by the inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from jetbench.torch._compat import operations
from jetbench.torch.corrected.formulas import formula
from jetbench.torch.corrected.reductions import prod

aten = torch.ops.aten


def _pivots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The pivots of Gaussian elimination with exchange of rows, (..., n), and the sign of the exchanges, (...)."""
    found, sign = [], torch.ones_like(matrix[..., 0, 0])
    while matrix.shape[-1]:
        chosen = matrix[..., :, 0].detach().abs().argmax(-1)
        sign = torch.where(chosen == 0, sign, -sign)
        rows = torch.arange(matrix.shape[-1], device=matrix.device)
        exchanged = torch.where(rows == chosen[..., None], 0, rows)
        exchanged = torch.where(rows == 0, chosen[..., None], exchanged)
        matrix = torch.take_along_dim(matrix, exchanged[..., None], -2)
        pivot = matrix[..., :1, :1]
        found.append(pivot[..., 0, 0])
        matrix = matrix[..., 1:, 1:] - matrix[..., 1:, :1] * (matrix[..., :1, 1:] / pivot)
    return torch.stack(found, -1), sign


@formula(aten._linalg_det.default)
def det(A: Tensor) -> tuple[Tensor, None, None]:
    """The determinant of invertible matrices."""
    if not A.shape[-1]:
        return A.new_ones(A.shape[:-2]), None, None
    pivots, sign = _pivots(A)
    return sign * prod(pivots, -1), None, None


@formula(aten._linalg_slogdet.default)
def slogdet(A: Tensor) -> tuple[Tensor, Tensor, None, None]:
    """Sign and logarithm of the modulus of the determinant."""
    if not A.shape[-1]:
        return A.new_ones(A.shape[:-2]), A.new_zeros(A.shape[:-2]), None, None
    pivots, sign = _pivots(A)
    return sign * prod(pivots.sgn(), -1), pivots.abs().log().sum(-1), None, None


@formula(aten._linalg_solve_ex.default)
def solve(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> tuple[Tensor, None, None, Tensor]:
    """A⁻¹B, or BA⁻¹ with left=False."""
    inverse, info = torch.linalg.inv_ex(A, check_errors=check_errors)
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]):
        return (inverse @ B.unsqueeze(-1)).squeeze(-1), None, None, info
    return (inverse @ B if left else B @ inverse), None, None, info


@formula(*operations("cholesky.default"))
def cholesky(A: Tensor, upper: bool = False) -> Tensor:
    """The older spelling, which has no forward mode; PyTorch 2.15 does not have it."""
    return torch.linalg.cholesky_ex(A, upper=upper, check_errors=True)[0]


def _gram(factor: Tensor, upper: bool) -> Tensor:
    """LLᴴ or UᴴU."""
    factor = factor.triu().mH if upper else factor.tril()
    return factor @ factor.mH


@formula(aten.cholesky_inverse.default)
def cholesky_inverse(factor: Tensor, upper: bool = False) -> Tensor:
    return torch.linalg.inv_ex(_gram(factor, upper))[0]


@formula(aten.cholesky_solve.default)
def cholesky_solve(B: Tensor, factor: Tensor, upper: bool = False) -> Tensor:
    return cholesky_inverse(factor, upper) @ B


def _triangle(A: Tensor, upper: bool, unitriangular: bool) -> Tensor:
    if not unitriangular:
        return A.triu() if upper else A.tril()
    return (A.triu(1) if upper else A.tril(-1)) + torch.eye(*A.shape[-2:], dtype=A.dtype, device=A.device)


@formula(aten.linalg_householder_product.default)
def householder_product(vectors: Tensor, tau: Tensor) -> Tensor:
    """The first columns of Π_i (1 − τ_i v_i v_iᴴ), v_i = (0, …, 0, 1, vectors[i + 1:, i])."""
    columns = _triangle(vectors, False, True)
    product = torch.eye(*vectors.shape[-2:], dtype=vectors.dtype, device=vectors.device).expand(vectors.shape)
    for i in reversed(range(tau.shape[-1])):
        v = columns[..., i : i + 1]
        product = product - tau[..., i, None, None] * v @ (v.mH @ product)
    return product


@formula(aten.linalg_solve_triangular.default)
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    inverse = torch.linalg.inv_ex(_triangle(A, upper, unitriangular))[0]
    return inverse @ B if left else B @ inverse


@formula(aten.triangular_solve.default)
def triangular_solve(
    B: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Tensor, Tensor]:
    inverse = torch.linalg.inv_ex(_triangle(A, upper, unitriangular))[0]
    return (inverse.mT if transpose else inverse) @ B, A.clone()
