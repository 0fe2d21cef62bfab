"""Determinants, inverses and solutions of linear systems, by series in the nilpotent part of the matrix.

A jet of matrices is A + E with a nilpotent E: every product of more than K factors E vanishes. So
(A + E)⁻¹ = Σ_m (−A⁻¹E)^m A⁻¹ and log|det(A + E)| = log|det A| + Σ_m (−1)^(m+1)/m · tr (A⁻¹E)^m end at m = K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jetbench.errors import JetbenchError
from jetbench.torch.jet import Jet, Value, add, elementwise, linear, multiply, primal, times
from jetbench.torch.registry import rule

aten = torch.ops.aten


@rule(aten._linalg_check_errors.default)
def check_errors(*args: object, **kwargs: object) -> None:
    """Rules solve with the primal, which raises by itself where it is singular."""
    del args, kwargs


def _nilpotent(x: Jet) -> Jet:
    return Jet(x.algebra, torch.zeros_like(x.primal), rest=x.rest, present=x.present)


def _powers(x: Jet) -> list[Jet]:
    """A⁻¹E, (A⁻¹E)², …, (A⁻¹E)^K."""
    first = _solved(x.primal, _nilpotent(x))
    found = [first]
    while len(found) < x.algebra.order:
        found.append(multiply(torch.matmul, found[-1], first))
    return found


def _trace(x: Value) -> Value:
    return linear(lambda t: t.diagonal(dim1=-2, dim2=-1).sum(-1), x)


def _log_determinant(x: Jet) -> Jet:
    """log det(A + E) − log det A, whose primal is 0."""
    result: Value = torch.zeros(x.shape[:-2], dtype=x.dtype, device=x.primal.device)
    for m, power in enumerate(_powers(x) if x.present else [], 1):
        result = add(result, linear(lambda t, m=m: t * ((-1) ** (m + 1) / m), _trace(power)))
    return result if isinstance(result, Jet) else Jet(x.algebra, result)


def _exponential(x: Jet) -> Jet:
    return elementwise(lambda u, order: [torch.exp(u)] * (order + 1), x)


@rule(aten._linalg_slogdet.default)
def slogdet(a: Jet) -> tuple[Value, Jet, None, None]:
    """Of a complex determinant the modulus and the angle vary."""
    sign, logarithm = torch.linalg.slogdet(a.primal)
    change = _log_determinant(a)
    if not a.dtype.is_complex:
        return sign, add(change, logarithm), None, None
    angle = linear(lambda t: torch.complex(torch.zeros_like(t.real), t.imag), change)
    return times(_exponential(angle), sign), add(linear(torch.real, change, torch.real), logarithm), None, None


@rule(aten._linalg_det.default)
def det(a: Jet) -> tuple[Jet, None, None]:
    """det A · exp(log det(A + E) − log det A); needs an invertible matrix."""
    return times(_exponential(_log_determinant(a)), torch.linalg.det(a.primal)), None, None


def _no_errors(a: Value) -> Tensor:
    """What the solvers return as `info`, zero for each matrix: `torch.linalg.solve` has raised otherwise."""
    return torch.zeros(a.shape[:-2], dtype=torch.int32, device=primal(a).device)


def _solved(matrix: Tensor, right: Value) -> Value:
    """A⁻¹B for a constant A."""
    batch = torch.broadcast_shapes(matrix.shape[:-2], right.shape[:-2])

    def solve(t: Tensor) -> Tensor:
        try:
            return torch.linalg.solve(matrix, t)
        except torch.linalg.LinAlgError as error:
            raise JetbenchError(
                "Jets of determinants, inverses and solutions of linear systems need invertible matrices; one is "
                "singular at a point of x."
            ) from error

    if not isinstance(right, Jet):
        return solve(right)
    right = linear(lambda t: t.expand(*batch, *t.shape[-2:]), right)
    return linear(solve, right, solve)  # the component axis is one more axis of the batch


def _inverse_times(a: Value, right: Value) -> Value:
    """(A + E)⁻¹ B by x ← A⁻¹(B − E x), exact after K steps."""
    solved = _solved(primal(a), right)
    if not isinstance(a, Jet) or not a.present:
        return solved
    step = _solved(a.primal, _nilpotent(a))
    result = solved
    for _ in range(a.algebra.order):
        result = add(solved, multiply(torch.matmul, step, result), -1)
    return result


@rule(aten.linalg_inv_ex.default)
def inverse(a: Jet, *, check_errors: bool = False) -> tuple[Jet, Tensor]:
    del check_errors
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.primal.device).expand(a.shape)
    return _inverse_times(a, eye), _no_errors(a)


def _transposed(a: Value) -> Value:
    return linear(lambda t: t.mT, a) if isinstance(a, Jet) else a.mT


@rule(aten._linalg_solve_ex.default)
def solve(a: Value, b: Value, *, left: bool = True, check_errors: bool = False) -> tuple[Value, None, None, Tensor]:
    del check_errors
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])

    def columns(t: Tensor) -> Tensor:
        t = t.unsqueeze(-1) if vector else t
        return t if left else t.mT

    right = linear(columns, b) if isinstance(b, Jet) else columns(b)
    result = _inverse_times(a if left else _transposed(a), right)

    def restored(t: Tensor) -> Tensor:
        t = t if left else t.mT
        return t.squeeze(-1) if vector else t

    return linear(restored, result), None, None, _no_errors(a)


@rule(aten.linalg_solve_triangular.default)
def solve_triangular(a: Value, b: Value, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Value:
    def triangle(t: Tensor) -> Tensor:
        t = t.triu(1 if unitriangular else 0) if upper else t.tril(-1 if unitriangular else 0)
        return t

    matrix = linear(triangle, a) if isinstance(a, Jet) else triangle(a)
    if unitriangular:
        eye = torch.eye(a.shape[-1], dtype=primal(a).dtype, device=primal(a).device)
        matrix = add(matrix, eye)
    if left:
        return _inverse_times(matrix, b)
    return _transposed(_inverse_times(_transposed(matrix), _transposed(b)))


def _adjoint(a: Jet) -> Jet:
    return linear(lambda t: t.mH, a)


@rule(aten.linalg_cholesky_ex.default)
def cholesky(a: Jet, *, upper: bool = False, check_errors: bool = False) -> tuple[Jet, Tensor]:
    """The factor of A + E is L(I + N) with A = LLᴴ and a lower triangular N that fulfils N + Nᴴ + NNᴴ = L⁻¹EL⁻ᴴ.

    The lower triangle of a Hermitian matrix with half its diagonal solves N + Nᴴ = S; iterating is exact after K steps.
    """
    del check_errors
    factor = torch.linalg.cholesky(a.primal)

    def whitened(t: Tensor) -> Tensor:
        hermitian = t.tril() + t.tril(-1).mH
        half = torch.linalg.solve_triangular(factor, hermitian, upper=False)
        return torch.linalg.solve_triangular(factor, half.mH, upper=False)

    def lower(t: Tensor) -> Tensor:
        return (t.tril() + t.tril(-1)) / 2

    change = linear(whitened, _nilpotent(a))
    result: Value = linear(lower, change)
    for _ in range(a.algebra.order - 1 if a.present else 0):
        square = multiply(torch.matmul, result, _adjoint(result))
        result = linear(lower, add(change, square, -1))
    product = linear(lambda t: factor @ t, result)
    found = Jet(a.algebra, factor, rest=product.rest, present=product.present)
    return (_adjoint(found) if upper else found), _no_errors(a)


def _of_factor(factor: Value, upper: bool) -> Value:
    """LLᴴ for the triangle that is used of a factor."""

    def lower(t: Tensor) -> Tensor:
        return t.triu().mH if upper else t.tril()

    triangle = linear(lower, factor) if isinstance(factor, Jet) else lower(factor)
    return multiply(torch.matmul, triangle, _adjoint(triangle) if isinstance(triangle, Jet) else triangle.mH)


@rule(aten.cholesky_inverse.default)
def cholesky_inverse(factor: Jet, upper: bool = False) -> Jet:
    return inverse(_of_factor(factor, upper))[0]


@rule(aten.cholesky_solve.default)
def cholesky_solve(b: Value, factor: Value, upper: bool = False) -> Value:
    return _inverse_times(_of_factor(factor, upper), b)
